//! Which servers hold a name: down the delegations from the root, as a resolver walks, or from the zones whose servers
//! the configuration gives.
//!
//! Bounded: at most [`MAX_QUESTIONS`] questions for one name, name servers of name servers at most [`MAX_DEPTH`] deep,
//! at most [`referral::MAX_NAMES`] servers of a zone with [`MAX_ADDRESSES`] addresses in all (so a hostile zone cannot make us
//! ask others: RFC 9520, "NXNSAttack"). Zone cuts are remembered for their TTL, at most [`CUT_LIFETIME`]; failures for
//! [`FAILURE_LIFETIME`].

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use futures::future::join_all;
use futures::stream::FuturesUnordered;
use hickory_proto::rr;
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};

use super::ask::{Mode, Question, Reply, has_route};
use super::budget::{Budget, Memory, locked};
use super::referral::{self, Cut, MAX_NAMES, Referral, Step};
use super::roots::ROOTS;
use super::{Failure, Server};
use crate::name::Name;

/// Questions that finding the servers of one name may cost.
pub(super) const MAX_QUESTIONS: u32 = 100;
/// A name server whose name lies in a zone whose name servers lie in a zone...
const MAX_DEPTH: u8 = 3;
/// Addresses of the name servers of one zone.
const MAX_ADDRESSES: usize = 32;
/// Zones between the root and a name.
const MAX_CUTS: usize = 16;
/// Servers that are tried for one step of the walk.
const MAX_TRIES: usize = 8;
/// The next server is tried when those before have not answered for so long.
const STAGGER: Duration = Duration::from_millis(250);
/// A zone cut is remembered no longer.
const CUT_LIFETIME: u32 = 300;
/// A zone cut is remembered no shorter, so that one walk is not walked twice.
const CUT_LIFETIME_AT_LEAST: u32 = 5;
/// A name whose servers were not found is not tried again for so long.
const FAILURE_LIFETIME: Duration = Duration::from_secs(5);
/// Zone cuts, names and failures that are remembered, each.
const MAX_REMEMBERED: usize = 20_000;

/// Finds zones and servers.
#[derive(Debug)]
pub(super) struct Delegations {
    pub(super) budget: Arc<Budget>,
    roots: Vec<IpAddr>,
    pub(super) root: OnceCell<Arc<Cut>>,
    pub(super) given: BTreeMap<Name, Arc<Cut>>,
    /// Whether delegations may lead to addresses of private networks: not from the real root.
    private: bool,
    cuts: Mutex<Memory<Name, Arc<Cut>>>,
    homes: Mutex<Memory<Name, Result<Arc<Cut>, Failure>>>,
}

/// One walk: what it may still ask, and how deep it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Walk<'a> {
    pub(super) left: &'a AtomicU32,
    pub(super) depth: u8,
}

impl Delegations {
    /// Knows the root and the given zones.
    pub(super) fn new(budget: Arc<Budget>, hints: &[IpAddr], given: &BTreeMap<Name, Vec<IpAddr>>) -> Self {
        let roots = if hints.is_empty() { &ROOTS[..] } else { hints };
        let given = given
            .iter()
            .map(|(zone, addresses)| (zone.clone(), Arc::new(Cut::fixed(Some(zone), addresses))))
            .collect();
        Self {
            budget,
            roots: roots.to_vec(),
            root: OnceCell::new(),
            given,
            private: !hints.is_empty(),
            cuts: Mutex::new(Memory::new(MAX_REMEMBERED)),
            homes: Mutex::new(Memory::new(MAX_REMEMBERED)),
        }
    }

    /// The zone that holds a name, with every server.
    pub(super) async fn servers(&self, name: &Name) -> Result<Arc<Cut>, Failure> {
        let left = AtomicU32::new(MAX_QUESTIONS);
        self.find(
            name,
            Walk {
                left: &left,
                depth: 0,
            },
        )
        .await
    }

    /// Forgets in which zone a name is: its servers said that they do not hold it.
    pub(super) fn forget(&self, name: &Name) {
        locked(&self.homes).forget(name);
    }

