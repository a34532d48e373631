# shellcheck shell=bash
# The runner's steps: each is timed, named when it fails, and counted. A step that runs test binaries counts what they count.

passed=0
failed=0
skipped=0
failures=()
logs=$(mktemp -d)

# step NAME CMD... : quiet while it passes; its whole output when it fails. Failing does not end the run.
step() {
  local name=$1 start=$SECONDS
  shift
  if in_group "$@" >"$logs/step" 2>&1; then
    passed=$((passed + 1))
    say "$name: passed ($((SECONDS - start)) s)"
  else
    cat "$logs/step" >&2
    fail_step "$name" "$start"
  fi
}

# in_group CMD... : runs it in a process group of its own and waits. A shell that waits for a job hears signals at once,
# one that waits for a command only after the command; and what a step leaves behind can be ended with it.
foreground_job=
in_group() {
  local status=0
  set -m
  "$@" </dev/null &
  foreground_job=$!
  set +m
  wait "$foreground_job" || status=$?
  foreground_job=
  return "$status"
}

fail_step() {
  failed=$((failed + 1))
  failures+=("$1")
  say "$1: FAILED ($((SECONDS - $2)) s)"
}

skip_step() {
  skipped=$((skipped + 1))
  say "$1: skipped: $2"
}

# tests_step NAME CMD... : a step that prints what it does as it goes, and whose `test result:` lines are added up.
tests_step() {
  local name=$1 start=$SECONDS status=0 counts
  shift
  in_group shown "$@" || status=$?
  counts=$(awk '/^test result: / { p += $4; f += $6; i += $8 } END { print p + 0, f + 0, i + 0 }' "$logs/tests")
  read -r p f i <<<"$counts"
  passed=$((passed + p))
  failed=$((failed + f))
  skipped=$((skipped + i))
  if ((f)); then
    failures+=("$name")
    say "$name: $p passed, $f FAILED ($((SECONDS - start)) s)"
  elif ((status || p == 0)); then
    # It did not compile, was ended by a signal, or had nothing to run.
    fail_step "$name" "$start"
  else
    say "$name: $p passed ($((SECONDS - start)) s)"
  fi
}

# shown CMD... : its output goes to the user as it comes, and into a file.
shown() { "$@" 2>&1 | tee "$logs/tests"; }

# background NAME CMD... : starts it in a process group of its own, so that all of it can be ended. It goes behind what
# is in the foreground: that is what the run waits for.
declare -A background_jobs=()
background() {
  local name=$1
  shift
  set -m
  {
    renice --priority 10 "$BASHPID" >/dev/null
    "$@"
  } >"$logs/$name" 2>&1 </dev/null &
  background_jobs[$name]=$!
  set +m
}

# await NAME : waits for it and counts its failure, once; says again how it ended whenever it is asked.
declare -A job_status=()
await() {
  local name=$1 start=$SECONDS
  if [[ -n ${background_jobs[$name]:-} ]]; then
    job_status[$name]=0
    wait "${background_jobs[$name]}" || job_status[$name]=$?
    unset "background_jobs[$name]"
    ((SECONDS - start < 2)) || say "waited $((SECONDS - start)) s for $name"
    if ((job_status[$name])); then
      cat "$logs/$name" >&2
      fail_step "$name" "$start"
    fi
  fi
  return "${job_status[$name]:-0}"
}

end_jobs() {
  local name
  [[ -z $foreground_job ]] || kill -- "-$foreground_job" 2>/dev/null || true
  for name in "${!background_jobs[@]}"; do kill -- "-${background_jobs[$name]}" 2>/dev/null || true; done
  for name in "${!background_jobs[@]}"; do wait "${background_jobs[$name]}" 2>/dev/null || true; done
  background_jobs=()
}

# summary : the last line, which CI reads; fails when something failed.
summary() {
  local name
  rm -rf "$logs"
  for name in "${failures[@]}"; do say "failed: $name"; done
  say "done in $((SECONDS / 60)) min $((SECONDS % 60)) s"
  if ((skipped)); then
    echo "$passed passed, $failed failed, $skipped skipped"
  else
    echo "$passed passed, $failed failed"
  fi
  ((failed == 0 && passed > 0))
}
