# shellcheck shell=bash
# The addresses of the world. All are inside its network namespace, so none can meet a real one.

node_name=n1
node_address=10.244.0.1        # the bridge of the pods, and so their gateway
pod_range=10.244.0.0/24
service_range=10.96.0.0/16
api_service_address=10.96.0.1
cluster_dns_address=10.96.0.10

root_address=192.0.2.1         # the root zone
registry_address=192.0.2.2     # every top-level domain, and the names of all name servers (nic.test)
resolver_address=192.0.2.9     # validating, as a user's resolver would be
primary_address=192.0.2.53     # PowerDNS: all zones of the tests
secondary_address=192.0.2.54   # Knot: copies of them by zone transfer

pdns_url=http://$primary_address:8081
pdns_key=world                 # nobody outside can reach it

# Each zone has two name server addresses of its own, led by nftables to the two servers above,
# so that a test can silence a server of its zone and disturb nobody else.
zone_server_range=198.18.0.0/15

# zone_server_addresses N : the two addresses of the Nth zone (0 to 511).
zone_server_addresses() {
  local net
  net=198.$((18 + $1 / 256)).$(($1 % 256))
  printf '%s.1 %s.2\n' "$net" "$net"
}
