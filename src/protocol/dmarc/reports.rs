//! The checks of report addresses (RFC 9989 sections 4.6 to 4.8, RFC 9990 section 4).

use super::checks::{applied, at};
use super::discovery::{Applied, organizational_domain};
use super::record::{destination, parse, split_size};
use crate::api::{DmarcPolicy, Severity};
use crate::finding::{Finding, Gate};
use crate::lookup::{Facts, Failure};
use crate::name::Name;
use crate::protocol::tag_list::shown;
use crate::protocol::{Check, Evidence};
use crate::record::{RecordType, Value};

pub(super) const PRESENT: Check = Check {
    id: "dmarc-rua-present",
    title: "somebody gets aggregate reports",
    source: "RFC 9989 section 5.1.3",
    gate: Gate::Nothing,
    run: present,
};
pub(super) const URI: Check = Check {
    id: "dmarc-rua-uri",
    title: "report addresses can be used",
    source: "RFC 9989 sections 4.6 to 4.8",
    gate: Gate::Nothing,
    run: uri,
};
pub(super) const AUTHORIZED: Check = Check {
    id: "dmarc-rua-authorized",
    title: "report receivers elsewhere have agreed",
    source: "RFC 9990 section 4",
    gate: Gate::Nothing,
    run: authorized,
};

fn present(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(applied) = applied(evidence).filter(|a| a.hit.record.aggregate_reports.is_empty()) else {
        return Vec::new();
    };
    let place = at(&applied.hit.domain);
    let (severity, harm) = if applied.requested() > Some(DmarcPolicy::None) {
        (Severity::Fail, "so nobody sees which mail is refused")
    } else {
        (Severity::Warn, "so nobody sees who sends as the domain")
    };
    let message = format!(
        "The DMARC record asks for no reports, {harm}. Add rua=mailto:dmarc@{}.",
        applied.hit.domain
    );
    vec![PRESENT.finding(severity, place, message)]
}

fn uri(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(Applied { hit, .. }) = applied(evidence) else {
        return Vec::new();
    };
    let record = &hit.record;
    let mut verdicts: Vec<(Severity, String)> = record
        .aggregate_reports
        .iter()
        .chain(&record.failure_reports)
        .flat_map(|uri| judge_uri(evidence.facts, uri))
        .collect();
    for (tag, uris) in [
        ("rua", &record.aggregate_reports),
        ("ruf", &record.failure_reports),
    ] {
        let https = |uri: &String| uri.to_ascii_lowercase().starts_with("https:");
        if uris.len() > 2 {
            let message = format!(
                "{tag}= has {} addresses and receivers need to serve only two; keep two.",
                uris.len()
            );
            verdicts.push((Severity::Warn, message));
        } else if !uris.is_empty() && uris.iter().all(https) {
            let message = format!(
                "{tag}= has https addresses alone, and only mailto is served everywhere; add mailto:user@host."
            );
            verdicts.push((Severity::Warn, message));
        }
    }
    verdicts
        .into_iter()
        .map(|(severity, message)| URI.finding(severity, at(&hit.domain), message))
        .collect()
}

fn judge_uri(facts: &Facts, uri: &str) -> Vec<(Severity, String)> {
    let host = match destination(uri) {
        Ok(host) => host,
        Err(why) => {
            let message = format!(
                "The report address {} {why}; write mailto:user@host, several with commas between.",
                shown(uri)
            );
            return vec![(Severity::Fail, message)];
        }
    };
    let mut verdicts = Vec::new();
    if split_size(uri).1.is_some() {
        let message = format!(
            "The size limit in {} is obsolete; remove it from the exclamation mark on.",
            shown(uri)
        );
        verdicts.push((Severity::Warn, message));
    }
    if let Some(host) = host {
        match receives_mail(facts, &host) {
            Ok(true) => {}
            Ok(false) => verdicts.push((
                Severity::Fail,
                format!("{host} receives no mail, so reports to {} are lost; publish an MX for it or use another address.", shown(uri)),
            )),
            Err(failure) => verdicts.push((
                Severity::Unknown,
                format!("Nobody knows whether {host} receives reports: the resolver {failure}. It is asked again."),
            )),
        }
    }
    verdicts
}

