//! Leader election over a `coordination.k8s.io` Lease.
//!
//! Written here because the crates that exist write without a guard (crates.md section 6). Rules, as client-go has them:
//! every write carries the resourceVersion that was read, so two candidates cannot both win; a lease is expired when
//! *we* have seen it unchanged for its whole duration on our monotonic clock, whatever its timestamps say; a leader
//! that could not renew within the deadline stops at once, before another may take over.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::Client;
use kube::api::{Api, PostParams};

use crate::config::LeaderElection;
use crate::lead::Lead;

/// One candidate.
#[derive(Debug)]
pub struct Candidate {
    api: Api<Lease>,
    name: String,
    identity: String,
    times: LeaderElection,
    seen: Option<Seen>,
    lead: Lead,
}

/// The lease as last read, and when it was first seen so.
#[derive(Debug)]
struct Seen {
    version: Option<String>,
    at: Instant,
}

/// Why a try did not make us leader.
#[derive(Debug)]
enum Try {
    Held,
    NotHeld,
}

impl Candidate {
    /// A candidate for the lease `name`. The identity must differ between two lives of one pod (a container that
    /// restarts would otherwise take its own lease back while a request of its former life may still be on its way).
    pub fn new(client: Client, namespace: &str, name: &str, identity: String, times: LeaderElection) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            identity,
            times,
            seen: None,
            lead: Lead::not_yet(),
        }
    }

    /// Tells at any moment whether this candidate leads.
    pub fn lead(&self) -> Lead {
        self.lead.clone()
    }

    /// Waits until this candidate leads. `clock` gives the wall time that is written for people to read.
    pub async fn acquire(&mut self, clock: fn() -> Timestamp) {
        loop {
            match tokio::time::timeout(self.times.renew_deadline, self.attempt(clock)).await {
                Ok(Ok(Try::Held)) => return,
                Ok(Ok(Try::NotHeld)) => {}
                Ok(Err(error)) => tracing::warn!(error = %error, "failed to read or write the lease"),
                Err(_) => tracing::warn!("the API server did not answer in time for the lease"),
            }
            tokio::time::sleep(self.times.retry_period).await;
        }
    }

    /// Renews until that fails for the renew deadline; then returns, and the process must stop writing at once.
    pub async fn keep(&mut self, clock: fn() -> Timestamp) {
        let mut renewed = Instant::now();
        loop {
            tokio::time::sleep(self.times.retry_period).await;
            let left = self.times.renew_deadline.saturating_sub(renewed.elapsed());
            if left.is_zero() {
                return;
            }
            let began = Instant::now();
            match tokio::time::timeout(left, self.attempt(clock)).await {
                Ok(Ok(Try::Held)) => renewed = began,
                Ok(Err(error)) => tracing::warn!(error = %error, "failed to renew the lease"),
                Ok(Ok(Try::NotHeld)) | Err(_) => return,
            }
        }
    }

    /// Gives the lease back, so that another replica need not wait for it to expire. Only if it is still ours.
    pub async fn release(&mut self) {
        let Ok(Some(mut lease)) = self.api.get_opt(&self.name).await else {
            return;
        };
        let Some(spec) = lease
            .spec
            .as_mut()
            .filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity))
        else {
            return;
        };
        spec.holder_identity = Some(String::new());
        spec.lease_duration_seconds = Some(1);
        // A conflict means that it is not ours any more, which is as good.
        drop(self.api.replace(&self.name, &PostParams::default(), &lease).await);
    }

    async fn attempt(&mut self, clock: fn() -> Timestamp) -> Result<Try, kube::Error> {
        let began = Instant::now();
        let tried = self.try_once(clock).await;
        match &tried {
            // Nobody can have seen the renewal before it was sent.
            Ok(Try::Held) => self.lead.renewed(began + self.times.renew_deadline),
            Ok(Try::NotHeld) => self.lead.renewed(began),
            Err(_) => {}
        }
        tried
    }

    async fn try_once(&mut self, clock: fn() -> Timestamp) -> Result<Try, kube::Error> {
        let Some(lease) = self.api.get_opt(&self.name).await? else {
            let lease = Lease {
                metadata: ObjectMeta {
                    name: Some(self.name.clone()),
                    ..ObjectMeta::default()
                },
                spec: Some(self.spec(None, clock())),
            };
            return Self::settle(self.api.create(&PostParams::default(), &lease).await);
        };
        if self
            .seen
            .as_ref()
            .is_none_or(|seen| seen.version != lease.metadata.resource_version)
        {
            self.seen = Some(Seen {
                version: lease.metadata.resource_version.clone(),
                at: Instant::now(),
            });
        }
        let unchanged = self
            .seen
            .as_ref()
            .map_or(Duration::ZERO, |seen| seen.at.elapsed());
        if !may_take(
            lease.spec.as_ref(),
            &self.identity,
            unchanged,
            self.times.lease_duration,
        ) {
            return Ok(Try::NotHeld);
        }
        let renewed = Lease {
            spec: Some(self.spec(lease.spec.as_ref(), clock())),
            metadata: lease.metadata,
        };
        Self::settle(
            self.api
                .replace(&self.name, &PostParams::default(), &renewed)
                .await,
        )
    }

    /// A conflict is an answer: somebody else was faster.
    fn settle(written: Result<Lease, kube::Error>) -> Result<Try, kube::Error> {
        match written {
            Ok(_) => Ok(Try::Held),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(Try::NotHeld)
            }
            Err(error) => Err(error),
        }
    }

    fn spec(&self, old: Option<&LeaseSpec>, now: Timestamp) -> LeaseSpec {
        let ours = old.filter(|spec| spec.holder_identity.as_deref() == Some(&self.identity));
        let transitions = old.and_then(|spec| spec.lease_transitions).unwrap_or(0)
            + i32::from(old.is_some() && ours.is_none());
        LeaseSpec {
            holder_identity: Some(self.identity.clone()),
            lease_duration_seconds: i32::try_from(self.times.lease_duration.as_secs().max(1)).ok(),
            acquire_time: ours
                .and_then(|spec| spec.acquire_time.clone())
                .or(Some(MicroTime(now))),
            renew_time: Some(MicroTime(now)),
            lease_transitions: Some(transitions),
            ..LeaseSpec::default()
        }
    }
}

