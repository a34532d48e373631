//! The imperative shell: watches, passes, writes. Only here, in `publish` and in `lookup` is anything async, and only
//! here is the clock read.

pub mod admit;
pub mod book;
pub mod domain;
pub mod error;
pub mod finalize;
mod ground;
pub mod key_queue;
pub mod keys;
pub mod look;
mod mandate;
mod marks;
mod moving;
pub mod prove;
pub mod provider;
pub mod publish;
pub mod report;
mod run;
pub mod signer;
pub mod watch;
pub mod withdraw;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Namespace;
use kube::runtime::events::{Event, EventType, Recorder};
use kube::runtime::reflector::Store;
use kube::{Api, Client, Resource, ResourceExt};
use tokio::sync::{OnceCell, OwnedMutexGuard, Semaphore};

use crate::api::{ClusterDNSProvider, DKIMSigner, MailDomain, MailDomainClaim};
use crate::config::Config;
use crate::lead::Lead;
use crate::lookup::looker::Looker;
use crate::metrics::Metrics;
use crate::name::{Name, Selector};
use crate::publish::gate::Gates;
use crate::publish::{PublishError, Publisher, Reach, connect as publish_to};
use crate::status::{Changes, Patience};

pub use error::Error;
pub use key_queue::KeyQueue;
pub use run::{Shell, run};

/// The wall clock.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
pub fn clock() -> Timestamp {
    Timestamp::now()
}

/// What a process remembers of a MailDomain between passes. All of it may be lost: it only spares time.
#[derive(Debug, Clone, Default)]
pub struct Memory {
    /// Whether every sender was proven when last looked at.
    pub senders_proven: bool,
    /// When every server first answered with the key of a selector.
    pub first_seen: BTreeMap<String, Timestamp>,
    /// Until when a resolver may remember that a selector had no key.
    pub negative_until: BTreeMap<String, Timestamp>,
    /// Since when a provider that is told a state leaves records missing.
    pub missing_since: BTreeMap<String, Timestamp>,
    /// For how long conditions have been unknown.
    pub patience: Patience,
    /// How often `Ready` changed lately.
    pub ready_changes: Changes,
    /// Passes since everything was at rest.
    pub unsettled: u32,
    /// Failed passes in a row.
    pub failures: u32,
}

/// Held by whoever works on a domain's records and ledger.
type Turn = tokio::sync::Mutex<()>;

type Outputs = BTreeMap<(String, String), BTreeSet<(Name, Selector)>>;

/// What every pass shares.
pub struct Context {
    /// The API server.
    pub client: Client,
    /// The operator's own namespace.
    pub namespace: String,
    /// The configuration.
    pub config: Config,
    /// Asks DNS.
    pub looker: Arc<Looker>,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Threads that make keys.
    pub key_permits: Semaphore,
    /// Who waits for them.
    pub key_queue: KeyQueue,
    /// Every provider.
    pub providers: Store<ClusterDNSProvider>,
    /// Every claim.
    pub claims: Store<MailDomainClaim>,
    serves_all: bool,
    private_zones: Vec<Name>,
    recorder: Recorder,
    domain_stores: Vec<Store<MailDomain>>,
    signer_stores: Vec<Store<DKIMSigner>>,
    /// Whether this process leads.
    pub lead: Lead,
    /// The UID of the namespace kube-system, once it was read.
    cluster: OnceCell<String>,
    turns: Mutex<HashMap<String, Weak<Turn>>>,
    memories: Mutex<HashMap<String, Memory>>,
    outputs: Mutex<Outputs>,
    failures: Mutex<HashMap<String, u32>>,
    gates: Arc<Gates>,
    surveyed: Mutex<HashMap<String, provider::Surveyed>>,
}

