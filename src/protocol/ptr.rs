//! Reverse names of mail hosts (RFC 1912 section 2.1, RFC 8601 section 3 "iprev") and the names that they greet with.
//!
//! A reverse name belongs to the owner of the address. Where we publish it (`reverse: Publish`) it must be right; where
//! another does (`Check`) the findings say what to ask for and hold nothing back.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::hosts::{addresses, cannot_look, list};
use super::{Check, Declaration, Evidence, Protocol, Purpose, Wanted};
use crate::api::{HostPurpose, Reverse, Severity};
use crate::cidr::Cidr;
use crate::finding::{Finding, Gate};
use crate::intent::{Host, Intent};
use crate::lookup::{Facts, Failure};
use crate::name::Name;
use crate::record::{RecordType, Value};

/// PTR.
pub const PROTOCOL: Protocol = Protocol {
    name: "PTR",
    desired,
    checks: &[FORWARD_CONFIRMED, EGRESS_CONFIRMED, HELO_IDENTITY, GENERIC],
};

const FORWARD_CONFIRMED: Check = Check {
    id: "ptr-forward-confirmed",
    title: "The reverse name of each sending address leads back to it",
    source: "RFC 8601 section 3, RFC 1912 section 2.1",
    gate: Gate::Hosts,
    run: forward_confirmed,
};

const EGRESS_CONFIRMED: Check = Check {
    id: "ptr-egress-confirmed",
    title: "The reverse names of egress ranges lead back to their addresses",
    source: "RFC 8601 section 3, RFC 1912 section 2.1",
    gate: Gate::Nothing,
    run: egress_confirmed,
};

const GENERIC: Check = Check {
    id: "ptr-generic",
    title: "Reverse names of senders look like those of servers",
    source: "RFC 1912 section 2.1",
    gate: Gate::Nothing,
    run: generic,
};

const HELO_IDENTITY: Check = Check {
    id: "helo-identity",
    title: "Mail hosts greet with a name that the world knows",
    source: "RFC 5321 section 4.1.1.1",
    gate: Gate::Hosts,
    run: helo_identity,
};

/// Reverse names of one address that are looked at (RFC 7208 section 4.6.4 has the same bound).
const MAX_NAMES: usize = 10;

/// Addresses of one egress range that are looked at; of a larger one the first stand for all.
const MAX_OF_RANGE: usize = 16;

/// Ends of names that mean something inside a cluster or a site only.
const INTERNAL: &[&str] = &["local", "internal", "localhost", "lan", "home.arpa"];

fn desired(declaration: &Declaration<'_>) -> Vec<Wanted> {
    let intent = declaration.intent;
    let mut names: BTreeMap<Name, &Name> = BTreeMap::new();
    for host in intent.hosts.iter().filter(|host| is_published(intent, host)) {
        for address in host.addresses() {
            // An address has one reverse name; hosts that share it are served by the first one's.
            names.entry(Name::reverse(*address)).or_insert(&host.name);
        }
    }
    names
        .into_iter()
        .filter_map(|(reverse, host)| {
            Wanted::exclusive(reverse, Purpose::Reverse, [Value::Ptr(host.clone())])
        })
        .collect()
}

/// Whether we write the reverse names of this host.
fn is_published(intent: &Intent, host: &Host) -> bool {
    host.purpose == HostPurpose::Mail && host.reverse == Reverse::Publish && intent.owns(&host.name)
}

/// The mail hosts that a sender names, each once.
fn sending_hosts(intent: &Intent) -> impl Iterator<Item = &Host> {
    let listed: BTreeSet<&Name> = intent.senders.iter().flat_map(|sender| &sender.hosts).collect();
    intent
        .hosts
        .iter()
        .filter(move |host| host.purpose == HostPurpose::Mail && listed.contains(&host.name))
}

fn forward_confirmed(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let mut findings = Vec::new();
    for host in sending_hosts(intent).filter(|host| host.reverse != Reverse::Ignore) {
        let ours = is_published(intent, host);
        for address in host.addresses() {
            let Some((severity, message)) = reverse_problem(evidence.facts, host, *address, ours) else {
                continue;
            };
            let mut finding = FORWARD_CONFIRMED.finding(severity, Name::reverse(*address), message);
            if !ours {
                finding.gate = Gate::Nothing;
            }
            findings.push(finding);
        }
    }
    findings
}

