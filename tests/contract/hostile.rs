//! Hostile text in every string field of a MailDomain: it is refused with the field's name, or it stands in DNS byte for
//! byte, at a name within the declared domain. Nothing else in the zone changes.
//!
//! Each text of `hostile.txt` goes into each field, and the object the way of every object: parse, wanted records, places,
//! plan, publisher, server, and back by a zone transfer, read without our own parser. The servers get what the parse
//! let pass, many objects in one plan, each with a domain of its own. `MAILDOMAIN_CAMPAIGN_HOSTILE` says every how many of
//! those (25; 1: all).

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use maildomain::api::{Allow, DmarcPolicy, MailDomainSpec};
use maildomain::intent::{self, Intent};
use maildomain::name::Name;
use maildomain::plan::Step;
use maildomain::protocol::{self, Declaration, PolicyGate, SigningKey, Wanted};
use maildomain::publish::PublishError;
use maildomain::record::Value;
use maildomain::tenancy::{Provider, Tenant, place};
use serde_json::{Value as Json, json};

use crate::bench::{Bench, TTL, ZONES, name};
use crate::dice::setting;
use crate::hand::Record;

const TEXTS: &str = include_str!("hostile.txt");
const ED25519: &str = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
/// Objects of one plan.
const BATCH: usize = 40;

/// Every string field: where it stands in the spec, and what it is called.
const FIELDS: [(&str, &str); 24] = [
    ("/domain", "spec.domain"),
    ("/hosts/1/name", "spec.hosts[1].name"),
    ("/hosts/1/target", "spec.hosts[1].target"),
    ("/hosts/2/addresses/0", "spec.hosts[2].addresses[0]"),
    ("/receiving/mx/0/host", "spec.receiving.mx[0].host"),
    ("/senders/0/name", "spec.senders[0].name"),
    ("/senders/0/hosts/0", "spec.senders[0].hosts[0]"),
    ("/senders/0/egress/0", "spec.senders[0].egress[0]"),
    (
        "/senders/0/returnPath/domain",
        "spec.senders[0].returnPath.domain",
    ),
    (
        "/senders/0/returnPath/mx/0/host",
        "spec.senders[0].returnPath.mx[0].host",
    ),
    ("/senders/0/spf/includes/0", "spec.senders[0].spf.includes[0]"),
    (
        "/senders/0/dkim/selectorPrefix",
        "spec.senders[0].dkim.selectorPrefix",
    ),
    ("/senders/0/dkim/keys/0/name", "spec.senders[0].dkim.keys[0].name"),
    (
        "/senders/0/dkim/keys/0/publicKey/selector",
        "spec.senders[0].dkim.keys[0].selector",
    ),
    (
        "/senders/0/dkim/keys/0/publicKey/value",
        "spec.senders[0].dkim.keys[0].publicKey.value",
    ),
    (
        "/senders/0/dkim/keys/1/delegate/selector",
        "spec.senders[0].dkim.keys[1].selector",
    ),
    (
        "/senders/0/dkim/keys/1/delegate/target",
        "spec.senders[0].dkim.keys[1].delegate.target",
    ),
    (
        "/senders/1/returnPath/domain",
        "spec.senders[1].returnPath.domain",
    ),
    (
        "/senders/1/returnPath/target",
        "spec.senders[1].returnPath.target",
    ),
    ("/dmarc/aggregateReports/0", "spec.dmarc.aggregateReports[0]"),
    ("/dmarc/failureReports/0", "spec.dmarc.failureReports[0]"),
    ("/bimi/selector", "spec.bimi.selector"),
    ("/bimi/logo", "spec.bimi.logo"),
    ("/bimi/certificate", "spec.bimi.certificate"),
];

/// Fields whose text names something in the cluster, or only begins a name that is made later: no record holds it.
const UNPUBLISHED: [&str; 3] = [
    "/senders/0/name",
    "/senders/0/dkim/selectorPrefix",
    "/senders/0/dkim/keys/0/name",
];

fn texts() -> Vec<String> {
    let lines = TEXTS
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}")))
        .collect()
}

