//! Saying: the status, written once and only when it differs; events for changes; metrics. (client)

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use kube::api::{Api, Patch, PatchParams};
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};
use rand::RngExt;

use super::admit::View;
use super::keys::Held;
use super::look::Seen;
use super::publish::Published;
use super::{Context, Error};
use crate::api::{KeyStage, MailDomain, MailDomainStatus, TAKE_OVER, Truth};
use crate::intent::{Intent, Mode, Problem};
use crate::keyring::Origin;
use crate::metrics::DomainLabels;
use crate::output;
use crate::plan::{HeldBack, Plan, Step};
use crate::protocol::PolicyGate;
use crate::protocol::alignment::Proof;
use crate::publish::Live;
use crate::record::Key;
use crate::status::{self, Account, KeyState, Move, Patience, Telling};

/// The declaration cannot be used: says so, changes nothing else.
pub async fn invalid(
    ctx: &Context,
    object: &MailDomain,
    problems: &[Problem],
    now: Timestamp,
) -> Result<Action, Error> {
    let message = problems
        .iter()
        .take(5)
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ");
    refused(ctx, object, "SpecInvalid", &message, now).await?;
    // Only a change of the object mends this.
    Ok(Action::await_change())
}

/// The MailDomain may not go on: says so, changes nothing else.
pub async fn refused(
    ctx: &Context,
    object: &MailDomain,
    reason: &'static str,
    message: &str,
    now: Timestamp,
) -> Result<Action, Error> {
    let old = object.status.clone().unwrap_or_default();
    let status = status::refused(&old, object.metadata.generation, reason, message, now);
    write(ctx, object, &old, status, false).await?;
    Ok(Action::requeue(jittered(ctx.config.recheck_interval)))
}

/// The whole account of a pass.
#[expect(
    clippy::too_many_arguments,
    reason = "the table of contents hands over each step's result by name"
)]
pub async fn report(
    ctx: &Context,
    object: &MailDomain,
    intent: &Intent,
    view: &View,
    held: &[Held],
    published: &Published,
    seen: &Seen,
    moves: &[Move],
    now: Timestamp,
) -> Result<Action, Error> {
    let old = object.status.clone().unwrap_or_default();
    let keys: Vec<KeyState> = held
        .iter()
        .map(|h| key_state(ctx, object, intent, view, h))
        .collect();
    let explained = explain(ctx, object, intent, published, seen, now).await;
    let whom = published.gate.held_for(&seen.senders);
    let mut findings = seen.findings.clone();
    findings.extend(published.plan.note.clone());
    findings.sort();
    let account = Account {
        old: &old,
        generation: object.metadata.generation,
        conduct: intent.conduct,
        plan: &published.plan,
        applied: &published.applied,
        explained: &explained,
        deferred: &published.deferred.keys().cloned().collect::<BTreeSet<_>>(),
        verdicts: &seen.verdicts,
        keys: &keys,
        findings: &findings,
        held: whom.as_deref(),
        moves,
        bimi: intent.bimi.is_some(),
        now,
    };
    let mut patience: Patience = ctx.remember(object, |memory| std::mem::take(&mut memory.patience));
    let status = status::compute(&account, &mut patience, ctx.config.stale());
    ctx.remember(object, |memory| memory.patience = patience);
    events(ctx, object, published, &old, &status, now).await;
    let labels = DomainLabels {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
    };
    let waiting = published.plan.held.iter().flat_map(HeldBack::lines).count();
    ctx.metrics.deletions_held(&labels, waiting);
    let resting = at_rest(&status, published);
    write(ctx, object, &old, status, whom.is_some()).await?;
    let proven = matches!(seen.senders, Proof::Proven);
    let release = ctx.remember(object, |memory| {
        memory.senders_proven = proven;
        memory.unsettled = if resting {
            0
        } else {
            memory.unsettled.saturating_add(1)
        };
        proven && matches!(published.gate, PolicyGate::Held(_))
    });
    if let Some(error) = published.applied.values().find_map(|said| said.as_ref().err()) {
        return Err(Error::Publish(error.clone()));
    }
    Ok(Action::requeue(if release {
        Duration::from_millis(100)
    } else {
        next_look(ctx, object).min(first_end(moves, now))
    }))
}

