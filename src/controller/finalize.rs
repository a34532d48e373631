//! The end of a MailDomain: the object goes at once, the ledger carries on alone where records are to be removed. (client)

use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;

use super::book::Book;
use super::{Context, Error, admit};
use crate::api::{ClaimHolder, DeletionPolicy, FINALIZER, MailDomain};
use crate::intent::Conduct;
use crate::metrics::DomainLabels;
use crate::name::Name;

/// Lets a deleted MailDomain go. Nothing here waits for a provider, so neither a provider that is down nor a namespace
/// that is going away holds anybody.
pub async fn finalize(ctx: &Context, object: &MailDomain, now: Timestamp) -> Result<Action, Error> {
    if !object.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(Action::await_change());
    }
    if let Ok(domain) = Name::parse_host(&object.spec.domain) {
        hand_over(ctx, object, &domain, now).await?;
    }
    let labels = DomainLabels {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    };
    ctx.metrics.forget(
        &labels,
        object
            .status
            .as_ref()
            .unwrap_or(&crate::api::MailDomainStatus::default()),
    );
    let rest: Vec<&str> = object
        .finalizers()
        .iter()
        .map(String::as_str)
        .filter(|f| *f != FINALIZER)
        .collect();
    set_finalizers(ctx, object, &rest).await?;
    ctx.forget(object);
    Ok(Action::await_change())
}

/// Delete: the ledger is told to withdraw. Retain: the ledger remembers. A twin or another holder of the domain is not
/// touched by this end.
async fn hand_over(ctx: &Context, object: &MailDomain, domain: &Name, now: Timestamp) -> Result<(), Error> {
    let mut book = Book::read(ctx, domain).await?;
    let namespace = object.namespace().ok_or(Error::Incomplete("namespace"))?;
    let ours = book
        .holder
        .as_ref()
        .is_none_or(|holder| holder.namespace == namespace);
    if !ours || ctx.has_twin(object) {
        return Ok(());
    }
    let holder: Option<ClaimHolder> = book.holder.clone();
    // Where nothing is written while it lives, nothing is removed at its end.
    if !book.is_new()
        && !book.is_blank()
        && object.spec.publishing.deletion_policy == DeletionPolicy::Delete
        && Conduct::of(&object.spec).publishes()
    {
        book.withdraw(now);
        return book.write(ctx).await;
    }
    match holder {
        Some(holder) => admit::release_claim(ctx, domain, &holder).await,
        None => Ok(()),
    }
}

/// Writes the finalizers, guarded by the version that was read. The object as it is then; `None`: gone.
pub async fn set_finalizers(
    ctx: &Context,
    object: &MailDomain,
    finalizers: &[&str],
) -> Result<Option<MailDomain>, Error> {
    let api: Api<MailDomain> = Api::namespaced(
        ctx.client.clone(),
        &object.namespace().ok_or(Error::Incomplete("namespace"))?,
    );
    let patch = serde_json::json!({
        "metadata": {"resourceVersion": object.resource_version(), "uid": object.uid(), "finalizers": finalizers},
    });
    match api
        .patch(&object.name_any(), &PatchParams::default(), &Patch::Merge(&patch))
        .await
    {
        Ok(object) => Ok(Some(object)),
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
        Err(error) => Err(Error::write("the finalizer")(error)),
    }
}

impl Context {
    /// Whether another MailDomain of the namespace declares the same domain and lives on.
    fn has_twin(&self, object: &MailDomain) -> bool {
        self.domains().iter().any(|other| {
            other.namespace() == object.namespace()
                && other.spec.domain == object.spec.domain
                && other.uid() != object.uid()
                && other.metadata.deletion_timestamp.is_none()
        })
    }
}
