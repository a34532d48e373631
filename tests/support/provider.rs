//! What providers do when they are called, and what the ledger remembers of it.

use std::collections::BTreeMap;

use maildomain::plan::{Plan, is_owner};
use maildomain::publish::{Live, ProviderPlan, PublishError};
use maildomain::tenancy::Home;

use crate::setting::Setting;
use crate::zone::{Line, Zone};

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
    let mut parts: Vec<_> = plan.providers.iter().collect();
    let guards = |part: &ProviderPlan| part.changes.iter().any(is_owner);
    parts.sort_by_key(|(_, part)| !guards(part));
    for (name, part) in parts {
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
        if let Some(line) = behaviour.rival.as_deref().map(Line::parse) {
            zone.remove(&line.owner, &line.kind);
            zone.add(line);
        }
        let stopped = behaviour.write.is_some() && guards(part);
        applied.insert(name.clone(), behaviour.write.map_or(Ok(()), Err));
        if stopped {
            break;
        }
    }
    applied
}
