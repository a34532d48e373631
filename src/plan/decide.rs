//! One RRset at a time: keep, write, mend, leave alone, remove.

use std::collections::{BTreeMap, BTreeSet};

use super::{Before, Group, Marks, Plan, Row, Situation, Step, Written, conflict, war, withhold};
use crate::intent::{Adoption, Drift, Mode};
use crate::protocol::Purpose;
use crate::publish::{Change, Live, LiveRrset, ProviderPlan, PublishError};
use crate::record::{Key, RecordType, Value, Values};
use crate::tenancy::{Home, Refusal};

/// Decides about a wanted RRset.
pub(super) fn wanted(plan: &mut Plan, situation: &Situation<'_>, group: &Group, clash: bool) {
    let name = &group.key.name;
    let refused = || Err(Refusal::NoProvider(name.clone()));
    let home = match situation.places.get(name).cloned().unwrap_or_else(refused) {
        Ok(home) => home,
        Err(refusal) => return leave(plan, situation, group, None, Step::Refused(refusal)),
    };
    if clash {
        let message = format!(
            "{name} is declared as an alias, so it cannot also hold {}",
            group.key.record_type
        );
        return leave(plan, situation, group, Some(home), Step::Conflict(message));
    }
    let live = match situation.live.get(&home) {
        Some(Ok(live)) => live,
        Some(Err(error)) => return leave(plan, situation, group, Some(home), Step::Unread(error.clone())),
        None => {
            return leave(
                plan,
                situation,
                group,
                Some(home),
                Step::Unread(PublishError::Unreachable),
            );
        }
    };
    let step = decide(situation, group, &home, live);
    let step = withhold::restrain(situation, group, live, step);
    let rrset = live.rrsets.get(&group.key);
    let step = war::restrain(situation, group, &home, rrset, step);
    if step.writes() && war::is_revert(situation, group, &home, rrset) {
        plan.reverts.insert(group.key.clone());
    }
    match step {
        Step::Write | Step::Mend => write(plan, situation, group, &home, live),
        Step::Replace => {
            let before = replaced_by(situation, group, live);
            write(plan, situation, group, &home, live);
            if let Some(entry) = plan.written.get_mut(&group.key) {
                entry.before = before;
            }
        }
        Step::InPlace => settle(plan, group, &home),
        Step::Adopt => {
            plan.written.insert(group.key.clone(), nothing_yet(group, &home));
            settle(plan, group, &home);
        }
        Step::Satisfied => {
            let values = claimed(group, rrset).0;
            let group = Group {
                values,
                ..group.clone()
            };
            return leave(plan, situation, &group, Some(home), step);
        }
        Step::Conflict(_) | Step::Refused(_) | Step::Unread(_) | Step::Withheld(_) => {
            return leave(plan, situation, group, Some(home), step);
        }
    }
    let ttl = ttl_for(situation, group, live);
    let kept = kept(group, live).1;
    let values = group.values.iter().cloned().chain(kept).collect();
    provider(plan, situation, &home)
        .state
        .insert(group.key.clone(), (ttl, values));
    plan.rows.push(Row {
        group: group.clone(),
        home: Some(home),
        step,
    });
}

/// Nothing is written. What we wrote there before stays in the state that a provider is told: not to know, or not to
/// be allowed any more, never removes a record.
fn leave(plan: &mut Plan, situation: &Situation<'_>, group: &Group, home: Option<Home>, step: Step) {
    if let Some(entry) = situation.written.get(&group.key) {
        keep_state(plan, situation, &group.key, entry);
    }
    plan.rows.push(Row {
        group: group.clone(),
        home,
        step,
    });
}

pub(super) fn provider<'a>(
    plan: &'a mut Plan,
    situation: &Situation<'_>,
    home: &Home,
) -> &'a mut ProviderPlan {
    plan.providers
        .entry(home.provider.clone())
        .or_insert_with(|| ProviderPlan {
            domain: situation.domain.clone(),
            changes: Vec::new(),
            state: BTreeMap::new(),
        })
}

