//! The breaker: removals that nobody decided are few, or they wait for somebody's word.
//!
//! A removal is explained when the object's generation is newer than the one that was planned last, when its end was dated
//! before, when it makes room for what is declared in its place, or when the object is being deleted. What has no such
//! reason comes from elsewhere: a version that reads the declaration in another way, a ledger of another time. Whatever is
//! explained is marked so in the ledger before a provider is called, and the ledger's generation advances in the same
//! write; so a crash in between neither loses the reason nor invents one.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest, Sha256};

use super::marks::Marks;
use super::{Explains, Group, Situation, Written};
use crate::protocol::Purpose;
use crate::record::{Key, RecordType, Value, Values};

/// So many unexplained removals of one pass are carried out, or one in a hundred entries of the ledger if that is more.
const FEW: usize = 3;

/// Removals that wait for a person's word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBack {
    /// Which values stay where.
    pub values: BTreeMap<Key, Values>,
    /// Names exactly these removals; to acknowledge it lets them go.
    pub hash: String,
}

impl HeldBack {
    /// One line a value, as `name type value`.
    pub fn lines(&self) -> impl Iterator<Item = String> {
        self.values
            .iter()
            .flat_map(|(key, values)| values.iter().map(move |value| format!("{key} {value}")))
    }
}

/// What the breaker says.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// What stays.
    pub(super) held: Option<HeldBack>,
    /// The marks of every entry that loses something, and of those that had some.
    pub(super) marks: BTreeMap<Key, Marks>,
}

/// Judges every value of ours that nobody declares any more.
pub(super) fn judge(situation: &Situation<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    if situation.mandate.explains == Explains::Everything {
        return verdict;
    }
    let mut doubtful: BTreeMap<Key, Values> = BTreeMap::new();
    let mut count = 0;
    let mut was_held = false;
    for (key, entry) in situation.written {
        let group = situation.groups.iter().find(|group| &group.key == key);
        let mut marks = entry.marks.clone();
        let declared = |value: &Value| group.is_some_and(|group| group.values.contains(value));
        let gone = |value: &Value| entry.values.contains(value) && !declared(value);
        // What is declared again is decided anew when it is dropped again.
        marks.released.retain(&gone);
        marks.held.retain(&gone);
        if let Some((values, number)) = removal(situation, key, entry, group) {
            let dated = |value: &Value| marks.retiring.contains_key(&value.to_string());
            let mut open: Values = values
                .into_iter()
                .filter(|v| !marks.released.contains(v) && !dated(v))
                .collect();
            if situation.mandate.explains == Explains::New {
                let (held, explained) = open.into_iter().partition(|v| marks.held.contains(v));
                open = held;
                marks.released.extend::<Values>(explained);
            }
            if !open.is_empty() {
                was_held |= open.iter().any(|value| marks.held.contains(value));
                count += number.min(open.len());
                doubtful.insert(key.clone(), open);
            }
        }
        verdict.marks.insert(key.clone(), marks);
    }
    let few = FEW.max(situation.written.len() / 100);
    // What was held once does not go because some of it was declared again.
    if count <= few && !was_held {
        return verdict;
    }
    let hash = hash(&doubtful);
    let acknowledged = situation
        .mandate
        .acknowledged
        .is_some_and(|text| text.trim() == hash);
    for (key, values) in &doubtful {
        let marks = verdict.marks.entry(key.clone()).or_default();
        if acknowledged {
            marks.held.clear();
            marks.released.extend(values.iter().cloned());
        } else {
            marks.held.clone_from(values);
        }
    }
    verdict.held = (!acknowledged).then_some(HeldBack {
        values: doubtful,
        hash,
    });
    verdict
}

/// The values of an entry that this plan would remove, and how many removals that makes: one for a whole RRset, else one
/// for each value that has no successor.
fn removal(
    situation: &Situation<'_>,
    key: &Key,
    entry: &Written,
    group: Option<&Group>,
) -> Option<(Values, usize)> {
    // Unknown is not absent: what could not be read counts as standing there.
    let there = match situation.live.get(&entry.home) {
        Some(Ok(live)) => live.values(key).cloned().collect(),
        Some(Err(_)) | None => entry.values.clone(),
    };
    let ours: Values = entry.values.intersection(&there).cloned().collect();
    let Some(group) = group else {
        // Keys are dated when they are given up, the owner text goes last, and an alias and other records make room for one
        // another.
        let ends_otherwise =
            matches!(entry.purpose, Purpose::Dkim | Purpose::Owner) || makes_room(situation, key);
        return (!ours.is_empty() && !ends_otherwise).then_some((ours, 1));
    };
    let gone: Values = ours
        .into_iter()
        .filter(|value| group.claims(value) && !group.values.contains(value))
        .collect();
    let added = group.values.iter().filter(|value| !there.contains(value)).count();
    let number = gone.len().saturating_sub(added);
    (number > 0).then_some((gone, number))
}

/// Whether an alias is declared in the place of other records, or they in the place of an alias.
pub(super) fn makes_room(situation: &Situation<'_>, key: &Key) -> bool {
    let is_alias = |key: &Key| key.record_type == RecordType::Cname;
    let mut groups = situation.groups.iter();
    groups.any(|group| group.key.name == key.name && is_alias(&group.key) != is_alias(key))
}

/// Short, and the same for the same removals whenever and wherever they are planned.
fn hash(removals: &BTreeMap<Key, Values>) -> String {
    let lines: BTreeSet<String> = removals
        .iter()
        .flat_map(|(key, values)| values.iter().map(move |value| format!("{key} {value}\n")))
        .collect();
    let digest = Sha256::digest(lines.into_iter().collect::<String>().as_bytes());
    digest
        .iter()
        .take(5)
        .map(|octet| format!("{octet:02x}"))
        .collect()
}
