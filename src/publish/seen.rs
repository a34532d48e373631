//! What DNS shows of a zone, in the form in which a provider tells what it holds. Pure: answers in, content out.
//!
//! A wildcard answers for every name that does not exist (RFC 4592 section 2.2.1), so what it says need be no record of the
//! name that was asked for. It is known by a name beside it that nobody has: what that answers alike is marked.

use std::collections::{BTreeMap, BTreeSet};

use super::{Live, LiveRrset, PublishError};
use crate::lookup::{Answer, Direct, Failure, Server};
use crate::name::Name;
use crate::record::{Key, RecordType};
use crate::tenancy::Home;

/// A label that nobody has.
const PROBE: &str = "maildomain-wildcard-probe";

/// The name that a wildcard would answer for as for this one.
fn probe(name: &Name) -> Option<Name> {
    Name::parse(&format!("{PROBE}.{}", name.parent()?)).ok()
}

/// The types that matter at each name, and at the names that tell wildcards. Of those only such as lie within the names
/// themselves: beside the topmost ones, other zones begin.
pub fn questions(names: &BTreeSet<Name>) -> BTreeSet<Key> {
    let within = |probe: &Name| names.iter().any(|top| top != probe && probe.is_within(top));
    let probes = names.iter().filter_map(probe).filter(within);
    types_at(names)
        .chain(types_at(&probes.collect::<BTreeSet<_>>()))
        .collect()
}

fn types_at(names: &BTreeSet<Name>) -> impl Iterator<Item = Key> {
    const FORWARD: &[RecordType] = &[
        RecordType::A,
        RecordType::Aaaa,
        RecordType::Cname,
        RecordType::Mx,
        RecordType::Txt,
    ];
    const REVERSE: &[RecordType] = &[RecordType::Cname, RecordType::Ptr, RecordType::Txt];
    names.iter().flat_map(|name| {
        let reverse = name.labels().next_back() == Some("arpa");
        let types = if reverse { REVERSE } else { FORWARD };
        types.iter().map(|t| Key::new(name.clone(), *t))
    })
}

/// What the zone's servers hold, from what they said. A server that lags may say less or more than the others, so
/// every server's records count; one that failed says nothing. When all failed, nothing is known.
pub fn gather(zone: &Name, keys: &BTreeSet<Key>, direct: &Direct) -> Result<Live, PublishError> {
    let mut live = Live::default();
    for key in keys.iter().filter(|key| !is_probe(&key.name)) {
        if let Some(failure) = direct.unreachable.get(&key.name) {
            return Err(unanswered(zone, [*failure]));
        }
        let answers = direct.answers.get(key).map(Vec::as_slice).unwrap_or_default();
        if answers.iter().all(|(_, a)| matches!(a, Answer::Failed(_))) {
            let failures = answers.iter().filter_map(|(_, a)| a.values().err());
            return Err(unanswered(zone, failures));
        }
        add_all(&mut live, key, answers, direct);
    }
    Ok(live)
}

fn add_all(live: &mut Live, key: &Key, answers: &[(Server, Answer)], direct: &Direct) {
    for (_, answer) in answers {
        add(live, key, answer);
    }
    let holds = |answer: &Answer| answer.values().is_ok_and(|values| !values.is_empty());
    let mut found = answers.iter().filter(|(_, answer)| holds(answer));
    if live.rrsets.contains_key(key)
        && found.all(|(server, answer)| is_of_wildcard(key, server, answer, direct))
    {
        live.of_wildcards.insert(key.clone());
    }
}

fn is_probe(name: &Name) -> bool {
    name.labels().next() == Some(PROBE)
}

/// Whether the server says the same of a name that does not exist.
fn is_of_wildcard(key: &Key, server: &Server, answer: &Answer, direct: &Direct) -> bool {
    let said = |answer: &Answer| answer.values().ok().filter(|values| !values.is_empty());
    let beside = probe(&key.name).map(|name| Key::new(name, key.record_type));
    let mut beside = beside.iter().filter_map(|key| direct.answers.get(key)).flatten();
    said(answer).is_some_and(|here| {
        beside.any(|(other, answer)| other == server && said(answer).is_some_and(|there| there == here))
    })
}

