//! Looking: ask every authoritative server, prove keys, then run the checks on what receivers see. (network)

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::api::{Severity, Truth};
use crate::finding::Finding;
use crate::lookup::looker::Looker;
use crate::lookup::{Answer, Direct, Facts, Failure};
use crate::name::Name;
use crate::plan::Group;
use crate::protocol::alignment::{self, Proof};
use crate::protocol::spf::{self, Burden};
use crate::protocol::{self, Declaration, Evidence};
use crate::record::Key;
use crate::verify::{Verdict, verify};

/// Rounds of questions: a chain of ten SPF includes and a DMARC walk fit well.
const ROUNDS: usize = 24;
/// Questions for one domain and pass.
const QUESTIONS: usize = 600;

/// What was seen.
#[derive(Debug)]
pub struct Seen {
    /// By wanted RRset.
    pub verdicts: BTreeMap<Key, Verdict>,
    /// What the authoritative servers answered.
    pub direct: Direct,
    /// What the checks found, worst first.
    pub findings: Vec<Finding>,
    /// What receivers are told, as far as the checks asked.
    pub known: BTreeMap<Key, Answer>,
    /// Whether every declared sender has a verified aligned identifier.
    pub senders: Proof,
}

/// Looks at a domain and judges it: the one place, for the operator and for whoever asks without a cluster. What receivers
/// are told and the caller has `heard` already is not asked again.
pub async fn look(
    looker: &Looker,
    declaration: &Declaration<'_>,
    groups: &[Group],
    heard: BTreeMap<Key, Answer>,
) -> Seen {
    let keys: BTreeSet<Key> = groups.iter().map(|group| group.key.clone()).collect();
    let direct = looker.direct(&keys).await;
    let verdicts = verify(groups, &direct);
    // Where the authoritative servers do not agree with us a receiver may get the worst of their answers. No resolver
    // is asked there: it would remember a "no" that is about to be mended (RFC 2308 section 5).
    let worst = |(key, verdict): (&Key, &Verdict)| {
        (verdict.verified == Truth::False)
            .then(|| verdict.worst.clone().map(|answer| (key.clone(), answer)))
            .flatten()
    };
    let mut known = heard;
    known.extend(verdicts.iter().filter_map(worst));
    let examine = |facts: &Facts| {
        let evidence = Evidence {
            declaration,
            facts,
            direct: &direct,
        };
        (
            protocol::findings(&evidence),
            alignment::senders_proven(&evidence),
        )
    };
    let ((mut findings, senders), known) = settle(looker, known, examine).await;
    let elsewhere = failures_elsewhere(&verdicts, &direct, &known, |facts| examine(facts).0);
    let is_new = |new: &Finding| {
        !findings
            .iter()
            .any(|f| f.severity == new.severity && (f.id, &f.name) == (new.id, &new.name))
    };
    let elsewhere: Vec<Finding> = elsewhere.into_iter().filter(is_new).collect();
    findings.extend(elsewhere);
    findings.sort();
    Seen {
        verdicts,
        direct,
        findings,
        known,
        senders,
    }
}

/// What fails for a receiver whose resolver gives what the authoritative servers give, where ours gives something else, or nothing:
/// a resolver that is down or lies must not hide a record that is wrong.
fn failures_elsewhere(
    verdicts: &BTreeMap<Key, Verdict>,
    direct: &Direct,
    known: &BTreeMap<Key, Answer>,
    examine: impl Fn(&Facts) -> Vec<Finding>,
) -> Vec<Finding> {
    let served = |key: &Key| {
        let mut answers = direct.answers.get(key).into_iter().flatten();
        answers.find_map(|(_, answer)| matches!(answer, Answer::Records { .. }).then_some(answer))
    };
    let right = verdicts.iter().filter(|(_, v)| v.verified == Truth::True);
    let others: BTreeMap<Key, Answer> = right
        .filter_map(|(key, _)| Some((key, known.get(key)?, served(key)?)))
        .filter(|(_, heard, served)| heard.values() != served.values())
        .map(|(key, _, served)| (key.clone(), served.clone()))
        .collect();
    if others.is_empty() {
        return Vec::new();
    }
    let mut told = known.clone();
    told.extend(others);
    let mut findings = examine(&Facts::new(told));
    findings.retain(|finding| finding.severity == Severity::Fail);
    findings
}

/// Runs a judge, asks what it misses, and runs it again until it misses nothing.
pub async fn settle<T>(
    looker: &Looker,
    mut known: BTreeMap<Key, Answer>,
    judge: impl Fn(&Facts) -> T,
) -> (T, BTreeMap<Key, Answer>) {
    let mut budget = QUESTIONS;
    for round in 1.. {
        let facts = Facts::new(known.clone());
        let verdict = judge(&facts);
        let mut missing = facts.take_missing();
        missing.retain(|key| !known.contains_key(key));
        if missing.is_empty() || round > ROUNDS || budget == 0 {
            return (verdict, known);
        }
        let asked: BTreeSet<Key> = missing.into_iter().take(budget).collect();
        budget -= asked.len();
        known.extend(looker.receiver(&asked).await);
        // What the looker left out is not asked again.
        for key in asked {
            known.entry(key).or_insert(Answer::Failed(Failure::NotAsked));
        }
    }
    (judge(&Facts::new(known.clone())), known)
}

/// What each of these SPF records, which may not stand there yet, costs receivers.
pub async fn burdens(looker: &Looker, records: BTreeMap<Name, String>) -> BTreeMap<Name, Burden> {
    let mut burdens = BTreeMap::new();
    for (name, text) in records {
        let (burden, _) = settle(looker, BTreeMap::new(), |facts| spf::burden(facts, &name, &text)).await;
        burdens.insert(name, burden);
    }
    burdens
}

/// The end of the longest negative answer seen about a key's record, from now.
pub fn negative_until(direct: &Direct, key: &Key, now: Timestamp) -> Option<Timestamp> {
    let ttl = |answer: &Answer| match answer {
        Answer::NoData { negative_ttl } | Answer::NxDomain { negative_ttl } => Some(*negative_ttl),
        Answer::Records { .. } | Answer::Failed(_) => None,
    };
    let longest = direct
        .answers
        .get(key)?
        .iter()
        .filter_map(|(_, answer)| ttl(answer))
        .max()?;
    now.checked_add(jiff::SignedDuration::from_secs(i64::from(longest)))
        .ok()
}
