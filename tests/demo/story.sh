# shellcheck shell=bash
# The chapters of the demo. Every wait is for a condition and has a deadline.

build_everything() {
  chapter "Tools and image: Kubernetes, name servers, judges, the operator (the first time this takes a quarter of an hour)"
  tests/world/build
  archive=$(tests/image)
}

start_world() {
  chapter "A world: a Kubernetes node, a signed internet, empty zones ${zones[*]}"
  # Before, not after: a start that is interrupted half way is ours to end too.
  world_is_ours=true
  "$world" up "${zones[@]}" >/dev/null
  enter_world
}

install_operator() {
  chapter "The operator: helm install charts/maildomain, two replicas, restricted pods"
  tests/operator install "$archive" "${zones[@]}"
  shows kubectl get pods --namespace maildomain-system
  shows kubectl get clusterdnsproviders
}

declare_domain() {
  local start=$SECONDS
  chapter "One domain: tests/demo/corp.yaml"
  shows kubectl apply --filename tests/demo/corp.yaml
  shows kubectl wait --for=condition=Ready mdom/corp --timeout=120s
  shows kubectl wait --for=condition=Verified mdom/corp --timeout=60s
  shows kubectl wait --for=condition=Ready dkimsigner/mta --timeout=60s
  printf '\n  Ready, Verified and handed to the MTA %d s after it was declared.\n' "$((SECONDS - start))"
}

show_object() {
  chapter "What the object says"
  shows kubectl get mdom
  shows kubectl get mdom --output wide
  shows kubectl get dkimsigner,secret
  printf '\n  The conditions, one a line:\n'
  kubectl get mdom corp --output json | jq --raw-output '.status.conditions[] | [.type, .status, .reason, .message] | @tsv' |
    column --table --separator $'\t' | sed 's/^/    /'
  printf '\n  $ kubectl describe mdom corp   (findings, keys, events)\n'
  kubectl describe mdom corp | sed -n '/^  Findings:/,/^  Observed Generation:/ { /Observed Generation/d; p }; /^Events:/,$p' | sed 's/^/  /'
}

show_records() {
  chapter "Every record, as dig sees it at the primary, at the secondary and through a validating resolver"
  kubectl get mdom corp --output json | jq --raw-output '.status.records[] | [.name, .type, .purpose] | @tsv' >"$work/records"
  wait_for 15 "the same answer from every server" tests/demo/records "$work/records"
  tests/demo/records "$work/records" | sed 's/^/  /'
}

# The message that everybody signs and judges. Sent as declared: from the address, with the HELO name and the Return-Path.
message() {
  cat <<MAIL
From: News <news@corp.example>
To: reader@elsewhere.example
Subject: A message from the demo
Date: $(LC_ALL=C date --rfc-email)
Message-ID: <$EPOCHREALTIME@corp.example>

Was this sent by corp.example? Judge for yourself.
MAIL
}

judge_mail() {
  local address family
  chapter "A message, signed by OpenDKIM (RSA) and dkimpy (Ed25519) with the keys that the operator handed out, and judged by strangers"
  sign_message
  tests/judges/rspamd up
  for address in 203.0.113.4 2001:db8::4; do
    printf '  sent from %s\n\n' "$address"
    # Fails unless SPF, DKIM, DMARC and the reverse lookup pass and the judges agree.
    $WORLD tests/judges/verdict --table --ip "$address" --helo mail.corp.example --from news@corp.example \
      --return-path bounce@bounce.corp.example <"$work/signed" | sed 's/^/  /'
    echo
  done
}

sign_message() {
  local selector address
  tests/judges/opendkim-image "$work/opendkim.tar"
  "$world" image load "$work/opendkim.tar" >/dev/null
  sed 's/THE-NAMESPACE/default/; s/THE-SECRET/mta-dkim/' tests/judges/opendkim.yaml | kubectl apply --filename - >/dev/null
  shows kubectl wait --for=condition=Ready pod/judge-opendkim --timeout=60s
  address=$(kubectl get pod judge-opendkim --output 'jsonpath={.status.podIP}')
  message | $WORLD tests/judges/milter-sign "$address" 8891 >"$work/signed-once"
  selector=$(selector_of ed25519)
  kubectl get secret mta-dkim --output json |
    jq --raw-output --arg file "corp.example.$selector.pem" '.data[$file] | @base64d' >"$work/ed25519.pem"
  tests/judges/dkim-sign --ed25519 --selector "$selector" --domain corp.example --key "$work/ed25519.pem" \
    <"$work/signed-once" >"$work/signed"
  rm "$work/ed25519.pem"
  printf '\n'
  grep --no-group-separator --after-context=1 '^DKIM-Signature:' "$work/signed" | tr -d '\r' | cut -c 1-110 | sed 's/^/  /'
  printf '\n'
}

# selector_of KEY : the selector that stands for a key of the sender `mta`.
selector_of() {
  kubectl get mdom corp --output json | jq --raw-output --arg key "$1" '.status.keys[] | select(.key == $key) | .selector'
}

damage_and_mend() {
  chapter "Damage by hand, at the DNS server, behind the operator's back"
  damage "somebody replaces the SPF record of the bounce domain" bounce.corp.example TXT '"v=spf1 -all"'
  damage "somebody deletes the RSA key" "$(selector_of rsa)._domainkey.corp.example" TXT
  shows kubectl events --for mdom/corp
}

