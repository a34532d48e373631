//! What is not written although it is not there: who says so, and the lines for whoever writes it instead.

use std::collections::BTreeSet;

use super::{Group, Offer, Plan, Situation, Step, conflict, decide};
use crate::intent::{Conduct, Drift, Mode};
use crate::publish::{Live, LiveRrset};
use crate::record::{Key, Value};

/// A record that is wanted, not there as wanted, and not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Why.
    pub why: Why,
    /// What stands there instead and what to do.
    pub message: String,
    /// The record as lines of a zone file, whole. Empty where no record would serve, as the message says.
    pub paste: String,
}

/// Who withholds a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// Mode Manual, and nothing of our kind stands there.
    Absent,
    /// Mode Manual, and something else stands there.
    Changed,
    /// Mode Observe, and nothing of our kind stands there.
    Missing,
    /// Mode Observe, and something else stands there.
    Different,
    /// Writing is suspended.
    Suspended,
    /// It was ours and was changed by another hand, which is reported only.
    Drift,
}

impl Withheld {
    /// One word for status rows.
    pub fn reason(&self) -> &'static str {
        match self.why {
            Why::Absent | Why::Changed => "ByHand",
            Why::Missing => "Missing",
            Why::Different => "Different",
            Why::Suspended => "Suspended",
            Why::Drift => "Drift",
        }
    }
}

/// Turns what would be written into what is only told, where mode, suspension or drift want it so.
pub(super) fn restrain(situation: &Situation<'_>, group: &Group, live: &Live, step: Step) -> Step {
    let conduct = situation.conduct;
    let rrset = live.rrsets.get(&group.key);
    let there = conflict::standing(group, rrset);
    let why = match (conduct.mode, &step) {
        (Mode::Manual | Mode::Observe, Step::Conflict(_))
            if conflict::alias(group, live, situation).is_some() =>
        {
            return step;
        }
        (Mode::Manual, Step::Conflict(_)) => Why::Changed,
        (Mode::Manual, step) if step.writes() && there.is_empty() => Why::Absent,
        (Mode::Manual, step) if step.writes() => Why::Changed,
        (Mode::Observe, Step::Conflict(_)) => Why::Different,
        (Mode::Observe, step) if step.writes() && there.is_empty() => Why::Missing,
        (Mode::Observe, step) if step.writes() => Why::Different,
        // An adoption is a note in the ledger; it can wait.
        (_, Step::Adopt) if !conduct.publishes() => return Step::Satisfied,
        (Mode::Publish, Step::Mend) if conduct.drift == Drift::Report => Why::Drift,
        (Mode::Publish, step) if step.writes() && conduct.suspend => Why::Suspended,
        (Mode::Publish | Mode::Manual | Mode::Observe, _) => return step,
    };
    let offer = match why {
        Why::Drift | Why::Suspended => Offer {
            values: group.values.iter().cloned().collect(),
            note: None,
        },
        Why::Absent | Why::Changed | Why::Missing | Why::Different => {
            conflict::offer(group, rrset, situation.mandate.burdens)
        }
    };
    let ttl = decide::ttl_for(situation, group, live);
    let paste = zone_lines(&group.key, ttl, &offer.values);
    let message = message(why, &there, &offer, group, rrset, situation.ttl);
    Step::Withheld(Withheld { why, message, paste })
}

/// What stands there, what to do, and the record where a message has room for all of it.
fn message(
    why: Why,
    there: &str,
    offer: &Offer,
    group: &Group,
    rrset: Option<&LiveRrset>,
    ttl: u32,
) -> String {
    let key = &group.key;
    let other_ttl = rrset.filter(|r| r.ttl != ttl && group.values.iter().eq(r.records.values().flatten()));
    let (head, verb) = match (why, other_ttl) {
        (Why::Absent, _) => (String::new(), "add"),
        (Why::Changed, _) => (format!("{there} stands there; "), "replace it by"),
        (Why::Missing, _) => ("it is not there; ".to_owned(), "to have what is declared, add"),
        (Why::Different, _) => (
            format!("{there} stands there; "),
            "to have what is declared, write",
        ),
        (Why::Suspended, _) if there.is_empty() => (
            "nothing is written while spec.suspend is true; ".to_owned(),
            "it would add",
        ),
        (Why::Suspended, _) => (
            format!("{there} stands there, and nothing is written while spec.suspend is true; "),
            "it would become",
        ),
        (Why::Drift, Some(rrset)) => (
            format!(
                "its TTL is {} now instead of {ttl}, and spec.publishing.drift is Report; ",
                rrset.ttl
            ),
            "to mend it, write",
        ),
        (Why::Drift, None) if there.is_empty() => (
            "was removed by another hand, and spec.publishing.drift is Report; ".to_owned(),
            "to mend it, add",
        ),
        (Why::Drift, None) => (
            format!("was changed by another hand to {there}, and spec.publishing.drift is Report; "),
            "to mend it, write",
        ),
    };
    let whole = head.clone() + &offer.after(&format!("{verb} {key}"));
    if offer.values.is_empty() {
        return whole;
    }
    // A record that is pasted cut off does harm: it is shown whole or not at all.
    if whole.len() <= conflict::LONGEST {
        return whole;
    }
    format!("{head}{verb} the record in paste of this row of status.records")
}

/// That a wildcard's answers end, in words.
pub fn shadows(answers: &str) -> String {
    let answers = conflict::shorten(answers, 120);
    format!(
        "a wildcard answers {answers} at this name, and does so no more once it has a record of its own (RFC 4592)"
    )
}

/// Records as lines of a zone file with whole names (RFC 1035 section 5.1), one a line, without a newline at the end.
pub fn zone_lines<'a>(key: &Key, ttl: u32, values: impl IntoIterator<Item = &'a Value>) -> String {
    let line = |value: &Value| format!("{}. {ttl} IN {} {value}", key.name, key.record_type);
    values.into_iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The RRsets that somebody is asked to add after this plan. In mode Manual one that is missing joins them; a request ends
/// when the RRset is in the ledger, or when nobody wants it any more.
pub fn still_asked(plan: &Plan, conduct: Conduct, asked: &BTreeSet<Key>) -> BTreeSet<Key> {
    let joins = |step: &Step| {
        conduct.mode == Mode::Manual && matches!(step, Step::Withheld(w) if w.why == Why::Absent)
    };
    plan.rows
        .iter()
        .filter(|row| joins(&row.step) || asked.contains(&row.group.key))
        .map(|row| row.group.key.clone())
        .filter(|key| !plan.written.contains_key(key))
        .collect()
}

/// The plan of a domain at which nothing is written: no provider hears of it, and nothing is forgotten.
pub(super) fn only_look(mut plan: Plan, situation: &Situation<'_>) -> Plan {
    plan.providers.clear();
    // Nothing is removed, so nothing is held back or dated.
    plan.held = None;
    plan.retiring.clear();
    plan.cut.clear();
    plan.reverts.clear();
    plan.written.clone_from(situation.written);
    plan.leaving.clone_from(situation.leaving);
    plan.partings.clear();
    for row in &mut plan.rows {
        let shadow = plan.shadowed.get(&row.group.key.name);
        if let (Step::Withheld(withheld), Some(shadow)) = (&mut row.step, shadow)
            && matches!(withheld.why, Why::Absent | Why::Missing)
        {
            withheld.message += &format!("; {}", shadows(shadow));
        }
    }
    if situation.conduct.mode != Mode::Publish {
        plan.rows.iter_mut().for_each(|row| row.home = None);
    }
    plan
}
