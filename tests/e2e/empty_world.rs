//! A provider that answers wrongly, again and again: with nothing, with half, with another zone, with an error, with
//! noise, or not at all. Meanwhile the operator dies and comes back, its ledger is put back to an older one, and name
//! servers fall silent. Unknown is not absent: no record goes, and none loses a value, whoever wrote it.
//!
//! Some domains stand behind a [`ProviderProxy`]. Each pass over one of them begins with reading; the dice say whether
//! that read is answered wrongly, how, and whether the read that comes right before a write is wrong in the same way.
//! Each wrong read counts as one injection. The proxy sees every write.
//!
//! ```text
//! MAILDOMAIN_CAMPAIGN_SEED        the seed, printed by each run
//! MAILDOMAIN_CAMPAIGN_INJECTIONS  how many (200)
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::Value as Json;

use crate::dice::{Dice, setting};
use crate::harness::{
    Act, Answer, Call, ProviderProxy, Records, Reply, Site, SiteOptions, USUAL, add_zone, apply, dump,
    eventually, kubectl, pipe, put, world,
};

const DOMAINS: usize = 6;
/// The operator dies after so many injections.
const LIFE: usize = 20;

/// How a read is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    Empty,
    Half,
    NoZone,
    Unauthorized,
    Forbidden,
    Broken,
    Busy,
    Silent,
    Reset,
    Truncated,
    Html,
    OtherZone,
}

const FAULTS: [Fault; 12] = [
    Fault::Empty,
    Fault::Half,
    Fault::NoZone,
    Fault::Unauthorized,
    Fault::Forbidden,
    Fault::Broken,
    Fault::Busy,
    Fault::Silent,
    Fault::Reset,
    Fault::Truncated,
    Fault::Html,
    Fault::OtherZone,
];

/// How the reads of one pass over one domain are answered.
#[derive(Debug, Default)]
struct Spell {
    fault: Option<Fault>,
    /// Whether the read right before a write is wrong as well.
    deep: bool,
    /// The names that were asked for: one that comes again belongs to the next pass.
    names: BTreeSet<String>,
}

struct Injector {
    dice: Dice,
    wanted: usize,
    injected: BTreeMap<Fault, usize>,
    spells: BTreeMap<String, Spell>,
}

impl Injector {
    fn count(&self) -> usize {
        self.injected.values().sum()
    }

    fn act(&mut self, call: &Call) -> Act {
        if call.writes() || call.path.contains("rrsets=false") {
            return Act::Ask;
        }
        let (zone, left) = (call.zone().to_owned(), self.count() < self.wanted);
        let Some(spell) = self.spells.get_mut(&zone) else {
            return Act::Ask;
        };
        if let Some(name) = call.name()
            && !spell.names.insert(name.to_owned())
        {
            let fault = self.dice.of(&FAULTS).copied();
            *spell = Spell {
                fault: fault.filter(|_| left && self.dice.percent(80)),
                // The same half twice is a true answer for all that anybody can see.
                deep: self.dice.percent(50) && fault != Some(Fault::Half),
                names: [name.to_owned()].into(),
            };
            if let Some(fault) = spell.fault {
                *self.injected.entry(fault).or_default() += 1;
            }
        }
        match spell.fault {
            Some(fault) if call.name().is_some() || spell.deep => answer(fault, &zone, self.dice.below(4)),
            Some(_) | None => Act::Ask,
        }
    }
}

fn answer(fault: Fault, zone: &str, number: usize) -> Act {
    let status = |status| {
        Act::Reply(Reply::Whole(Answer::json(
            status,
            &serde_json::json!({"error": "no"}),
        )))
    };
    let zone = zone.to_owned();
    match fault {
        Fault::Empty => rrsets(|_, _| false),
        Fault::Half => rrsets(move |place, _| place % 2 == number % 2),
        Fault::NoZone => status(404),
        Fault::Unauthorized => status(401),
        Fault::Forbidden => status(403),
        Fault::Broken => status(500),
        Fault::Busy => status(503),
        Fault::Silent => Act::Reply(Reply::Silence),
        Fault::Reset => Act::Reply(Reply::Reset),
        Fault::Truncated => Act::AskThen(Box::new(|answer| {
            let half = answer.body.len() / 2;
            Reply::Cut(answer, half)
        })),
        Fault::Html => Act::Reply(Reply::Whole(Answer::html(200))),
        Fault::OtherZone => Act::AskThen(Box::new(move |answer| {
            let body = answer.body.replace(&zone, "other.example");
            Reply::Whole(Answer { body, ..answer })
        })),
    }
}