/// A declaration that holds every string field.
fn spec(domain: &str) -> Json {
    json!({
        "domain": domain,
        "hosts": [
            {"name": format!("mail.{domain}"), "purpose": "Mail", "addresses": ["203.0.113.4"]},
            {"name": format!("web.{domain}"), "purpose": "Web", "target": "web.elsewhere.test"},
            {"name": format!("trk.{domain}"), "purpose": "SiteTracking", "addresses": ["203.0.113.5"]},
        ],
        "receiving": {"mx": [{"host": "mx.elsewhere.test", "preference": 10}]},
        "senders": [
            {
                "name": "mta",
                "hosts": [format!("mail.{domain}")],
                "egress": ["203.0.113.16/29"],
                "returnPath": {"domain": format!("bounce.{domain}"), "mx": [{"host": "mx.elsewhere.test", "preference": 10}]},
                "spf": {"includes": ["_spf.elsewhere.test"]},
                "dkim": {"selectorPrefix": "md", "keys": [
                    {"name": "public", "publicKey": {"selector": "s1", "algorithm": "Ed25519", "value": ED25519}},
                    {"name": "alias", "delegate": {"selector": "s2", "target": "s2.elsewhere.test"}},
                ]},
            },
            {"name": "vendor", "returnPath": {"domain": format!("em.{domain}"), "target": "u.elsewhere.test"}},
        ],
        "dmarc": {
            "policy": "None",
            "aggregateReports": [format!("mailto:a@{domain}")],
            "failureReports": [format!("mailto:f@{domain}")],
        },
        "bimi": {"selector": "default", "logo": "https://elsewhere.test/l.svg", "certificate": "https://elsewhere.test/c.pem"},
    })
}

/// One text in one field, let pass by the parse.
#[derive(Debug)]
struct Passed {
    pointer: &'static str,
    text: String,
    domain: Name,
    wanted: Vec<Wanted>,
}

#[derive(Debug, Default)]
struct Verdicts {
    tried: usize,
    refused: usize,
    passed: Vec<Passed>,
    faults: Vec<String>,
}

fn judge() -> Verdicts {
    let mut verdicts = Verdicts::default();
    for (pointer, field) in FIELDS {
        for text in texts() {
            let number = verdicts.tried;
            verdicts.tried += 1;
            let domain = format!("h{number}.corp.test");
            let text = text.replace("DOMAIN", &domain);
            let mut json = spec(&domain);
            *json.pointer_mut(pointer).unwrap() = Json::String(text.clone());
            let spec: MailDomainSpec = serde_json::from_value(json).unwrap();
            match intent::parse(&spec) {
                Err(problems) => {
                    verdicts.refused += 1;
                    if !problems.iter().any(|problem| names(&problem.field, field)) {
                        verdicts.faults.push(format!(
                            "{field}: {text:?} is refused without its name: {problems:?}"
                        ));
                    }
                }
                Ok(intent) => verdicts.passed.push(Passed {
                    pointer,
                    text,
                    wanted: wanted(&intent),
                    domain: intent.domain,
                }),
            }
        }
    }
    verdicts
}

/// Whether a problem's path is the field, what holds it, the list of its like (two of one name), or, of a Return-Path, the
/// field beside it that does not go with it.
fn names(problem: &str, field: &str) -> bool {
    let plain = |path: &str| -> String {
        path.chars()
            .filter(|c| !c.is_ascii_digit() && !"[]".contains(*c))
            .collect()
    };
    let (problem, field) = (plain(problem), plain(field));
    let beside = |path: &str| {
        path.rsplit_once(".returnPath.")
            .map(|(sender, _)| sender.to_owned())
    };
    let beside = beside(&field).filter(|sender| beside(&problem).as_ref() == Some(sender));
    field.starts_with(&problem) || problem.starts_with(&field) || beside.is_some()
}

fn wanted(intent: &Intent) -> Vec<Wanted> {
    let keys = SigningKey::declared(intent);
    protocol::desired(&Declaration {
        intent,
        keys: &keys,
        policy_gate: PolicyGate::Held(DmarcPolicy::None),
        private_zone: true,
    })
}

