//! DNS UPDATE (RFC 2136), signed with TSIG (RFC 8945), to any primary server: BIND, Knot, PowerDNS and others.
//!
//! The one provider with a real compare-and-swap: each UPDATE names the RRsets as they were read, and the server changes
//! all of them or none. What somebody else writes in between makes the server refuse, and nothing is lost. The TTL is
//! no part of that comparison (RFC 2136 section 2.4.2).
//!
//! ```text
//! exchange   messages over TCP, signed and checked
//! read       questions, and what their answers say
//! update     changes as UPDATE messages (pure)
//! wire       records as texts, without loss (pure)
//! ```

mod exchange;
mod read;
mod update;
mod wire;

use std::collections::BTreeSet;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use hickory_proto::op::{Message, ResponseCode};
use tokio::time::{Instant, sleep};

use self::exchange::Server;
use self::update::Update;
use super::gate::Gate;
use super::transaction::{carried_out, describe, fence, transactions};
use super::{Change, Live, LiveRrset, ProviderPlan, PublishError, Publisher, confirm};
use crate::api::TsigAlgorithm;
use crate::lead::Lead;
use crate::lookup::Delegation;
use crate::name::Name;
use crate::record::{Key, RecordType};

/// Writes are in the answers of this server at once; its secondaries follow a NOTIFY.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a server may take from accepting a change to answering with it: BIND signs in between where it keeps a
/// signed copy of the zone (`inline-signing`).
const SETTLING: Duration = Duration::from_secs(5);
const SETTLING_STEP: Duration = Duration::from_millis(50);

/// One primary server.
#[derive(Debug)]
pub struct Rfc2136 {
    server: Server,
}

impl Rfc2136 {
    /// The primary server at `host:port`. The secret of the key is base64.
    pub fn new(
        server: &str,
        key_name: &str,
        algorithm: TsigAlgorithm,
        secret: &str,
    ) -> Result<Self, PublishError> {
        Ok(Self {
            server: Server::new(server, key_name, algorithm, secret)?,
        })
    }

    /// The same, with every exchange through this gate.
    #[must_use]
    pub fn through(self, gate: Gate) -> Self {
        Self {
            server: self.server.through(gate),
        }
    }

    async fn transact(
        &self,
        zone: &Name,
        changes: &[&Change],
        fence: Option<&Change>,
        lead: &Lead,
    ) -> Result<(), PublishError> {
        for Update { message, changes } in update::updates(zone, changes, fence)? {
            confirm(lead)?;
            let code = self.code(zone, message).await?;
            match code {
                ResponseCode::NoError => self.settled(zone, &changes, lead).await?,
                // RFC 2136 section 3.2: a prerequisite does not hold.
                ResponseCode::NXRRSet
                | ResponseCode::YXRRSet
                | ResponseCode::NXDomain
                | ResponseCode::YXDomain => return Err(self.raced(zone, &changes, fence).await),
                code => return Err(refusal(zone, describe(&changes), code)),
            }
        }
        Ok(())
    }

    /// Reads until what was written is there. A server may have passed over a part without an error.
    async fn settled(&self, zone: &Name, changes: &[&Change], lead: &Lead) -> Result<(), PublishError> {
        let deadline = Instant::now() + SETTLING;
        let mut again = true;
        loop {
            let after = read::names(&self.server, zone, &names(changes)).await?;
            match changes.iter().find(|c| !carried_out(c, &after)) {
                None => return Ok(()),
                Some(lost) if Instant::now() >= deadline => {
                    return Err(PublishError::Raced(lost.key.clone()));
                }
                Some(_) if std::mem::take(&mut again) => {
                    confirm(lead)?;
                    self.aliases_again(zone, changes, &after).await?;
                }
                Some(_) => sleep(SETTLING_STEP).await,
            }
        }
    }

    /// Knot passes over an alias that takes the place of records in a signed zone (seen in 3.2.6): what is left of their
    /// signatures counts as data until the message has been carried out. Then the name is free, and the alias comes in a
    /// message of its own, which compares like any other.
    async fn aliases_again(
        &self,
        zone: &Name,
        changes: &[&Change],
        after: &Live,
    ) -> Result<(), PublishError> {
        let free = |name: &Name| {
            !after.other_types.contains_key(name) && after.rrsets.keys().all(|key| &key.name != name)
        };
        let missing: Vec<Change> = changes
            .iter()
            .filter(|c| c.key.record_type == RecordType::Cname && !c.deletes() && free(&c.key.name))
            .map(|&change| Change {
                before: None,
                ..change.clone()
            })
            .collect();
        for update in update::updates(zone, &missing.iter().collect::<Vec<_>>(), None)? {
            // Whatever the server says to it: what counts is what stands there.
            self.server.send(update.message).await?;
        }
        Ok(())
    }

