//! Wanted records regrouped by RRset, so that the comparison stays small.

use std::collections::BTreeMap;

use crate::protocol::{Purpose, Sharing, Wanted};
use crate::record::{Key, Value, Values};

/// Everything that is wanted of one RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The RRset.
    pub key: Key,
    /// What it is for; of a shared one, what its first value is for.
    pub purpose: Purpose,
    /// Our values.
    pub values: Values,
    /// Which live values are ours to have.
    pub sharing: Vec<Sharing>,
    /// What we wrote there by the ledger, of a kind that is declared no more: still ours to remove.
    pub past: Values,
}

impl Group {
    /// Whether a live value is of our kind, whoever wrote it, or was written by us.
    pub fn claims(&self, value: &Value) -> bool {
        self.sharing.iter().any(|sharing| sharing.claims(value)) || self.past.contains(value)
    }

    /// Whether other values may stand beside ours.
    pub fn is_shared(&self) -> bool {
        self.sharing
            .iter()
            .all(|sharing| matches!(sharing, Sharing::Prefix(_)))
    }
}

/// Regroups by RRset. Values of one RRset are united; their order is the order of names.
pub fn group(wanted: Vec<Wanted>) -> Vec<Group> {
    let mut groups: BTreeMap<Key, Group> = BTreeMap::new();
    for Wanted {
        key,
        purpose,
        values,
        sharing,
    } in wanted
    {
        let group = groups.entry(key.clone()).or_insert_with(|| Group {
            key,
            purpose,
            values: Values::new(),
            sharing: Vec::new(),
            past: Values::new(),
        });
        group.purpose = group.purpose.min(purpose);
        group.values.extend(values);
        if !group.sharing.contains(&sharing) {
            group.sharing.push(sharing);
        }
    }
    groups.into_values().collect()
}
