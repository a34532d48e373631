//! Somebody else and we write to the same RRsets, our steps and theirs in an order of chance: nothing of theirs is lost,
//! and nothing of ours is missing at the end.
//!
//! A schedule is a domain's life of sixteen steps: we declare something else, read and plan, carry the plan out; they
//! add a value, delete one, change one. What counts is what they do between our read and our write, and while our write
//! is under way. Each schedule follows from the seed and its number alone:
//!
//! ```text
//! MAILDOMAIN_CAMPAIGN_SEED       the seed, printed by each run
//! MAILDOMAIN_CAMPAIGN_SCHEDULES  how many for each server (25)
//! MAILDOMAIN_CAMPAIGN_ONLY       just the schedule of this number, to look at one that failed
//! ```

mod api;
mod ours;
mod updates;

use std::collections::{BTreeMap, BTreeSet};

use maildomain::name::Name;
use maildomain::record::{Key, RecordType};

use crate::bench::Bench;
use crate::dice::{Dice, setting};

/// Texts of records by RRset.
pub type Texts = BTreeMap<Key, BTreeSet<String>>;

const SEED: u64 = 20_261_126;
const SCHEDULES: u64 = 25;
/// Steps of one schedule.
pub const STEPS: usize = 16;
/// Passes that may be needed after the last step of the others.
pub const PASSES: usize = 8;

/// So many schedules bring a race for sure, or they would prove nothing.
pub const TELLING: u64 = 20;

/// Runs the schedules of one server; `run` gets the dice of each. A failure names the schedule. Gives how many there were.
pub fn campaign(server: &str, mut run: impl FnMut(&mut Dice)) -> u64 {
    let seed = setting("MAILDOMAIN_CAMPAIGN_SEED", SEED);
    let count = setting("MAILDOMAIN_CAMPAIGN_SCHEDULES", SCHEDULES);
    let only = setting("MAILDOMAIN_CAMPAIGN_ONLY", u64::MAX);
    let schedules = if only == u64::MAX {
        0..count
    } else {
        only..only.saturating_add(1)
    };
    let ran = schedules.end - schedules.start;
    for number in schedules {
        let named = Named { server, seed, number };
        run(&mut Dice::new(seed, number));
        drop(named);
        if (number + 1) % 100 == 0 {
            println!("interleavings: {server}: {} of {count} schedules", number + 1);
        }
    }
    ran
}

/// Says which schedule it was when it ends in a panic.
struct Named<'a> {
    server: &'a str,
    seed: u64,
    number: u64,
}

impl Drop for Named<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { server, seed, number } = self;
            println!(
                "{server}: MAILDOMAIN_CAMPAIGN_SEED={seed} MAILDOMAIN_CAMPAIGN_ONLY={number} shows it again"
            );
        }
    }
}

/// What stands at these RRsets, by one zone transfer.
fn seen(bench: &Bench, keys: &[Key]) -> Texts {
    let mut seen: Texts = keys.iter().map(|key| (key.clone(), BTreeSet::new())).collect();
    for (owner, kind, data) in bench.hand.zone("corp.test") {
        // A wildcard is no name of ours.
        let (Ok(owner), Some(kind)) = (Name::parse(&owner), RecordType::parse(&kind)) else {
            continue;
        };
        if let Some(texts) = seen.get_mut(&Key::new(owner, kind)) {
            texts.insert(data);
        }
    }
    seen
}

#[test]
fn bind() {
    updates::run("bind", &crate::servers::bind());
}

#[test]
fn knot() {
    updates::run("knot", &crate::servers::knot());
}

#[test]
fn pdns() {
    updates::run("pdns", &crate::servers::pdns());
}

#[test]
fn pdns_api() {
    api::run(&crate::servers::pdns_api_watched());
}
