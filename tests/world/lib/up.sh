# shellcheck shell=bash
# Starting the world. `up` is the table of contents.

up() {
  local zone
  lock_machine
  if init=$(init_pid); then die "a world is up already (process $init): 'world down' first"; fi
  check_prerequisites
  clean_up_after_crash
  # A trap inherits the redirections of the command that it interrupts; 7 keeps the way to the user.
  exec 7>&2
  # From here on whatever goes wrong, and Ctrl-C, ends in a clean machine.
  trap 'take_down_failed_start $?' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  create_state
  configure_kubernetes
  configure_internet
  start_namespaces
  say "namespaces are there"
  for service in etcd containerd kube-apiserver; do start_service "$service"; done
  start_internet
  say "the internet is up"
  load_cluster_images
  start_kubernetes
  start_zones "$@"
  wait_until 60 "the node and its DNS" kubelet cluster_is_ready
  trap - EXIT INT TERM
  say "the world is up"
  print_environment
}

# start_zones ZONE... : these and $EXTERNALDNS_ZONES; a zone may be in both.
start_zones() {
  local zone options=()
  for zone in "$@" ${EXTERNALDNS_ZONES:-}; do
    [[ -e $state/zones/$(zone_name "$zone") ]] || zone_add "$zone" >/dev/null
  done
  for zone in ${EXTERNALDNS_ZONES:-}; do options+=(--zone "$zone"); done
  if ((${#options[@]})); then externaldns_start "${options[@]}"; fi
  say "zones are served: ${*:-none}${EXTERNALDNS_ZONES:+; by ExternalDNS: $EXTERNALDNS_ZONES}"
}

check_prerequisites() {
  local group path
  for path in "$state" "$cache" "$here"; do
    [[ $path == /* ]] || die "$path: only absolute paths work"
    # A directory of the world's own lies over /run.
    [[ $path != /run/* && $path != /var/log/* ]] || die "$path must not be below /run or /var/log"
  done
  for group in "${groups[@]}"; do
    [[ -e $(group_dir "$group")/inputs ]] || die "$group $(group_version "$group") is not built: run $here/build"
  done
  for path in containerd runc nft ip knotd knotc pdns_server unbound dig jq curl sqlite3 openssl; do
    command -v "$path" >/dev/null || die "$path is missing: run $here/build as root"
  done
  if compgen -G '/sys/fs/cgroup/*/kubepods' >/dev/null || [[ -d /sys/fs/cgroup/kubepods ]]; then
    [[ -z $(cat /sys/fs/cgroup/{,*/}kubepods/{,*/}{,*/}{,*/}cgroup.procs 2>/dev/null) ]] ||
      die "another Kubernetes node runs on this machine (cgroup kubepods)"
  fi
}

create_state() {
  # The kubelet's fixed place; the world's own directory lies over it.
  if [[ ! -d /var/lib/kubelet ]]; then
    mkdir -p /var/lib/kubelet
    made_kubelet_directory=yes
  fi
  mkdir -p "$state"/{pki,log,run,etc,kubelet,sysctl,zones,externaldns}
  # Only a directory with this file in it is ever deleted.
  echo "${made_kubelet_directory:-no}" >"$state/made-kubelet-directory"
  chmod 0755 "$state"
}

start_namespaces() {
  local unshare attempt
  MAILDOMAIN_WORLD=$state setsid "$here/lib/detach.sh" "$state/run/unshare.pid" \
    unshare --mount --propagation private --net --pid --uts --ipc --fork --kill-child --mount-proc \
    bash "$here/lib/init.sh" "$state" maildomain-world >"$state/log/init.log" 2>&1 </dev/null &
  unshare=$!
  disown "$unshare"
  for attempt in {1..100}; do
    init=$(pgrep --parent "$unshare" 2>/dev/null) && is_init "$init" && break
    sleep 0.05
  done
  is_init "$init" || {
    cat "$state/log/init.log" >&2
    die "the namespaces could not be made (needs root and CAP_SYS_ADMIN)"
  }
  echo "$init" >"$state/init.pid"
  wait_until 10 "the namespaces" init test -e "$state/namespaces-are-ready"
  readlink "/proc/$init/ns/net" >"$state/network"
}

take_down_failed_start() {
  trap - EXIT INT TERM
  exec 2>&7
  say "the start failed: cleaning up"
  take_down
  exit "$1"
}

# print_environment : what a shell that works with the world needs.
print_environment() {
  local group path=''
  for group in "${groups[@]}"; do path+=$(group_dir "$group"):; done
  cat <<SH
export WORLD="$here/world run"
export KUBECONFIG=$state/pki/admin.kubeconfig
export PATH="$path\$PATH"
export DNS_SERVER=$primary_address
export DNS_SECONDARY=$secondary_address
export RESOLVER=$resolver_address
export ROOT_HINTS=$root_address
export PDNS_API=$pdns_url
export PDNS_API_KEY=$pdns_key
export WORLD_AUDIT_LOG=$state/log/audit.log
SH
}
