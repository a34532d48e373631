//! What the zone above says about who serves a zone, and the servers of names that nobody is delegated to yet.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use futures::future::join_all;
use hickory_proto::rr;

use super::ask::{Mode, Question};
use super::delegation::{Delegations, MAX_QUESTIONS, Walk};
use super::{Delegation, Failure, Server, referral};
use crate::name::Name;

impl Delegations {
    /// What the zone above says about who serves this one, by every server of it that answers.
    pub(super) async fn delegation(&self, zone: &Name) -> Result<Delegation, Failure> {
        if self.given.contains_key(zone) {
            // Nobody delegates what the configuration gives.
            return Err(Failure::NotAsked);
        }
        let left = AtomicU32::new(MAX_QUESTIONS);
        let walk = Walk {
            left: &left,
            depth: 0,
        };
        let above = match zone.parent() {
            Some(parent) => self.find(&parent, walk).await?,
            None => Arc::clone(self.root.get_or_init(|| self.find_root()).await),
        };
        let question = Question {
            name: zone.clone(),
            record_type: rr::RecordType::NS,
            mode: Mode::Authority,
        };
        let asked = above.servers.iter().map(|server| async {
            walk.spend()?;
            let reply = self.budget.ask(server.address, &question).await?;
            referral::delegation(&reply, zone)
        });
        let mut delegation = Delegation::default();
        let mut failure = Failure::NotAsked;
        let mut answered = false;
        for said in join_all(asked).await {
            match said {
                Ok(found) => {
                    answered = true;
                    delegation.servers.extend(found.names);
                    delegation.ttl = delegation.ttl.max(found.ttl);
                }
                Err(other) => failure = failure.max(other),
            }
        }
        answered.then_some(delegation).ok_or(failure)
    }

    /// The servers of these names that may be asked: at the addresses that are known already, else at those that the
    /// names' own zones give.
    pub(super) async fn servers_named(
        &self,
        names: &BTreeSet<Name>,
        known: &BTreeSet<Server>,
    ) -> Vec<Server> {
        let left = AtomicU32::new(MAX_QUESTIONS);
        let walk = Walk {
            left: &left,
            depth: 0,
        };
        let wanting = names
            .iter()
            .filter(|name| !known.iter().any(|server| &server.name == *name))
            .cloned()
            .collect();
        let mut servers: BTreeSet<Server> = known.clone();
        servers.extend(self.addresses_of(&wanting, walk).await);
        self.with_route(servers).await
    }
}
