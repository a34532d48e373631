//! A name server that does everything wrong. Nothing panics, every call ends within its bound, no record is believed that was not
//! said, and other domains are looked at meanwhile.

mod server;
mod tricks;

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use server::{Hostile, Say, Trick};
use tricks::{Case, INVENTED};

use super::fake::{World, name};
use super::looker::{Looker, LookerConfig};
use super::{Answer, Direct};
use crate::record::{Key, RecordType};

const PATIENCE: Duration = Duration::from_millis(600);
/// What a call may take: its bound, five times the patience, and what a busy machine adds.
const BOUND: Duration = Duration::from_secs(5);
const EVIL: &str = "127.0.0.12";

/// The root, a registry, and a hostile server of evil.test.
struct Scene {
    world: World,
    _hostile: Hostile,
}

async fn scene(trick: &Trick) -> Scene {
    let root = "test 300 NS ns.test|ns.test 300 A 127.0.0.11";
    let registry = "test 300 NS ns.test|evil.test 300 NS ns.evil.test|ns.evil.test 300 A 127.0.0.12|\
        good.test 300 NS ns.good.test|ns.good.test 300 A 127.0.0.13";
    let good = "good.test 300 NS ns.good.test|good.test 300 TXT right";
    loop {
        let world = World::start(&[
            ("127.0.0.10", &[(".", root)]),
            ("127.0.0.11", &[("test", registry)]),
            ("127.0.0.13", &[("good.test", good)]),
        ])
        .await;
        let address = SocketAddr::from((EVIL.parse::<IpAddr>().unwrap(), world.port));
        if let Ok(hostile) = Hostile::start_at(address, Arc::clone(trick)).await {
            return Scene {
                world,
                _hostile: hostile,
            };
        }
    }
}

fn looker(port: u16) -> Looker {
    Looker::new(LookerConfig {
        root_hints: vec!["127.0.0.10".parse().unwrap()],
        resolvers: vec![EVIL.parse().unwrap()],
        query_timeout: PATIENCE,
        port,
        ..LookerConfig::default()
    })
}

fn key(owner: &str) -> Key {
    Key::new(name(owner), RecordType::Txt)
}

fn shown(answer: &Answer) -> String {
    match answer {
        Answer::Records { values, .. } if values.len() == 1 => "1 record".to_owned(),
        Answer::Records { values, .. } => format!("{} records", values.len()),
        Answer::NoData { .. } => "no data".to_owned(),
        Answer::NxDomain { .. } => "no such name".to_owned(),
        Answer::Failed(failure) => failure.to_string(),
    }
}

/// What the servers of a name said, in words; or why there are none.
fn told(direct: &Direct, key: &Key) -> String {
    let said = direct.answers.get(key).and_then(|answers| answers.first());
    let failure = || direct.unreachable.get(&key.name).map(ToString::to_string);
    said.map(|(_, answer)| shown(answer))
        .or_else(failure)
        .unwrap_or_default()
}

/// What a trick comes to otherwise than it should.
async fn wrong(number: usize, case: Case) -> Vec<String> {
    let scene = scene(&case.trick).await;
    let looker = looker(scene.world.port);
    let asked: BTreeSet<Key> = [key("evil.test"), key("a.evil.test"), key("a.b.c.d.e.evil.test")].into();
    let began = Instant::now();
    let direct = looker.direct(&asked).await;
    let first = began.elapsed();
    let began = Instant::now();
    let received = looker.receiver(&asked).await;
    let took = [first, began.elapsed()];
    let mut wrong = Vec::new();
    for key in &asked {
        for (as_what, said, expected) in [
            ("server", told(&direct, key), case.expected),
            ("resolver", shown(&received[key]), case.as_resolver),
        ] {
            if said != expected {
                let name = &key.name;
                wrong.push(format!("{number} {}, as {as_what} of {name}: {said}", case.name));
            }
        }
    }
    let believed = format!("{direct:?} {received:?}");
    if believed.contains(INVENTED) {
        wrong.push(format!("{number} {}: {believed}", case.name));
    }
    if took.iter().any(|time| *time > BOUND) {
        wrong.push(format!("{number} {}: took {took:?}", case.name));
    }
    wrong
}

#[tokio::test]
async fn each_trick_comes_to_what_it_is_worth() {
    let cases = tricks::all().into_iter().enumerate();
    let all = cases.map(|(number, case)| wrong(number, case));
    let wrong: Vec<String> = join_all(all).await.into_iter().flatten().collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_next_domain_is_looked_at_while_hostile_servers_hang() {
    let hang: Trick = Arc::new(|asked| {
        if asked.tcp {
            return Say::Nothing;
        }
        let reply = super::fake::reply_to(&asked.query).truncate();
        Say::All(vec![reply.to_vec().unwrap()])
    });
    let scene = scene(&hang).await;
    let looker = Arc::new(looker(scene.world.port));
    let hostile: BTreeSet<Key> = (0..100)
        .map(|number| key(&format!("n{number}.evil.test")))
        .collect();
    let hanging = Arc::clone(&looker);
    let hanging = tokio::spawn(async move { hanging.direct(&hostile).await });
    for _ in 0..3 {
        let right = key("good.test");
        let direct = looker.direct(&[right.clone()].into()).await;
        assert_eq!(told(&direct, &right), "1 record");
        assert!(!hanging.is_finished(), "it was looked at meanwhile");
    }
    let direct = hanging.await.unwrap();
    assert!(
        direct
            .answers
            .values()
            .flatten()
            .all(|(_, answer)| matches!(answer, Answer::Failed(_)))
    );
}
