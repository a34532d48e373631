# shellcheck shell=bash
# Where things are: the source of the world, the cache of what was built, the state of what runs.

here=${here:?the directory tests/world, set by whoever sources this}
# shellcheck source=/dev/null
source "$here/versions.env"

cache=${MAILDOMAIN_CACHE:-${XDG_CACHE_HOME:-${HOME:?}/.cache}/maildomain}
# One world for each machine: the kubelet's cgroups have a fixed name, so a second world could not run anyway.
state=${MAILDOMAIN_WORLD_STATE:-/var/lib/maildomain-world}

# The groups are the directories of tools/; each is built as a whole.
groups=(pause etcd coredns externaldns helm kubernetes)

# group_version GROUP : the version that versions.env pins.
group_version() {
  local name=${1^^}_VERSION
  printf '%s\n' "${!name:?versions.env does not pin it}"
}

# group_dir GROUP : where the binaries of a group are.
group_dir() {
  printf '%s/bin/%s-%s\n' "$cache" "$1" "$(group_version "$1")"
}

# group_binaries GROUP : the programs of a group.
group_binaries() {
  case $1 in
    kubernetes) echo kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl ;;
    externaldns) echo external-dns ;;
    *) echo "$1" ;;
  esac
}

# world_path : the PATH in which our pinned programs come first.
world_path() {
  local group path=
  for group in "${groups[@]}"; do path+=$(group_dir "$group"):; done
  # Debian keeps the daemons in sbin, which is not on everybody's PATH.
  printf '%s%s:/usr/local/sbin:/usr/sbin:/sbin\n' "$path" "$PATH"
}
