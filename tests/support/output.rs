//! What the operator publishes has no finding of its own: any declaration that can be used, its records as they would stand in DNS
//! beside sound ones of vendors, judged.

use std::collections::{BTreeMap, BTreeSet};

use maildomain::api::MailDomainSpec;
use maildomain::intent::{self, Intent};
use maildomain::lookup::{Answer, Direct, Facts};
use maildomain::name::Name;
use maildomain::protocol::{self, Declaration, Evidence, PolicyGate, SigningKey};
use maildomain::record::{Key, Value, Values};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// Public keys, one for each sender: a shared one would be found.
const KEYS: [&str; 4] = [
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAtnwFl7ld9FH3QxdbGyF1i1KV6AcIui6xTP5Le7G7lVaKh04JWQoLeVFXRHWakuw4MoVGXGGCA6YreXxPra4tpvCQSbgtoU6v4YrQSAwTBoH+SmFHeA9mDH9dT6t4dVDnxmINHqeKbqBitmRs0lAeV3RdXR6wUak0L32aOpXk8KcEqEhZHcADRex6jqYLtGYDAjVZnEJKJVJ7vEmFCeUv5g9iQvvQ2mpE+l9hkej2qgJ19YsrWitdZkewjURYj4RxV6Y3hppQCiZoWOKvP2zKuBo/cxvUWbqprco01MbnBTDosOWlPPkk5ClgQsf+euB+pEa9Ka2xSeO5F2npwXbV1wIDAQAB",
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEArXkeDWteMS6sblu8vpNeqxxykj2Y7wZQTCJVLI+G4fgb6UadfBxo9C0UPNlRg8FK8sZSeUzjDAwf8T5rbjgsBHiUuiHm29rRNcUmTZ4EhpxNBhBLZEu7Dh1LE7vP5qTLvc0BuIPxr9Ls3PunFzmfTbo/qHIqQ7pH6zdjw4hsnEksqRIjaEo1zXgwKE7Jq2IPzQ4tBzTdsIvnZ+JFRNTDczSgKFIE2PUSBe6HHmb7gMwShEpSusai3hfQIFVreP5t1SxiSgktBhodbAPCQudmaYmCQn5n3w3r1ydwJBsq3qYIVw8bX+/fGYKaOogJufHAUnEjBwLzI8V0m6ICgwsswQIDAQAB",
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAraoh+mwJIA9dqzXXmEeP090qCU9cT8+dpMyMbaokKxXbeF7uWKk3BPPGgqKvKv6D+jqGqG3FkBDcfOOh6ewbmzQJlsryKaOOBxHU3RZBuICbM8/PrZnPsGga2MOHUK4dvJB9i1gWOAjNISzot7ETqwgnwoed7FiR/A5kWWRW/MgCqdmUMte/4WwqimQIaLoCwuOI8/hHB1xtN1RhextiqUcG7SEDm5nkpGjq8yG7lUQB+UfMXUnyZjGP6YCl6J3qtux3JHORW7b51AqmPDfVZl5ZME0OPPtlo3Zq60rnRTcN4mTObkfg/ZoLVxYDStKWl5kddubh/GglEE283mZMvQIDAQAB",
    "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAj5lFDOuKAz3dsKFhKa1LNbT2mZi8xy5qvteaoQSvq5fcCxKGuX47QkaIUWPvggXPP+MRD346UG8Zfa/5mBbCqq9W3KjPV6pAmIRQiXMu57g9K2MgZdAvKOjo+uVOz1N84zK47PspOGsuzgHcCcgWSq9gk8S0eZ9KxO8Puv2iHl6aE2eGDBDIbz7s0b+2+MY0DDqSH2Ejw7getQaQ8oA1bb6fHHGVkJvjEN7St8n/6flkJgo1af+FA0VcVnlefRA2eOl2RhFqcoIM0cvwzAw37zi9NXHI80CLpFHiUbHi9gzRQrcSvQBToy6HP2X4BmrimDxloAE9uxrrZAOry5BtZQIDAQAB",
];