/// Whether nothing is on its way. Where every name server answers as declared and receivers cannot authenticate yet, a resolver
/// may still remember that there was nothing (RFC 2308).
fn at_rest(status: &MailDomainStatus, published: &Published) -> bool {
    let is = |kind: &str, word: &str| {
        let mut conditions = status.conditions.iter();
        conditions.any(|c| c.type_ == kind && c.status == word)
    };
    let catching_up = is("Verified", "True") && is("Ready", "False");
    !is("Reconciling", "True")
        && !catching_up
        && published.plan.is_empty()
        && !published.plan.rows.iter().any(|row| row.step.writes())
}

/// How long it is until the first copies of a home that was left may go.
fn first_end(moves: &[Move], now: Timestamp) -> Duration {
    let waits = moves.iter().filter_map(|each| each.ends);
    let waits = waits.filter_map(|end| Duration::try_from(end.duration_since(now)).ok());
    waits
        .min()
        .map_or(Duration::MAX, |wait| wait + Duration::from_secs(1))
}

/// Soon while something is on its way, ever later while it does not arrive, else at the schedule.
fn next_look(ctx: &Context, object: &MailDomain) -> Duration {
    let unsettled = ctx.recall(object).unsettled;
    let schedule = jittered(ctx.config.recheck_interval);
    if unsettled == 0 {
        return schedule;
    }
    (ctx.config.settle_interval * (1 << (unsettled / 8).min(10))).min(schedule)
}

/// Between nine and eleven tenths.
pub(super) fn jittered(interval: Duration) -> Duration {
    interval.mul_f64(rand::rng().random_range(0.9..1.1))
}

fn key_state(ctx: &Context, object: &MailDomain, intent: &Intent, view: &View, held: &Held) -> KeyState {
    let Held {
        slot,
        pair,
        trouble,
        not_made,
    } = held;
    let life = view.book.lives.get(&slot.id);
    let proven = life.and_then(|life| life.proven.as_ref());
    let public = match &slot.origin {
        Origin::Public(key) => Some(key),
        Origin::Own { .. } | Origin::Imported { .. } => pair.as_ref().map(crate::key::PrivateKey::public),
        Origin::Delegated(_) => None,
    };
    let secret = match &slot.origin {
        Origin::Own { secret, .. } | Origin::Imported { secret, .. } => Some(secret.clone()),
        Origin::Public(_) | Origin::Delegated(_) => None,
    };
    let (stage, waiting_for, unsure) = match (secret.is_some(), pair, proven) {
        (true, None, _) => (KeyStage::Pending, Some("its Secret"), false),
        (_, _, None) => (
            KeyStage::Published,
            Some("every authoritative server to answer with it twice"),
            false,
        ),
        (false, _, Some(_)) => (KeyStage::Active, None, false),
        // No signer gets a key by being observed; that is not what is judged.
        (true, Some(_), Some(_)) if !intent.conduct.leaves_traces() => (KeyStage::Proven, None, false),
        (true, Some(pair), Some(_)) => in_outputs(ctx, object, intent, held, pair.public().algorithm()),
    };
    if let Some(trouble) = trouble {
        tracing::debug!(key = slot.id, trouble, "a key has no Secret");
    }
    KeyState {
        sender: slot.sender.clone(),
        key: slot.name.clone(),
        selector: slot.selector.clone(),
        algorithm: public.map(crate::key::PublicKey::algorithm),
        fingerprint: public.map(crate::key::PublicKey::fingerprint),
        stage,
        secret: secret.filter(|_| !not_made),
        waiting_for: waiting_for.map(|text| trouble.clone().unwrap_or_else(|| text.to_owned())),
        since: proven.map(|time| time.0),
        // Some key signs the sender's mail, or none; it is not this operator's to know.
        unsure: unsure || *not_made && intent.conduct.mode == Mode::Observe,
        not_made: *not_made,
    }
}