    pub(super) async fn find(&self, name: &Name, walk: Walk<'_>) -> Result<Arc<Cut>, Failure> {
        if let Some(home) = locked(&self.homes).get(name) {
            return home;
        }
        let found = Box::pin(self.descend(name, walk)).await;
        // Deeper walks look for any server of a zone, not for all of them, and may end early.
        if walk.depth == 0 {
            let now = Instant::now();
            let until = match &found {
                Ok(cut) => cut.until.unwrap_or(now + seconds(CUT_LIFETIME)),
                Err(_) => now + FAILURE_LIFETIME,
            };
            locked(&self.homes).put(name.clone(), found.clone(), until);
        }
        found
    }

    async fn descend(&self, name: &Name, walk: Walk<'_>) -> Result<Arc<Cut>, Failure> {
        let mut cut = self.deepest_known(name).await;
        for _ in 0..MAX_CUTS {
            match self.probe(name, &cut, walk).await {
                Ok(Step::Here) => return Ok(self.complete(cut, walk).await),
                Ok(Step::Alias) => {
                    return match name.parent() {
                        Some(parent) if cut.holds(&parent) => self.find(&parent, walk).await,
                        _ => Ok(self.complete(cut, walk).await),
                    };
                }
                Ok(Step::Below(referral)) => cut = self.enter(referral, walk).await?,
                Ok(Step::Inside(_)) if cut.is_given() => return Ok(cut),
                Ok(Step::Inside(zone)) => {
                    let referral = self.names_of(&zone, &cut.servers, walk).await?;
                    cut = self.enter(referral, walk).await?;
                }
                // All servers of the zone fail. Which, and how, is for the caller to see and tell; but not above
                // the second level, where it means that the name's own servers could not be found.
                Err(_) if cut.is_given() || cut.labels() >= 2 => return Ok(self.doubtful(&cut)),
                Err(failure) => return Err(failure),
            }
        }
        Err(Failure::NotAsked)
    }

    async fn deepest_known(&self, name: &Name) -> Arc<Cut> {
        let known = name.ancestors().find_map(|zone| {
            let given = self.given.get(&zone).cloned();
            given.or_else(|| locked(&self.cuts).get(&zone))
        });
        match known {
            Some(cut) => cut,
            None => Arc::clone(self.root.get_or_init(|| self.find_root()).await),
        }
    }

    pub(super) async fn find_root(&self) -> Arc<Cut> {
        let mut root = Cut::fixed(None, &self.roots);
        root.servers = self.with_route(root.servers.into_iter().collect()).await;
        Arc::new(root)
    }

    /// A cut whose servers all failed: the next walk shall begin above it, they may have moved.
    fn doubtful(&self, cut: &Cut) -> Arc<Cut> {
        if let Some(zone) = &cut.zone {
            locked(&self.cuts).forget(zone);
        }
        let mut cut = cut.clone();
        cut.until = Some(Instant::now() + FAILURE_LIFETIME);
        Arc::new(cut)
    }

    /// Asks for the SOA record of a name: the answer says where its zone begins, or leads further down.
    async fn probe(&self, name: &Name, cut: &Cut, walk: Walk<'_>) -> Result<Step, Failure> {
        self.first(&cut.servers, name, rr::RecordType::SOA, walk, |reply| {
            referral::step(reply, name, cut)
        })
        .await
    }

    /// Asks a zone itself for its NS records.
    async fn names_of(&self, zone: &Name, servers: &[Server], walk: Walk<'_>) -> Result<Referral, Failure> {
        self.first(servers, zone, rr::RecordType::NS, walk, |reply| {
            referral::own_servers(reply, zone)
        })
        .await
    }

    /// Steps down. Name servers without glue are looked up only when there is no other.
    async fn enter(&self, referral: Referral, walk: Walk<'_>) -> Result<Arc<Cut>, Failure> {
        let lifetime = referral.ttl.clamp(CUT_LIFETIME_AT_LEAST, CUT_LIFETIME);
        let mut cut = Cut {
            zone: Some(referral.zone),
            servers: self.with_route(referral.glue).await,
            nameless: BTreeSet::new(),
            complete: false,
            until: Some(Instant::now() + seconds(lifetime)),
        };
        let known: BTreeSet<&Name> = cut.servers.iter().map(|s| &s.name).collect();
        cut.nameless = referral
            .names
            .iter()
            .filter(|name| !known.contains(name))
            .cloned()
            .collect();
        if cut.servers.is_empty() {
            let names = std::mem::take(&mut cut.nameless);
            cut.servers = self.addresses_of(&names, walk).await;
        }
        if cut.servers.is_empty() {
            return Err(Failure::NotAsked);
        }
        Ok(self.remember(cut))
    }

