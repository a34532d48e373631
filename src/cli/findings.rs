//! What `check` tells of one domain, as data. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::api::{Severity, Truth};
use crate::controller::look::Seen;
use crate::finding::Finding;
use crate::lookup::{Answer, Facts};
use crate::message::Account;
use crate::name::Name;
use crate::plan::{Group, zone_lines};
use crate::protocol::{ALL, bimi, dkim, dmarc, dns, hosts, legacy, mx, ptr, spf};
use crate::record::{Key, RecordType, Value};

/// One domain, judged. The JSON form is what scripts read: fields are added, none is renamed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Judged {
    /// The domain.
    pub(super) domain: String,
    /// The worst of all verdicts.
    pub(super) verdict: Verdict,
    /// By protocol, in the order in which they build on one another.
    pub(super) protocols: Vec<Block>,
    /// What was not looked at, and why.
    pub(super) not_looked_at: Vec<String>,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Verdict {
    /// Nothing is wrong.
    Pass,
    /// It works and is fragile, or below what large receivers want.
    Warn,
    /// Somebody could not be asked.
    Unknown,
    /// A receiver ignores a record or rejects mail.
    Fail,
}

impl From<Severity> for Verdict {
    fn from(severity: Severity) -> Self {
        match severity {
            Severity::Fail => Self::Fail,
            Severity::Unknown => Self::Unknown,
            Severity::Warn => Self::Warn,
            Severity::Info => Self::Pass,
        }
    }
}

/// One protocol.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Block {
    /// Its name.
    pub(super) protocol: &'static str,
    /// The worst of its findings.
    pub(super) verdict: Verdict,
    /// What was seen of it.
    pub(super) records: Vec<Record>,
    /// A sentence that sums up what was seen, where there is one.
    pub(super) summary: Option<String>,
    /// What is declared and does not stand at every name server.
    pub(super) not_as_declared: Vec<NotAsDeclared>,
    /// What the checks say, worst first.
    pub(super) findings: Vec<Said>,
}

/// One RRset, as receivers see it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Record {
    /// Owner name.
    pub(super) name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// Seconds; absent where there is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) ttl: Option<u32>,
    /// In presentation format; empty: there is none.
    pub(super) values: Vec<String>,
    /// Why nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) failure: Option<String>,
}

/// One declared RRset that is not there as declared.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NotAsDeclared {
    /// Owner name.
    pub(super) name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    /// What is declared.
    pub(super) declared: Vec<String>,
    /// Which server says what instead.
    pub(super) seen: String,
    /// Whether it is known to be otherwise, or nobody could be asked.
    pub(super) verdict: Verdict,
}

/// One finding.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Said {
    /// The check, as the documentation lists it.
    pub(super) id: &'static str,
    /// How bad it is.
    pub(super) severity: Severity,
    /// The name that it is about.
    pub(super) name: String,
    /// What is wrong and what to do.
    pub(super) message: String,
    /// The record to write instead, whole, as lines of a zone file, where it follows from what stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) paste: Option<String>,
}

/// Puts what is said of a message before what is said of its domain; without a domain it stands alone.
pub(super) fn begin_with(judged: &mut Vec<Judged>, block: Block) {
    if let Some(first) = judged.first_mut() {
        first.verdict = first.verdict.max(block.verdict);
        first.protocols.insert(0, block);
        return;
    }
    judged.push(Judged {
        domain: "message".to_owned(),
        verdict: block.verdict,
        protocols: vec![block],
        not_looked_at: Vec::new(),
    });
}

/// What is said of a message.
pub(super) fn of_message(account: &Account) -> Block {
    let severities = account.findings.iter().map(|finding| finding.severity);
    Block {
        protocol: "message",
        verdict: verdict(severities, &[]),
        records: Vec::new(),
        summary: Some(printable(&account.summary)),
        not_as_declared: Vec::new(),
        findings: account
            .findings
            .iter()
            .map(|finding| said_of(finding, None))
            .collect(),
    }
}

/// Sorts what was seen by protocol.
pub(super) fn judged(
    domain: &Name,
    groups: &[Group],
    seen: &Seen,
    speaks: impl Fn(&Finding) -> bool,
    not_looked_at: Vec<String>,
) -> Judged {
    let names = ALL.iter().map(|protocol| protocol.name);
    let findings: Vec<&Finding> = seen.findings.iter().filter(|finding| speaks(finding)).collect();
    let block = |name: &'static str| {
        let said: Vec<&&Finding> = findings.iter().filter(|f| protocol_of(f.id) == name).collect();
        let not_as_declared = not_as_declared(groups, seen, name);
        let verdict = verdict(said.iter().map(|finding| finding.severity), &not_as_declared);
        Block {
            protocol: name,
            verdict,
            records: records(domain, seen, name),
            summary: (name == spf::PROTOCOL.name)
                .then(|| weight(domain, seen))
                .flatten(),
            not_as_declared,
            findings: said
                .into_iter()
                .map(|finding| said_of(finding, Some(seen)))
                .collect(),
        }
    };
    let mut protocols: Vec<Block> = names.map(block).collect();
    protocols.retain(|block| {
        !(block.records.is_empty() && block.findings.is_empty() && block.not_as_declared.is_empty())
    });
    Judged {
        domain: domain.to_string(),
        verdict: protocols
            .iter()
            .map(|block| block.verdict)
            .max()
            .unwrap_or(Verdict::Unknown),
        protocols,
        not_looked_at,
    }
}

