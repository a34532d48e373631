//! The checks that matter: does a receiver pass every declared sender, and every HELO host.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::evaluate::{Client, Outcome, SpfResult, check_host};
use super::parse::{Mechanism, Qualifier};
use super::site::{self, Found, Site, State, finding};
use super::walk::walk;
use super::{HELO_TEXT, helo_hosts, range_term, record_text};
use crate::api::Severity;
use crate::cidr::Cidr;
use crate::finding::{Finding, Gate};
use crate::intent::{Host, Intent, Sender};
use crate::lookup::Facts;
use crate::name::Name;
use crate::protocol::{Check, Evidence};
use crate::record::RecordType;

/// RFC 7208 sections 4 and 5.
pub const AUTHORIZES_SENDERS: Check = Check {
    id: "spf-authorizes-senders",
    title: "SPF passes every declared sender",
    source: "RFC 7208 section 4",
    gate: Gate::Spf,
    run: authorizes_senders,
};

/// RFC 7208 sections 2.4 and 10.1.3.
pub const HELO_RECORD: Check = Check {
    id: "spf-helo-record",
    title: "SPF passes each HELO host",
    source: "RFC 7208 sections 2.3 and 10.1.3",
    gate: Gate::Spf,
    run: helo_record,
};

/// What SPF makes of a sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderSpf {
    /// Every address passes at the sender's envelope domain.
    Pass,
    /// Some does not, or the envelope domain is a vendor's own, so that nothing of ours can pass.
    Fail,
    /// Some answer failed or is not there yet.
    Unknown,
}

/// What SPF makes of a sender. Whether the envelope domain aligns is another question.
pub fn sender_result(evidence: &Evidence<'_>, sender: &Sender) -> SenderSpf {
    let Some(domain) = sender.return_path.domain() else {
        return SenderSpf::Fail;
    };
    let intent = evidence.declaration.intent;
    let findings = sender_findings(evidence.facts, intent, sender, domain);
    let worst = findings.iter().map(|finding| finding.severity).min();
    match worst {
        Some(Severity::Fail) => SenderSpf::Fail,
        Some(Severity::Unknown) => SenderSpf::Unknown,
        Some(Severity::Warn | Severity::Info) | None => SenderSpf::Pass,
    }
}

fn authorizes_senders(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    intent
        .senders
        .iter()
        .filter_map(|sender| Some((sender, sender.return_path.domain()?)))
        .flat_map(|(sender, domain)| sender_findings(evidence.facts, intent, sender, domain))
        .collect()
}

/// Nothing when SPF passes the sender.
fn sender_findings(facts: &Facts, intent: &Intent, sender: &Sender, domain: &Name) -> Vec<Finding> {
    let mut groups: BTreeMap<(SpfResult, String), Vec<IpAddr>> = BTreeMap::new();
    let clients = clients(intent, sender, domain);
    let is_structural = clients.is_empty() || !sender.includes.is_empty();
    for client in clients {
        let Outcome {
            result,
            reason,
            lookups: _,
            voids: _,
        } = check_host(facts, &client, domain);
        if result != SpfResult::Pass {
            groups.entry((result, reason)).or_default().push(client.address);
        }
    }
    let mut findings: Vec<Finding> = groups
        .into_iter()
        .map(|((result, reason), addresses)| address_finding(domain, sender, result, &reason, &addresses))
        .collect();
    if is_structural {
        findings.extend(structural_finding(facts, intent, sender, domain));
    }
    findings
}

/// The clients that stand for the sender: every address of its hosts, both ends of every range.
fn clients(intent: &Intent, sender: &Sender, domain: &Name) -> Vec<Client> {
    let hosts = sender.hosts.iter().filter_map(|name| intent.host(name));
    let own = hosts.flat_map(|host| host.addresses().iter().map(|address| (*address, &host.name)));
    let greeting = sender.hosts.first().unwrap_or(domain);
    let egress = sender
        .egress
        .iter()
        .flat_map(|range| ends(*range))
        .map(|address| (address, greeting));
    own.chain(egress)
        .map(|(address, helo)| Client {
            address,
            mail_from: format!("bounce@{domain}"),
            helo: helo.to_string(),
        })
        .collect()
}

/// First and last address of a range.
fn ends(range: Cidr) -> Vec<IpAddr> {
    let last = match range.address() {
        IpAddr::V4(first) => {
            let hosts = u32::MAX.checked_shr(u32::from(range.length())).unwrap_or(0);
            IpAddr::from((u32::from(first) | hosts).to_be_bytes())
        }
        IpAddr::V6(first) => {
            let hosts = u128::MAX.checked_shr(u32::from(range.length())).unwrap_or(0);
            IpAddr::from((u128::from(first) | hosts).to_be_bytes())
        }
    };
    if range.is_host() {
        vec![last]
    } else {
        vec![range.address(), last]
    }
}

