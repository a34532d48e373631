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
use crate::verify::{Verdict, silent_servers, verify};

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
    let (mut findings, senders, known) = judge(looker, declaration, known).await;
    let elsewhere = failures_elsewhere(declaration, &verdicts, &direct, &known);
    let is_new = |new: &Finding| {
        !findings
            .iter()
            .any(|f| f.severity == new.severity && (f.id, &f.name) == (new.id, &new.name))
    };
    let elsewhere: Vec<Finding> = elsewhere.into_iter().filter(is_new).collect();
    findings.extend(elsewhere);
    findings.extend(silent_servers(&direct));
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
    declaration: &Declaration<'_>,
    verdicts: &BTreeMap<Key, Verdict>,
    direct: &Direct,
    known: &BTreeMap<Key, Answer>,
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
    let (mut findings, _, _) = examine(declaration, &told);
    findings.retain(|finding| finding.severity == Severity::Fail);
    findings
}

/// Runs the checks, asks what they miss, and runs them again until they miss nothing.
async fn judge(
    looker: &Looker,
    declaration: &Declaration<'_>,
    mut known: BTreeMap<Key, Answer>,
) -> (Vec<Finding>, Proof, BTreeMap<Key, Answer>) {
    let mut budget = QUESTIONS;
    for round in 1.. {
        let (findings, senders, mut missing) = examine(declaration, &known);
        missing.retain(|key| !known.contains_key(key));
        if missing.is_empty() || round > ROUNDS || budget == 0 {
            return (findings, senders, known);
        }
        let asked: BTreeSet<Key> = missing.into_iter().take(budget).collect();
        budget -= asked.len();
        known.extend(looker.receiver(&asked).await);
        // What the looker left out is not asked again.
        for key in asked {
            known.entry(key).or_insert(Answer::Failed(Failure::NotAsked));
        }
    }
    (Vec::new(), Proof::Unknown, known)
}

/// What each of these SPF records, which may not stand there yet, costs receivers.
pub async fn burdens(looker: &Looker, records: BTreeMap<Name, String>) -> BTreeMap<Name, Burden> {
    let mut burdens = BTreeMap::new();
    for (name, text) in records {
        let burden = burden(looker, &name, &text).await;
        burdens.insert(name, burden);
    }
    burdens
}

async fn burden(looker: &Looker, name: &Name, text: &str) -> Burden {
    let mut known: BTreeMap<Key, Answer> = BTreeMap::new();
    for _ in 0..ROUNDS {
        let facts = Facts::new(known.clone());
        let burden = spf::burden(&facts, name, text);
        let mut missing = facts.take_missing();
        missing.retain(|key| !known.contains_key(key));
        if missing.is_empty() {
            return burden;
        }
        known.extend(looker.receiver(&missing).await);
        for key in missing {
            known.entry(key).or_insert(Answer::Failed(Failure::NotAsked));
        }
    }
    Burden::Unknown(name.clone(), Failure::NotAsked)
}

/// One run of all checks; pure.
fn examine(
    declaration: &Declaration<'_>,
    known: &BTreeMap<Key, Answer>,
) -> (Vec<Finding>, Proof, BTreeSet<Key>) {
    let facts = Facts::new(known.clone());
    let evidence = Evidence {
        declaration,
        facts: &facts,
    };
    let findings = protocol::findings(&evidence);
    let senders = alignment::senders_proven(&evidence);
    (findings, senders, facts.take_missing())
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
