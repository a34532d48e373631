# shellcheck shell=bash
# What parents say about zones. A parent is another zone of the tests (at PowerDNS) or a top-level domain (at the registry).

# parent_of NAME : the closest zone of the tests above it; nothing when that is a top-level domain.
parent_of() {
  local name=$1
  while [[ $name == *.* ]]; do
    name=${name#*.}
    if [[ -e $state/zones/$name ]]; then
      printf '%s\n' "$name"
      return
    fi
  done
}

# delegate NAME NUMBER SIGNED NS1 NS2
delegate() {
  local name=$1 ns1 ns2 parent ds='' tld=${1##*.}
  ns1=$(server_name "$name" "$2" 1)
  ns2=$(server_name "$name" "$2" 2)
  if [[ $3 == signed ]]; then
    ds=$(zone_ds "$name")
    [[ -n $ds ]] || die "PowerDNS has no key for zone $name"
  fi
  registry_change test "zone-set test $ns1 30 A $4" "zone-set test $ns2 30 A $5"
  parent=$(parent_of "$name")
  if [[ -n $parent ]]; then
    pdns_delegation "$parent" "$name" REPLACE "$ns1" "$ns2" "$ds"
    await_secondary "$parent"
  else
    add_top_level_domain "$tld"
    registry_change "$tld" "zone-set $tld $name. 30 NS $ns1" "zone-set $tld $name. 30 NS $ns2" ${ds:+"zone-set $tld $name. 30 DS $ds"}
  fi
  # What the resolver heard before the zone was there must not outlive this.
  resolver_control flush_zone "$name"
}

# undelegate NAME NUMBER SIGNED
undelegate() {
  local name=$1 ns1 ns2 parent tld=${1##*.}
  ns1=$(server_name "$name" "$2" 1)
  ns2=$(server_name "$name" "$2" 2)
  parent=$(parent_of "$name")
  if [[ -n $parent ]]; then
    pdns_delegation "$parent" "$name" DELETE
    await_secondary "$parent"
  else
    registry_change "$tld" "zone-unset $tld $name."
  fi
  registry_change test "zone-unset test $ns1" "zone-unset test $ns2"
  resolver_control flush_zone "$name"
}

# name_server NAME ADDRESS : a name below nic.test.
name_server() {
  [[ $1 == *.nic.test ]] || die "$1 is not below nic.test"
  lock_zones
  registry_change test "zone-set test $1. 30 A $2"
  unlock_zones
}

# zone_redelegate NAME SERVER : another server takes the zone over, unsigned; who served it before serves on.
zone_redelegate() {
  local name server=$2.
  lock_zones
  name=$(existing_zone "$1")
  [[ -z $(parent_of "$name") ]] || die "zone $name lies in a zone of the tests; only top-level domains redelegate"
  registry_change "${name##*.}" "zone-unset ${name##*.} $name. NS" "zone-unset ${name##*.} $name. DS" \
    "zone-set ${name##*.} $name. 30 NS $server"
  unlock_zones
  resolver_control flush_zone "$name"
}

# pdns_delegation PARENT NAME REPLACE|DELETE [NS1 NS2 DS]
pdns_delegation() {
  jq --null-input --arg name "$2." --arg change "$3" --arg ns1 "${4:-}" --arg ns2 "${5:-}" --arg ds "${6:-}" '
    def rrset(type; values): {name: $name, type: type, ttl: 30, changetype: $change,
      records: [values[] | select(. != "") | {content: ., disabled: false}]};
    {rrsets: [rrset("NS"; [$ns1, $ns2]), rrset("DS"; [$ds])]
      | map(if (.records | length) == 0 then .changetype = "DELETE" else . end)}' |
    pdns_api "/zones/$1." --request PATCH --data @- || die "zone $1 did not take the delegation of $2"
}

# await_secondary ZONE : until it says the same as the primary; not for long, because a test may have frozen it.
# A resolver that asks the two while they differ remembers a failure for five seconds.
await_secondary() {
  local attempt
  knot secondary zone-refresh "$1"
  for attempt in {1..20}; do
    [[ $(soa_at "$primary_address" "$1") != "$(soa_at "$secondary_address" "$1")" ]] || return 0
    sleep 0.05
  done
}

# registry_change ZONE ACTION... : knotc actions on a top-level domain, in one transaction.
registry_change() { knot_change registry "$@"; }

knot_change() {
  local knot=$1 zone=$2 action
  shift 2
  knot "$knot" zone-begin "$zone"
  for action in "$@"; do
    # shellcheck disable=SC2086 # the words of a knotc action
    knot "$knot" $action || {
      knot "$knot" zone-abort "$zone"
      die "the $knot zone $zone refused: $action"
    }
  done
  knot "$knot" zone-commit "$zone"
}

# add_top_level_domain NAME : makes it when it is not there: a signed zone at the registry, NS and DS in the root.
add_top_level_domain() {
  local tld=$1 ds
  [[ ! -e $state/knot-registry/$tld.zone ]] || return 0
  {
    echo "$tld. 30 SOA a.nic.test. hostmaster.nic.test. 1 $soa_times"
    echo "$tld. 30 NS a.nic.test."
    [[ $tld != test ]] || echo "a.nic.test. 30 A $registry_address"
  } >"$state/knot-registry/$tld.zone"
  knot registry conf-begin
  knot registry conf-set "zone[$tld]"
  knot registry conf-commit
  wait_until 10 "the key of $tld" knot-registry registry_key "$tld"
  ds=$(registry_key "$tld")
  knot_change root . "zone-set . $tld. 30 NS a.nic.test." "zone-set . $tld. 30 DS $ds"
  resolver_control flush_zone "$tld"
}

# registry_key TLD : its DS data (SHA-256). keymgr prints NAME DS DATA.
registry_key() {
  keymgr --confdb "$state/knot-registry/config" "$1" ds | awk '$2 == "DS" && $5 == 2 { print $3, $4, $5, $6; found = 1 } END { exit !found }'
}
