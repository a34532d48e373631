//! The checks of the policy record, one function each. Those of report addresses are next door.

use super::discovery::{self, Applied, policy, steps, texts};
use super::record::{DmarcRecord, Scope, VersionFault, parse};
use super::{places, record_text, reports, word};
use crate::api::{DmarcPolicy, Severity};
use crate::finding::{Finding, Gate};
use crate::name::Name;
use crate::protocol::tag_list::shown;
use crate::protocol::{Check, Evidence, PolicyGate};

const PRESENT: Check = Check {
    id: "dmarc-present",
    title: "a DMARC policy applies to the domain",
    source: "RFC 9989 section 4.10.1",
    gate: Gate::Dmarc,
    run: present,
};
const SINGLE: Check = Check {
    id: "dmarc-single",
    title: "one DMARC record at the name",
    source: "RFC 9989 section 4.10",
    gate: Gate::Dmarc,
    run: single,
};
const VERSION: Check = Check {
    id: "dmarc-version",
    title: "the record begins with v=DMARC1;",
    source: "RFC 9989 section 4.7",
    gate: Gate::Dmarc,
    run: version,
};
const SYNTAX: Check = Check {
    id: "dmarc-syntax",
    title: "every part of the record is tag=value",
    source: "RFC 9989 section 4.8",
    gate: Gate::Dmarc,
    run: syntax,
};
const POLICY_VALUE: Check = Check {
    id: "dmarc-policy-value",
    title: "every tag has an allowed value",
    source: "RFC 9989 sections 4.7 and 4.10.1",
    gate: Gate::Dmarc,
    run: policy_value,
};
const REMOVED_TAGS: Check = Check {
    id: "dmarc-removed-tags",
    title: "no tag that RFC 9989 removed",
    source: "RFC 9989 appendix A.6",
    gate: Gate::Nothing,
    run: removed_tags,
};
const TEST_FLAG: Check = Check {
    id: "dmarc-test-flag",
    title: "the policy is not in test mode",
    source: "RFC 9989 section 4.7",
    gate: Gate::Nothing,
    run: test_flag,
};
const PSD_FLAG: Check = Check {
    id: "dmarc-psd-flag",
    title: "psd=y only at a registry's suffix",
    source: "RFC 9989 section 4.7",
    gate: Gate::Nothing,
    run: psd_flag,
};
const POLICY_STRENGTH: Check = Check {
    id: "dmarc-policy-strength",
    title: "the policy covers subdomains as well",
    source: "RFC 9989 section 4.7",
    gate: Gate::Nothing,
    run: policy_strength,
};

/// Every check of DMARC.
pub(super) const ALL: &[Check] = &[
    PRESENT,
    SINGLE,
    VERSION,
    SYNTAX,
    POLICY_VALUE,
    reports::PRESENT,
    reports::URI,
    reports::AUTHORIZED,
    REMOVED_TAGS,
    TEST_FLAG,
    PSD_FLAG,
    POLICY_STRENGTH,
    places::LOCATION,
    places::INTERMEDIATE,
    places::DIVERGENCE,
];

/// The policy that applies, for the checks that judge its record; `None` where [`PRESENT`] has spoken already.
pub(super) fn applied(evidence: &Evidence<'_>) -> Option<Applied> {
    policy(evidence.facts, &evidence.declaration.intent.domain)
        .ok()
        .flatten()
}

/// Where a domain's record stands, for messages.
pub(super) fn at(domain: &Name) -> String {
    format!("_dmarc.{domain}")
}

/// The record to publish, as a line to paste.
fn line(evidence: &Evidence<'_>) -> String {
    let intent = evidence.declaration.intent;
    let text = match &intent.dmarc {
        Some(dmarc) => record_text(dmarc, evidence.declaration.policy_gate),
        None => format!("v=DMARC1; p=none; rua=mailto:dmarc@{}", intent.domain),
    };
    format!("{} TXT \"{text}\"", at(&intent.domain))
}

fn present(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let domain = &intent.domain;
    let (severity, message) = match policy(evidence.facts, domain) {
        Err(failure) => (
            Severity::Unknown,
            format!(
                "Nobody knows which DMARC policy applies to {domain}: the resolver {failure}. It is asked again."
            ),
        ),
        Ok(Some(applied)) if applied.scope == Scope::Own || intent.dmarc.is_none() => {
            if applied.requested().is_some() {
                return Vec::new();
            }
            let message = format!(
                "The DMARC record at {} has no policy and no report address that count, so receivers act as if it were not there. Publish {}.",
                at(&applied.hit.domain),
                line(evidence)
            );
            (Severity::Fail, message)
        }
        Ok(Some(applied)) => (
            Severity::Warn,
            format!(
                "The declared DMARC policy is not in DNS; that of {} applies. Publish {}.",
                applied.hit.domain,
                line(evidence)
            ),
        ),
        Ok(None) => {
            let nobody_sends = intent.senders.is_empty() && intent.dmarc.is_none();
            let severity = if nobody_sends {
                Severity::Warn
            } else {
                Severity::Fail
            };
            let message = format!(
                "No DMARC policy applies to {domain}, and large receivers refuse such mail. Publish {}.",
                line(evidence)
            );
            (severity, message)
        }
    };
    vec![PRESENT.finding(severity, at(domain), message)]
}

