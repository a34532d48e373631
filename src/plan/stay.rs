//! What stays although nobody declares it any more, in front of the plan: held back by the breaker, or retiring.

use std::collections::{BTreeMap, BTreeSet};

use super::breaker::{self, HeldBack};
use super::marks::Marks;
use super::retire::{self, Retiring};
use super::{Group, Plan, Situation};
use crate::intent::Mode;
use crate::record::Key;

/// What stays, and why.
#[derive(Debug, Default)]
pub(super) struct Stays {
    /// The wanted groups, with what stays beside what is wanted.
    pub(super) groups: Vec<Group>,
    /// RRsets that nobody declares, as far as they stay.
    pub(super) whole: BTreeMap<Key, Option<Group>>,
    held: Option<HeldBack>,
    retiring: BTreeMap<Key, Retiring>,
    cut: BTreeMap<Key, Vec<String>>,
    marks: BTreeMap<Key, Marks>,
}

impl Stays {
    /// Decides. Where others write or nobody does, nothing of ours stays or goes.
    pub(super) fn decide(situation: &Situation<'_>) -> Self {
        let mut stays = Self {
            groups: situation.groups.to_vec(),
            ..Self::default()
        };
        if situation.conduct.mode != Mode::Publish {
            return stays;
        }
        let breaker::Verdict { held, marks } = breaker::judge(situation);
        stays.marks = marks;
        let wanted: BTreeSet<&Key> = situation.groups.iter().map(|group| &group.key).collect();
        for (key, entry) in situation.written.iter().filter(|(key, _)| !wanted.contains(key)) {
            let Some(Ok(live)) = situation.live.get(&entry.home) else {
                continue;
            };
            if held.as_ref().is_some_and(|held| held.values.contains_key(key)) {
                stays.whole.insert(key.clone(), None);
            } else if let Some((group, retiring)) = retire::whole(
                situation,
                key,
                entry,
                live,
                stays.marks.entry(key.clone()).or_default(),
            ) {
                stays.whole.insert(key.clone(), Some(group));
                stays.retiring.insert(key.clone(), retiring);
            }
        }
        for group in &mut stays.groups {
            let held = held.as_ref().and_then(|held| held.values.get(&group.key));
            group.values.extend(held.into_iter().flatten().cloned());
            let Some(marks) = stays.marks.get_mut(&group.key) else {
                continue;
            };
            if let Some(retiring) = retire::beside(situation, group, marks, &mut stays.cut) {
                stays.retiring.insert(group.key.clone(), retiring);
            }
        }
        stays.held = held;
        stays
    }

    /// Writes the decisions into the plan, before anything is planned from them.
    pub(super) fn note(self, plan: &mut Plan) {
        for (key, marks) in self.marks {
            if let Some(entry) = plan.written.get_mut(&key) {
                entry.marks = marks;
            }
        }
        plan.held = self.held;
        plan.retiring = self.retiring;
        plan.cut = self.cut;
    }
}