impl Passed {
    /// What may be published, as the operator's places say.
    fn placed(&self) -> Vec<Wanted> {
        let allow = Allow {
            namespace_selector: LabelSelector::default(),
            domains: vec!["corp.test".to_owned(), "*.corp.test".to_owned()],
            reverse: vec!["203.0.113.0/24".to_owned()],
        };
        let provider = Provider {
            name: "corp".to_owned(),
            zones: ZONES.map(name).into(),
            allow: vec![allow],
        };
        let labels = BTreeMap::new();
        let tenant = Tenant {
            labels: &labels,
            domain: &self.domain,
            foreign_claims: &[],
        };
        let may =
            |wanted: &&Wanted| place(&tenant, std::slice::from_ref(&provider), &wanted.key.name).is_ok();
        self.wanted.iter().filter(may).cloned().collect()
    }

    /// Whether some wanted record holds the text as it was given, a name folded.
    fn holds(&self) -> bool {
        let folded = self
            .text
            .strip_suffix('.')
            .unwrap_or(&self.text)
            .to_ascii_lowercase();
        let single = folded.strip_suffix("/128").unwrap_or(&folded);
        let has = |held: &str| held.contains(&self.text) || held.contains(&folded) || held.contains(single);
        let address: Option<std::net::IpAddr> = self.text.parse().ok();
        self.wanted.iter().any(|wanted| {
            has(wanted.key.name.as_str())
                || wanted.values.iter().any(|value| match value {
                    Value::Txt(text) => has(text),
                    Value::A(a) => Some((*a).into()) == address,
                    Value::Aaaa(a) => Some((*a).into()) == address,
                    Value::Cname(_) | Value::Mx { .. } | Value::Ptr(_) => has(&value.to_string()),
                })
        })
    }
}

/// A record for comparison: TXT data as octets, everything else as text.
fn octets((owner, kind, data): &Record) -> (String, String, Vec<u8>) {
    let data = if kind == "TXT" {
        joined(data)
    } else {
        data.clone().into_bytes()
    };
    (owner.clone(), kind.clone(), data)
}

/// The octets of a TXT record as `dig` prints it (RFC 1035 section 5.1), its strings joined.
fn joined(data: &str) -> Vec<u8> {
    let (mut octets, mut inside) = (Vec::new(), false);
    let mut bytes = data.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => inside = !inside,
            b'\\' => {
                let next = bytes.next().unwrap();
                if next.is_ascii_digit() {
                    let rest = [bytes.next().unwrap(), bytes.next().unwrap()];
                    let code = [next, rest[0], rest[1]]
                        .iter()
                        .fold(0, |code, d| code * 10 + u16::from(d - b'0'));
                    octets.push(u8::try_from(code).unwrap());
                } else {
                    octets.push(next);
                }
            }
            _ if inside => octets.push(byte),
            b' ' => {}
            _ => panic!("{data:?} is not how dig prints a text"),
        }
    }
    octets
}

fn stands(bench: &Bench) -> BTreeSet<(String, String, Vec<u8>)> {
    let zones = ZONES.iter().flat_map(|zone| bench.hand.zone(zone));
    zones.map(|record| octets(&record)).collect()
}

#[derive(Debug, Default)]
struct Count {
    published: usize,
    records: usize,
    refused: usize,
    nowhere: usize,
}

fn publish(server: &str, bench: &Bench) {
    let every = usize::try_from(setting("MAILDOMAIN_CAMPAIGN_HOSTILE", 25)).unwrap();
    let passed: Vec<Passed> = judge().passed.into_iter().step_by(every).collect();
    let before = stands(bench);
    let mut count = Count::default();
    for batch in passed.chunks(BATCH) {
        together(bench, batch, &before, &mut count);
    }
    let Count {
        published,
        records,
        refused,
        nowhere,
    } = count;
    println!(
        "hostile: {server}: {} objects: {published} in DNS byte for byte ({records} records), {refused} refused by the server with \
         nothing written, {nowhere} with nothing to write; nothing else changed",
        passed.len()
    );
    assert!(published > 0);
}

