//! ClusterDNSProvider: whether it answers, takes the credentials and serves its zones. (client)
//!
//! A provider is asked when its object or its credential changed, and at an interval. The operator may not watch Secrets,
//! so it looks at the one that the object names every quarter of a minute: that costs one GET of the cluster's API, and
//! the provider is not asked unless something is new.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;

use super::report::jittered;
use super::{Context, Error, clock, lock};
use crate::api::{ClusterDNSProvider, ClusterDNSProviderStatus, MailDomain};
use crate::name::Name;
use crate::publish::{PublishError, Publisher, Survey};
use crate::status;

/// Between two looks at a provider's Secret, and between two questions to one that is not in order: it is to be seen soon
/// that it comes back.
const GLANCE: Duration = Duration::from_secs(15);

/// What was asked last, while all was in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    generation: Option<i64>,
    /// Of object, spec and credential.
    fingerprint: Option<u64>,
    next: Timestamp,
}

/// Asks one provider, when that is due.
pub async fn reconcile(object: Arc<ClusterDNSProvider>, ctx: Arc<Context>) -> Result<Action, Error> {
    let soon = jittered(ctx.config.recheck_interval.min(GLANCE));
    if !ctx.uses(&object) {
        return Ok(Action::requeue(soon));
    }
    let began = std::time::Instant::now();
    let connected = ctx.connect(&object).await;
    if connected.is_ok() && !ctx.survey_is_due(&object) {
        return Ok(Action::requeue(soon));
    }
    let asked = survey(connected, &object).await;
    let old = object.status.clone().unwrap_or_default();
    let new = status::provider::provider(&old, object.metadata.generation, &asked, clock());
    write(&ctx, &object, &old, &new).await?;
    ctx.note_survey(&object, asked.is_ok_and(|survey| survey.faults.is_empty()));
    ctx.forget_failures(&failing(&object));
    ctx.metrics
        .reconciled("ClusterDNSProvider", "ok", began.elapsed().as_secs_f64());
    Ok(Action::requeue(soon))
}

impl Context {
    /// Whether to speak about a provider. A release that serves some namespaces only leaves those alone that none of its
    /// MailDomains names: their credentials may lie with another release, and two that disagree would write in turns.
    fn uses(&self, provider: &ClusterDNSProvider) -> bool {
        let name = provider.name_any();
        let refers = |domain: &Arc<MailDomain>| {
            let refs = &domain.spec.publishing.provider_refs;
            refs.iter().any(|reference| reference.name == name)
        };
        self.serves_all || self.domains().iter().any(refers)
    }

    /// Whether anything is new since all was in order, or that is too long ago.
    fn survey_is_due(&self, object: &ClusterDNSProvider) -> bool {
        let name = object.name_any();
        let surveyed = lock(&self.surveyed);
        surveyed.get(&name).is_none_or(|last| {
            last.generation != object.metadata.generation
                || last.fingerprint != self.gates.fingerprint(&name)
                || last.next <= clock()
        })
    }

    fn note_survey(&self, object: &ClusterDNSProvider, in_order: bool) {
        let name = object.name_any();
        let mut surveyed = lock(&self.surveyed);
        if !in_order {
            surveyed.remove(&name);
            return;
        }
        let now = clock();
        let last = Surveyed {
            generation: object.metadata.generation,
            fingerprint: self.gates.fingerprint(&name),
            next: now
                .saturating_add(jittered(self.config.recheck_interval))
                .unwrap_or(now),
        };
        surveyed.insert(name, last);
    }
}

async fn survey(
    connected: Result<Arc<dyn Publisher>, PublishError>,
    object: &ClusterDNSProvider,
) -> Result<Survey, PublishError> {
    let zones: BTreeSet<Name> = object
        .spec
        .zones
        .iter()
        .filter_map(|zone| Name::parse(zone).ok())
        .collect();
    connected?.survey(&zones).await
}

async fn write(
    ctx: &Context,
    object: &ClusterDNSProvider,
    old: &ClusterDNSProviderStatus,
    new: &ClusterDNSProviderStatus,
) -> Result<(), Error> {
    if old == new {
        return Ok(());
    }
    let ClusterDNSProviderStatus {
        observed_generation,
        conditions,
        zones,
        zone_count,
        missing_zones,
    } = new;
    let api: Api<ClusterDNSProvider> = Api::all(ctx.client.clone());
    // A merge patch leaves what it does not name, so all is named, also what is empty.
    let status = serde_json::json!({
        "observedGeneration": observed_generation,
        "conditions": conditions,
        "zones": zones,
        "zoneCount": zone_count,
        "missingZones": missing_zones,
    });
    let patch = serde_json::json!({"metadata": {"uid": object.uid()}, "status": status});
    match api
        .patch_status(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
        .await
    {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(error)) if error.is_conflict() || error.is_not_found() => Ok(()),
        Err(error) => Err(Error::write("the status of a ClusterDNSProvider")(error)),
    }
}

/// Under which name failures are counted.
fn failing(object: &ClusterDNSProvider) -> String {
    format!("provider/{}", object.name_any())
}

/// Tried again soon; only the API server can fail here.
pub fn error_policy(object: Arc<ClusterDNSProvider>, error: &Error, ctx: Arc<Context>) -> Action {
    let failures = ctx.count_failure(&failing(&object));
    tracing::warn!(
        object.name = object.name_any(),
        error = super::error::chain(error),
        "the provider's status was not written"
    );
    Action::requeue(Duration::from_secs(1 << failures.min(6)))
}