# damage WHAT NAME TYPE [VALUE] : changes the RRset through the server's API (no value: deletes it), waits until the object
# names it, then until the name servers answer as declared again.
damage() {
  local what=$1 name=$2 type=$3 before start
  before=$(answers "$DNS_SERVER" "$name" "$type")
  printf '  %s: %s %s\n' "$what" "$name" "$type"
  # What is seen for a moment only must not be missed: everything that the object says from now on is kept.
  $WORLD kubectl get mdom corp --watch --output json >"$work/watch" &
  watcher=$!
  start=${EPOCHREALTIME/./}
  change_by_hand "$name" "$type" "${4:-}"
  wait_for 60 "the object to name $name" named "$name" "$type"
  named "$name" "$type" | sed 's/^/    /'
  printf '    named after %s s\n' "$(seconds_since "$start")"
  wait_for 60 "$name to be mended" mended "$name" "$type" "$before"
  kubectl wait --for=condition=Verified mdom/corp --timeout=60s >/dev/null
  kubectl wait --for=condition=Ready mdom/corp --timeout=60s >/dev/null
  kill "$watcher"
  wait "$watcher" 2>/dev/null || true
  printf '    mended, and seen to be: Verified and Ready again %s s after the damage\n\n' "$(seconds_since "$start")"
}

seconds_since() { printf '%d.%d' $(((${EPOCHREALTIME/./} - $1) / 1000000)) $(((${EPOCHREALTIME/./} - $1) / 100000 % 10)); }

change_by_hand() {
  local change
  change=$(jq --null-input --arg name "$1." --arg type "$2" --arg value "$3" '{rrsets: [{name: $name, type: $type, ttl: 60} +
    if $value == "" then {changetype: "DELETE"} else {changetype: "REPLACE", records: [{content: $value, disabled: false}]} end]}')
  curl --silent --show-error --fail-with-body --request PATCH --header "X-API-Key: $PDNS_API_KEY" --data "$change" \
    "$PDNS_API/api/v1/servers/localhost/zones/corp.example." >/dev/null
}

# named NAME TYPE : the first state of the object whose row for the record says Drift, in words: the row, and the
# conditions that do not hold.
named() {
  jq --raw-output --null-input --arg name "$1" --arg type "$2" '
    first(inputs.status | (.records[] | select(.name == $name and .type == $type and .reason == "Drift")) as $row
      | ["the record: \($row.name) \($row.type) (\($row.purpose)): \($row.reason // ""): \($row.message // "")"]
        + [.conditions[] | select(.status != "True" and .type != "Deliverable") | "\(.type) is \(.status), \(.reason): \(.message)"] | join("\n"))' \
    "$work/watch" 2>/dev/null | grep .
}

# answers SERVER NAME TYPE : sorted, because servers give them in any order.
answers() { dig +short "@$1" "$2" "$3" | sort; }

mended() {
  local server
  for server in "$DNS_SERVER" "$DNS_SECONDARY"; do
    [[ $(answers "$server" "$1" "$2") == "$3" ]] || return
  done
}

take_down() {
  chapter "The end: the object is deleted, its policy says Delete"
  shows kubectl delete mdom corp --timeout=60s
  wait_for 60 "the records to be withdrawn" only_keys_are_left
  printf '\n  What the zones hold now:\n'
  zone_contents | sed 's/^/    /'
  shows kubectl get secrets
  kubectl delete --filename tests/demo/corp.yaml --ignore-not-found >/dev/null
  "$world" down
  world_is_ours=false
  "$world" leaks
  printf '\n  No process, mount, cgroup or directory of the world is left.\n\n'
  printf 'done in %d s\n' "$SECONDS"
}

# zone_contents : all that the provider holds, without what it makes itself for DNSSEC.
zone_contents() {
  local zone
  for zone in "${zones[@]}"; do
    curl --silent --show-error --fail --header "X-API-Key: $PDNS_API_KEY" "$PDNS_API/api/v1/servers/localhost/zones/$zone." |
      jq --raw-output '.rrsets[] | "\(.name) \(.type) \(.records[0].content[:60])"'
  done
}

# Mail in flight is still verified with the keys, so they stay for some days, and with them the text that says whose they are.
only_keys_are_left() { ! zone_contents | grep --invert-match --extended-regexp ' (SOA|NS) |\._domainkey\.|^_maildomain\.'; }

what_the_operator_says() {
  [[ -n ${WORLD:-} ]] || return 0
  kubectl get mdom,dkimsigners,clusterdnsproviders --all-namespaces
  kubectl get mdom corp --output json | jq --raw-output '.status | .conditions[]?, .findings[]? | "\(.type // .id) \(.status // .severity) \(.message)"'
  kubectl --namespace maildomain-system logs --selector app.kubernetes.io/name=maildomain --tail 20 --prefix
}

# Programs of the world's network, from here on without the prefix.
kubectl() { $WORLD kubectl "$@"; }
dig() { $WORLD dig +time=2 +tries=1 "$@"; }
curl() { $WORLD curl "$@"; }
