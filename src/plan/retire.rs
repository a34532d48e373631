//! Additions go at once, removals of what mail in flight may rely on do not: MX, terms of SPF and mail hosts stay for a
//! while after nobody declares them any more.
//!
//! What retires is dated in its ledger entry; a date is forgotten when the value is declared again or is gone.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::marks::Marks;
use super::{Group, Situation, Written, breaker};
use crate::cidr::Cidr;
use crate::name::Name;
use crate::protocol::spf::Burden;
use crate::protocol::{Purpose, Sharing};
use crate::publish::Live;
use crate::record::{Key, RecordType, Value, Values};

/// With a name in front and a header around it a text of this length fits an answer of 512 octets (RFC 7208 section 3.4).
pub(super) const LONGEST_TEXT: usize = 450;

/// What stays at one RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retiring {
    /// Values in presentation format, or terms of an SPF record.
    pub what: Vec<String>,
    /// When the last of them goes.
    pub until: Timestamp,
}

/// Adds to a wanted RRset what retires there. `marks` gets the dates; what has no room is told in `cut`.
pub(super) fn beside(
    situation: &Situation<'_>,
    group: &mut Group,
    marks: &mut Marks,
    cut: &mut BTreeMap<Key, Vec<String>>,
) -> Option<Retiring> {
    let entry = situation.written.get(&group.key)?;
    let live = situation.live.get(&entry.home)?.as_ref().ok()?;
    let there: Values = live.values(&group.key).cloned().collect();
    match (group.purpose, group.key.record_type) {
        (Purpose::Mx, RecordType::Mx) => exchanges(situation, group, marks, entry, &there),
        (_, RecordType::Txt) => {
            let terms = terms(situation, group, marks, entry, &there)?;
            let (text, kept, no_room) = merge(group, &terms, situation.mandate.burdens)?;
            if !no_room.is_empty() {
                cut.insert(group.key.clone(), no_room);
            }
            let until = kept.iter().filter_map(|term| terms.get(term)).max().copied();
            let ours = spf_text(&group.values)?;
            group.values.remove(&Value::Txt(ours));
            group.values.insert(Value::Txt(text));
            Some(Retiring {
                what: kept,
                until: until?,
            })
        }
        (
            Purpose::Host
            | Purpose::Reverse
            | Purpose::Mx
            | Purpose::ReturnPath
            | Purpose::Spf
            | Purpose::SenderId
            | Purpose::Dkim
            | Purpose::DomainKeysPolicy
            | Purpose::Dmarc
            | Purpose::Bimi
            | Purpose::Owner,
            RecordType::A
            | RecordType::Aaaa
            | RecordType::Cname
            | RecordType::Mx
            | RecordType::Ptr
            | RecordType::Spf,
        ) => {
            // It may have retired as a whole before it was declared again.
            marks.retiring.clear();
            None
        }
    }
}

/// An RRset that nobody declares any more: whether it stays, and what of it. Only what stands there can stay.
pub(super) fn whole(
    situation: &Situation<'_>,
    key: &Key,
    entry: &Written,
    live: &Live,
    marks: &mut Marks,
) -> Option<(Group, Retiring)> {
    let there: Values = live
        .values(key)
        .filter(|value| entry.values.contains(value))
        .cloned()
        .collect();
    if there.is_empty() || breaker::makes_room(situation, key) || !may_retire(situation, key, entry) {
        marks.retiring.clear();
        return None;
    }
    let dated: BTreeMap<String, Timestamp> = there
        .iter()
        .map(ToString::to_string)
        .map(|text| dated(situation, marks, text))
        .collect();
    marks.retiring.clone_from(&dated);
    let until = dated
        .values()
        .max()
        .copied()
        .filter(|until| situation.now < *until)?;
    let what = dated.into_keys().collect();
    Some((as_group(key, entry, there), Retiring { what, until }))
}

/// What stays of an entry that nobody declares any more, as if it were wanted.
pub(super) fn as_group(key: &Key, entry: &Written, values: Values) -> Group {
    let sharing = match entry.purpose {
        Purpose::Spf => Sharing::Prefix("v=spf1"),
        Purpose::Host
        | Purpose::Reverse
        | Purpose::Mx
        | Purpose::ReturnPath
        | Purpose::SenderId
        | Purpose::Dkim
        | Purpose::DomainKeysPolicy
        | Purpose::Dmarc
        | Purpose::Bimi
        | Purpose::Owner => Sharing::Exclusive,
    };
    Group {
        key: key.clone(),
        purpose: entry.purpose,
        values,
        sharing: vec![sharing],
        past: Values::new(),
    }
}

