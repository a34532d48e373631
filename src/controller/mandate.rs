//! What a declaration may do to what stands there: what its generation explains, and what stays beside it. (client)

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::ResourceExt;

use super::book::Book;
use super::{Context, Error, look};
use crate::api::{ACKNOWLEDGE_DELETIONS, LEAVE_COPIES, MailDomain, PlannedFor};
use crate::intent::{Conduct, Intent};
use crate::plan::{Explains, Mandate, Plan, Situation, plan, still_asked, to_weigh, war};
use crate::publish::PublishError;

/// What the declaration's generation explains, and what its author has acknowledged.
pub(super) fn of<'a>(object: &'a MailDomain, intent: &Intent, book: &Book) -> Mandate<'a> {
    let newer = |known: &PlannedFor| {
        planned(object).is_some_and(|now| now.uid == known.uid && now.generation > known.generation)
    };
    Mandate {
        generation: object.metadata.generation.unwrap_or_default(),
        explains: if book.planned.as_ref().is_some_and(newer) {
            Explains::New
        } else {
            Explains::Nothing
        },
        acknowledged: object
            .annotations()
            .get(ACKNOWLEDGE_DELETIONS)
            .map(String::as_str),
        left_alone: object.annotations().get(LEAVE_COPIES).map(|name| name.trim()),
        retire_after: intent.retire_after,
        ..Mandate::END
    }
}

fn planned(object: &MailDomain) -> Option<PlannedFor> {
    Some(PlannedFor {
        uid: object.uid()?,
        generation: object.metadata.generation?,
    })
}

/// The plan, after its SPF records were weighed: one that asks too much would be worse than none.
pub(super) async fn weighed(ctx: &Context, situation: Situation<'_>) -> Plan {
    let burdens = look::burdens(&ctx.looker, to_weigh(&situation)).await;
    let mandate = Mandate {
        burdens: &burdens,
        ..situation.mandate
    };
    plan(&Situation { mandate, ..situation })
}

/// Brings a plan's decisions into the ledger, before any provider is called. From then on the generation is one that was
/// planned for: all that it explains is marked.
pub(super) fn remember(object: &MailDomain, book: &mut Book, conduct: Conduct, plan: &Plan) {
    book.written.clone_from(&plan.written);
    book.leaving.clone_from(&plan.leaving);
    book.asked = still_asked(plan, conduct, &book.asked);
    if conduct.publishes() {
        book.planned = planned(object);
    }
}

/// Notes at once what was undone: a pass that ends early must not lose the count, or a war would never end.
pub(super) async fn count_reverts(
    ctx: &Context,
    object: &MailDomain,
    book: &mut Book,
    plan: &Plan,
    applied: &BTreeMap<String, Result<(), PublishError>>,
    now: Timestamp,
) -> Result<(), Error> {
    let generation = object.metadata.generation.unwrap_or_default();
    if war::count(&mut book.written, plan, applied, generation, now) {
        book.write(ctx).await?;
    }
    Ok(())
}
