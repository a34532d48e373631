# shellcheck shell=bash
# The network of the world: a bridge for the pods, addresses for the internet, and no way out.

create_network() {
  local address
  ip link set lo up
  for address in "$root_address" "$registry_address" "$resolver_address" "$primary_address" "$secondary_address"; do
    ip address add "$address/32" dev lo
  done
  ip link add cni0 type bridge
  ip address add "$node_address/24" dev cni0
  ip link set cni0 up
  # Kubernetes wants a default route (to choose addresses by); it leads to the bridge, where nobody answers.
  ip route add default dev cni0 src "$node_address"
  # Mail hosts of the tests: refused at once unless a test adds the address to lo.
  ip route add unreachable 203.0.113.0/24
  ip route add unreachable 198.51.100.0/24
  ip route add local "$zone_server_range" dev lo src "$node_address"
  echo 1 >/proc/sys/net/ipv4/ip_forward
  # Without it a pod that calls its own service gets no answer: the reply would skip conntrack.
  if [[ -e /proc/sys/net/bridge/bridge-nf-call-iptables ]]; then echo 1 >/proc/sys/net/bridge/bridge-nf-call-iptables; fi
  create_filter
}

# `servers` leads the zones' name server addresses to PowerDNS or Knot; `silenced` are those that must not answer.
# Both are asked for what the node sends (output) and for what pods send (prerouting).
create_filter() {
  nft --file - <<'NFT'
table ip maildomain_world {
  map servers { type ipv4_addr : ipv4_addr; }
  set silenced { type ipv4_addr; }
  chain silence_node {
    type filter hook output priority raw;
    ip daddr @silenced udp dport 53 drop
    ip daddr @silenced tcp dport 53 drop
  }
  chain silence_pods {
    type filter hook prerouting priority raw;
    ip daddr @silenced udp dport 53 drop
    ip daddr @silenced tcp dport 53 drop
  }
  chain lead_node {
    type nat hook output priority -110;
    udp dport 53 dnat to ip daddr map @servers
    tcp dport 53 dnat to ip daddr map @servers
  }
  chain lead_pods {
    type nat hook prerouting priority -110;
    udp dport 53 dnat to ip daddr map @servers
    tcp dport 53 dnat to ip daddr map @servers
  }
}
NFT
}
