//! Names: what they can be, what stands beside an alias, and what wildcards answer.

use std::collections::BTreeSet;

use crate::api::Severity;
use crate::finding::{Finding, Gate};
use crate::intent::{HostAt, ReturnPath};
use crate::lookup::Answer;
use crate::name::Name;
use crate::protocol::dkim::{KeyText, Material};
use crate::protocol::hosts::{addresses, list};
use crate::protocol::tag_list::shown;
use crate::protocol::{Check, Evidence, KeyRecord};
use crate::record::{RecordType, Value};

pub(super) const SYNTAX: Check = Check {
    id: "dns-name-syntax",
    title: "targets are whole names, once",
    source: "RFC 1035 section 5.1, RFC 1912 section 2.1",
    gate: Gate::Nothing,
    run: syntax,
};

pub(super) const COEXISTENCE: Check = Check {
    id: "dns-cname-coexistence",
    title: "no alias where mail records belong",
    source: "RFC 1034 section 3.6.2, RFC 2181 section 10.1",
    gate: Gate::Nothing,
    run: coexistence,
};

pub(super) const FLATTENED: Check = Check {
    id: "dns-cname-flattened",
    title: "aliases are answered as aliases",
    source: "RFC 1034 section 3.6.2",
    gate: Gate::Nothing,
    run: flattened,
};

pub(super) const WILDCARD: Check = Check {
    id: "dns-wildcard-shadow",
    title: "no wildcard answers for names of mail",
    source: "RFC 4592 section 2.2, RFC 7208 section 3.5",
    gate: Gate::Nothing,
    run: wildcard,
};

/// A forgotten dot at the end makes `mail.example.com.example.com` of a target.
fn syntax(evidence: &Evidence<'_>) -> Vec<Finding> {
    let (intent, facts) = (evidence.declaration.intent, evidence.facts);
    let domain = &intent.domain;
    let Ok(doubled) = domain.child(domain.as_str()) else {
        return Vec::new();
    };
    let aliases = intent
        .hosts
        .iter()
        .filter(|host| matches!(host.at, HostAt::Alias(_)));
    let asked = super::mail_domains(intent)
        .into_iter()
        .map(|name| (name, RecordType::Mx))
        .chain(aliases.map(|host| (&host.name, RecordType::Cname)));
    let mut findings = Vec::new();
    for (name, kind) in asked {
        for value in facts.ask(name, kind).values().unwrap_or_default() {
            let target = match value {
                Value::Mx { exchange, .. } => exchange,
                Value::Cname(target) => Some(target),
                Value::A(_) | Value::Aaaa(_) | Value::Ptr(_) | Value::Txt(_) => None,
            };
            let Some(target) = target.filter(|target| target.is_within(&doubled)) else {
                continue;
            };
            let meant = target.as_str().strip_suffix(&format!(".{domain}"));
            let message = format!(
                "The {kind} of {name} names {target}: the zone's name was added to a whole one. Write {} with a dot at its end.",
                meant.unwrap_or_default()
            );
            findings.push(SYNTAX.finding(Severity::Fail, name, message));
        }
    }
    findings
}

fn coexistence(evidence: &Evidence<'_>) -> Vec<Finding> {
    let judge = |name: &Name| {
        let aliases = evidence.facts.ask(name, RecordType::Cname).values().ok()?;
        let target = aliases.first()?;
        let message = format!(
            "{name} is an alias of {target}, so it can hold no MX and no TXT of its own, and what stands at the target counts as its own. Replace the alias by A and AAAA records, or use another label for it."
        );
        Some(COEXISTENCE.finding(Severity::Fail, name, message))
    };
    let names = super::mail_domains(evidence.declaration.intent).into_iter();
    names.filter_map(judge).collect()
}

