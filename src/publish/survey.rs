//! What a provider tells of itself. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::PublishError;
use crate::name::Name;

/// Whether a provider takes the operator's credentials.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Credentials {
    /// An answer was seen that only their holder gets.
    Accepted,
    /// It answered, and nothing in that shows it.
    #[default]
    Unclear,
    /// They are not the operator's.
    Foreign,
}

/// What a provider tells of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Survey {
    /// Whether it takes the credentials. Where a key belongs to a zone, `faults` may say no of single ones.
    pub credentials: Credentials,
    /// The zones that it serves, as far as it tells.
    pub zones: BTreeSet<Name>,
    /// What is wrong with zones of the provider object.
    pub faults: BTreeMap<Name, PublishError>,
}

impl Survey {
    /// Takes in what one zone's probe said. `Err`: that says nothing of the zone, and the others need not be asked.
    pub(super) fn add(&mut self, zone: &Name, probed: Result<(), PublishError>) -> Result<(), PublishError> {
        match probed {
            Ok(()) => {
                self.credentials = Credentials::Accepted;
                self.zones.insert(zone.clone());
            }
            // The key was good enough for an answer, and not for a change.
            Err(error @ PublishError::Refused(..)) => {
                self.credentials = Credentials::Accepted;
                self.zones.insert(zone.clone());
                self.faults.insert(zone.clone(), error);
            }
            Err(error @ (PublishError::ZoneMissing(_) | PublishError::Credentials)) => {
                self.faults.insert(zone.clone(), error);
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// What a list of all zones says: those of `wanted` that are not in it are missing.
    pub(super) fn listed(zones: BTreeSet<Name>, wanted: &BTreeSet<Name>) -> Self {
        let missing = wanted.difference(&zones);
        let faults = missing.map(|zone| (zone.clone(), PublishError::ZoneMissing(zone.clone())));
        Self {
            credentials: Credentials::Accepted,
            faults: faults.collect(),
            zones,
        }
    }
}
