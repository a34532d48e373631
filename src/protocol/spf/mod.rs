//! SPF (RFC 7208): one record at each envelope domain and at each HELO host.
//!
//! What is wanted follows from the declaration alone. What is there is parsed ([`parse`]), walked ([`walk`]) and
//! evaluated ([`evaluate`]) as a receiver would; [`lint`], [`budget`] and [`authorize`] are the checks.

pub mod authorize;
pub mod budget;
pub mod evaluate;
mod hints;
pub mod lint;
pub mod macros;
pub mod parse;
pub mod site;
pub mod walk;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use super::{Check, Declaration, Protocol, Purpose, Wanted};
use crate::cidr::Cidr;
use crate::intent::{Intent, ReturnPath, Sender, SpfAll};
use crate::name::Name;

pub use authorize::{SenderSpf, sender_result};
pub use evaluate::{Client, Outcome, SpfResult, check_host};
pub use walk::{Burden, burden};

/// SPF.
pub const PROTOCOL: Protocol = Protocol {
    name: "SPF",
    desired,
    checks: CHECKS,
};

const CHECKS: &[Check] = &[
    lint::PRESENT,
    lint::SINGLE,
    lint::VERSION_TOKEN,
    lint::SYNTAX,
    lint::MECHANISM_AS_MODIFIER,
    budget::INCLUDE_TARGET,
    budget::LOOKUPS,
    budget::VOIDS,
    lint::TERMINAL,
    lint::REDIRECT_USE,
    lint::PTR,
    lint::BREADTH,
    lint::MACRO,
    authorize::AUTHORIZES_SENDERS,
    authorize::HELO_RECORD,
];

/// What a HELO host publishes (RFC 7208 section 10.1.3).
const HELO_TEXT: &str = "v=spf1 a -all";

fn desired(declaration: &Declaration<'_>) -> Vec<Wanted> {
    let intent = declaration.intent;
    let domains = return_path_domains(intent);
    let return_paths = domains
        .iter()
        .map(|name| wanted(name.clone(), record_text(intent, name)));
    let hosts = helo_hosts(intent)
        .into_iter()
        .filter(|name| intent.owns(name) && !is_return_path(intent, name));
    return_paths
        .chain(hosts.map(|name| wanted(name, HELO_TEXT.to_owned())))
        .collect()
}

fn wanted(name: Name, text: String) -> Wanted {
    Wanted::shared(name, Purpose::Spf, text, parse::VERSION)
}

/// The envelope domains that we write SPF for: ours, and no alias of a vendor's.
pub fn return_path_domains(intent: &Intent) -> BTreeSet<Name> {
    intent
        .senders
        .iter()
        .filter_map(|sender| match &sender.return_path {
            ReturnPath::Domain { name, mx: _ } => Some(name),
            ReturnPath::Alias { name: _, target: _ } | ReturnPath::Vendor => None,
        })
        .filter(|name| intent.owns(name))
        .cloned()
        .collect()
}

/// The terms of the record at an envelope domain: `ip4`, `ip6`, `include`, and how it ends. A range inside another
/// one is left out.
pub fn terms(intent: &Intent, return_path_domain: &Name) -> Vec<String> {
    let senders = || senders_with(intent, return_path_domain);
    let ranges: BTreeSet<Cidr> = senders()
        .flat_map(|sender| {
            intent
                .sending_addresses(sender)
                .map(Cidr::host)
                .chain(sender.egress.iter().copied())
        })
        .collect();
    let addresses = ranges
        .iter()
        .filter(|range| !ranges.iter().any(|wider| is_inside(**range, *wider)))
        .map(|range| range_term(*range));
    let includes: BTreeSet<&Name> = senders().flat_map(|sender| &sender.includes).collect();
    addresses
        .chain(includes.into_iter().map(|name| format!("include:{name}")))
        .chain([all_term(intent.spf_all).to_owned()])
        .collect()
}

/// The whole record at an envelope domain.
fn record_text(intent: &Intent, domain: &Name) -> String {
    format!("{} {}", parse::VERSION, terms(intent, domain).join(" "))
}

fn range_term(range: Cidr) -> String {
    let family = if range.address().is_ipv4() { "ip4" } else { "ip6" };
    format!("{family}:{range}")
}

fn is_inside(range: Cidr, wider: Cidr) -> bool {
    wider.length() < range.length() && wider.contains(range.address())
}

fn all_term(all: SpfAll) -> &'static str {
    match all {
        SpfAll::SoftFail => "~all",
        SpfAll::Fail => "-all",
        SpfAll::Neutral => "?all",
    }
}

/// The senders whose envelope domain this is.
fn senders_with<'a>(intent: &'a Intent, domain: &'a Name) -> impl Iterator<Item = &'a Sender> {
    intent
        .senders
        .iter()
        .filter(move |sender| sender.return_path.domain() == Some(domain))
}

fn is_return_path(intent: &Intent, name: &Name) -> bool {
    senders_with(intent, name).next().is_some()
}

/// Every host that a sender greets as.
fn helo_hosts(intent: &Intent) -> BTreeSet<Name> {
    intent
        .senders
        .iter()
        .flat_map(|sender| sender.hosts.iter().cloned())
        .collect()
}
