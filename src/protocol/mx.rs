//! MX (RFC 5321 section 5.1) of the From domain and of the envelope domains: bounces must arrive somewhere.
//!
//! Nothing here holds Ready: mail without MX authenticates, it only cannot be answered.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::hosts::{addresses, cannot_look};
use super::{Check, Declaration, Evidence, Protocol, Purpose, Wanted};
use crate::api::{HostPurpose, Severity};
use crate::finding::{Finding, Gate};
use crate::intent::{Intent, Mx, ReturnPath};
use crate::lookup::{Facts, Failure};
use crate::name::Name;
use crate::record::{RecordType, Value, Values};

/// MX.
pub const PROTOCOL: Protocol = Protocol {
    name: "MX",
    desired,
    checks: &[PRESENT, TARGET_FORM, TARGET_RESOLVES, NULL_MISUSE],
};

const PRESENT: Check = Check {
    id: "mx-present",
    title: "Bounces have somewhere to go",
    source: "RFC 5321 section 5.1",
    gate: Gate::Deliverable,
    run: present,
};

const TARGET_FORM: Check = Check {
    id: "mx-target-form",
    title: "MX names a host, not an alias or an address",
    source: "RFC 5321 section 5.1, RFC 2181 section 10.3",
    gate: Gate::Deliverable,
    run: target_form,
};

const TARGET_RESOLVES: Check = Check {
    id: "mx-target-resolves",
    title: "MX hosts have addresses",
    source: "RFC 5321 section 5.1",
    gate: Gate::Deliverable,
    run: target_resolves,
};

const NULL_MISUSE: Check = Check {
    id: "mx-null-misuse",
    title: "No null MX at a domain that sends",
    source: "RFC 7505 section 3",
    gate: Gate::Deliverable,
    run: null_misuse,
};

fn desired(declaration: &Declaration<'_>) -> Vec<Wanted> {
    let intent = declaration.intent;
    let receiving = intent.receiving.iter().map(|mx| (&intent.domain, mx));
    let envelopes = intent
        .senders
        .iter()
        .filter_map(|sender| match &sender.return_path {
            ReturnPath::Domain { name, mx } if intent.owns(name) => Some((name, mx)),
            ReturnPath::Domain { .. } | ReturnPath::Alias { .. } | ReturnPath::Vendor => None,
        });
    // Senders that share an envelope domain share its RRset.
    let mut wanted: BTreeMap<&Name, Values> = BTreeMap::new();
    for (name, mx) in receiving.chain(envelopes) {
        wanted.entry(name).or_default().extend(mx.iter().map(value));
    }
    wanted
        .into_iter()
        .filter_map(|(name, values)| Wanted::exclusive(name.clone(), Purpose::Mx, values))
        .collect()
}

fn value(mx: &Mx) -> Value {
    Value::Mx {
        preference: mx.preference,
        exchange: Some(mx.host.clone()),
    }
}

/// The domains that mail is sent from, in the header or in the envelope. A domain without senders may do without MX.
fn sending_domains(intent: &Intent) -> BTreeSet<&Name> {
    if intent.senders.is_empty() {
        return BTreeSet::new();
    }
    let envelopes = intent.senders.iter().filter_map(|s| s.return_path.domain());
    envelopes.chain([&intent.domain]).collect()
}

/// The exchanges of a domain (`None` is the null MX), or why they are not known.
type Exchanges = Result<Vec<Option<Name>>, Failure>;

/// The exchanges of each sending domain.
fn exchanges<'a>(evidence: &Evidence<'a>) -> Vec<(&'a Name, Exchanges)> {
    let facts = evidence.facts;
    sending_domains(evidence.declaration.intent)
        .into_iter()
        .map(|domain| {
            let values = facts.ask(domain, RecordType::Mx).values();
            let exchanges = values.map(|values| {
                let exchanges = values.into_iter().filter_map(|value| match value {
                    Value::Mx { exchange, .. } => Some(exchange),
                    Value::A(_) | Value::Aaaa(_) | Value::Cname(_) | Value::Ptr(_) | Value::Txt(_) => None,
                });
                exchanges.collect()
            });
            (domain, exchanges)
        })
        .collect()
}