fn reverse_problem(facts: &Facts, host: &Host, address: IpAddr, ours: bool) -> Option<(Severity, String)> {
    let reverse = Name::reverse(address);
    let names = match reverse_names(facts, address) {
        Ok(names) => names,
        Err(failure) => return Some((Severity::Unknown, cannot_look(&reverse, failure))),
    };
    let line = format!("`{reverse}. PTR {}.`", host.name);
    let fix = if ours {
        format!("The reverse zone must hold {line}.")
    } else {
        format!("Only the owner of the address (provider, ISP) can set it: ask for {line}")
    };
    let severity = if ours { Severity::Fail } else { Severity::Warn };
    if names.is_empty() {
        let message = format!("{address} has no reverse name, so large receivers refuse its mail. {fix}");
        return Some((severity, message));
    }
    match confirmed(facts, &names, address) {
        Err(failure) => Some((Severity::Unknown, cannot_look(&reverse, failure))),
        Ok(false) => {
            let message = format!(
                "The reverse name of {address} is {}, which does not lead back to it. {fix}",
                list(names.iter().take(1))
            );
            Some((severity, message))
        }
        Ok(true) if names.len() > 1 => {
            let message = format!(
                "{address} has {} reverse names; receivers look at any one of them. {fix}",
                names.len()
            );
            Some((Severity::Warn, message))
        }
        Ok(true) => None,
    }
}

/// The addresses of a NAT gateway or a pool, whose hosts nobody declares: any name will do that leads back. It is the
/// address owner's to set, so it holds nothing.
fn egress_confirmed(evidence: &Evidence<'_>) -> Vec<Finding> {
    let senders = evidence.declaration.intent.senders.iter();
    let ranges = senders.flat_map(|sender| sender.egress.iter().map(move |range| (sender, *range)));
    ranges
        .filter_map(|(sender, range)| {
            let (severity, name, problem) = egress_problem(evidence.facts, range)?;
            let message = format!("Egress {range} of sender {}: {problem}", sender.name);
            Some(EGRESS_CONFIRMED.finding(severity, name, message))
        })
        .collect()
}

fn egress_problem(facts: &Facts, range: Cidr) -> Option<(Severity, Name, String)> {
    let addresses: Vec<IpAddr> = range.addresses().take(MAX_OF_RANGE).collect();
    let leads_back = |address: IpAddr| confirmed(facts, &reverse_names(facts, address)?, address);
    let answers: Vec<(IpAddr, Result<bool, Failure>)> = addresses
        .iter()
        .map(|address| (*address, leads_back(*address)))
        .collect();
    let mut bad = answers.iter().filter(|(_, answer)| *answer == Ok(false));
    if let Some((first, _)) = bad.next() {
        let problem = format!(
            "{} of the {} addresses looked at have no reverse name that leads back to them, the first is {first}; large \
             receivers refuse their mail. Only the owner of the addresses (provider, ISP) can set it: ask for a PTR for \
             each, to a name that has the address.",
            bad.count() + 1,
            addresses.len(),
        );
        return Some((Severity::Warn, Name::reverse(*first), problem));
    }
    let (address, failure) = answers
        .into_iter()
        .find_map(|(address, answer)| Some((address, answer.err()?)))?;
    let name = Name::reverse(address);
    let problem = cannot_look(&name, failure);
    Some((Severity::Unknown, name, problem))
}

fn reverse_names(facts: &Facts, address: IpAddr) -> Result<Vec<Name>, Failure> {
    let values = facts.ask(&Name::reverse(address), RecordType::Ptr).values()?;
    let names = values.into_iter().filter_map(|value| match value {
        Value::Ptr(name) => Some(name),
        Value::A(_) | Value::Aaaa(_) | Value::Cname(_) | Value::Mx { .. } | Value::Txt(_) => None,
    });
    Ok(names.take(MAX_NAMES).collect())
}

/// Whether one of the names has the address. A failure counts only when no other name settles it.
fn confirmed(facts: &Facts, names: &[Name], address: IpAddr) -> Result<bool, Failure> {
    let answers: Vec<_> = names.iter().map(|name| addresses(facts, name)).collect();
    if answers.iter().flatten().any(|found| found.contains(&address)) {
        return Ok(true);
    }
    answers
        .into_iter()
        .try_fold(false, |_, found| found.map(|_| false))
}

/// Labels of names that providers give to lines of homes and to machines that nobody named.
const LINES: [&str; 12] = [
    "dyn", "dynamic", "dhcp", "pool", "dsl", "adsl", "ppp", "dial", "cable", "compute", "client", "customer",
];

/// Filters take such a name for a home line, whatever it leads to.
fn generic(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let hosts = sending_hosts(intent).filter(|host| host.reverse != Reverse::Ignore);
    let addresses = hosts.flat_map(|host| host.addresses().iter().map(move |address| (host, *address)));
    let judge = |(host, address): (&Host, IpAddr)| {
        let names = reverse_names(evidence.facts, address).ok()?;
        let name = names.iter().find(|name| looks_generated(name, address))?;
        let message = format!(
            "The reverse name of {address} is {name}, which looks like that of a home line, and many filters refuse such. Have `{}. PTR {}.` set.",
            Name::reverse(address),
            host.name
        );
        Some(GENERIC.finding(Severity::Warn, Name::reverse(address), message))
    };
    addresses.filter_map(judge).collect()
}