/// Whether the signers that select the key have it. None selects it: it is proven and nobody's to sign with.
fn in_outputs(
    ctx: &Context,
    object: &MailDomain,
    intent: &Intent,
    held: &Held,
    algorithm: crate::api::KeyAlgorithm,
) -> (KeyStage, Option<&'static str>, bool) {
    let namespace = object.namespace().unwrap_or_default();
    let signers = ctx.signers_of(object, &held.slot.sender).into_iter();
    let signers = signers.filter(|signer| output::any_can_use(&signer.spec.formats, algorithm));
    let key = (intent.domain.clone(), held.slot.selector.clone());
    let mut stage = (KeyStage::Proven, None, false);
    for signer in signers {
        match ctx.output_holds(&namespace, &signer.name_any(), &key) {
            Some(true) => stage.0 = stage.0.max(KeyStage::Active),
            Some(false) => return (KeyStage::Proven, Some("the output Secret of a DKIMSigner"), false),
            None => {
                return (
                    KeyStage::Proven,
                    Some("a DKIMSigner that was not heard of yet"),
                    true,
                );
            }
        }
    }
    stage
}

/// Asks providers that are told a state why records are still missing, once their patience is over.
async fn explain(
    ctx: &Context,
    object: &MailDomain,
    intent: &Intent,
    published: &Published,
    seen: &Seen,
    now: Timestamp,
) -> BTreeMap<Key, (&'static str, String)> {
    let mut explained = BTreeMap::new();
    for (name, publisher) in &published.deferred {
        let at_home = |row: &&crate::plan::Row| row.home.as_ref().is_some_and(|home| &home.provider == name);
        let missing: Vec<Key> = published
            .plan
            .rows
            .iter()
            .filter(at_home)
            .filter(|row| row.step.writes())
            .filter(|row| {
                seen.verdicts
                    .get(&row.group.key)
                    .is_some_and(|v| v.verified == Truth::False)
            })
            .map(|row| row.group.key.clone())
            .collect();
        let since = ctx.remember(object, |memory| {
            if missing.is_empty() {
                memory.missing_since.remove(name);
                return None;
            }
            Some(*memory.missing_since.entry(name.clone()).or_insert(now))
        });
        let patience =
            jiff::SignedDuration::try_from(publisher.patience()).unwrap_or(jiff::SignedDuration::MAX);
        if since.is_none_or(|since| now.duration_since(since) < patience) {
            continue;
        }
        let mut live = Live::default();
        for (_, read) in published.live.iter().filter(|(home, _)| &home.provider == name) {
            live.rrsets.extend(read.iter().flat_map(|l| l.rrsets.clone()));
        }
        if let Some(why) = publisher.explain(&intent.domain, &missing, &live).await {
            explained.extend(
                missing
                    .into_iter()
                    .map(|key| (key, (why.reason, why.message.clone()))),
            );
        }
    }
    explained
}

async fn events(
    ctx: &Context,
    object: &MailDomain,
    published: &Published,
    old: &MailDomainStatus,
    new: &MailDomainStatus,
    now: Timestamp,
) {
    let mended: Vec<String> = published
        .plan
        .rows
        .iter()
        .filter(|row| row.step == Step::Mend)
        .map(|row| row.group.key.to_string())
        .collect();
    let replaced: Vec<String> = published
        .plan
        .rows
        .iter()
        .filter(|row| row.step == Step::Replace)
        .map(|row| row.group.key.to_string())
        .collect();
    if !replaced.is_empty() && published.applied.values().all(Result::is_ok) {
        let note = format!(
            "replaced, as spec.publishing.adoption says; what stood there is kept and given back when these are removed: {}",
            replaced.join(", ")
        );
        ctx.event(object, "ForeignReplaced", &note).await;
    }
    if !mended.is_empty() && published.applied.values().all(Result::is_ok) {
        ctx.event(
            object,
            "DriftMended",
            &format!("changed by another hand and mended: {}", mended.join(", ")),
        )
        .await;
    }
    spared(ctx, object, &published.plan, old, new).await;
    if let Some(text) = &published.plan.taken_over
        && published.applied.values().all(Result::is_ok)
    {
        let note = format!("taken over from who wrote {text}, as the annotation {TAKE_OVER} says");
        ctx.event(object, "TakenOver", &note).await;
    }
    for (home, parting) in &published.plan.partings {
        let (reason, note) = status::parted(home, *parting);
        ctx.event(object, reason, &note).await;
    }
    ready_changed(ctx, object, old, new, now).await;
    for row in new
        .records
        .iter()
        .filter(|row| row.reason.as_deref() == Some("Conflict"))
    {
        let known = old
            .records
            .iter()
            .any(|o| o.name == row.name && o.record_type == row.record_type && o.reason == row.reason);
        if !known {
            let note = format!(
                "{} {}: {}",
                row.name,
                row.record_type,
                row.message.as_deref().unwrap_or_default()
            );
            ctx.event(object, "Conflict", &note).await;
        }
    }
}

