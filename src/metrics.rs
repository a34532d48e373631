//! Metrics, in one place. No label holds a value that a user could make unbounded beyond their own objects' names.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::api::{MailDomainStatus, Truth};

/// A MailDomain.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DomainLabels {
    /// Namespace of the object.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ConditionLabels {
    namespace: String,
    name: String,
    r#type: String,
    status: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RecordLabels {
    namespace: String,
    name: String,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KeyLabels {
    namespace: String,
    name: String,
    selector: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    kind: &'static str,
    result: &'static str,
}

/// Everything that is measured.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    reconciles: Family<ResultLabels, Counter>,
    seconds: Family<KindLabels, Histogram, fn() -> Histogram>,
    conditions: Family<ConditionLabels, Gauge>,
    records: Family<RecordLabels, Gauge>,
    key_proven: Family<KeyLabels, Gauge<f64, AtomicU64>>,
    policy_held: Family<DomainLabels, Gauge>,
    deletions_held: Family<DomainLabels, Gauge>,
    watch_errors: Family<WatchLabels, Counter>,
    provider_calls: Family<CallLabels, Counter>,
    provider_open: Family<ProviderLabels, Gauge>,
    leader: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ProviderLabels {
    provider: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CallLabels {
    provider: String,
    result: &'static str,
}

/// What became of a call to a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProviderCall {
    /// Answered.
    Answered,
    /// Answered with a refusal.
    Refused,
    /// No connection, no answer in time, or an answer that says that the server failed.
    Failed,
    /// It had to wait for the rate; it is counted again when it has been made.
    Waited,
    /// Not made: the provider asked to wait, or too many calls wait for the rate.
    Throttled,
    /// Not made: the provider failed too often.
    Resting,
}

impl ProviderCall {
    const ALL: [Self; 6] = [
        Self::Answered,
        Self::Refused,
        Self::Failed,
        Self::Waited,
        Self::Throttled,
        Self::Resting,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::Waited => "waited",
            Self::Throttled => "throttled",
            Self::Resting => "resting",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WatchLabels {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: &'static str,
}

/// Every condition that a MailDomain may have.
const CONDITIONS: [&str; 14] = [
    "Accepted",
    "KeysReady",
    "Published",
    "Verified",
    "SPFReady",
    "DKIMReady",
    "DMARCReady",
    "HostsReady",
    "BIMIReady",
    "Ready",
    "Deliverable",
    "Reconciling",
    "Stalled",
    "Moving",
];

fn condition_labels(domain: &DomainLabels, kind: &str, truth: Truth) -> ConditionLabels {
    let DomainLabels { namespace, name } = domain.clone();
    ConditionLabels {
        namespace,
        name,
        r#type: kind.to_owned(),
        status: truth.as_str(),
    }
}

const TRUTHS: [Truth; 3] = [Truth::True, Truth::False, Truth::Unknown];

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("maildomain");
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(0.01, 2.5, 10));
        let metrics = Self {
            reconciles: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            conditions: Family::default(),
            records: Family::default(),
            key_proven: Family::default(),
            policy_held: Family::default(),
            deletions_held: Family::default(),
            watch_errors: Family::default(),
            provider_calls: Family::default(),
            provider_open: Family::default(),
            leader: Gauge::default(),
            registry: Registry::default(),
        };
        registry.register(
            "reconciles",
            "Passes by kind and result",
            metrics.reconciles.clone(),
        );
        registry.register_with_unit(
            "reconcile",
            "Time of a pass",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        registry.register(
            "condition",
            "1 for the status that a condition of a MailDomain has",
            metrics.conditions.clone(),
        );
        registry.register(
            "records",
            "RRsets of a MailDomain by state",
            metrics.records.clone(),
        );
        registry.register(
            "key_proven_timestamp_seconds",
            "When a key was proven, Unix time; its age is now minus this",
            metrics.key_proven.clone(),
        );
        registry.register(
            "policy_held",
            "1 while the declared DMARC policy is held back",
            metrics.policy_held.clone(),
        );
        registry.register(
            "deletions_held",
            "Records that would be removed without a change of the MailDomain, and wait for its author's word",
            metrics.deletions_held.clone(),
        );
        registry.register(
            "watch_errors",
            "Watches of the API server that were cut off or refused, by kind",
            metrics.watch_errors.clone(),
        );
        registry.register(
            "provider_calls",
            "Calls to a ClusterDNSProvider by what became of them",
            metrics.provider_calls.clone(),
        );
        registry.register(
            "provider_open",
            "1 while a ClusterDNSProvider is left alone because it failed too often",
            metrics.provider_open.clone(),
        );
        registry.register("leader", "1 while this replica leads", metrics.leader.clone());
        Self { registry, ..metrics }
    }
}

impl Metrics {
    /// The text that Prometheus scrapes.
    pub fn text(&self) -> String {
        let mut text = String::new();
        match prometheus_client::encoding::text::encode(&mut text, &self.registry) {
            Ok(()) => text,
            // Writing into a String does not fail.
            Err(std::fmt::Error) => String::new(),
        }
    }

    /// A pass of a controller; `result` is `ok` or an error's category.
    pub fn reconciled(&self, kind: &'static str, result: &'static str, seconds: f64) {
        self.reconciles
            .get_or_create(&ResultLabels { kind, result })
            .inc();
        self.seconds.get_or_create(&KindLabels { kind }).observe(seconds);
    }

    /// A watch of objects of this kind was cut off or refused.
    pub fn watch_failed(&self, kind: String) {
        self.watch_errors.get_or_create(&WatchLabels { kind }).inc();
    }

    /// A call to a provider, or one that was not made.
    pub fn provider_called(&self, provider: &str, call: ProviderCall) {
        let labels = CallLabels {
            provider: provider.to_owned(),
            result: call.as_str(),
        };
        self.provider_calls.get_or_create(&labels).inc();
    }

    /// Whether a provider is left alone.
    pub fn provider_open(&self, provider: &str, open: bool) {
        let labels = ProviderLabels {
            provider: provider.to_owned(),
        };
        self.provider_open.get_or_create(&labels).set(i64::from(open));
    }

    /// Forgets a provider that is gone.
    pub fn forget_provider(&self, provider: &str) {
        for call in ProviderCall::ALL {
            self.provider_calls.remove(&CallLabels {
                provider: provider.to_owned(),
                result: call.as_str(),
            });
        }
        self.provider_open.remove(&ProviderLabels {
            provider: provider.to_owned(),
        });
    }

    /// Whether this replica leads.
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// The status that was computed for a MailDomain; `held`: its policy is held back.
    pub fn observe(&self, labels: &DomainLabels, status: &MailDomainStatus, held: bool) {
        let DomainLabels { namespace, name } = labels;
        for kind in CONDITIONS {
            let status = status
                .conditions
                .iter()
                .find(|c| c.type_ == kind)
                .map(|c| c.status.as_str());
            for truth in TRUTHS {
                let labels = condition_labels(labels, kind, truth);
                match status {
                    Some(status) => {
                        self.conditions
                            .get_or_create(&labels)
                            .set(i64::from(status == truth.as_str()));
                    }
                    None => {
                        self.conditions.remove(&labels);
                    }
                }
            }
        }
        let summary = status.summary.clone().unwrap_or_default();
        for (state, count) in [
            ("wanted", summary.records),
            ("published", summary.published),
            ("verified", summary.verified),
        ] {
            let labels = RecordLabels {
                namespace: namespace.clone(),
                name: name.clone(),
                state,
            };
            self.records.get_or_create(&labels).set(i64::from(count));
        }
        for key in &status.keys {
            let Some(since) = &key.since else { continue };
            let labels = KeyLabels {
                namespace: namespace.clone(),
                name: name.clone(),
                selector: key.selector.clone(),
            };
            self.key_proven
                .get_or_create(&labels)
                .set(since.0.as_duration().as_secs_f64());
        }
        self.policy_held.get_or_create(labels).set(i64::from(held));
    }

    /// How many removals of a MailDomain's records are held back.
    pub fn deletions_held(&self, labels: &DomainLabels, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        self.deletions_held.get_or_create(labels).set(count);
    }

    /// Forgets a MailDomain that is gone.
    pub fn forget(&self, labels: &DomainLabels, status: &MailDomainStatus) {
        let DomainLabels { namespace, name } = labels;
        for kind in CONDITIONS {
            for truth in TRUTHS {
                self.conditions.remove(&condition_labels(labels, kind, truth));
            }
        }
        for state in ["wanted", "published", "verified"] {
            self.records.remove(&RecordLabels {
                namespace: namespace.clone(),
                name: name.clone(),
                state,
            });
        }
        for key in &status.keys {
            self.key_proven.remove(&KeyLabels {
                namespace: namespace.clone(),
                name: name.clone(),
                selector: key.selector.clone(),
            });
        }
        self.policy_held.remove(labels);
        self.deletions_held.remove(labels);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_appears_and_is_forgotten() {
        let metrics = Metrics::default();
        let labels = DomainLabels {
            namespace: "a".into(),
            name: "b".into(),
        };
        let status = MailDomainStatus {
            conditions: vec![crate::status::condition(
                &[],
                "Ready",
                Truth::False,
                "X",
                "m",
                None,
                jiff::Timestamp::UNIX_EPOCH,
            )],
            ..MailDomainStatus::default()
        };
        metrics.observe(&labels, &status, true);
        metrics.deletions_held(&labels, 4);
        let text = metrics.text();
        assert!(
            text.contains(r#"maildomain_condition{namespace="a",name="b",type="Ready",status="False"} 1"#),
            "{text}"
        );
        assert!(text.contains(r#"maildomain_policy_held{namespace="a",name="b"} 1"#));
        assert!(text.contains(r#"maildomain_deletions_held{namespace="a",name="b"} 4"#));
        metrics.forget(&labels, &status);
        assert!(!metrics.text().contains(r#"name="b""#));
    }
}
