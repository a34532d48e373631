//! Records of abandoned standards: Sender ID, the DomainKeys policy, ADSP. Published only when asked for.

use std::collections::BTreeSet;

use super::tag_list::{TagList, shown};
use super::{Check, Declaration, Evidence, Protocol, Purpose, Wanted, spf};
use crate::api::{LegacyRecord, Severity};
use crate::finding::{Finding, Gate};
use crate::name::Name;
use crate::record::{RecordType, Value};

/// The legacy records.
pub const PROTOCOL: Protocol = Protocol {
    name: "legacy",
    desired,
    checks: &[SENDER_ID, DOMAINKEYS_POLICY, ADSP, SPF_TYPE_99],
};

const SENDER_ID: Check = Check {
    id: "legacy-sender-id",
    title: "no Sender ID record",
    source: "RFC 4406 (Historic), RFC 6686",
    gate: Gate::Nothing,
    run: sender_id,
};
const DOMAINKEYS_POLICY: Check = Check {
    id: "legacy-domainkeys-policy",
    title: "no DomainKeys policy",
    source: "RFC 4870 (Historic)",
    gate: Gate::Nothing,
    run: domainkeys_policy,
};
const ADSP: Check = Check {
    id: "legacy-adsp",
    title: "no ADSP record",
    source: "RFC 5617 (Historic)",
    gate: Gate::Nothing,
    run: adsp,
};

const SPF_TYPE_99: Check = Check {
    id: "legacy-spf-type99",
    title: "SPF stands in TXT and not in type SPF",
    source: "RFC 7208 sections 3.1 and 14.1",
    gate: Gate::Nothing,
    run: spf_type_99,
};

fn desired(declaration: &Declaration<'_>) -> Vec<Wanted> {
    let intent = declaration.intent;
    let records = |record: &LegacyRecord| match record {
        LegacyRecord::SenderID => spf::return_path_domains(intent)
            .into_iter()
            .map(|domain| {
                let text = format!("spf2.0/pra {}", spf::terms(intent, &domain).join(" "));
                Wanted::shared(domain, Purpose::SenderId, text, "spf2.0/")
            })
            .collect::<Vec<_>>(),
        LegacyRecord::DomainKeysPolicy => policy_name(&intent.domain)
            .and_then(|name| {
                Wanted::exclusive(name, Purpose::DomainKeysPolicy, [Value::Txt("o=-".to_owned())])
            })
            .into_iter()
            .collect(),
    };
    intent.legacy.iter().flat_map(records).collect()
}

/// `None`: the name would be too long to exist.
fn policy_name(domain: &Name) -> Option<Name> {
    domain.child("_domainkey").ok()
}

fn sender_id(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let mut domains: BTreeSet<Name> = spf::return_path_domains(intent);
    domains.insert(intent.domain.clone());
    let is_sender_id = |text: &str| text.to_ascii_lowercase().starts_with("spf2.0/");
    let advice = "Sender ID is Historic and its receivers prefer it over SPF, so a stale copy loses mail";
    let declared = intent.legacy.contains(&LegacyRecord::SenderID);
    domains
        .iter()
        .filter_map(|name| judge(evidence, &SENDER_ID, name, is_sender_id, advice, declared))
        .collect()
}

fn domainkeys_policy(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let is_policy = |text: &str| {
        let list = TagList::read(text);
        list.value("v").is_none() && ["o", "r", "n", "t"].iter().any(|tag| list.value(tag).is_some())
    };
    let advice = "DomainKeys is Historic and this policy has no meaning in DKIM; DMARC replaced it";
    let declared = intent.legacy.contains(&LegacyRecord::DomainKeysPolicy);
    policy_name(&intent.domain)
        .and_then(|name| judge(evidence, &DOMAINKEYS_POLICY, &name, is_policy, advice, declared))
        .into_iter()
        .collect()
}

fn adsp(evidence: &Evidence<'_>) -> Vec<Finding> {
    let is_adsp = |text: &str| TagList::read(text).value("dkim").is_some();
    let advice = "ADSP is Historic and dkim=discardable still loses mail at old receivers";
    let name = evidence.declaration.intent.domain.child("_adsp._domainkey").ok();
    name.and_then(|name| judge(evidence, &ADSP, &name, is_adsp, advice, false))
        .into_iter()
        .collect()
}

