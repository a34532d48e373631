//! Moving house: what is seen of the homes that are left, and of the new ones. (network)

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Context;
use super::ground::Ground;
use super::publish::Published;
use crate::api::Truth;
use crate::intent::Intent;
use crate::lookup::{Answer, Delegation, Direct, Failure, Server};
use crate::name::Name;
use crate::plan::{Departure, Group, Leaving, Row, Step, is_away, lacking, owner_key};
use crate::publish::{Live, PublishError, Publisher};
use crate::record::{Key, RecordType, Value};
use crate::status::Move;
use crate::tenancy::Home;
use crate::verify::verify;

/// What was seen of one home that is being left, before the plan.
#[derive(Debug)]
pub(super) struct Sight {
    /// Who serves the zone by the word of the zone above.
    delegation: Result<Delegation, Failure>,
    /// The name servers of the zone at its new home, as far as they can be found.
    servers: Vec<Server>,
    /// What others have at the old home and the new ones lack.
    lacking: Vec<String>,
    /// Why the old home could not be read.
    unread: Option<PublishError>,
}

/// By the home that is left.
pub(super) type Sights = BTreeMap<Home, Sight>;

/// Looks whether the world still asks at the homes that are left, and notes it.
pub(super) async fn observe(
    ctx: &Context,
    intent: &Intent,
    leaving: &mut Leaving,
    ground: &Ground,
    now: Timestamp,
) -> Sights {
    let mut sights = Sights::new();
    let owner = owner_key(&intent.domain).filter(|key| is_signed(ground, key));
    let marks = match &owner {
        Some(key) if leaving.values().any(|d| d.entries.contains_key(key)) => marks(ctx, key).await,
        Some(_) | None => None,
    };
    for (home, departure) in leaving {
        let delegation = ctx.looker.delegation(delegated(ground, home, departure)).await;
        let own = match ground.publisher(home) {
            Some(publisher) => publisher.name_servers(&home.zone).await.ok().flatten(),
            None => None,
        };
        let said = [delegation.as_ref().ok(), own.as_ref()];
        if departure.servers.is_empty() {
            let known = own.as_ref().filter(|own| !own.servers.is_empty());
            let known = known.or(delegation.as_ref().ok());
            departure.servers = known.map(|known| known.servers.clone()).unwrap_or_default();
        }
        if departure.away.is_none() {
            let of_servers = said.iter().flatten().map(|d| d.ttl).max().unwrap_or_default();
            let linger = of_servers.saturating_add(longest_ttl(departure, ground.live.get(home), intent.ttl));
            departure.linger = departure.linger.max(linger);
        }
        let new = successors(ctx, ground, departure).await;
        let away = is_away(
            departure,
            delegation.as_ref().ok(),
            &new.names,
            owner.as_ref(),
            marks.as_deref(),
        );
        departure.saw(away, now);
        let sight = Sight {
            delegation,
            servers: new.servers,
            lacking: match ground.live.get(home) {
                Some(Ok(old)) => lacking(departure, old, |name| ground.stands_at(name)),
                Some(Err(_)) | None => Vec::new(),
            },
            unread: match ground.live.get(home) {
                Some(Err(error)) => Some(error.clone()),
                Some(Ok(_)) | None => None,
            },
        };
        sights.insert(home.clone(), sight);
    }
    sights
}

/// The zone whose delegation decides: that of the old home, or one that was cut out of it.
fn delegated<'a>(ground: &'a Ground, home: &'a Home, departure: &Departure) -> &'a Name {
    let places = departure
        .entries
        .keys()
        .filter_map(|key| ground.places.get(&key.name));
    let mut zones = places.filter_map(|place| Some(&place.as_ref().ok()?.zone));
    zones
        .find(|zone| *zone != &home.zone && zone.is_within(&home.zone))
        .unwrap_or(&home.zone)
}

/// Whether the owner text is written where the domain lives now: not through a provider that is told a state.
fn is_signed(ground: &Ground, key: &Key) -> bool {
    let home = ground.places.get(&key.name).and_then(|place| place.as_ref().ok());
    let publisher = home.and_then(|home| ground.publisher(home));
    publisher.is_some_and(|publisher| !publisher.hands_over())
}

/// What every delegated server says at the owner's name. `None`: no server could be found.
async fn marks(ctx: &Context, key: &Key) -> Option<Vec<(Server, Answer)>> {
    let mut direct = ctx.looker.direct(&BTreeSet::from([key.clone()])).await;
    direct.answers.remove(key)
}

