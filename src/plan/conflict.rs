//! What stands in the way, and the line to paste. Our own words; foreign text only where a person needs it to decide.

use std::collections::BTreeMap;

use super::merge::{Merged, merge};
use super::retire::LONGEST_TEXT;
use super::{Group, Situation, Written};
use crate::name::Name;
use crate::protocol::spf::Burden;
use crate::protocol::spf::evaluate::LOOKUP_LIMIT;
use crate::protocol::{Purpose, Sharing};
use crate::publish::{Live, LiveRrset};
use crate::record::{Key, RecordType, Value, Values};

/// A status message is cut behind so many bytes.
pub(super) const LONGEST: usize = 512;

/// What a person may do about somebody else's records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What to paste in their place: our values, with the SPF record that stands there merged in. Empty when nothing that
    /// serves both would work.
    pub values: Vec<Value>,
    /// What to know about them; without values, why there are none and what to do instead.
    pub note: Option<String>,
}

impl Offer {
    /// The values and the note behind a text, or the note alone.
    pub(super) fn after(&self, verb: &str) -> String {
        let Self { values, note } = self;
        let shown: Vec<String> = values.iter().map(Value::to_string).collect();
        match (values.is_empty(), note) {
            (false, Some(note)) => format!("{verb} {}; {note}", shown.join(", ")),
            (false, None) => format!("{verb} {}", shown.join(", ")),
            (true, note) => note.clone().unwrap_or_default(),
        }
    }
}

/// A foreign value of our kind: names it and shows the record that would serve both or replace it.
pub(super) fn foreign(group: &Group, rrset: Option<&LiveRrset>, burdens: &BTreeMap<Name, Burden>) -> String {
    let there = |limit| {
        format!(
            "{} stands there and was not written by this operator; nothing is written at {}. To go on, ",
            shorten(&standing(group, rrset), limit),
            group.key
        )
    };
    let offer = offer(group, rrset, burdens);
    // A record that is pasted cut off does harm: it is shown whole or not at all.
    let texts = [
        there(160) + &offer.after("replace it by"),
        there(60) + &offer.after("replace it by"),
    ];
    if let Some(text) = texts.into_iter().find(|text| text.len() <= LONGEST) {
        return text;
    }
    there(160)
        + match group.purpose {
            Purpose::Spf => "declare its terms too (egress or spf.includes of a sender) and remove it",
            Purpose::Host
            | Purpose::Reverse
            | Purpose::Mx
            | Purpose::ReturnPath
            | Purpose::SenderId
            | Purpose::Dkim
            | Purpose::DomainKeysPolicy
            | Purpose::Dmarc
            | Purpose::Bimi
            | Purpose::Owner => "remove it; what is declared is then written in its place",
        }
}

/// The texts of our kind that stand there, short.
pub(super) fn standing(group: &Group, rrset: Option<&LiveRrset>) -> String {
    let there: Vec<&str> = rrset
        .iter()
        .flat_map(|r| &r.records)
        .filter(|(_, value)| value.as_ref().is_none_or(|v| group.claims(v)))
        .map(|(raw, _)| raw.as_str())
        .collect();
    shorten(&there.join(", "), 160)
}

/// What to paste in the place of what stands there. A merged SPF record that no receiver could evaluate is not offered.
pub fn offer(group: &Group, rrset: Option<&LiveRrset>, burdens: &BTreeMap<Name, Burden>) -> Offer {
    let Some(merged) = merged(group, rrset) else {
        return Offer {
            values: group.values.iter().cloned().collect(),
            note: None,
        };
    };
    let burden = burdens.get(&group.key.name);
    let nothing = |note| Offer {
        values: Vec::new(),
        note: Some(note),
    };
    let merged = match (merged, burden) {
        (Err(term), _) => {
            return nothing(format!(
                "mend or remove it: receivers cannot read `{}` in it, and so use none of it",
                shorten(&term, 60)
            ));
        }
        (Ok(merged), Some(Burden::TooMany(lookups))) => return nothing(too_many(&merged, *lookups)),
        (Ok(_), Some(Burden::Broken(why))) => {
            return nothing(format!(
                "mend it first: receivers could not use a record with its terms, since {}",
                shorten(why, 200)
            ));
        }
        (Ok(merged), Some(Burden::Bearable | Burden::Unknown(..)) | None) => merged,
    };
    let unknown = match burden {
        Some(Burden::Unknown(name, failure)) => Some(format!(
            "whether it asks DNS more than {LOOKUP_LIMIT} times is not known, since {name} {failure}"
        )),
        Some(Burden::Bearable | Burden::TooMany(_) | Burden::Broken(_)) | None => None,
    };
    let long = (merged.text.len() > LONGEST_TEXT).then(|| {
        format!(
            "its {} octets do not fit an answer of 512, so receivers must ask again over TCP",
            merged.text.len()
        )
    });
    let notes: Vec<String> = merged.end.into_iter().chain(unknown).chain(long).collect();
    let others = group.values.iter().filter(|value| !is_spf(value)).cloned();
    Offer {
        values: [Value::Txt(merged.text)].into_iter().chain(others).collect(),
        note: (!notes.is_empty()).then(|| notes.join("; ")),
    }
}