fn present(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let mut findings = Vec::new();
    for (domain, exchanges) in exchanges(evidence) {
        let line = format!("{domain}. MX 10 {}.", suggestion(intent));
        let addresses = match exchanges {
            Ok(exchanges) if !exchanges.is_empty() => continue,
            Ok(_) => addresses(evidence.facts, domain),
            Err(failure) => Err(failure),
        };
        let (severity, message) = match addresses {
            Err(failure) => (Severity::Unknown, cannot_look(domain, failure)),
            Ok(found) if found.is_empty() => (
                Severity::Fail,
                format!(
                    "{domain} has neither MX nor an address, so bounces are lost and some receivers refuse its mail. \
                     Add `{line}`."
                ),
            ),
            Ok(_) => (
                Severity::Warn,
                format!(
                    "{domain} has an address but no MX: bounces go to that address, which seldom speaks SMTP. Add `{line}`."
                ),
            ),
        };
        findings.push(PRESENT.finding(severity, domain, message));
    }
    findings
}

/// A host that could receive.
fn suggestion(intent: &Intent) -> String {
    let declared = intent.receiving.iter().flatten().map(|mx| &mx.host);
    let mail = intent
        .hosts
        .iter()
        .filter(|host| host.purpose == HostPurpose::Mail);
    declared
        .chain(mail.map(|host| &host.name))
        .next()
        .map_or_else(|| format!("mail.{}", intent.domain), Name::to_string)
}

fn target_form(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (domain, exchanges) in exchanges(evidence) {
        for exchange in exchanges.into_iter().flatten().flatten() {
            let (severity, what, better) = match form(evidence.facts, &exchange) {
                Ok(None) => continue,
                Ok(Some((what, better))) => (Severity::Fail, what, better),
                Err(failure) => {
                    let message = cannot_look(&exchange, failure);
                    findings.push(TARGET_FORM.finding(Severity::Unknown, domain, message));
                    continue;
                }
            };
            let message = format!(
                "MX of {domain} names {exchange}, which is {what}; many servers do not deliver there. Name {better} \
                 (RFC 5321 section 5.1)."
            );
            findings.push(TARGET_FORM.finding(severity, domain, message));
        }
    }
    findings
}

/// What is wrong with the exchange and what to name in its place.
fn form(facts: &Facts, exchange: &Name) -> Result<Option<(&'static str, String)>, Failure> {
    const HOST: &str = "a host that has addresses of its own";
    if exchange.as_str().parse::<IpAddr>().is_ok() {
        return Ok(Some(("an address", HOST.to_owned())));
    }
    if Name::parse_host(exchange.as_str()).is_err() {
        return Ok(Some(("no host name", HOST.to_owned())));
    }
    let aliases = facts.ask(exchange, RecordType::Cname).values()?;
    Ok(aliases
        .first()
        .map(|target| ("an alias", format!("its target `{target}`"))))
}

fn target_resolves(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (domain, exchanges) in exchanges(evidence) {
        let targets: Vec<Name> = exchanges.into_iter().flatten().flatten().collect();
        let judged: Vec<_> = targets
            .iter()
            .map(|target| (target, addresses(evidence.facts, target)))
            .collect();
        let some = judged
            .iter()
            .any(|(_, found)| found.as_ref().is_ok_and(|found| !found.is_empty()));
        let unknown = judged.iter().any(|(_, found)| found.is_err());
        for (target, found) in &judged {
            let (severity, message) = match found {
                Err(failure) => (Severity::Unknown, cannot_look(target, *failure)),
                Ok(found) if !found.is_empty() => continue,
                Ok(_) => {
                    // Another that could not be asked may still take the mail.
                    let last = !some && !unknown;
                    let severity = if last { Severity::Fail } else { Severity::Warn };
                    let message = format!(
                        "MX of {domain} names {target}, which has no address. Publish its A or AAAA record, or name a \
                         host that has one."
                    );
                    (severity, message)
                }
            };
            findings.push(TARGET_RESOLVES.finding(severity, domain, message));
        }
    }
    findings
}

