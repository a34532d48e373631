//! A domain of which nothing is declared: what can be judged of it all the same. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::api::{DeletionPolicy, HostPurpose, Reverse, Severity, SpfAll};
use crate::finding::Finding;
use crate::intent::{Bimi, Conduct, Host, HostAt, Intent, Mode, ReturnPath, Sender};
use crate::lookup::Answer;
use crate::name::{Name, Selector};
use crate::protocol::spf::parse;
use crate::protocol::{KeyRecord, SigningKey};
use crate::record::{Key, RecordType, Value, Values};

type Answers = BTreeMap<Key, Answer>;

/// The one sender that every domain is taken to have: whoever sends with the domain in From and Return-Path.
const SENDER: &str = "whoever";

/// Checks that compare with a declaration. Without one there is nothing to compare with.
const NEED_A_DECLARATION: [&str; 2] = ["align-identifiers", "spf-authorizes-senders"];

/// What to ask first: which hosts take its mail, and whether there is a logo.
pub(super) fn questions(domain: &Name) -> BTreeSet<Key> {
    let logo = logo(domain).map(|name| Key::new(name, RecordType::Txt));
    let own = [RecordType::Mx, RecordType::Txt].map(|kind| Key::new(domain.clone(), kind));
    own.into_iter().chain(logo).collect()
}

/// Whether the domain says that nobody may send as it (RFC 7208 section 10.1.2).
pub(super) fn is_parked(domain: &Name, heard: &Answers) -> bool {
    let texts = values(heard, &Key::new(domain.clone(), RecordType::Txt));
    let texts = texts.iter().filter_map(Value::as_txt).map(str::to_owned);
    match parse::select(texts) {
        parse::Selected::One(text) => text.split_ascii_whitespace().skip(1).eq(["-all"]),
        parse::Selected::None | parse::Selected::Many(_) => false,
    }
}

/// What to ask then: the addresses of those hosts that are the domain's own.
pub(super) fn addresses(domain: &Name, first: &Answers) -> BTreeSet<Key> {
    let mx = values(first, &Key::new(domain.clone(), RecordType::Mx));
    let own = mx.into_iter().filter_map(|value| match value {
        Value::Mx { exchange, .. } => exchange.filter(|host| host.is_within(domain)),
        Value::A(_) | Value::Aaaa(_) | Value::Cname(_) | Value::Ptr(_) | Value::Txt(_) => None,
    });
    own.flat_map(|host| [RecordType::A, RecordType::Aaaa].map(|kind| Key::new(host.clone(), kind)))
        .collect()
}

fn values(answers: &Answers, key: &Key) -> Values {
    answers
        .get(key)
        .and_then(|answer| answer.values().ok())
        .unwrap_or_default()
}

fn logo(domain: &Name) -> Option<Name> {
    domain.child("_bimi").ok()?.child("default").ok()
}

/// The hosts that take mail, at the addresses that they have.
fn hosts(answers: &Answers) -> Vec<Host> {
    let mut hosts: BTreeMap<&Name, Vec<IpAddr>> = BTreeMap::new();
    for (key, answer) in answers {
        for value in answer.values().unwrap_or_default() {
            let address = match value {
                Value::A(address) => IpAddr::V4(address),
                Value::Aaaa(address) => IpAddr::V6(address),
                Value::Cname(_) | Value::Mx { .. } | Value::Ptr(_) | Value::Txt(_) => continue,
            };
            hosts.entry(&key.name).or_default().push(address);
        }
    }
    let host = |(name, addresses): (&Name, Vec<IpAddr>)| Host {
        name: name.clone(),
        purpose: HostPurpose::Mail,
        at: HostAt::Addresses(addresses),
        // Whether it sends is not known, and only senders need one.
        reverse: Reverse::Ignore,
    };
    hosts.into_iter().map(host).collect()
}

