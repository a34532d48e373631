//! Every parser of the operator on octets of chance: nothing panics, and what is read means the same when it is written and read again.
//!
//! One program for all targets; `FUZZ_TARGET` names one (see [`TARGETS`]). libFuzzer calls it and keeps what reaches new code.

#![no_main]

use std::collections::BTreeMap;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use maildomain::api::{KeyAlgorithm, MailDomainSpec};
use maildomain::cidr::Cidr;
use maildomain::config::Config;
use maildomain::intent::{self, Intent};
use maildomain::key::{PrivateKey, PublicKey};
use maildomain::lookup::{self, Answer, Direct, Facts};
use maildomain::message::{self, Message};
use maildomain::name::{Name, Selector};
use maildomain::plan::Owner;
use maildomain::protocol::spf::macros::MacroString;
use maildomain::protocol::spf::{self, Client, check_host};
use maildomain::protocol::{self, Declaration, Evidence, KeyRecord, PolicyGate, SigningKey, dkim, dmarc};
use maildomain::record::{self, Key, RecordType, Value};

type Target = fn(&[u8]);

const TARGETS: [(&str, Target); 14] = [
    ("answer", answer),
    ("checks", checks),
    ("config", config),
    ("dkim", dkim_key),
    ("dmarc", dmarc_record),
    ("keys", keys),
    ("macro", macros),
    ("manifest", manifest),
    ("message", whole_message),
    ("name", names),
    ("owner", owner),
    ("spf", spf_record),
    ("spf-host", spf_host),
    ("value", values),
];

fuzz_target!(|data: &[u8]| {
    static TARGET: OnceLock<Target> = OnceLock::new();
    let target = TARGET.get_or_init(|| {
        let wanted = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
        let found = TARGETS.iter().find(|(name, _)| *name == wanted);
        found.unwrap_or_else(|| panic!("no target {wanted}")).1
    });
    target(data);
});

/// Octets as the texts of DNS are held: each is one character.
fn text(data: &[u8]) -> String {
    data.iter().copied().map(char::from).collect()
}

fn name(text: &str) -> Name {
    Name::parse(text).expect("a name of ours")
}

/// What a name server sends.
fn answer(data: &[u8]) {
    for kind in RecordType::ALL {
        let key = Key::new(name("a.example"), kind);
        if let Some(Answer::Records { values, .. }) = lookup::read_answer(data, &key) {
            assert!(values.iter().all(|value| value.record_type() == kind));
        }
    }
}

fn spf_record(data: &[u8]) {
    let text = text(data);
    let _ = spf::parse::is_near_miss(&text);
    if let spf::parse::Selected::One(text) = spf::parse::select([text]) {
        let _ = spf::parse::parse(&text);
    }
}

fn macros(data: &[u8]) {
    let text = text(data);
    if let Ok(parsed) = MacroString::parse(&text) {
        let _ = parsed.expand(|_| "x.y".to_owned());
    }
    if let Ok(parsed) = MacroString::parse_domain(&text) {
        let _ = parsed.expand_domain(|letter| letter.as_char().to_string().repeat(40));
    }
}

/// Lines are texts: the first stands at the domain, the others at whatever is asked for, one after the other.
fn settle<T>(data: &[u8], rounds: usize, judge: impl Fn(&Facts) -> T) -> T {
    let lines: Vec<String> = data.split(|octet| *octet == b'\n').map(text).collect();
    let mut facts = Facts::new(BTreeMap::new());
    let mut next = 0;
    for _ in 0..rounds {
        let verdict = judge(&facts);
        let missing = facts.take_missing();
        if missing.is_empty() {
            return verdict;
        }
        for key in missing {
            let line = lines.get(next % lines.len().max(1)).cloned().unwrap_or_default();
            next += 1;
            let value = match key.record_type {
                RecordType::Txt | RecordType::Spf => Some(Value::Txt(line)),
                kind => Value::parse(kind, &line),
            };
            let answer = value.map_or(Answer::NxDomain { negative_ttl: 60 }, |value| Answer::Records {
                values: [value].into(),
                aliases: Vec::new(),
                ttl: 300,
            });
            facts.learn(key, answer);
        }
    }
    judge(&facts)
}

fn spf_host(data: &[u8]) {
    let client = Client {
        address: [192, 0, 2, 1].into(),
        mail_from: "a.b@example.com".to_owned(),
        helo: "mail.example.com".to_owned(),
    };
    let outcome = settle(data, 40, |facts| check_host(facts, &client, &name("example.com")));
    // Whatever is published, a receiver asks no more than this (RFC 7208 section 4.6.4).
    assert!(outcome.lookups <= spf::evaluate::LOOKUP_LIMIT + 1, "{outcome:?}");
}

