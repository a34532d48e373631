#!/usr/bin/env bash
# init.sh STATE : process 1 of the world's namespaces. Prepares them, then only collects dead children.
set -euo pipefail
state=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
source "$here/lib/addresses.sh"
source "$here/lib/network.sh"

# What programs write to fixed places goes to places of our own.
mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/lock
mount -t tmpfs tmpfs /var/log
mount --bind "$state/kubelet" /var/lib/kubelet
# kubelet writes these sysctls, which are the whole machine's: plain files take their place.
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
  [[ -e /proc/sys/$name ]] || continue
  cat "/proc/sys/$name" >"$state/sysctl/${name//\//_}"
  mount --bind "$state/sysctl/${name//\//_}" "/proc/sys/$name"
done
# Mounts that kubelet makes must reach containerd's containers.
mount --make-rshared /
hostname "$node_name"
create_network
touch "$state/namespaces-are-ready"

# One child that never ends makes `wait` block; bash reaps adopted children by itself.
sleep infinity &
while :; do wait -n || true; done
