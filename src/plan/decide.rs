//! One RRset at a time: keep, write, mend, leave alone, remove.

use std::collections::BTreeSet;

use super::{Group, Plan, Row, Situation, Step, Written, conflict};
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
    let step = decide(situation, group, live);
    match step {
        Step::Write | Step::Mend => write(plan, situation, group, &home, live),
        Step::InPlace => settle(plan, group, &home),
        Step::Satisfied => {
            let values = claimed(group, live.rrsets.get(&group.key)).0;
            let group = Group {
                values,
                ..group.clone()
            };
            return leave(plan, situation, &group, Some(home), step);
        }
        Step::Conflict(_) | Step::Refused(_) | Step::Unread(_) => {
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

fn provider<'a>(plan: &'a mut Plan, situation: &Situation<'_>, home: &Home) -> &'a mut ProviderPlan {
    plan.providers
        .entry(home.provider.clone())
        .or_insert_with(|| ProviderPlan {
            domain: situation.domain.clone(),
            changes: Vec::new(),
            state: std::collections::BTreeMap::new(),
        })
}

/// The step for an RRset whose live content is known.
fn decide(situation: &Situation<'_>, group: &Group, live: &Live) -> Step {
    if let Some(message) = conflict::alias(group, live, situation) {
        return Step::Conflict(message);
    }
    let rrset = live.rrsets.get(&group.key);
    let (claimed, unreadable) = claimed(group, rrset);
    let entry = situation.written.get(&group.key);
    let same_ttl =
        rrset.is_none_or(|r| r.ttl == situation.ttl || group.is_shared() && r.records.len() > claimed.len());
    if claimed == group.values && !unreadable {
        return match entry {
            Some(_) if same_ttl => Step::InPlace,
            Some(_) => Step::Write,
            None => Step::Satisfied,
        };
    }
    if claimed.is_empty() && !unreadable {
        return if entry.is_some_and(|e| e.settled) {
            Step::Mend
        } else {
            Step::Write
        };
    }
    match entry {
        Some(entry) if entry.settled && entry.values == group.values => Step::Mend,
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
        Some(_) | None => Step::Conflict(conflict::foreign(group, rrset)),
    }
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
fn kept(group: &Group, live: &Live) -> (BTreeSet<String>, Vec<Value>) {
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
fn ttl_for(situation: &Situation<'_>, group: &Group, live: &Live) -> u32 {
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
    let entry = plan.written.entry(group.key.clone()).or_insert_with(|| Written {
        home: home.clone(),
        purpose: group.purpose,
        values: Values::new(),
        settled: false,
        withdraw_after: None,
    });
    // A settled entry stays settled: the RRset remains ours while its values change.
    let old = if entry.settled {
        Values::new()
    } else {
        std::mem::take(&mut entry.values)
    };
    entry.values = old.into_iter().chain(group.values.iter().cloned()).collect();
    entry.home = home.clone();
    entry.withdraw_after = None;
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
pub(super) fn unwanted(plan: &mut Plan, situation: &Situation<'_>) {
    for (key, entry) in situation.written {
        if situation.groups.iter().any(|group| &group.key == key) {
            continue;
        }
        let Some(Ok(live)) = situation.live.get(&entry.home) else {
            // Unknown is not absent: keep remembering.
            keep_state(plan, situation, key, entry);
            continue;
        };
        let is_key = entry.purpose == Purpose::Dkim && key.record_type == RecordType::Txt;
        let stays = match replaced(plan, key) {
            Some(replaced) => !replaced,
            None => is_key && !drained(plan, situation, key, entry),
        };
        if stays {
            keep_state(plan, situation, key, entry);
        } else {
            remove(plan, situation, key, entry, live);
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
    Some(rows.all(|row| match row.step {
        Step::InPlace | Step::Satisfied | Step::Write | Step::Mend => true,
        Step::Conflict(_) | Step::Refused(_) | Step::Unread(_) => false,
    }))
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

fn keep_state(plan: &mut Plan, situation: &Situation<'_>, key: &Key, entry: &Written) {
    let state = (situation.ttl, entry.values.clone());
    provider(plan, situation, &entry.home)
        .state
        .insert(key.clone(), state);
}

fn remove(plan: &mut Plan, situation: &Situation<'_>, key: &Key, entry: &Written, live: &Live) {
    let rrset = live.rrsets.get(key);
    let ours_there = rrset.is_some_and(|r| {
        r.records
            .values()
            .any(|value| value.as_ref().is_some_and(|v| entry.values.contains(v)))
    });
    if !ours_there {
        plan.written.remove(key);
        // A provider that is told a state must hear that this key left it.
        provider(plan, situation, &entry.home);
        return;
    }
    let Some(rrset) = rrset else { return };
    let keep = rrset
        .records
        .iter()
        .filter(|(_, value)| !value.as_ref().is_some_and(|v| entry.values.contains(v)))
        .map(|(raw, _)| raw.clone())
        .collect();
    let change = Change {
        zone: entry.home.zone.clone(),
        key: key.clone(),
        before: Some(rrset.clone()),
        ttl: rrset.ttl,
        keep,
        ours: Values::new(),
    };
    provider(plan, situation, &entry.home).changes.push(change);
}
