//! What providers do when they are called, and what the ledger remembers of it.

use std::collections::BTreeMap;

use maildomain::plan::{Plan, Written};
use maildomain::publish::{Live, PublishError};
use maildomain::record::Key;
use maildomain::tenancy::Home;

use crate::setting::Setting;
use crate::zone::Zone;

/// What stands at each zone, or why that is not known.
pub(crate) type LiveByHome = BTreeMap<Home, Result<Live, PublishError>>;

/// Calls the providers that have something to do, or that are told a state which was not made in the dark.
pub(crate) fn apply(
    setting: &Setting,
    zone: &mut Zone,
    plan: &Plan,
    live: &LiveByHome,
) -> BTreeMap<String, Result<(), PublishError>> {
    let mut applied = BTreeMap::new();
    for (name, part) in &plan.providers {
        let behaviour = setting.behaviour(name);
        let blind = live
            .iter()
            .any(|(home, read)| &home.provider == name && read.is_err());
        if blind || !behaviour.hands_over && part.changes.is_empty() {
            continue;
        }
        if behaviour.write.is_none() && !behaviour.swallows {
            part.changes.iter().for_each(|change| zone.apply(change));
        }
        applied.insert(name.clone(), behaviour.write.map_or(Ok(()), Err));
    }
    applied
}

/// The ledger after the write: a provider that reads back what it wrote has shown that it is there.
pub(crate) fn remembered(
    setting: &Setting,
    plan: &Plan,
    applied: &BTreeMap<String, Result<(), PublishError>>,
) -> BTreeMap<Key, Written> {
    let mut written = plan.written.clone();
    let done = |home: &Home| {
        applied.get(&home.provider).is_some_and(Result::is_ok)
            && !setting.behaviour(&home.provider).hands_over
    };
    let wrote = plan.rows.iter().filter(|row| row.step.writes());
    for row in wrote.filter(|row| row.home.as_ref().is_some_and(done)) {
        let entry = written.get_mut(&row.group.key).unwrap();
        entry.values.clone_from(&row.group.values);
        entry.settled = true;
    }
    written
}
