//! What a wildcard answers stands at no name: it is neither in the way of what is wanted nor drift of it.
//!
//! It can satisfy: where it answers just what is declared, nobody can tell it from the record, and nothing is missing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Situation;
use crate::name::Name;
use crate::publish::{Live, PublishError};
use crate::record::{Key, Value};
use crate::tenancy::Home;

type Lives = BTreeMap<Home, Result<Live, PublishError>>;

/// What stands there, without what came from wildcards and is not what is wanted.
pub(super) fn dropped<'a>(situation: &Situation<'a>) -> Cow<'a, Lives> {
    let marked = |live: &Live| !live.of_wildcards.is_empty();
    if !situation.live.values().flatten().any(marked) {
        return Cow::Borrowed(situation.live);
    }
    let mut lives = situation.live.clone();
    for live in lives.values_mut().flatten() {
        for key in std::mem::take(&mut live.of_wildcards) {
            let group = situation.groups.iter().find(|group| group.key == key);
            let answered: Option<Vec<&Value>> = live
                .rrsets
                .get(&key)
                .map(|rrset| rrset.records.values().flatten().collect());
            if group.map(|group| group.values.iter().collect()) != answered {
                live.rrsets.remove(&key);
            }
        }
    }
    Cow::Owned(lives)
}

/// What wildcards answer at names that are declared with other types, as `TYPE value`. A name with any record of its own is
/// answered for by no wildcard, whatever the type (RFC 4592 section 2.2.1), so these answers end with ours. At names with an
/// underscore nobody asks for them.
pub(super) fn shadowed(situation: &Situation<'_>) -> BTreeMap<Name, String> {
    let mut shadowed: BTreeMap<Name, Vec<String>> = BTreeMap::new();
    let declared = |key: &Key| situation.groups.iter().any(|group| &group.key == key);
    let has_ours = |name: &Name| situation.groups.iter().any(|group| &group.key.name == name);
    for live in situation.live.values().flatten() {
        for key in &live.of_wildcards {
            let is_attribute = key.name.labels().any(|label| label.starts_with('_'));
            if declared(key) || is_attribute || !has_ours(&key.name) {
                continue;
            }
            let values = live
                .rrsets
                .get(key)
                .into_iter()
                .flat_map(|rrset| rrset.records.keys());
            let answers = values.map(|value| format!("{} {value}", key.record_type));
            shadowed.entry(key.name.clone()).or_default().extend(answers);
        }
    }
    let told = |(name, answers): (Name, Vec<String>)| (name, answers.join(", "));
    shadowed.into_iter().map(told).collect()
}