/// Of `Ready`, see [`status::Changes`].
const FLAPPING: &str = "Ready goes up and down: its changes are told no more until it has rested for an hour; status.findings says what changes";

/// Up and down, as long as it is news.
async fn ready_changed(
    ctx: &Context,
    object: &MailDomain,
    old: &MailDomainStatus,
    new: &MailDomainStatus,
    now: Timestamp,
) {
    let ready = |status: &MailDomainStatus| status.conditions.iter().find(|c| c.type_ == "Ready").cloned();
    let (before, Some(condition)) = (ready(old), ready(new)) else {
        return;
    };
    let changed = before
        .as_ref()
        .is_none_or(|before| before.status != condition.status);
    let first_true = before.is_none() && condition.status != "True";
    if !changed || first_true {
        return;
    }
    let note = format!("Ready is {}: {}", condition.status, condition.message);
    match ctx.remember(object, |memory| memory.ready_changes.note(now)) {
        Telling::Change => ctx.event(object, &condition.reason, &note).await,
        Telling::Flapping => ctx.event(object, "Flapping", FLAPPING).await,
        Telling::Nothing => {}
    }
}

/// What was kept from a removal, and what was not.
async fn spared(
    ctx: &Context,
    object: &MailDomain,
    plan: &Plan,
    old: &MailDomainStatus,
    new: &MailDomainStatus,
) {
    let written = |key: &Key| {
        let mut rows = plan.rows.iter();
        rows.any(|row| &row.group.key == key && row.step.writes())
    };
    for (key, terms) in plan.cut.iter().filter(|(key, _)| written(key)) {
        let note = format!(
            "{key} has no room for these terms that are declared no more (RFC 7208: 10 lookups, 512 octets), so they go at once: {}",
            terms.join(" ")
        );
        ctx.event(object, "RetirementCut", &note).await;
    }
    if let Some(held) = &plan.held {
        let told = |status: &MailDomainStatus| {
            let published = status.conditions.iter().find(|c| c.type_ == "Published");
            published
                .filter(|c| c.message.contains(&held.hash))
                .map(|c| c.message.clone())
        };
        if let (None, Some(message)) = (told(old), told(new)) {
            ctx.event(object, "DeletionsHeld", &message).await;
        }
    }
}

/// Writes the status if it differs, and the metrics always.
async fn write(
    ctx: &Context,
    object: &MailDomain,
    old: &MailDomainStatus,
    status: MailDomainStatus,
    held: bool,
) -> Result<(), Error> {
    let namespace = object.namespace().ok_or(Error::Incomplete("namespace"))?;
    let name = object.name_any();
    ctx.metrics.observe(
        &DomainLabels {
            namespace: namespace.clone(),
            name: name.clone(),
        },
        &status,
        held,
    );
    if *old == status {
        return Ok(());
    }
    let api: Api<MailDomain> = Api::namespaced(ctx.client.clone(), &namespace);
    // The version that was read guards the write: a status computed from an old object is not worth writing.
    let patch = serde_json::json!({
        "metadata": {"resourceVersion": object.resource_version(), "uid": object.uid()},
        "status": full(&status),
    });
    match api
        .patch_status(&name, &PatchParams::default(), &Patch::Merge(&patch))
        .await
    {
        Ok(_) => Ok(()),
        // Somebody changed or deleted it meanwhile; that change brings the next pass.
        Err(kube::Error::Api(error)) if error.is_conflict() || error.is_not_found() => {
            tracing::debug!(object = %ObjectRef::from_obj(object), kind = %MailDomain::kind(&()), "the status was outdated");
            Ok(())
        }
        Err(error) => Err(Error::write("the status")(error)),
    }
}

/// A merge patch leaves out what it does not name: empty lists must be said.
fn full(status: &MailDomainStatus) -> serde_json::Value {
    let mut value = serde_json::json!(status);
    for list in ["conditions", "records", "keys", "findings"] {
        if value.get(list).is_none() {
            value[list] = serde_json::json!([]);
        }
    }
    value
}
