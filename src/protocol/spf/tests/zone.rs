//! A world in lines: `name TYPE value`, and `name TIMEOUT` for a server that stays silent about what is not listed.

use std::collections::{BTreeMap, BTreeSet};

use crate::lookup::{Answer, Facts, Failure};
use crate::name::Name;
use crate::record::{Key, RecordType, Value, Values, unquoted};

/// DNS as a test sees it.
#[derive(Default)]
pub(super) struct Zone {
    records: BTreeMap<Key, Values>,
    silent: BTreeSet<Name>,
}

impl Zone {
    /// Lines whose owner is no [`Name`] are left out: nobody can ask for them.
    pub(super) fn read(lines: &str) -> Self {
        let mut zone = Self::default();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (owner, rest) = line.split_once(' ').unwrap();
            let (kind, value) = rest.trim_start().split_once(' ').unwrap_or((rest, ""));
            let Ok(owner) = Name::parse(owner) else { continue };
            if kind == "TIMEOUT" {
                zone.silent.insert(owner);
            } else if let Some(record_type) = RecordType::parse(kind) {
                let values = zone.records.entry(Key::new(owner, record_type)).or_default();
                values.extend(read_value(record_type, value.trim()));
            } else {
                assert_eq!(kind, "EMPTY", "{line}");
            }
        }
        zone
    }

    fn answer(&self, key: &Key) -> Answer {
        let mut name = key.name.clone();
        let mut aliases = Vec::new();
        while aliases.len() < 8 {
            if let Some(values) = self.values(&name, key.record_type) {
                return Answer::Records {
                    values: values.clone(),
                    aliases,
                    ttl: 60,
                };
            }
            let alias = self
                .values(&name, RecordType::Cname)
                .and_then(|values| values.first());
            let Some(Value::Cname(target)) = alias else {
                return self.absence(&name);
            };
            aliases.push(name);
            name = target.clone();
        }
        Answer::Failed(Failure::ServFail)
    }

    fn values(&self, name: &Name, record_type: RecordType) -> Option<&Values> {
        self.records.get(&Key::new(name.clone(), record_type))
    }

    fn absence(&self, name: &Name) -> Answer {
        if self.silent.contains(name) {
            Answer::Failed(Failure::Timeout)
        } else if self.records.keys().any(|key| key.name.is_within(name)) {
            Answer::NoData { negative_ttl: 60 }
        } else {
            Answer::NxDomain { negative_ttl: 60 }
        }
    }

    /// Runs a pure function until it asks nothing new, as the controller does.
    pub(super) fn settle<T>(&self, run: impl Fn(&Facts) -> T) -> T {
        let mut facts = Facts::default();
        for _ in 0..40 {
            let result = run(&facts);
            let missing = facts.take_missing();
            if missing.is_empty() {
                return result;
            }
            for key in missing {
                let answer = self.answer(&key);
                facts.learn(key, answer);
            }
        }
        panic!("never settles");
    }
}

fn read_value(record_type: RecordType, text: &str) -> Option<Value> {
    let name = |text: &str| Name::parse(text).ok();
    Some(match record_type {
        RecordType::A => Value::A(text.parse().unwrap()),
        RecordType::Aaaa => Value::Aaaa(text.parse().unwrap()),
        RecordType::Cname => Value::Cname(name(text)?),
        RecordType::Ptr => Value::Ptr(name(text)?),
        RecordType::Txt | RecordType::Spf => Value::Txt(unquoted(text).unwrap()),
        RecordType::Mx => {
            let (preference, host) = text.split_once(' ').unwrap();
            Value::Mx {
                preference: preference.parse().unwrap(),
                exchange: name(host),
            }
        }
    })
}
