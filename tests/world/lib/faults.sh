# shellcheck shell=bash
# What goes wrong with DNS servers: one falls silent, one stays behind, a chain of trust breaks.

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

# bogus ZONE : its parent, a top-level domain, names a key that the zone does not have.
bogus() { name_key "$1" "1 13 2 $(printf '0%.0s' {1..64})"; }

# secure ZONE : and names the one that it has.
secure() { name_key "$1" ""; }

# name_key ZONE DS : the DS record at the parent; empty is the right one.
name_key() {
  local name ds tld
  lock_zones
  name=$(existing_zone "$1")
  [[ -z $(parent_of "$name") ]] || die "zone $name lies in a zone of the tests; only top-level domains name other keys"
  ds=${2:-$(zone_ds "$name")}
  tld=${name##*.}
  registry_change "$tld" "zone-unset $tld $name. DS" "zone-set $tld $name. 30 DS $ds"
  unlock_zones
  resolver_control flush_zone "$name"
}
