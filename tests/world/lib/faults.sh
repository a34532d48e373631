# shellcheck shell=bash
# What goes wrong with DNS servers: one falls silent, one stays behind.

# silence ADDRESS : nothing that is sent to its port 53 arrives.
silence() {
  [[ $1 =~ ^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$ ]] || die "'$1' is no address"
  in_network nft add element ip maildomain_world silenced "{ $1 }"
}

# heal ADDRESS : adding it first makes this work for an address that was never silenced.
heal() {
  silence "$1"
  in_network nft delete element ip maildomain_world silenced "{ $1 }"
}

# freeze ZONE : the secondary keeps what it has, whatever the primary says.
freeze() {
  local name
  name=$(existing_zone "$1")
  knot secondary zone-freeze "$name"
}

# thaw ZONE : and fetches what it missed.
thaw() {
  local name
  name=$(existing_zone "$1")
  knot secondary zone-thaw "$name"
  knot secondary zone-refresh "$name"
}
