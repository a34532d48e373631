//! Publishing: read what stands there, plan, write the ledger, call the providers. (client)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::admit::{self, View};
use super::ground::{Ground, LiveByHome, Publishers};
use super::keys::{self, Held};
use super::moving::{self, Sights};
use super::{Context, Error, mandate, signer};
use crate::api::{DmarcPolicy, MailDomain, TAKE_OVER};
use crate::intent::{Intent, Mode};
use crate::name::Name;
use crate::plan::{Group, Plan, Situation, Writer, group, is_owner, owner_key};
use crate::protocol::{self, Declaration, PolicyGate, SigningKey, dmarc};
use crate::publish::{ProviderPlan, PublishError, Publisher};
use crate::record::{Key, RecordType};
use crate::tenancy::Home;

/// What was planned and what the providers said.
#[derive(Debug)]
pub struct Published {
    /// What is to be seen in DNS, by RRset.
    pub groups: Vec<Group>,
    /// The plan.
    pub plan: Plan,
    /// What each provider that was called said.
    pub applied: BTreeMap<String, Result<(), PublishError>>,
    /// Providers whose success is seen in DNS only.
    pub deferred: BTreeMap<String, Arc<dyn Publisher>>,
    /// What stood at each zone before.
    pub(super) live: LiveByHome,
    /// What was seen of homes that are being left.
    pub(super) sights: Sights,
    /// Whether the declared DMARC policy went out.
    pub gate: PolicyGate,
    /// The keys that mail is signed with, or will be.
    pub keys: Vec<SigningKey>,
}

/// Brings what is wanted to the providers.
pub async fn publish(
    ctx: &Context,
    object: &MailDomain,
    intent: &Intent,
    held: &[Held],
    view: &mut View,
    now: Timestamp,
) -> Result<Published, Error> {
    let conduct = intent.conduct;
    let private_zone = ctx.is_private(&intent.domain);
    let keys = keys::signing(held, view, now);
    let declare = |policy_gate| Declaration {
        intent,
        keys: &keys,
        policy_gate,
        private_zone,
    };
    // The names are the same whether the policy is held or not.
    let names = names(intent, &declare(PolicyGate::Held(DmarcPolicy::None)));
    let ground = match conduct.mode {
        Mode::Publish => Ground::at_providers(ctx, intent, view, &names).await,
        Mode::Manual | Mode::Observe => Ground::in_dns(ctx, intent, view, &names).await,
    };
    let told = ground.told();
    let sights = match conduct.mode {
        Mode::Publish => moving::observe(ctx, intent, &mut view.book.leaving, &ground, now).await,
        Mode::Manual | Mode::Observe => Sights::new(),
    };
    let gate = dmarc::policy_gate(intent, ctx.recall(object).senders_proven, |key| {
        ground.values(key)
    });
    let Ground {
        places,
        publishers,
        live,
    } = ground;
    let groups = group(protocol::desired(&declare(gate)));
    for (key, entry) in adoptable(object, view) {
        view.book.written.entry(key).or_insert(entry);
    }
    let situation = Situation {
        domain: &intent.domain,
        mandate: mandate::of(object, intent, &view.book),
        ttl: intent.ttl,
        writer: Some(writer(ctx, object).await?),
        conduct,
        told: &told,
        asked: &view.book.asked,
        groups: &groups,
        places: &places,
        live: &live,
        written: &view.book.written,
        leaving: &view.book.leaving,
        now,
        drain: ctx.config.drain(private_zone),
    };
    let plan = mandate::weighed(ctx, situation).await;
    mandate::remember(object, &mut view.book, conduct, &plan);
    let calls = calls(&plan, &publishers, &live);
    if !calls.is_empty() && (!plan.is_empty() || view.book.is_new()) {
        view.book.write(ctx).await?;
        signer::retract(ctx, object, &intent.domain, held, &view.book).await?;
    }
    let applied = apply(ctx, intent, view, calls).await?;
    mandate::count_reverts(ctx, object, &mut view.book, &plan, &applied, now).await?;
    let deferred = publishers
        .into_iter()
        .filter_map(|(name, publisher)| publisher.ok().filter(|p| p.hands_over()).map(|p| (name, p)))
        .collect();
    Ok(Published {
        groups: plan.rows.iter().map(|row| row.group.clone()).collect(),
        plan,
        applied,
        deferred,
        live,
        sights,
        gate,
        keys,
    })
}