/// MX, or addresses where there is none; never a null MX (RFC 5321 section 5.1, RFC 7505).
fn receives_mail(facts: &Facts, host: &Name) -> Result<bool, Failure> {
    let exchanges = facts.ask(host, RecordType::Mx).values()?;
    if !exchanges.is_empty() {
        return Ok(exchanges.iter().any(|value| {
            matches!(
                value,
                Value::Mx {
                    exchange: Some(_),
                    ..
                }
            )
        }));
    }
    let v4 = facts.ask(host, RecordType::A).values();
    let v6 = facts.ask(host, RecordType::Aaaa).values();
    let some = |answer: &Result<crate::record::Values, Failure>| {
        answer.as_ref().is_ok_and(|values| !values.is_empty())
    };
    if some(&v4) || some(&v6) {
        return Ok(true);
    }
    v4.and(v6).map(|_| false)
}

fn authorized(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(Applied { hit, .. }) = applied(evidence) else {
        return Vec::new();
    };
    let mut hosts: Vec<Name> = hit
        .record
        .aggregate_reports
        .iter()
        .filter_map(|uri| destination(uri).ok().flatten())
        .collect();
    hosts.sort();
    hosts.dedup();
    hosts
        .iter()
        .filter_map(|host| {
            let (severity, message) = match agreement(evidence.facts, &hit.domain, host) {
                Ok(Agreement::Given) => return None,
                Ok(Agreement::Missing(name)) => (
                    Severity::Fail,
                    format!("{host} has not agreed to receive reports of {}, so none are sent there. Its zone needs {name} TXT \"v=DMARC1;\".", hit.domain),
                ),
                Ok(Agreement::Elsewhere(name)) => (
                    Severity::Warn,
                    format!("The agreement at {name} names a report address at another host, so no reports are sent. Ask {host} to remove its rua= tag."),
                ),
                Err(failure) => (
                    Severity::Unknown,
                    format!("Nobody knows whether {host} has agreed to receive reports: the resolver {failure}. It is asked again."),
                ),
            };
            Some(AUTHORIZED.finding(severity, at(&hit.domain), message))
        })
        .collect()
}

/// Whether the receiver of reports has agreed.
enum Agreement {
    /// It has, or it is of the same organization.
    Given,
    /// It has not; where it would say so.
    Missing(String),
    /// It has, and sends the reports to another host, which is not followed; where it says so.
    Elsewhere(Name),
}

/// RFC 9990 section 4: the domain is the one where the policy was found, not the one in From.
fn agreement(facts: &Facts, policy_domain: &Name, host: &Name) -> Result<Agreement, Failure> {
    if host == policy_domain {
        return Ok(Agreement::Given);
    }
    // Both are asked before either is judged, to save a round of questions.
    let (ours, theirs) = (
        organizational_domain(facts, policy_domain),
        organizational_domain(facts, host),
    );
    if ours? == theirs? {
        return Ok(Agreement::Given);
    }
    let text = format!("{policy_domain}._report._dmarc.{host}");
    let Ok(name) = Name::parse(&text) else {
        return Ok(Agreement::Missing(text));
    };
    let records: Vec<_> = facts
        .ask(&name, RecordType::Txt)
        .texts()?
        .iter()
        .filter_map(|text| parse(text)?.ok())
        .collect();
    let elsewhere = |uri: &String| destination(uri).ok().flatten().is_none_or(|to| to != *host);
    Ok(if records.is_empty() {
        Agreement::Missing(text)
    } else if records.iter().any(|r| r.aggregate_reports.iter().any(elsewhere)) {
        Agreement::Elsewhere(name)
    } else {
        Agreement::Given
    })
}