/// The longest TTL, in seconds, that a resolver may have been told for our records there.
fn longest_ttl(departure: &Departure, live: Option<&Result<Live, PublishError>>, ttl: u32) -> u32 {
    let rrsets = live.and_then(|live| live.as_ref().ok()).map(|live| &live.rrsets);
    let known = departure.entries.keys().filter_map(|key| rrsets?.get(key));
    known.map(|rrset| rrset.ttl).max().unwrap_or(ttl)
}

/// The name servers of the zones that the departed names live in now.
#[derive(Debug, Default)]
struct Successors {
    /// As these zones name them.
    names: BTreeSet<Name>,
    /// As far as they can be found.
    servers: Vec<Server>,
}

async fn successors(ctx: &Context, ground: &Ground, departure: &Departure) -> Successors {
    let places = departure
        .entries
        .keys()
        .filter_map(|key| ground.places.get(&key.name));
    let homes: BTreeSet<&Home> = places.filter_map(|place| place.as_ref().ok()).collect();
    let mut successors = Successors::default();
    for home in homes {
        let Some(publisher) = ground.publisher(home) else {
            continue;
        };
        if let Ok(Some(told)) = publisher.name_servers(&home.zone).await {
            let known = glue(publisher, home, &told.servers).await;
            successors
                .servers
                .extend(ctx.looker.servers(&told.servers, &known).await);
            successors.names.extend(told.servers);
        }
    }
    successors
}

/// Addresses of names within the zone, which are its own to give, since nobody may be delegated to it yet.
async fn glue(publisher: &dyn Publisher, home: &Home, names: &BTreeSet<Name>) -> BTreeSet<Server> {
    let within = names.iter().filter(|name| name.is_within(&home.zone));
    let within: BTreeSet<Name> = within.cloned().collect();
    let mut known = BTreeSet::new();
    if within.is_empty() {
        return known;
    }
    let Ok(live) = publisher.read(&home.zone, &within).await else {
        return known;
    };
    for name in &within {
        for record_type in [RecordType::A, RecordType::Aaaa] {
            let key = Key::new(name.clone(), record_type);
            known.extend(live.values(&key).filter_map(|value| server(name, value)));
        }
    }
    known
}

fn server(name: &Name, value: &Value) -> Option<Server> {
    let address = match value {
        Value::A(address) => (*address).into(),
        Value::Aaaa(address) => (*address).into(),
        Value::Cname(_) | Value::Mx { .. } | Value::Ptr(_) | Value::Txt(_) => return None,
    };
    let name = name.clone();
    Some(Server { name, address })
}

/// Looks at the new homes, after the plan: whether their own name servers answer as declared, whoever the world asks.
pub(super) async fn look(ctx: &Context, published: &Published) -> Vec<Move> {
    let mut moves = Vec::new();
    for (home, departure) in &published.plan.leaving {
        let sight = published.sights.get(home);
        let rows = moved(published, departure);
        let ours = rows
            .iter()
            .filter(|row| !matches!(row.step, Step::Conflict(_) | Step::Refused(_)));
        let groups: Vec<Group> = ours.map(|row| row.group.clone()).collect();
        let homes = rows.iter().filter_map(|row| row.home.as_ref());
        let servers: &[Server] = sight.map_or(&[], |sight| &sight.servers);
        let keys: BTreeSet<Key> = groups.iter().map(|group| group.key.clone()).collect();
        let direct = if servers.is_empty() {
            Direct::default()
        } else {
            ctx.looker.at(servers, &keys).await
        };
        let verdicts = verify(&groups, &direct);
        let unproven = verdicts
            .iter()
            .find(|(_, verdict)| verdict.verified != Truth::True);
        let delegation = sight.and_then(|sight| sight.delegation.as_ref().ok());
        moves.push(Move {
            home: home.clone(),
            to: homes.map(|home| home.provider.clone()).collect(),
            delegated_to: delegation.map(|d| d.servers.clone()).unwrap_or_default(),
            servers: servers.iter().map(|server| server.name.clone()).collect(),
            proven: match unproven {
                // It has only begun.
                _ if sight.is_none() => Truth::False,
                _ if servers.is_empty() => Truth::Unknown,
                Some((_, verdict)) => verdict.verified,
                None => Truth::True,
            },
            unproven: unproven.map(|(key, _)| key.clone()),
            lacking: sight.map(|sight| sight.lacking.clone()).unwrap_or_default(),
            unread: sight.and_then(|sight| sight.unread.clone()),
            ends: departure.ends(),
        });
    }
    moves
}

/// What became of the RRsets that have moved.
fn moved<'a>(published: &'a Published, departure: &Departure) -> Vec<&'a Row> {
    let rows = published.plan.rows.iter();
    rows.filter(|row| departure.entries.contains_key(&row.group.key))
        .collect()
}