fn add(live: &mut Live, key: &Key, answer: &Answer) {
    match answer {
        Answer::Records { values, aliases, ttl } if aliases.is_empty() => {
            let rrset: &mut LiveRrset = live.rrsets.entry(key.clone()).or_default();
            // Servers of one zone agree on the TTL; a resolver in their place counts down from it.
            rrset.ttl = rrset.ttl.max(*ttl);
            let records = values.iter().map(|v| (v.to_string(), Some(v.clone())));
            rrset.records.extend(records);
        }
        // Records behind an alias stand at another name; the alias itself is asked for too.
        Answer::Records { .. } | Answer::NoData { .. } | Answer::NxDomain { .. } | Answer::Failed(_) => {}
    }
}

/// Servers that all refuse or lack the zone do not serve it; any other failure may pass.
fn unanswered(zone: &Name, failures: impl IntoIterator<Item = Failure>) -> PublishError {
    let mut failures = failures.into_iter().peekable();
    let refused = |failure| matches!(failure, Failure::Refused | Failure::Lame);
    if failures.peek().is_some() && failures.all(refused) {
        PublishError::ZoneMissing(zone.clone())
    } else {
        PublishError::Unreachable
    }
}

/// The same by name, for names without a provider: one that could not be asked says nothing about the others.
pub fn by_name(names: &BTreeSet<Name>, direct: &Direct) -> BTreeMap<Home, Result<Live, PublishError>> {
    let read = |name: &Name| {
        let mut live = Live::default();
        for key in types_at(&[name.clone()].into()) {
            let answers = direct.answers.get(&key).map(Vec::as_slice).unwrap_or_default();
            let unreachable = direct.unreachable.get(name).copied();
            let failed = answers.iter().find_map(|(_, answer)| answer.values().err());
            if answers
                .iter()
                .all(|(_, answer)| matches!(answer, Answer::Failed(_)))
            {
                let failure = unreachable.or(failed).unwrap_or(Failure::NotAsked);
                return Err(PublishError::Unseen(name.clone(), failure));
            }
            add_all(&mut live, &key, answers, direct);
        }
        Ok(live)
    };
    names
        .iter()
        .map(|name| (Home::in_dns(name), read(name)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Value;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn names(texts: &[&str]) -> BTreeSet<Name> {
        texts.iter().copied().map(name).collect()
    }

    #[test]
    fn wildcards_are_asked_for_beside_each_name_but_the_topmost() {
        let asked = questions(&names(&[
            "corp.example",
            "mail.corp.example",
            "s._domainkey.corp.example",
        ]));
        let probed: BTreeSet<&str> = asked
            .iter()
            .filter(|key| is_probe(&key.name))
            .map(|key| key.name.as_str())
            .collect();
        let expected = [
            "maildomain-wildcard-probe._domainkey.corp.example",
            "maildomain-wildcard-probe.corp.example",
        ];
        assert_eq!(probed, expected.into());
    }

    #[test]
    fn what_a_wildcard_answers_too_is_marked() {
        let server = Server {
            name: name("ns1.dns.example"),
            address: "203.0.113.53".parse().unwrap(),
        };
        let mail = Key::new(name("mail.corp.example"), RecordType::A);
        let other = Key::new(name("maildomain-wildcard-probe.corp.example"), RecordType::A);
        let says = |address: &str| {
            let answer = Answer::Records {
                values: [Value::A(address.parse().unwrap())].into(),
                aliases: Vec::new(),
                ttl: 60,
            };
            vec![(server.clone(), answer)]
        };
        let seen = |wildcard: &str| {
            let direct = Direct {
                answers: [
                    (mail.clone(), says("203.0.113.4")),
                    (other.clone(), says(wildcard)),
                ]
                .into(),
                ..Direct::default()
            };
            let keys = [mail.clone(), other.clone()].into();
            gather(&name("corp.example"), &keys, &direct)
                .unwrap()
                .of_wildcards
        };
        assert_eq!(seen("203.0.113.4"), [mail.clone()].into());
        assert!(seen("203.0.113.5").is_empty(), "the name has a record of its own");
    }
}
