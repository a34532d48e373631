//! Name servers as text: what a zone answers, and what it is when servers are silent, stale or broken.

use std::collections::{BTreeMap, BTreeSet};

use maildomain::lookup::{Answer, Failure};
use maildomain::name::Name;
use maildomain::record::{Key, RecordType, Value};

use crate::zone::{Line, Zone, lines};

/// Seconds for which an answer that there is nothing may be cached.
const NEGATIVE_TTL: u32 = 300;
/// Longest chain of aliases that is followed.
const ALIASES: usize = 8;

impl Zone {
    /// What a name server answers (RFC 1034 section 4.3.2, RFC 4592).
    pub(crate) fn answer(&self, key: &Key) -> Answer {
        let mut owner = key.name.to_string();
        let mut aliases = Vec::new();
        while aliases.len() < ALIASES {
            let Some(found) = self.node(&owner) else {
                return Answer::NxDomain {
                    negative_ttl: NEGATIVE_TTL,
                };
            };
            if let Some((ttl, records)) = self.rrsets.get(&(found.clone(), key.record_type.to_string())) {
                let values = records
                    .iter()
                    .map(|raw| {
                        Value::parse(key.record_type, raw).unwrap_or_else(|| panic!("{owner} holds {raw}"))
                    })
                    .collect();
                let ttl = *ttl;
                return Answer::Records { values, aliases, ttl };
            }
            let alias = self.rrsets.get(&(found, RecordType::Cname.to_string()));
            let Some(target) = alias.and_then(|(_, targets)| targets.first()) else {
                return Answer::NoData {
                    negative_ttl: NEGATIVE_TTL,
                };
            };
            let target = Name::parse(target).unwrap();
            owner = target.to_string();
            aliases.push(target);
        }
        Answer::Failed(Failure::ServFail)
    }

    /// The owner whose records answer for a name: itself, or the wildcard below its closest encloser. `None`: the name
    /// does not exist.
    fn node(&self, name: &str) -> Option<String> {
        let exists = |name: &str| {
            let below = format!(".{name}");
            self.rrsets
                .keys()
                .any(|(owner, _)| owner == name || owner.ends_with(&below))
        };
        if exists(name) {
            return Some(name.to_owned());
        }
        let mut rest = name;
        while let Some((_, parent)) = rest.split_once('.') {
            if exists(parent) {
                let wildcard = format!("*.{parent}");
                return exists(&wildcard).then_some(wildcard);
            }
            rest = parent;
        }
        None
    }
}

/// By owner and type, either of which may be `*`.
type Failures = BTreeMap<(String, String), Failure>;

/// Two name servers that hold the same zones, less what `live.txt` says of them.
///
/// A line of that text is `[ns2:] owner TYPE data`, which takes the place of the RRset; `owner TYPE none` takes it away;
/// `owner TYPE TIMEOUT` (or another failure; `*` for every name, every type) is an answer that says nothing.
#[derive(Debug, Clone)]
pub(crate) struct NameServers {
    servers: Vec<(Zone, Failures)>,
}

impl NameServers {
    pub(crate) fn new(zone: &Zone, overrides: &str) -> Self {
        let mut servers = vec![(zone.clone(), Failures::new()); 2];
        for (index, (zone, failures)) in servers.iter_mut().enumerate() {
            let label = format!("ns{}:", index + 1);
            let meant = lines(overrides).filter_map(|line| match line.strip_prefix(&label) {
                Some(rest) => Some(rest.trim()),
                None => (!line.starts_with("ns1:") && !line.starts_with("ns2:")).then_some(line),
            });
            let mut replaced = BTreeSet::new();
            for line in meant.map(Line::parse) {
                if let Some(failure) = failure(&line.data) {
                    failures.insert((line.owner, line.kind), failure);
                    continue;
                }
                assert!(line.data == "none" || line.value().is_some(), "{line:?}");
                if replaced.insert((line.owner.clone(), line.kind.clone())) {
                    zone.remove(&line.owner, &line.kind);
                }
                if line.data != "none" {
                    zone.add(line);
                }
            }
        }
        Self { servers }
    }

    /// What each server answers, in order.
    pub(crate) fn answers(&self, key: &Key) -> Vec<Answer> {
        let (owner, kind) = (key.name.to_string(), key.record_type.to_string());
        let any = || "*".to_owned();
        let asked = [
            (owner.clone(), kind.clone()),
            (owner, any()),
            (any(), kind),
            (any(), any()),
        ];
        let answer = |(zone, failures): &(Zone, Failures)| {
            let failure = asked.iter().find_map(|question| failures.get(question));
            failure.map_or_else(|| zone.answer(key), |failure| Answer::Failed(*failure))
        };
        self.servers.iter().map(answer).collect()
    }

    /// What a resolver says: the first answer that says something.
    pub(crate) fn resolve(&self, key: &Key) -> Answer {
        let answers = self.answers(key);
        let heard = answers.iter().find(|answer| !matches!(answer, Answer::Failed(_)));
        heard.unwrap_or(&answers[0]).clone()
    }
}

fn failure(word: &str) -> Option<Failure> {
    Some(match word {
        "TIMEOUT" => Failure::Timeout,
        "SERVFAIL" => Failure::ServFail,
        "REFUSED" => Failure::Refused,
        "LAME" => Failure::Lame,
        "BOGUS" => Failure::Bogus,
        _ => return None,
    })
}
