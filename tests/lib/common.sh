# shellcheck shell=bash
# What every script in tests/ starts from: where things are, how they speak, the one-line refusals.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
program=${program:-$(basename "$0")}
# Read by the parts of the world, whose place this is.
# shellcheck disable=SC2034
here=$root/tests/world
# shellcheck source=tests/world/lib/output.sh
source "$root/tests/world/lib/output.sh"
# shellcheck source=tests/world/lib/paths.sh
source "$root/tests/world/lib/paths.sh"
# Programs that stay behind read PATH too, so it is set once, here.
PATH=$(world_path)
export PATH

world=$root/tests/world/world
target_dir=${CARGO_TARGET_DIR:-$root/target}
cd "$root" || exit

require_root() {
  [[ $(id -u) == 0 ]] || die "needs root: the world is made of namespaces of this machine"
}

# require_no_world : a world that somebody else uses is not ours to end.
require_no_world() {
  if "$world" env >/dev/null 2>&1; then die "a world is up on this machine: end it first (make down)"; fi
}

# enter_world : the variables of the running world, in this shell. WORLD is a prefix of words: it is used unquoted.
enter_world() {
  local lines
  lines=$("$world" env)
  eval "$lines"
}

# wait_for SECONDS WHAT CMD... : polls CMD; after the deadline says what was awaited.
wait_for() {
  local seconds=$1 what=$2 deadline
  shift 2
  deadline=$((SECONDS + seconds))
  until "$@" >/dev/null 2>&1; do
    ((SECONDS < deadline)) || die "$what: not there after $seconds s"
    sleep 0.2
  done
}
