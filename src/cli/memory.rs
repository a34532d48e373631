//! What a cluster remembers of a domain: its ledger, as a plan on a user's own machine needs it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{KeyLife, RecordLedger, RecordLedgerSpec};
use crate::controller::book::Book;
use crate::intent::Intent;
use crate::key::PublicKey;
use crate::keyring::{self, Owner, Slot};
use crate::name::Name;
use crate::plan::{Leaving, Written};
use crate::protocol::{Purpose, SigningKey};
use crate::record::Key;
use crate::tenancy::Home;

/// What was written before, and the keys that were made.
#[derive(Debug)]
pub(super) struct Memory {
    /// What stands in DNS by the operator's hand. Which provider it went through does not matter here: each name is at home
    /// where it is looked at.
    pub(super) written: BTreeMap<Key, Written>,
    /// The providers it went through.
    pub(super) homes: BTreeSet<String>,
    /// What is left at homes whose names live elsewhere now.
    pub(super) leaving: Leaving,
    lives: BTreeMap<String, KeyLife>,
}

impl Memory {
    /// Reads a ledger.
    pub(super) fn of(domain: &Name, ledger: &RecordLedgerSpec) -> Self {
        let Book {
            written,
            leaving,
            lives,
            ..
        } = Book::open(
            domain.clone(),
            Some(RecordLedger::new(domain.as_str(), ledger.clone())),
        );
        let homes = written
            .values()
            .map(|entry| entry.home.provider.clone())
            .collect();
        let here = |(key, entry): (Key, Written)| {
            let home = Home::in_dns(&key.name);
            (key, Written { home, ..entry })
        };
        // The owner text has a line of its own in a plan.
        let ours = written
            .into_iter()
            .filter(|(_, entry)| entry.purpose != Purpose::Owner);
        Self {
            written: ours.map(here).collect(),
            homes,
            leaving,
            lives,
        }
    }

    /// The keys that mail is signed with, or will be, as far as they are made; by their ids.
    pub(super) fn keys(&self, intent: &Intent, owner: Owner<'_>) -> Vec<(String, SigningKey)> {
        let (slots, _) = keyring::slots(intent, owner, &self.lives, &|_| false);
        let made = |slot: &Slot| {
            let life = self.lives.get(&slot.id)?;
            let public = PublicKey::read_record(life.record.as_deref()?)?;
            // A life goes on under the selector that it was made for.
            let same = life.selector.as_deref() == Some(slot.selector.as_str());
            Some((
                slot.id.clone(),
                keyring::signing_key(slot, Some(&public)).filter(|_| same)?,
            ))
        };
        let former = keyring::predecessors(&slots, &self.lives);
        slots
            .iter()
            .filter_map(made)
            .chain(former.into_iter().map(|key| (String::new(), key)))
            .collect()
    }
}