/// Nothing was written of one. Several may need several messages, of which the first were taken: each goes alone then.
fn refused(bench: &Bench, batch: &[Passed], before: &BTreeSet<(String, String, Vec<u8>)>, count: &mut Count) {
    if batch.len() > 1 {
        bench.publish(&[]);
    }
    assert_eq!(
        stands(bench),
        *before,
        "refused, and written all the same: {batch:#?}"
    );
    match batch {
        [_] => count.refused += 1,
        _ => batch
            .chunks(1)
            .for_each(|one| together(bench, one, before, count)),
    }
}

/// All in one plan; where the server refuses one, each alone.
fn together(
    bench: &Bench,
    batch: &[Passed],
    before: &BTreeSet<(String, String, Vec<u8>)>,
    count: &mut Count,
) {
    let wanted: Vec<Wanted> = batch.iter().flat_map(Passed::placed).collect();
    if wanted.is_empty() {
        count.nowhere += batch.len();
        return;
    }
    let plan = match bench.try_plan(&wanted, TTL) {
        Ok(plan) => plan,
        // A name that is delegated to others: nothing is read, so nothing is written.
        Err(PublishError::ZoneMissing(_)) => return refused(bench, batch, before, count),
        Err(error) => panic!("{error}: {batch:#?}"),
    };
    let written = plan
        .rows
        .iter()
        .filter(|row| matches!(row.step, Step::Write | Step::InPlace));
    let mut expected = before.clone();
    for row in written {
        for value in &row.group.values {
            let (owner, kind) = (row.group.key.name.to_string(), value.record_type().to_string());
            let data = match value {
                // As octets: characters beyond ASCII stand for one each.
                Value::Txt(text) => text
                    .chars()
                    .map(|c| u8::try_from(u32::from(c)).unwrap())
                    .collect(),
                Value::A(_) | Value::Aaaa(_) | Value::Cname(_) | Value::Mx { .. } | Value::Ptr(_) => {
                    value.to_string().into_bytes()
                }
            };
            expected.insert((owner, kind, data));
        }
    }
    match bench.apply(&plan) {
        Ok(()) => {
            assert_eq!(stands(bench), expected, "{batch:#?}");
            count.published += batch.len();
            count.records += expected.len() - before.len();
        }
        Err(PublishError::Refused(..) | PublishError::Unsupported(..)) => {
            refused(bench, batch, before, count);
        }
        Err(error) => panic!("{error}: {batch:#?}"),
    }
    bench.publish(&[]);
    assert_eq!(stands(bench), *before, "what was written is gone again");
}

#[test]
fn each_text_is_refused_by_the_name_of_its_field_or_wanted_as_it_is() {
    assert!(texts().len() >= 300, "{}", texts().len());
    let Verdicts {
        tried,
        refused,
        passed,
        mut faults,
    } = judge();
    for one in &passed {
        let inside = |wanted: &Wanted| wanted.key.name.is_within(&one.domain);
        if !one.wanted.iter().all(inside) {
            faults.push(format!("{}: {:?} leads out of the domain", one.pointer, one.text));
        }
        // A name outside of the domain is looked at, never written.
        let outside = [
            "/hosts/1/name",
            "/senders/0/returnPath/domain",
            "/senders/1/returnPath/domain",
        ]
        .contains(&one.pointer)
            && Name::parse(&one.text).is_ok_and(|name| !name.is_within(&one.domain));
        if !outside && !UNPUBLISHED.contains(&one.pointer) && !one.holds() {
            faults.push(format!(
                "{}: {:?} passes and stands nowhere as it is",
                one.pointer, one.text
            ));
        }
    }
    println!(
        "hostile: {} texts in {} fields: {tried} objects, {refused} refused by the name of the field, {} pass",
        texts().len(),
        FIELDS.len(),
        passed.len()
    );
    assert!(
        faults.is_empty(),
        "{} faults:\n{}",
        faults.len(),
        faults.join("\n")
    );
}

#[test]
fn bind() {
    publish("bind", &crate::servers::bind());
}

#[test]
fn knot() {
    publish("knot", &crate::servers::knot());
}

#[test]
fn pdns() {
    publish("pdns", &crate::servers::pdns());
}

#[test]
fn pdns_api() {
    publish("pdns_api", &crate::servers::pdns_api());
}
