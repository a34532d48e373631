//! Publishing: the seam between a plan and the DNS services that carry it out.
//!
//! A provider is one file behind two calls, [`Publisher::read`] and [`Publisher::apply`], and one arm in
//! [`connect()`]. Text of a provider's answer never leaves this module: errors are a closed list in our own words.

mod connect;
pub mod diagnosis;
pub mod endpoint;
pub mod external_dns;
pub mod gate;
pub mod http;
pub mod memory;
pub mod power_dns;
pub mod rfc2136;
pub mod seen;
mod survey;
mod transaction;

use connect::ask_cluster;
pub use connect::{Reach, connect};
pub use survey::{Credentials, Survey};

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _, ready};
use jiff::Timestamp;

use crate::lead::Lead;
use crate::lookup::{Delegation, Failure};
use crate::name::Name;
use crate::record::{Key, Value, Values};

/// One RRset as a provider stores it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LiveRrset {
    /// TTL in seconds.
    pub ttl: u32,
    /// Every record: the text as the provider stores it (to be written back byte for byte), and what it means;
    /// `None` when it does not parse.
    pub records: BTreeMap<String, Option<Value>>,
}

/// What stands at some names of a zone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Live {
    /// RRsets of the types that this operator knows.
    pub rrsets: BTreeMap<Key, LiveRrset>,
    /// Types that it does not know, by name: they forbid a CNAME there (RFC 1034 section 3.6.2).
    pub other_types: BTreeMap<Name, BTreeSet<String>>,
    /// Those of `rrsets` that a wildcard may have answered with (RFC 4592): nobody need have written them.
    pub of_wildcards: BTreeSet<Key>,
}

impl Live {
    /// The values that parse at one RRset.
    pub fn values(&self, key: &Key) -> impl Iterator<Item = &Value> {
        self.rrsets
            .get(key)
            .into_iter()
            .flat_map(|rrset| rrset.records.values().flatten())
    }
}

/// One change of one RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The zone that holds it.
    pub zone: Name,
    /// The RRset.
    pub key: Key,
    /// What was read before; `None`: nothing. The provider's compare-and-swap, or the read right before, must find it
    /// unchanged.
    pub before: Option<LiveRrset>,
    /// TTL to write, in seconds.
    pub ttl: u32,
    /// Foreign records to keep, as stored.
    pub keep: BTreeSet<String>,
    /// Our values afterwards.
    pub ours: Values,
}

impl Change {
    /// Whether the RRset is gone afterwards.
    pub fn deletes(&self) -> bool {
        self.keep.is_empty() && self.ours.is_empty()
    }

    /// Whether foreign records are written that do not stand there: such as were replaced before.
    pub fn gives_back(&self) -> bool {
        let stands = |raw: &String| self.before.as_ref().is_some_and(|b| b.records.contains_key(raw));
        !self.keep.iter().all(stands)
    }
}

/// What to do at one provider for one domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderPlan {
    /// The domain of the MailDomain.
    pub domain: Name,
    /// The changes, in the order in which they are to be made: additions first, DMARC last.
    pub changes: Vec<Change>,
    /// Everything of ours that shall stand at this provider afterwards, with its TTL: for providers that are told a
    /// state, not changes. RRsets with foreign values carry these too. Names in conflict are not in it.
    pub state: BTreeMap<Key, (u32, Values)>,
}

/// A DNS service.
pub trait Publisher: Send + Sync + fmt::Debug {
    /// What stands at these names. A zone that the provider does not serve is `ZoneMissing`, never an empty answer.
    fn read<'a>(
        &'a self,
        zone: &'a Name,
        names: &'a BTreeSet<Name>,
    ) -> BoxFuture<'a, Result<Live, PublishError>>;

    /// Carries the plan out. Each zone's changes are one transaction where the provider has transactions. Right before
    /// each write it asks `lead`: who was frozen since its last read may write over its successor's work.
    fn apply<'a>(&'a self, plan: &'a ProviderPlan, lead: &'a Lead)
    -> BoxFuture<'a, Result<(), PublishError>>;

    /// Whether the API answers, takes the credentials and serves this zone.
    fn probe<'a>(&'a self, zone: &'a Name) -> BoxFuture<'a, Result<(), PublishError>>;

    /// Who serves the zone, by its own NS records. `None`: this service cannot say.
    fn name_servers<'a>(
        &'a self,
        _zone: &'a Name,
    ) -> BoxFuture<'a, Result<Option<Delegation>, PublishError>> {
        ready(Ok(None)).boxed()
    }

    /// What it tells of itself: whether it takes the credentials, and which zones it serves, those of the provider
    /// object's `zones` at least. `Err`: nothing can be said.
    fn survey<'a>(&'a self, zones: &'a BTreeSet<Name>) -> BoxFuture<'a, Result<Survey, PublishError>> {
        async move {
            let mut survey = Survey::default();
            for zone in zones {
                survey.add(zone, self.probe(zone).await)?;
            }
            Ok(survey)
        }
        .boxed()
    }

    /// How long after `apply` the records may be missing from DNS before that is worth a word.
    fn patience(&self) -> Duration;

    /// Whether `apply` hands a state to somebody else, so that only DNS shows what became of it; else `apply` has read
    /// back what it wrote.
    fn hands_over(&self) -> bool {
        false
    }

    /// Why these RRsets are still not in DNS after [`Publisher::patience`], as far as this service can be asked;
    /// `live` is what [`Publisher::read`] found. `None`: it knows nothing more than the caller.
    fn explain<'a>(
        &'a self,
        _domain: &'a Name,
        _missing: &'a [Key],
        _live: &'a Live,
    ) -> BoxFuture<'a, Option<Explanation>> {
        ready(None).boxed()
    }
}