/// The names of everything that is wanted, and of the owner text.
fn names(intent: &Intent, declaration: &Declaration<'_>) -> BTreeSet<Name> {
    let wanted = protocol::desired(declaration).into_iter();
    let owner = owner_key(&intent.domain).into_iter();
    wanted
        .map(|wanted| wanted.key)
        .chain(owner)
        .map(|key| key.name)
        .collect()
}

async fn writer<'a>(ctx: &'a Context, object: &'a MailDomain) -> Result<Writer<'a>, Error> {
    Ok(Writer {
        cluster: ctx.cluster().await?,
        uid: object.metadata.uid.as_deref(),
        take_over: object.annotations().get(TAKE_OVER).map(String::as_str),
    })
}

/// Somebody deleted the ledger: what the status says was published counts as written by us, but only to recognise
/// exactly the wanted values again. It settles (and so becomes ours to mend) only when a read shows just them.
fn adoptable(object: &MailDomain, view: &View) -> Vec<(Key, crate::plan::Written)> {
    let Some(status) = object.status.as_ref().filter(|_| view.book.is_new()) else {
        return Vec::new();
    };
    let rows = status
        .records
        .iter()
        .filter(|row| row.published == crate::api::Truth::True);
    rows.filter_map(|row| {
        let key = Key::new(Name::parse(&row.name).ok()?, RecordType::parse(&row.record_type)?);
        let provider = row.provider.clone()?;
        let zone = view
            .services
            .iter()
            .find(|s| s.name == provider)
            .and_then(|s| key.name.longest_match(&s.zones))?
            .clone();
        let purpose = protocol::Purpose::parse(&row.purpose)?;
        let values = crate::record::Values::new();
        Some((
            key,
            crate::plan::Written {
                home: Home { provider, zone },
                purpose,
                values,
                settled: false,
                withdraw_after: None,
                before: None,
                marks: crate::plan::Marks::default(),
            },
        ))
    })
    .collect()
}

type Call<'a> = (&'a String, &'a ProviderPlan, &'a Arc<dyn Publisher>);

/// Which providers are to be called with what.
fn calls<'a>(plan: &'a Plan, publishers: &'a Publishers, live: &LiveByHome) -> Vec<Call<'a>> {
    let call = |(name, part): (&'a String, &'a ProviderPlan)| {
        let publisher = publishers.get(name)?.as_ref().ok()?;
        let declarative = publisher.hands_over();
        // A provider that is told a state must not be told one that was made in the dark.
        let blind = declarative
            && live
                .iter()
                .any(|(home, read)| &home.provider == name && read.is_err());
        (!blind && (declarative || !part.changes.is_empty())).then_some((name, part, publisher))
    };
    in_order(plan).into_iter().filter_map(call).collect()
}

/// The parts of a plan. First comes the one with the owner text: there a stale copy of this operator is found out, and
/// goes no further.
pub(super) fn in_order(plan: &Plan) -> Vec<(&String, &ProviderPlan)> {
    let mut parts: Vec<_> = plan.providers.iter().collect();
    parts.sort_by_key(|(_, part)| !guards(part));
    parts
}

/// Whether this part of a plan writes the owner text.
pub(super) fn guards(part: &ProviderPlan) -> bool {
    part.changes
        .iter()
        .any(|change| is_owner(change) && !change.deletes())
}

/// The claim and the lead once more, then the providers. The ledger was written before.
async fn apply(
    ctx: &Context,
    intent: &Intent,
    view: &View,
    calls: Vec<Call<'_>>,
) -> Result<BTreeMap<String, Result<(), PublishError>>, Error> {
    let mut applied = BTreeMap::new();
    if calls.is_empty() || !admit::holds_claim(ctx, &intent.domain, &view.holder).await? {
        return Ok(applied);
    }
    for (name, part, publisher) in calls {
        let said = publisher.apply(part, &ctx.lead).await;
        let stopped = said.is_err() && guards(part);
        applied.insert(name.clone(), said);
        if stopped {
            break;
        }
    }
    Ok(applied)
}
