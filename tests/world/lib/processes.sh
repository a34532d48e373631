# shellcheck shell=bash
# The processes of the world. All live below one process, the init of its pid namespace: when it goes, they go.

# init_pid : the init of the running world, as the host numbers it; fails when no world runs.
# The number alone proves nothing: after a crash or a reboot it may be somebody else's.
init_pid() {
  local pid
  pid=$(cat "$state/init.pid" 2>/dev/null) && is_init "$pid" && printf '%s\n' "$pid"
}

is_init() {
  local words
  words=$(tr '\0' ' ' 2>/dev/null <"/proc/${1:-none}/cmdline") 2>/dev/null || return
  [[ $words == *"/lib/init.sh $state "* ]]
}

require_world() {
  init=$(init_pid) || die "no world is up: start one with 'world up'"
}

# in_network CMD... : in the network of the world, with the host's files.
in_network() { nsenter --target "$init" --net "$@"; }

# in_world CMD... : in all of its namespaces.
in_world() { nsenter --target "$init" --mount --net --pid --uts --ipc "$@"; }

# start_service NAME : starts a service of lib/services.sh in the world; its parent is the init, never the caller.
start_service() {
  local name=$1 command
  service_command "$name"
  rm -f "$state/run/$name.pid"
  MAILDOMAIN_WORLD=$state in_world setsid --fork "$here/lib/detach.sh" "$state/run/$name.pid" "${command[@]}" \
    >>"$state/log/$name.log" 2>&1 </dev/null
  # Whoever stops it next must find its number.
  wait_until 10 "$name to start" "$name" test -s "$state/run/$name.pid"
}

service_runs() {
  local pid
  pid=$(cat "$state/run/$1.pid" 2>/dev/null) && in_world kill -0 "$pid" 2>/dev/null
}

# stop_service NAME : asks, then insists after two seconds (external-dns may take a minute to finish its round).
stop_service() {
  local pid attempt
  service_runs "$1" || return 0
  pid=$(<"$state/run/$1.pid")
  in_world kill "$pid" 2>/dev/null || true
  for attempt in {1..40}; do
    service_runs "$1" || break
    ((attempt < 40)) || in_world kill -KILL "$pid" 2>/dev/null || true
    sleep 0.05
  done
  rm -f "$state/run/$1.pid"
}

# wait_until SECONDS WHAT SERVICE CMD... : polls CMD; when the time is over or the service has ended, says what was
# awaited and shows the end of the service's log.
wait_until() {
  local seconds=$1 what=$2 service=$3 start=${EPOCHREALTIME/./} attempt
  shift 3
  for ((attempt = 1; ; attempt++)); do
    if "$@" >/dev/null 2>&1; then return; fi
    is_init "$init" || give_up "$what" "$service" "the world died"
    ((${EPOCHREALTIME/./} - start < seconds * 1000000)) || give_up "$what" "$service" "not there after $seconds s"
    # Not each time: it costs a process.
    ((attempt % 20)) || [[ ! -s $state/run/$service.pid ]] || service_runs "$service" || give_up "$what" "$service" "$service has ended"
    sleep 0.05
  done
}

give_up() {
  tail -n 20 "$state/log/$2.log" >&2 || true
  die "$1: $3 (above: the end of $2.log)"
}