/// What stands at vendors.
const VENDORS: [(&str, &str, &str); 7] = [
    ("_spf.vendor.example", "TXT", "\"v=spf1 ip4:198.41.9.0/24 -all\""),
    ("u42.vendor.example", "TXT", "\"v=spf1 ip4:198.41.9.1 -all\""),
    ("u42.vendor.example", "MX", "10 feedback.vendor.example."),
    ("feedback.vendor.example", "A", "198.41.9.2"),
    ("trk.vendor.example", "A", "198.41.9.3"),
    ("reports.example", "MX", "10 feedback.vendor.example."),
    (
        "corp.example._report._dmarc.reports.example",
        "TXT",
        "\"v=DMARC1;\"",
    ),
];

/// What a sender is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Our own hosts, with the domain in the envelope or a name below it.
    Own { below: bool, egress: bool },
    /// A vendor that we include.
    Included,
    /// A vendor whose envelope domain is an alias.
    Aliased,
}

fn kinds() -> impl Strategy<Value = Vec<Kind>> {
    let own = (any::<bool>(), any::<bool>()).prop_map(|(below, egress)| Kind::Own { below, egress });
    let own = proptest::collection::vec(own, 1..=2);
    let vendors = proptest::collection::vec(prop_oneof![Just(Kind::Included), Just(Kind::Aliased)], 0..=2);
    (own, vendors).prop_map(|(own, vendors)| own.into_iter().chain(vendors).collect())
}

fn sender(number: usize, kind: Kind) -> Json {
    match kind {
        Kind::Own { below, egress } => {
            let mut sender = json!({
                "name": format!("own{number}"),
                "hosts": [format!("mail{number}.corp.example")],
                "dkim": {"keys": [{"name": "rsa", "publicKey": {"selector": format!("s{number}"), "algorithm": "RSA", "value": KEYS[number]}}]},
            });
            if below {
                let mx = json!([{"host": "mail0.corp.example", "preference": 10}]);
                sender["returnPath"] = json!({"domain": format!("bounce{number}.corp.example"), "mx": mx});
            }
            if egress {
                sender["egress"] = json!([format!("198.41.1.{}/32", number + 1)]);
            }
            sender
        }
        Kind::Included => json!({
            "name": format!("included{number}"),
            "returnPath": {"domain": format!("v{number}.corp.example"), "mx": [{"host": "feedback.vendor.example", "preference": 10}]},
            "spf": {"includes": ["_spf.vendor.example"]},
            "dkim": {"keys": [{"name": "k", "delegate": {"selector": format!("v{number}"), "target": format!("k{number}.dkim.vendor.example")}}]},
        }),
        Kind::Aliased => json!({
            "name": format!("aliased{number}"),
            "returnPath": {"domain": format!("em{number}.corp.example"), "target": "u42.vendor.example"},
            "dkim": {"keys": [{"name": "k", "delegate": {"selector": format!("e{number}"), "target": format!("k{number}.dkim.vendor.example")}}]},
        }),
    }
}

prop_compose! {
    fn declarations()(
        kinds in kinds(),
        v6 in any::<bool>(),
        tracking in any::<bool>(),
        all in proptest::sample::select(&["SoftFail", "Fail"][..]),
        policy in proptest::sample::select(&["Quarantine", "Reject"][..]),
        elsewhere in any::<bool>(),
        logo in any::<bool>(),
    ) -> Json {
        let mut hosts: Vec<Json> = (0..2).map(|number| {
            let mut addresses = vec![format!("198.41.0.{}", number + 4)];
            if v6 { addresses.push(format!("2a00:c0de::{}", number + 4)); }
            json!({"name": format!("mail{number}.corp.example"), "purpose": "Mail", "addresses": addresses, "reverse": "Publish"})
        }).collect();
        if tracking {
            hosts.push(json!({"name": "trk.corp.example", "purpose": "MessageTracking", "target": "trk.vendor.example"}));
        }
        let senders: Vec<Json> = kinds.iter().enumerate().map(|(number, kind)| sender(number, *kind)).collect();
        let mut reports = vec!["mailto:report@corp.example"];
        if elsewhere { reports.push("mailto:corp@reports.example"); }
        let mut spec = json!({
            "domain": "corp.example",
            "publishing": {"providerRefs": [{"kind": "ClusterDNSProvider", "name": "corp"}]},
            "hosts": hosts,
            "receiving": {"mx": [{"host": "mail0.corp.example", "preference": 10}]},
            "senders": senders,
            "spf": {"all": all},
            "dmarc": {"policy": policy, "aggregateReports": reports},
        });
        if logo {
            spec["bimi"] = json!({"logo": "https://corp.example/logo.svg", "certificate": "https://corp.example/vmc.pem"});
        }
        spec
    }
}