/// The logo that stands there, as if it were declared. What cannot be read is for the checks to say.
fn bimi(domain: &Name, answers: &Answers) -> Option<Bimi> {
    let record_name = logo(domain)?;
    let texts = values(answers, &Key::new(record_name.clone(), RecordType::Txt));
    let text = texts
        .iter()
        .find_map(|value| value.as_txt().filter(|text| text.contains("BIMI")))?;
    let tag = |name: &str| {
        let mut parts = text.split(';').filter_map(|part| part.split_once('='));
        parts.find_map(|(tag, value)| (tag.trim() == name).then(|| value.trim().to_owned()))
    };
    Some(Bimi {
        record_name,
        logo: tag("l").unwrap_or_default(),
        certificate: tag("a").filter(|value| !value.is_empty()),
    })
}

/// What the domain may be taken to want: to send, with the hosts and the logo that it has, and nothing else in particular.
pub(super) fn intent(domain: &Name, heard: &Answers) -> Intent {
    Intent {
        domain: domain.clone(),
        ttl: 3600,
        conduct: Conduct {
            mode: Mode::Observe,
            ..Conduct::default()
        },
        retire_after: jiff::SignedDuration::ZERO,
        deletion: DeletionPolicy::Retain,
        providers: Vec::new(),
        hosts: hosts(heard),
        receiving: None,
        senders: if is_parked(domain, heard) {
            Vec::new()
        } else {
            vec![sender(domain)]
        },
        spf_all: SpfAll::SoftFail,
        dmarc: None,
        bimi: bimi(domain, heard),
        legacy: Vec::new(),
    }
}

fn sender(domain: &Name) -> Sender {
    Sender {
        name: SENDER.to_owned(),
        hosts: Vec::new(),
        egress: Vec::new(),
        return_path: ReturnPath::Domain {
            name: domain.clone(),
            mx: Vec::new(),
        },
        includes: Vec::new(),
        keys: Vec::new(),
        selector_prefix: String::new(),
    }
}

/// A finding in words that need no declaration: who sends is not known, so no whole SPF record can be offered.
pub(super) fn worded(mut finding: Finding) -> Finding {
    if finding.id == "spf-present" && finding.severity == Severity::Fail {
        finding.message = format!(
            "{} has no SPF record. Publish one that names whoever sends, like \"v=spf1 ip4:ADDRESS include:VENDOR ~all\"; if nobody does, \"v=spf1 -all\".",
            finding.name
        );
    }
    for said in [" from sender", " of sender"] {
        finding.message = finding.message.replace(&format!("{said} {SENDER}"), "");
    }
    finding
}

/// The keys at these selectors, whatever they are.
pub(super) fn keys(selectors: &[Selector]) -> Vec<SigningKey> {
    let key = |selector: &Selector| SigningKey {
        sender: SENDER.to_owned(),
        name: selector.to_string(),
        selector: selector.clone(),
        record: KeyRecord::Found,
        age: None,
    };
    selectors.iter().map(key).collect()
}

/// Whether a finding says something of a domain of which nothing is declared. Without a selector nobody knows whether it signs.
pub(super) fn speaks(finding: &Finding, selectors: &[Selector]) -> bool {
    let needs_keys = finding.id == "dmarc-reject-readiness";
    !NEED_A_DECLARATION.contains(&finding.id) && (!needs_keys || !selectors.is_empty())
}

/// What cannot be seen from outside, so that silence about it is not taken for praise.
pub(super) fn unseen(selectors: &[Selector], parked: bool) -> Vec<String> {
    let mut unseen = Vec::new();
    if parked {
        unseen.push(
            "whatever concerns senders: the domain says that nobody sends as it (v=spf1 -all)".to_owned(),
        );
        return unseen;
    }
    if selectors.is_empty() {
        unseen.push(
            "DKIM: the selectors of a domain cannot be listed; name them with --selector, as the s= of a signature shows them".to_owned(),
        );
    }
    unseen.push(
        "who sends: whether SPF covers every sender, and reverse names, need a MailDomain (--filename)"
            .to_owned(),
    );
    unseen
}
