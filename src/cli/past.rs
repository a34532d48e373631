//! What becomes of records of the past that nobody declares any more. Pure.

use std::collections::BTreeSet;

use super::preview::{Entry, Fate, texts};
use super::subject::Subject;
use crate::plan::{Plan, Written};
use crate::protocol::Purpose;
use crate::publish::Change;
use crate::record::Key;

/// What becomes of everything of the past that is not wanted any more.
pub(super) fn leaving(subject: &Subject, plan: &Plan, retained: bool) -> impl Iterator<Item = Entry> {
    let past = subject.past().iter();
    past.filter_map(move |(key, written)| entry(key, written, plan, retained))
}

fn entry(key: &Key, past: &Written, plan: &Plan, retained: bool) -> Option<Entry> {
    if plan.rows.iter().any(|row| &row.group.key == key) {
        return None;
    }
    if past.purpose == Purpose::Owner && !plan.rows.is_empty() {
        // Told with what is declared.
        return None;
    }
    let change = plan.changes().find(|change| &change.key == key);
    let (fate, note) = match change {
        Some(change) => (taken(change), None),
        None if retained => (
            Fate::There(texts(&past.values)),
            Some("stays: spec.publishing.deletionPolicy is Retain, or nothing is written"),
        ),
        None if plan.written.contains_key(key) => (
            Fate::There(texts(&past.values)),
            Some(why_it_stays(key, past, plan)),
        ),
        None => return None,
    };
    Some(Entry {
        name: key.name.to_string(),
        record_type: key.record_type,
        ttl: change.map_or(0, |change| change.ttl),
        fate,
        note: note.map(str::to_owned),
    })
}

fn why_it_stays(key: &Key, past: &Written, plan: &Plan) -> &'static str {
    if past.purpose == Purpose::Owner {
        "the owner text: goes when nothing else of this domain is left to be withdrawn"
    } else if plan
        .held
        .as_ref()
        .is_some_and(|held| held.values.contains_key(key))
    {
        "stays until somebody acknowledges the removal, see status.conditions"
    } else if plan.retiring.contains_key(key) {
        "retires: stays for the time of spec.publishing.retireAfter; then it is removed"
    } else {
        "stays until mail in flight has arrived that is signed with it; then it is removed"
    }
}

/// What a removal takes away, and what it gives back.
fn taken(change: &Change) -> Fate {
    let there: BTreeSet<&String> = change.before.iter().flat_map(|b| b.records.keys()).collect();
    let kept: BTreeSet<&String> = change.keep.iter().collect();
    Fate::Write {
        removed: there.difference(&kept).map(ToString::to_string).collect(),
        added: kept.difference(&there).map(ToString::to_string).collect(),
        ttl_before: change
            .before
            .as_ref()
            .filter(|b| b.ttl != change.ttl && !change.deletes())
            .map(|b| b.ttl),
    }
}
