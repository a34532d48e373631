//! DNS itself (RFC 1034, RFC 1035): what every protocol relies on, whatever it publishes. Nothing is wanted here; the checks
//! look at the names, texts, times and servers of the records that the other protocols want or read.

mod names;
mod servers;
mod texts;

use std::collections::BTreeSet;

pub(crate) use names::NOBODY;

use super::{Declaration, Evidence, Protocol, Wanted};
use crate::intent::{Intent, ReturnPath};
use crate::name::Name;

/// DNS.
pub const PROTOCOL: Protocol = Protocol {
    name: "DNS",
    desired,
    checks: &[
        servers::SILENT,
        servers::DNSSEC,
        servers::TTL,
        names::SYNTAX,
        names::COEXISTENCE,
        names::FLATTENED,
        names::WILDCARD,
        texts::ENCODING,
        texts::STRINGS,
        texts::SIZE,
    ],
};

fn desired(_: &Declaration<'_>) -> Vec<Wanted> {
    Vec::new()
}

/// The domain and its senders' envelope domains: the names that hold MX and SPF.
fn mail_domains(intent: &Intent) -> BTreeSet<&Name> {
    let envelopes = intent
        .senders
        .iter()
        .filter_map(|sender| match &sender.return_path {
            ReturnPath::Domain { name, .. } => Some(name),
            ReturnPath::Alias { .. } | ReturnPath::Vendor => None,
        });
    envelopes.chain([&intent.domain]).collect()
}

/// Where the selectors of the declared keys stand.
fn selectors<'a>(evidence: &Evidence<'a>) -> impl Iterator<Item = Name> + use<'a> {
    let domain = &evidence.declaration.intent.domain;
    let keys = evidence.declaration.keys.iter();
    keys.filter_map(|key| key.selector.record_name(domain).ok())
}