/// Everything that stands in DNS.
fn world(intent: &Intent, declaration: &Declaration<'_>) -> BTreeMap<Key, Values> {
    let mut world: BTreeMap<Key, Values> = BTreeMap::new();
    for wanted in protocol::desired(declaration) {
        world.entry(wanted.key).or_default().extend(wanted.values);
    }
    let mut add = |name: Name, value: Value| {
        let key = Key::new(name, value.record_type());
        world.entry(key).or_default().insert(value);
    };
    for (name, kind, data) in VENDORS {
        let kind = maildomain::record::RecordType::parse(kind).unwrap();
        add(Name::parse(name).unwrap(), Value::parse(kind, data).unwrap());
    }
    for (number, key) in KEYS.iter().enumerate() {
        let name = Name::parse(&format!("k{number}.dkim.vendor.example")).unwrap();
        add(name, Value::Txt(format!("v=DKIM1; k=rsa; p={key}")));
    }
    for address in intent.senders.iter().flat_map(|sender| &sender.egress) {
        let name = Name::parse("out.corp.example").unwrap();
        add(Name::reverse(address.address()), Value::Ptr(name.clone()));
        if let std::net::IpAddr::V4(v4) = address.address() {
            add(name, Value::A(v4));
        }
    }
    world
}

fn answer(world: &BTreeMap<Key, Values>, key: &Key) -> Answer {
    let alias = |name: &Name| {
        let values = world.get(&Key::new(name.clone(), maildomain::record::RecordType::Cname))?;
        match values.first()? {
            Value::Cname(target) => Some(target.clone()),
            _ => None,
        }
    };
    let ttl = 3600;
    if let Some(values) = world.get(key) {
        return Answer::Records {
            values: values.clone(),
            aliases: Vec::new(),
            ttl,
        };
    }
    if let Some(target) = alias(&key.name) {
        let values = world.get(&Key::new(target.clone(), key.record_type));
        return values.map_or(Answer::NoData { negative_ttl: 300 }, |values| Answer::Records {
            values: values.clone(),
            aliases: vec![target],
            ttl,
        });
    }
    let exists = world.keys().any(|other| other.name.is_within(&key.name));
    if exists {
        Answer::NoData { negative_ttl: 300 }
    } else {
        Answer::NxDomain { negative_ttl: 300 }
    }
}

proptest! {
    #[test]
    fn what_we_publish_has_no_finding_of_ours(spec in declarations()) {
        let spec: MailDomainSpec = serde_json::from_value(spec).unwrap();
        let intent = intent::parse(&spec).unwrap();
        let keys = SigningKey::declared(&intent);
        let declaration = Declaration {
            intent: &intent,
            keys: &keys,
            policy_gate: PolicyGate::Released,
            private_zone: false,
        };
        let world = world(&intent, &declaration);
        let mut facts = Facts::new(BTreeMap::new());
        let direct = Direct::default();
        let found = loop {
            let findings = protocol::findings(&Evidence { declaration: &declaration, facts: &facts, direct: &direct });
            let missing: BTreeSet<Key> = facts.take_missing();
            if missing.is_empty() { break findings; }
            for key in missing {
                let answer = answer(&world, &key);
                facts.learn(key, answer);
            }
        };
        prop_assert!(found.is_empty(), "{found:#?}");
    }
}
