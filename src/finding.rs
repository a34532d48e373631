//! Findings: what a check says. Data, not text that steers anything.

use crate::api::Severity;

/// The condition that a failing check makes False.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Gate {
    /// `SPFReady`.
    Spf,
    /// `DKIMReady`.
    Dkim,
    /// `DMARCReady`.
    Dmarc,
    /// `Ready` itself: no declared sender may be left without an aligned identifier, no zone bogus.
    Ready,
    /// `HostsReady`.
    Hosts,
    /// `BIMIReady`.
    Bimi,
    /// `Deliverable` only.
    Deliverable,
    /// Nothing: the finding is listed.
    Nothing,
}

impl Gate {
    /// The condition's name; `None` when nothing is held back.
    pub fn condition(self) -> Option<&'static str> {
        match self {
            Self::Spf => Some("SPFReady"),
            Self::Dkim => Some("DKIMReady"),
            Self::Dmarc => Some("DMARCReady"),
            Self::Ready => Some("Ready"),
            Self::Hosts => Some("HostsReady"),
            Self::Bimi => Some("BIMIReady"),
            Self::Deliverable => Some("Deliverable"),
            Self::Nothing => None,
        }
    }
}

/// One thing that a check found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// How bad it is; first, so that findings sort by weight.
    pub severity: Severity,
    /// The check's id, as the documentation lists it.
    pub id: &'static str,
    /// The name it is about.
    pub name: String,
    /// What is wrong and what to do, in our own words.
    pub message: String,
    /// What it holds back.
    pub gate: Gate,
}
