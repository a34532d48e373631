//! PowerDNS's HTTP API has no compare-and-swap (4.7): the others read an RRset, and write it back whole with their change.
//! Either side can lose what the other wrote in between. How much is counted here.
//!
//! Ours is read again right before it is written, so of theirs only what comes within that one round trip can be lost. A
//! proxy places their writes there. Outside of it nothing may be lost, and at the end all of ours must stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use maildomain::plan::{Plan, Step};
use maildomain::publish::PublishError;
use maildomain::record::Key;
use serde_json::{Value as Json, json};

use super::ours::{Declared, is_shared, keys};
use super::{PASSES, STEPS, TELLING, Texts, campaign, seen};
use crate::bench::{Bench, TTL};
use crate::dice::Dice;
use crate::provider_proxy::{Act, Answer, ProviderProxy, ask};
use crate::servers::API_KEY;

#[derive(Debug, Default)]
struct Count {
    ours: usize,
    raced: usize,
    mended: usize,
    lost: usize,
    came_back: usize,
    in_the_way: usize,
}

/// Another tool, which writes whole RRsets back.
#[derive(Debug)]
struct Neighbour {
    api: String,
    /// What it means to stand there.
    meant: Texts,
    /// What it took away.
    removed: Texts,
    /// What it has read and not written back yet.
    read: Option<(Key, BTreeSet<String>)>,
    number: usize,
    writes: usize,
    /// How many of its writes fell between our second read and our write.
    within: usize,
}

pub fn run(server: &(Bench, ProviderProxy, String)) {
    let (bench, proxy, api) = server;
    let neighbour = Arc::new(Mutex::new(Neighbour {
        api: api.clone(),
        meant: Texts::new(),
        removed: Texts::new(),
        read: None,
        number: 0,
        writes: 0,
        within: 0,
    }));
    let mut count = Count::default();
    let schedules = campaign("pdns_api", |dice| {
        schedule(bench, proxy, &neighbour, dice, &mut count);
    });
    let Neighbour { writes, within, .. } = &*neighbour.lock().unwrap();
    let Count {
        ours,
        raced,
        mended,
        lost,
        came_back,
        in_the_way,
    } = count;
    println!(
        "interleavings: pdns_api: {schedules} schedules, {writes} foreign writes, {ours} of ours, {raced} races noticed, {mended} times ours \
         dropped by a foreign write and mended, {in_the_way} times kept out by a record that we had removed and a foreign write brought back (a conflict, told), 0 of ours missing otherwise; \
         {within} foreign writes placed between our read and our write, of which \
         {lost} values lost and {came_back} deleted ones back; outside of that 0 lost"
    );
    assert!(
        schedules < TELLING || (raced > 0 && ours > 0),
        "chance brought no race at all"
    );
}

fn schedule(
    bench: &Bench,
    proxy: &ProviderProxy,
    neighbour: &Arc<Mutex<Neighbour>>,
    dice: &mut Dice,
    count: &mut Count,
) {
    let mut declared = Declared::any(dice);
    let mut planned: Option<Plan> = None;
    let before = neighbour.lock().unwrap().within;
    for _ in 0..STEPS {
        match dice.below(10) {
            0 => declared = Declared::any(dice),
            1..=2 => {
                let plan = bench.plan(&declared.wanted, declared.ttl);
                count.mended += plan.rows.iter().filter(|row| row.step == Step::Mend).count();
                planned = Some(plan);
            }
            3..=5 => {
                let plan = planned
                    .take()
                    .unwrap_or_else(|| bench.plan(&declared.wanted, declared.ttl));
                if dice.percent(12) {
                    within(proxy, neighbour, dice.clone());
                }
                match bench.apply(&plan) {
                    Ok(()) => count.ours += 1,
                    Err(PublishError::Raced(_)) => count.raced += 1,
                    Err(error) => panic!("{error}\n{plan}"),
                }
                proxy.honest();
            }
            _ => neighbour.lock().unwrap().step(dice),
        }
    }
    let plan = converge(bench, &declared);
    let there = seen(bench, &keys());
    for row in &plan.rows {
        let key = &row.group.key;
        if matches!(row.step, Step::Conflict(_)) {
            // We had taken our record away and forgotten it, and their old copy of the RRset brought it back: that is told,
            // and not written over. The neighbour writes no such record of its own.
            assert!(is_shared(key), "{key}: {:?}", row.step);
            count.in_the_way += 1;
            continue;
        }
        let ours = row.group.values.iter().map(ToString::to_string);
        assert_eq!(row.step, Step::InPlace, "{key}");
        assert!(ours.collect::<BTreeSet<_>>().is_subset(&there[key]), "{key}");
    }
    let mut neighbour = neighbour.lock().unwrap();
    let missing = |key: &Key, meant: &BTreeSet<String>| meant.difference(&there[key]).count();
    let lost: usize = neighbour.meant.iter().map(|(k, m)| missing(k, m)).sum();
    let back = |key: &Key, removed: &BTreeSet<String>| removed.intersection(&there[key]).count();
    let came_back: usize = neighbour.removed.iter().map(|(k, r)| back(k, r)).sum();
    if neighbour.within == before {
        assert_eq!(
            (lost, came_back),
            (0, 0),
            "lost outside of the one round trip: {there:?}"
        );
    }
    count.lost += lost;
    count.came_back += came_back;
    converge(bench, &Declared::nothing());
    neighbour.clear();
    let left = seen(bench, &keys());
    assert!(left.values().all(BTreeSet::is_empty), "{left:?}");
}

