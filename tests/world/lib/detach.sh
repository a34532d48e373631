#!/usr/bin/env bash
# detach.sh PIDFILE CMD... : becomes CMD, with a clean environment and no open file of the caller but the standard ones.
# A world outlives whoever starts it: it must not hold a lock, a pipe that is read to its end, or a proxy setting.
set -euo pipefail
echo $$ >"$1"
shift
for fd in "/proc/$$/fd/"*; do
  fd=${fd##*/}
  if ((fd > 2)); then eval "exec $fd>&-"; fi
done
cd /
exec env -i PATH="$PATH" HOME=/root LANG=C.UTF-8 MAILDOMAIN_WORLD="$MAILDOMAIN_WORLD" "$@"
