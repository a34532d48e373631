# shellcheck shell=bash
# Ending the world, and looking for what is left of it.

# One start or end at a time on this machine. The lock is on the directory above the state, so that no file is left.
lock_machine() {
  mkdir -p "$(dirname "$state")"
  exec 8<"$(dirname "$state")"
  flock --nonblock 8 || die "another 'world up' or 'world down' is at work"
}

down() {
  lock_machine
  take_down
  leaks || die "something is left (above)"
}

# take_down : works for a world that is whole, half made, dead or not there.
take_down() {
  local pid
  for pid in $(visitors); do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in $(world_processes); do kill -KILL "$pid" 2>/dev/null || true; done
  for pid in {1..100}; do
    [[ -n $(world_processes) ]] || break
    sleep 0.05
  done
  for pid in $(visitors); do kill -KILL "$pid" 2>/dev/null || true; done
  remove_cgroups
  remove_state
}

clean_up_after_crash() {
  [[ ! -e $state ]] || {
    [[ -e $state/made-kubelet-directory ]] || die "$state exists and is not a world's: remove it or set MAILDOMAIN_WORLD_STATE"
    say "cleaning up after a world that died"
  }
  take_down
}

# world_processes : those of the world itself, by the mark in their environment. Pods lack it, but die with their init.
world_processes() {
  local file
  grep -lszxF "MAILDOMAIN_WORLD=$state" /proc/[0-9]*/environ |
    while read -r file; do
      file=${file#/proc/}
      echo "${file%/environ}"
    done
}

# visitors : processes that `world run` brought into the network, but not this one nor those it came from.
# They carry a mark too: the number of a network is given to others after its end.
visitors() {
  local network process pid ancestors=" " parent=$$
  network=$(cat "$state/network" 2>/dev/null) || return 0
  while ((parent > 1)); do
    ancestors+="$parent "
    parent=$(awk '$1 == "PPid:" { print $2 }' "/proc/$parent/status")
  done
  for process in /proc/[0-9]*; do
    pid=${process#/proc/}
    [[ $(readlink "$process/ns/net" 2>/dev/null) == "$network" && $ancestors != *" $pid "* ]] || continue
    grep -qszxF "MAILDOMAIN_WORLD_VISITOR=$state" "$process/environ" && echo "$pid"
  done
  return 0
}

kubepods() { find /sys/fs/cgroup -maxdepth 2 -type d -name kubepods 2>/dev/null; }

# remove_cgroups : only empty ones go (rmdir); a dying process keeps its own for a moment.
remove_cgroups() {
  local attempt dir
  for attempt in {1..40}; do
    dir=$(kubepods)
    [[ -n $dir ]] || return 0
    # shellcheck disable=SC2086 # several directories
    find $dir -depth -type d -exec rmdir {} + 2>/dev/null || true
    sleep 0.05
  done
}

remove_state() {
  [[ -e $state/made-kubelet-directory ]] || return 0
  if [[ $(<"$state/made-kubelet-directory") == yes ]]; then rmdir /var/lib/kubelet 2>/dev/null || true; fi
  rm -rf --one-file-system "$state"
}

# leaks : says what is left of a world, and fails if something is.
leaks() {
  local found=() pid line
  for pid in $(world_processes) $(visitors); do found+=("process $pid: $(tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null)"); done
  while read -r line; do found+=("mount: $line"); done < <(awk -v state="$state" 'index($0, state) { print $2 }' /proc/mounts)
  while read -r line; do found+=("cgroup: $line"); done < <(kubepods)
  if [[ -e $state ]]; then found+=("directory: $state"); fi
  ((${#found[@]})) || return 0
  printf '%s\n' "${found[@]}"
  return 1
}
