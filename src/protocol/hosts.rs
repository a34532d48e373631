//! Declared hosts and envelope domains that are aliases: their addresses, and that the world sees them so.
//!
//! Hosts outside the domain are never written and always looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use super::{Check, Declaration, Evidence, Protocol, Purpose, Wanted};
use crate::api::Severity;
use crate::cidr::Cidr;
use crate::finding::{Finding, Gate};
use crate::intent::{Host, HostAt, Intent, ReturnPath};
use crate::lookup::{Facts, Failure};
use crate::name::Name;
use crate::record::{Key, RecordType, Value};

/// Hosts.
pub const PROTOCOL: Protocol = Protocol {
    name: "hosts",
    desired,
    checks: &[ADDRESS_PUBLIC, RESOLVES, CNAME_TARGET],
};

const ADDRESS_PUBLIC: Check = Check {
    id: "host-address-public",
    title: "Declared addresses can be reached from the Internet",
    source: "RFC 6890",
    gate: Gate::Hosts,
    run: address_public,
};

const RESOLVES: Check = Check {
    id: "host-resolves",
    title: "Declared hosts resolve as declared",
    source: "RFC 1034 section 3.6",
    gate: Gate::Hosts,
    run: resolves,
};

const CNAME_TARGET: Check = Check {
    id: "dns-cname-target",
    title: "Aliases end in something",
    source: "RFC 1034 section 3.6.2",
    gate: Gate::Hosts,
    run: cname_target,
};

/// Ranges that no receiver can reach, or that are not for use (IANA special-purpose registries).
const NOT_PUBLIC: &[(&str, &str)] = &[
    ("0.0.0.0/8", "of no host"),
    ("10.0.0.0/8", "private (RFC 1918)"),
    ("100.64.0.0/10", "shared behind carrier NAT (RFC 6598)"),
    ("127.0.0.0/8", "loopback"),
    ("169.254.0.0/16", "link-local"),
    ("172.16.0.0/12", "private (RFC 1918)"),
    ("192.0.0.0/24", "reserved for protocols (RFC 6890)"),
    ("192.0.2.0/24", "for documentation (RFC 5737)"),
    ("192.168.0.0/16", "private (RFC 1918)"),
    ("198.18.0.0/15", "for benchmarks (RFC 2544)"),
    ("198.51.100.0/24", "for documentation (RFC 5737)"),
    ("203.0.113.0/24", "for documentation (RFC 5737)"),
    ("224.0.0.0/4", "multicast"),
    ("240.0.0.0/4", "reserved"),
    ("::/128", "of no host"),
    ("::1/128", "loopback"),
    ("fc00::/7", "unique local (RFC 4193)"),
    ("fe80::/10", "link-local"),
    ("ff00::/8", "multicast"),
    ("2001:2::/48", "for benchmarks (RFC 5180)"),
    ("2001:db8::/32", "for documentation (RFC 3849)"),
    ("3fff::/20", "for documentation (RFC 9637)"),
];

/// What an address is for when it is not for hosts on the Internet; `None` for public addresses.
pub fn not_public(address: IpAddr) -> Option<&'static str> {
    let listed = NOT_PUBLIC.iter().find_map(|(range, what)| {
        let range = range.parse::<Cidr>().ok()?;
        range.contains(address).then_some(*what)
    });
    // RFC 4291 section 2.4: only 2000::/3 is given to networks.
    listed.or(match address {
        IpAddr::V6(v6) if v6.octets()[0] & 0xe0 != 0x20 => Some("reserved"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    })
}

fn desired(declaration: &Declaration<'_>) -> Vec<Wanted> {
    let intent = declaration.intent;
    let mut wanted: BTreeMap<Key, Wanted> = BTreeMap::new();
    let hosts = intent.hosts.iter().filter(|host| intent.owns(&host.name));
    for found in hosts.flat_map(host_records).chain(envelope_aliases(intent)) {
        // Two senders may share an envelope domain; one alias is enough, and more than one is no alias.
        wanted.entry(found.key.clone()).or_insert(found);
    }
    wanted.into_values().collect()
}

