# shellcheck shell=bash
# A small internet: a signed root, signed top-level domains, a primary and a secondary for the tests' zones, a validating resolver.

# Short lives everywhere, so that no test waits for an old answer. The negative one is the last number of the SOA.
soa_times="60 60 604800 5"

knots=(knot-root knot-registry knot-secondary)

configure_internet() {
  local name
  for name in "${knots[@]}"; do mkdir -p "$state/$name/config"; done
  signing_knot root "$root_address" "
zone:
  - domain: .
    file: root.zone"
  cat >"$state/knot-root/root.zone" <<ZONE
. 30 SOA a.root. hostmaster.nic.test. 1 $soa_times
. 30 NS a.root.
a.root. 30 A $root_address
a.nic.test. 30 A $registry_address
ZONE
  signing_knot registry "$registry_address" ""
  knot_configuration secondary "$secondary_address" "
remote:
  - id: primary
    address: $primary_address@53
    via: $secondary_address
acl:
  - id: primary
    address: $primary_address
    action: notify
template:
  - id: default
    storage: $state/knot-secondary
    master: primary
    acl: primary
    # Copies only: whatever is lost is fetched again.
    zonefile-sync: -1
    zonefile-load: none
    journal-content: none"
  configure_primary
  configure_resolver
}

# signing_knot NAME ADDRESS ZONES
signing_knot() {
  knot_configuration "$1" "$2" "
policy:
  - id: world
    algorithm: ecdsap256sha256
    single-type-signing: on
    cds-cdnskey-publish: none
template:
  - id: default
    storage: $state/knot-$1
    dnssec-signing: on
    dnssec-policy: world
$3"
}

# knot_configuration NAME ADDRESS REST : as a database, because only that can get new zones while knotd runs.
knot_configuration() {
  local dir=$state/knot-$1
  cat >"$dir/knot.conf" <<YAML
server:
    rundir: $dir
    listen: $2@53
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
control:
    listen: $dir/knot.sock
log:
  - target: stderr
    any: info
database:
    storage: $dir
$3
YAML
  knotc --confdb "$dir/config" conf-import "$dir/knot.conf" >/dev/null
}

# xfr-cycle-interval: how often PowerDNS looks for changed zones to announce. The caches are off, or changes show late.
# only-notify is empty, or it would first look up the zone's NS names with the host's resolver, twelve seconds for each.
configure_primary() {
  mkdir -p "$state/pdns"
  sqlite3 "$state/pdns/zones.db" </usr/share/doc/pdns-backend-sqlite3/schema.sqlite3.sql
  cat >"$state/etc/pdns.conf" <<CONF
launch=gsqlite3
gsqlite3-database=$state/pdns/zones.db
gsqlite3-dnssec=yes
gsqlite3-pragma-synchronous=0
local-address=$primary_address
query-local-address=$primary_address
primary=yes
allow-axfr-ips=$secondary_address
also-notify=$secondary_address
dnsupdate=yes
allow-dnsupdate-from=0.0.0.0/0
only-notify=
xfr-cycle-interval=1
api=yes
api-key=$pdns_key
webserver=yes
webserver-address=$primary_address
webserver-port=8081
webserver-allow-from=0.0.0.0/0
webserver-loglevel=none
zone-cache-refresh-interval=0
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
domain-metadata-cache-ttl=0
dnssec-key-cache-ttl=0
security-poll-suffix=
receiver-threads=1
distributor-threads=2
socket-dir=$state/pdns
daemon=no
guardian=no
CONF
}

# unbound answers for test., and for the reverse zones of private and documentation addresses, by itself unless told not to.
configure_resolver() {
  printf '. 30 NS a.root.\na.root. 30 A %s\n' "$root_address" >"$state/etc/root.hints"
  cat >"$state/etc/unbound.conf" <<CONF
server:
  interface: $resolver_address
  outgoing-interface: $resolver_address
  access-control: 0.0.0.0/0 allow
  do-ip6: no
  num-threads: 1
  username: ""
  chroot: ""
  pidfile: ""
  use-syslog: no
  verbosity: 1
  directory: "$state/etc"
  root-hints: "root.hints"
  trust-anchor-file: "root.key"
  module-config: "validator iterator"
  do-not-query-localhost: no
  unblock-lan-zones: yes
  insecure-lan-zones: no
  local-zone: "test." nodefault
  local-zone: "invalid." nodefault
  aggressive-nsec: no
  cache-max-ttl: 1
  cache-max-negative-ttl: 1
  val-bogus-ttl: 1
  infra-host-ttl: 1
  infra-keep-probing: yes
remote-control:
  control-enable: yes
  control-interface: "$state/etc/unbound.sock"
  control-use-cert: no
CONF
}

start_internet() {
  local name
  for name in "${knots[@]}" pdns; do start_service "$name"; done
  for name in "${knots[@]}"; do wait_until 20 "$name" "$name" knot "${name#knot-}" status; done
  wait_until 20 "the key of the root zone" knot-root publish_trust_anchor
  start_service unbound
  wait_until 20 PowerDNS pdns pdns_api /zones
  wait_until 20 "the resolver" unbound resolver_control status
  add_top_level_domain test
}

publish_trust_anchor() {
  keymgr --confdb "$state/knot-root/config" . dnskey >"$state/etc/root.key" && [[ -s $state/etc/root.key ]]
}

# knot NAME ACTION... : control of one of the three Knots. Says nothing when all is well.
knot() {
  local name=$1
  local answer
  shift
  answer=$(knotc --socket "$state/knot-$name/knot.sock" "$@" 2>&1) || {
    echo "knotc $*: $answer" >&2
    return 1
  }
}

resolver_control() { unbound-control -c "$state/etc/unbound.conf" "$@" >/dev/null; }

# pdns_api PATH [CURL OPTIONS...] : the answer on standard output; an error with PowerDNS's own words.
pdns_api() {
  local path=$1
  shift
  in_network curl --silent --show-error --fail-with-body --noproxy '*' --max-time 10 \
    --header "X-API-Key: $pdns_key" "$@" "$pdns_url/api/v1/servers/localhost$path"
}
