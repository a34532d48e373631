//! DNS UPDATE: the server compares and writes in one step, so nothing is ever lost, on no server.
//!
//! The others are a client of their own (`nsupdate`) that adds and deletes records one by one, as every honest tool does.
//! What must stand is known at each step: theirs, and what our last successful write said. A write of ours that succeeds
//! must have found exactly what its plan was made from; that is the whole of a compare-and-swap. While a write of ours
//! is under way, they go on in a thread of their own; where both may stand in one RRset, the order does not matter.

use std::collections::BTreeSet;

use maildomain::plan::{Plan, Step};
use maildomain::publish::{Change, PublishError};
use maildomain::record::Key;

use super::ours::{Declared, is_shared, keys};
use super::{PASSES, STEPS, TELLING, Texts, campaign, seen};
use crate::bench::{Bench, TTL};
use crate::dice::Dice;
use crate::hand::Hand;

#[derive(Debug, Default)]
struct Count {
    theirs: usize,
    meanwhile: usize,
    ours: usize,
    raced: usize,
    mended: usize,
}

/// Both sides, and what must stand.
struct Scene<'a> {
    bench: &'a Bench,
    keys: Vec<Key>,
    theirs: Texts,
    ours: Texts,
    number: usize,
    count: Count,
}

/// One step of theirs, as lines of `nsupdate`.
struct Act {
    key: Key,
    lines: Vec<String>,
    added: Option<String>,
    gone: Option<String>,
}

pub fn run(server: &str, bench: &Bench) {
    let mut scene = Scene {
        bench,
        keys: keys(),
        theirs: Texts::new(),
        ours: Texts::new(),
        number: 0,
        count: Count::default(),
    };
    let schedules = campaign(server, |dice| scene.schedule(dice));
    let Count {
        theirs,
        meanwhile,
        ours,
        raced,
        mended,
    } = scene.count;
    println!(
        "interleavings: {server}: {schedules} schedules, {theirs} foreign writes ({meanwhile} of them during ours), {ours} of ours, \
         {raced} races noticed, {mended} foreign values in RRsets of ours alone mended knowingly; 0 foreign values lost, 0 of ours missing"
    );
    assert!(
        schedules < TELLING || (raced > 0 && ours > 0 && meanwhile > 0),
        "chance brought no race at all"
    );
}

