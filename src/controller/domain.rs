//! One pass over one MailDomain. Read this file first: it is the table of contents of everything else.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::admit::{Refused, View, admit};
use super::keys::Held;
use super::publish::Published;
use super::{Context, Error, clock, finalize, keys, look, moving, prove, publish, report};
use crate::api::{FINALIZER, MailDomain};
use crate::intent;
use crate::protocol::Declaration;
use crate::status::Move;

/// A pass that takes longer is given up; the next one begins with what it sees.
const DEADLINE: Duration = Duration::from_mins(2);

/// Looks after a MailDomain: declare, key, publish, prove, say.
pub async fn reconcile(object: Arc<MailDomain>, ctx: Arc<Context>) -> Result<Action, Error> {
    let began = std::time::Instant::now();
    let pass = tokio::time::timeout(DEADLINE, pass(&ctx, &object)).await;
    let result = pass.unwrap_or(Err(Error::Deadline(DEADLINE.as_secs())));
    let label = result.as_ref().map_or_else(Error::category, |_| "ok");
    ctx.metrics
        .reconciled("MailDomain", label, began.elapsed().as_secs_f64());
    // One that is gone was forgotten.
    if result.is_ok() && object.metadata.deletion_timestamp.is_none() {
        ctx.remember(&object, |memory| memory.failures = 0);
    }
    result
}

async fn pass(ctx: &Context, object: &MailDomain) -> Result<Action, Error> {
    let now: Timestamp = clock();
    let _turn = ctx.turn(&object.spec.domain).await;
    if object.metadata.deletion_timestamp.is_some() {
        return finalize::finalize(ctx, object, now).await;
    }

    // Parse (no client).
    let intent = match intent::parse(&object.spec) {
        Ok(intent) => intent,
        Err(problems) => return report::invalid(ctx, object, &problems, now).await,
    };

    // Observe (client).
    let Some(object) = &with_finalizer(ctx, object).await? else {
        return Ok(Action::await_change());
    };
    let mut view: View = match admit(ctx, object, &intent).await? {
        Ok(view) => view,
        Err(Refused { reason, message }) => return report::refused(ctx, object, reason, &message, now).await,
    };

    // Keys first: a record must never name a key that no Secret holds (client).
    let held: Vec<Held> = keys::ensure(ctx, object, &intent, &mut view).await?;

    // Decide (no client), write the ledger, publish (client).
    let published: Published = publish::publish(ctx, object, &intent, &held, &mut view, now).await?;

    // Look (network) and judge (no client).
    let private_zone = ctx.is_private(&intent.domain);
    let declaration = Declaration {
        intent: &intent,
        keys: &published.keys,
        policy_gate: published.gate,
        private_zone,
    };
    let seen = look::look(&ctx.looker, &declaration, &published.groups, BTreeMap::new()).await;
    prove::prove(ctx, object, &intent, &held, &seen, &mut view, now).await;
    if intent.conduct.leaves_traces() {
        view.book.write(ctx).await?;
    }

    let moves: Vec<Move> = moving::look(ctx, &published).await;

    // Say: the status once, then events and metrics (client).
    report::report(ctx, object, &intent, &view, &held, &published, &seen, &moves, now).await
}

/// The object with the one finalizer of this operator, which is set before anything is written for it. `None`: gone.
async fn with_finalizer(ctx: &Context, object: &MailDomain) -> Result<Option<MailDomain>, Error> {
    if object.finalizers().iter().any(|f| f == FINALIZER) {
        return Ok(Some(object.clone()));
    }
    let finalizers: Vec<&str> = object
        .finalizers()
        .iter()
        .map(String::as_str)
        .chain([FINALIZER])
        .collect();
    finalize::set_finalizers(ctx, object, &finalizers).await
}

/// The one place that decides when a failed pass is tried again: 1 s, doubling, five minutes at most.
pub fn error_policy(object: Arc<MailDomain>, error: &Error, ctx: Arc<Context>) -> Action {
    let failures = ctx.remember(&object, |memory| {
        memory.failures = memory.failures.saturating_add(1);
        memory.failures
    });
    let delay = Duration::from_secs(1 << failures.saturating_sub(1).min(8)).min(Duration::from_mins(5));
    tracing::warn!(
        object.namespace = object.namespace().unwrap_or_default(),
        object.name = object.name_any(),
        error = super::error::chain(error),
        retry_seconds = delay.as_secs(),
        "the pass failed"
    );
    Action::requeue(delay)
}
