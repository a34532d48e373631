//! What stands in the way, and the line to paste. Our own words; foreign text only where a person needs it to decide.

use super::{Group, Situation, Written};
use crate::protocol::{Purpose, Sharing};
use crate::publish::{Live, LiveRrset};
use crate::record::{Key, RecordType, Value, Values};

/// A status message is cut behind so many bytes.
pub(super) const LONGEST: usize = 512;

/// A foreign value of our kind: names it and shows the record that would serve both or replace it.
pub(super) fn foreign(group: &Group, rrset: Option<&LiveRrset>) -> String {
    let there = standing(group, rrset);
    let paste: Vec<String> = pasted(group, rrset).iter().map(Value::to_string).collect();
    let there = format!(
        "{there} stands there and was not written by this operator; nothing is written at {}. To go on, ",
        group.key
    );
    let paste = format!("replace it by {}", paste.join(", "));
    // A record that is pasted cut off does harm: it is shown whole or not at all.
    if there.len() + paste.len() <= LONGEST {
        return there + &paste;
    }
    there
        + match group.purpose {
            Purpose::Spf => "declare its terms too (egress or spf.includes of a sender) and remove it",
            _ => "remove it; what is declared is then written in its place",
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

/// What a person would paste: our values, with the SPF record that stands there merged in.
pub fn pasted(group: &Group, rrset: Option<&LiveRrset>) -> Vec<Value> {
    let merged = |value: &Value| match (group.purpose, value) {
        (Purpose::Spf, Value::Txt(ours)) if ours.starts_with("v=spf1") => {
            Value::Txt(merge_spf(texts(group, rrset).filter(|t| is_spf_text(t)), ours))
        }
        _ => value.clone(),
    };
    group.values.iter().map(merged).collect()
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

/// Whether the one SPF record that stands there holds every term of ours before its end, and all else is as wanted.
pub(super) fn is_merged(group: &Group, claimed: &Values) -> bool {
    let is_spf = |value: &&Value| Sharing::Prefix("v=spf1").claims(value);
    let (ours, wanted): (Vec<&Value>, Vec<&Value>) = group.values.iter().partition(is_spf);
    let (theirs, there): (Vec<&Value>, Vec<&Value>) = claimed.iter().partition(is_spf);
    match (ours.as_slice(), theirs.as_slice()) {
        ([Value::Txt(ours)], [Value::Txt(theirs)]) => {
            let terms: Vec<&str> = theirs.split_ascii_whitespace().collect();
            wanted == there && merge_spf([theirs.as_str()].into_iter(), ours) == terms.join(" ")
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

/// Their first record with every missing term of the others and of ours put before its end (RFC 7208 section 4.6.2:
/// terms behind `all` are not read).
fn merge_spf<'a>(theirs: impl Iterator<Item = &'a str>, ours: &'a str) -> String {
    let is_end = |term: &str| {
        term.trim_start_matches(['+', '-', '~', '?'])
            .eq_ignore_ascii_case("all")
            || term.starts_with("redirect=")
    };
    let mut texts = theirs.chain([ours]);
    let mut terms: Vec<&str> = texts.next().unwrap_or(ours).split_ascii_whitespace().collect();
    let end = terms.iter().position(|term| is_end(term)).unwrap_or(terms.len());
    let mut missing: Vec<&str> = Vec::new();
    for term in texts.flat_map(|text| text.split_ascii_whitespace().skip(1)) {
        let known = terms[..end]
            .iter()
            .chain(&missing)
            .any(|have| have.eq_ignore_ascii_case(term));
        if !known && !is_end(term) {
            missing.push(term);
        }
    }
    terms.splice(end..end, missing);
    terms.join(" ")
}

pub(super) fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.to_owned();
    }
    let head: String = text.chars().take(limit).collect();
    format!("{head}...")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn merged_spf_keeps_their_terms_and_end() {
        let theirs = "v=spf1 include:_spf.google.com ip4:203.0.113.4 -all";
        let ours = "v=spf1 ip4:203.0.113.4 ip6:2001:db8::4 ~all";
        assert_eq!(
            merge_spf([theirs].into_iter(), ours),
            "v=spf1 include:_spf.google.com ip4:203.0.113.4 ip6:2001:db8::4 -all"
        );
        assert_eq!(
            merge_spf([theirs, "v=spf1 mx ?all"].into_iter(), ours),
            "v=spf1 include:_spf.google.com ip4:203.0.113.4 mx ip6:2001:db8::4 -all"
        );
    }
}