/// The step for an RRset whose live content is known, as if everything might be written.
fn decide(situation: &Situation<'_>, group: &Group, home: &Home, live: &Live) -> Step {
    if let Some(message) = conflict::alias(group, live, situation) {
        return Step::Conflict(message);
    }
    let conduct = situation.conduct;
    let rrset = live.rrsets.get(&group.key);
    let (claimed, unreadable) = claimed(group, rrset);
    let entry = situation.written.get(&group.key);
    let adoption = if situation.told.contains(&home.provider) {
        Adoption::Never
    } else {
        conduct.adoption
    };
    if claimed == group.values && !unreadable {
        let asked = situation.asked.contains(&group.key) && !situation.told.contains(&home.provider);
        return match entry {
            Some(_) if same_ttl(situation, group, rrset) => Step::InPlace,
            // With Report nobody's change is written over, and whose change of the TTL it was is not known.
            Some(_) if conduct.drift == Drift::Report => Step::Mend,
            Some(_) => Step::Write,
            None if adoption != Adoption::Never || asked => Step::Adopt,
            None => Step::Satisfied,
        };
    }
    if claimed.is_empty() && !unreadable {
        // Where an alias and other records of ours change places, what is missing was not taken away by another hand.
        let changes_place = live.rrsets.keys().any(|key| {
            let is_alias = |key: &Key| key.record_type == RecordType::Cname;
            key.name == group.key.name && is_alias(key) != is_alias(&group.key)
        });
        return if entry.is_some_and(|e| e.settled) && !changes_place {
            Step::Mend
        } else {
            Step::Write
        };
    }
    match entry {
        Some(entry) if entry.settled && entry.values == group.values => Step::Mend,
        Some(entry) if entry.settled && conduct.drift == Drift::Report && claimed != entry.values => {
            Step::Mend
        }
        Some(entry) if entry.settled => Step::Write,
        _ if !unreadable && conflict::is_merged(group, &claimed) => Step::Satisfied,
        Some(entry)
            if !unreadable
                && claimed
                    .iter()
                    .all(|v| entry.values.contains(v) || group.values.contains(v)) =>
        {
            Step::Write
        }
        Some(_) | None if adoption == Adoption::Replace => Step::Replace,
        Some(_) | None => Step::Conflict(conflict::foreign(group, rrset, situation.mandate.burdens)),
    }
}

/// Whether the TTL is as declared. That of an RRset with foreign values is not ours, nor is any where nothing is written.
fn same_ttl(situation: &Situation<'_>, group: &Group, rrset: Option<&LiveRrset>) -> bool {
    situation.conduct.mode != Mode::Publish
        || rrset.is_none_or(|r| {
            let claimed = r.records.values().flatten().filter(|v| group.claims(v)).count();
            r.ttl == situation.ttl || group.is_shared() && r.records.len() > claimed
        })
}

/// The live values of our kind, and whether there are such that do not parse.
fn claimed(group: &Group, rrset: Option<&LiveRrset>) -> (Values, bool) {
    let mut values = Values::new();
    let mut unreadable = false;
    for value in rrset.iter().flat_map(|r| r.records.values()) {
        match value {
            Some(value) if group.claims(value) => drop(values.insert(value.clone())),
            Some(_) => {}
            None => unreadable |= !group.is_shared(),
        }
    }
    (values, unreadable)
}

/// The foreign records that stay: as stored, and as values where they parse.
pub(super) fn kept(group: &Group, live: &Live) -> (BTreeSet<String>, Vec<Value>) {
    let rrset = live.rrsets.get(&group.key);
    let foreign = rrset
        .iter()
        .flat_map(|r| &r.records)
        .filter(|(_, value)| group.is_shared() && !value.as_ref().is_some_and(|v| group.claims(v)));
    let (raw, values): (BTreeSet<String>, Vec<Option<Value>>) =
        foreign.map(|(raw, value)| (raw.clone(), value.clone())).unzip();
    (raw, values.into_iter().flatten().collect())
}

