//! What a ledger tells of records that move from one provider to another. Pure.

use super::preview::{Entry, Fate, When, texts};
use super::subject::Subject;
use crate::intent::Mode;
use crate::plan::{Departure, Written};
use crate::protocol::Purpose;
use crate::record::Key;
use crate::tenancy::Home;

/// What a reader should know of moves, before the lines.
pub(super) fn notes(subject: &Subject, when: When) -> Vec<String> {
    let mut notes = Vec::new();
    let intent = &subject.declared.intent;
    if intent.conduct.mode == Mode::Publish && !when.deleted {
        let left = subject
            .homes()
            .iter()
            .filter(|home| !intent.providers.contains(home));
        notes.extend(left.filter(|_| !intent.providers.is_empty()).map(|provider| {
            format!(
                "{provider} is not in spec.publishing.providerRefs any more: what is marked = is written at {} too, and stays at {provider} as long as the world may ask there",
                intent.providers.join(", ")
            )
        }));
    }
    let waiting = subject
        .leaving()
        .iter()
        .filter(|(_, departure)| !is_over(departure, when));
    notes.extend(waiting.map(|(home, departure)| {
        let until = match departure.ends() {
            Some(end) => format!("until {end}"),
            None => "as long as the world may ask there".to_owned(),
        };
        let Home { provider, zone } = home;
        format!("the records in {zone} at {provider}, which the domain has left, stay {until}")
    }));
    notes
}

/// The copies whose time has come.
pub(super) fn entries(subject: &Subject, when: When) -> impl Iterator<Item = Entry> {
    let over = subject
        .leaving()
        .iter()
        .filter(move |(_, departure)| is_over(departure, when));
    over.flat_map(move |(home, departure)| {
        let entries = departure.entries.iter();
        entries.map(move |(key, written)| entry(home, key, written, when))
    })
}

fn is_over(departure: &Departure, when: When) -> bool {
    when.deleted || departure.ends().is_some_and(|end| when.now >= end)
}

fn entry(home: &Home, key: &Key, written: &Written, when: When) -> Entry {
    let Home { provider, zone } = home;
    let values = texts(&written.values);
    let (fate, note) = if when.deleted && written.purpose == Purpose::Dkim {
        let note = "stays until mail in flight has arrived that is signed with it; then it is removed";
        (Fate::There(values), note)
    } else {
        let note = match &written.before {
            None => "the domain has left it, and the world asks elsewhere",
            // No line of its own: it would read as one to be pasted here.
            Some(_) => {
                "the domain has left it, and the world asks elsewhere; what was replaced there is given back"
            }
        };
        let removed = Fate::Write {
            removed: values,
            added: Vec::new(),
            ttl_before: None,
        };
        (removed, note)
    };
    Entry {
        name: key.name.to_string(),
        record_type: key.record_type,
        ttl: 0,
        fate,
        note: Some(format!("in {zone} at {provider}: {note}")),
    }
}
