//! What stands in the way, and the line to paste. Our own words; foreign text only where a person needs it to decide.

use std::collections::BTreeMap;

use super::{Group, Written};
use crate::protocol::Purpose;
use crate::publish::{Live, LiveRrset};
use crate::record::{Key, RecordType, Value};

/// A foreign value of our kind: names it and shows the record that would serve both or replace it.
pub(super) fn foreign(group: &Group, rrset: Option<&LiveRrset>) -> String {
    let there: Vec<&String> = rrset
        .iter()
        .flat_map(|r| &r.records)
        .filter(|(_, value)| value.as_ref().is_none_or(|v| group.claims(v)))
        .map(|(raw, _)| raw)
        .collect();
    let shown = shorten(
        &there.iter().map(|s| s.as_str()).collect::<Vec<_>>().join(", "),
        160,
    );
    let paste: Vec<String> = group
        .values
        .iter()
        .map(|value| match (group.purpose, value, single_text(group, rrset)) {
            (Purpose::Spf, Value::Txt(ours), Some(theirs)) if ours.starts_with("v=spf1") => {
                crate::record::quoted(&merge_spf(&theirs, ours))
            }
            _ => value.to_string(),
        })
        .collect();
    format!(
        "{shown} stands there and was not written by this operator; nothing is written at {}. To go on, replace it by {}",
        group.key,
        shorten(&paste.join(", "), 300)
    )
}

/// An alias and other records cannot share a name (RFC 1034 section 3.6.2).
pub(super) fn alias(group: &Group, live: &Live, written: &BTreeMap<Key, Written>) -> Option<String> {
    let name = &group.key.name;
    if group.key.record_type == RecordType::Cname {
        let mut others: Vec<String> = live
            .rrsets
            .keys()
            .filter(|key| {
                &key.name == name && key.record_type != RecordType::Cname && !written.contains_key(key)
            })
            .map(|key| key.record_type.to_string())
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
        .filter(|_| !written.contains_key(&alias))
        .and_then(first_raw)?;
    Some(format!(
        "{name} is an alias of {} that this operator did not write, so it cannot also hold {}; remove the alias or drop the declaration",
        shorten(&target, 80),
        group.key.record_type
    ))
}

fn first_raw(rrset: &LiveRrset) -> Option<String> {
    rrset.records.keys().next().cloned()
}

fn single_text(group: &Group, rrset: Option<&LiveRrset>) -> Option<String> {
    let mut texts = rrset
        .iter()
        .flat_map(|r| r.records.values())
        .flatten()
        .filter(|v| group.claims(v))
        .filter_map(Value::as_txt);
    let first = texts.next()?;
    texts.next().is_none().then(|| first.to_owned())
}

/// Their record with our missing terms put before its end (RFC 7208 section 4.6.2: terms behind `all` are not read).
fn merge_spf(theirs: &str, ours: &str) -> String {
    let mut terms: Vec<&str> = theirs.split_ascii_whitespace().collect();
    let is_end = |term: &str| {
        term.trim_start_matches(['+', '-', '~', '?'])
            .eq_ignore_ascii_case("all")
            || term.starts_with("redirect=")
    };
    let end = terms.iter().position(|term| is_end(term)).unwrap_or(terms.len());
    let missing: Vec<&str> = ours
        .split_ascii_whitespace()
        .skip(1)
        .filter(|term| !is_end(term) && !terms.iter().any(|have| have.eq_ignore_ascii_case(term)))
        .collect();
    terms.splice(end..end, missing);
    terms.join(" ")
}

fn shorten(text: &str, limit: usize) -> String {
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
            merge_spf(theirs, ours),
            "v=spf1 include:_spf.google.com ip4:203.0.113.4 ip6:2001:db8::4 -all"
        );
    }
}