/// An RRset with foreign values keeps its own TTL: all records of an RRset share one (RFC 2181 section 5.2).
pub(super) fn ttl_for(situation: &Situation<'_>, group: &Group, live: &Live) -> u32 {
    let foreign = !kept(group, live).0.is_empty();
    live.rrsets
        .get(&group.key)
        .filter(|_| foreign)
        .map_or(situation.ttl, |rrset| rrset.ttl)
}

fn write(plan: &mut Plan, situation: &Situation<'_>, group: &Group, home: &Home, live: &Live) {
    let change = Change {
        zone: home.zone.clone(),
        key: group.key.clone(),
        before: live.rrsets.get(&group.key).cloned(),
        ttl: ttl_for(situation, group, live),
        keep: kept(group, live).0,
        ours: group.values.clone(),
    };
    provider(plan, situation, home).changes.push(change);
    let entry = plan
        .written
        .entry(group.key.clone())
        .or_insert_with(|| nothing_yet(group, home));
    // A settled entry stays settled: the RRset remains ours while its values change. Where drift is only reported it must
    // be told from a change of our own that did not come through.
    entry.settled &= situation.conduct.drift == Drift::Repair;
    // The old values stay ours until the new ones are seen: the write may fail.
    entry.values.extend(group.values.iter().cloned());
    entry.home = home.clone();
    entry.withdraw_after = None;
}

fn nothing_yet(group: &Group, home: &Home) -> Written {
    Written {
        home: home.clone(),
        purpose: group.purpose,
        values: Values::new(),
        settled: false,
        withdraw_after: None,
        before: None,
        marks: Marks::default(),
    }
}

/// The foreign records of our kind that make room. Where an earlier try was cut off, what it replaced counts, and what it
/// wrote does not.
fn replaced_by(situation: &Situation<'_>, group: &Group, live: &Live) -> Option<Before> {
    let rrset = live.rrsets.get(&group.key)?;
    let entry = situation.written.get(&group.key);
    let is_claimed = |value: &Option<Value>| match value {
        Some(value) => group.claims(value) && (entry.is_none() || !group.values.contains(value)),
        None => !group.is_shared(),
    };
    let there = rrset.records.iter().filter(|(_, value)| is_claimed(value));
    let mut before = Before {
        ttl: rrset.ttl,
        records: there.map(|(raw, _)| raw.clone()).collect(),
    };
    if let Some(earlier) = entry.and_then(|entry| entry.before.clone()) {
        before.ttl = earlier.ttl;
        before.records.extend(earlier.records);
    }
    Some(before)
}

fn settle(plan: &mut Plan, group: &Group, home: &Home) {
    if let Some(entry) = plan.written.get_mut(&group.key) {
        entry.values.clone_from(&group.values);
        entry.settled = true;
        entry.home = home.clone();
        entry.withdraw_after = None;
    }
}

/// Decides about RRsets that we wrote and that nobody wants any more. Only our values are removed.
/// Some of them stay for another reason than what is wanted; what retires gets a row.
pub(super) fn unwanted(plan: &mut Plan, situation: &Situation<'_>, stays: &BTreeMap<Key, Option<Group>>) {
    for (key, entry) in situation.written {
        if situation.groups.iter().any(|group| &group.key == key) {
            continue;
        }
        if entry.purpose == Purpose::Owner {
            // See `owner`; what it does not speak of stays.
            keep_state(plan, situation, key, entry);
            continue;
        }
        if let Some(stays) = stays.get(key) {
            keep_state(plan, situation, key, entry);
            plan.rows.extend(stays.as_ref().map(|group| Row {
                group: group.clone(),
                home: Some(entry.home.clone()),
                step: Step::InPlace,
            }));
            continue;
        }
        let Some(Ok(live)) = situation.live.get(&entry.home) else {
            // Unknown is not absent: keep remembering.
            keep_state(plan, situation, key, entry);
            continue;
        };
        let is_key = entry.purpose == Purpose::Dkim;
        let (stays, before) = match replaced(plan, key) {
            // What takes its place could not stand beside what was there before.
            Some(replaced) => (!replaced, None),
            None => (
                is_key && !drained(plan, situation, key, entry),
                entry.before.as_ref(),
            ),
        };
        if stays {
            keep_state(plan, situation, key, entry);
        } else {
            remove(plan, situation, key, entry, before, live);
        }
    }
}