/// SPF and MX retire, and so do the addresses of a host that greets (it has SPF of its own) or takes mail. An address of
/// a host that is still declared goes at once.
fn may_retire(situation: &Situation<'_>, key: &Key, entry: &Written) -> bool {
    let is_null = |value: &Value| matches!(value, Value::Mx { exchange: None, .. });
    match (entry.purpose, key.record_type) {
        (Purpose::Spf, RecordType::Txt) => true,
        (Purpose::Mx, RecordType::Mx) => !entry.values.iter().any(is_null),
        (Purpose::Host, RecordType::A | RecordType::Aaaa) => {
            let is_address = |t: RecordType| matches!(t, RecordType::A | RecordType::Aaaa);
            let mut groups = situation.groups.iter();
            let declared = groups.any(|g| g.key.name == key.name && is_address(g.key.record_type));
            !declared && (!entry.marks.retiring.is_empty() || is_mail_host(situation, &key.name))
        }
        (
            Purpose::Host
            | Purpose::Reverse
            | Purpose::Mx
            | Purpose::ReturnPath
            | Purpose::Spf
            | Purpose::SenderId
            | Purpose::Dkim
            | Purpose::DomainKeysPolicy
            | Purpose::Dmarc
            | Purpose::Bimi
            | Purpose::Owner,
            RecordType::A
            | RecordType::Aaaa
            | RecordType::Cname
            | RecordType::Mx
            | RecordType::Ptr
            | RecordType::Txt
            | RecordType::Spf,
        ) => false,
    }
}

fn is_mail_host(situation: &Situation<'_>, name: &Name) -> bool {
    situation.written.iter().any(|(key, entry)| match entry.purpose {
        Purpose::Spf => &key.name == name,
        Purpose::Mx => entry.values.iter().any(|value| exchange(value) == Some(name)),
        Purpose::Host
        | Purpose::Reverse
        | Purpose::ReturnPath
        | Purpose::SenderId
        | Purpose::Dkim
        | Purpose::DomainKeysPolicy
        | Purpose::Dmarc
        | Purpose::Bimi
        | Purpose::Owner => false,
    })
}

/// The date of something that retires: the one that it has, or one from now on; never later than what is declared now.
fn dated(situation: &Situation<'_>, marks: &Marks, text: String) -> (String, Timestamp) {
    let latest = situation.now + situation.mandate.retire_after;
    let until = marks.retiring.get(&text).copied().unwrap_or(latest);
    (text, until.min(latest))
}

/// The exchanges that are declared no more, beside those that are. A null MX stands alone (RFC 7505 section 3), and a host
/// that only changes its preference retires nothing.
fn exchanges(
    situation: &Situation<'_>,
    group: &mut Group,
    marks: &mut Marks,
    entry: &Written,
    there: &Values,
) -> Option<Retiring> {
    let declared: BTreeSet<Option<&Name>> = group.values.iter().map(exchange).collect();
    let stays = |value: &&Value| {
        let known = there.contains(value) || marks.retiring.contains_key(&value.to_string());
        known && !group.values.contains(value) && !declared.contains(&exchange(value))
    };
    let gone: Values = if declared.contains(&None) {
        Values::new()
    } else {
        let real = |value: &&Value| exchange(value).is_some();
        entry.values.iter().filter(real).filter(stays).cloned().collect()
    };
    let dates: BTreeMap<String, Timestamp> = gone
        .iter()
        .map(|value| dated(situation, marks, value.to_string()))
        .collect();
    marks.retiring.clone_from(&dates);
    let is_due = |value: &&Value| {
        dates
            .get(&value.to_string())
            .is_none_or(|until| situation.now >= *until)
    };
    let kept: Values = gone.iter().filter(|value| !is_due(value)).cloned().collect();
    let what: Vec<String> = kept.iter().map(ToString::to_string).collect();
    let until = what.iter().filter_map(|text| dates.get(text)).max().copied();
    group.values.extend(kept);
    until.map(|until| Retiring { what, until })
}

fn exchange(value: &Value) -> Option<&Name> {
    match value {
        Value::Mx { exchange, .. } => exchange.as_ref(),
        Value::A(_) | Value::Aaaa(_) | Value::Cname(_) | Value::Ptr(_) | Value::Txt(_) => None,
    }
}