/// The domains whose records decide: the own one if anything like DMARC stands there, else all above it.
fn deciding(evidence: &Evidence<'_>) -> Vec<(Name, Vec<String>)> {
    let domain = &evidence.declaration.intent.domain;
    let mut places: Vec<(Name, Vec<String>)> = steps(domain)
        .map(|domain| {
            let texts = texts(evidence.facts, &domain).unwrap_or_default();
            let ours = texts.into_iter().filter(|text| parse(text).is_some()).collect();
            (domain, ours)
        })
        .collect();
    if places.first().is_some_and(|(_, texts)| !texts.is_empty()) {
        places.truncate(1);
    }
    places
}

fn single(evidence: &Evidence<'_>) -> Vec<Finding> {
    let judge = |(domain, texts): (Name, Vec<String>)| {
        let valid = texts
            .iter()
            .filter(|text| matches!(parse(text), Some(Ok(_))))
            .count();
        let message = format!(
            "{} has {valid} DMARC records and receivers drop all of them. Keep one: {}.",
            at(&domain),
            line(evidence)
        );
        (valid > 1).then(|| SINGLE.finding(Severity::Fail, at(&domain), message))
    };
    deciding(evidence).into_iter().filter_map(judge).collect()
}

fn version(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (domain, texts) in deciding(evidence) {
        let parsed: Vec<(&String, Result<DmarcRecord, VersionFault>)> = texts
            .iter()
            .filter_map(|text| Some((text, parse(text)?)))
            .collect();
        let has_valid = parsed.iter().any(|(_, record)| record.is_ok());
        for (text, record) in parsed {
            let (severity, message) = match record {
                Err(fault) => (
                    if has_valid { Severity::Warn } else { Severity::Fail },
                    format!(
                        "Receivers ignore {} at {}: {fault}. Publish {} in its place.",
                        shown(text),
                        at(&domain),
                        line(evidence)
                    ),
                ),
                Ok(record) if record.shouted => (
                    Severity::Warn,
                    "The record begins with V= in upper case, which some receivers do not read; write v=DMARC1.".to_owned(),
                ),
                Ok(_) => continue,
            };
            findings.push(VERSION.finding(severity, at(&domain), message));
        }
    }
    findings
}

fn syntax(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(Applied { hit, .. }) = applied(evidence) else {
        return Vec::new();
    };
    let wrong = hit.record.syntax.iter().map(|detail| {
        // A declaration says what shall stand there; else what stands there says what was meant.
        let instead = match (&evidence.declaration.intent.dmarc, hit.record.offer()) {
            (Some(_), _) => format!("Write {}", line(evidence)),
            (None, Some(mended)) => format!("Write {} TXT \"{mended}\"", at(&hit.domain)),
            // Nothing is offered that could be weaker than what stands there.
            (None, None) => "Take that out and keep the rest".to_owned(),
        };
        let message =
            format!("In the DMARC record {detail}; receivers differ in what they then ignore. {instead}.");
        SYNTAX.finding(Severity::Fail, at(&hit.domain), message)
    });
    let unknown = hit.record.unknown.iter().map(|tag| {
        let message = format!("The tag {} is not known; receivers ignore it.", shown(tag));
        SYNTAX.finding(Severity::Info, at(&hit.domain), message)
    });
    wrong.chain(unknown).collect()
}

fn policy_value(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(Applied { hit, .. }) = applied(evidence) else {
        return Vec::new();
    };
    let record = &hit.record;
    let mut verdicts: Vec<(Severity, String)> = record
        .bad_values
        .iter()
        .map(|(tag, value, allowed)| {
            let (severity, harm) = match *tag {
                "p" | "sp" | "np" => (
                    Severity::Fail,
                    "and turns the whole record into p=none or into nothing",
                ),
                "adkim" | "aspf" => (Severity::Fail, "and is ignored"),
                _ => (Severity::Warn, "and is ignored"),
            };
            let message = format!("{tag}={} is not allowed {harm}; write {allowed}.", shown(value));
            (severity, message)
        })
        .collect();
    let bad_policy = record.bad_values.iter().any(|(tag, _, _)| *tag == "p");
    if record.policy.is_none() && !bad_policy {
        let message = "The record has no p= tag, which receivers of before 2026 refuse; write p=none.";
        verdicts.push((Severity::Warn, message.to_owned()));
    }
    match &record.failure_options {
        Some(options) if options.contains('0') && options.contains('1') => {
            let message = "fo= asks for 0 and 1 together, which contradict each other; keep one of them.";
            verdicts.push((Severity::Warn, message.to_owned()));
        }
        Some(_) if record.failure_reports.is_empty() => {
            let message = "fo= has no effect without ruf=; remove it or add a report address.";
            verdicts.push((Severity::Info, message.to_owned()));
        }
        Some(_) | None => {}
    }
    verdicts
        .into_iter()
        .map(|(severity, message)| POLICY_VALUE.finding(severity, at(&hit.domain), message))
        .collect()
}

