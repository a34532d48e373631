# shellcheck shell=bash
# The world's Go programs. They come from the Go module proxy through one small module for each group (tools/),
# because `go install module@version` refuses modules that have replace lines, as Kubernetes has.

# group_module GROUP : the module whose version is the group's version.
group_module() {
  case $1 in
    kubernetes) echo k8s.io/kubernetes ;;
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    helm) echo helm.sh/helm/v4 ;;
    externaldns) echo sigs.k8s.io/external-dns ;;
    coredns) echo github.com/coredns/coredns ;;
  esac
}

# binary_package BINARY : its import path.
binary_package() {
  case $1 in
    kube* ) echo "k8s.io/kubernetes/cmd/$1" ;;
    etcd) echo go.etcd.io/etcd/server/v3 ;;
    helm) echo helm.sh/helm/v4/cmd/helm ;;
    external-dns) echo sigs.k8s.io/external-dns ;;
    coredns | pause) echo . ;;
  esac
}

# version_flags GROUP : linker flags that make `--version` tell the truth.
version_flags() {
  local version package
  version=v$(group_version "$1")
  case $1 in
    kubernetes)
      local minor=${version#v*.}
      for package in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
        printf ' -X %s.gitVersion=%s -X %s.gitMajor=1 -X %s.gitMinor=%s' "$package" "$version" "$package" "$package" "${minor%.*}"
      done
      ;;
    helm) printf ' -X helm.sh/helm/v4/internal/version.version=%s' "$version" ;;
    externaldns) printf ' -X sigs.k8s.io/external-dns/pkg/apis/externaldns.Version=%s' "$version" ;;
  esac
}

# check_go : a Go that is new enough, or one line.
check_go() {
  local found
  command -v go >/dev/null || die "Go is missing: install Go $GO_MINIMUM or newer and put it on PATH"
  found=$(GOTOOLCHAIN=local go env GOVERSION)
  printf '%s\n' "$GO_MINIMUM" "${found#go}" | sort --check=quiet --version-sort ||
    die "Go ${found#go} is too old: Go $GO_MINIMUM or newer is needed"
}

# check_pins : go.mod and versions.env must say the same.
check_pins() {
  local group module pinned
  for group in "${groups[@]}"; do
    module=$(group_module "$group")
    [[ -n $module ]] || continue
    pinned=$(awk -v module="$module" '$1 == module { print $2 } $1 == "require" && $2 == module { print $3 }' "$here/tools/$group/go.mod")
    [[ $pinned == "v$(group_version "$group")" ]] ||
      die "tools/$group/go.mod has $module ${pinned:-nowhere}, versions.env has v$(group_version "$group")"
  done
}

# inputs GROUP : a digest of what a build is made from; a change in it is a reason to build again.
inputs() {
  {
    go env GOARCH
    version_flags "$1"
    cat "$here/tools/$1"/*
  } | sha256sum | cut -d ' ' -f 1
}

group_is_built() {
  local dir
  dir=$(group_dir "$1")
  [[ -e $dir/inputs && $(<"$dir/inputs") == "$(inputs "$1")" ]]
}

# installed BINARY GROUP : the path of a copy in the pinned version that the machine has already, if any.
installed() {
  local candidate answer version
  version=$(group_version "$2")
  for candidate in "${KUBEBUILDER_ASSETS:+$KUBEBUILDER_ASSETS/$1}" "$(type -P "$1" || true)"; do
    [[ -n $candidate && -x $candidate ]] || continue
    case $1 in
      kubectl) answer=$("$candidate" version --client 2>/dev/null) || continue ;;
      helm) answer=$("$candidate" version --short 2>/dev/null) || continue ;;
      etcd | kube-apiserver) answer=$("$candidate" --version 2>/dev/null) || continue ;;
      *) continue ;;
    esac
    # The dots of the version must not match any character, nor 1.37.2 a 1.37.20.
    if [[ " $answer" =~ [\ v]${version//./\\.}([^0-9.]|$) ]]; then
      printf '%s\n' "$candidate"
      return
    fi
  done
}

# build_group GROUP : builds into a directory beside the place and moves it there, so that nobody sees half a group.
build_group() {
  local group=$1 dir temporary binary found start=$SECONDS packages=()
  dir=$(group_dir "$group")
  group_is_built "$group" && return
  temporary=$(mktemp -d "$cache/bin/.$group.XXXXXX")
  for binary in $(group_binaries "$group"); do
    found=$(installed "$binary" "$group")
    if [[ -n $found ]]; then
      cp "$found" "$temporary/$binary"
      say "$binary: using the one that is installed"
    else
      packages+=("$(binary_package "$binary")")
    fi
  done
  if ((${#packages[@]})); then
    # A package in the module's root is named by its last path element, so the output is given as a directory.
    (cd "$here/tools/$group" && GOWORK=off GOTOOLCHAIN=local CGO_ENABLED=0 nice \
      go build -trimpath -ldflags "-s -w$(version_flags "$group")" -o "$temporary/" "${packages[@]}") || return
  fi
  # go calls a package whose path ends in a major version after the element before it.
  if [[ $group == etcd && -e $temporary/server ]]; then mv "$temporary/server" "$temporary/etcd"; fi
  if [[ $group == externaldns ]]; then
    local module
    module=$(cd "$here/tools/$group" && GOWORK=off go list -m -f '{{.Dir}}' "$(group_module "$group")")
    install -m 0644 "$module/config/crd/standard/dnsendpoints.externaldns.k8s.io.yaml" "$temporary/"
  fi
  inputs "$group" >"$temporary/inputs"
  chmod 0755 "$temporary"
  rm -rf "$dir"
  mv "$temporary" "$dir"
  say "$group $(group_version "$group"): built in $((SECONDS - start)) s"
}

# build_binaries : all groups, the quick ones first. One after the other: a Go build uses every core by itself.
build_binaries() {
  local group
  for group in "${groups[@]}"; do build_group "$group" || die "building $group failed"; done
}
