//! Test data: a declaration and a small world of zone lines, for every check that reads facts.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::intent::{self, Intent};
use crate::key::PublicKey;
use crate::lookup::{Answer, Direct, Facts, Failure};
use crate::name::{Name, Selector};
use crate::protocol::{Check, Declaration, Evidence, KeyRecord, PolicyGate, SigningKey};
use crate::record::{Key, RecordType, Value};

/// A declaration and the world around it. What the zone does not hold does not exist.
pub(crate) struct Scene {
    spec: Json,
    keys: Vec<SigningKey>,
    gate: PolicyGate,
    zone: String,
}

impl Scene {
    pub(crate) fn of(domain: &str) -> Self {
        Self {
            spec: json!({ "domain": domain }),
            keys: Vec::new(),
            gate: PolicyGate::Released,
            zone: String::new(),
        }
    }

    /// Sets a field of the spec.
    pub(crate) fn with(mut self, field: &str, value: Json) -> Self {
        self.spec[field] = value;
        self
    }

    pub(crate) fn held(mut self) -> Self {
        self.gate = PolicyGate::Held(crate::api::DmarcPolicy::None);
        self
    }

    /// A key of the sender `mta`: `rsa <p>`, `ed25519 <p>` or `cname <target>`.
    pub(crate) fn key(mut self, selector: &str, record: &str) -> Self {
        let (kind, value) = record.split_once(' ').unwrap();
        let record = match kind {
            "rsa" => KeyRecord::Public(PublicKey::parse(crate::api::KeyAlgorithm::RSA, value).unwrap()),
            "ed25519" => {
                KeyRecord::Public(PublicKey::parse(crate::api::KeyAlgorithm::Ed25519, value).unwrap())
            }
            "cname" => KeyRecord::Delegated(Name::parse(value).unwrap()),
            other => panic!("{other}"),
        };
        self.keys.push(SigningKey {
            sender: "mta".to_owned(),
            name: selector.to_owned(),
            selector: Selector::parse(selector).unwrap(),
            record,
            age: None,
        });
        self
    }

    /// The last key has been proven for so many days.
    pub(crate) fn aged(mut self, days: i64) -> Self {
        self.keys.last_mut().unwrap().age = Some(jiff::SignedDuration::from_hours(24 * days));
        self
    }

    /// Adds lines: `name TYPE data`, `name SERVFAIL`.
    pub(crate) fn zone(mut self, lines: &str) -> Self {
        self.zone.push_str(lines);
        self.zone.push('\n');
        self
    }

    pub(crate) fn intent(&self) -> Intent {
        intent::parse(&serde_json::from_value(self.spec.clone()).unwrap()).unwrap()
    }

    pub(crate) fn declared<T>(&self, look: impl FnOnce(&Declaration<'_>) -> T) -> T {
        look(&Declaration {
            intent: &self.intent(),
            keys: &self.keys,
            policy_gate: self.gate,
            private_zone: false,
        })
    }

    /// Looks until every question is answered.
    pub(crate) fn facts<T>(&self, look: impl Fn(&Facts) -> T) -> T {
        let mut facts = Facts::new(BTreeMap::new());
        for _ in 0..20 {
            let seen = look(&facts);
            let missing = facts.take_missing();
            if missing.is_empty() {
                return seen;
            }
            for key in missing {
                let answer = answer(&self.zone, &key);
                facts.learn(key, answer);
            }
        }
        panic!("asks for ever");
    }

    pub(crate) fn evidence<T>(&self, look: impl Fn(&Evidence<'_>) -> T) -> T {
        self.declared(|declaration| {
            self.facts(|facts| {
                let direct = Direct::default();
                look(&Evidence {
                    declaration,
                    facts,
                    direct: &direct,
                })
            })
        })
    }

    /// The findings of these checks: `Fail dkim-present`, each once, in order.
    pub(crate) fn findings(&self, checks: &[Check]) -> Vec<String> {
        let findings = self.evidence(|evidence| {
            checks
                .iter()
                .flat_map(|check| (check.run)(evidence))
                .collect::<Vec<_>>()
        });
        for finding in &findings {
            assert!(
                finding.message.len() <= 310,
                "{} {}",
                finding.message.len(),
                finding.message
            );
            assert!(!finding.message.contains(['\n', '\u{7}']), "{}", finding.message);
        }
        let said: BTreeSet<String> = findings
            .iter()
            .map(|finding| format!("{:?} {}", finding.severity, finding.id))
            .collect();
        said.into_iter().collect()
    }

    /// The message of the only finding of this check.
    pub(crate) fn message(&self, checks: &[Check], id: &str) -> String {
        let findings = self.evidence(|evidence| {
            checks
                .iter()
                .flat_map(|check| (check.run)(evidence))
                .filter(|finding| finding.id == id)
                .collect::<Vec<_>>()
        });
        assert_eq!(findings.len(), 1, "{findings:?}");
        findings[0].message.clone()
    }
}

fn answer(zone: &str, key: &Key) -> Answer {
    let lines: Vec<(&str, &str, &str)> = zone
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut words = line.splitn(3, ' ');
            let name = words.next().unwrap();
            (name, words.next().unwrap(), words.next().unwrap_or_default())
        })
        .collect();
    let mut owner = key.name.to_string();
    let mut aliases = Vec::new();
    loop {
        if !lines.iter().any(|(name, ..)| *name == owner) {
            let wild = lines.iter().find(|(name, ..)| {
                let above = name.strip_prefix('*');
                above.is_some_and(|above| owner.ends_with(above))
            });
            match wild {
                Some((name, ..)) => owner = (*name).to_owned(),
                None if lines
                    .iter()
                    .any(|(name, ..)| name.ends_with(&format!(".{owner}"))) =>
                {
                    return Answer::NoData { negative_ttl: 300 };
                }
                None => return Answer::NxDomain { negative_ttl: 300 },
            }
        }
        let here = || lines.iter().filter(|(name, ..)| *name == owner);
        if here().any(|(_, kind, _)| *kind == "SERVFAIL") {
            return Answer::Failed(Failure::ServFail);
        }
        let values: BTreeSet<Value> = here()
            .filter(|(_, kind, _)| *kind == key.record_type.as_str())
            .map(|(_, _, data)| value(key.record_type, data))
            .collect();
        if !values.is_empty() {
            let ttl = 300;
            return Answer::Records { values, aliases, ttl };
        }
        let Some((_, _, target)) = here().find(|(_, kind, _)| *kind == "CNAME") else {
            return Answer::NoData { negative_ttl: 300 };
        };
        owner = (*target).to_owned();
        aliases.push(Name::parse(target).unwrap());
    }
}

fn value(record_type: RecordType, data: &str) -> Value {
    match record_type {
        RecordType::A => Value::A(data.parse().unwrap()),
        RecordType::Aaaa => Value::Aaaa(data.parse().unwrap()),
        RecordType::Cname => Value::Cname(Name::parse(data).unwrap()),
        RecordType::Ptr => Value::Ptr(Name::parse(data).unwrap()),
        RecordType::Txt | RecordType::Spf => Value::Txt(data.to_owned()),
        RecordType::Mx => {
            let (preference, exchange) = data.split_once(' ').unwrap();
            Value::Mx {
                preference: preference.parse().unwrap(),
                exchange: Name::parse(exchange).ok(),
            }
        }
    }
}