fn host_records(host: &Host) -> Vec<Wanted> {
    let exclusive = |values: Vec<Value>| Wanted::exclusive(host.name.clone(), Purpose::Host, values);
    let records = match &host.at {
        HostAt::Addresses(addresses) => {
            let values = |ipv4| {
                let family = addresses.iter().filter(|address| address.is_ipv4() == ipv4);
                family.map(|address| address_value(*address)).collect()
            };
            vec![exclusive(values(true)), exclusive(values(false))]
        }
        HostAt::Alias(target) => vec![exclusive(vec![Value::Cname(target.clone())])],
    };
    records.into_iter().flatten().collect()
}

fn envelope_aliases(intent: &Intent) -> impl Iterator<Item = Wanted> {
    intent
        .senders
        .iter()
        .filter_map(|sender| match &sender.return_path {
            ReturnPath::Alias { name, target } if intent.owns(name) => {
                let value = Value::Cname(target.clone());
                Wanted::exclusive(name.clone(), Purpose::ReturnPath, [value])
            }
            ReturnPath::Alias { .. } | ReturnPath::Domain { .. } | ReturnPath::Vendor => None,
        })
}

fn address_value(address: IpAddr) -> Value {
    match address {
        IpAddr::V4(v4) => Value::A(v4),
        IpAddr::V6(v6) => Value::Aaaa(v6),
    }
}

fn address_public(evidence: &Evidence<'_>) -> Vec<Finding> {
    let declaration = evidence.declaration;
    if declaration.private_zone {
        return Vec::new();
    }
    let intent = declaration.intent;
    let of_hosts = intent.hosts.iter().flat_map(|host| {
        let bad = host.addresses().iter().filter_map(|address| Some((*address, not_public(*address)?)));
        bad.map(|(address, what)| {
            let message = format!(
                "{} has {address}, which is {what} and cannot be reached from the Internet. Put the address that the \
                 Internet sees (NAT or load balancer, not the pod's) into spec.hosts[].addresses.",
                host.name
            );
            ADDRESS_PUBLIC.finding(Severity::Fail, &host.name, message)
        })
    });
    let of_senders = intent.senders.iter().flat_map(|sender| {
        let bad = sender.egress.iter().filter_map(|range| Some((range, not_public(range.address())?)));
        bad.map(|(range, what)| {
            let message = format!(
                "Sender {} leaves from {range}, which is {what}, so no receiver sees that address. Put the range that \
                 the Internet sees into its egress.",
                sender.name
            );
            ADDRESS_PUBLIC.finding(Severity::Fail, &intent.domain, message)
        })
    });
    of_hosts.chain(of_senders).collect()
}

fn resolves(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let judged = intent.hosts.iter().filter_map(|host| match &host.at {
        HostAt::Addresses(declared) => addresses_agree(intent, evidence.facts, host, declared),
        HostAt::Alias(target) => alias_agrees(intent, evidence.facts, host, target),
    });
    judged
        .map(|(severity, name, message)| RESOLVES.finding(severity, name, message))
        .collect()
}

type Verdict<'a> = (Severity, &'a Name, String);

fn addresses_agree<'a>(
    intent: &Intent,
    facts: &Facts,
    host: &'a Host,
    declared: &[IpAddr],
) -> Option<Verdict<'a>> {
    let name = &host.name;
    let found = match addresses(facts, name) {
        Ok(found) => found,
        Err(failure) => return Some((Severity::Unknown, name, cannot_look(name, failure))),
    };
    let declared: BTreeSet<IpAddr> = declared.iter().copied().collect();
    let missing: Vec<&IpAddr> = declared.difference(&found).collect();
    let others: Vec<&IpAddr> = found.difference(&declared).collect();
    if let Some(first) = missing.first() {
        let value = address_value(**first);
        let line = format!("{name}. {} {value}", value.record_type());
        let seen = if found.is_empty() {
            "has no address".to_owned()
        } else {
            format!("resolves to {} and not to {}", list(&found), list(&missing))
        };
        let message = format!(
            "{name} {seen}. {}, or correct spec.hosts.",
            publish(intent, name, &line)
        );
        return Some((Severity::Fail, name, message));
    }
    if others.is_empty() {
        return None;
    }
    let message = format!(
        "{name} also resolves to {}, which is not declared. Remove that record, or add the address to spec.hosts.",
        list(&others)
    );
    Some((Severity::Warn, name, message))
}

