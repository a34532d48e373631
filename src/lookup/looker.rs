//! The imperative half of looking: asks, and returns facts.
//!
//! One call is bounded by `CALL` times the patience with one server, whatever was asked; what is not answered by then
//! is [`Failure::NotAsked`]. One call is about one domain, and has a part of the places that all share: silent servers, however
//! many a domain has, do not keep others from asking. Bounds over all calls are in `budget`, bounds of finding servers in
//! `delegation`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::ask::{Mode, Question};
use super::budget::Budget;
use super::delegation::Delegations;
use super::referral::Cut;
use super::{Answer, Delegation, Direct, Failure, Server, answer};
use crate::name::Name;
use crate::record::Key;

/// A call takes no longer than so many times the patience with one server.
const CALL: u32 = 5;
/// Of these, so many for finding servers.
const FINDING: u32 = 3;
/// Questions of one call to authoritative servers at a time; `budget` has four times as many places.
pub(super) const TO_SERVERS: usize = 64;
/// Questions of one call to a resolver at a time; `budget` has four times as many places.
const TO_RESOLVERS: usize = 16;
/// Names of one call whose servers are looked for at a time. Each walk tries a few servers at once.
const WALKS: usize = 16;

/// Where and how to ask.
#[derive(Debug, Clone)]
pub struct LookerConfig {
    /// Addresses of root servers; the walk down the delegations begins there. Empty: the real ones, and then no
    /// delegation is followed to an address of a private network.
    pub root_hints: Vec<IpAddr>,
    /// Validating resolvers that stand for the receivers.
    pub resolvers: Vec<IpAddr>,
    /// Zones whose servers are given instead of found: private zones, hidden primaries.
    pub zone_servers: BTreeMap<Name, Vec<IpAddr>>,
    /// Never ask authoritative servers: take the resolvers' answers for theirs (clusters without port 53 outwards).
    pub resolver_only: bool,
    /// How long one question to one server may take, over UDP and TCP together.
    pub query_timeout: Duration,
    /// The port of all servers; 53 outside tests.
    pub port: u16,
}

impl Default for LookerConfig {
    fn default() -> Self {
        Self {
            root_hints: Vec::new(),
            resolvers: Vec::new(),
            zone_servers: BTreeMap::new(),
            resolver_only: false,
            query_timeout: Duration::from_secs(3),
            port: 53,
        }
    }
}

/// Asks DNS. One for the whole process: it holds the bounds and what is known about delegations.
#[derive(Debug)]
pub struct Looker {
    resolvers: Vec<IpAddr>,
    resolver_only: bool,
    patience: Duration,
    budget: Arc<Budget>,
    delegations: Delegations,
}

/// The bounds of one call.
#[derive(Debug, Clone, Copy)]
struct Call<'a> {
    places: &'a Semaphore,
    deadline: Instant,
}

impl Looker {
    /// A looker; opens nothing yet.
    pub fn new(config: LookerConfig) -> Self {
        let LookerConfig {
            root_hints,
            resolvers,
            zone_servers,
            resolver_only,
            query_timeout,
            port,
        } = config;
        let budget = Arc::new(Budget::new(port, query_timeout));
        Self {
            resolvers,
            resolver_only,
            patience: query_timeout,
            delegations: Delegations::new(Arc::clone(&budget), &root_hints, &zone_servers),
            budget,
        }
    }

    /// Asks every authoritative server of each name's zone.
    pub async fn direct(&self, keys: &BTreeSet<Key>) -> Direct {
        let start = Instant::now();
        let deadline = start + self.patience * CALL;
        if self.resolver_only {
            return self.instead_of_direct(keys, deadline).await;
        }
        let mut direct = Direct::default();
        let mut questions = Vec::new();
        let homes = self.homes(keys, start + self.patience * FINDING).await;
        for (name, home) in &homes {
            match home {
                Ok(cut) => questions.extend(
                    keys.iter()
                        .filter(|key| &key.name == name)
                        .flat_map(|key| cut.servers.iter().map(move |server| (key, server))),
                ),
                Err(failure) => {
                    direct.unreachable.insert(name.clone(), *failure);
                }
            }
        }
        direct.answers = self.answers(&questions, deadline).await;
        for (key, answers) in &direct.answers {
            if answers.iter().any(|(_, a)| *a == Answer::Failed(Failure::Lame)) {
                self.delegations.forget(&key.name);
            }
        }
        direct
    }