fn too_many(merged: &Merged, lookups: usize) -> String {
    let ours = if merged.added.is_empty() {
        "it makes".to_owned()
    } else {
        format!(
            "with what is declared ({}) it would make",
            shorten(&merged.added.join(" "), 120)
        )
    };
    format!(
        "take includes out of it: {ours} receivers ask DNS {lookups} times, and more than {LOOKUP_LIMIT} fail (RFC 7208 section 4.6.4). Write addresses in the place of includes, or let a sender use a subdomain (returnPath.domain)"
    )
}

/// The SPF record that stands there and ours as one, where both are; a term of theirs that nobody can read otherwise.
fn merged(group: &Group, rrset: Option<&LiveRrset>) -> Option<Result<Merged, String>> {
    let ours = group.values.iter().find(|value| is_spf(value))?.as_txt()?;
    let mut theirs = texts(group, rrset).filter(|text| is_spf_text(text)).peekable();
    theirs.peek()?;
    Some(merge(theirs, ours))
}

/// The merged record that would be offered, if something else than ours stands there.
pub(super) fn to_weigh(group: &Group, rrset: Option<&LiveRrset>) -> Option<String> {
    let merged = merged(group, rrset)?.ok()?;
    let is_other = |text: &str| is_spf_text(text) && !group.values.iter().any(|v| v.as_txt() == Some(text));
    let more = texts(group, rrset).filter(|text| is_other(text)).count();
    let single = texts(group, rrset).filter(|text| is_spf_text(text)).count() == 1;
    (more > 0 && !(single && merged.added.is_empty())).then_some(merged.text)
}

fn is_spf(value: &Value) -> bool {
    Sharing::Prefix("v=spf1").claims(value)
}

fn is_spf_text(text: &str) -> bool {
    Sharing::Prefix("v=spf1").claims(&Value::Txt(text.to_owned()))
}

/// An alias and other records cannot share a name (RFC 1034 section 3.6.2).
pub(super) fn alias(group: &Group, live: &Live, situation: &Situation<'_>) -> Option<String> {
    let name = &group.key.name;
    if group.key.record_type == RecordType::Cname {
        let mut others: Vec<String> = live
            .rrsets
            .iter()
            .filter(|(key, _)| &key.name == name && key.record_type != RecordType::Cname)
            .filter(|(key, rrset)| !makes_room(key, rrset, situation))
            .map(|(key, _)| key.record_type.to_string())
            .collect();
        others.extend(live.other_types.get(name).into_iter().flatten().cloned());
        return (!others.is_empty()).then(|| {
            format!(
                "{name} holds {} and so cannot be an alias; remove them or declare addresses",
                others.join(", ")
            )
        });
    }
    let alias = Key::new(name.clone(), RecordType::Cname);
    let target = live
        .rrsets
        .get(&alias)
        .filter(|rrset| !makes_room(&alias, rrset, situation))
        .and_then(first_raw)?;
    Some(format!(
        "{name} is an alias of {} that this operator did not write, so it cannot also hold {}; remove the alias or drop the declaration",
        shorten(&target, 80),
        group.key.record_type
    ))
}

/// Whether an RRset goes in this pass: nobody wants it any more, and all of it is ours.
fn makes_room(key: &Key, rrset: &LiveRrset, situation: &Situation<'_>) -> bool {
    let wanted = situation.groups.iter().any(|group| &group.key == key);
    let is_ours = |entry: &Written| {
        let mut values = rrset.records.values();
        values.all(|value| value.as_ref().is_some_and(|v| entry.values.contains(v)))
    };
    !wanted && situation.written.get(key).is_some_and(is_ours)
}

fn first_raw(rrset: &LiveRrset) -> Option<String> {
    rrset.records.keys().next().cloned()
}

/// Whether the one SPF record that stands there authorises all that ours does, and all else is as wanted.
pub(super) fn is_merged(group: &Group, claimed: &Values) -> bool {
    let (ours, wanted): (Vec<&Value>, Vec<&Value>) = group.values.iter().partition(|value| is_spf(value));
    let (theirs, there): (Vec<&Value>, Vec<&Value>) = claimed.iter().partition(|value| is_spf(value));
    match (ours.as_slice(), theirs.as_slice()) {
        ([Value::Txt(ours)], [Value::Txt(theirs)]) => {
            wanted == there && merge([theirs.as_str()], ours).is_ok_and(|merged| merged.added.is_empty())
        }
        _ => false,
    }
}

/// The texts of our kind that stand there.
fn texts<'a>(group: &'a Group, rrset: Option<&'a LiveRrset>) -> impl Iterator<Item = &'a str> {
    rrset
        .into_iter()
        .flat_map(|r| r.records.values())
        .flatten()
        .filter(|v| group.claims(v))
        .filter_map(Value::as_txt)
}

pub(super) fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let head: String = text.chars().take(limit).collect();
    format!("{head}...")
}
