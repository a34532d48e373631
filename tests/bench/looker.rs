//! How fast DNS is asked and a domain is judged, and what its evidence weighs: against a Knot of its own on loopback.
//!
//! `cargo bench --bench looker`. Figures depend on the machine; those of one run can be compared with each other.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints figures, reads clocks, and stops when it cannot go on"
)]

#[path = "../contract/process.rs"]
#[expect(
    dead_code,
    clippy::panic,
    unreachable_pub,
    reason = "it is written for the contract suite, which uses all of it"
)]
mod process;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::IpAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use maildomain::api::MailDomain;
use maildomain::controller::look::{Seen, look};
use maildomain::intent::{self, Intent};
use maildomain::lookup::looker::{Looker, LookerConfig};
use maildomain::lookup::{Answer, Server as NameServer};
use maildomain::name::Name;
use maildomain::plan::group;
use maildomain::protocol::{self, Declaration, PolicyGate, SigningKey};
use maildomain::record::{Key, RecordType};
use process::{Scratch, Server, free_port};

const LOOPBACK: &str = "127.0.0.1";
const QUESTIONS: usize = 100_000;
const CHECKS: usize = 300;
const DOMAINS: usize = 10_000;
/// A zone with so many servers that never answer.
const SILENT: &str = "silent.example";
const SILENT_SERVERS: usize = 32;

/// One thread asks and judges; the server has the other core.
fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let port = free_port();
    let zones = zones();
    // In this order: the server ends before its directory goes.
    let (_server, _scratch) = knot(port, &zones);
    let (silent, _sockets) = silent_servers(port);
    let looker = Looker::new(LookerConfig {
        resolvers: vec![LOOPBACK.parse().unwrap()],
        zone_servers: zones
            .keys()
            .map(|zone| {
                (
                    Name::parse(zone).unwrap(),
                    vec![LOOPBACK.parse::<IpAddr>().unwrap()],
                )
            })
            .chain([(Name::parse(SILENT).unwrap(), silent.clone())])
            .collect(),
        port,
        ..LookerConfig::default()
    });
    runtime.block_on(questions(&looker));
    let (intent, keys) = declared();
    let declaration = Declaration {
        intent: &intent,
        keys: &keys,
        policy_gate: PolicyGate::Released,
        private_zone: false,
    };
    let seen = runtime.block_on(checks(&looker, &declaration));
    runtime.block_on(beside_silence(&looker, &declaration));
    evidence(&seen);
}

/// Questions for each second of this process's own time, as many under way as the looker allows.
async fn questions(looker: &Looker) {
    let server = NameServer {
        name: Name::parse("ns1.dns.example").unwrap(),
        address: LOOPBACK.parse().unwrap(),
    };
    let keys: BTreeSet<Key> = (0..1_000)
        .map(|n| {
            Key::new(
                Name::parse(&format!("n{n}.corp.example")).unwrap(),
                RecordType::Txt,
            )
        })
        .collect();
    let servers = [server];
    let _ = looker.at(&servers, &keys).await;
    let (start, spent) = (Instant::now(), cpu_time());
    let mut asked = 0;
    while asked < QUESTIONS {
        let direct = looker.at(&servers, &keys).await;
        let answered = direct.answers.values().flatten();
        let answered = answered.filter(|(_, answer)| !matches!(answer, Answer::Failed(_)));
        assert_eq!(answered.count(), keys.len(), "every question has an answer");
        asked += keys.len();
    }
    let own = cpu_time().saturating_sub(spent);
    println!(
        "questions: {asked} in {:.2} s; {:.0} a second, {:.0} for each second of one core",
        start.elapsed().as_secs_f64(),
        asked as f64 / start.elapsed().as_secs_f64(),
        asked as f64 / own.as_secs_f64()
    );
}

/// A whole look at the good domain of tests/checks, delegations known.
async fn checks(looker: &Looker, declaration: &Declaration<'_>) -> Seen {
    let groups = group(protocol::desired(declaration));
    let seen = look(looker, declaration, &groups, BTreeMap::new()).await;
    assert!(seen.findings.is_empty(), "{:#?}", seen.findings);
    let mut times: Vec<Duration> = Vec::new();
    for _ in 0..CHECKS {
        let start = Instant::now();
        let seen = look(looker, declaration, &groups, BTreeMap::new()).await;
        assert!(seen.findings.is_empty());
        times.push(start.elapsed());
    }
    times.sort();
    let at = |part: usize| times.get(CHECKS * part / 100).unwrap().as_secs_f64() * 1_000.0;
    println!(
        "checks: a domain of {} records, {} answers: median {:.1} ms, of a hundred the slowest {:.1} ms",
        groups.len(),
        seen.known.len() + seen.direct.answers.values().map(Vec::len).sum::<usize>(),
        at(50),
        at(99)
    );
    seen
}