/// The terms of our record that are declared no more and whose time has not come.
fn terms(
    situation: &Situation<'_>,
    group: &Group,
    marks: &mut Marks,
    entry: &Written,
    there: &Values,
) -> Option<BTreeMap<String, Timestamp>> {
    let wanted = spf_text(&group.values)?;
    let wanted: Vec<&str> = mechanisms(&wanted).collect();
    let mut dates = BTreeMap::new();
    for value in entry.values.iter().filter(|value| is_spf(value)) {
        for term in value.as_txt().into_iter().flat_map(mechanisms) {
            let declared = wanted
                .iter()
                .any(|have| have.eq_ignore_ascii_case(term) || covers(have, term));
            let known = there.contains(value) || marks.retiring.contains_key(term);
            if known && !declared {
                dates.extend([dated(situation, marks, term.to_owned())]);
            }
        }
    }
    marks.retiring.clone_from(&dates);
    dates.retain(|_, until| situation.now < *until);
    (!dates.is_empty()).then_some(dates)
}

/// Our record with the retiring terms before its end, as far as they have room: the text, what is in it, what is not.
fn merge(
    group: &Group,
    terms: &BTreeMap<String, Timestamp>,
    burdens: &BTreeMap<Name, Burden>,
) -> Option<(String, Vec<String>, Vec<String>)> {
    let ours = spf_text(&group.values)?;
    // What nobody could be asked about counts against it: nobody misses a term that nobody declares.
    let heavy = burdens
        .get(&group.key.name)
        .is_some_and(|burden| *burden != Burden::Bearable);
    let (mut kept, mut no_room): (Vec<String>, Vec<String>) =
        terms.keys().cloned().partition(|term| !(heavy && asks_dns(term)));
    let mut text = with(&ours, &kept);
    while text.len() > LONGEST_TEXT {
        no_room.push(kept.pop()?);
        text = with(&ours, &kept);
    }
    Some((text, kept, no_room))
}

/// The record with all of its retiring terms, if some of them ask DNS.
pub(super) fn to_weigh(situation: &Situation<'_>, group: &Group) -> Option<String> {
    let entry = situation.written.get(&group.key)?;
    let live = situation.live.get(&entry.home)?.as_ref().ok()?;
    let there: Values = live.values(&group.key).cloned().collect();
    let terms = terms(situation, group, &mut entry.marks.clone(), entry, &there)?;
    let (text, kept, _) = merge(group, &terms, &BTreeMap::new())?;
    kept.iter().any(|term| asks_dns(term)).then_some(text)
}

fn is_spf(value: &Value) -> bool {
    Sharing::Prefix("v=spf1").claims(value)
}

fn spf_text(values: &Values) -> Option<String> {
    values
        .iter()
        .find(|value| is_spf(value))?
        .as_txt()
        .map(str::to_owned)
}

/// The terms of a record but for its version and its end; ours hold no modifiers.
fn mechanisms(text: &str) -> impl Iterator<Item = &str> {
    text.split_ascii_whitespace().skip(1).filter(|term| !is_end(term))
}

fn is_end(term: &str) -> bool {
    let bare = term.trim_start_matches(['+', '-', '~', '?']);
    bare.eq_ignore_ascii_case("all") || bare.contains('=')
}

/// Addresses cost nothing, everything else a question at least (RFC 7208 section 4.6.4).
fn asks_dns(term: &str) -> bool {
    range(term).is_none()
}

/// Whether a term authorises all that another one does.
fn covers(wider: &str, term: &str) -> bool {
    match (range(wider), range(term)) {
        (Some(wider), Some(range)) => wider.length() <= range.length() && wider.contains(range.address()),
        _ => false,
    }
}

fn range(term: &str) -> Option<Cidr> {
    let text = term.strip_prefix("ip4:").or_else(|| term.strip_prefix("ip6:"))?;
    text.parse().ok()
}

fn with(ours: &str, retiring: &[String]) -> String {
    let words: Vec<&str> = ours.split_ascii_whitespace().collect();
    let end = words
        .iter()
        .position(|term| is_end(term) && !term.starts_with("v="))
        .unwrap_or(words.len());
    let (head, tail) = words.split_at(end);
    let between = retiring.iter().map(String::as_str);
    let all: Vec<&str> = head
        .iter()
        .copied()
        .chain(between)
        .chain(tail.iter().copied())
        .collect();
    all.join(" ")
}