/// Whether the lease is ours, free, or was seen unchanged for its duration.
fn may_take(spec: Option<&LeaseSpec>, identity: &str, unchanged: Duration, ours: Duration) -> bool {
    let Some(spec) = spec else { return true };
    match spec.holder_identity.as_deref() {
        None | Some("") => true,
        Some(holder) if holder == identity => true,
        Some(_) => {
            let theirs = spec
                .lease_duration_seconds
                .and_then(|s| u64::try_from(s).ok())
                .map_or(ours, Duration::from_secs);
            unchanged >= theirs
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(by: &str) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(by.into()),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_is_taken_when_free_ours_or_seen_unchanged_for_its_duration() {
        let take = |spec: Option<&LeaseSpec>, seconds| {
            may_take(spec, "me", Duration::from_secs(seconds), Duration::from_secs(15))
        };
        assert!(take(None, 0));
        assert!(take(Some(&held("")), 0));
        assert!(take(Some(&held("me")), 0));
        assert!(!take(Some(&held("other")), 14));
        assert!(take(Some(&held("other")), 15));
    }

    #[test]
    fn old_timestamps_do_not_expire_a_lease() {
        let mut lease = held("other");
        lease.renew_time = Some(MicroTime(Timestamp::UNIX_EPOCH));
        assert!(!may_take(
            Some(&lease),
            "me",
            Duration::ZERO,
            Duration::from_secs(15)
        ));
    }
}
