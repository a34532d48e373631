//! The imperative half of looking: asks, and returns facts. Being written.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use super::{Answer, Direct};
use crate::name::Name;
use crate::record::Key;

/// Where and how to ask.
#[derive(Debug, Clone)]
pub struct LookerConfig {
    /// Addresses of root servers; the walk down the delegations begins there.
    pub root_hints: Vec<IpAddr>,
    /// Validating resolvers that stand for the receivers.
    pub resolvers: Vec<IpAddr>,
    /// Zones whose servers are given instead of found: private zones, hidden primaries.
    pub zone_servers: BTreeMap<Name, Vec<IpAddr>>,
    /// Never ask authoritative servers: take the resolvers' answers for theirs (clusters without port 53 outwards).
    pub resolver_only: bool,
    /// How long one question to one server may take, over UDP and TCP together.
    pub query_timeout: Duration,
}

/// Asks DNS.
#[derive(Debug)]
pub struct Looker {
    config: LookerConfig,
}

impl Looker {
    /// A looker; opens nothing yet.
    pub fn new(config: LookerConfig) -> Self {
        Self { config }
    }

    /// Asks every authoritative server of each name's zone.
    pub async fn direct(&self, _keys: &BTreeSet<Key>) -> Direct {
        Direct::default()
    }

    /// Asks the validating resolvers.
    pub async fn receiver(&self, _keys: &BTreeSet<Key>) -> BTreeMap<Key, Answer> {
        let _ = &self.config;
        BTreeMap::new()
    }
}