    /// Asks these servers, whoever the delegation names.
    pub async fn at(&self, servers: &[Server], keys: &BTreeSet<Key>) -> Direct {
        let deadline = Instant::now() + self.patience * CALL;
        let questions: Vec<(&Key, &Server)> = keys
            .iter()
            .flat_map(|key| servers.iter().map(move |server| (key, server)))
            .collect();
        Direct {
            answers: self.answers(&questions, deadline).await,
            unreachable: BTreeMap::new(),
        }
    }

    /// What the zone above says of who serves a zone. `NotAsked` where authoritative servers are not asked, or where the
    /// configuration gives the zone's servers.
    pub async fn delegation(&self, zone: &Name) -> Result<Delegation, Failure> {
        if self.resolver_only {
            return Err(Failure::NotAsked);
        }
        let found = timeout(self.patience * FINDING, self.delegations.delegation(zone)).await;
        found.unwrap_or(Err(Failure::Timeout))
    }

    /// Servers of these names, as far as they can be found and may be asked; `known` are addresses that are known already.
    pub async fn servers(&self, names: &BTreeSet<Name>, known: &BTreeSet<Server>) -> Vec<Server> {
        if self.resolver_only {
            return Vec::new();
        }
        let found = timeout(
            self.patience * FINDING,
            self.delegations.servers_named(names, known),
        )
        .await;
        found.unwrap_or_default()
    }

    async fn answers(
        &self,
        questions: &[(&Key, &Server)],
        deadline: Instant,
    ) -> BTreeMap<Key, Vec<(Server, Answer)>> {
        let places = Semaphore::new(TO_SERVERS);
        let call = Call {
            places: &places,
            deadline,
        };
        let answers = join_all(
            questions
                .iter()
                .map(|(key, server)| self.answer(key, server.address, Mode::Authority, call)),
        );
        let mut by_key: BTreeMap<Key, Vec<(Server, Answer)>> = BTreeMap::new();
        for ((key, server), answer) in questions.iter().zip(answers.await) {
            let answers = by_key.entry((*key).clone()).or_default();
            answers.push(((*server).clone(), answer));
        }
        by_key
    }

    /// Asks the validating resolvers.
    pub async fn receiver(&self, keys: &BTreeSet<Key>) -> BTreeMap<Key, Answer> {
        let places = Semaphore::new(TO_RESOLVERS);
        let call = Call {
            places: &places,
            deadline: Instant::now() + self.patience * CALL,
        };
        let asked = keys
            .iter()
            .map(|key| async move { (key.clone(), self.received(key, call).await) });
        join_all(asked).await.into_iter().collect()
    }

    /// The zone of each name. Names that lie above others first, so that these find the way already known.
    async fn homes(
        &self,
        keys: &BTreeSet<Key>,
        deadline: Instant,
    ) -> BTreeMap<Name, Result<Arc<Cut>, Failure>> {
        let names: BTreeSet<&Name> = keys.iter().map(|key| &key.name).collect();
        let (below, above): (Vec<&Name>, Vec<&Name>) = names
            .iter()
            .partition(|name| name.ancestors().skip(1).any(|ancestor| names.contains(&ancestor)));
        let mut homes = BTreeMap::new();
        let places = &Semaphore::new(WALKS);
        for group in [above, below] {
            let found = group.into_iter().map(|name| async move {
                let walk = async {
                    let _place = places.acquire().await;
                    self.delegations.servers(name).await
                };
                let found = timeout_at(deadline, walk).await;
                (name.clone(), found.unwrap_or(Err(Failure::Timeout)))
            });
            homes.extend(join_all(found).await);
        }
        homes
    }

    async fn instead_of_direct(&self, keys: &BTreeSet<Key>, deadline: Instant) -> Direct {
        let mut direct = Direct::default();
        let Ok(name) = Name::parse("resolver") else {
            return direct;
        };
        if self.resolvers.is_empty() {
            let unreachable = keys.iter().map(|key| (key.name.clone(), Failure::NotAsked));
            direct.unreachable = unreachable.collect();
            return direct;
        }
        let places = Semaphore::new(TO_RESOLVERS);
        let call = Call {
            places: &places,
            deadline,
        };
        let asked = keys.iter().map(|key| async {
            let answers = self
                .resolvers
                .iter()
                .map(|resolver| self.answer(key, *resolver, Mode::Resolver, call));
            (key.clone(), join_all(answers).await)
        });
        for (key, answers) in join_all(asked).await {
            let servers = self.resolvers.iter().map(|address| Server {
                name: name.clone(),
                address: *address,
            });
            direct.answers.insert(key, servers.zip(answers).collect());
        }
        direct
    }