    /// Adds what the zone itself says about its servers, and the addresses that are still missing.
    async fn complete(&self, cut: Arc<Cut>, walk: Walk<'_>) -> Arc<Cut> {
        let (false, Some(zone), 0) = (cut.complete, &cut.zone, walk.depth) else {
            return cut;
        };
        let mut full = Cut::clone(&cut);
        let known: BTreeSet<Server> = cut.servers.iter().cloned().collect();
        let more = self.more_servers(zone, &cut, walk);
        let (found, names) = timeout(self.budget.patience(), more)
            .await
            .unwrap_or_else(|_| (BTreeSet::new(), full.nameless.clone()));
        full.servers = self.with_route(known.into_iter().chain(found).collect()).await;
        full.nameless = names
            .into_iter()
            .filter(|name| !full.servers.iter().any(|server| &server.name == name))
            .collect();
        full.complete = true;
        if !full.nameless.is_empty() {
            // A server without an address now may have one soon, and "every server" must come to mean it.
            let soon = Instant::now() + FAILURE_LIFETIME;
            full.until = full.until.map(|until| until.min(soon));
        }
        self.remember(full)
    }

    /// Servers that the zone itself names, and addresses of those that came without; and the names of all.
    async fn more_servers(
        &self,
        zone: &Name,
        cut: &Cut,
        walk: Walk<'_>,
    ) -> (BTreeSet<Server>, BTreeSet<Name>) {
        let mut found = BTreeSet::new();
        let mut names = cut.nameless.clone();
        if let Ok(own) = self.names_of(zone, &cut.servers, walk).await {
            found.extend(own.glue);
            names.extend(own.names);
        }
        let known: BTreeSet<&Name> = cut.servers.iter().chain(&found).map(|s| &s.name).collect();
        let wanting = names
            .iter()
            .filter(|name| !known.contains(name))
            .cloned()
            .collect();
        found.extend(self.addresses_of(&wanting, walk).await);
        (found, names)
    }

    fn remember(&self, cut: Cut) -> Arc<Cut> {
        let cut = Arc::new(cut);
        if let (Some(zone), Some(until)) = (&cut.zone, cut.until) {
            locked(&self.cuts).put(zone.clone(), Arc::clone(&cut), until);
        }
        cut
    }

    pub(super) async fn addresses_of(&self, names: &BTreeSet<Name>, walk: Walk<'_>) -> Vec<Server> {
        if walk.depth >= MAX_DEPTH {
            return Vec::new();
        }
        let deeper = Walk {
            left: walk.left,
            depth: walk.depth + 1,
        };
        let all = names
            .iter()
            .take(MAX_NAMES)
            .map(|name| self.addresses(name, deeper));
        let servers = join_all(all).await.into_iter().flatten().collect();
        self.with_route(servers).await
    }

    /// The addresses of a name server, from its own zone.
    async fn addresses(&self, name: &Name, walk: Walk<'_>) -> Vec<Server> {
        let Ok(cut) = Box::pin(self.find(name, walk)).await else {
            return Vec::new();
        };
        let ask = |record_type| {
            self.first(&cut.servers, name, record_type, walk, |reply| {
                referral::addresses(reply, name)
            })
        };
        let (v4, v6) = futures::join!(ask(rr::RecordType::A), ask(rr::RecordType::AAAA));
        let addresses = v4.into_iter().chain(v6).flatten();
        addresses
            .map(|address| Server {
                name: name.clone(),
                address,
            })
            .collect()
    }

