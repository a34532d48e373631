# shellcheck shell=bash
# The checks that run nothing of the operator.

lint_code() {
  step "rustfmt (make fmt mends it)" cargo fmt -- --check --files-with-diff
  step clippy cargo clippy --quiet "${features[@]}" --all-targets -- -D warnings
}

# lint_rest : what needs tools that were built meanwhile.
lint_rest() {
  if command -v shellcheck >/dev/null; then
    step shellcheck shell_scripts_are_clean
  else
    skip_step shellcheck "it is not installed"
  fi
  if await world-tools; then
    step "helm lint" charts_are_clean
    step "generated files" tests/generate/run --check
  fi
  if await cargo-deny; then
    step "cargo deny: bans, licenses, sources" cargo_deny bans licenses sources
    check_advisories
  fi
}

# shell_scripts_are_clean : every shell script that git knows or would know.
shell_scripts_are_clean() {
  local file files=()
  while read -r file; do
    case $(head -n 1 "$file" 2>/dev/null) in '#!'*bash | '#!/bin/sh' | '# shellcheck shell='*) files+=("$file") ;; esac
  done < <(git ls-files --cached --others --exclude-standard -- tests .ci)
  shellcheck --external-sources "${files[@]}"
}

charts_are_clean() {
  helm lint --strict charts/maildomain && helm lint --strict charts/maildomain --values tests/lib/every-value.yaml
}

deny_dir=$cache/bin/cargo-deny-$CARGO_DENY_VERSION

install_cargo_deny() {
  [[ -x $deny_dir/bin/cargo-deny ]] || (
    # Not into the checkout's target directory: it is another program.
    unset CARGO_TARGET_DIR
    cargo install --quiet --locked --version "$CARGO_DENY_VERSION" --root "$deny_dir.new" cargo-deny &&
      mv "$deny_dir.new" "$deny_dir"
  )
}

cargo_deny() { "$deny_dir/bin/cargo-deny" --all-features check --hide-inclusion-graph "$@"; }

# check_advisories : the database comes from the network. Without it there is nothing to say about the code.
check_advisories() {
  local status=0
  timeout 120 "$deny_dir/bin/cargo-deny" fetch db >"$logs/advisories" 2>&1 </dev/null || status=$?
  if ((status)); then
    skip_step "cargo deny: advisories" "the advisory database cannot be reached from here"
  else
    step "cargo deny: advisories" cargo_deny advisories
  fi
}
