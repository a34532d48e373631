//! Checks on the whole tree of includes: broken targets and the limits of RFC 7208 section 4.6.4.

use std::collections::BTreeSet;

use super::evaluate::{LOOKUP_LIMIT, VOID_LIMIT};
use super::site::{self, Site, finding, shown};
use super::walk::{Fault, Walk, walk};
use super::{helo_hosts, senders_with};
use crate::api::Severity;
use crate::finding::{Finding, Gate};
use crate::intent::Intent;
use crate::name::Name;
use crate::protocol::{Check, Evidence};
use crate::record::RecordType;

/// RFC 7208 section 5.2.
pub const INCLUDE_TARGET: Check = Check {
    id: "spf-include-target",
    title: "Every include and redirect leads to an SPF record",
    source: "RFC 7208 section 5.2",
    gate: Gate::Spf,
    run: include_target,
};

/// RFC 7208 section 4.6.4.
pub const LOOKUPS: Check = Check {
    id: "spf-lookup-limit",
    title: "At most 10 terms ask DNS",
    source: "RFC 7208 section 4.6.4",
    gate: Gate::Spf,
    run: lookup_limit,
};

/// RFC 7208 sections 4.6.4 and 11.1.
pub const VOIDS: Check = Check {
    id: "spf-void-limit",
    title: "At most 2 terms find nothing",
    source: "RFC 7208 section 4.6.4",
    gate: Gate::Spf,
    run: void_limit,
};

/// The walks of one name, one for each address family that its senders use.
fn walks(evidence: &Evidence<'_>, site: &Site) -> Vec<Walk> {
    let types = address_types(evidence.declaration.intent, &site.name);
    site.found().map_or_else(Vec::new, |found| {
        types
            .into_iter()
            .map(|address_type| walk(evidence.facts, &site.name, &found.record, address_type))
            .collect()
    })
}

fn address_types(intent: &Intent, name: &Name) -> BTreeSet<RecordType> {
    let envelope = senders_with(intent, name).flat_map(|sender| {
        intent
            .sending_addresses(sender)
            .chain(sender.egress.iter().map(|range| range.address()))
    });
    let own = intent
        .host(name)
        .filter(|_| helo_hosts(intent).contains(name))
        .into_iter()
        .flat_map(|host| host.addresses().iter().copied());
    let types: BTreeSet<RecordType> = envelope
        .chain(own)
        .map(|address| {
            if address.is_ipv4() {
                RecordType::A
            } else {
                RecordType::Aaaa
            }
        })
        .collect();
    if types.is_empty() {
        BTreeSet::from([RecordType::A])
    } else {
        types
    }
}

fn include_target(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for site in site::sites(evidence) {
        let name = &site.name;
        for walk in walks(evidence, &site) {
            findings.extend(walk.broken.iter().map(|broken| {
                let target = shown(&broken.target);
                let fix = match broken.fault {
                    Fault::NoRecord => {
                        format!("To authorise a host, write `a:{target}`, or its address with `ip4:`.")
                    }
                    Fault::NotAName => "Write a bare domain name.".to_owned(),
                    Fault::NoName | Fault::Several | Fault::Syntax(_) | Fault::Cycle => {
                        "Drop the term, or have its owner mend it.".to_owned()
                    }
                };
                let message = format!(
                    "`{}` at {}: the target {}, so receivers use none of the record. {fix}",
                    shown(&broken.term),
                    broken.holder,
                    broken.fault
                );
                finding(&INCLUDE_TARGET, Severity::Fail, name, &message)
            }));
            findings.extend(
                walk.unknown
                    .iter()
                    .filter(|(target, _)| walk.included.contains(target))
                    .map(|(target, failure)| {
                        let message = format!(
                            "SPF of {name} includes {target}, whose name server {failure}. Ask its owner."
                        );
                        finding(&INCLUDE_TARGET, Severity::Unknown, name, &message)
                    }),
            );
        }
    }
    findings.sort();
    findings.dedup();
    findings
}

fn lookup_limit(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for site in site::sites(evidence) {
        let walks = walks(evidence, &site);
        let Some(walk) = walks.iter().max_by_key(|walk| walk.lookups) else {
            continue;
        };
        let name = &site.name;
        let severity = match walk.lookups {
            n if n > LOOKUP_LIMIT => Some(Severity::Fail),
            _ if !walk.unknown.is_empty() => Some(Severity::Unknown),
            9.. => Some(Severity::Warn),
            _ => None,
        };
        findings.extend(severity.map(|severity| {
            let message = format!(
                "SPF of {name} asks DNS {} times of 10 allowed{}. {}Replace own hosts by `ip4:` and `ip6:`, drop \
                 unused vendors, or give each vendor a return path of its own.",
                walk.lookups,
                if severity == Severity::Unknown { ", as far as known" } else { "" },
                heaviest(walk)
            );
            finding(&LOOKUPS, severity, name, &message)
        }));
        findings.extend(walk.crowded.iter().map(|(domain, count)| {
            let message =
                format!("`mx` asks {domain}, which has {count} MX records of 10 allowed. List addresses.");
            finding(&LOOKUPS, Severity::Fail, name, &message)
        }));
    }
    findings
}

fn heaviest(walk: &Walk) -> String {
    let mut weights: Vec<&(String, usize)> = walk.weights.iter().filter(|(_, cost)| *cost > 1).collect();
    weights.sort_by_key(|(_, cost)| std::cmp::Reverse(*cost));
    let shown: Vec<String> = weights
        .iter()
        .take(3)
        .map(|(term, cost)| format!("`{}` {cost}", site::shown(term)))
        .collect();
    if shown.is_empty() {
        String::new()
    } else {
        format!("Heaviest: {}. ", shown.join(", "))
    }
}

fn void_limit(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for site in site::sites(evidence) {
        let walks = walks(evidence, &site);
        let Some(walk) = walks.iter().max_by_key(|walk| walk.voids.len()) else {
            continue;
        };
        let name = &site.name;
        let waits = walks
            .iter()
            .flat_map(|walk| {
                walk.unknown
                    .iter()
                    .filter(|(target, _)| !walk.included.contains(target))
            })
            .next();
        match (walk.voids.len(), waits) {
            (0, None) => {}
            (count, Some((target, failure))) if count <= VOID_LIMIT => {
                let message = format!("A term in SPF of {name} asks {target}, whose name server {failure}.");
                findings.push(finding(&VOIDS, Severity::Unknown, name, &message));
            }
            (count, _) => {
                let severity = if count > VOID_LIMIT {
                    Severity::Fail
                } else {
                    Severity::Warn
                };
                let terms: Vec<String> = walk.voids.iter().take(3).map(|(term, _)| shown(term)).collect();
                let message = format!(
                    "In SPF of {name} {count} of 2 allowed lookups find nothing: `{}`. Delete these terms.",
                    terms.join("`, `")
                );
                findings.push(finding(&VOIDS, severity, name, &message));
            }
        }
    }
    findings
}