/// The same while a domain is looked at whose servers are all silent: how many times longer it takes.
async fn beside_silence(looker: &Looker, declaration: &Declaration<'_>) {
    let groups = group(protocol::desired(declaration));
    let names: BTreeSet<Key> = (0..40)
        .map(|n| Key::new(Name::parse(&format!("n{n}.{SILENT}")).unwrap(), RecordType::Txt))
        .collect();
    let timed = async || {
        let start = Instant::now();
        let seen = look(looker, declaration, &groups, BTreeMap::new()).await;
        assert!(seen.findings.is_empty());
        start.elapsed().as_secs_f64()
    };
    let median = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        *times.get(times.len() / 2).unwrap()
    };
    let mut alone = Vec::new();
    for _ in 0..50 {
        alone.push(timed().await);
    }
    let mut beside = Vec::new();
    let hanging = looker.direct(&names);
    let looks = async {
        for _ in 0..50 {
            beside.push(timed().await);
        }
    };
    tokio::join!(hanging, looks);
    println!(
        "beside a domain with {SILENT_SERVERS} silent servers: {:.2} times what it takes alone (medians of 50)",
        median(&mut beside) / median(&mut alone)
    );
}

/// Addresses where somebody listens and never answers.
fn silent_servers(port: u16) -> (Vec<IpAddr>, Vec<std::net::UdpSocket>) {
    let addresses: Vec<IpAddr> = (1..=SILENT_SERVERS)
        .map(|n| format!("127.0.2.{n}").parse().unwrap())
        .collect();
    let sockets = addresses
        .iter()
        .map(|address| std::net::UdpSocket::bind((*address, port)).unwrap())
        .collect();
    (addresses, sockets)
}

/// What is known of so many domains at once. The operator holds one domain's while it looks at it.
fn evidence(seen: &Seen) {
    let before = resident();
    let all: Vec<_> = (0..DOMAINS)
        .map(|_| {
            (
                seen.verdicts.clone(),
                seen.direct.clone(),
                seen.findings.clone(),
                seen.known.clone(),
            )
        })
        .collect();
    let after = resident();
    println!(
        "evidence: {DOMAINS} domains take {} MiB, {} KiB each",
        (after - before) / 1_024,
        (after - before) / u64::try_from(all.len()).unwrap()
    );
}

fn declared() -> (Intent, Vec<SigningKey>) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checks/good/domain.yaml");
    let domain: MailDomain = serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let intent = intent::parse(&domain.spec).unwrap();
    let keys = SigningKey::declared(&intent);
    (intent, keys)
}

/// The zones of tests/checks/good as files of a name server, and a thousand names more.
fn zones() -> BTreeMap<String, String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checks/good/zone.txt");
    let text = std::fs::read_to_string(path).unwrap();
    let lines = || text.lines().filter(|line| !line.starts_with(';'));
    let mut zones: BTreeMap<String, String> = BTreeMap::new();
    // In one zone with its vendors, so that the name server follows aliases as a resolver does.
    let apexes = lines().filter_map(|line| line.strip_suffix(" SOA x"));
    for apex in apexes.filter(|apex| *apex != "corp.example") {
        let soa = format!(
            "{apex}. 3600 SOA ns1.dns.example. hostmaster.dns.example. 1 7200 3600 1209600 300\n{apex}. 3600 NS ns1.dns.example.\n"
        );
        zones.insert(apex.to_owned(), soa);
    }
    for line in lines().filter(|line| line.contains(" 3600 ")) {
        let (owner, rest) = line.split_once(' ').unwrap();
        let zone = zones
            .iter_mut()
            .filter(|(apex, _)| owner == *apex || owner.ends_with(&format!(".{apex}")))
            .max_by_key(|(apex, _)| apex.len());
        writeln!(zone.unwrap().1, "{owner}. {rest}").unwrap();
    }
    let corp = zones.get_mut("example").unwrap();
    for n in 0..1_000 {
        writeln!(corp, "n{n}.corp.example. 3600 TXT \"v=spf1 ip4:198.41.0.4 -all\"").unwrap();
    }
    zones
}

fn knot(port: u16, zones: &BTreeMap<String, String>) -> (Server, Scratch) {
    let scratch = Scratch::new("bench");
    let mut text = format!(
        "server:\n    rundir: \"DIR\"\n    listen: {LOOPBACK}@{port}\n    udp-workers: 1\ncontrol:\n    listen: \"DIR/knot.sock\"\nlog:\n  - target: stderr\n    any: error\n\
         database:\n    storage: \"DIR/db\"\n    journal-db-max-size: 10M\n    kasp-db-max-size: 10M\n    timer-db-max-size: 10M\nzone:\n"
    );
    for (zone, records) in zones {
        scratch.write(&format!("{zone}.zone"), records);
        writeln!(text, "  - domain: {zone}\n    file: \"DIR/{zone}.zone\"").unwrap();
    }
    std::fs::create_dir(scratch.path("db")).unwrap();
    scratch.write("knot.conf", &text);
    let conf = scratch.path("knot.conf");
    let mut server = Server::start(&scratch, "knot", &["knotd", "-c", conf.to_str().unwrap()]);
    server.await_ready(|| std::net::TcpStream::connect((LOOPBACK, port)).is_ok());
    (server, scratch)
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<u64> = stat
        .rsplit_once(") ")
        .unwrap()
        .1
        .split(' ')
        .map(|field| field.parse().unwrap_or(0))
        .collect();
    // Fields 14 and 15, in ticks of a hundredth of a second; the first two are cut off.
    Duration::from_millis((fields[11] + fields[12]) * 10)
}

/// Resident memory in KiB.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
