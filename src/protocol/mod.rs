//! The mail protocols: for each, which records it wants and which checks judge it.
//!
//! Pure. A protocol is one file and two lines here (`mod`, [`ALL`]); a check is one function and one line in its
//! protocol's `CHECKS`. Nothing here imports `lookup`'s submodules, `publish` or kube.

pub mod alignment;
pub mod bimi;
pub mod dkim;
pub mod dmarc;
pub mod dns;
pub mod hosts;
pub mod legacy;
pub mod mx;
pub mod ptr;
pub mod spf;
pub mod tag_list;

use std::fmt;

use crate::finding::{Finding, Gate};
use crate::intent::{self, Intent, KeySource, Sender};
use crate::key::PublicKey;
use crate::lookup::{Direct, Facts};
use crate::name::{Name, Selector};
use crate::record::{Key, Value, Values};

/// One protocol.
#[derive(Debug)]
pub struct Protocol {
    /// Its name, as people write it.
    pub name: &'static str,
    /// The records that it wants.
    pub desired: fn(&Declaration<'_>) -> Vec<Wanted>,
    /// The checks that judge what is there.
    pub checks: &'static [Check],
}

/// One check.
#[derive(Debug)]
pub struct Check {
    /// Identifier, as `shared` documents and findings name it.
    pub id: &'static str,
    /// What the check asks, in a few words.
    pub title: &'static str,
    /// Where that is said: document and section.
    pub source: &'static str,
    /// What it holds back when it fails.
    pub gate: Gate,
    /// The check itself.
    pub run: fn(&Evidence<'_>) -> Vec<Finding>,
}

/// Every protocol.
pub const ALL: &[Protocol] = &[
    hosts::PROTOCOL,
    ptr::PROTOCOL,
    mx::PROTOCOL,
    spf::PROTOCOL,
    dkim::PROTOCOL,
    dmarc::PROTOCOL,
    alignment::PROTOCOL,
    bimi::PROTOCOL,
    legacy::PROTOCOL,
    dns::PROTOCOL,
];

/// Everything that the wanted records follow from.
#[derive(Debug)]
pub struct Declaration<'a> {
    /// What the user declared.
    pub intent: &'a Intent,
    /// The DKIM keys as they are now.
    pub keys: &'a [SigningKey],
    /// Whether the declared DMARC policy may go out.
    pub policy_gate: PolicyGate,
    /// Whether the domain lies in a private zone of the operator's configuration, where private and documentation
    /// addresses are in order.
    pub private_zone: bool,
}

/// Whether a DMARC policy stricter than `none` may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PolicyGate {
    /// Some declared sender has no proven aligned identifier yet: publish nothing stricter than what stands there.
    Held(crate::api::DmarcPolicy),
    /// All are proven, or the live record is as strict already.
    Released,
}

/// A DKIM selector of the domain with what stands there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SigningKey {
    /// The sender that signs with it.
    pub sender: String,
    /// Its name in the sender's list.
    pub name: String,
    /// The selector.
    pub selector: Selector,
    /// What the selector's record says.
    pub record: KeyRecord,
    /// For how long it has been proven; `None`: it is not, or nobody knows here.
    pub age: Option<jiff::SignedDuration>,
}

impl SigningKey {
    /// The keys whose records follow from the declaration alone: a public half, or a vendor's record.
    pub fn declared(intent: &Intent) -> Vec<Self> {
        let known = |(sender, key): (&Sender, &intent::Key)| {
            let (selector, record) = match &key.source {
                KeySource::PublicKey {
                    selector,
                    algorithm,
                    value,
                } => (
                    selector,
                    KeyRecord::Public(PublicKey::parse(*algorithm, value).ok()?),
                ),
                KeySource::Delegate { selector, target } => (selector, KeyRecord::Delegated(target.clone())),
                KeySource::Generate { .. } | KeySource::Import { .. } => return None,
            };
            Some(Self {
                sender: sender.name.clone(),
                name: key.name.clone(),
                selector: selector.clone(),
                record,
                age: None,
            })
        };
        let senders = intent.senders.iter();
        let keys = senders.flat_map(|sender| sender.keys.iter().map(move |key| (sender, key)));
        keys.filter_map(known).collect()
    }
}

/// What a selector's record says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRecord {
    /// A public key.
    Public(crate::key::PublicKey),
    /// An alias of a vendor's record.
    Delegated(Name),
    /// Whatever stands there: it is looked at, and nothing is declared of it.
    Found,
}

