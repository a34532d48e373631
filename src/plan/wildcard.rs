//! What a wildcard answers stands at no name: it is neither in the way of what is wanted nor drift of it.
//!
//! It can satisfy: where it answers just what is declared, nobody can tell it from the record, and nothing is missing.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::Situation;
use crate::publish::{Live, PublishError};
use crate::record::Value;
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
