//! A whole zone as a value.

use std::collections::{BTreeMap, BTreeSet};

use crate::harness::Records;

/// Name and type.
pub type Key = (String, String);

/// Every RRset of a zone but SOA and NS: its TTL and contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zone(pub BTreeMap<Key, (u32, BTreeSet<String>)>);

impl Zone {
    /// As it stands at a PowerDNS.
    pub fn at(records: &Records, zone: &str) -> Self {
        let mut sets: BTreeMap<Key, (u32, BTreeSet<String>)> = BTreeMap::new();
        for (name, kind, ttl, content) in records.with_ttl(zone) {
            sets.entry((name, kind))
                .or_insert((ttl, BTreeSet::new()))
                .1
                .insert(content);
        }
        Self(sets)
    }

    /// What is here and not in the other, and the reverse, one record a line.
    pub fn difference(&self, other: &Self) -> Vec<String> {
        let lines = |zone: &Self| -> BTreeSet<String> {
            let lines = zone.0.iter().flat_map(|((name, kind), (ttl, contents))| {
                contents
                    .iter()
                    .map(move |content| format!("{name} {ttl} {kind} {content}"))
            });
            lines.collect()
        };
        let (here, there) = (lines(self), lines(other));
        let more = here.difference(&there).map(|line| format!("+ {line}"));
        more.chain(there.difference(&here).map(|line| format!("- {line}")))
            .collect()
    }
}

/// Reads records, `name TYPE content` a line.
pub fn of_people(records: &str) -> BTreeMap<Key, Vec<String>> {
    let mut sets: BTreeMap<Key, Vec<String>> = BTreeMap::new();
    for line in records.lines() {
        let [name, kind, content] = line.splitn(3, ' ').collect::<Vec<_>>()[..] else {
            panic!("not a record: {line}");
        };
        sets.entry((name.to_owned(), kind.to_owned()))
            .or_default()
            .push(content.to_owned());
    }
    sets
}
