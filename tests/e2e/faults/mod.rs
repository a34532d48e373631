//! Random schedules of faults against a running operator: servers down or stale, a zone bogus, records altered or removed, a
//! resolver that lies or is down. Judges from outside say what a receiver makes of mail that is sent as declared; what the object
//! says must agree with them, but for the time until the operator has looked again:
//!
//! * `Ready=True` never stands while a judge does not pass, and `Ready=False` never while all pass;
//! * while no receiver gets an answer the verdict before may be kept as `Stale`, and nothing new is claimed;
//! * when everything is right again, so is the object.
//!
//! All domains share one operator, and go through their schedules at the same time.
//!
//! ```text
//! MAILDOMAIN_CAMPAIGN_SEED    the seed, printed by each run
//! MAILDOMAIN_CAMPAIGN_FAULTS  how many schedules (6)
//! MAILDOMAIN_CAMPAIGN_STEPS   how many steps each has (2; 4 in full)
//! ```

mod board;
mod domain;
mod jury;
mod resolver;
mod schedule;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use board::Board;
use domain::{Domain, Scene, Told};
use jury::Receiver;
use resolver::Resolver;
use schedule::{SELECTOR, Step, found_before, schedule};

use crate::dice::{Dice, setting};
use crate::harness::{Site, SiteOptions, add_zone, apply, eventually, run, var};

/// Between two looks: with so many domains one operator has enough to do.
fn interval(domains: usize) -> Duration {
    Duration::from_secs(if domains > 20 { 10 } else { 4 })
}

/// What looking takes on a busy machine, at most.
const LOOK: Duration = Duration::from_secs(30);
/// Threads that change the world.
const HANDS: usize = 4;

const DECLARED: &str = r#"  hosts:
    - {name: mail.ZONE, purpose: Mail, addresses: [203.0.113.4], reverse: Ignore}
  senders:
    - name: mta
      hosts: [mail.ZONE]
      dkim: {keys: [{name: rsa, publicKey: {selector: SELECTOR, algorithm: RSA, value: "KEY"}}]}
  dmarc: {policy: None, aggregateReports: ["mailto:report@ZONE"]}
"#;

/// The key that all of them sign with.
const KEY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/rsa.pem");