/// They write when we have read for the last time: the call of ours that changes something waits for them.
fn within(proxy: &ProviderProxy, neighbour: &Arc<Mutex<Neighbour>>, dice: Dice) {
    let (neighbour, dice) = (Arc::clone(neighbour), Mutex::new(dice));
    proxy.rule(move |call| {
        if call.writes() {
            let mut neighbour = neighbour.lock().unwrap();
            let mut dice = dice.lock().unwrap();
            let writes = neighbour.writes;
            while neighbour.writes == writes {
                neighbour.step(&mut dice);
            }
            neighbour.within += 1;
        }
        Act::Ask
    });
}

fn converge(bench: &Bench, declared: &Declared) -> Plan {
    for _ in 0..PASSES {
        let plan = bench.plan(&declared.wanted, declared.ttl);
        assert_eq!(bench.apply(&plan), Ok(()), "nobody else writes any more\n{plan}");
        if plan.is_empty() {
            return plan;
        }
    }
    panic!("still something to do");
}

impl Neighbour {
    /// Reads, or writes back what it read before with a value more or less.
    fn step(&mut self, dice: &mut Dice) {
        let Some((key, mut there)) = self.read.take() else {
            let shared: Vec<Key> = keys().into_iter().filter(is_shared).collect();
            let key = dice.of(&shared).unwrap().clone();
            let there = self.look(&key);
            self.read = Some((key, there));
            return;
        };
        self.number += 1;
        let meant = self.meant.entry(key.clone()).or_default();
        let still: Vec<String> = meant.intersection(&there).cloned().collect();
        let gone = dice.of(&still).filter(|_| dice.percent(50)).cloned();
        let removed = self.removed.entry(key.clone()).or_default();
        if let Some(gone) = &gone {
            there.remove(gone);
            meant.remove(gone);
            removed.insert(gone.clone());
        }
        if gone.is_none() || dice.percent(30) {
            let value = format!("\"token={}\"", self.number);
            there.insert(value.clone());
            meant.insert(value);
        }
        self.put(&key, &there);
    }

    fn look(&self, key: &Key) -> BTreeSet<String> {
        let answer = self.call("GET", "");
        let zone: Json = serde_json::from_str(&answer.body).unwrap();
        let of_key = |rrset: &&Json| {
            rrset["name"] == key.name.with_dot().as_str() && rrset["type"] == key.record_type.as_str()
        };
        let rrsets = zone["rrsets"].as_array().unwrap().iter().filter(of_key);
        let records = rrsets.flat_map(|rrset| rrset["records"].as_array().unwrap());
        records
            .map(|record| record["content"].as_str().unwrap().to_owned())
            .collect()
    }

    fn put(&mut self, key: &Key, texts: &BTreeSet<String>) {
        self.writes += 1;
        let records: Vec<Json> = texts
            .iter()
            .map(|text| json!({"content": text, "disabled": false}))
            .collect();
        let change = if records.is_empty() { "DELETE" } else { "REPLACE" };
        let body = json!({"rrsets": [{
            "name": key.name.with_dot(), "type": key.record_type.as_str(), "ttl": TTL, "changetype": change, "records": records,
        }]});
        let answer = self.call("PATCH", &body.to_string());
        assert_eq!(answer.status, 204, "{}", answer.body);
    }

    fn call(&self, method: &str, body: &str) -> Answer {
        let request = format!(
            "{method} /api/v1/servers/localhost/zones/corp.test. HTTP/1.1\r\nHost: {}\r\nX-API-Key: {API_KEY}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.api,
            body.len()
        );
        ask(&self.api, request.as_bytes()).unwrap()
    }

    fn clear(&mut self) {
        for key in keys() {
            self.put(&key, &BTreeSet::new());
            self.writes -= 1;
        }
        self.read = None;
        self.meant = BTreeMap::new();
        self.removed = BTreeMap::new();
    }
}
