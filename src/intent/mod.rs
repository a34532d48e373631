//! The declaration, parsed once: a [`MailDomainSpec`] becomes an [`Intent`] or a list of [`Problem`]s.
//!
//! Pure. Admission rules refuse most nonsense before; this refuses it again, because an object may be older than
//! the rule. Nothing after this step sees an unparsed name, address or range.

mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::IpAddr;

use crate::api::{DeletionPolicy, HostPurpose, MailDomainSpec, Reverse};
use crate::cidr::Cidr;
use crate::name::{Name, Selector};

pub use parse::parse;

pub use crate::api::{
    Adoption, Alignment, Dmarc, DmarcPolicy, Drift, KeyAlgorithm, LegacyRecord, Mode, SpfAll,
};

/// What the user wants, in types.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// RFC 5322 From domain.
    pub domain: Name,
    /// TTL of our records in seconds.
    pub ttl: u32,
    /// How much may be written, and over what.
    pub conduct: Conduct,
    /// How long MX, SPF terms and mail hosts stay after nobody declares them any more.
    pub retire_after: jiff::SignedDuration,
    /// What happens at deletion.
    pub deletion: DeletionPolicy,
    /// Providers in the order of the spec.
    pub providers: Vec<String>,
    /// Declared hosts.
    pub hosts: Vec<Host>,
    /// MX of the domain; `None`: not ours to write.
    pub receiving: Option<Vec<Mx>>,
    /// Declared senders.
    pub senders: Vec<Sender>,
    /// How SPF records end.
    pub spf_all: SpfAll,
    /// DMARC, if declared. Its report addresses are checked for form.
    pub dmarc: Option<Dmarc>,
    /// BIMI, if declared.
    pub bimi: Option<Bimi>,
    /// Legacy records that were asked for.
    pub legacy: Vec<LegacyRecord>,
}

/// How much may be written, and over what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Conduct {
    /// Who writes the records.
    pub mode: Mode,
    /// Whether writing is suspended.
    pub suspend: bool,
    /// What to do about foreign values of our kind.
    pub adoption: Adoption,
    /// What to do when another hand changes a record of ours.
    pub drift: Drift,
}

impl Conduct {
    /// As a spec says it; needs no field that could be wrong.
    pub fn of(spec: &MailDomainSpec) -> Self {
        Self {
            mode: spec.publishing.mode,
            suspend: spec.suspend,
            adoption: spec.publishing.adoption,
            drift: spec.publishing.drift,
        }
    }

    /// Whether anything may be written at a provider.
    pub fn publishes(self) -> bool {
        self.mode == Mode::Publish && !self.suspend
    }

    /// Whether a key may be made or given up.
    pub fn makes_keys(self) -> bool {
        self.mode != Mode::Observe && !self.suspend
    }

    /// Whether claim and ledger are written. What only looks leaves no trace but its status.
    pub fn leaves_traces(self) -> bool {
        self.mode != Mode::Observe
    }
}

/// A declared host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its name.
    pub name: Name,
    /// What it is for.
    pub purpose: HostPurpose,
    /// Addresses or an alias.
    pub at: HostAt,
    /// What to do about reverse names.
    pub reverse: Reverse,
}

/// Where a host is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostAt {
    /// At these addresses, at least one.
    Addresses(Vec<IpAddr>),
    /// Where this name is.
    Alias(Name),
}

impl Host {
    /// The declared addresses; none for an alias.
    pub fn addresses(&self) -> &[IpAddr] {
        match &self.at {
            HostAt::Addresses(addresses) => addresses,
            HostAt::Alias(_) => &[],
        }
    }
}

/// A declared MX record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mx {
    /// The exchange.
    pub host: Name,
    /// Lower is tried first.
    pub preference: u16,
}

/// A declared sender.
#[derive(Debug, Clone, PartialEq)]
pub struct Sender {
    /// Its name.
    pub name: String,
    /// HELO names, all of them in [`Intent::hosts`].
    pub hosts: Vec<Name>,
    /// Further addresses that mail leaves from.
    pub egress: Vec<Cidr>,
    /// Envelope domain.
    pub return_path: ReturnPath,
    /// Domains to include in SPF.
    pub includes: Vec<Name>,
    /// Keys, in the order of the spec.
    pub keys: Vec<Key>,
    /// What generated selectors begin with.
    pub selector_prefix: String,
}

/// Where bounces go and SPF is looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReturnPath {
    /// This domain, with MX records of ours if any are given.
    Domain {
        /// RFC 5321 MailFrom domain.
        name: Name,
        /// MX to publish; empty: looked at only.
        mx: Vec<Mx>,
    },
    /// This domain is an alias of a vendor's.
    Alias {
        /// RFC 5321 MailFrom domain.
        name: Name,
        /// The vendor's name.
        target: Name,
    },
    /// The vendor's own domain: SPF never aligns.
    Vendor,
}

impl ReturnPath {
    /// The envelope domain, unless the vendor uses its own.
    pub fn domain(&self) -> Option<&Name> {
        match self {
            Self::Domain { name, .. } | Self::Alias { name, .. } => Some(name),
            Self::Vendor => None,
        }
    }
}

/// A declared DKIM key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Its name in the sender's list.
    pub name: String,
    /// Where it comes from.
    pub source: KeySource,
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// Made here.
    Generate {
        /// Algorithm.
        algorithm: KeyAlgorithm,
        /// RSA modulus length in bits.
        bits: usize,
    },
    /// A private key in a Secret of the same namespace.
    Import {
        /// Selector.
        selector: Selector,
        /// Secret name.
        secret: String,
        /// Key in the Secret's data.
        entry: String,
    },
    /// A public half, base64.
    PublicKey {
        /// Selector.
        selector: Selector,
        /// Algorithm.
        algorithm: KeyAlgorithm,
        /// Base64.
        value: String,
    },
    /// The record is kept by a vendor.
    Delegate {
        /// Selector.
        selector: Selector,
        /// The vendor's name.
        target: Name,
    },
}

/// A BIMI assertion.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bimi {
    /// Where it stands: `<selector>._bimi.<domain>`.
    pub record_name: Name,
    /// `l=`.
    pub logo: String,
    /// `a=`.
    pub certificate: Option<String>,
}

/// A field of the spec that cannot be used, and the fix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Path of the field.
    pub field: String,
    /// What is wrong and what to write.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.field, self.message)
    }
}

impl Intent {
    /// Whether a name is at or below the declared domain, so that it may be written.
    pub fn owns(&self, name: &Name) -> bool {
        name.is_within(&self.domain)
    }

    /// The declared host of this name.
    pub fn host(&self, name: &Name) -> Option<&Host> {
        self.hosts.iter().find(|host| &host.name == name)
    }

    /// Every address that a sender declares: of its hosts.
    pub fn sending_addresses<'a>(&'a self, sender: &'a Sender) -> impl Iterator<Item = IpAddr> + 'a {
        sender
            .hosts
            .iter()
            .filter_map(|name| self.host(name))
            .flat_map(|host| host.addresses().iter().copied())
    }
}
