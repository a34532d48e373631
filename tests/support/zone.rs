//! Zones as text: what a provider holds, and how it changes them.
//!
//! A line is `owner [ttl] TYPE data`, with data in presentation format; `;` at its start makes it a comment. Zones hold
//! wildcards and types that the operator does not know; the rest of the world may stand in the same text.

use std::collections::{BTreeMap, BTreeSet};

use maildomain::name::Name;
use maildomain::publish::{Change, Live, LiveRrset};
use maildomain::record::{Key, RecordType, Value};

/// Some RRsets, by owner and type. Wildcards are owners like others.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Zone {
    pub(crate) rrsets: BTreeMap<(String, String), (u32, BTreeSet<String>)>,
}

/// One line of a zone.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) owner: String,
    pub(crate) ttl: u32,
    pub(crate) kind: String,
    pub(crate) data: String,
}

/// The lines of a text that say something, trimmed.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(';'))
}

/// The type with this mnemonic, also the one that the operator only looks for.
pub(crate) fn record_type(kind: &str) -> Option<RecordType> {
    RecordType::parse(kind).or_else(|| (kind == "SPF").then_some(RecordType::Spf))
}

impl Line {
    pub(crate) fn parse(line: &str) -> Self {
        let (owner, rest) = line
            .split_once(' ')
            .unwrap_or_else(|| panic!("not a zone line: {line}"));
        let (ttl, rest) = match rest.trim_start().split_once(' ') {
            Some((ttl, rest)) if ttl.parse::<u32>().is_ok() => (ttl.parse().unwrap(), rest),
            _ => (3600, rest),
        };
        let (kind, data) = rest.trim_start().split_once(' ').unwrap_or((rest.trim(), ""));
        Self {
            owner: owner.to_ascii_lowercase(),
            ttl,
            kind: kind.to_owned(),
            data: data.trim().to_owned(),
        }
    }

    /// Whether the data means something to the operator; a test that says so by mistake would prove nothing.
    pub(crate) fn value(&self) -> Option<Value> {
        Value::parse(record_type(&self.kind)?, &self.data)
    }
}

impl Zone {
    pub(crate) fn parse(text: &str) -> Self {
        let mut zone = Self::default();
        lines(text).map(Line::parse).for_each(|line| zone.add(line));
        zone
    }

    pub(crate) fn add(&mut self, line: Line) {
        let rrset = self.rrsets.entry((line.owner, line.kind)).or_default();
        rrset.0 = line.ttl;
        rrset.1.insert(line.data);
    }

    pub(crate) fn remove(&mut self, owner: &str, kind: &str) {
        self.rrsets.remove(&(owner.to_owned(), kind.to_owned()));
    }

    /// What a provider says of some names.
    pub(crate) fn read(&self, names: &BTreeSet<Name>) -> Live {
        let mut live = Live::default();
        for ((owner, kind), (ttl, records)) in &self.rrsets {
            let Some(name) = names.iter().find(|name| name.as_str() == owner) else {
                continue;
            };
            let Some(record_type) = RecordType::parse(kind) else {
                live.other_types
                    .entry(name.clone())
                    .or_default()
                    .insert(kind.clone());
                continue;
            };
            let records = records
                .iter()
                .map(|raw| (raw.clone(), Value::parse(record_type, raw)))
                .collect();
            live.rrsets.insert(
                Key::new(name.clone(), record_type),
                LiveRrset { ttl: *ttl, records },
            );
        }
        live
    }

    /// Carries out a change as a provider does, which compares before it writes.
    pub(crate) fn apply(&mut self, change: &Change) {
        let Change {
            zone: _,
            key,
            before,
            ttl,
            keep,
            ours,
        } = change;
        let at = (key.name.to_string(), key.record_type.to_string());
        let there = self.read(&[key.name.clone()].into()).rrsets.remove(key);
        assert_eq!(&there, before, "{key} was planned from another state");
        let records: BTreeSet<String> = keep
            .iter()
            .cloned()
            .chain(ours.iter().map(Value::to_string))
            .collect();
        self.rrsets.remove(&at);
        if !records.is_empty() {
            self.rrsets.insert(at, (*ttl, records));
        }
    }

    /// The records as lines that can be read again.
    pub(crate) fn records(&self) -> impl Iterator<Item = String> {
        self.rrsets.iter().flat_map(|((owner, kind), (_, records))| {
            records.iter().map(move |data| format!("{owner} {kind} {data}"))
        })
    }
}