/// Whether a name holds the numbers of its address, or the words of a line.
fn looks_generated(name: &Name, address: IpAddr) -> bool {
    let words: Vec<&str> = name
        .as_str()
        .split(|c: char| !c.is_ascii_alphanumeric())
        .collect();
    let numbers: Vec<String> = match address {
        IpAddr::V4(v4) => v4.octets().iter().map(u8::to_string).collect(),
        IpAddr::V6(v6) => v6.segments()[4..]
            .iter()
            .map(|part| format!("{part:x}"))
            .collect(),
    };
    let held = |order: &[String]| words.windows(order.len()).any(|window| window == order);
    let reversed: Vec<String> = numbers.iter().rev().cloned().collect();
    held(&numbers) || held(&reversed) || words.iter().any(|word| LINES.contains(word))
}

/// That the name resolves at all, and to what is declared, is `host-resolves`; this is about the name itself.
fn helo_identity(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let mut findings = Vec::new();
    for host in sending_hosts(intent) {
        let name = &host.name;
        if let Some(end) = INTERNAL.iter().find(|end| ends_with(name, end)) {
            let message = format!(
                "{name} ends in .{end} and means nothing to receivers. Let the server greet with a name that resolves on \
                 the Internet, and declare that in spec.hosts."
            );
            findings.push(HELO_IDENTITY.finding(Severity::Fail, name, message));
        } else if host.reverse != Reverse::Ignore {
            findings.extend(greets_as_another(evidence.facts, host));
        }
    }
    findings
}

fn ends_with(name: &Name, end: &str) -> bool {
    Name::parse(end).is_ok_and(|end| name.is_within(&end))
}

