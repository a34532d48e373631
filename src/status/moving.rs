//! What is said of records that move from one provider to another. Pure.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::bounded_text;
use crate::api::{MoveStatus, Truth};
use crate::name::Name;
use crate::plan::Parting;
use crate::publish::PublishError;
use crate::record::Key;
use crate::tenancy::Home;

/// How many records of others, and how many name servers, a status lists.
const LISTED: usize = 64;

/// One home that is being left, as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Move {
    /// The home that is left.
    pub home: Home,
    /// The providers that serve the names now.
    pub to: BTreeSet<String>,
    /// Who serves the zone by the word of the zone above; nobody: it could not be asked.
    pub delegated_to: BTreeSet<Name>,
    /// The name servers of the zone at the new home, as far as they could be found.
    pub servers: BTreeSet<Name>,
    /// Whether all of these answer as declared.
    pub proven: Truth,
    /// The first RRset that some of them do not answer with.
    pub unproven: Option<Key>,
    /// What others have at the old home and the new one lacks.
    pub lacking: Vec<String>,
    /// Why the old home could not be read.
    pub unread: Option<PublishError>,
    /// When the copies at the old home go; `None` as long as the world may ask there.
    pub ends: Option<Timestamp>,
}

/// How far a move is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    HomeUnproven,
    DelegationUnknown,
    Delegation,
    /// Until then.
    Caches(Timestamp),
    HomeUnreadable,
}

impl Stage {
    /// One word for the condition `Moving`.
    fn reason(self) -> &'static str {
        match self {
            Self::HomeUnproven => "NewHomeUnproven",
            Self::DelegationUnknown => "DelegationUnknown",
            Self::Delegation => "AwaitingDelegation",
            Self::Caches(_) => "AwaitingCaches",
            Self::HomeUnreadable => "OldHomeUnreadable",
        }
    }
}

impl Move {
    fn stage(&self) -> Stage {
        match self.ends {
            Some(_) if self.unread.is_some() => Stage::HomeUnreadable,
            Some(ends) => Stage::Caches(ends),
            None if self.proven == Truth::False => Stage::HomeUnproven,
            None if self.delegated_to.is_empty() => Stage::DelegationUnknown,
            None => Stage::Delegation,
        }
    }

    /// Where it stands and what to do.
    fn message(&self) -> String {
        let Home { provider, zone } = &self.home;
        let to = listed(&self.to);
        let what = match self.stage() {
            Stage::HomeUnreadable => {
                let why = self.unread.as_ref().map(ToString::to_string).unwrap_or_default();
                format!(
                    "the world asks the new servers, but the copies at {provider} cannot be removed: {why}"
                )
            }
            Stage::Caches(ends) => format!(
                "the world asks the new servers; the copies at {provider} go after {ends}, when caches have forgotten the old ones"
            ),
            Stage::HomeUnproven if self.servers.is_empty() => {
                "every record is being written there; leave the delegation as it is".to_owned()
            }
            Stage::HomeUnproven => {
                let key = self
                    .unproven
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                format!(
                    "the name servers there ({}) do not all answer with {key} yet; leave the delegation as it is",
                    listed(&self.servers)
                )
            }
            Stage::DelegationUnknown => format!(
                "nobody could be asked to whom {zone} is delegated; until that is known the copies at {provider} stay"
            ),
            Stage::Delegation => self.waits_for_delegation(),
        };
        let lacking = match self.lacking.as_slice() {
            [] => String::new(),
            [one] => format!("; {one} is missing at {to}"),
            [first, rest @ ..] => {
                let more = rest.len();
                format!("; {first} and {more} more records of others are missing at {to}, see status.moving")
            }
        };
        format!("{zone} moves from {provider} to {to}: {what}{lacking}")
    }

    fn waits_for_delegation(&self) -> String {
        let now = listed(&self.delegated_to);
        let old = &self.home.provider;
        if self.proven == Truth::True {
            format!(
                "every record answers at {}; change the delegation, which names {now}, to these. The copies at {old} stay until then",
                listed(&self.servers)
            )
        } else {
            format!(
                "every record is written; its name servers there are not known, so look at them, then change the delegation, which names {now}. The copies at {old} stay until then"
            )
        }
    }
}

/// The condition `Moving`: its reason and message. `None`: nothing moves.
pub(super) fn verdict(moves: &[Move]) -> Option<(&'static str, String)> {
    // Whatever still needs somebody comes before what only needs time.
    let first = moves
        .iter()
        .min_by_key(|each| (each.ends.is_some(), &each.home))?;
    let more = match moves.len() {
        1 => String::new(),
        n => format!(" (and {} more, see status.moving)", n - 1),
    };
    Some((first.stage().reason(), first.message() + &more))
}

/// The rows of `status.moving`.
pub(super) fn rows(moves: &[Move]) -> Vec<MoveStatus> {
    let row = |each: &Move| MoveStatus {
        provider: each.home.provider.clone(),
        zone: each.home.zone.to_string(),
        to: each.to.iter().cloned().collect(),
        delegated_to: each
            .delegated_to
            .iter()
            .take(LISTED)
            .map(ToString::to_string)
            .collect(),
        name_servers: each
            .servers
            .iter()
            .take(LISTED)
            .map(ToString::to_string)
            .collect(),
        proven: each.proven,
        missing: each
            .lacking
            .iter()
            .take(LISTED)
            .map(|text| bounded_text(text))
            .collect(),
        remove_after: each.ends.map(Time),
        reason: each.stage().reason().to_owned(),
        message: bounded_text(&each.message()),
    };
    moves.iter().take(8).map(row).collect()
}

/// What is said once when a move is over.
pub fn parted(home: &Home, parting: Parting) -> (&'static str, String) {
    let Home { provider, zone } = home;
    match parting {
        Parting::Removed => ("Moved", format!("the copies in {zone} at {provider} are removed")),
        Parting::SameZone => (
            "Moved",
            format!(
                "{provider} shows in {zone} what was written elsewhere: it is the same zone, and nothing is to be removed"
            ),
        ),
        Parting::TakenOver => (
            "CopiesLeft",
            format!(
                "another operator owns the domain in {zone} at {provider} now, so the copies there are left to it"
            ),
        ),
        Parting::Gone => (
            "CopiesLeft",
            format!("{zone} at {provider} does not exist any more, so nothing is to be removed"),
        ),
        Parting::LeftAlone => (
            "CopiesLeft",
            format!("the copies in {zone} at {provider} are left alone, as the annotation says"),
        ),
    }
}

fn listed<T: ToString>(things: &BTreeSet<T>) -> String {
    if things.is_empty() {
        return "nobody".to_owned();
    }
    let things: Vec<String> = things.iter().map(ToString::to_string).collect();
    things.join(", ")
}