/// Its public half, as a declaration has it.
fn public_key() -> String {
    let pem = run("openssl", &["pkey", "-in", KEY, "-pubout"]);
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

/// Every second one only reports drift: what is damaged there stays so until somebody else mends it.
fn domain(site: &Site, number: usize, public: &str) -> Domain {
    let (object, zone) = (format!("mail{number}"), format!("{}-{number}.example", site.name));
    let servers = add_zone(&zone);
    let spec = DECLARED.replace("SELECTOR", SELECTOR).replace("KEY", public);
    let manifest = site.manifest_named(&object, &site.namespace, "Retain", &spec);
    let drift = if number.is_multiple_of(2) {
        "Repair"
    } else {
        "Report"
    };
    let manifest = manifest.replace("retireAfter: 0s", &format!("retireAfter: 0s, drift: {drift}"));
    Domain {
        manifest: manifest.replace(&site.zone, &zone),
        object,
        zone,
        servers,
    }
}

fn domains(site: &Site, count: usize, public: &str) -> Vec<Domain> {
    let made = Mutex::new(Vec::new());
    let next = Mutex::new(0..count);
    std::thread::scope(|scope| {
        for _ in 0..HANDS {
            scope.spawn(|| {
                while let Some(number) = { next.lock().expect("nobody panics here").next() } {
                    let domain = domain(site, number, public);
                    made.lock().expect("nobody panics here").push((number, domain));
                }
            });
        }
    });
    let mut made = made.into_inner().expect("nobody panicked");
    made.sort_by_key(|(number, _)| *number);
    made.into_iter().map(|(_, domain)| domain).collect()
}

fn provider(site: &Site, domains: &[Domain]) {
    let zones: Vec<&str> = domains.iter().map(|d| d.zone.as_str()).collect();
    apply(&format!(
        "apiVersion: maildomain.dev/v1alpha1\nkind: ClusterDNSProvider\nmetadata: {{name: {}}}\nspec:\n  zones: [{}]\n  \
         allow: [{{namespaceSelector: {{matchLabels: {{site: {}}}}}, domains: [\"*\"]}}]\n  callsPerSecond: 1000\n  \
         powerDNS: {{url: \"{}\", apiKeySecretRef: {{name: pdns, key: api-key}}}}\n",
        site.provider,
        zones.join(", "),
        site.name,
        var("PDNS_API")
    ));
}

fn site(interval: Duration) -> Site {
    Site::with(
        "faults",
        SiteOptions {
            leader_election: false,
            recheck: if interval > Duration::from_secs(4) {
                "10s"
            } else {
                "4s"
            },
            resolver: Some(resolver::ADDRESS),
            config: "staleAfter: 5s\nconcurrency: 32\n".to_owned(),
            log: "info",
            ..SiteOptions::default()
        },
    )
}

#[test]
fn ready_never_says_otherwise_than_the_judges() {
    let seed = setting("MAILDOMAIN_CAMPAIGN_SEED", 20_261_128);
    let number = |name, otherwise| usize::try_from(setting(name, otherwise)).expect("it fits");
    let count = number("MAILDOMAIN_CAMPAIGN_FAULTS", 6);
    let steps = number("MAILDOMAIN_CAMPAIGN_STEPS", 2);
    let began = Instant::now();
    let interval = interval(count);
    let resolver = Resolver::start();
    let site = site(interval);
    let domains = domains(&site, count, &public_key());
    provider(&site, &domains);
    let _operator = site.operator();
    for domain in &domains {
        apply(&domain.manifest);
    }
    let scene = Scene {
        board: Board::of(&site.namespace),
        receiver: Receiver::start(KEY, SELECTOR),
        resolver,
        interval,
        window: interval * 2 + LOOK,
        hands: (0..HANDS).map(|_| Mutex::new(())).collect(),
    };
    for Domain { object, zone, .. } in &domains {
        let ready = || scene.board.now(object);
        eventually(&format!("{zone} is Ready"), ready, |ready| ready.status == "True");
    }
    let prepared = began.elapsed();

    let mut schedules: Vec<Vec<Step>> = (0..count)
        .map(|number| u64::try_from(number).expect("it fits"))
        .map(|number| schedule(&mut Dice::new(seed, 1000 + number), steps))
        .collect();
    // Domains of odd numbers only report drift.
    for (steps, before) in schedules.iter_mut().skip(1).step_by(2).zip(found_before()) {
        if let Some(first) = steps.first_mut() {
            *first = before;
        }
    }
    let told: Vec<Told> = std::thread::scope(|scope| {
        let scene = &scene;
        let running: Vec<_> = domains
            .iter()
            .zip(&schedules)
            .map(|(domain, steps)| scope.spawn(move || domain.run(scene, steps)))
            .collect();
        running
            .into_iter()
            .map(|thread| thread.join().expect("a schedule ends"))
            .collect()
    });
    let figures = figures(&schedules, &told);
    eprintln!(
        "faults: seed {seed}, {count} schedules, made ready in {} s, run in {} s\n{figures}  {} judgements",
        prepared.as_secs(),
        (began.elapsed().saturating_sub(prepared)).as_secs(),
        scene.receiver.judgements()
    );
    let violations: Vec<&String> = told.iter().flat_map(|told| &told.violations).collect();
    assert!(violations.is_empty(), "seed {seed}:\n{violations:#?}");
}

fn figures(schedules: &[Vec<Step>], told: &[Told]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for fault in schedules.iter().flatten().flatten() {
        *kinds.entry(fault.kind()).or_default() += 1;
    }
    let mut settled: BTreeMap<(&str, String), usize> = BTreeMap::new();
    for (pair, count) in told.iter().flat_map(|told| &told.settled) {
        *settled.entry(pair.clone()).or_default() += count;
    }
    let steps: usize = schedules.iter().map(Vec::len).sum();
    let compared: usize = told.iter().map(|told| told.compared).sum();
    let violations: usize = told.iter().map(|told| told.violations.len()).sum();
    let mut text = format!(
        "  {steps} steps, faults by kind {kinds:?}\n  {compared} states compared, {violations} violations\n"
    );
    text += "  judges and Ready, settled:";
    for ((judged, ready), count) in settled {
        text += &format!(" {judged} and {ready} {count},");
    }
    let noticed = told.iter().flat_map(|told| told.noticed.clone()).collect();
    let recovered = told.iter().flat_map(|told| told.recovered.clone()).collect();
    text + &format!(
        "\n  agreed after a fault {}, after its end {}\n",
        spread(noticed),
        spread(recovered)
    )
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |part: usize| {
        times
            .get(times.len().saturating_sub(1) * part / 100)
            .copied()
            .unwrap_or_default()
    };
    format!(
        "in {:.1} s (half), {:.1} s (95 %), {:.1} s (all)",
        at(50).as_secs_f64(),
        at(95).as_secs_f64(),
        at(100).as_secs_f64()
    )
}