impl Scene<'_> {
    fn schedule(&mut self, dice: &mut Dice) {
        let mut declared = Declared::any(dice);
        let mut planned: Option<Plan> = None;
        for _ in 0..STEPS {
            match dice.below(10) {
                0 => declared = Declared::any(dice),
                1..=2 => planned = Some(self.plan(&declared)),
                3..=5 => {
                    // A write of a plan, now or from an earlier read.
                    let plan = planned.take().unwrap_or_else(|| self.plan(&declared));
                    self.write(&plan, dice);
                }
                _ => {
                    let act = self.act(dice, false);
                    self.bench.hand.write("corp.test", &act.lines);
                    self.note(act);
                }
            }
        }
        let plan = self.converge(&declared);
        self.assert_as_declared(&plan);
        self.converge(&Declared::nothing());
        assert!(self.ours.values().all(BTreeSet::is_empty), "{:?}", self.ours);
        self.clear();
    }

    fn plan(&self, declared: &Declared) -> Plan {
        self.bench.plan(&declared.wanted, declared.ttl)
    }

    fn stand(&self, key: &Key) -> BTreeSet<String> {
        let of = |texts: &Texts| texts.get(key).cloned().unwrap_or_default();
        of(&self.theirs).into_iter().chain(of(&self.ours)).collect()
    }

    fn assert_stands(&self) {
        for (key, there) in seen(self.bench, &self.keys) {
            assert_eq!(there, self.stand(&key), "{key}: what stands there, and what must");
        }
    }

    /// What they do next. A deletion and a change need something of theirs.
    fn act(&mut self, dice: &mut Dice, shared_only: bool) -> Act {
        self.number += 1;
        let keys: Vec<Key> = self
            .keys
            .iter()
            .filter(|k| !shared_only || is_shared(k))
            .cloned()
            .collect();
        // More often where both may stand.
        let shared: Vec<Key> = keys.iter().filter(|k| is_shared(k)).cloned().collect();
        let from = if dice.percent(60) { &shared } else { &keys };
        let key = dice.of(from).unwrap().clone();
        let there: Vec<String> = self.theirs.get(&key).into_iter().flatten().cloned().collect();
        let gone = dice.of(&there).filter(|_| dice.percent(55)).cloned();
        let value = match (key.record_type.as_str(), key.name.as_str()) {
            ("TXT", "_dmarc.corp.test") => format!("\"v=DMARC1; p=reject; x={}\"", self.number),
            ("TXT", _) => format!("\"token={}\"", self.number),
            ("MX", _) => format!("{} theirs.elsewhere.test.", self.number % 60_000),
            _ => format!("198.51.{}.{}", self.number / 250 % 250, self.number % 250),
        };
        let added = (gone.is_none() || dice.percent(30)).then_some(value);
        let ttl = if dice.percent(80) { TTL } else { 1800 };
        let (owner, kind) = (&key.name, key.record_type);
        let delete = gone.iter().map(|data| format!("delete {owner}. {kind} {data}"));
        let add = added
            .iter()
            .map(|data| format!("add {owner}. {ttl} {kind} {data}"));
        Act {
            lines: delete.chain(add).collect(),
            key,
            added,
            gone,
        }
    }

    fn note(&mut self, act: Act) {
        self.count.theirs += 1;
        let theirs = self.theirs.entry(act.key).or_default();
        if let Some(gone) = act.gone {
            theirs.remove(&gone);
        }
        theirs.extend(act.added);
    }

    /// Carries a plan out, every third time while they go on.
    fn write(&mut self, plan: &Plan, dice: &mut Dice) {
        if plan.is_empty() {
            assert_eq!(self.bench.apply(plan), Ok(()));
            return;
        }
        if !dice.percent(40) {
            let result = self.bench.apply(plan);
            self.judge(plan, &result);
            return;
        }
        let mut acts = Vec::new();
        for _ in 0..=dice.below(2) {
            let act = self.act(dice, true);
            acts.push(act);
        }
        let (bench, lines) = (self.bench, acts.iter().map(|act| &act.lines));
        let lines: Vec<&Vec<String>> = lines.collect();
        let hand: &dyn Hand = bench.hand.as_ref();
        let result = std::thread::scope(|scope| {
            let they =
                scope.spawn(move || lines.into_iter().for_each(|lines| hand.write("corp.test", lines)));
            let result = bench.apply(plan);
            they.join().unwrap();
            result
        });
        self.count.meanwhile += acts.len();
        let busy: BTreeSet<Key> = acts.iter().map(|act| act.key.clone()).collect();
        for act in acts {
            self.note(act);
        }
        let written = match result {
            Ok(()) => true,
            // What they did right after our write looks like a race too. It was carried out whole, or not at all.
            Err(PublishError::Raced(_)) => {
                self.count.raced += 1;
                let there = seen(self.bench, &self.keys);
                plan.changes().any(|change| self.shows(change, &busy))
                    && plan
                        .changes()
                        .all(|change| self.is_carried_out(change, &there[&change.key], &busy))
            }
            Err(error) => panic!("{error}\n{plan}"),
        };
        if written {
            self.settle(plan, &busy);
        }
        self.assert_stands();
    }

    /// Whether what stands there is what a change makes of it. Where others were `busy`, only our part of it is known.
    fn is_carried_out(&self, change: &Change, there: &BTreeSet<String>, busy: &BTreeSet<Key>) -> bool {
        let ours = texts(change);
        if !busy.contains(&change.key) {
            return *there == after(change);
        }
        let mut before = self.ours.get(&change.key).into_iter().flatten();
        ours.is_subset(there) && before.all(|text| ours.contains(text) || !there.contains(text))
    }

    /// Whether a change would be seen at all: nobody can tell it from none where it makes what stands there already.
    fn shows(&self, change: &Change, busy: &BTreeSet<Key>) -> bool {
        if busy.contains(&change.key) {
            self.ours.get(&change.key).cloned().unwrap_or_default() != texts(change)
        } else {
            self.stand(&change.key) != after(change)
        }
    }

    /// Nobody else wrote during the write: it must have succeeded just where it found what it was made from.
    fn judge(&mut self, plan: &Plan, result: &Result<(), PublishError>) {
        match result {
            Ok(()) => self.settle(plan, &BTreeSet::new()),
            Err(PublishError::Raced(key)) => {
                self.count.raced += 1;
                let moved = plan
                    .changes()
                    .any(|change| &change.key == key && before(change) != self.stand(key));
                assert!(moved, "{key} is as it was read\n{plan}");
            }
            Err(error) => panic!("{error}\n{plan}"),
        }
    }

    /// What stands by a write of ours. In an RRset that others were `busy` in, only our values are known from it.
    fn settle(&mut self, plan: &Plan, busy: &BTreeSet<Key>) {
        self.count.ours += 1;
        for change in plan.changes() {
            let key = &change.key;
            if !busy.contains(key) {
                let stood = self.stand(key);
                assert_eq!(
                    before(change),
                    stood,
                    "{key}: written over what was not read\n{plan}"
                );
                let theirs = self.theirs.entry(key.clone()).or_default();
                if is_shared(key) {
                    assert_eq!(change.keep, *theirs, "{key}: what is kept of theirs\n{plan}");
                } else {
                    // Alone there, we may take away what we saw: drift.
                    self.count.mended += theirs.len() - change.keep.len();
                    theirs.clone_from(&change.keep);
                }
            }
            self.ours.insert(key.clone(), texts(change));
        }
    }

    /// Passes until there is nothing to do.
    fn converge(&mut self, declared: &Declared) -> Plan {
        for _ in 0..PASSES {
            let plan = self.plan(declared);
            let result = self.bench.apply(&plan);
            if plan.is_empty() {
                assert_eq!(result, Ok(()));
                self.assert_stands();
                return plan;
            }
            assert_eq!(result, Ok(()), "nobody else writes any more\n{plan}");
            self.judge(&plan, &result);
        }
        panic!("still something to do: {}", self.plan(declared));
    }

    /// All of ours stand, but where theirs stood first in an RRset that holds no two.
    fn assert_as_declared(&self, plan: &Plan) {
        for row in &plan.rows {
            let key = &row.group.key;
            if matches!(row.step, Step::Conflict(_)) {
                let theirs = self.theirs.get(key);
                assert!(!is_shared(key) && theirs.is_some_and(|t| !t.is_empty()), "{plan}");
                continue;
            }
            let wanted: BTreeSet<String> = row.group.values.iter().map(ToString::to_string).collect();
            assert_eq!(self.ours.get(key), Some(&wanted), "{key}: {:?}", row.step);
        }
    }

    /// The next schedule begins with nothing.
    fn clear(&mut self) {
        self.assert_stands();
        let lines: Vec<String> = self
            .keys
            .iter()
            .map(|key| format!("delete {}. {}", key.name, key.record_type))
            .collect();
        self.bench.hand.write("corp.test", &lines);
        self.theirs.clear();
        self.ours.clear();
        self.assert_stands();
    }
}

fn before(change: &Change) -> BTreeSet<String> {
    change
        .before
        .iter()
        .flat_map(|b| b.records.keys().cloned())
        .collect()
}

fn after(change: &Change) -> BTreeSet<String> {
    texts(change).union(&change.keep).cloned().collect()
}

fn texts(change: &Change) -> BTreeSet<String> {
    change.ours.iter().map(ToString::to_string).collect()
}
