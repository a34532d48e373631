# From rspamd's reply to the words of RFC 8601. The first symbol of a list that is there decides, so the worst comes first:
# one bad signature makes dkim fail, although another one passes.
def first_of(pairs): (.symbols // {}) as $there | [pairs[] | select($there[.[0]]) | .[1]] | first // "none";
def signed(symbol; word): [(.symbols // {})[symbol].options // [] | .[] | {(.): word}] | add // {};
if .error then error("rspamd: \(.error)") else . end |
{
  spf: first_of([["R_SPF_PERMFAIL", "permerror"], ["R_SPF_DNSFAIL", "temperror"], ["R_SPF_FAIL", "fail"], ["R_SPF_SOFTFAIL", "softfail"],
    ["R_SPF_NEUTRAL", "neutral"], ["R_SPF_PLUSALL", "pass"], ["R_SPF_ALLOW", "pass"]]),
  dkim: first_of([["R_DKIM_REJECT", "fail"], ["R_DKIM_PERMFAIL", "permerror"], ["R_DKIM_TEMPFAIL", "temperror"], ["R_DKIM_ALLOW", "pass"]]),
  dmarc: first_of([["DMARC_BAD_POLICY", "permerror"], ["DMARC_DNSFAIL", "temperror"], ["DMARC_POLICY_REJECT", "fail"],
    ["DMARC_POLICY_QUARANTINE", "fail"], ["DMARC_POLICY_SOFTFAIL", "fail"], ["DMARC_POLICY_ALLOW", "pass"],
    ["DMARC_POLICY_ALLOW_WITH_FAILURES", "pass"]]),
  # What is asked for a message that fails. It is told of one that fails only.
  policy: first_of([["DMARC_BAD_POLICY", "permerror"], ["DMARC_DNSFAIL", "temperror"], ["DMARC_POLICY_REJECT", "reject"],
    ["DMARC_POLICY_QUARANTINE", "quarantine"], ["DMARC_POLICY_SOFTFAIL", "none"], ["DMARC_NA", "absent"]]),
  signatures: (signed("R_DKIM_ALLOW"; "pass") + signed("R_DKIM_REJECT"; "fail") + signed("R_DKIM_PERMFAIL"; "permerror")
    + signed("R_DKIM_TEMPFAIL"; "temperror")),
  symbols: ((.symbols // {}) | keys)
}