/// The true answer with some of its RRsets.
fn rrsets(keep: impl Fn(usize, &Json) -> bool + Send + 'static) -> Act {
    Act::AskThen(Box::new(move |answer| {
        let mut body: Json = serde_json::from_str(&answer.body).unwrap_or_default();
        let all = body["rrsets"].as_array().cloned().unwrap_or_default();
        let some = all
            .into_iter()
            .enumerate()
            .filter(|(place, rrset)| keep(*place, rrset));
        body["rrsets"] = some.map(|(_, rrset)| rrset).collect();
        Reply::Whole(Answer::json(answer.status, &body))
    }))
}

/// A domain with what somebody else has at its top; every second one refuses what is not its mail.
struct Domain {
    object: String,
    zone: String,
    manifest: String,
    servers: [String; 2],
}

fn domain(site: &Site, number: usize) -> Domain {
    let (object, zone) = (format!("mail{number}"), format!("{}-{number}.example", site.name));
    let servers = add_zone(&zone);
    put(&zone, &zone, "TXT", &["\"token=1\"", "\"token=2\""]);
    let spec = if number.is_multiple_of(2) {
        USUAL.to_owned()
    } else {
        USUAL.replace("policy: None", "policy: Reject")
    };
    let spec = spec.replace(", {name: ed, generate: {algorithm: Ed25519}}", "");
    let manifest = site.manifest_named(&object, &site.namespace, "Retain", &spec);
    Domain {
        manifest: manifest.replace(&site.zone, &zone),
        object,
        zone,
        servers,
    }
}

/// The provider object with all zones.
fn provider(site: &Site, domains: &[Domain], proxy: &ProviderProxy) {
    let zones: Vec<&str> = domains.iter().map(|d| d.zone.as_str()).collect();
    let zones = zones.join(", ");
    apply(&format!(
        "apiVersion: maildomain.dev/v1alpha1\nkind: ClusterDNSProvider\nmetadata: {{name: {}}}\nspec:\n  zones: [{zones}]\n  \
         allow: [{{namespaceSelector: {{matchLabels: {{site: {}}}}}, domains: [{zones}]}}]\n  \
         powerDNS: {{url: \"{}\", apiKeySecretRef: {{name: pdns, key: api-key}}}}\n",
        site.provider,
        site.name,
        proxy.url()
    ));
}

fn all_ready(site: &Site, domains: &[Domain]) {
    for Domain {
        object,
        zone,
        manifest,
        ..
    } in domains
    {
        for condition in ["Ready", "Published", "Verified"] {
            Site::wait_for_at(&site.namespace, object, condition, "True");
        }
        let policy = if manifest.contains("policy: Reject") {
            "p=reject"
        } else {
            "p=none"
        };
        let at_dmarc = || dump(zone).into_iter().find(|line| line.starts_with("_dmarc."));
        eventually("the policy is out", at_dmarc, |line| {
            line.as_ref().is_some_and(|line| line.contains(policy))
        });
    }
}

/// A RecordLedger as it is.
fn ledger(site: &Site, zone: &str) -> Json {
    let text = kubectl(&["-n", &site.system, "get", "recordledger", zone, "-o", "json"]);
    serde_json::from_str(&text).expect("kubectl prints JSON")
}

/// Puts an older one back.
fn put_back(mut ledger: Json) {
    if let Some(metadata) = ledger["metadata"].as_object_mut() {
        metadata.remove("resourceVersion");
    }
    let said = pipe("kubectl", &["replace", "-f", "-"], ledger.to_string().as_bytes());
    assert!(said.status.success(), "{}", crate::harness::said(&said));
}

