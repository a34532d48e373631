//! The checks of where DMARC records stand, and of receivers that look elsewhere: those of before 2026 find the organization
//! by the public suffix list and not by walking up the tree (RFC 9989 appendix C.3).

use super::checks::at;
use super::discovery::{self, organizational_domain, own_record, record_name, texts, walk};
use crate::api::Severity;
use crate::finding::{Finding, Gate};
use crate::intent::ReturnPath;
use crate::name::Name;
use crate::protocol::{Check, Evidence};
use crate::record::RecordType;

pub(super) const LOCATION: Check = Check {
    id: "dmarc-location",
    title: "the policy stands where receivers look",
    source: "RFC 9989 section 4.5",
    gate: Gate::Dmarc,
    run: location,
};
pub(super) const INTERMEDIATE: Check = Check {
    id: "dmarc-intermediate-record",
    title: "no record between the domain and its organization is relied upon",
    source: "RFC 9989 section 4.10.1",
    gate: Gate::Nothing,
    run: intermediate,
};
pub(super) const DIVERGENCE: Check = Check {
    id: "dmarc-orgdomain-divergence",
    title: "old and new receivers see the same organization",
    source: "RFC 9989 sections 4.10.2 and 5.1.8, appendix C.3",
    gate: Gate::Nothing,
    run: divergence,
};

fn is_policy(text: &str) -> bool {
    text.trim_start_matches(['"', ' '])
        .to_ascii_lowercase()
        .starts_with("v=dmarc1")
}

fn location(evidence: &Evidence<'_>) -> Vec<Finding> {
    let facts = evidence.facts;
    let domain = &evidence.declaration.intent.domain;
    let Ok(own) = texts(facts, domain) else {
        return Vec::new();
    };
    let present = own.iter().any(|text| is_policy(text));
    // Somewhere else is only asked where nothing is found.
    let elsewhere = [
        Name::parse(&format!("_dmarc._dmarc.{domain}")),
        Name::parse(&format!("dmarc.{domain}")),
        Name::parse(&format!("_dmarc.{domain}.{domain}")),
    ];
    let elsewhere = elsewhere.into_iter().flatten().filter(|_| !present);
    let judge = |name: Name| {
        let texts = facts.ask(&name, RecordType::Txt).texts().unwrap_or_default();
        let text = texts.iter().find(|text| is_policy(text))?;
        let (severity, fix) = if present {
            (Severity::Warn, "Remove it".to_owned())
        } else {
            let advice = format!(
                "Move {} to {}",
                crate::protocol::tag_list::shown(text),
                at(domain)
            );
            (Severity::Fail, advice)
        };
        let message = format!(
            "A DMARC policy at {name} has no effect: receivers look at {} alone. {fix}.",
            at(domain)
        );
        Some(LOCATION.finding(severity, name, message))
    };
    std::iter::once(domain.clone())
        .chain(elsewhere)
        .filter_map(judge)
        .collect()
}

fn intermediate(evidence: &Evidence<'_>) -> Vec<Finding> {
    let facts = evidence.facts;
    let domain = &evidence.declaration.intent.domain;
    let (Ok(None), Ok(hits), Ok(organization)) = (
        own_record(facts, domain),
        walk(facts, domain),
        organizational_domain(facts, domain),
    ) else {
        return Vec::new();
    };
    let between = hits.into_iter().filter(|hit| hit.domain != organization);
    between
        .filter(|hit| hit.record.public_suffix.is_none())
        .map(|hit| {
            let message = format!(
                "{} does not govern {domain}: the sp= of {organization} does. Publish a record at {}, or add psd=n to the one in between.",
                at(&hit.domain),
                at(domain)
            );
            INTERMEDIATE.finding(Severity::Warn, at(&hit.domain), message)
        })
        .collect()
}

/// The name below the public suffix, which is what can be registered. `None`: the name is a suffix itself.
fn registered(domain: &Name) -> Option<Name> {
    Name::parse(psl::domain_str(domain.as_str())?).ok()
}

fn divergence(evidence: &Evidence<'_>) -> Vec<Finding> {
    let (facts, intent) = (evidence.facts, evidence.declaration.intent);
    let domain = &intent.domain;
    let Some(registered_domain) = registered(domain) else {
        return Vec::new();
    };
    // Without any record there is nothing to agree about; `dmarc-present` says so.
    let applies = matches!(discovery::policy(facts, domain), Ok(Some(_)));
    let Ok(organization) = organizational_domain(facts, domain) else {
        return Vec::new();
    };
    if !applies {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if organization != registered_domain && record_name(&registered_domain).is_some() {
        let message = format!(
            "The organization of {domain} is {organization} for receivers that walk up the tree, and {registered_domain} for those of before 2026, so they align differently. Publish a policy at {} too.",
            at(&registered_domain)
        );
        findings.push(DIVERGENCE.finding(Severity::Warn, domain, message));
    }
    for sender in &intent.senders {
        let ReturnPath::Domain { name, .. } = &sender.return_path else {
            continue;
        };
        let Ok(theirs) = organizational_domain(facts, name) else {
            continue;
        };
        if name == domain || theirs == organization || registered(name).as_ref() != Some(&registered_domain) {
            continue;
        }
        let message = format!(
            "The Return-Path {name} of sender {} aligns with {domain} for receivers of before 2026 and for no other: their organizations are {theirs} and {organization}. Publish a policy at {}.",
            sender.name,
            at(&registered_domain)
        );
        findings.push(DIVERGENCE.finding(Severity::Fail, name, message));
    }
    findings
}