fn digest(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A panic elsewhere does not make this data wrong: every write leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Context {
    /// Every MailDomain that is watched.
    pub fn domains(&self) -> Vec<Arc<MailDomain>> {
        self.domain_stores.iter().flat_map(Store::state).collect()
    }

    /// The publisher that a provider object describes, through the provider's gate.
    pub async fn connect(&self, provider: &ClusterDNSProvider) -> Result<Arc<dyn Publisher>, PublishError> {
        let reach = Reach {
            client: &self.client,
            namespace: &self.namespace,
            looker: &self.looker,
            gates: &self.gates,
        };
        publish_to(provider, &reach).await
    }

    /// Every DKIMSigner that is watched.
    pub fn signers(&self) -> Vec<Arc<DKIMSigner>> {
        self.signer_stores.iter().flat_map(Store::state).collect()
    }

    /// Whether private and documentation addresses are in order for this domain.
    pub fn is_private(&self, domain: &Name) -> bool {
        self.private_zones.iter().any(|zone| domain.is_within(zone))
    }

    /// Which cluster this is, for the owner text: the UID of its namespace kube-system, which lives as long as the cluster.
    pub async fn cluster(&self) -> Result<&str, Error> {
        let read = async || {
            let namespaces: Api<Namespace> = Api::all(self.client.clone());
            let system = namespaces.get("kube-system").await;
            let system = system.map_err(Error::read("the namespace kube-system"))?;
            system.uid().ok_or(Error::Incomplete("uid"))
        };
        self.cluster.get_or_try_init(read).await.map(String::as_str)
    }

    /// Waits for the turn to work on a domain, whose names are compared as written. A withdrawal and a MailDomain that
    /// came back would else cross: one would remove at the provider what the other has just found in place.
    pub async fn turn(&self, domain: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = lock(&self.turns);
            turns.retain(|_, turn| turn.strong_count() > 0);
            let known = turns.get(domain).and_then(Weak::upgrade);
            let turn = known.unwrap_or_default();
            turns.insert(domain.to_owned(), Arc::downgrade(&turn));
            turn
        };
        turn.lock_owned().await
    }

    /// A copy of what is remembered of an object.
    pub fn recall(&self, object: &MailDomain) -> Memory {
        lock(&self.memories)
            .get(&object.uid().unwrap_or_default())
            .cloned()
            .unwrap_or_default()
    }

    /// Changes what is remembered of an object.
    pub fn remember<T>(&self, object: &MailDomain, change: impl FnOnce(&mut Memory) -> T) -> T {
        change(
            lock(&self.memories)
                .entry(object.uid().unwrap_or_default())
                .or_default(),
        )
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, object: &MailDomain) {
        lock(&self.memories).remove(&object.uid().unwrap_or_default());
    }

    /// Whether a signer's output holds a key; `None` while its output was not looked at by this process.
    pub fn output_holds(&self, namespace: &str, signer: &str, key: &(Name, Selector)) -> Option<bool> {
        let outputs = lock(&self.outputs);
        outputs
            .get(&(namespace.to_owned(), signer.to_owned()))
            .map(|held| held.contains(key))
    }

    fn set_output(&self, namespace: &str, signer: &str, held: BTreeSet<(Name, Selector)>) {
        lock(&self.outputs).insert((namespace.to_owned(), signer.to_owned()), held);
    }

    /// How often something failed; used for the delay of the next try.
    fn count_failure(&self, what: &str) -> u32 {
        let mut failures = lock(&self.failures);
        let count = failures.entry(what.to_owned()).or_default();
        *count = count.saturating_add(1).min(16);
        *count
    }

    fn forget_failures(&self, what: &str) {
        lock(&self.failures).remove(what);
    }

    /// Tells people of a change. An event that cannot be written is not worth a failed pass.
    pub async fn event(&self, object: &MailDomain, reason: &str, note: &str) {
        let warning = matches!(
            reason,
            "Conflict" | "KeyReplaced" | "DriftMended" | "ForeignReplaced" | "DeletionsHeld" | "Flapping"
        ) || note.starts_with("Ready is False");
        let event = Event {
            type_: if warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: reason.to_owned(),
            note: Some(crate::status::bounded_text(note)),
            // Events that differ in nothing but the note would be counted as one, and only the first be read.
            action: format!("Reconcile{:016x}", digest(note)),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::debug!(error = %error, "failed to write an event");
        }
    }
}