    /// The server does not say which prerequisite failed: whichever RRset is another one now.
    async fn raced(&self, zone: &Name, changes: &[&Change], fence: Option<&Change>) -> PublishError {
        let mut names = names(changes);
        names.extend(fence.map(|fence| fence.key.name.clone()));
        let after = match read::names(&self.server, zone, &names).await {
            Ok(after) => after,
            Err(error) => return error,
        };
        if let Some(fence) = fence.filter(|fence| !carried_out(fence, &after)) {
            return PublishError::Raced(fence.key.clone());
        }
        let moved = |change: &&&Change| !unchanged(change, &after);
        match changes.iter().find(moved).or(changes.first()) {
            Some(change) => PublishError::Raced(change.key.clone()),
            None => PublishError::Unreadable,
        }
    }

    /// The zone is asked for, and a message with a prerequisite and no update shows whether the key may send updates.
    async fn check(&self, zone: &Name) -> Result<(), PublishError> {
        read::zone(&self.server, zone).await?;
        match self.code(zone, update::name_in_use(zone, zone)?).await? {
            ResponseCode::NoError => Ok(()),
            code => Err(refusal(zone, zone.to_string(), code)),
        }
    }

    /// What the server says to an UPDATE. Knot says BADKEY of a key that may read and not write, and PowerDNS says
    /// REFUSED of a bad key: whether the key is good is asked with a question.
    async fn code(&self, zone: &Name, update: Message) -> Result<ResponseCode, PublishError> {
        let code = match self.server.send(update).await {
            Ok(answer) => answer.metadata.response_code,
            Err(PublishError::Credentials) => ResponseCode::Refused,
            Err(error) => return Err(error),
        };
        if code == ResponseCode::Refused {
            read::zone(&self.server, zone).await?;
        }
        Ok(code)
    }
}

fn names(changes: &[&Change]) -> BTreeSet<Name> {
    changes.iter().map(|c| c.key.name.clone()).collect()
}

/// Whether the server would still find what the change was made from. Where a new alias was refused, other records
/// may have come to its name.
fn unchanged(change: &Change, after: &Live) -> bool {
    let texts = |rrset: Option<&LiveRrset>| -> BTreeSet<String> {
        rrset.iter().flat_map(|r| r.records.keys().cloned()).collect()
    };
    let same = texts(after.rrsets.get(&change.key)) == texts(change.before.as_ref());
    let beside = |key: &Key| key.name == change.key.name && key != &change.key;
    let crowded = change.before.is_none() && after.rrsets.keys().any(beside);
    same && !(crowded && change.key.record_type == RecordType::Cname)
}

/// What a code that is no success means, where no prerequisite is concerned.
fn refusal(zone: &Name, what: String, code: ResponseCode) -> PublishError {
    match code {
        ResponseCode::ServFail => PublishError::Unreachable,
        // RFC 2136 section 3.1: not its zone, or no name of the zone. A bad key was told before.
        ResponseCode::NotAuth | ResponseCode::NotZone => PublishError::ZoneMissing(zone.clone()),
        code => PublishError::Refused(what, code.into()),
    }
}

impl Publisher for Rfc2136 {
    fn read<'a>(
        &'a self,
        zone: &'a Name,
        names: &'a BTreeSet<Name>,
    ) -> BoxFuture<'a, Result<Live, PublishError>> {
        read::names(&self.server, zone, names).boxed()
    }

    fn apply<'a>(
        &'a self,
        plan: &'a ProviderPlan,
        lead: &'a Lead,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        async move {
            for (zone, changes) in transactions(&plan.changes) {
                // The first failure ends it: what comes later (DMARC) may rely on what came before.
                let fence = fence(&plan.changes, zone, &changes);
                self.transact(zone, &changes, fence, lead).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn probe<'a>(&'a self, zone: &'a Name) -> BoxFuture<'a, Result<(), PublishError>> {
        self.check(zone).boxed()
    }

    fn name_servers<'a>(&'a self, zone: &'a Name) -> BoxFuture<'a, Result<Option<Delegation>, PublishError>> {
        async move { Ok(Some(read::name_servers(&self.server, zone).await?)) }.boxed()
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}