/// One RRset that is wanted, or our part of a shared one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Which RRset.
    pub key: Key,
    /// What it is for.
    pub purpose: Purpose,
    /// The values.
    pub values: Values,
    /// Whether other values may stand beside ours.
    pub sharing: Sharing,
}

impl Wanted {
    /// An RRset that holds exactly these values.
    pub fn exclusive(name: Name, purpose: Purpose, values: impl IntoIterator<Item = Value>) -> Option<Self> {
        let values: Values = values.into_iter().collect();
        let record_type = values.first()?.record_type();
        Some(Self {
            key: Key::new(name, record_type),
            purpose,
            values,
            sharing: Sharing::Exclusive,
        })
    }

    /// A TXT value beside others; ours is the only one that begins so.
    pub fn shared(name: Name, purpose: Purpose, text: String, prefix: &'static str) -> Self {
        Self {
            key: Key::new(name, crate::record::RecordType::Txt),
            purpose,
            values: Values::from([Value::Txt(text)]),
            sharing: Sharing::Prefix(prefix),
        }
    }
}

/// Whether other values may stand beside ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// The RRset is ours alone.
    Exclusive,
    /// Other texts are kept; those that begin with this word (without regard to case) are ours to have.
    Prefix(&'static str),
}

impl Sharing {
    /// Whether a live value is of our kind, well-formed or not, whoever wrote it.
    pub fn claims(self, value: &Value) -> bool {
        match self {
            Self::Exclusive => true,
            Self::Prefix(prefix) => value.as_txt().is_some_and(|text| {
                let text = text.to_ascii_lowercase();
                text.strip_prefix(prefix)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with(' ') || prefix.ends_with('/'))
            }),
        }
    }
}

impl Purpose {
    const ALL: [Self; 11] = [
        Self::Host,
        Self::Reverse,
        Self::Mx,
        Self::ReturnPath,
        Self::Spf,
        Self::SenderId,
        Self::Dkim,
        Self::DomainKeysPolicy,
        Self::Dmarc,
        Self::Bimi,
        Self::Owner,
    ];

    /// The purpose with this name, as `Display` writes it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|purpose| purpose.to_string() == text)
    }
}

/// What a record is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Purpose {
    /// Addresses or alias of a declared host.
    Host,
    /// Reverse name of a mail host.
    Reverse,
    /// MX.
    Mx,
    /// Alias of an envelope domain.
    ReturnPath,
    /// SPF.
    Spf,
    /// `spf2.0/pra`.
    SenderId,
    /// DKIM key or delegation.
    Dkim,
    /// `_domainkey` `o=-`.
    DomainKeysPolicy,
    /// DMARC policy.
    Dmarc,
    /// BIMI assertion.
    Bimi,
    /// The text that says which operator writes the domain, see [`crate::plan::Owner`]. No protocol wants it.
    Owner,
}

impl fmt::Display for Purpose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Host => "Host",
            Self::Reverse => "PTR",
            Self::Mx => "MX",
            Self::ReturnPath => "ReturnPath",
            Self::Spf => "SPF",
            Self::SenderId => "SenderID",
            Self::Dkim => "DKIM",
            Self::DomainKeysPolicy => "DomainKeysPolicy",
            Self::Dmarc => "DMARC",
            Self::Bimi => "BIMI",
            Self::Owner => "Owner",
        })
    }
}

/// Everything that a check may look at.
#[derive(Debug)]
pub struct Evidence<'a> {
    /// What was declared.
    pub declaration: &'a Declaration<'a>,
    /// What receivers see.
    pub facts: &'a Facts,
    /// What every authoritative server says of the records that are wanted.
    pub direct: &'a Direct,
}

/// The records of every protocol, in the order of [`ALL`].
pub fn desired(declaration: &Declaration<'_>) -> Vec<Wanted> {
    ALL.iter()
        .flat_map(|protocol| (protocol.desired)(declaration))
        .collect()
}

/// The findings of every check, worst first.
pub fn findings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ALL
        .iter()
        .flat_map(|protocol| protocol.checks)
        .flat_map(|check| (check.run)(evidence))
        .collect();
    findings.sort();
    findings.dedup();
    findings
}

impl Check {
    /// A finding of this check.
    pub fn finding(
        &self,
        severity: crate::api::Severity,
        name: impl fmt::Display,
        message: String,
    ) -> Finding {
        Finding {
            severity,
            id: self.id,
            name: name.to_string(),
            message,
            gate: self.gate,
        }
    }
}
