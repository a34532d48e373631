//! Looking: ask every authoritative server, prove keys, then run the checks on what receivers see. (network)

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::api::{Severity, Truth};
use crate::finding::Finding;
use crate::lookup::looker::Looker;
use crate::lookup::{Answer, Direct, Facts, Failure, Server};
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
    for view in views(looker, &verdicts, &direct, &known).await {
        let mut told = known.clone();
        told.extend(view);
        let ((found, _), _) = settle(looker, told, examine).await;
        let fails = found
            .into_iter()
            .filter(|finding| finding.severity == Severity::Fail);
        for new in fails {
            let is_told = |f: &Finding| f.severity == new.severity && (f.id, &f.name) == (new.id, &new.name);
            if !findings.iter().any(is_told) {
                findings.push(new);
            }
        }
    }
    findings.sort();
    Seen {
        verdicts,
        direct,
        findings,
        known,
        senders,
    }
}

/// More sources than any zone has that differ, each in its own way.
const VIEWS: usize = 8;

type View = BTreeMap<Key, Answer>;

/// What a receiver may be told otherwise than `known`: each name server by itself, and the resolver where the name servers do
/// not answer as wanted. One that is right, or down, or lies must not hide what fails at another.
async fn views(
    looker: &Looker,
    verdicts: &BTreeMap<Key, Verdict>,
    direct: &Direct,
    known: &View,
) -> Vec<View> {
    let mut sources: BTreeMap<&Server, View> = BTreeMap::new();
    for (key, answers) in &direct.answers {
        // A name server that has nothing may have the beginning of an alias, whose end a receiver finds elsewhere.
        let stands = |(_, answer): &&(Server, Answer)| matches!(answer, Answer::Records { .. });
        for (server, answer) in answers.iter().filter(stands) {
            let view = sources.entry(server).or_default();
            view.insert(key.clone(), answer.clone());
        }
    }
    // Where something stands no resolver can learn a "no" that is about to be mended.
    let stands = |verdict: &Verdict| matches!(verdict.worst, Some(Answer::Records { .. }));
    let wrong = verdicts
        .iter()
        .filter(|(_, verdict)| verdict.verified == Truth::False && stands(verdict));
    let wrong: BTreeSet<Key> = wrong.map(|(key, _)| key.clone()).collect();
    let received = looker.receiver(&wrong).await;
    let mut views: Vec<View> = Vec::new();
    for source in sources.into_values().chain([received]) {
        let differs = |(key, answer): &(Key, Answer)| {
            let is_heard = !matches!(answer, Answer::Failed(_));
            is_heard
                && known
                    .get(key)
                    .is_some_and(|told| told.values() != answer.values())
        };
        let view: View = source.into_iter().filter(differs).collect();
        if !view.is_empty() && !views.iter().any(|other| same(other, &view)) {
            views.push(view);
        }
    }
    views.truncate(VIEWS);
    views
}

/// Whether two views say the same, whatever the time that it may be remembered.
fn same(one: &View, other: &View) -> bool {
    one.len() == other.len()
        && one
            .iter()
            .zip(other)
            .all(|((key, answer), (k, a))| key == k && answer.values() == a.values())
}

/// Runs a judge, asks what it misses, and runs it again until it misses nothing.
pub async fn settle<T>(
    looker: &Looker,
    mut known: BTreeMap<Key, Answer>,
    judge: impl Fn(&Facts) -> T,
) -> (T, BTreeMap<Key, Answer>) {
    let mut budget = QUESTIONS;
    let mut rounds = 0;
    loop {
        rounds += 1;
        let facts = Facts::new(known.clone());
        let verdict = judge(&facts);
        let mut missing = facts.take_missing();
        missing.retain(|key| !known.contains_key(key));
        if missing.is_empty() || rounds > ROUNDS || budget == 0 {
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
