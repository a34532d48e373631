//! Name servers, signatures and times.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::Severity;
use crate::finding::{Finding, Gate};
use crate::lookup::{Answer, Failure, Server};
use crate::name::Name;
use crate::protocol::{Check, Evidence, desired};

pub(super) const SILENT: Check = Check {
    id: "dns-server-silent",
    title: "every name server answers",
    source: "RFC 1034 section 4.1, RFC 1912 section 2.8",
    gate: Gate::Nothing,
    run: silent,
};

pub(super) const DNSSEC: Check = Check {
    id: "dns-dnssec-chain",
    title: "what is signed validates",
    source: "RFC 4035 section 5.5",
    gate: Gate::Ready,
    run: dnssec,
};

pub(super) const TTL: Check = Check {
    id: "dns-ttl-policy",
    title: "records live between a minute and a day, as declared",
    source: "RFC 2181 section 8, RFC 2308 section 5",
    gate: Gate::Nothing,
    run: ttl,
};

/// Servers that answered nothing although they are named for the zone: a warning, each server once.
fn silent(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut failures: BTreeMap<&Server, (Failure, &Name)> = BTreeMap::new();
    let mut heard: BTreeSet<&Server> = BTreeSet::new();
    for (key, answers) in &evidence.direct.answers {
        for (server, answer) in answers {
            match answer {
                Answer::Failed(failure) => drop(failures.entry(server).or_insert((*failure, &key.name))),
                Answer::Records { .. } | Answer::NoData { .. } | Answer::NxDomain { .. } => {
                    heard.insert(server);
                }
            }
        }
    }
    failures
        .into_iter()
        .filter(|(server, _)| !heard.contains(server))
        .map(|(server, (failure, name))| {
            let message = format!(
                "{} ({}) {failure} when asked for {name}. Repair it, or take it out of the NS records.",
                server.name, server.address
            );
            SILENT.finding(Severity::Warn, &server.name, message)
        })
        .collect()
}

/// A zone that does not validate answers nothing at receivers that validate, so nothing of it passes there. What lies in the
/// zones of others, such as an include of SPF, holds nothing by itself: its own check says what it costs.
fn dnssec(evidence: &Evidence<'_>) -> Vec<Finding> {
    let domain = &evidence.declaration.intent.domain;
    let bogus = evidence.facts.answers().filter_map(|(key, answer)| {
        let is_bogus = *answer == Answer::Failed(Failure::Bogus);
        is_bogus.then_some(&key.name)
    });
    let (ours, theirs): (BTreeSet<&Name>, BTreeSet<&Name>) = bogus.partition(|name| name.is_within(domain));
    let mut findings = Vec::new();
    if let Some(first) = ours.first() {
        let message = format!(
            "The signatures at {first} do not validate ({} names in all), so receivers that validate see nothing of {domain} and put its mail off. Renew the signatures, or have the DS record at the parent removed, now.",
            ours.len()
        );
        findings.push(DNSSEC.finding(Severity::Fail, domain, message));
    }
    findings.extend(theirs.first().map(|first| {
        let message = format!(
            "The signatures at {first} do not validate, so receivers that validate see nothing there. Tell whoever runs that zone."
        );
        let mut finding = DNSSEC.finding(Severity::Warn, first, message);
        finding.gate = Gate::Nothing;
        finding
    }));
    findings
}

const LONGEST: u32 = 86_400;
const SHORTEST: u32 = 60;
const LONGEST_NEGATIVE: u32 = 3_600;

fn ttl(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = of_servers(evidence);
    findings.extend(of_resolvers(evidence, &findings));
    findings
}

/// Name servers tell the whole time.
fn of_servers(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let mut findings = Vec::new();
    for wanted in desired(evidence.declaration) {
        let answers = evidence.direct.answers.get(&wanted.key).into_iter().flatten();
        let ttls: BTreeSet<u32> = answers
            .filter_map(|(_, answer)| match answer {
                Answer::Records { ttl, aliases, .. } if aliases.is_empty() => Some(*ttl),
                Answer::Records { .. }
                | Answer::NoData { .. }
                | Answer::NxDomain { .. }
                | Answer::Failed(_) => None,
            })
            .collect();
        let Some(odd) = ttls.into_iter().find(|ttl| *ttl != intent.ttl) else {
            continue;
        };
        let (severity, why) = match odd {
            ..SHORTEST => (Severity::Warn, "so short that resolvers ask again and again"),
            SHORTEST..=LONGEST if intent.conduct.publishes() => (Severity::Info, "and not the declared one"),
            SHORTEST..=LONGEST => continue,
            _ => (Severity::Warn, "so long that a mistake stays for days"),
        };
        let message = format!(
            "{} is served with a TTL of {odd} seconds, {why}. Set it to {}.",
            wanted.key, intent.ttl
        );
        findings.push(TTL.finding(severity, &wanted.key.name, message));
    }
    findings
}

/// Resolvers count down, so what they say may be too short and never too long.
fn of_resolvers(evidence: &Evidence<'_>, said: &[Finding]) -> Vec<Finding> {
    let domain = &evidence.declaration.intent.domain;
    let here =
        |name: &Name| name.is_within(domain) && !said.iter().any(|finding| finding.name == name.as_str());
    let mut findings = Vec::new();
    let mut negative = None;
    for (key, answer) in evidence.facts.answers().filter(|(key, _)| here(&key.name)) {
        match answer {
            Answer::Records { ttl, aliases, .. } if *ttl > LONGEST && aliases.is_empty() => {
                let message = format!(
                    "{key} has a TTL of {ttl} seconds, so long that a mistake stays for days. Set it to 3600."
                );
                findings.push(TTL.finding(Severity::Warn, &key.name, message));
            }
            Answer::NoData { negative_ttl } | Answer::NxDomain { negative_ttl }
                if *negative_ttl > LONGEST_NEGATIVE =>
            {
                negative = negative.max(Some(*negative_ttl));
            }
            Answer::Records { .. } | Answer::NoData { .. } | Answer::NxDomain { .. } | Answer::Failed(_) => {}
        }
    }
    findings.extend(negative.map(|seconds| {
        let message = format!(
            "Resolvers remember for {seconds} seconds that a name of {domain} does not exist, so a new record is seen that late. Lower the last number of the zone's SOA record to 300."
        );
        TTL.finding(Severity::Warn, domain, message)
    }));
    findings
}
