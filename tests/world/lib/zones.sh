# shellcheck shell=bash
# Zones of the tests: created at the primary, copied to the secondary, delegated (with DS when signed) by their parent.
# A zone that exists has a file zones/NAME with: number, address of ns1, address of ns2, signed or unsigned.

zone_add() {
  local name='' signed=signed owner='' number ns1 ns2
  while (($#)); do
    case $1 in
      --unsigned) signed=unsigned ;;
      --externaldns) owner=default ;;
      --externaldns=*) owner=${1#*=} ;;
      -*) die "zone add: unknown option $1" ;;
      *) name=$(zone_name "$1") ;;
    esac
    shift
  done
  [[ -n $name ]] || die "zone add: which zone?"
  lock_zones
  [[ ! -e $state/zones/$name ]] || die "zone $name exists already"
  [[ $name == *.* ]] || die "$name is a top-level domain: those belong to the registry"
  number=$(next_zone_number)
  read -r ns1 ns2 < <(zone_server_addresses "$number")
  in_network nft add element ip maildomain_world servers "{ $ns1 : $primary_address, $ns2 : $secondary_address }"
  create_at_primary "$name" "$number" "$signed" || die "PowerDNS did not take zone $name"
  secondary_configuration "conf-set zone[$name]"
  delegate "$name" "$number" "$signed" "$ns1" "$ns2"
  echo "$number $ns1 $ns2 $signed" >"$state/zones/$name"
  unlock_zones
  # Waiting needs no lock: other zones can be made meanwhile.
  wait_until 10 "zone $name at the primary" pdns serves "$ns1" "$name"
  wait_until 10 "zone $name at the secondary" knot-secondary serves "$ns2" "$name"
  if [[ -n $owner ]]; then externaldns_add_zone "$owner" "$name"; fi
  echo "NS1=$ns1 NS2=$ns2"
}

zone_del() {
  local name number ns1 ns2 signed
  lock_zones
  name=$(existing_zone "${1:?zone del: which zone?}")
  read -r number ns1 ns2 signed <"$state/zones/$name"
  rm "$state/zones/$name"
  undelegate "$name" "$number" "$signed"
  secondary_configuration "conf-unset zone[$name]"
  pdns_api "/zones/$name." --request DELETE
  in_network nft delete element ip maildomain_world servers "{ $ns1, $ns2 }"
  heal "$ns1"
  heal "$ns2"
  unlock_zones
  externaldns_remove_zone "$name"
}

# zone_name TEXT : lower case, no final dot.
zone_name() {
  local name=${1,,}
  name=${name%.}
  [[ $name =~ ^[a-z0-9_]([-a-z0-9_.]*[a-z0-9_])?$ && $name != *..* && ${#name} -le 253 ]] || die "'$1' is no zone name"
  printf '%s\n' "$name"
}

# existing_zone TEXT : its name, if there is such a zone.
existing_zone() {
  local name
  name=$(zone_name "$1")
  [[ -e $state/zones/$name ]] || die "there is no zone $name"
  printf '%s\n' "$name"
}

# One zone is made at a time: Knot allows one configuration change at a time, and parents are shared.
lock_zones() {
  exec 9<"$state"
  flock 9
}
unlock_zones() { exec 9<&-; }

# next_zone_number : the next one that no zone has. Freed numbers come last, so that no cache knows their addresses.
next_zone_number() {
  local last number used attempt
  last=$(cat "$state/last-zone-number" 2>/dev/null || echo 0)
  used=" $(cut -d ' ' -f 1 "$state/zones"/* 2>/dev/null | tr '\n' ' ')"
  for attempt in {1..511}; do
    number=$(((last + attempt) % 512))
    if ((number > 0)) && [[ $used != *" $number "* ]]; then
      echo "$number" | tee "$state/last-zone-number"
      return
    fi
  done
  die "the world has room for 511 zones"
}

# server_name NAME NUMBER 1|2 : its name servers are named outside the zone, so that the zone itself stays empty.
server_name() {
  local label=${1//./-}
  printf 'ns%s-%s-%s.nic.test.\n' "$3" "${label:0:48}" "$2"
}

# create_at_primary NAME NUMBER SIGNED
create_at_primary() {
  local ns1 ns2 dnssec=true
  ns1=$(server_name "$1" "$2" 1)
  ns2=$(server_name "$1" "$2" 2)
  [[ $3 == signed ]] || dnssec=false
  # soa_edit_api INCREASE: each change by the API raises the serial by one, which is what makes the secondary fetch it.
  pdns_api /zones --data @- >/dev/null <<JSON
{"name": "$1.", "kind": "Master", "dnssec": $dnssec, "api_rectify": true, "soa_edit_api": "INCREASE", "nameservers": [],
 "rrsets": [
  {"name": "$1.", "type": "SOA", "ttl": 30, "records": [{"content": "$ns1 hostmaster.nic.test. 1 $soa_times", "disabled": false}]},
  {"name": "$1.", "type": "NS", "ttl": 30, "records": [{"content": "$ns1", "disabled": false}, {"content": "$ns2", "disabled": false}]}]}
JSON
}

# secondary_configuration ACTION : one change of the secondary's list of zones.
secondary_configuration() {
  knot secondary conf-begin
  # shellcheck disable=SC2086 # an action and its item
  if ! { knot secondary $1 && knot secondary conf-commit; }; then
    knot secondary conf-abort
    die "the secondary refused: $1"
  fi
}

soa_at() { in_network dig +short +time=1 +tries=1 +norecurse "@$1" "$2" SOA; }

serves() { [[ -n $(soa_at "$1" "$2") ]]; }

# zone_ds NAME : the DS data (SHA-256) of a zone at the primary.
zone_ds() {
  pdns_api "/zones/$1./cryptokeys" | jq --raw-output '.[] | select(.active) | .ds // [] | .[] | select(split(" ")[2] == "2")'
}