/// Where an alias takes the place of other records, or they of an alias: whether all of that can be there. Until then
/// what stands there stays; afterwards the two cannot share the name.
fn replaced(plan: &Plan, key: &Key) -> Option<bool> {
    let is_alias = |key: &Key| key.record_type == RecordType::Cname;
    let takes_place =
        |row: &&Row| row.group.key.name == key.name && is_alias(&row.group.key) != is_alias(key);
    let mut rows = plan.rows.iter().filter(takes_place).peekable();
    rows.peek()?;
    Some(rows.all(|row| row.step.is_there()))
}

/// Mail in flight may still need a key record (RFC 6376 section 3.1): it stays for the drain time.
fn drained(plan: &mut Plan, situation: &Situation<'_>, key: &Key, entry: &Written) -> bool {
    match entry.withdraw_after {
        Some(after) => situation.now >= after,
        None => {
            if let Some(entry) = plan.written.get_mut(key) {
                entry.withdraw_after = Some(situation.now + situation.drain);
            }
            situation.drain.is_zero()
        }
    }
}

pub(super) fn keep_state(plan: &mut Plan, situation: &Situation<'_>, key: &Key, entry: &Written) {
    let state = (situation.ttl, entry.values.clone());
    provider(plan, situation, &entry.home)
        .state
        .insert(key.clone(), state);
}

/// Takes our values away, and puts back what they had replaced.
pub(super) fn remove(
    plan: &mut Plan,
    situation: &Situation<'_>,
    key: &Key,
    entry: &Written,
    before: Option<&Before>,
    live: &Live,
) {
    // A provider that is told a state must hear that this key left it.
    let part = provider(plan, situation, &entry.home);
    match taken(key, entry, before, live) {
        Taken::By(change) => part.changes.push(change),
        Taken::Already => drop(plan.written.remove(key)),
    }
}

/// How our values of an entry go.
#[derive(Debug)]
pub(super) enum Taken {
    /// They do not stand there.
    Already,
    /// By this change.
    By(Change),
}

/// Takes our values away from what stands there, and puts back what they had replaced.
pub(super) fn taken(key: &Key, entry: &Written, before: Option<&Before>, live: &Live) -> Taken {
    let is_ours = |value: &Option<Value>| value.as_ref().is_some_and(|v| entry.values.contains(v));
    let Some(rrset) = live.rrsets.get(key).filter(|r| r.records.values().any(is_ours)) else {
        return Taken::Already;
    };
    let foreign = rrset
        .records
        .iter()
        .filter(|(_, value)| !is_ours(value))
        .map(|(raw, _)| raw.clone());
    let keep: BTreeSet<String> = foreign
        .chain(before.iter().flat_map(|before| before.records.clone()))
        .collect();
    if keep.iter().eq(rrset.records.keys()) {
        // What is to be given back stands there already.
        return Taken::Already;
    }
    // Whoever shares the RRset has its TTL.
    let alone = rrset.records.values().all(is_ours);
    Taken::By(Change {
        zone: entry.home.zone.clone(),
        key: key.clone(),
        before: Some(rrset.clone()),
        ttl: before.filter(|_| alone).map_or(rrset.ttl, |before| before.ttl),
        keep,
        ours: Values::new(),
    })
}