fn said_of(finding: &Finding, seen: Option<&Seen>) -> Said {
    Said {
        paste: seen.and_then(|seen| instead(finding, seen)),
        id: finding.id,
        severity: finding.severity,
        name: printable(&finding.name),
        message: printable(&finding.message),
    }
}

/// The record to write instead, where it follows from what stands there.
fn instead(finding: &Finding, seen: &Seen) -> Option<String> {
    let key = Key::new(Name::parse(&finding.name).ok()?, RecordType::Txt);
    let Answer::Records { values, ttl, .. } = seen.known.get(&key)? else {
        return None;
    };
    let texts = values.iter().filter_map(Value::as_txt);
    let text = match finding.id {
        // A key in a form that verifiers do not read, in one that they do.
        "dkim-key-encoding" => texts.into_iter().find_map(dkim::meant)?.record_text(),
        "spf-include-target" => {
            let mut records = texts.filter_map(|text| with_hosts(text, seen));
            records.next()?
        }
        _ => return None,
    };
    Some(zone_lines(&key, *ttl, [&Value::Txt(text)]))
}

/// An SPF record with `a:` in place of each `include:` of a host: it has addresses, and no record to include.
fn with_hosts(text: &str, seen: &Seen) -> Option<String> {
    let is_host = |target: &str| {
        let Ok(name) = Name::parse(target) else {
            return false;
        };
        let values = |kind| {
            let answer = seen.known.get(&Key::new(name.clone(), kind));
            answer.and_then(|answer| answer.values().ok())
        };
        let has = |kind| values(kind).is_some_and(|values| !values.is_empty());
        let texts = values(RecordType::Txt).unwrap_or_default();
        let texts = texts.iter().filter_map(Value::as_txt).map(str::to_owned);
        let includes_nothing = matches!(spf::parse::select(texts), spf::parse::Selected::None);
        includes_nothing && (has(RecordType::A) || has(RecordType::Aaaa))
    };
    let term = |term: &str| match term.split_once("include:") {
        Some((sign, target)) if is_host(target) => format!("{sign}a:{target}"),
        Some(_) | None => term.to_owned(),
    };
    let mended: Vec<String> = text.split(' ').map(term).collect();
    let mended = mended.join(" ");
    (mended != text && spf::parse::parse(&mended).is_ok()).then_some(mended)
}

fn protocol_of(id: &str) -> &'static str {
    let has = |protocol: &&crate::protocol::Protocol| protocol.checks.iter().any(|check| check.id == id);
    ALL.iter()
        .find(has)
        .map_or(dns::PROTOCOL.name, |protocol| protocol.name)
}

fn verdict(severities: impl Iterator<Item = Severity>, declared: &[NotAsDeclared]) -> Verdict {
    let declared = declared.iter().map(|not| not.verdict);
    severities
        .map(Verdict::from)
        .chain(declared)
        .max()
        .unwrap_or(Verdict::Pass)
}

/// What is declared, belongs to the protocol, and does not stand at every name server.
fn not_as_declared(groups: &[Group], seen: &Seen, protocol: &str) -> Vec<NotAsDeclared> {
    let mut told = Vec::new();
    for group in groups {
        let Some(verdict) = seen.verdicts.get(&group.key) else {
            continue;
        };
        let first = group.values.first();
        if verdict.verified == Truth::True || first.map(|v| place(&group.key, v)) != Some(protocol) {
            continue;
        }
        let not = NotAsDeclared {
            name: group.key.name.to_string(),
            kind: group.key.record_type.as_str(),
            declared: group
                .values
                .iter()
                .map(|value| printable(&value.to_string()))
                .collect(),
            seen: printable(verdict.message.as_deref().unwrap_or_default()),
            verdict: match verdict.verified {
                Truth::False => Verdict::Fail,
                Truth::True | Truth::Unknown => Verdict::Unknown,
            },
        };
        told.push(not);
    }
    told
}

/// The protocol that a record belongs to.
fn place(key: &Key, value: &Value) -> &'static str {
    let begins = |label: &str| key.name.labels().next() == Some(label);
    let is_leftover = ["_domainkey", "_adsp", "_asp"].into_iter().any(begins);
    let has = |label: &str| key.name.labels().any(|l| l == label);
    let text = value.as_txt().map(str::to_ascii_lowercase).unwrap_or_default();
    match key.record_type {
        RecordType::Mx => mx::PROTOCOL.name,
        RecordType::Ptr => ptr::PROTOCOL.name,
        RecordType::Spf => legacy::PROTOCOL.name,
        _ if is_leftover => legacy::PROTOCOL.name,
        _ if has("_domainkey") => dkim::PROTOCOL.name,
        _ if has("_bimi") => bimi::PROTOCOL.name,
        _ if begins("_dmarc") || has("_report") => dmarc::PROTOCOL.name,
        RecordType::A | RecordType::Aaaa | RecordType::Cname => hosts::PROTOCOL.name,
        RecordType::Txt if text.starts_with("spf2.0") => legacy::PROTOCOL.name,
        RecordType::Txt => spf::PROTOCOL.name,
    }
}