fn removed_tags(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(Applied { hit, .. }) = applied(evidence) else {
        return Vec::new();
    };
    let judge = |(tag, value): &(&'static str, String)| {
        let message = format!(
            "{tag}={} was removed from DMARC in 2026: receivers of before obey it and others do not. Remove it.",
            shown(value)
        );
        REMOVED_TAGS.finding(Severity::Warn, at(&hit.domain), message)
    };
    hit.record.removed.iter().map(judge).collect()
}

fn test_flag(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(applied) = applied(evidence).filter(|applied| applied.hit.record.test) else {
        return Vec::new();
    };
    let place = at(&applied.hit.domain);
    let (severity, message) = match (applied.requested(), applied.effective()) {
        (Some(asked), Some(weaker)) if asked != weaker => (
            Severity::Warn,
            format!(
                "t=y at {place} makes new receivers apply {} in place of {}, while receivers of before 2026 apply it in full. Remove t=y.",
                word(weaker),
                word(asked)
            ),
        ),
        _ => (
            Severity::Info,
            format!("t=y at {place} has no effect on a policy of none. Remove it."),
        ),
    };
    vec![TEST_FLAG.finding(severity, place, message)]
}

fn psd_flag(evidence: &Evidence<'_>) -> Vec<Finding> {
    let domain = &evidence.declaration.intent.domain;
    let hits = discovery::walk(evidence.facts, domain).unwrap_or_default();
    let judge = |hit: &discovery::Hit| {
        let wrong =
            hit.record.public_suffix == Some(true) && (hit.domain == *domain || !like_registry(&hit.domain));
        let message = format!(
            "psd=y at {} says that it is a registry, so each name below is an organization of its own and relaxed alignment breaks. Remove psd=y.",
            at(&hit.domain)
        );
        wrong.then(|| PSD_FLAG.finding(Severity::Fail, at(&hit.domain), message))
    };
    hits.iter().filter_map(judge).collect()
}

/// Whether a name looks like a suffix under which others register: `com`, `co.uk`. A guess, and enough for a hint.
fn like_registry(domain: &Name) -> bool {
    let labels: Vec<&str> = domain.labels().collect();
    matches!(labels.as_slice(), [_])
        || matches!(labels.as_slice(), [second, top] if second.len() <= 3 && top.len() == 2)
}

fn policy_strength(evidence: &Evidence<'_>) -> Vec<Finding> {
    let declaration = evidence.declaration;
    let Some(Applied { hit, scope }) = applied(evidence) else {
        return Vec::new();
    };
    let place = at(&hit.domain);
    let Some(asked) = hit.record.requested(scope) else {
        return Vec::new();
    };
    let mut verdicts = Vec::new();
    if asked == DmarcPolicy::None {
        let stricter = declaration
            .intent
            .dmarc
            .as_ref()
            .is_some_and(|dmarc| dmarc.policy > DmarcPolicy::None);
        let next = match (stricter, declaration.policy_gate) {
            (true, PolicyGate::Held(_)) => "The declared policy follows when every sender is proven",
            (true, PolicyGate::Released) => "The declared policy is being published",
            (false, PolicyGate::Held(_) | PolicyGate::Released) => {
                "When the reports are clean, declare dmarc.policy: Quarantine"
            }
        };
        let domain = &declaration.intent.domain;
        let message = format!("DMARC policy none lets anyone send as {domain}. {next}.");
        verdicts.push((Severity::Info, message));
    }
    verdicts.extend(weaker_below(evidence, &hit, scope));
    verdicts
        .into_iter()
        .map(|(severity, message)| POLICY_STRENGTH.finding(severity, &place, message))
        .collect()
}

/// `sp=` and `np=` count only at the organizational domain (RFC 9989 section 4.7).
fn weaker_below(evidence: &Evidence<'_>, hit: &discovery::Hit, scope: Scope) -> Vec<(Severity, String)> {
    let record = &hit.record;
    let given = record.subdomain_policy.is_some() || record.non_existent_policy.is_some();
    if scope != Scope::Own || !given {
        return Vec::new();
    }
    match discovery::organizational_domain(evidence.facts, &hit.domain) {
        Ok(organization) if organization != hit.domain => {
            let message = format!(
                "sp= and np= have no effect here: the record of {organization} decides for names below. Remove them."
            );
            return vec![(Severity::Info, message)];
        }
        Ok(_) | Err(_) => {}
    }
    let own = record.requested(Scope::Own);
    if record.policy.is_some() && record.subdomain_policy == record.policy {
        let message = "sp= repeats p= and adds nothing; leave it out.";
        return vec![(Severity::Info, message.to_owned())];
    }
    [
        (Scope::Subdomain, "sp", "subdomains"),
        (Scope::NonExistent, "np", "subdomains that do not exist"),
    ]
    .into_iter()
    .filter(|(scope, _, _)| record.requested(*scope) < own)
    .map(|(_, tag, whom)| {
        let message = format!(
            "{tag}= is weaker than p=, so anyone can send as {whom} of {}. Remove {tag}=.",
            hit.domain
        );
        (Severity::Warn, message)
    })
    .collect()
}