/// Asked right before each write.
fn confirm(lead: &Lead) -> Result<(), PublishError> {
    lead.holds().then_some(()).ok_or(PublishError::LeadLost)
}

/// Why records that were written do not appear.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// One word for conditions, from a closed list.
    pub reason: &'static str,
    /// The RRset that shows it, and what to do.
    pub message: String,
}

/// Why a provider did not do it. A closed list; no text of the provider's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// No connection, no answer in time, or 5xx.
    #[error("the provider does not answer")]
    Unreachable,
    /// It failed too often and is left alone until then, after this many failures in a row.
    #[error(
        "the provider does not answer; after {1} failures in a row it is not asked until about {clock}",
        clock = .0.strftime("%H:%M:%S UTC")
    )]
    Resting(Timestamp, u32),
    /// 401 or 403.
    #[error("the provider refuses the credentials; check the Secret that the provider object names")]
    Credentials,
    /// There is no provider object of that name.
    #[error(
        "the ClusterDNSProvider {0} does not exist; create it again, and what stands there can be looked after"
    )]
    ProviderMissing(String),
    /// The credentials could not be read.
    #[error("the Secret {0} of the operator's namespace or its key {1} does not exist")]
    SecretMissing(String, String),
    /// The zone is not there.
    #[error(
        "the provider does not serve the zone {0}; create it there or correct spec.zones of the provider object"
    )]
    ZoneMissing(Name),
    /// The provider understood and refused (4xx).
    #[error("the provider refuses the request for {0} (status {1})")]
    Refused(String, u16),
    /// Too many requests; try again after this long.
    #[error("the provider asks to wait")]
    Throttled(Duration),
    /// Somebody changed the RRset between read and write.
    #[error("{0} was changed by somebody else at the same time")]
    Raced(Key),
    /// Another replica may lead already.
    #[error("this replica does not lead any more")]
    LeadLost,
    /// The answer could not be read.
    #[error("the provider sends an answer that cannot be read")]
    Unreadable,
    /// The provider cannot store this.
    #[error("the provider cannot store {0}: {1}")]
    Unsupported(Key, &'static str),
    /// The cluster does not know DNSEndpoints.
    #[error("the DNSEndpoint could not be written; is the ExternalDNS definition installed?")]
    Endpoint,
    /// There is a DNSEndpoint of the name that the operator would use, made by somebody else.
    #[error("the DNSEndpoint {0} of the operator's namespace is not the operator's; remove or rename it")]
    EndpointTaken(String),
    /// PowerDNS has no server of that id.
    #[error(
        "the provider has no server with the id {0}; correct spec.powerDNS.serverID of the provider object"
    )]
    ServerUnknown(String),
    /// The cluster's own API failed or refused; the status, or 0 without an answer.
    #[error("the cluster's API does not let the operator use it for publishing (status {0})")]
    Cluster(u16),
    /// The provider object cannot be used as it is.
    #[error("the provider object cannot be used: {0}")]
    Misconfigured(&'static str),
    /// No provider was asked, and DNS gave no answer.
    #[error("{0} {1}; nothing is concluded from that")]
    Unseen(Name, Failure),
}

impl PublishError {
    /// One word for conditions and metrics.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreachable | Self::Resting(..) => "ProviderUnreachable",
            Self::Credentials => "CredentialsRefused",
            Self::ProviderMissing(_) => "ProviderMissing",
            Self::SecretMissing(..) => "CredentialsMissing",
            Self::ZoneMissing(_) => "ZoneMissing",
            Self::Refused(..) => "ChangeRefused",
            Self::Throttled(_) => "Throttled",
            Self::Raced(_) => "Raced",
            Self::LeadLost => "NotApplied",
            Self::Unreadable => "ProviderUnreadable",
            Self::Unsupported(..) => "Unsupported",
            Self::Endpoint => "EndpointRefused",
            Self::EndpointTaken(_) => "EndpointTaken",
            Self::ServerUnknown(_) => "ServerUnknown",
            Self::Cluster(_) => "ClusterRefused",
            Self::Misconfigured(_) => "Misconfigured",
            Self::Unseen(..) => "Unreachable",
        }
    }
}
