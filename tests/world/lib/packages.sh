# shellcheck shell=bash
# The Debian packages of the world and of the judges that the tests run in it.

debian_packages=(
  # the node
  containerd runc containernetworking-plugins nftables iproute2 procps openssl util-linux
  # the internet
  pdns-server pdns-backend-sqlite3 sqlite3 knot knot-dnsutils bind9 bind9-utils nsd unbound dnsutils
  # the judges of mail
  rspamd opendkim opendkim-tools python3 python3-dkim python3-spf python3-authheaders python3-venv
  # what the scripts and the image of the operator need
  musl-tools jq curl ca-certificates python3-yaml shellcheck bsdextrautils
)

missing_packages() {
  local package
  for package in "${debian_packages[@]}"; do
    [[ $(dpkg-query --show --showformat='${db:Status-Abbrev}' "$package" 2>/dev/null) == ii* ]] || echo "$package"
  done
}

# install_packages : installs what is missing, without starting one of the daemons that come along.
install_packages() {
  local missing start=$SECONDS
  command -v dpkg-query >/dev/null || die "this is not Debian: provide ${debian_packages[*]} yourself"
  mapfile -t missing < <(missing_packages)
  ((${#missing[@]})) || return 0
  [[ $(id -u) == 0 ]] || die "not root and these Debian packages are missing: ${missing[*]}"
  say "installing ${#missing[@]} Debian packages"
  export DEBIAN_FRONTEND=noninteractive
  forbid_daemons
  if ! { apt-get -q update && apt-get -q install --yes --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"; } \
    >"$cache/packages.log" 2>&1 </dev/null; then
    tail -n 20 "$cache/packages.log" >&2
    die "installing Debian packages failed (whole log: $cache/packages.log)"
  fi
  allow_daemons
  say "Debian packages installed in $((SECONDS - start)) s"
}

# dpkg asks /usr/sbin/policy-rc.d whether a daemon may start; 101 means no. A machine's own answer comes back afterwards.
policy=/usr/sbin/policy-rc.d

forbid_daemons() {
  [[ ! -e $policy && ! -L $policy || -e $policy.maildomain ]] || mv "$policy" "$policy.maildomain"
  printf '#!/bin/sh\n# maildomain tests/world/build: remove me if no build runs\nexit 101\n' >"$policy"
  chmod 0755 "$policy"
}

allow_daemons() {
  if grep -qs 'maildomain tests/world/build' "$policy"; then rm -f "$policy"; fi
  if [[ -e $policy.maildomain ]]; then mv "$policy.maildomain" "$policy"; fi
}
