//! ClusterDNSProvider: whether it answers, takes the credentials and serves its zones. (client)

use std::sync::Arc;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;

use super::{Context, Error, clock};
use crate::api::{ClusterDNSProvider, ClusterDNSProviderStatus, MailDomain, Truth};
use crate::name::Name;
use crate::publish::{PublishError, connect};
use crate::status::condition;

/// Probes one provider.
pub async fn reconcile(object: Arc<ClusterDNSProvider>, ctx: Arc<Context>) -> Result<Action, Error> {
    // A provider that is down is looked at more often, so that it is seen when it comes back.
    let soon = ctx.config.recheck_interval.min(Duration::from_secs(15));
    if !ctx.uses(&object) {
        return Ok(Action::requeue(soon));
    }
    let began = std::time::Instant::now();
    let probed = probe(&ctx, &object).await;
    let (truth, reason, message) = match &probed {
        Ok(()) => (
            Truth::True,
            "AsDeclared",
            "the provider answers, takes the credentials and serves every zone of spec".to_owned(),
        ),
        Err(error @ PublishError::Unreachable) => (Truth::Unknown, error.reason(), error.to_string()),
        Err(error) => (Truth::False, error.reason(), error.to_string()),
    };
    say(&ctx, &object, truth, reason, &message).await?;
    ctx.forget_failures(&failing(&object));
    ctx.metrics
        .reconciled("ClusterDNSProvider", "ok", began.elapsed().as_secs_f64());
    Ok(Action::requeue(if probed.is_ok() {
        ctx.config.recheck_interval
    } else {
        soon
    }))
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
}

async fn probe(ctx: &Context, object: &ClusterDNSProvider) -> Result<(), PublishError> {
    let publisher = connect(object, &ctx.client, &ctx.namespace, &ctx.looker).await?;
    for zone in object.spec.zones.iter().filter_map(|zone| Name::parse(zone).ok()) {
        publisher.probe(&zone).await?;
    }
    Ok(())
}

async fn say(
    ctx: &Context,
    object: &ClusterDNSProvider,
    truth: Truth,
    reason: &str,
    message: &str,
) -> Result<(), Error> {
    let old = object.status.clone().unwrap_or_default();
    let ready = condition(
        &old.conditions,
        "Ready",
        truth,
        reason,
        message,
        object.metadata.generation,
        clock(),
    );
    let status = ClusterDNSProviderStatus {
        observed_generation: object.metadata.generation,
        conditions: vec![ready],
    };
    if old == status {
        return Ok(());
    }
    let api: Api<ClusterDNSProvider> = Api::all(ctx.client.clone());
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
