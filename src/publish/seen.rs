//! What DNS shows of a zone, in the form in which a provider tells what it holds. Pure: answers in, content out.

use std::collections::{BTreeMap, BTreeSet};

use super::{Live, LiveRrset, PublishError};
use crate::lookup::{Answer, Direct, Failure};
use crate::name::Name;
use crate::record::{Key, RecordType};
use crate::tenancy::Home;

/// The types that matter at each name.
pub fn questions(names: &BTreeSet<Name>) -> BTreeSet<Key> {
    const FORWARD: &[RecordType] = &[
        RecordType::A,
        RecordType::Aaaa,
        RecordType::Cname,
        RecordType::Mx,
        RecordType::Txt,
    ];
    const REVERSE: &[RecordType] = &[RecordType::Cname, RecordType::Ptr, RecordType::Txt];
    names
        .iter()
        .flat_map(|name| {
            let reverse = name.labels().next_back() == Some("arpa");
            let types = if reverse { REVERSE } else { FORWARD };
            types.iter().map(|t| Key::new(name.clone(), *t))
        })
        .collect()
}

/// What the zone's servers hold, from what they said. A server that lags may say less or more than the others, so
/// every server's records count; one that failed says nothing. When all failed, nothing is known.
pub fn gather(zone: &Name, keys: &BTreeSet<Key>, direct: &Direct) -> Result<Live, PublishError> {
    let mut live = Live::default();
    for key in keys {
        if let Some(failure) = direct.unreachable.get(&key.name) {
            return Err(unanswered(zone, [*failure]));
        }
        let answers = direct.answers.get(key).map(Vec::as_slice).unwrap_or_default();
        if answers.iter().all(|(_, a)| matches!(a, Answer::Failed(_))) {
            let failures = answers.iter().filter_map(|(_, a)| a.values().err());
            return Err(unanswered(zone, failures));
        }
        for (_, answer) in answers {
            add(&mut live, key, answer);
        }
    }
    Ok(live)
}

fn add(live: &mut Live, key: &Key, answer: &Answer) {
    match answer {
        Answer::Records { values, aliases, ttl } if aliases.is_empty() => {
            let rrset: &mut LiveRrset = live.rrsets.entry(key.clone()).or_default();
            // Servers of one zone agree on the TTL; a resolver in their place counts down from it.
            rrset.ttl = rrset.ttl.max(*ttl);
            let records = values.iter().map(|v| (v.to_string(), Some(v.clone())));
            rrset.records.extend(records);
        }
        // Records behind an alias stand at another name; the alias itself is asked for too.
        Answer::Records { .. } | Answer::NoData { .. } | Answer::NxDomain { .. } | Answer::Failed(_) => {}
    }
}

/// Servers that all refuse or lack the zone do not serve it; any other failure may pass.
fn unanswered(zone: &Name, failures: impl IntoIterator<Item = Failure>) -> PublishError {
    let mut failures = failures.into_iter().peekable();
    let refused = |failure| matches!(failure, Failure::Refused | Failure::Lame);
    if failures.peek().is_some() && failures.all(refused) {
        PublishError::ZoneMissing(zone.clone())
    } else {
        PublishError::Unreachable
    }
}

/// The same by name, for names without a provider: one that could not be asked says nothing about the others.
pub fn by_name(names: &BTreeSet<Name>, direct: &Direct) -> BTreeMap<Home, Result<Live, PublishError>> {
    let read = |name: &Name| {
        let mut live = Live::default();
        for key in questions(&[name.clone()].into()) {
            let answers = direct.answers.get(&key).map(Vec::as_slice).unwrap_or_default();
            let unreachable = direct.unreachable.get(name).copied();
            let failed = answers.iter().find_map(|(_, answer)| answer.values().err());
            if answers
                .iter()
                .all(|(_, answer)| matches!(answer, Answer::Failed(_)))
            {
                let failure = unreachable.or(failed).unwrap_or(Failure::NotAsked);
                return Err(PublishError::Unseen(name.clone(), failure));
            }
            for (_, answer) in answers {
                add(&mut live, &key, answer);
            }
        }
        Ok(live)
    };
    names
        .iter()
        .map(|name| (Home::in_dns(name), read(name)))
        .collect()
}
