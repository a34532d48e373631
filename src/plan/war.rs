//! An end to wars: a record that another hand changes again and again is mended three times within an hour, and is then
//! a conflict for an hour.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Group, Plan, Situation, Step, Written, conflict};
use crate::publish::{LiveRrset, PublishError};
use crate::record::{Key, Value, Values};
use crate::tenancy::Home;

/// So many reverts within [`SPAN`] are no mending any more.
pub const MOST: usize = 3;
/// Within which reverts count together, and for which peace lasts after the last of them.
pub const SPAN: SignedDuration = SignedDuration::from_hours(1);

/// Turns what would be the next blow of a war into a conflict.
pub(super) fn restrain(
    situation: &Situation<'_>,
    group: &Group,
    home: &Home,
    rrset: Option<&LiveRrset>,
    step: Step,
) -> Step {
    if !step.writes() || !is_revert(situation, group, home, rrset) {
        return step;
    }
    match reverts(situation, &group.key) {
        [.., last] if at_war(situation, &group.key) => Step::Conflict(message(group, rrset, *last + SPAN)),
        _ => step,
    }
}

/// Notes which changes of another hand the providers have undone; `true` when there was one. It is counted when it is done
/// and not before: a provider that fails, or a process that dies in between, is nobody's war.
pub fn count(
    written: &mut BTreeMap<Key, Written>,
    plan: &Plan,
    applied: &BTreeMap<String, Result<(), PublishError>>,
    generation: i64,
    now: Timestamp,
) -> bool {
    let is_done = |home: &Home| matches!(applied.get(&home.provider), Some(Ok(())));
    let done = plan
        .rows
        .iter()
        .filter(|row| plan.reverts.contains(&row.group.key));
    let mut any = false;
    for row in done.filter(|row| row.home.as_ref().is_some_and(is_done)) {
        let Some(entry) = written.get_mut(&row.group.key) else {
            continue;
        };
        let war = &mut entry.marks.war;
        if war.generation != generation {
            war.reverts.clear();
        }
        war.generation = generation;
        war.reverts.retain(|time| now.duration_since(*time) < SPAN);
        war.reverts.push(now);
        any = true;
    }
    any
}

/// Whether what is to be written was written before, and does not stand there because of another hand. A provider that is
/// told a state mends by itself and is not counted.
pub(super) fn is_revert(
    situation: &Situation<'_>,
    group: &Group,
    home: &Home,
    rrset: Option<&LiveRrset>,
) -> bool {
    if situation.told.contains(&home.provider) {
        return false;
    }
    let there: Values = rrset
        .iter()
        .flat_map(|rrset| rrset.records.values().flatten())
        .filter(|value| group.claims(value))
        .cloned()
        .collect();
    let entry = situation.written.get(&group.key);
    // Until it was seen there nobody can have taken it away.
    entry.filter(|entry| entry.settled).is_some_and(|entry| {
        let known = group.values.is_subset(&entry.values);
        // All of it ours and some of it to go is a change of ours; all of it as wanted leaves the TTL.
        known && (there != entry.values || there == group.values)
    })
}

/// The reverts that count for the present generation.
fn reverts<'a>(situation: &Situation<'a>, key: &Key) -> &'a [Timestamp] {
    situation
        .written
        .get(key)
        .map(|entry| &entry.marks.war)
        .filter(|war| war.generation == situation.mandate.generation)
        .map_or(&[], |war| war.reverts.as_slice())
}

fn at_war(situation: &Situation<'_>, key: &Key) -> bool {
    let reverts = reverts(situation, key);
    let recent = |last: &Timestamp| situation.now.duration_since(*last) < SPAN;
    reverts.len() >= MOST && reverts.last().is_some_and(recent)
}

fn message(group: &Group, rrset: Option<&LiveRrset>, until: Timestamp) -> String {
    let there = conflict::standing(group, rrset);
    let there = if there.is_empty() {
        "was removed".to_owned()
    } else {
        format!("was changed to {there}")
    };
    let wanted: Vec<String> = group.values.iter().map(Value::to_string).collect();
    let head = format!(
        "{there}; another hand changed it {MOST} times within an hour, so it is not mended before {until}. Find who writes it and stop that, or declare what it writes"
    );
    let whole = format!("{head}; declared is {}", wanted.join(", "));
    if whole.len() <= conflict::LONGEST {
        whole
    } else {
        head
    }
}
