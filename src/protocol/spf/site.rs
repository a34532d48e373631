//! What stands at the names that SPF is looked up at, and how the checks speak of it.

use std::collections::BTreeSet;

use super::parse::{self, Record, Selected, SyntaxError};
use super::{helo_hosts, record_text};
use crate::api::Severity;
use crate::finding::Finding;
use crate::intent::{Intent, ReturnPath};
use crate::lookup::{Facts, Failure};
use crate::name::Name;
use crate::protocol::{Check, Evidence};
use crate::record::{RecordType, quoted};

/// What stands at one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Site {
    /// The name.
    pub name: Name,
    /// Its SPF.
    pub state: State,
    /// Texts that were meant to be SPF and are none.
    pub near_misses: Vec<String>,
}

/// The SPF of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody could be asked, or nobody was asked yet.
    Unknown(Failure),
    /// No record.
    Absent,
    /// More than one.
    Several(Vec<String>),
    /// One that receivers cannot use.
    Malformed(Vec<SyntaxError>),
    /// One well-formed record.
    Found(Found),
}

/// A well-formed record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// As it stands there.
    pub text: String,
    /// Parsed.
    pub record: Record,
}

impl Site {
    /// What stands at a name.
    pub fn look(facts: &Facts, name: &Name) -> Self {
        let texts = facts.ask(name, RecordType::Txt).texts();
        let near_misses = texts
            .iter()
            .flatten()
            .filter(|text| parse::is_near_miss(text))
            .cloned()
            .collect();
        let state = match texts.map(parse::select) {
            Err(failure) => State::Unknown(failure),
            Ok(Selected::None) => State::Absent,
            Ok(Selected::Many(texts)) => State::Several(texts),
            Ok(Selected::One(text)) => match parse::parse(&text) {
                Ok(record) => State::Found(Found { text, record }),
                Err(errors) => State::Malformed(errors),
            },
        };
        Self {
            name: name.clone(),
            state,
            near_misses,
        }
    }

    /// The record, if it is usable.
    pub fn found(&self) -> Option<&Found> {
        match &self.state {
            State::Found(found) => Some(found),
            State::Unknown(_) | State::Absent | State::Several(_) | State::Malformed(_) => None,
        }
    }
}

/// Every envelope domain, ours or not, except those that a vendor keeps to itself.
pub fn envelope_domains(intent: &Intent) -> BTreeSet<Name> {
    intent
        .senders
        .iter()
        .filter_map(|sender| sender.return_path.domain().cloned())
        .collect()
}

/// Every name that receivers look SPF up at.
pub fn sites(evidence: &Evidence<'_>) -> Vec<Site> {
    let intent = evidence.declaration.intent;
    let mut names = envelope_domains(intent);
    names.extend(helo_hosts(intent));
    names
        .iter()
        .map(|name| Site::look(evidence.facts, name))
        .collect()
}

/// The line to publish at an envelope domain.
pub fn advice(intent: &Intent, domain: &Name) -> String {
    let alias = super::senders_with(intent, domain).find_map(|sender| match &sender.return_path {
        ReturnPath::Alias { name: _, target } => Some(target),
        ReturnPath::Domain { name: _, mx: _ } | ReturnPath::Vendor => None,
    });
    match alias {
        Some(target) => format!("It is an alias of {target}: ask that vendor to publish SPF there."),
        None => format!("Publish: {}", line(domain, &record_text(intent, domain))),
    }
}

/// A TXT record as a zone file holds it. One that a message cannot hold whole is not shown in part: a record that is
/// pasted cut off disables SPF.
pub fn line(name: &Name, text: &str) -> String {
    let line = format!("{name}. TXT {}", quoted(text));
    if line.len() > 190 {
        return format!("one TXT at {name} with all their terms (too long to show here)");
    }
    line
}

/// A text of others as a message may show it: short, printable.
pub fn shown(text: &str) -> String {
    clip(text, 60)
}

fn clip(text: &str, length: usize) -> String {
    let printable: String = text
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .collect();
    if printable.len() <= length {
        return printable;
    }
    format!(
        "{}...",
        printable.get(..length.saturating_sub(3)).unwrap_or_default()
    )
}

/// A finding whose message stays short.
pub fn finding(check: &Check, severity: Severity, name: &Name, message: &str) -> Finding {
    check.finding(severity, name, clip(message, 300))
}

/// The finding for a question that has no answer.
pub fn unknown(check: &Check, name: &Name, failure: Failure) -> Finding {
    finding(
        check,
        Severity::Unknown,
        name,
        &format!("TXT of {name} is not known: its name server {failure}. Nothing follows from that yet."),
    )
}
