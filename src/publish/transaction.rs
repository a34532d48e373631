//! How the changes of a plan become transactions, and when one may still be carried out.

use super::{Change, Live, LiveRrset};
use crate::name::Name;
use crate::plan::is_owner;

/// Whether the RRset is still what the plan was made from: the same texts and the same TTL.
pub(super) fn same(now: Option<&LiveRrset>, before: Option<&LiveRrset>) -> bool {
    match (now, before) {
        (None, None) => true,
        (Some(now), Some(before)) => now.ttl == before.ttl && now.records.keys().eq(before.records.keys()),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

/// The changes as transactions: one for each zone, so that every zone is changed at once.
///
/// With several zones, DMARC at the end of a plan still comes after all of them and DMARC at its beginning before all of
/// them, in transactions of its own: a policy is tightened last and relaxed first.
pub(super) fn transactions(changes: &[Change]) -> Vec<(&Name, Vec<&Change>)> {
    let is_dmarc = |c: &&Change| c.key.name.labels().next() == Some("_dmarc");
    let several = changes.windows(2).any(|pair| pair[0].zone != pair[1].zone);
    let (first, last) = if several {
        let first = changes.iter().take_while(is_dmarc).count();
        let trailing = changes[first..].iter().rev().take_while(is_dmarc).count();
        (first, changes.len() - trailing)
    } else {
        (0, changes.len())
    };
    let mut transactions: Vec<(&Name, Vec<&Change>)> = Vec::new();
    for phase in [&changes[..first], &changes[first..last], &changes[last..]] {
        let begin = transactions.len();
        for change in phase {
            let zone = &change.zone;
            match transactions[begin..].iter_mut().find(|(z, _)| *z == zone) {
                Some((_, changes)) => changes.push(change),
                None => transactions.push((zone, vec![change])),
            }
        }
    }
    transactions
}

/// The owner text that must stand in the zone when a later transaction of the same plan is carried out: what the first one
/// wrote. In its own transaction the comparison of the change itself guards it.
pub(super) fn fence<'a>(plan: &'a [Change], zone: &Name, changes: &[&Change]) -> Option<&'a Change> {
    let owner = plan
        .iter()
        .find(|change| &change.zone == zone && is_owner(change))?;
    (!changes.iter().any(|change| is_owner(change))).then_some(owner)
}

/// Whether what was written is there. Values that somebody added meanwhile are the next plan's matter.
pub(super) fn carried_out(change: &Change, after: &Live) -> bool {
    match after.rrsets.get(&change.key) {
        None => change.deletes(),
        Some(live) => {
            !change.deletes()
                && change.keep.iter().all(|raw| live.records.contains_key(raw))
                && change
                    .ours
                    .iter()
                    .all(|value| live.records.values().any(|found| found.as_ref() == Some(value)))
        }
    }
}

/// The RRsets of a transaction for a message, three at most.
pub(super) fn describe(changes: &[&Change]) -> String {
    let mut text: Vec<String> = changes.iter().take(3).map(|c| c.key.to_string()).collect();
    if changes.len() > 3 {
        text.push(format!("{} more", changes.len() - 3));
    }
    text.join(", ")
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;
    use crate::record::{Key, RecordType};

    fn at(zone: &str, owner: &str) -> Change {
        Change {
            zone: Name::parse(zone).unwrap(),
            key: Key::new(Name::parse(owner).unwrap(), RecordType::Txt),
            before: None,
            ttl: 3600,
            keep: BTreeSet::new(),
            ours: BTreeSet::new(),
        }
    }

    #[test]
    fn an_rrset_with_another_value_or_ttl_is_not_the_same() {
        let rrset = |ttl, text: &str| LiveRrset {
            ttl,
            records: BTreeMap::from([(text.to_owned(), None)]),
        };
        assert!(same(None, None));
        assert!(same(Some(&rrset(1, "a")), Some(&rrset(1, "a"))));
        assert!(!same(Some(&rrset(1, "a")), Some(&rrset(2, "a"))));
        assert!(!same(Some(&rrset(1, "a")), Some(&rrset(1, "b"))));
        assert!(!same(Some(&rrset(1, "a")), None));
        assert!(!same(None, Some(&rrset(1, "a"))));
    }

    #[test]
    fn one_patch_for_each_zone_and_dmarc_at_the_borders_of_the_plan() {
        let shape = |changes: &[Change]| -> Vec<String> {
            transactions(changes)
                .into_iter()
                .map(|(zone, changes)| {
                    let names: Vec<&str> = changes.iter().map(|c| c.key.name.as_str()).collect();
                    format!("{zone}: {}", names.join(" "))
                })
                .collect()
        };
        assert_eq!(shape(&[]), Vec::<String>::new());
        assert_eq!(
            shape(&[at("a.example", "a.example"), at("a.example", "_dmarc.a.example")]),
            ["a.example: a.example _dmarc.a.example"]
        );
        assert_eq!(
            shape(&[
                at("a.example", "_dmarc.x.a.example"),
                at("a.example", "a.example"),
                at("2.0.192.in-addr.arpa", "1.2.0.192.in-addr.arpa"),
                at("a.example", "b.a.example"),
                at("a.example", "_dmarc.a.example"),
            ]),
            [
                "a.example: _dmarc.x.a.example",
                "a.example: a.example b.a.example",
                "2.0.192.in-addr.arpa: 1.2.0.192.in-addr.arpa",
                "a.example: _dmarc.a.example",
            ]
        );
    }

    #[test]
    fn the_owner_text_guards_the_later_transactions_of_its_zone() {
        let plan = [
            at("a.example", "_maildomain.a.example"),
            at("a.example", "a.example"),
            at("2.0.192.in-addr.arpa", "1.2.0.192.in-addr.arpa"),
            at("a.example", "_dmarc.a.example"),
        ];
        let guarded: Vec<bool> = transactions(&plan)
            .into_iter()
            .map(|(zone, changes)| fence(&plan, zone, &changes).is_some())
            .collect();
        assert_eq!(guarded, [false, false, true]);
    }
}
