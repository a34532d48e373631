# shellcheck shell=bash
# ExternalDNS, in named instances. It takes its zones at start only, so each change of them starts it anew.
# An instance has a directory externaldns/NAME with: zones (one a line), options (one a line).

externaldns_start() {
  local name=default zones=() options=() given=false
  if (($#)) && [[ $1 != -* ]]; then
    name=$1
    shift
  fi
  [[ $name =~ ^[a-z0-9-]+$ ]] || die "'$name' is no name for an instance"
  while (($#)); do
    given=true
    case $1 in
      --namespace | --label-filter | --policy | --txt-owner-id | --interval) options+=("$1=${2:?$1 needs a value}") && shift ;;
      --zone) zones+=("$(zone_name "${2:?--zone needs a value}")") && shift ;;
      --) options+=("${@:2}") && break ;;
      *) die "externaldns start: unknown option $1" ;;
    esac
    shift
  done
  mkdir -p "$state/externaldns/$name"
  if $given; then
    : >"$state/externaldns/$name/options"
    if ((${#options[@]})); then printf '%s\n' "${options[@]}" >"$state/externaldns/$name/options"; fi
    if ((${#zones[@]})); then printf '%s\n' "${zones[@]}" >"$state/externaldns/$name/zones"; fi
  fi
  [[ -s $state/externaldns/$name/zones ]] || die "ExternalDNS $name has no zone: give --zone, or 'world zone add ZONE --externaldns'"
  externaldns_restart "$name"
}

externaldns_restart() {
  stop_service "externaldns-$1"
  start_service "externaldns-$1"
}

externaldns_stop() { stop_service "externaldns-${1:-default}"; }

# external_dns_command NAME : the usual flags, unless the instance has its own value; it takes none of them twice.
external_dns_command() {
  local dir=$state/externaldns/$1 owner=maildomain flag type zone options=()
  [[ $1 == default ]] || owner=maildomain-$1
  if [[ -e $dir/options ]]; then mapfile -t options <"$dir/options"; fi
  command=(external-dns --kubeconfig="$state/pki/admin.kubeconfig" --kube-api-qps=100 --kube-api-burst=200
    --source=crd --provider=pdns --pdns-server="$pdns_url" --pdns-server-id=localhost --pdns-api-key="$pdns_key"
    --registry=txt --txt-prefix="extdns-%{record_type}." --metrics-address=127.0.0.1:0 "${options[@]}")
  for flag in --namespace=maildomain-system --label-filter=app.kubernetes.io/managed-by=maildomain \
    --txt-owner-id="$owner" --policy=sync --interval=1s; do
    [[ " ${options[*]}" == *" ${flag%%=*}="* ]] || command+=("$flag")
  done
  if [[ " ${options[*]}" != *" --managed-record-types="* ]]; then
    for type in A AAAA CNAME MX TXT PTR; do command+=(--managed-record-types="$type"); done
  fi
  while read -r zone; do command+=(--domain-filter="$zone"); done <"$dir/zones"
}

# externaldns_add_zone INSTANCE ZONE / externaldns_remove_zone ZONE : parallel tests may do this at the same time.
externaldns_add_zone() {
  local dir=$state/externaldns/$1
  lock_zones
  mkdir -p "$dir"
  grep -qsxF "$2" "$dir/zones" || echo "$2" >>"$dir/zones"
  externaldns_restart "$1"
  unlock_zones
}

externaldns_remove_zone() {
  local file name
  lock_zones
  for file in "$state"/externaldns/*/zones; do
    grep -qsxF "$1" "$file" || continue
    name=$(basename "$(dirname "$file")")
    sed -i "/^${1//./\\.}$/d" "$file"
    # Without a zone it would manage every zone there is.
    if [[ -s $file ]]; then externaldns_restart "$name"; else externaldns_stop "$name"; fi
  done
  unlock_zones
}