fn dkim_key(data: &[u8]) {
    let text = text(data);
    let key = dkim::KeyText::read(&text);
    let _ = key.material.as_ref().and_then(dkim::Material::rsa_numbers);
    // What is offered in the place of a record is a key that we read as such.
    if let Some(meant) = dkim::meant(&text) {
        assert_eq!(PublicKey::read_record(&meant.record_text()), Some(meant));
    }
}

fn dmarc_record(data: &[u8]) {
    let text = text(data);
    let _ = dmarc::strictness(&text);
    if let Some(Ok(record)) = dmarc::parse(&text) {
        // What is offered instead is no weaker.
        if let Some(offer) = record.offer() {
            assert!(
                dmarc::strictness(offer) >= record.requested(dmarc::Scope::Own),
                "{text:?}: {offer}"
            );
        }
    }
}

fn keys(data: &[u8]) {
    let text = text(data);
    for algorithm in [KeyAlgorithm::RSA, KeyAlgorithm::Ed25519] {
        if let Ok(key) = PublicKey::parse(algorithm, &text) {
            assert_eq!(PublicKey::read_record(&key.record_text()), Some(key));
        }
    }
    let _ = PublicKey::from_openssh(&text);
    let _ = PrivateKey::from_pem(&text);
}

fn names(data: &[u8]) {
    let text = text(data);
    if let Ok(name) = Name::parse(&text) {
        assert_eq!(Name::parse(name.as_str()), Ok(name));
    }
    if let Ok(name) = Name::parse_host(&text) {
        assert_eq!(Name::parse_host(name.as_str()), Ok(name));
    }
    if let Ok(selector) = Selector::parse(&text) {
        let _ = selector.record_name(&name("example.com"));
    }
    if let Ok(range) = text.parse::<Cidr>() {
        assert_eq!(range.to_string().parse::<Cidr>(), Ok(range));
    }
    let _ = maildomain::config::parse_duration(&text);
}

fn values(data: &[u8]) {
    let text = text(data);
    for kind in RecordType::ALL {
        if let Some(value) = Value::parse(kind, &text) {
            assert_eq!(
                Value::parse(kind, &value.to_string()),
                Some(value),
                "{kind} {text:?}"
            );
        }
    }
    assert_eq!(record::unquoted(&record::quoted(&text)), Some(text));
}

fn owner(data: &[u8]) {
    if let Some(owner) = Owner::parse(&text(data)) {
        assert_eq!(Owner::parse(&owner.to_string()).as_ref(), Some(&owner));
    }
}

fn config(data: &[u8]) {
    if let Ok(config) = Config::parse(&String::from_utf8_lossy(data)) {
        let _ = config.looker("nameserver 192.0.2.1");
        let _ = config.private_zones();
    }
}

fn manifest(data: &[u8]) {
    let Ok(spec) = serde_json::from_slice::<MailDomainSpec>(data) else {
        return;
    };
    if let Ok(intent) = intent::parse(&spec) {
        let _ = protocol::desired(&declaration(&intent, &[]));
    }
}

fn declaration<'a>(intent: &'a Intent, keys: &'a [SigningKey]) -> Declaration<'a> {
    Declaration {
        intent,
        keys,
        policy_gate: PolicyGate::Released,
        private_zone: false,
    }
}

/// All checks on a domain whose records are the lines.
fn checks(data: &[u8]) {
    let spec = serde_json::json!({
        "domain": "example.com",
        "hosts": [{ "name": "mail.example.com", "purpose": "Mail", "addresses": ["198.41.0.4"], "reverse": "Check" }],
        "senders": [{ "name": "mta", "hosts": ["mail.example.com"] }],
        "bimi": { "logo": "https://example.com/logo.svg" },
    });
    let spec: MailDomainSpec = serde_json::from_value(spec).expect("a spec of ours");
    let intent = intent::parse(&spec).expect("an intent of ours");
    let keys = [SigningKey {
        sender: "mta".to_owned(),
        name: "s1".to_owned(),
        selector: Selector::parse("s1").expect("a selector of ours"),
        record: KeyRecord::Found,
        age: None,
    }];
    let direct = Direct::default();
    let findings = settle(data, 24, |facts| {
        protocol::findings(&Evidence {
            declaration: &declaration(&intent, &keys),
            facts,
            direct: &direct,
        })
    });
    for finding in findings {
        assert!(!finding.message.contains('\n'), "{finding:?}");
    }
}

fn whole_message(data: &[u8]) {
    if let Ok(message) = Message::read(data) {
        let line = b"v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let _ = settle(line, 20, |facts| {
            message::judge(&message, facts, None, 1_795_824_000)
        });
    }
}