    /// The first answer of a resolver that says something; else that the data is bogus, if one resolver finds so; else
    /// the last failure.
    async fn received(&self, key: &Key, call: Call<'_>) -> Answer {
        let mut failure = Failure::NotAsked;
        for resolver in &self.resolvers {
            match self.answer(key, *resolver, Mode::Resolver, call).await {
                Answer::Failed(Failure::ServFail) => {
                    let unchecked = self.answer(key, *resolver, Mode::Unchecked, call).await;
                    if matches!(unchecked, Answer::Failed(_)) {
                        failure = failure.or_rather(Failure::ServFail);
                        continue;
                    }
                    // It may have come to an answer in between: only who refuses twice has found fault with the signatures.
                    match self.answer(key, *resolver, Mode::Resolver, call).await {
                        Answer::Failed(Failure::ServFail) => failure = Failure::Bogus,
                        Answer::Failed(other) => failure = failure.or_rather(other),
                        answer => return answer,
                    }
                }
                Answer::Failed(other) => failure = failure.or_rather(other),
                answer => return answer,
            }
        }
        Answer::Failed(failure)
    }

    async fn answer(&self, key: &Key, server: IpAddr, mode: Mode, call: Call<'_>) -> Answer {
        let question = Question::new(&key.name, key.record_type, mode);
        let asked = async {
            let _place = call.places.acquire().await;
            self.budget.ask(server, &question).await
        };
        match timeout_at(call.deadline, asked).await {
            Ok(Ok(reply)) => answer::read(&reply, key, mode),
            Ok(Err(failure)) => Answer::Failed(failure),
            Err(_) => Answer::Failed(Failure::NotAsked),
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::ResponseCode;

    use super::super::fake::{Fake, World, name, record, reply_to};
    use super::*;
    use crate::record::{RecordType, Value, Values};

    const PATIENCE: Duration = Duration::from_millis(700);

    fn keys(list: &[(&str, RecordType)]) -> BTreeSet<Key> {
        list.iter().map(|(n, t)| Key::new(name(n), *t)).collect()
    }

    fn looker(port: u16, change: impl FnOnce(&mut LookerConfig)) -> Looker {
        let mut config = LookerConfig {
            root_hints: vec!["127.0.0.10".parse().unwrap()],
            query_timeout: PATIENCE,
            port,
            ..LookerConfig::default()
        };
        change(&mut config);
        Looker::new(config)
    }

    async fn resolver(
        handle: impl Fn(bool) -> (ResponseCode, Option<&'static str>) + Send + Sync + 'static,
    ) -> Fake {
        Fake::start(move |query, _| {
            let (code, line) = handle(query.metadata.checking_disabled);
            let mut reply = reply_to(query);
            reply.metadata.authoritative = false;
            reply.metadata.response_code = code;
            reply.answers = line.into_iter().map(record).collect();
            vec![reply.to_vec().unwrap()]
        })
        .await
    }

    async fn received(fakes: &[&Fake]) -> Answer {
        let looker = looker(fakes[0].address().port(), |config| {
            config.resolvers = fakes.iter().map(|fake| fake.address().ip()).collect();
        });
        let asked = keys(&[("a.test", RecordType::A)]);
        looker.receiver(&asked).await.into_values().next().unwrap()
    }

    #[tokio::test]
    async fn a_resolver_that_failed_once_has_found_no_fault_with_signatures() {
        let asked = std::sync::atomic::AtomicUsize::new(0);
        let flaky = resolver(move |unchecked| {
            let first = !unchecked && asked.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0;
            if first {
                (ResponseCode::ServFail, None)
            } else {
                (ResponseCode::NoError, Some("a.test 60 A 192.0.2.1"))
            }
        })
        .await;
        assert!(matches!(received(&[&flaky]).await, Answer::Records { .. }));
    }

    #[tokio::test]
    async fn every_server_is_heard_and_each_keeps_its_own_answer() {
        let registry = "test 300 NS ns.test|example.test 300 NS ns1.example.test|example.test 300 NS ns2.example.test|\
            example.test 300 NS ns3.example.test|example.test 300 NS ns4.example.test|ns1.example.test 300 A 127.0.0.12|\
            ns2.example.test 300 A 127.0.0.13|ns3.example.test 300 A 127.0.0.14|ns4.example.test 300 A 127.0.0.15";
        let new = "example.test 300 TXT v=spf1 -all|www.example.test 300 A 192.0.2.1";
        let old = "example.test 300 TXT v=spf1 ?all|www.example.test 300 A 192.0.2.1";
        let world = World::start(&[
            (
                "127.0.0.10",
                &[(".", "test 300 NS ns.test|ns.test 300 A 127.0.0.11")],
            ),
            ("127.0.0.11", &[("test", registry)]),
            ("127.0.0.12", &[("example.test", new)]),
            ("127.0.0.13", &[("example.test", old)]),
            ("127.0.0.14", &[("other.test", "other.test 300 A 192.0.2.1")]),
        ])
        .await;
        let looker = looker(world.port, |_| ());
        let asked = keys(&[
            ("example.test", RecordType::Txt),
            ("none.example.test", RecordType::Txt),
            ("www.example.test", RecordType::Mx),
            ("no.such.tld", RecordType::A),
        ]);
        let direct = looker.direct(&asked).await;
        let of = |owner, record_type| -> Vec<Answer> {
            let answers = &direct.answers[&Key::new(name(owner), record_type)];
            answers.iter().map(|(_, answer)| answer.clone()).collect()
        };
        let text = |text: &str| Answer::Records {
            values: Values::from([Value::Txt(text.to_owned())]),
            aliases: vec![],
            ttl: 300,
        };
        let (refused, timeout) = (Answer::Failed(Failure::Refused), Answer::Failed(Failure::Timeout));
        assert_eq!(
            of("example.test", RecordType::Txt),
            [text("v=spf1 -all"), text("v=spf1 ?all"), refused, timeout]
        );
        let nothing = Answer::NxDomain { negative_ttl: 60 };
        assert_eq!(
            of("none.example.test", RecordType::Txt)[..2],
            [nothing.clone(), nothing.clone()]
        );
        let no_data = Answer::NoData { negative_ttl: 60 };
        assert_eq!(of("www.example.test", RecordType::Mx)[0], no_data);
        // The root itself denies a top-level domain that does not exist.
        assert_eq!(of("no.such.tld", RecordType::A), [nothing]);
        assert!(direct.unreachable.is_empty());
    }

    #[tokio::test]
    async fn the_zone_above_says_who_serves_a_zone_and_others_can_be_asked_all_the_same() {
        let glue = "ns1.test 300 A 127.0.0.12|ns2.test 300 A 127.0.0.13";
        let registry = |server: &str, ttl: u32| {
            format!(
                "test 300 NS a.test|test 300 NS b.test|a.test 300 A 127.0.0.11|b.test 300 A 127.0.0.14|{glue}|\
                example.test {ttl} NS {server}"
            )
        };
        let (before, after) = (registry("ns1.test", 900), registry("ns2.test", 300));
        let (old, new) = ("example.test 300 A 192.0.2.1", "example.test 300 A 192.0.2.2");
        let world = World::start(&[
            (
                "127.0.0.10",
                &[(
                    ".",
                    "test 300 NS a.test|test 300 NS b.test|a.test 300 A 127.0.0.11|b.test 300 A 127.0.0.14",
                )],
            ),
            ("127.0.0.11", &[("test", &before)]),
            ("127.0.0.14", &[("test", &after)]),
            ("127.0.0.12", &[("example.test", old)]),
            ("127.0.0.13", &[("example.test", new)]),
        ])
        .await;
        let asks = looker(world.port, |_| ());
        let found = asks.delegation(&name("example.test")).await.unwrap();
        // The two servers of the zone above do not agree yet.
        assert_eq!(
            found.servers,
            BTreeSet::from([name("ns1.test"), name("ns2.test")])
        );
        assert_eq!(found.ttl, 900);

        let servers = asks
            .servers(&BTreeSet::from([name("ns2.test")]), &BTreeSet::new())
            .await;
        let asked = keys(&[("example.test", RecordType::A)]);
        let direct = asks.at(&servers, &asked).await;
        let values: Vec<_> = direct
            .answers
            .values()
            .flatten()
            .map(|(_, a)| a.values().unwrap())
            .collect();
        assert_eq!(values, [Values::from([Value::A("192.0.2.2".parse().unwrap())])]);

        let given = looker(world.port, |config| {
            config.zone_servers =
                BTreeMap::from([(name("example.test"), vec!["127.0.0.12".parse().unwrap()])]);
        });
        assert_eq!(
            given.delegation(&name("example.test")).await,
            Err(Failure::NotAsked)
        );
        let only = looker(world.port, |config| config.resolver_only = true);
        assert_eq!(
            only.delegation(&name("example.test")).await,
            Err(Failure::NotAsked)
        );
    }

    #[tokio::test]
    async fn names_without_reachable_servers_are_told_apart() {
        let probe = Fake::start(|_, _| vec![]).await;
        let looker = looker(probe.address().port(), |_| ());
        let direct = looker.direct(&keys(&[("a.test", RecordType::A)])).await;
        assert_eq!(
            direct.unreachable,
            BTreeMap::from([(name("a.test"), Failure::Timeout)])
        );
        assert!(direct.answers.is_empty());
    }

    #[tokio::test]
    async fn resolver_only_takes_the_resolvers_for_the_servers() {
        let fake = resolver(|_| (ResponseCode::NoError, Some("a.test 300 A 192.0.2.1"))).await;
        let asked = keys(&[("a.test", RecordType::A)]);
        let port = fake.address().port();
        let only = |resolvers: Vec<IpAddr>| {
            looker(port, |config| {
                config.resolver_only = true;
                config.resolvers = resolvers;
            })
        };
        let direct = only(vec![fake.address().ip()]).direct(&asked).await;
        let (server, answer) = &direct.answers.values().next().unwrap()[0];
        assert_eq!(server.name, name("resolver"));
        assert!(matches!(answer, Answer::Records { .. }));
        let direct = only(vec![]).direct(&asked).await;
        assert_eq!(direct.unreachable.len(), 1);
    }

    #[tokio::test]
    async fn failures_of_resolvers_stay_apart_and_bogus_is_found() {
        let record = "a.test 300 A 192.0.2.1";
        let good = resolver(move |_| (ResponseCode::NoError, Some(record))).await;
        assert!(matches!(received(&[&good]).await, Answer::Records { .. }));
        let bogus = resolver(move |unchecked| {
            if unchecked {
                (ResponseCode::NoError, Some(record))
            } else {
                (ResponseCode::ServFail, None)
            }
        })
        .await;
        assert_eq!(received(&[&bogus]).await, Answer::Failed(Failure::Bogus));
        for (code, wanted) in [
            (ResponseCode::ServFail, Answer::Failed(Failure::ServFail)),
            (ResponseCode::Refused, Answer::Failed(Failure::Refused)),
            (ResponseCode::NXDomain, Answer::NxDomain { negative_ttl: 0 }),
            (ResponseCode::NoError, Answer::NoData { negative_ttl: 0 }),
        ] {
            let fake = resolver(move |_| (code, None)).await;
            assert_eq!(received(&[&fake]).await, wanted);
        }
        let silent = Fake::start(|_, _| vec![]).await;
        assert_eq!(received(&[&silent]).await, Answer::Failed(Failure::Timeout));
    }

    #[tokio::test]
    async fn the_next_resolver_is_asked_when_the_first_fails() {
        let fake = resolver(|_| (ResponseCode::NoError, Some("a.test 300 A 192.0.2.1"))).await;
        let looker = looker(fake.address().port(), |config| {
            config.resolvers = vec!["127.0.0.77".parse().unwrap(), fake.address().ip()];
        });
        let answers = looker.receiver(&keys(&[("a.test", RecordType::A)])).await;
        assert!(
            answers
                .values()
                .all(|answer| matches!(answer, Answer::Records { .. }))
        );
    }

    #[test]
    fn looking_may_move_between_threads() {
        fn movable<T: Send>(_: &T) {}
        let (looker, asked) = (Looker::new(LookerConfig::default()), BTreeSet::new());
        movable(&looker.direct(&asked));
        movable(&looker.receiver(&asked));
    }

    #[tokio::test]
    async fn without_resolvers_nothing_is_asked() {
        let asked = keys(&[("a.test", RecordType::A)]);
        let answers = Looker::new(LookerConfig::default()).receiver(&asked).await;
        let answer = answers.into_values().next();
        assert_eq!(answer, Some(Answer::Failed(Failure::NotAsked)));
    }
}
