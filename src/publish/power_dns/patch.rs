//! Changes as the body of a PATCH. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::publish::Change;
use crate::record::{Key, RecordType, Value};

/// How RRsets that are shared with others are written. All others are ours whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Each RRset whole, with REPLACE.
    Whole,
    /// Record by record, with EXTEND and PRUNE: whatever else stands there by now stays.
    Single,
}

/// Whether a version has EXTEND and PRUNE: 4.9.12, 5.0.2 and all later ones.
pub(super) fn extends(version: &str) -> bool {
    let mut parts = version
        .split(['.', '-', '~', '+'])
        .map_while(|part| part.parse::<u32>().ok());
    let mut part = || parts.next().unwrap_or_default();
    match (part(), part(), part()) {
        (4, 9, patch) => patch >= 12,
        (5, 0, patch) => patch >= 2,
        (major, minor, _) => (major, minor) > (5, 0) || (major == 4 && minor > 9),
    }
}

/// Whether single records can be written: others have values in the TXT RRset, which stay as they are, and so does the TTL.
pub(super) fn shares(change: &Change) -> bool {
    let Some(before) = &change.before else {
        return false;
    };
    change.key.record_type == RecordType::Txt
        && !change.keep.is_empty()
        && !change.gives_back()
        && change.ttl == before.ttl
}

/// Our records, one by one: those that go come first, so that two SPF records never stand side by side, and the server
/// carries out all or nothing.
fn singly(change: &Change) -> Vec<Json> {
    let before = change.before.iter().flat_map(|rrset| &rrset.records);
    let (stay, go): (Vec<_>, Vec<_>) = before
        .filter(|(raw, _)| !change.keep.contains(*raw))
        .partition(|(_, value)| value.as_ref().is_some_and(|value| change.ours.contains(value)));
    let there: BTreeSet<&Value> = stay.iter().filter_map(|(_, value)| value.as_ref()).collect();
    let one = |changetype: &str, content: &str| {
        json!({
            "name": change.key.name.with_dot(),
            "type": change.key.record_type.as_str(),
            "ttl": change.ttl,
            "changetype": changetype,
            "records": [{ "content": content, "disabled": false }],
        })
    };
    let gone = go.iter().map(|(raw, _)| one("PRUNE", raw));
    let new = change.ours.iter().filter(|value| !there.contains(value));
    gone.chain(new.map(|value| one("EXTEND", &value.to_string())))
        .collect()
}

/// The body of the PATCH. Deletions stand first: the server takes the RRsets one after the other, and refuses a
/// CNAME while the addresses that it replaces are still there (4.7.3).
pub(super) fn patch(changes: &[&Change], disabled: &BTreeMap<Key, BTreeSet<String>>, way: Way) -> Json {
    let (single, whole): (Vec<&Change>, Vec<&Change>) = changes
        .iter()
        .copied()
        .partition(|change| way == Way::Single && shares(change));
    let mut rrsets: Vec<(bool, Json)> = whole
        .iter()
        .map(|change| {
            let off = disabled.get(&change.key);
            let deletes = change.deletes() && off.is_none();
            (!deletes, encode(change, off))
        })
        .collect();
    rrsets.sort_by_key(|(replaces, _)| *replaces);
    let mut rrsets: Vec<Json> = rrsets.into_iter().map(|(_, json)| json).collect();
    rrsets.extend(single.into_iter().flat_map(singly));
    json!({ "rrsets": rrsets })
}

pub(super) fn encode(change: &Change, disabled: Option<&BTreeSet<String>>) -> Json {
    let enabled: BTreeSet<String> = change
        .keep
        .iter()
        .cloned()
        .chain(change.ours.iter().map(Value::to_string))
        .collect();
    let off = disabled.into_iter().flatten().filter(|c| !enabled.contains(*c));
    let records: Vec<Json> = enabled
        .iter()
        .map(|content| json!({ "content": content, "disabled": false }))
        .chain(off.map(|content| json!({ "content": content, "disabled": true })))
        .collect();
    let name = change.key.name.with_dot();
    let record_type = change.key.record_type.as_str();
    if records.is_empty() {
        json!({ "name": name, "type": record_type, "changetype": "DELETE" })
    } else {
        json!({
            "name": name,
            "type": record_type,
            "ttl": change.ttl,
            "changetype": "REPLACE",
            "records": records,
        })
    }
}
