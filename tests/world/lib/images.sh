# shellcheck shell=bash
# The images that the cluster itself needs. No registry is asked: they are made from our binaries.

pause_image=maildomain.test/pause:$PAUSE_VERSION
coredns_image=maildomain.test/coredns:$COREDNS_VERSION

build_images() {
  build_image pause "$pause_image"
  build_image coredns "$coredns_image"
}

# build_image GROUP NAME : the archive is made again when the binary or mkimage is newer.
build_image() {
  local archive binary
  archive=$cache/images/$1-$(group_version "$1").tar
  binary=$(group_dir "$1")/$1
  [[ $archive -nt $binary && $archive -nt $here/mkimage ]] && return
  "$here/mkimage" "$archive" "$2" "/$1" "$binary:/$1"
  say "image $2: made"
}
