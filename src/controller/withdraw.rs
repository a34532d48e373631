//! Ledgers whose MailDomain is gone with deletion policy Delete: DMARC first, then the rest, keys when drained. (client)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;

use super::book::Book;
use super::ground::{self, Publishers};
use super::publish::{guards, in_order};
use super::{Context, Error, admit, clock};
use crate::api::RecordLedger;
use crate::intent::Conduct;
use crate::name::Name;
use crate::plan::{Mandate, Plan, Situation, Step, Writer, is_owner, plan};
use crate::protocol::Purpose;
use crate::publish::PublishError;

/// Removes what a ledger lists, once it was told to.
pub async fn reconcile(object: Arc<RecordLedger>, ctx: Arc<Context>) -> Result<Action, Error> {
    let result = pass(&ctx, &object).await;
    if result.is_ok() {
        ctx.forget_failures(&object.name_any());
    }
    result
}

async fn pass(ctx: &Context, object: &RecordLedger) -> Result<Action, Error> {
    if object.spec.withdraw.is_none() {
        return Ok(Action::await_change());
    }
    let Ok(domain) = Name::parse_host(&object.spec.domain) else {
        return Ok(Action::await_change());
    };
    let _turn = ctx.turn(domain.as_str()).await;
    // The object may be old: the ledger is read once more, and a MailDomain that came back has cleared the order.
    let mut book = Book::read(ctx, &domain).await?;
    let Some(holder) = book.holder.clone().filter(|_| book.withdraw.is_some()) else {
        return Ok(Action::await_change());
    };
    if !admit::holds_claim(ctx, &domain, &holder).await? && !only_keys(&book) {
        tracing::info!(domain.name = %domain, "the claim has moved on; what is left is not ours to remove");
        book.close(ctx).await?;
        return Ok(Action::await_change());
    }
    let now = clock();
    let (plan, result) = step(ctx, &domain, &mut book, now).await?;
    let elsewhere = is_elsewhere(&plan);
    if elsewhere {
        tracing::info!(domain.name = %domain, "another operator owns the domain; what is left is not ours to remove");
    }
    if elsewhere || book.is_blank() {
        admit::release_claim(ctx, &domain, &holder).await?;
        book.close(ctx).await?;
        return Ok(Action::await_change());
    }
    book.write(ctx).await?;
    if let Err(error) = result {
        return Err(Error::Publish(error));
    }
    if only_keys(&book) {
        admit::release_claim(ctx, &domain, &holder).await?;
    }
    Ok(Action::requeue(next(ctx, &plan, now)))
}

/// Whether only key records are left, which wait for mail in flight, and the owner text that guards them.
fn only_keys(book: &Book) -> bool {
    book.entries()
        .all(|(_, entry)| entry.withdraw_after.is_some() || entry.purpose == Purpose::Owner)
}

/// Whether another operator owns the domain by now.
fn is_elsewhere(plan: &Plan) -> bool {
    let mut steps = plan.rows.iter().map(|row| &row.step);
    steps.any(|step| matches!(step, Step::Refused(_)))
}

/// One plan with nothing wanted, carried out.
async fn step(
    ctx: &Context,
    domain: &Name,
    book: &mut Book,
    now: Timestamp,
) -> Result<(Plan, Result<(), PublishError>), Error> {
    let names = ground::by_home(book.entries().map(|(key, entry)| (&key.name, &entry.home)));
    let mut publishers = Publishers::new();
    ground::connect(ctx, &mut publishers, names.keys()).await;
    let live = ground::read(&publishers, names).await;
    let drain = ctx.config.drain(ctx.is_private(domain));
    let situation = Situation {
        domain,
        mandate: Mandate::END,
        ttl: 3600,
        writer: Some(Writer {
            cluster: ctx.cluster().await?,
            uid: None,
            take_over: None,
        }),
        conduct: Conduct::default(),
        told: &BTreeSet::new(),
        asked: &BTreeSet::new(),
        groups: &[],
        places: &BTreeMap::new(),
        live: &live,
        written: &book.written,
        leaving: &book.leaving,
        now,
        drain,
    };
    let plan = plan(&situation);
    book.written.clone_from(&plan.written);
    book.leaving.clone_from(&plan.leaving);
    let mut result: Result<(), PublishError> = live
        .values()
        .find_map(|read| read.as_ref().err().cloned())
        .map_or(Ok(()), Err);
    if plan.changes().any(is_owner) {
        // A new owner text must be known as ours before it can be seen.
        book.write(ctx).await?;
    }
    for (name, part) in in_order(&plan) {
        let Some(Ok(publisher)) = publishers.get(name) else {
            continue;
        };
        let blind = live
            .iter()
            .any(|(home, read)| &home.provider == name && read.is_err());
        if blind {
            continue;
        }
        let said = publisher.apply(part, &ctx.lead).await;
        let stopped = said.is_err() && guards(part);
        result = said.and(result);
        if stopped {
            break;
        }
    }
    Ok((plan, result))
}

/// Soon after a removal, to see it gone; else when the first key has drained.
fn next(ctx: &Context, plan: &Plan, now: Timestamp) -> Duration {
    let left = plan
        .leaving
        .values()
        .flat_map(|departure| departure.entries.values());
    let drained = plan
        .written
        .values()
        .chain(left)
        .filter_map(|entry| entry.withdraw_after)
        .min();
    let wait = drained.and_then(|after| Duration::try_from(after.duration_since(now)).ok());
    if plan.is_empty() {
        wait.unwrap_or(ctx.config.settle_interval)
            .max(ctx.config.settle_interval)
    } else {
        ctx.config.settle_interval
    }
}

/// Tried again ever later, ten minutes at most: a provider may be gone for good.
pub fn error_policy(object: Arc<RecordLedger>, error: &Error, ctx: Arc<Context>) -> Action {
    let failures = ctx.count_failure(&object.name_any());
    tracing::warn!(
        ledger = object.name_any(),
        error = super::error::chain(error),
        "the removal failed"
    );
    Action::requeue(Duration::from_secs(1 << failures.min(9)).min(Duration::from_mins(10)))
}
