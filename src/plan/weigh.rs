//! The SPF records of a plan whose cost for receivers has to be found out before the plan is made. Pure: the asking is done
//! by whoever plans.

use std::collections::BTreeMap;

use super::{Group, Situation, conflict, moving, retire};
use crate::intent::Mode;
use crate::name::Name;
use crate::publish::LiveRrset;

/// The records to weigh: those with retiring terms that ask DNS, and those that are offered to be pasted in the place of
/// somebody else's. What they cost belongs into [`super::Mandate::burdens`] (RFC 7208 section 4.6.4).
pub fn to_weigh(situation: &Situation<'_>) -> BTreeMap<Name, String> {
    let housed = moving::housed(situation);
    let situation = &Situation {
        written: &housed.written,
        leaving: &housed.leaving,
        ..*situation
    };
    let candidate = |group: &Group| {
        let text = offered(situation, group).or_else(|| retire::to_weigh(situation, group))?;
        Some((group.key.name.clone(), text))
    };
    situation.groups.iter().filter_map(candidate).collect()
}

/// The record that would be offered in the place of what stands there. What is settled is mended where we publish.
fn offered(situation: &Situation<'_>, group: &Group) -> Option<String> {
    let is_ours = situation
        .written
        .get(&group.key)
        .is_some_and(|entry| entry.settled);
    if is_ours && situation.conduct.mode == Mode::Publish {
        return None;
    }
    conflict::to_weigh(group, Some(standing(situation, group)?))
}

fn standing<'a>(situation: &Situation<'a>, group: &Group) -> Option<&'a LiveRrset> {
    let home = situation.places.get(&group.key.name)?.as_ref().ok()?;
    let live = situation.live.get(home)?.as_ref().ok()?;
    live.rrsets.get(&group.key)
}