fn alias_agrees<'a>(intent: &Intent, facts: &Facts, host: &'a Host, target: &Name) -> Option<Verdict<'a>> {
    let name = &host.name;
    let unknown = |failure| Some((Severity::Unknown, name, cannot_look(name, failure)));
    let aliases = match facts.ask(name, RecordType::Cname).values() {
        Ok(aliases) => aliases,
        Err(failure) => return unknown(failure),
    };
    if aliases.contains(&Value::Cname(target.clone())) {
        return None;
    }
    let line = publish(intent, name, &format!("{name}. CNAME {target}."));
    if let Some(other) = aliases.first() {
        let message =
            format!("{name} is an alias of {other} and not of {target}. {line}, or correct spec.hosts.");
        return Some((Severity::Fail, name, message));
    }
    // Some providers flatten: they answer the target's addresses in place of the alias. That resolves, too.
    match (addresses(facts, name), addresses(facts, target)) {
        (Err(failure), _) | (_, Err(failure)) => unknown(failure),
        (Ok(own), _) if own.is_empty() => {
            let message = format!("{name} does not resolve: the alias of {target} is missing. {line}.");
            Some((Severity::Fail, name, message))
        }
        // In place of the alias its addresses are answered: `dns-cname-flattened` says so.
        (Ok(_), Ok(_)) => None,
    }
}

fn cname_target(evidence: &Evidence<'_>) -> Vec<Finding> {
    let (intent, facts) = (evidence.declaration.intent, evidence.facts);
    let hosts = intent.hosts.iter().filter_map(|host| match &host.at {
        HostAt::Alias(target) => Some((&host.name, target, false)),
        HostAt::Addresses(_) => None,
    });
    let envelopes = intent
        .senders
        .iter()
        .filter_map(|sender| match &sender.return_path {
            ReturnPath::Alias { name, target } => Some((name, target, true)),
            ReturnPath::Domain { .. } | ReturnPath::Vendor => None,
        });
    hosts
        .chain(envelopes)
        .filter_map(|(name, target, envelope)| {
            let (types, what) = if envelope {
                ([RecordType::Txt, RecordType::Mx], "neither MX nor TXT")
            } else {
                ([RecordType::A, RecordType::Aaaa], "no address")
            };
            let (severity, message) = match holds_any(facts, target, types) {
                Ok(true) => return None,
                Ok(false) => (
                    Severity::Fail,
                    format!(
                        "{name} is an alias of {target}, which has {what}; a stranger may be able to claim that name. \
                         Correct the target in the spec, or remove the alias."
                    ),
                ),
                Err(failure) => (Severity::Unknown, cannot_look(target, failure)),
            };
            Some(CNAME_TARGET.finding(severity, name, message))
        })
        .collect()
}

/// Whether there are records of one of the types; a failure counts only when no other answer settles it.
fn holds_any(facts: &Facts, name: &Name, types: [RecordType; 2]) -> Result<bool, Failure> {
    let [first, second] = types.map(|record_type| facts.ask(name, record_type).values());
    match (first, second) {
        (Ok(values), _) | (_, Ok(values)) if !values.is_empty() => Ok(true),
        (Err(failure), _) | (_, Err(failure)) => Err(failure),
        (Ok(_), Ok(values)) => Ok(!values.is_empty()),
    }
}

/// Every address of a name, both families.
pub(super) fn addresses(facts: &Facts, name: &Name) -> Result<BTreeSet<IpAddr>, Failure> {
    let answers = [RecordType::A, RecordType::Aaaa].map(|record_type| facts.ask(name, record_type).values());
    let mut found = BTreeSet::new();
    for values in answers {
        found.extend(values?.into_iter().filter_map(|value| match value {
            Value::A(v4) => Some(IpAddr::V4(v4)),
            Value::Aaaa(v6) => Some(IpAddr::V6(v6)),
            Value::Cname(_) | Value::Mx { .. } | Value::Ptr(_) | Value::Txt(_) => None,
        }));
    }
    Ok(found)
}

