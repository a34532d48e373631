//! What goes wrong, and when: an order of chance that follows from a seed.

use std::fmt;

use super::resolver::Lie;
use crate::dice::Dice;

/// The selector of the key that all these domains sign with.
pub const SELECTOR: &str = "s1";

/// A record that mail rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    Spf,
    HeloSpf,
    Key,
    Policy,
    HostAddress,
}

const TARGETS: [Target; 5] = [
    Target::Spf,
    Target::HeloSpf,
    Target::Key,
    Target::Policy,
    Target::HostAddress,
];

impl Target {
    /// Its owner name and type.
    pub fn rrset(self, zone: &str) -> (String, &'static str) {
        match self {
            Self::Spf => (zone.to_owned(), "TXT"),
            Self::HeloSpf => (format!("mail.{zone}"), "TXT"),
            Self::Key => (format!("{SELECTOR}._domainkey.{zone}"), "TXT"),
            Self::Policy => (format!("_dmarc.{zone}"), "TXT"),
            Self::HostAddress => (format!("mail.{zone}"), "A"),
        }
    }

    /// What stands there instead, as texts without quotes. Some of it a receiver takes as well as what is declared.
    fn instead(self, dice: &mut Dice) -> Vec<&'static str> {
        let ways: &[&[&str]] = match self {
            Self::Spf => &[
                &["v=spf1 -all"],
                &["v=spf1 ip4:203.0.113.99 ~all"],
                &["v=spf1 include:none.example ip4:203.0.113.4 -all"],
                &["v=spf1 ip4:203.0.113.4 -all", "v=spf1 -all"],
                &["v=spf1 ipv4:203.0.113.4 -all"],
                &["v=spf1 ip4:203.0.113.0/28 -all"],
            ],
            Self::HeloSpf => &[&["v=spf1 -all"], &["v=spf1 ip4:203.0.113.4 -all"]],
            Self::Key => &[&["v=DKIM1; k=rsa; p="], &["v=DKIM1; k=rsa; p=AAAA"]],
            Self::Policy => &[
                &["v=DMARC2; p=none"],
                &["v=DMARC1; p=none", "v=DMARC1; p=reject"],
                &["v=DMARC1; p=quarantine"],
            ],
            Self::HostAddress => &[&["203.0.113.99"]],
        };
        dice.of(ways).map(|values| values.to_vec()).unwrap_or_default()
    }
}

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// These name servers, 0 and 1, answer nothing.
    ServersDown(Vec<usize>),
    /// The secondary stays with damage that is mended at the primary.
    ServerStale(Target, Vec<&'static str>),
    /// The zone above names a key that the zone does not have.
    Bogus,
    /// Somebody writes something else.
    Altered(Target, Vec<&'static str>),
    /// Somebody removes it.
    Removed(Target),
    /// The resolver lies.
    Lies(Target, Option<&'static str>),
    /// The resolver says nothing about the zone.
    ResolverDown,
}

impl Fault {
    fn roll(dice: &mut Dice) -> Self {
        let target = dice.of(&TARGETS).copied().unwrap_or(Target::Spf);
        match dice.below(7) {
            0 => Self::ServersDown(match dice.below(4) {
                0 => vec![0],
                1 => vec![1],
                _ => vec![0, 1],
            }),
            1 => Self::ServerStale(target, target.instead(dice)),
            2 => Self::Bogus,
            3 => Self::Altered(target, target.instead(dice)),
            4 => Self::Removed(target),
            5 => {
                let old = match target {
                    Target::Spf | Target::HeloSpf => Some("v=spf1 -all"),
                    Target::Key => Some("v=DKIM1; k=rsa; p="),
                    Target::Policy | Target::HostAddress => None,
                };
                Self::Lies(target, old.filter(|_| dice.percent(50)))
            }
            _ => Self::ResolverDown,
        }
    }

    /// The kind, for counting.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::ServersDown(which) if which.len() == 1 => "a server down",
            Self::ServersDown(_) => "both servers down",
            Self::ServerStale(..) => "server stale",
            Self::Bogus => "zone bogus",
            Self::Altered(..) => "record altered",
            Self::Removed(_) => "record removed",
            Self::Lies(..) => "resolver lying",
            Self::ResolverDown => "resolver down",
        }
    }

    /// What it changes; two that change the same cannot be put right independently.
    fn place(&self) -> &'static str {
        match self {
            Self::ServersDown(_) => "servers",
            Self::Bogus => "chain",
            Self::ServerStale(..) | Self::Altered(..) | Self::Removed(_) => "zone",
            Self::Lies(..) | Self::ResolverDown => "resolver",
        }
    }

    /// The lie about this zone, where it is one.
    pub fn lie(&self, zone: &str) -> Option<Lie> {
        match self {
            Self::Lies(target, None) => Some(Lie::NoSuchName(target.rrset(zone).0)),
            Self::Lies(target, Some(old)) => Some(Lie::OldText(target.rrset(zone).0, (*old).to_owned())),
            Self::ResolverDown => Some(Lie::Silence),
            Self::ServersDown(_)
            | Self::ServerStale(..)
            | Self::Bogus
            | Self::Altered(..)
            | Self::Removed(_) => None,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServersDown(which) => write!(f, "servers {which:?} down"),
            Self::ServerStale(target, values) => write!(f, "secondary stale: {target:?} {values:?}"),
            Self::Bogus => f.write_str("zone bogus"),
            Self::Altered(target, values) => write!(f, "{target:?} altered: {values:?}"),
            Self::Removed(target) => write!(f, "{target:?} removed"),
            Self::Lies(target, None) => write!(f, "resolver lying: no {target:?}"),
            Self::Lies(target, Some(old)) => write!(f, "resolver lying: {target:?} {old:?}"),
            Self::ResolverDown => f.write_str("resolver down"),
        }
    }
}

/// Faults that stand at the same time, and then are put right.
pub type Step = Vec<Fault>;

/// What one domain goes through: steps of one fault, every third of two.
pub fn schedule(dice: &mut Dice, steps: usize) -> Vec<Step> {
    let step = |dice: &mut Dice| {
        let mut step = vec![Fault::roll(dice)];
        if dice.percent(33) {
            let other = Fault::roll(dice);
            if other.place() != step[0].place() {
                step.push(other);
            }
        }
        step
    };
    (0..steps).map(|_| step(dice)).collect()
}

/// What former runs found, gone through again each time; for a domain that nobody mends.
pub fn found_before() -> [Step; 4] {
    // A resolver that is silent, or lies about one record, hides that another is wrong.
    let host = Target::HostAddress;
    [
        vec![Fault::Removed(host), Fault::ResolverDown],
        vec![
            Fault::Altered(host, vec!["203.0.113.99"]),
            Fault::Lies(host, None),
        ],
        // A record that is not as wanted and does as well hides what the resolver, or the other server, says in its place.
        vec![
            Fault::Altered(Target::Policy, vec!["v=DMARC1; p=quarantine"]),
            Fault::Lies(Target::Policy, None),
        ],
        vec![
            Fault::Lies(Target::Spf, Some("v=spf1 -all")),
            Fault::ServerStale(Target::Spf, vec!["v=spf1 ip4:203.0.113.0/28 -all"]),
        ],
    ]
}