fn address_finding(
    domain: &Name,
    sender: &Sender,
    result: SpfResult,
    reason: &str,
    addresses: &[IpAddr],
) -> Finding {
    let listed: Vec<String> = addresses.iter().take(2).map(ToString::to_string).collect();
    let more = match addresses.len() {
        0..=2 => String::new(),
        n => format!(" and {} more", n - 2),
    };
    let who = format!("{}{more}", listed.join(", "));
    match result {
        SpfResult::TempError | SpfResult::NotYetKnown => {
            let message = format!("SPF of {domain} for {who} is not known: {reason}.");
            finding(&AUTHORIZES_SENDERS, Severity::Unknown, domain, &message)
        }
        SpfResult::None
        | SpfResult::Neutral
        | SpfResult::Pass
        | SpfResult::Fail
        | SpfResult::SoftFail
        | SpfResult::PermError => {
            let terms: Vec<String> = addresses
                .iter()
                .take(2)
                .map(|address| {
                    let range = sender.egress.iter().find(|range| range.contains(*address));
                    range_term(range.copied().unwrap_or(Cidr::host(*address)))
                })
                .collect();
            let fix = match result {
                SpfResult::PermError => "Mend the record first.".to_owned(),
                SpfResult::None => format!("Publish one with `{}`.", terms.join(" ")),
                _ => format!("Put `{}` before `all`.", terms.join(" ")),
            };
            let message = format!(
                "{who} of sender {} gets SPF {result} at {domain}: {reason}. {fix}",
                sender.name
            );
            finding(&AUTHORIZES_SENDERS, Severity::Fail, domain, &message)
        }
    }
}

/// What can be said of a sender without asking for an address: its includes stand there and work, and the record
/// authorises anybody at all.
fn structural_finding(facts: &Facts, intent: &Intent, sender: &Sender, domain: &Name) -> Option<Finding> {
    let judge = |severity, message: String| Some(finding(&AUTHORIZES_SENDERS, severity, domain, &message));
    let site = Site::look(facts, domain);
    let found = match &site.state {
        State::Found(found) => found,
        State::Unknown(failure) => return Some(site::unknown(&AUTHORIZES_SENDERS, domain, *failure)),
        State::Absent | State::Several(_) | State::Malformed(_) => {
            return judge(
                Severity::Fail,
                format!(
                    "Sender {} cannot pass SPF: {domain} has no usable record. {}",
                    sender.name,
                    site::advice(intent, domain)
                ),
            );
        }
    };
    let walk = walk(facts, domain, &found.record, RecordType::A);
    if let Some(broken) = walk.broken.first() {
        let message = format!(
            "Sender {} cannot pass SPF: `{}` at {}: the target {}. Mend or drop that term.",
            sender.name,
            site::shown(&broken.term),
            broken.holder,
            broken.fault
        );
        return judge(Severity::Fail, message);
    }
    let missing = sender.includes.iter().find(|name| !walk.included.contains(name));
    match (missing, walk.unknown.first()) {
        (_, Some((name, failure))) => judge(
            Severity::Unknown,
            format!(
                "SPF of {domain} for sender {} is not known: the name server of {name} {failure}.",
                sender.name
            ),
        ),
        (Some(name), None) => judge(
            Severity::Fail,
            format!(
                "SPF of {domain} lacks `include:{name}`, which sender {} needs. Publish: {}",
                sender.name,
                site::line(domain, &record_text(intent, domain))
            ),
        ),
        (None, None) if !authorises_anybody(found) => judge(
            Severity::Fail,
            format!(
                "SPF of {domain} authorises nobody, so sender {} never passes. Declare its hosts, egress or includes.",
                sender.name
            ),
        ),
        (None, None) => None,
    }
}

fn authorises_anybody(found: &Found) -> bool {
    found.record.live_redirect().is_some()
        || found
            .record
            .directives()
            .take_while(|(_, mechanism)| **mechanism != Mechanism::All)
            .any(|(qualifier, _)| qualifier == Qualifier::Pass)
}

fn helo_record(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    helo_hosts(intent)
        .iter()
        .flat_map(|name| match Site::look(evidence.facts, name).state {
            State::Unknown(failure) => vec![site::unknown(&HELO_RECORD, name, failure)],
            State::Absent => {
                let message = format!(
                    "{name} has no SPF record, so bounces from it have none. Publish: {}",
                    site::line(name, HELO_TEXT)
                );
                // Mail with a sender passes without it: listed, and holds nothing back.
                vec![Finding {
                    gate: Gate::Nothing,
                    ..finding(&HELO_RECORD, Severity::Warn, name, &message)
                }]
            }
            State::Several(_) | State::Malformed(_) | State::Found(_) => {
                helo_addresses(evidence.facts, intent, name)
            }
        })
        .collect()
}

fn helo_addresses(facts: &Facts, intent: &Intent, name: &Name) -> Vec<Finding> {
    let addresses = intent.host(name).map(Host::addresses).unwrap_or_default();
    addresses
        .iter()
        .filter_map(|address| {
            let client = Client {
                address: *address,
                mail_from: String::new(),
                helo: name.to_string(),
            };
            let outcome = check_host(facts, &client, name);
            match outcome.result {
                SpfResult::Pass => None,
                SpfResult::TempError | SpfResult::NotYetKnown => {
                    let message = format!(
                        "SPF of HELO host {name} for {address} is not known: {}.",
                        outcome.reason
                    );
                    Some(finding(&HELO_RECORD, Severity::Unknown, name, &message))
                }
                SpfResult::None
                | SpfResult::Neutral
                | SpfResult::Fail
                | SpfResult::SoftFail
                | SpfResult::PermError => {
                    let message = format!(
                        "Bounces from {address} greet as {name} and get SPF {}: {}. Add `{}` before `all`.",
                        outcome.result,
                        outcome.reason,
                        range_term(Cidr::host(*address))
                    );
                    Some(finding(&HELO_RECORD, Severity::Fail, name, &message))
                }
            }
        })
        .collect()
}