/// Everything of a protocol that was seen; where nothing stands at the name that matters most, that too.
fn records(domain: &Name, seen: &Seen, protocol: &str) -> Vec<Record> {
    let mut records = Vec::new();
    let is_probe = |key: &Key| key.name.labels().any(|label| label == dns::NOBODY);
    for (key, answer) in seen.known.iter().filter(|(key, _)| !is_probe(key)) {
        let record = |ttl, values, failure| Record {
            name: key.name.to_string(),
            kind: key.record_type.as_str(),
            ttl,
            values,
            failure,
        };
        match answer {
            Answer::Records { values, ttl, .. } => {
                let ours = values
                    .iter()
                    .filter(|value| place(key, value) == protocol && is_mail(key, value));
                let values: Vec<String> = ours.map(|value| printable(&value.to_string())).collect();
                if !values.is_empty() {
                    records.push(record(Some(*ttl), values, None));
                }
            }
            Answer::NoData { .. } | Answer::NxDomain { .. } if misses(domain, key) == Some(protocol) => {
                records.push(record(None, Vec::new(), None));
            }
            Answer::Failed(failure) if misses(domain, key) == Some(protocol) => {
                records.push(record(None, Vec::new(), Some(failure.to_string())));
            }
            Answer::NoData { .. } | Answer::NxDomain { .. } | Answer::Failed(_) => {}
        }
    }
    // The domain's own first, then those that it leads to.
    records.sort_by_key(|record| (record.name != domain.as_str(), record.name.clone()));
    records
}

/// Whether a text at a name that holds all kinds of texts is about mail.
fn is_mail(key: &Key, value: &Value) -> bool {
    let attribute = key.name.labels().any(|label| label.starts_with('_'));
    value
        .as_txt()
        .is_none_or(|text| attribute || text.to_ascii_lowercase().contains("spf"))
}

/// The protocol to which it is worth a line that nothing stands there.
fn misses(domain: &Name, key: &Key) -> Option<&'static str> {
    let mut labels = key.name.labels();
    let is_name = |label: &str| !label.starts_with('_') && label != dns::NOBODY;
    let is_selector = labels.next().is_some_and(is_name);
    match key.record_type {
        RecordType::Mx if &key.name == domain => Some(mx::PROTOCOL.name),
        RecordType::Txt if &key.name == domain => Some(spf::PROTOCOL.name),
        RecordType::Txt if domain.child("_dmarc").as_ref() == Ok(&key.name) => Some(dmarc::PROTOCOL.name),
        RecordType::Txt if is_selector && labels.next() == Some("_domainkey") => Some(dkim::PROTOCOL.name),
        _ => None,
    }
}

/// How many of the ten questions of RFC 7208 section 4.6.4 the domain's SPF record takes.
fn weight(domain: &Name, seen: &Seen) -> Option<String> {
    let facts = Facts::new(seen.known.clone());
    let texts = facts.ask(domain, RecordType::Txt).texts().ok()?;
    let spf::parse::Selected::One(text) = spf::parse::select(texts) else {
        return None;
    };
    let record = spf::parse::parse(&text).ok()?;
    let walk = spf::walk::walk(&facts, domain, &record, RecordType::A);
    let included: BTreeSet<String> = walk.included.iter().map(ToString::to_string).collect();
    let through = if included.is_empty() {
        String::new()
    } else {
        format!(
            ", through {}",
            included.into_iter().collect::<Vec<_>>().join(", ")
        )
    };
    Some(format!("{} of 10 questions{through}", walk.lookups))
}

/// A text that DNS had a part in, for a terminal: control characters, which move cursors and worse, are named instead.
fn printable(text: &str) -> String {
    let mut printable = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() {
            printable.extend(c.escape_unicode());
        } else {
            printable.push(c);
        }
    }
    printable
}

/// How many findings there are of each severity.
pub(super) fn counts(judged: &Judged) -> BTreeMap<Severity, usize> {
    let mut counts = BTreeMap::new();
    for said in judged.protocols.iter().flat_map(|block| &block.findings) {
        *counts.entry(said.severity).or_insert(0) += 1;
    }
    for not in judged.protocols.iter().flat_map(|block| &block.not_as_declared) {
        let severity = if not.verdict == Verdict::Fail {
            Severity::Fail
        } else {
            Severity::Unknown
        };
        *counts.entry(severity).or_insert(0) += 1;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn no_control_character_reaches_a_terminal() {
        assert_eq!(
            printable("l=\u{1b}[2J\u{9b}x\u{7f}"),
            "l=\\u{1b}[2J\\u{9b}x\\u{7f}"
        );
        assert_eq!(printable("ü \"v=spf1 -all\""), "ü \"v=spf1 -all\"");
    }
}
