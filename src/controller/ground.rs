//! The ground that a pass stands on: where names are at home, and what stands there. (client, network)

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kube::ResourceExt as _;
use kube::runtime::reflector::ObjectRef;

use super::Context;
use super::admit::View;
use crate::intent::Intent;
use crate::name::Name;
use crate::plan::neighbours;
use crate::publish::{Live, PublishError, Publisher, seen};
use crate::record::{Key, Value};
use crate::tenancy::{Home, Refusal, Tenant, belongs, place};

/// By the name of the provider object.
pub(super) type Publishers = BTreeMap<String, Result<Arc<dyn Publisher>, PublishError>>;
/// What stands at each zone, or why that is not known.
pub(super) type LiveByHome = BTreeMap<Home, Result<Live, PublishError>>;

/// Where names are at home and what stands there.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) places: BTreeMap<Name, Result<Home, Refusal>>,
    pub(super) publishers: Publishers,
    pub(super) live: LiveByHome,
}

impl Ground {
    /// At the providers, also at the names that hold records of the past: they may have moved.
    pub(super) async fn at_providers(
        ctx: &Context,
        intent: &Intent,
        view: &View,
        names: &BTreeSet<Name>,
    ) -> Self {
        let past = view.book.entries().map(|(key, _)| &key.name);
        let beside = neighbours(&intent.domain).filter(|_| !view.book.leaving.is_empty());
        let names: BTreeSet<Name> = names.iter().chain(past).cloned().chain(beside).collect();
        let tenant = tenant(view, intent);
        let places = names
            .iter()
            .map(|name| (name.clone(), place(&tenant, &view.services, name)));
        let places: BTreeMap<_, _> = places.collect();
        let publishers = publishers(ctx, view).await;
        let mut asked = at_home(&places, view);
        for home in view.book.leaving.keys() {
            let within = names.iter().filter(|name| name.is_within(&home.zone));
            asked.entry(home.clone()).or_default().extend(within.cloned());
        }
        let live = read(&publishers, asked).await;
        Self {
            places,
            publishers,
            live,
        }
    }

    /// Without providers: what every authoritative server shows.
    pub(super) async fn in_dns(ctx: &Context, intent: &Intent, view: &View, names: &BTreeSet<Name>) -> Self {
        let tenant = tenant(view, intent);
        let places = names
            .iter()
            .map(|name| (name.clone(), belongs(&tenant, name).map(|()| Home::in_dns(name))));
        let places = places.collect();
        let direct = ctx.looker.direct(&seen::questions(names)).await;
        Self {
            places,
            publishers: Publishers::new(),
            live: seen::by_name(names, &direct),
        }
    }

    /// The publisher of a home, if it can be used.
    pub(super) fn publisher(&self, home: &Home) -> Option<&dyn Publisher> {
        let publisher = self.publishers.get(&home.provider)?.as_ref().ok()?;
        Some(publisher.as_ref())
    }

    /// Providers that are told a state.
    pub(super) fn told(&self) -> BTreeSet<String> {
        let told = self
            .publishers
            .iter()
            .filter(|(_, publisher)| publisher.as_ref().is_ok_and(|p| p.hands_over()));
        told.map(|(name, _)| name.clone()).collect()
    }

    /// Every value that stands anywhere at an RRset.
    pub(super) fn values(&self, key: &Key) -> Vec<&Value> {
        let live = self.live.values().flatten();
        live.flat_map(|live| live.values(key)).collect()
    }

    /// What stands in the zone that a name is at home in, where that is known.
    pub(super) fn stands_at(&self, name: &Name) -> Option<&Live> {
        let home = self.places.get(name)?.as_ref().ok()?;
        self.live.get(home)?.as_ref().ok()
    }
}

fn tenant<'a>(view: &'a View, intent: &'a Intent) -> Tenant<'a> {
    Tenant {
        labels: &view.labels,
        domain: &intent.domain,
        foreign_claims: &view.foreign_claims,
    }
}

/// A publisher for every provider that the MailDomain refers to or that holds records of ours.
async fn publishers(ctx: &Context, view: &View) -> Publishers {
    let mut publishers = Publishers::new();
    for provider in &view.providers {
        publishers.insert(provider.name_any(), ctx.connect(provider).await);
    }
    let written = view.book.written.values().map(|entry| &entry.home);
    connect(ctx, &mut publishers, written.chain(view.book.leaving.keys())).await;
    publishers
}

/// Adds the publishers of these homes.
pub(super) async fn connect<'a>(
    ctx: &Context,
    publishers: &mut Publishers,
    homes: impl Iterator<Item = &'a Home>,
) {
    for Home {
        provider: name,
        zone: _,
    } in homes
    {
        if publishers.contains_key(name) {
            continue;
        }
        let publisher = match ctx.providers.get(&ObjectRef::new(name)) {
            Some(provider) => ctx.connect(&provider).await,
            None => Err(PublishError::ProviderMissing(name.clone())),
        };
        publishers.insert(name.clone(), publisher);
    }
}

/// The names to read in each zone: those that are at home there, and those that hold records of ours.
fn at_home(places: &BTreeMap<Name, Result<Home, Refusal>>, view: &View) -> BTreeMap<Home, BTreeSet<Name>> {
    let at_places = places
        .iter()
        .filter_map(|(name, home)| Some((name, home.as_ref().ok()?)));
    let written = view
        .book
        .written
        .iter()
        .map(|(key, entry)| (&key.name, &entry.home));
    by_home(at_places.chain(written))
}

/// Names with the homes that they are to be read at.
pub(super) fn by_home<'a>(
    pairs: impl Iterator<Item = (&'a Name, &'a Home)>,
) -> BTreeMap<Home, BTreeSet<Name>> {
    let mut names: BTreeMap<Home, BTreeSet<Name>> = BTreeMap::new();
    for (name, home) in pairs {
        names.entry(home.clone()).or_default().insert(name.clone());
    }
    names
}

/// Reads every zone once, all at the same time.
pub(super) async fn read(publishers: &Publishers, names: BTreeMap<Home, BTreeSet<Name>>) -> LiveByHome {
    let reads = names.into_iter().map(|(home, names)| async move {
        let live = match publishers.get(&home.provider) {
            Some(Ok(publisher)) => publisher.read(&home.zone, &names).await,
            Some(Err(error)) => Err(error.clone()),
            None => Err(PublishError::Unreachable),
        };
        (home, live)
    });
    futures::future::join_all(reads).await.into_iter().collect()
}