/// Providers that proxy or flatten answer addresses in place of the alias: that serves a web page, and hides every text.
fn flattened(evidence: &Evidence<'_>) -> Vec<Finding> {
    let declaration = evidence.declaration;
    let intent = declaration.intent;
    let hosts = intent.hosts.iter().filter_map(|host| match &host.at {
        HostAt::Alias(target) => Some((host.name.clone(), target, false)),
        HostAt::Addresses(_) => None,
    });
    let envelopes = intent
        .senders
        .iter()
        .filter_map(|sender| match &sender.return_path {
            ReturnPath::Alias { name, target } => Some((name.clone(), target, true)),
            ReturnPath::Domain { .. } | ReturnPath::Vendor => None,
        });
    let keys = declaration.keys.iter().filter_map(|key| match &key.record {
        KeyRecord::Delegated(target) => Some((key.selector.record_name(&intent.domain).ok()?, target, true)),
        KeyRecord::Public(_) | KeyRecord::Found => None,
    });
    hosts
        .chain(envelopes)
        .chain(keys)
        .filter_map(|(name, target, holds_texts)| of_alias(evidence, &name, target, holds_texts))
        .collect()
}

fn of_alias(evidence: &Evidence<'_>, name: &Name, target: &Name, holds_texts: bool) -> Option<Finding> {
    let facts = evidence.facts;
    if !facts.ask(name, RecordType::Cname).values().ok()?.is_empty() {
        return None;
    }
    let (own, theirs) = (addresses(facts, name), addresses(facts, target));
    let own = own.ok().filter(|own| !own.is_empty())?;
    // A web page is served all the same when the addresses are the target's.
    if !holds_texts && own == theirs.ok()? {
        return None;
    }
    let severity = if holds_texts {
        Severity::Fail
    } else {
        Severity::Warn
    };
    let message = format!(
        "{name} answers {} in place of the alias of {target}. Switch off proxying or flattening for this record, so that the alias itself is answered.",
        list(own.iter().take(3))
    );
    Some(FLATTENED.finding(severity, name, message))
}

/// A label that nobody has: who answers for it answers for every other.
pub(crate) const NOBODY: &str = "no-such-name-7c1f2d";

fn wildcard(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let domain = &intent.domain;
    let keys = domain.child("_domainkey").into_iter();
    let mut findings: Vec<Finding> = keys.filter_map(|name| of_keys(evidence, &name)).collect();
    let domains = super::mail_domains(intent).into_iter();
    findings.extend(domains.filter_map(|name| of_domain(evidence, name)));
    findings
}

/// `*._domainkey` without a key says that nobody signs; with one, every selector is good.
fn of_keys(evidence: &Evidence<'_>, above: &Name) -> Option<Finding> {
    let texts = evidence.facts.ask(&above.child(NOBODY).ok()?, RecordType::Txt);
    let text = texts.texts().ok()?.into_iter().next()?;
    let (severity, harm) = match KeyText::read(&text).material {
        Some(Material::Revoked) => return None,
        Some(Material::Rsa { .. } | Material::Ed25519(_)) => (
            Severity::Fail,
            "so a signature with any selector verifies with that key",
        ),
        Some(Material::Private | Material::Unusable(_)) | None => {
            (Severity::Warn, "which no selector is meant to have")
        }
    };
    let message = format!(
        "The wildcard *.{above} answers {} for selectors that do not exist, {harm}. Remove it, and publish each selector by itself.",
        shown(&text)
    );
    Some(WILDCARD.finding(severity, format!("*.{above}"), message))
}

fn of_domain(evidence: &Evidence<'_>, above: &Name) -> Option<Finding> {
    let probe = above.child(NOBODY).ok()?;
    let alias = evidence.facts.ask(&probe, RecordType::Cname).values();
    let texts = evidence.facts.ask(&probe, RecordType::Txt);
    let said = match (&alias.ok()?.first(), &texts) {
        (Some(target), _) => format!("the alias of {target}"),
        (None, Answer::Records { values, .. }) => {
            let texts: BTreeSet<&str> = values.iter().filter_map(Value::as_txt).collect();
            shown(texts.first()?)
        }
        (None, Answer::NoData { .. } | Answer::NxDomain { .. } | Answer::Failed(_)) => return None,
    };
    let message = format!(
        "The wildcard *.{above} answers {said} for every name that does not exist, so receivers read that where they look for records of mail. Limit it to the names that need it."
    );
    Some(WILDCARD.finding(Severity::Warn, format!("*.{above}"), message))
}