    /// The first answer that `judge` takes. The next server is asked when one fails or lets us wait for [`STAGGER`].
    async fn first<T>(
        &self,
        servers: &[Server],
        name: &Name,
        record_type: rr::RecordType,
        walk: Walk<'_>,
        judge: impl Fn(&Reply) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let question = Question {
            name: name.clone(),
            record_type,
            mode: Mode::Authority,
        };
        let ask = |server: &Server| {
            let address = server.address;
            let question = &question;
            async move {
                walk.spend()?;
                self.budget.ask(address, question).await
            }
        };
        let start = rand::random_range(0..servers.len().max(1));
        let tries = servers.len().min(MAX_TRIES);
        let mut next = servers.iter().cycle().skip(start).take(tries);
        let mut under_way = FuturesUnordered::new();
        let mut worst = None;
        loop {
            match next.next() {
                Some(server) => under_way.push(ask(server)),
                None if under_way.is_empty() => break,
                None => {}
            }
            let Ok(Some(reply)) = timeout(STAGGER, under_way.next()).await else {
                continue;
            };
            match reply.and_then(|reply| judge(&reply)) {
                Ok(found) => return Ok(found),
                Err(Failure::NotAsked) => {}
                Err(failure) => worst = worst.max(Some(failure)),
            }
        }
        Err(worst.unwrap_or(Failure::NotAsked))
    }

    /// Those that may be asked; IPv6 addresses only where there is a way to them; not more than [`MAX_ADDRESSES`].
    pub(super) async fn with_route(&self, servers: BTreeSet<Server>) -> Vec<Server> {
        let mut reachable = Vec::new();
        for server in servers {
            if reachable.len() < MAX_ADDRESSES
                && self.may_ask(server.address)
                && (server.address.is_ipv4() || has_route(server.address, self.budget.port()).await)
            {
                reachable.push(server);
            }
        }
        reachable
    }

    fn may_ask(&self, address: IpAddr) -> bool {
        self.private || !is_internal(address)
    }
}

impl Walk<'_> {
    pub(super) fn spend(self) -> Result<(), Failure> {
        self.left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .map(|_| ())
            .map_err(|_| Failure::NotAsked)
    }
}

fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

