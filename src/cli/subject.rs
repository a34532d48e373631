//! What is planned for: a declaration, and what its cluster remembers of it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::documents::Declared;
use super::memory::Memory;
use crate::intent::{Intent, Key, KeySource, Sender};
use crate::keyring::Owner;
use crate::plan::{Leaving, Written};
use crate::protocol::SigningKey;
use crate::record;

/// What is planned for.
#[derive(Debug)]
pub(super) struct Subject {
    /// A MailDomain.
    pub(super) declared: Declared,
    /// What its cluster remembers, where that was given.
    pub(super) memory: Option<Memory>,
}

impl Subject {
    /// The keys whose records are known: from the declaration alone, or because their cluster made them.
    pub(super) fn keys(&self) -> Vec<SigningKey> {
        let made = self.remembered().into_iter().map(|(_, key)| key);
        SigningKey::declared(&self.declared.intent)
            .into_iter()
            .chain(made)
            .collect()
    }

    /// The keys whose records are not known here: they are made in the cluster, or only it has them.
    pub(super) fn unmade(&self) -> impl Iterator<Item = (&Sender, &Key)> {
        let made: BTreeSet<String> = self.remembered().into_iter().map(|(id, _)| id).collect();
        all_keys(&self.declared.intent)
            .filter(|(_, key)| needs_cluster(key))
            .filter(move |(sender, key)| !made.contains(&id(sender, key)))
    }

    /// What its cluster wrote before.
    pub(super) fn past(&self) -> &BTreeMap<record::Key, Written> {
        static NOTHING: BTreeMap<record::Key, Written> = BTreeMap::new();
        self.memory.as_ref().map_or(&NOTHING, |memory| &memory.written)
    }

    /// The providers that its cluster wrote through.
    pub(super) fn homes(&self) -> &BTreeSet<String> {
        static NOWHERE: BTreeSet<String> = BTreeSet::new();
        self.memory.as_ref().map_or(&NOWHERE, |memory| &memory.homes)
    }

    /// What its cluster left at homes whose names live elsewhere now.
    pub(super) fn leaving(&self) -> &Leaving {
        static NOTHING: Leaving = Leaving::new();
        self.memory.as_ref().map_or(&NOTHING, |memory| &memory.leaving)
    }

    fn remembered(&self) -> Vec<(String, SigningKey)> {
        let Some(memory) = &self.memory else {
            return Vec::new();
        };
        let Declared {
            name, uid, intent, ..
        } = &self.declared;
        let owner = Owner {
            name,
            uid: uid.as_deref().unwrap_or_default(),
        };
        let ids: BTreeSet<String> = all_keys(intent)
            .filter(|(_, key)| needs_cluster(key))
            .map(|(sender, key)| id(sender, key))
            .collect();
        let mut keys = memory.keys(intent, owner);
        keys.retain(|(id, _)| id.is_empty() || ids.contains(id));
        keys
    }
}

/// Whether the declaration alone does not tell a key's record.
fn needs_cluster(key: &Key) -> bool {
    match key.source {
        KeySource::Generate { .. } | KeySource::Import { .. } => true,
        KeySource::PublicKey { .. } | KeySource::Delegate { .. } => false,
    }
}

/// Of a key, as ledgers write it.
fn id(sender: &Sender, key: &Key) -> String {
    format!("{}/{}", sender.name, key.name)
}

/// Every declared key with its sender.
pub(super) fn all_keys(intent: &Intent) -> impl Iterator<Item = (&Sender, &Key)> {
    let senders = intent.senders.iter();
    senders.flat_map(|sender| sender.keys.iter().map(move |key| (sender, key)))
}
