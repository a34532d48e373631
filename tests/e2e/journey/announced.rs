//! What `maildomain plan` says before a step.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};

use super::zone::{Key, Zone};
use crate::harness::Site;

/// The lines of a plan.
#[derive(Debug, Default)]
pub struct Announced {
    added: Vec<(Key, u32, String)>,
    there: Vec<(Key, u32, String)>,
    removed: Vec<(Key, String)>,
    ttls: BTreeMap<Key, u32>,
    /// What is offered to be pasted in the place of something foreign.
    pub offers: BTreeMap<Key, String>,
}

impl Announced {
    /// Asks the program, with what the cluster declares and remembers.
    #[track_caller]
    pub fn by(site: &Site, more: &[&str]) -> Self {
        let [domain, ledgers] = site.declared_and_remembered();
        let output = Command::new(env!("CARGO_BIN_EXE_maildomain"))
            .args(["plan", "--live", "--output", "bind", "--filename"])
            .arg(domain)
            .arg("--filename")
            .arg(ledgers)
            .arg("--config")
            .arg(site.file("config.yaml"))
            .args(more)
            .stdin(Stdio::null())
            .output()
            .expect("maildomain can be started");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.code().is_some_and(|code| code != 1),
            "{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        Self::read(&text)
    }

    fn read(text: &str) -> Self {
        let mut announced = Self::default();
        for line in text.lines() {
            if let Some(offer) = line.strip_prefix(";   ").and_then(record) {
                announced.offers.insert(offer.0, offer.2);
            } else if let Some((key, _, content)) = line.strip_prefix("; remove: ").and_then(record) {
                // What is not looked at here is not expected here.
                if !key.0.starts_with("_maildomain.") {
                    announced.removed.push((key, content));
                }
            } else if let Some(found) = line.strip_prefix("; there: ").and_then(record) {
                announced.there.push(found);
            } else if let Some((key, ttl, _)) = line.strip_prefix("; note: ").and_then(record) {
                announced.ttls.insert(key, ttl);
            } else if !line.starts_with(';') {
                let found = record(line).unwrap_or_else(|| panic!("not a line of a zone file: {line}"));
                announced.added.push(found);
            }
        }
        announced
    }

    /// The zone at a new home as it must be afterwards: what stands somewhere as declared is written there too.
    pub fn moved_to(&self, zone: Zone) -> Zone {
        let Zone(mut sets) = self.applied_to(zone);
        for (key, ttl, content) in self
            .there
            .iter()
            .filter(|(key, ..)| !key.0.starts_with("_maildomain."))
        {
            let set = sets.entry(key.clone()).or_insert((*ttl, BTreeSet::new()));
            set.1.insert(content.clone());
        }
        Zone(sets)
    }

    /// The zone as it must be afterwards.
    pub fn applied_to(&self, zone: Zone) -> Zone {
        let Zone(mut sets) = zone;
        for (key, content) in &self.removed {
            let there = sets
                .get_mut(key)
                .is_some_and(|(_, contents)| contents.remove(content));
            assert!(there, "the plan removes what is not there: {key:?} {content}");
        }
        for (key, ttl, content) in &self.added {
            let set = sets.entry(key.clone()).or_insert((*ttl, BTreeSet::new()));
            set.0 = *ttl;
            assert!(
                set.1.insert(content.clone()),
                "the plan adds what is there: {key:?} {content}"
            );
        }
        for (key, ttl) in &self.ttls {
            sets.get_mut(key).expect("a TTL is of something").0 = *ttl;
        }
        sets.retain(|_, (_, contents)| !contents.is_empty());
        Zone(sets)
    }
}

/// `name. TTL IN TYPE content`, with any blanks between.
fn record(line: &str) -> Option<(Key, u32, String)> {
    let (name, rest) = line.split_once(' ')?;
    let (ttl, rest) = rest.trim_start().split_once(' ')?;
    let (kind, content) = rest.strip_prefix("IN ")?.split_once(' ')?;
    let key = (name.strip_suffix('.')?.to_owned(), kind.to_owned());
    Some((key, ttl.parse().ok()?, content.trim_start().to_owned()))
}
