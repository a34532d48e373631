# shellcheck shell=bash
# What a person sees. Standard output belongs to the commands' results, so all of this goes to standard error.

# say WHAT... : one line of progress, with the seconds since the program started.
say() {
  printf '%s: [%3ds] %s\n' "${program:-world}" "$SECONDS" "$*" >&2
}

# die WHY... : one line, then the end.
die() {
  printf '%s: %s\n' "${program:-world}" "$*" >&2
  exit 1
}