#[test]
fn wrong_answers_delete_nothing() {
    let seed = setting("MAILDOMAIN_CAMPAIGN_SEED", 20_261_126);
    let wanted = usize::try_from(setting("MAILDOMAIN_CAMPAIGN_INJECTIONS", 200)).expect("it fits");
    let proxy = ProviderProxy::new();
    let options = SiteOptions {
        api: Some(proxy.url()),
        leader_election: false,
        recheck: "600ms",
        log: "info",
        ..SiteOptions::default()
    };
    let site = Site::with("emptyworld", options);
    let domains: Vec<Domain> = (0..DOMAINS).map(|number| domain(&site, number)).collect();
    provider(&site, &domains, &proxy);
    let mut operator = site.operator();
    for domain in &domains {
        apply(&domain.manifest);
    }
    all_ready(&site, &domains);

    // What the ledger of the first one said before its last change.
    let older = ledger(&site, &domains[0].zone);
    let changed = domains[0].manifest.replace("203.0.113.4]", "203.0.113.5]");
    let more = format!(
        "hosts:\n    - {{name: web.{}, purpose: Web, addresses: [203.0.113.9]}}",
        domains[0].zone
    );
    apply(&changed.replacen("hosts:", &more, 1));
    all_ready(&site, &domains);
    let zones: Vec<Vec<String>> = domains.iter().map(|domain| dump(&domain.zone)).collect();
    assert!(
        zones[0].iter().any(|line| line.starts_with("web.")),
        "{:?}",
        zones[0]
    );

    let injector = Arc::new(Mutex::new(Injector {
        dice: Dice::new(seed, 3),
        wanted,
        injected: BTreeMap::new(),
        spells: domains
            .iter()
            .map(|d| (d.zone.clone(), Spell::default()))
            .collect(),
    }));
    let (began, before) = (Instant::now(), proxy.calls().len());
    let shared = Arc::clone(&injector);
    proxy.rule(move |call| shared.lock().expect("no rule panicked").act(call));
    let injected = || injector.lock().expect("no rule panicked").count();
    let lives = wanted / LIFE;
    for life in 1..=lives {
        eventually("the next injections", injected, |count| *count >= life * LIFE);
        operator.kill();
        match life {
            _ if life == lives / 3 => put_back(older.clone()),
            _ if life == lives / 2 => silence(&domains[1], "silence"),
            _ if life == lives * 2 / 3 => silence(&domains[1], "heal"),
            _ => {}
        }
        operator = site.operator();
    }
    eventually("the last injections", injected, |count| *count >= wanted);
    silence(&domains[1], "heal");
    let took = began.elapsed();

    let writes = assert_nothing_lost(&proxy, before, &zones);
    proxy.honest();
    ready_again(&site, &domains);
    let after: Vec<Vec<String>> = domains.iter().map(|domain| dump(&domain.zone)).collect();
    assert_eq!(after, zones);
    let injector = injector.lock().expect("no rule panicked");
    eprintln!(
        "empty world: seed {seed}, {} wrong reads {:?} in {} s, {} lives of the operator, an older ledger, silent name servers: \
         0 deletions, 0 values dropped, {writes} writes that put back what stands there",
        injector.count(),
        injector.injected,
        took.as_secs(),
        lives + 1
    );
}

/// Every write since the call with this number writes just what stands there; gives how many there were.
fn assert_nothing_lost(proxy: &ProviderProxy, since: usize, zones: &[Vec<String>]) -> usize {
    let stood = standing(zones);
    let calls = proxy.calls();
    let writes = calls.iter().skip(since).filter(|e| e.call.writes());
    for exchange in writes.clone() {
        for written in declared(&exchange.call) {
            let key = format!("{} {}", written.name, written.record_type);
            assert!(!written.deletes, "{key} was deleted: {exchange:#?}");
            let contents: BTreeSet<String> = written.contents.into_iter().collect();
            assert_eq!(stood.get(&key), Some(&contents), "{key} was written otherwise");
        }
    }
    writes.count()
}

/// What a call writes of declared records. Every write renews the owner text beside them.
fn declared(call: &Call) -> Vec<crate::harness::Written> {
    let mut written = call.written();
    written.retain(|rrset| rrset.deletes || !rrset.name.starts_with("_maildomain."));
    written
}

/// The first one's memory was put back and does not know the zone any more, until a person says that there is no other.
fn ready_again(site: &Site, domains: &[Domain]) {
    let Domain { object, zone, .. } = &domains[0];
    Site::wait_for_at(&site.namespace, object, "Accepted", "False/OwnedElsewhere");
    site.give_over(object, &Records::of_the_world().owner_text(zone));
    all_ready(site, domains);
}

fn silence(domain: &Domain, what: &str) {
    for server in &domain.servers {
        world(&["dns", what, server]);
    }
}

/// The contents by `name TYPE`.
fn standing(zones: &[Vec<String>]) -> BTreeMap<String, BTreeSet<String>> {
    let mut stood: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for line in zones.iter().flatten() {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default();
        let key = format!("{} {}", word(), word());
        stood.entry(key).or_default().insert(word().to_owned());
    }
    stood
}