/// Addresses of this machine, this cluster or this site, where a stranger's delegation must not lead.
fn is_internal(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, ..] = v4.octets();
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_multicast()
                || a == 0
                || a >= 240
                || (a == 100 && b & 0xc0 == 64)
        }
        IpAddr::V6(v6) => {
            v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
                || v6.is_multicast()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{World, name};
    use super::*;

    fn addresses(cut: &Cut) -> Vec<String> {
        cut.servers
            .iter()
            .map(|s| format!("{} {}", s.name, s.address))
            .collect()
    }

    fn walker(world: &World, hints: &[&str]) -> Delegations {
        let hints: Vec<IpAddr> = hints.iter().map(|a| a.parse().unwrap()).collect();
        let budget = Arc::new(Budget::new(world.port, Duration::from_millis(500)));
        Delegations::new(budget, &hints, &BTreeMap::new())
    }

    /// Root and `test` on .10, two servers of `example.test` with glue, and `other.test` whose server is named there.
    async fn world() -> World {
        let root = "test 300 NS ns.nic.test|ns.nic.test 300 A 127.0.0.11";
        let test = "test 300 NS ns.nic.test|ns.nic.test 300 A 127.0.0.11|\
            example.test 300 NS ns1.example.test|example.test 300 NS ns2.example.test|\
            ns1.example.test 300 A 127.0.0.12|ns2.example.test 300 A 127.0.0.13|\
            other.test 300 NS ns1.example.test|other.test 300 NS ns.loop.test|\
            loop.test 300 NS ns.pool.test|pool.test 300 NS ns.loop.test";
        let example = "example.test 300 NS ns1.example.test|example.test 300 NS ns3.example.test|\
            ns1.example.test 300 A 127.0.0.12|ns2.example.test 300 A 127.0.0.13|ns3.example.test 300 A 127.0.0.14|\
            www.example.test 300 CNAME elsewhere.test|a.b.example.test 300 A 192.0.2.1";
        let child = "sub.example.test 300 NS ns1.example.test|x.sub.example.test 300 A 192.0.2.2";
        let other = "other.test 300 NS ns1.example.test|mail.other.test 300 A 192.0.2.3";
        World::start(&[
            ("127.0.0.10", &[(".", root)]),
            ("127.0.0.11", &[("test", test)]),
            (
                "127.0.0.12",
                &[
                    ("example.test", example),
                    ("sub.example.test", child),
                    ("other.test", other),
                ],
            ),
            (
                "127.0.0.13",
                &[("example.test", example), ("sub.example.test", child)],
            ),
            (
                "127.0.0.14",
                &[("example.test", example), ("sub.example.test", child)],
            ),
        ])
        .await
    }

    #[tokio::test]
    async fn every_server_of_parent_and_child_is_found_by_glue() {
        let world = world().await;
        let walker = walker(&world, &["127.0.0.10"]);
        for owner in [
            "example.test",
            "a.b.example.test",
            "www.example.test",
            "none.example.test",
        ] {
            let cut = walker.servers(&name(owner)).await.unwrap();
            assert_eq!(cut.zone, Some(name("example.test")), "{owner}");
            assert_eq!(
                addresses(&cut),
                [
                    "ns1.example.test 127.0.0.12",
                    "ns2.example.test 127.0.0.13",
                    "ns3.example.test 127.0.0.14"
                ],
                "{owner}"
            );
        }
    }

    #[tokio::test]
    async fn a_zone_on_the_servers_of_its_parent_is_found() {
        let world = world().await;
        let walker = walker(&world, &["127.0.0.10"]);
        let cut = walker.servers(&name("x.sub.example.test")).await.unwrap();
        assert_eq!(cut.zone, Some(name("sub.example.test")));
        assert_eq!(addresses(&cut), ["ns1.example.test 127.0.0.12"]);
    }

    #[tokio::test]
    async fn servers_without_glue_are_looked_up_and_circles_end() {
        let world = world().await;
        let walker = walker(&world, &["127.0.0.10"]);
        let cut = walker.servers(&name("mail.other.test")).await.unwrap();
        assert_eq!(addresses(&cut), ["ns1.example.test 127.0.0.12"]);
        assert_eq!(walker.servers(&name("loop.test")).await, Err(Failure::NotAsked));
    }

    #[tokio::test]
    async fn a_given_zone_needs_no_root() {
        let world = world().await;
        let budget = Arc::new(Budget::new(world.port, Duration::from_millis(500)));
        let given = BTreeMap::from([(name("example.test"), vec!["127.0.0.13".parse().unwrap()])]);
        let dead = ["127.0.0.99".parse().unwrap()];
        let walker = Delegations::new(budget, &dead, &given);
        for owner in ["www.example.test", "x.sub.example.test"] {
            let cut = walker.servers(&name(owner)).await.unwrap();
            assert_eq!(addresses(&cut), ["example.test 127.0.0.13"], "{owner}");
        }
        assert_eq!(walker.servers(&name("nic.test")).await, Err(Failure::Timeout));
    }

    #[tokio::test]
    async fn servers_that_all_fail_are_still_told() {
        let world = World::start(&[(
            "127.0.0.10",
            &[
                (".", "test 300 NS ns.test|ns.test 300 A 127.0.0.10"),
                (
                    "test",
                    "test 300 NS ns.test|dead.test 300 NS ns.dead.test|ns.dead.test 300 A 127.0.0.66",
                ),
            ],
        )])
        .await;
        let cut = walker(&world, &["127.0.0.10"])
            .servers(&name("mail.dead.test"))
            .await
            .unwrap();
        assert_eq!(addresses(&cut), ["ns.dead.test 127.0.0.66"]);
    }

    #[test]
    fn strangers_do_not_lead_inside() {
        for (text, inside) in [
            ("127.0.0.1", true),
            ("10.96.0.10", true),
            ("100.64.0.1", true),
            ("169.254.169.254", true),
            ("::ffff:10.0.0.1", true),
            ("fd00::1", true),
            ("fe80::1", true),
            ("198.41.0.4", false),
            ("100.128.0.1", false),
            ("2001:503:ba3e::2:30", false),
        ] {
            assert_eq!(is_internal(text.parse().unwrap()), inside, "{text}");
        }
    }
}