fn null_misuse(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let mut findings = Vec::new();
    for (domain, exchanges) in exchanges(evidence) {
        let exchanges = exchanges.unwrap_or_default();
        if !exchanges.contains(&None) {
            continue;
        }
        let message = if exchanges.len() > 1 {
            format!(
                "{domain} has `MX 0 .` beside other MX, which contradicts itself. Remove `{domain}. MX 0 .`."
            )
        } else {
            format!(
                "{domain} says with `MX 0 .` that it takes no mail, yet mail is sent from it; receivers may refuse that \
                 (550 5.7.27). Replace it by `{domain}. MX 10 {}.`",
                suggestion(intent)
            )
        };
        findings.push(NULL_MISUSE.finding(Severity::Fail, domain, message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::dmarc::scene::Scene;
    use super::*;

    const WORLD: &str = "example.com MX 10 mail.example.com
        example.com A 198.41.0.10
        bounce.example.com MX 10 mail.example.com
        bounce.example.com MX 20 mx.vendor.net
        mail.example.com A 198.41.0.4
        mx.vendor.net AAAA 2a00::4";

    fn spec() -> Scene {
        let mx = json!([{ "host": "mail.example.com", "preference": 10 }]);
        Scene::of("example.com")
            .with("receiving", json!({ "mx": mx }))
            .with(
                "senders",
                json!([
                    { "name": "a", "returnPath": { "domain": "bounce.example.com", "mx": mx } },
                    { "name": "b", "returnPath": { "domain": "bounce.example.com",
                      "mx": [{ "host": "mx.vendor.net", "preference": 20 }] } },
                    { "name": "c", "returnPath": { "domain": "bounce.other.net", "mx": mx } },
                    { "name": "d", "returnPath": { "vendor": true } }
                ]),
            )
            .zone("bounce.other.net MX 10 mx.vendor.net")
    }

    fn after(from: &str, to: &str) -> Vec<String> {
        assert!(WORLD.contains(from), "{from}");
        spec()
            .zone(&WORLD.replacen(from, to, 1))
            .findings(PROTOCOL.checks)
    }

    #[test]
    fn mx_is_wanted_at_the_domain_and_at_our_envelope_domains() {
        let wanted: Vec<String> = spec().declared(|declaration| {
            desired(declaration)
                .iter()
                .map(|w| format!("{} {}", w.key, super::super::hosts::list(&w.values)))
                .collect()
        });
        assert_eq!(
            wanted,
            [
                "example.com MX 10 mail.example.com.",
                "bounce.example.com MX 10 mail.example.com., 20 mx.vendor.net."
            ]
        );
        assert!(Scene::of("example.com").declared(|d| desired(d).is_empty()));
    }

    #[test]
    fn a_good_world_has_no_findings_and_each_change_has_its_own() {
        assert!(after("example", "example").is_empty());
        for (from, to, wanted) in [
            (
                "example.com MX 10 mail.example.com\n",
                "\n",
                &["Warn mx-present"][..],
            ),
            (
                "example.com MX 10 mail.example.com\n        example.com A 198.41.0.10",
                "",
                &["Fail mx-present"],
            ),
            (
                "example.com MX 10 mail.example.com\n",
                "example.com SERVFAIL\n",
                &["Unknown mx-present"],
            ),
            (
                "example.com MX 10 mail.example.com\n",
                "example.com MX 0 .\n",
                &["Fail mx-null-misuse"],
            ),
            (
                "example.com MX 10 mail.example.com\n",
                "example.com MX 10 mail.example.com\nexample.com MX 0 .\n",
                &["Fail mx-null-misuse"],
            ),
            (
                "mail.example.com A 198.41.0.4",
                "mail.example.com CNAME mx.vendor.net",
                &["Fail mx-target-form"],
            ),
            (
                "example.com MX 10 mail.example.com\n",
                "example.com MX 10 198.41.0.4\n198.41.0.4 A 198.41.0.4\n",
                &["Fail mx-target-form"],
            ),
            (
                "mail.example.com A 198.41.0.4",
                "",
                &["Fail mx-target-resolves", "Warn mx-target-resolves"],
            ),
            (
                "mail.example.com A 198.41.0.4",
                "mail.example.com SERVFAIL",
                &["Unknown mx-target-form", "Unknown mx-target-resolves"],
            ),
        ] {
            assert_eq!(after(from, to), wanted, "{from} -> {to}");
        }
    }

    #[test]
    fn a_domain_that_sends_nothing_needs_no_mx() {
        let parked = Scene::of("example.com").zone("example.com MX 0 .");
        assert!(parked.findings(PROTOCOL.checks).is_empty());
    }

    #[test]
    fn the_message_holds_the_line() {
        let message = spec()
            .zone(&WORLD.replacen("example.com MX 10 mail.example.com\n", "\n", 1))
            .message(&[PRESENT], "mx-present");
        assert!(
            message.ends_with("Add `example.com. MX 10 mail.example.com.`."),
            "{message}"
        );
    }
}