/// An address with a good reverse name that is not the host's. A bad one or none is `ptr-forward-confirmed`.
fn greets_as_another(facts: &Facts, host: &Host) -> Option<Finding> {
    let name = &host.name;
    for address in host.addresses() {
        let names = reverse_names(facts, *address).unwrap_or_default();
        if names.is_empty() || names.contains(name) || confirmed(facts, &names, *address) != Ok(true) {
            continue;
        }
        let other = list(names.iter().take(1));
        let message = format!(
            "The server at {address} greets as {name}, its reverse name is {other}. Let it greet as {other} and declare \
             that host, or have `{}. PTR {name}.` set.",
            Name::reverse(*address)
        );
        return Some(HELO_IDENTITY.finding(Severity::Warn, name, message));
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::dmarc::scene::Scene;
    use super::*;

    const V6: &str = "4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.a.2.ip6.arpa";
    const WORLD: &str = "mail.example.com A 198.41.0.4
        mail.example.com AAAA 2a00::4
        other.example.com A 198.41.0.4
        4.0.41.198.in-addr.arpa PTR mail.example.com
        9.0.41.198.in-addr.arpa PTR mta.platform.net
        mta.platform.net A 198.41.0.9
        mta.platform.net AAAA 2a00::9";

    fn spec() -> Scene {
        Scene::of("example.com")
            .with(
                "hosts",
                json!([
                    { "name": "mail.example.com", "purpose": "Mail", "addresses": ["198.41.0.4", "2a00::4"],
                      "reverse": "Publish" },
                    { "name": "mta.platform.net", "purpose": "Mail", "addresses": ["198.41.0.9"], "reverse": "Publish" },
                    { "name": "mx.example.com", "purpose": "Mail", "addresses": ["198.41.0.4"], "reverse": "Publish" },
                    { "name": "quiet.example.com", "purpose": "Mail", "addresses": ["198.41.0.7"], "reverse": "Ignore" },
                    { "name": "www.example.com", "purpose": "Web", "addresses": ["198.41.0.10"] }
                ]),
            )
            .with(
                "senders",
                json!([{ "name": "a", "hosts": [
                    "mail.example.com", "mta.platform.net", "quiet.example.com", "www.example.com"
                ] }]),
            )
            .zone(&format!("{V6} PTR mail.example.com"))
    }

    fn after(from: &str, to: &str) -> Vec<String> {
        assert!(WORLD.contains(from), "{from}");
        spec().zone(&WORLD.replace(from, to)).findings(PROTOCOL.checks)
    }

    #[test]
    fn reverse_names_of_our_own_mail_hosts_are_wanted() {
        let wanted: Vec<String> = spec().declared(|declaration| {
            desired(declaration)
                .iter()
                .map(|w| format!("{} {}", w.key, list(&w.values)))
                .collect()
        });
        assert_eq!(
            wanted,
            [
                "4.0.41.198.in-addr.arpa PTR mail.example.com.".to_owned(),
                format!("{V6} PTR mail.example.com."),
            ]
        );
    }

    #[test]
    fn a_good_world_has_no_findings_and_each_change_has_its_own() {
        assert!(after("mail", "mail").is_empty());
        let ours = "4.0.41.198.in-addr.arpa PTR mail.example.com";
        let theirs = "9.0.41.198.in-addr.arpa PTR mta.platform.net";
        for (from, to, wanted) in [
            (ours, "", &["Fail ptr-forward-confirmed"][..]),
            (
                ours,
                "4.0.41.198.in-addr.arpa PTR gone.example.com",
                &["Fail ptr-forward-confirmed"],
            ),
            (
                ours,
                "4.0.41.198.in-addr.arpa SERVFAIL",
                &["Unknown ptr-forward-confirmed"],
            ),
            (
                ours,
                "4.0.41.198.in-addr.arpa PTR lost.example.com\nlost.example.com SERVFAIL",
                &["Unknown ptr-forward-confirmed"],
            ),
            (
                ours,
                "4.0.41.198.in-addr.arpa PTR mail.example.com\n4.0.41.198.in-addr.arpa PTR other.example.com",
                &["Warn ptr-forward-confirmed"],
            ),
            (
                ours,
                "4.0.41.198.in-addr.arpa PTR other.example.com",
                &["Warn helo-identity"],
            ),
            (theirs, "", &["Warn ptr-forward-confirmed"]),
            (
                theirs,
                "9.0.41.198.in-addr.arpa PTR mail.example.com",
                &["Warn ptr-forward-confirmed"],
            ),
        ] {
            assert_eq!(after(from, to), wanted, "{from} -> {to}");
        }
    }

    #[test]
    fn what_belongs_to_others_holds_nothing_and_says_whom_to_ask() {
        let without = WORLD.replace("9.0.41.198.in-addr.arpa PTR mta.platform.net", "");
        let scene = spec().zone(&without);
        let gates: Vec<Gate> = scene.evidence(|e| forward_confirmed(e).iter().map(|f| f.gate).collect());
        assert_eq!(gates, [Gate::Nothing]);
        assert_eq!(
            scene.message(&[FORWARD_CONFIRMED], "ptr-forward-confirmed"),
            "198.41.0.9 has no reverse name, so large receivers refuse its mail. Only the owner of the address \
             (provider, ISP) can set it: ask for `9.0.41.198.in-addr.arpa. PTR mta.platform.net.`"
        );
    }

    #[test]
    fn an_egress_range_is_looked_at_whole_and_said_once() {
        let names = |bad: &str| -> String {
            let lines = (16..24).filter(|n| !bad.contains(&n.to_string()));
            let lines = lines.map(|n| {
                format!("{n}.0.41.198.in-addr.arpa PTR out{n}.nat.net\nout{n}.nat.net A 198.41.0.{n}")
            });
            lines.collect::<Vec<_>>().join("\n")
        };
        let scene = |zone: &str| {
            Scene::of("example.com")
                .with("senders", json!([{ "name": "a", "egress": ["198.41.0.16/29"] }]))
                .zone(zone)
        };
        assert!(scene(&names("")).findings(&[EGRESS_CONFIRMED]).is_empty());
        let lame = format!("{}\n17.0.41.198.in-addr.arpa SERVFAIL", names("17"));
        assert_eq!(
            scene(&lame).findings(&[EGRESS_CONFIRMED]),
            ["Unknown ptr-egress-confirmed"]
        );
        let message = scene(&names("17 19")).message(&[EGRESS_CONFIRMED], "ptr-egress-confirmed");
        assert_eq!(
            message,
            "Egress 198.41.0.16/29 of sender a: 2 of the 8 addresses looked at have no reverse name that leads back to \
             them, the first is 198.41.0.17; large receivers refuse their mail. Only the owner of the addresses \
             (provider, ISP) can set it: ask for a PTR for each, to a name that has the address."
        );
    }

    #[test]
    fn a_greeting_from_inside_the_cluster_fails() {
        let scene = Scene::of("example.com")
            .with(
                "hosts",
                json!([{ "name": "mta-0.mta.mail.svc.cluster.local", "purpose": "Mail", "addresses": ["198.41.0.4"],
                         "reverse": "Ignore" }]),
            )
            .with(
                "senders",
                json!([{ "name": "a", "hosts": ["mta-0.mta.mail.svc.cluster.local"] }]),
            );
        assert_eq!(scene.findings(PROTOCOL.checks), ["Fail helo-identity"]);
    }
}