/// Receivers ask for TXT alone.
fn spf_type_99(evidence: &Evidence<'_>) -> Vec<Finding> {
    let judge = |name: Name| {
        let given_up = evidence.facts.ask(&name, RecordType::Spf).texts().ok()?;
        let text = given_up.first()?;
        let texts = evidence.facts.ask(&name, RecordType::Txt).texts().ok()?;
        let in_use = !matches!(spf::parse::select(texts), spf::parse::Selected::None);
        let (severity, fix) = if in_use {
            (Severity::Warn, "Remove it; the TXT record counts".to_owned())
        } else {
            (
                Severity::Fail,
                format!("Store {} as a TXT record in its place", shown(text)),
            )
        };
        let message =
            format!("{name} has a record of type SPF (99), which no receiver asks for since 2014. {fix}.");
        Some(SPF_TYPE_99.finding(severity, name, message))
    };
    let mut domains = spf::return_path_domains(evidence.declaration.intent);
    domains.insert(evidence.declaration.intent.domain.clone());
    domains.into_iter().filter_map(judge).collect()
}

/// Whether a legacy record stands at a name, and whether somebody asked for it.
fn judge(
    evidence: &Evidence<'_>,
    check: &Check,
    name: &Name,
    is_legacy: impl Fn(&str) -> bool,
    advice: &str,
    declared: bool,
) -> Option<Finding> {
    let (severity, message) = match evidence.facts.ask(name, RecordType::Txt).texts() {
        Err(failure) => (
            Severity::Unknown,
            format!(
                "Nobody knows whether {name} holds a legacy record: the resolver {failure}. It is asked again."
            ),
        ),
        Ok(texts) => {
            let text = texts.iter().find(|text| is_legacy(text))?;
            let (severity, fix) = if declared {
                (
                    Severity::Info,
                    "Drop it from legacyRecords when the partner that needs it is gone",
                )
            } else {
                (Severity::Warn, "Remove the record")
            };
            let message = format!("{name} holds {}: {advice}. {fix}.", shown(text));
            (severity, message)
        }
    };
    Some(check.finding(severity, name, message))
}

#[cfg(test)]
mod tests {
    use super::super::dmarc::scene::Scene;
    use super::*;
    use serde_json::json;

    #[test]
    fn nothing_is_published_unless_asked_for() {
        assert!(Scene::of("example.com").declared(|d| desired(d).is_empty()));
        let wanted = Scene::of("example.com")
            .with("legacyRecords", json!(["DomainKeysPolicy"]))
            .declared(desired);
        assert_eq!(wanted.len(), 1);
        assert_eq!(wanted[0].key.to_string(), "_domainkey.example.com TXT");
        assert_eq!(wanted[0].values.first().unwrap().to_string(), "\"o=-\"");
    }

    #[test]
    fn sender_id_repeats_the_terms_of_spf_at_every_return_path() {
        let hosts = json!([{ "name": "mail.example.com", "purpose": "Mail", "addresses": ["192.0.2.10"] }]);
        let senders = json!([
            { "name": "own", "hosts": ["mail.example.com"], "returnPath": { "domain": "b.example.com" } },
            { "name": "vendor", "returnPath": { "vendor": true } },
        ]);
        let wanted = Scene::of("example.com")
            .with("hosts", hosts)
            .with("senders", senders)
            .with("legacyRecords", json!(["SenderID"]))
            .declared(desired);
        let shown: Vec<String> = wanted
            .iter()
            .map(|w| format!("{} {}", w.key, w.values.first().unwrap()))
            .collect();
        assert_eq!(shown, ["b.example.com TXT \"spf2.0/pra ip4:192.0.2.10 ~all\""]);
    }

    #[test]
    fn what_stands_there_is_named() {
        for (zone, expected) in [
            ("", &[] as &[&str]),
            ("example.com TXT v=spf1 -all", &[]),
            ("example.com TXT spf2.0/pra +all", &["Warn legacy-sender-id"]),
            (
                "example.com TXT SPF2.0/mfrom,pra +all",
                &["Warn legacy-sender-id"],
            ),
            (
                "_domainkey.example.com TXT o=-;",
                &["Warn legacy-domainkeys-policy"],
            ),
            (
                "_domainkey.example.com TXT t=y; o=~",
                &["Warn legacy-domainkeys-policy"],
            ),
            ("_domainkey.example.com TXT v=spf1 -all", &[]),
            (
                "_adsp._domainkey.example.com TXT dkim=discardable",
                &["Warn legacy-adsp"],
            ),
            ("_adsp._domainkey.example.com SERVFAIL", &["Unknown legacy-adsp"]),
        ] {
            let scene = Scene::of("example.com").zone(zone);
            assert_eq!(scene.findings(PROTOCOL.checks), expected, "{zone}");
        }
    }

    #[test]
    fn what_was_asked_for_is_only_remarked() {
        let scene = Scene::of("example.com")
            .with("legacyRecords", json!(["SenderID", "DomainKeysPolicy"]))
            .zone("example.com TXT spf2.0/pra ?all\n_domainkey.example.com TXT o=-");
        assert_eq!(
            scene.findings(PROTOCOL.checks),
            ["Info legacy-domainkeys-policy", "Info legacy-sender-id"]
        );
    }
}
