//! The one gate through which every call to a provider goes.
//!
//! ```text
//! address   where a provider may be; opens every connection, with its time limits and without redirects
//! traffic   how much it is asked and when it is left alone (pure)
//! ```
//!
//! A call is one HTTP request, or one exchange over a TCP connection. Publishers are made anew for each pass; what is
//! known of the traffic stays here by the provider object's name. It begins anew with another spec, another UID or
//! another credential: whoever mends those must not wait for a rest to end.
//!
//! ExternalDNS is no provider in this sense: what is called for it is the cluster's own API.

pub(super) mod address;
pub mod traffic;

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::RngExt as _;

use self::traffic::{Admission, Outcome, Rate, Traffic};
use super::PublishError;
use crate::metrics::{Metrics, ProviderCall};

/// The gates of all providers.
pub struct Gates {
    clock: fn() -> Timestamp,
    metrics: Arc<Metrics>,
    /// Of nobody else's knowledge, so that a fingerprint tells nothing about a credential.
    hasher: RandomState,
    known: Mutex<HashMap<String, Gate>>,
}

/// The gate of one provider.
#[derive(Clone, Default)]
pub struct Gate(Option<Arc<Inner>>);

struct Inner {
    provider: String,
    fingerprint: u64,
    clock: fn() -> Timestamp,
    metrics: Arc<Metrics>,
    traffic: Mutex<Traffic>,
}

impl fmt::Debug for Gates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gates").finish_non_exhaustive()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let provider = self.0.as_ref().map(|inner| inner.provider.as_str());
        f.debug_tuple("Gate").field(&provider).finish()
    }
}

/// A panic elsewhere does not make this data wrong: every write leaves it whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Gates {
    /// With this clock.
    pub fn new(clock: fn() -> Timestamp, metrics: Arc<Metrics>) -> Self {
        Self {
            clock,
            metrics,
            hasher: RandomState::new(),
            known: Mutex::default(),
        }
    }

    /// The gate of a provider. `makings`: everything that makes it another one when it changes, its credential too; of that
    /// only a keyed digest is kept.
    pub fn of(&self, provider: &str, rate: Rate, makings: &[&str]) -> Gate {
        let fingerprint = self.hasher.hash_one(makings);
        let mut known = lock(&self.known);
        if let Some(gate) = known.get(provider)
            && gate.fingerprint() == Some(fingerprint)
        {
            return gate.clone();
        }
        let gate = Gate(Some(Arc::new(Inner {
            provider: provider.to_owned(),
            fingerprint,
            clock: self.clock,
            metrics: Arc::clone(&self.metrics),
            traffic: Mutex::new(Traffic::new(rate)),
        })));
        self.metrics.provider_open(provider, false);
        known.insert(provider.to_owned(), gate.clone());
        gate
    }

    /// A digest of what makes this provider what it is, for comparison with another one of this process.
    pub fn fingerprint(&self, provider: &str) -> Option<u64> {
        lock(&self.known).get(provider).and_then(Gate::fingerprint)
    }

    /// Forgets the providers that are not there any more.
    pub fn keep(&self, exists: impl Fn(&str) -> bool) {
        lock(&self.known).retain(|provider, _| {
            let keeps = exists(provider);
            if !keeps {
                self.metrics.forget_provider(provider);
            }
            keeps
        });
    }
}

impl Gate {
    fn fingerprint(&self) -> Option<u64> {
        self.0.as_ref().map(|inner| inner.fingerprint)
    }

    /// Makes a call, when it may be made.
    pub async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, PublishError>>,
    ) -> Result<T, PublishError> {
        self.judged(call, |_| false).await
    }

    /// The same; `failed` tells of an answer whether it says that the server itself failed.
    pub async fn judged<T>(
        &self,
        call: impl Future<Output = Result<T, PublishError>>,
        failed: impl Fn(&T) -> bool,
    ) -> Result<T, PublishError> {
        let Some(inner) = &self.0 else {
            return call.await;
        };
        let turn = inner.enter().await?;
        let result = call.await;
        turn.leave(result, failed)
    }
}

impl Inner {
    async fn enter(&self) -> Result<Turn<'_>, PublishError> {
        let admission = lock(&self.traffic).admit((self.clock)());
        match admission {
            Admission::Go { wait, probe } => {
                let turn = Turn {
                    gate: self,
                    probe,
                    settled: false,
                };
                if wait.is_positive() {
                    self.metrics.provider_called(&self.provider, ProviderCall::Waited);
                    tokio::time::sleep(wait.unsigned_abs()).await;
                }
                Ok(turn)
            }
            Admission::Throttled(wait) => {
                self.metrics
                    .provider_called(&self.provider, ProviderCall::Throttled);
                Err(PublishError::Throttled(wait.unsigned_abs()))
            }
            Admission::Resting(rest) => {
                self.metrics
                    .provider_called(&self.provider, ProviderCall::Resting);
                Err(PublishError::Resting(rest.until, rest.failures))
            }
        }
    }
}

/// A call under way.
struct Turn<'a> {
    gate: &'a Inner,
    probe: bool,
    settled: bool,
}

impl Turn<'_> {
    /// The call's result; a failure with which a rest begins, or in one, is told as the rest.
    fn leave<T>(
        mut self,
        result: Result<T, PublishError>,
        failed: impl Fn(&T) -> bool,
    ) -> Result<T, PublishError> {
        let (outcome, counted) = match &result {
            Ok(answer) if failed(answer) => (Outcome::Failed, ProviderCall::Failed),
            Err(PublishError::Unreachable) => (Outcome::Failed, ProviderCall::Failed),
            Err(PublishError::Throttled(wait)) => {
                (Outcome::AskedToWait(signed(*wait)), ProviderCall::Refused)
            }
            Ok(_) => (Outcome::Answered, ProviderCall::Answered),
            Err(_) => (Outcome::Answered, ProviderCall::Refused),
        };
        let rest = self.settle(outcome);
        self.gate.metrics.provider_called(&self.gate.provider, counted);
        match (result, rest) {
            (Err(PublishError::Unreachable), Some((until, failures))) => {
                Err(PublishError::Resting(until, failures))
            }
            (result, _) => result,
        }
    }

    fn settle(&mut self, outcome: Outcome) -> Option<(Timestamp, u32)> {
        self.settled = true;
        let dice = rand::rng().random_range(0.0..1.0);
        let mut traffic = lock(&self.gate.traffic);
        let rest = traffic.settle((self.gate.clock)(), outcome, self.probe, dice);
        let Inner {
            provider, metrics, ..
        } = self.gate;
        metrics.provider_open(provider, traffic.is_open());
        rest.map(|rest| (rest.until, rest.failures))
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if !self.settled {
            self.settle(Outcome::Abandoned);
        }
    }
}

fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

#[cfg(test)]
mod tests;