/// The sentence for an answer that is missing.
pub(super) fn cannot_look(name: &Name, failure: Failure) -> String {
    format!(
        "{name} could not be looked up: DNS {failure}. This is asked again; if it stays, repair its name servers."
    )
}

/// Whom to tell: ours is published by us, unless a conflict or a provider keeps it out.
fn publish(intent: &Intent, name: &Name, line: &str) -> String {
    if intent.owns(name) {
        format!("The zone must hold `{line}`")
    } else {
        format!("Ask the owner of the zone of {name} for `{line}`")
    }
}

/// The first three, and how many more.
pub(super) fn list<T: fmt::Display>(items: impl IntoIterator<Item = T>) -> String {
    let mut all: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    let more = all.len().saturating_sub(3);
    all.truncate(3);
    let shown = all.join(", ");
    if more == 0 {
        shown
    } else {
        format!("{shown} and {more} more")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::dmarc::scene::Scene;
    use super::*;

    const WORLD: &str = "www.example.com A 198.41.0.10
        mail.example.com A 198.41.0.4
        mail.example.com AAAA 2a00::4
        trk.example.com CNAME trk.vendor.net
        trk.vendor.net A 198.41.0.99
        mta.platform.net A 198.41.0.9
        em.example.com CNAME u42.vendor.net
        u42.vendor.net TXT v=spf1 -all
        u42.vendor.net MX 10 mx.vendor.net";

    fn spec() -> Scene {
        Scene::of("example.com")
            .with(
                "hosts",
                json!([
                    { "name": "www.example.com", "purpose": "Web", "addresses": ["198.41.0.10"] },
                    { "name": "mail.example.com", "purpose": "Mail", "addresses": ["198.41.0.4", "2a00::4"] },
                    { "name": "trk.example.com", "purpose": "MessageTracking", "target": "trk.vendor.net" },
                    { "name": "mta.platform.net", "purpose": "Mail", "addresses": ["198.41.0.9"] }
                ]),
            )
            .with(
                "senders",
                json!([
                    { "name": "a", "returnPath": { "domain": "em.example.com", "target": "u42.vendor.net" } },
                    { "name": "b", "returnPath": { "domain": "em.example.com", "target": "u42.vendor.net" },
                      "egress": ["198.41.0.16/29"] }
                ]),
            )
    }

    /// The findings after replacing one text of the world by another.
    fn after(from: &str, to: &str) -> Vec<String> {
        assert!(WORLD.contains(from), "{from}");
        let mut found = spec().zone(&WORLD.replace(from, to)).findings(PROTOCOL.checks);
        found.sort();
        found
    }

    #[test]
    fn hosts_of_the_domain_are_wanted_and_no_others() {
        let wanted: Vec<String> = spec().declared(|declaration| {
            desired(declaration)
                .iter()
                .map(|w| format!("{} {} {}", w.key, w.purpose, list(&w.values)))
                .collect()
        });
        assert_eq!(
            wanted,
            [
                "em.example.com CNAME ReturnPath u42.vendor.net.",
                "mail.example.com A Host 198.41.0.4",
                "mail.example.com AAAA Host 2a00::4",
                "trk.example.com CNAME Host trk.vendor.net.",
                "www.example.com A Host 198.41.0.10",
            ]
        );
    }

    #[test]
    fn a_world_as_declared_has_no_findings_and_each_change_has_its_own() {
        assert!(after("www", "www").is_empty());
        for (from, to, wanted) in [
            (
                "www.example.com A 198.41.0.10",
                "www.example.com A 198.41.0.11",
                &["Fail host-resolves"][..],
            ),
            ("www.example.com A 198.41.0.10", "", &["Fail host-resolves"]),
            ("mail.example.com AAAA 2a00::4", "", &["Fail host-resolves"]),
            (
                "mail.example.com AAAA 2a00::4",
                "mail.example.com AAAA 2a00::4\nmail.example.com AAAA 2a00::5",
                &["Warn host-resolves"],
            ),
            (
                "mta.platform.net A 198.41.0.9",
                "mta.platform.net A 198.41.0.8",
                &["Fail host-resolves"],
            ),
            (
                "mta.platform.net A 198.41.0.9",
                "mta.platform.net SERVFAIL",
                &["Unknown host-resolves"],
            ),
            (
                "trk.example.com CNAME trk.vendor.net",
                "",
                &["Fail host-resolves"],
            ),
            (
                "CNAME trk.vendor.net",
                "CNAME trk.other.net",
                &["Fail host-resolves"],
            ),
            (
                "trk.example.com CNAME trk.vendor.net",
                "trk.example.com A 198.41.0.99",
                &[],
            ),
            (
                "trk.example.com CNAME trk.vendor.net",
                "trk.example.com A 198.41.0.98",
                // `dns-cname-flattened` says so.
                &[],
            ),
            (
                "trk.example.com CNAME trk.vendor.net",
                "trk.example.com SERVFAIL",
                &["Unknown host-resolves"],
            ),
            ("trk.vendor.net A 198.41.0.99", "", &["Fail dns-cname-target"]),
            (
                "trk.vendor.net A 198.41.0.99",
                "trk.vendor.net SERVFAIL",
                &["Unknown dns-cname-target"],
            ),
            (
                "u42.vendor.net TXT v=spf1 -all\n        u42.vendor.net MX 10 mx.vendor.net",
                "",
                &["Fail dns-cname-target"],
            ),
        ] {
            assert_eq!(after(from, to), wanted, "{from} -> {to}");
        }
    }

    #[test]
    fn addresses_that_nobody_reaches_fail_unless_the_zone_is_private() {
        for (address, public) in [
            ("198.41.0.4", true),
            ("2a00::4", true),
            ("192.168.0.4", false),
            ("172.31.255.255", false),
            ("172.32.0.1", true),
            ("100.127.0.1", false),
            ("127.0.0.1", false),
            ("203.0.113.4", false),
            ("239.0.0.1", false),
            ("255.255.255.255", false),
            ("fd00::1", false),
            ("2001:db8::4", false),
            ("::ffff:198.41.0.4", false),
            ("64:ff9b::1", false),
        ] {
            let hosts = json!([{ "name": "a.example.com", "purpose": "Web", "addresses": [address] }]);
            let scene = Scene::of("example.com").with("hosts", hosts);
            let found = scene.findings(&[ADDRESS_PUBLIC]);
            assert_eq!(found.is_empty(), public, "{address} {found:?}");
            let intent = scene.intent();
            let declaration = Declaration {
                intent: &intent,
                keys: &[],
                policy_gate: crate::protocol::PolicyGate::Released,
                private_zone: true,
            };
            let facts = Facts::default();
            let evidence = Evidence {
                declaration: &declaration,
                facts: &facts,
                direct: &crate::lookup::Direct::default(),
            };
            assert!(address_public(&evidence).is_empty());
        }
        let senders = json!([{ "name": "a", "egress": ["10.0.0.0/24"] }]);
        let found = Scene::of("example.com").with("senders", senders);
        assert_eq!(found.findings(&[ADDRESS_PUBLIC]), ["Fail host-address-public"]);
    }

    #[test]
    fn every_range_is_one() {
        for (range, _) in NOT_PUBLIC {
            assert!(range.parse::<Cidr>().is_ok(), "{range}");
        }
    }

    #[test]
    fn messages_name_the_line_to_publish() {
        let message = spec()
            .zone(&WORLD.replace("mail.example.com AAAA 2a00::4", ""))
            .message(&[RESOLVES], "host-resolves");
        assert_eq!(
            message,
            "mail.example.com resolves to 198.41.0.4 and not to 2a00::4. The zone must hold \
             `mail.example.com. AAAA 2a00::4`, or correct spec.hosts."
        );
        assert_eq!(list([1, 2, 3, 4, 5]), "1, 2, 3 and 2 more");
    }
}
