//! Whether this process may write where no version guards the write. What wins and renews the lead is `lease`.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// Whether this process leads, for whoever is about to write where no version guards the write.
#[derive(Debug, Clone, Default)]
pub struct Lead {
    /// Until when the last renewal holds, on our monotonic clock; `None`: there is no election.
    until: Option<Arc<Mutex<Instant>>>,
}

impl Lead {
    /// The lead without an election.
    pub fn undisputed() -> Self {
        Self::default()
    }

    /// The lead of one who has not won an election yet.
    pub fn not_yet() -> Self {
        Self {
            until: Some(Arc::new(Mutex::new(Instant::now()))),
        }
    }

    /// Whether the last renewal is younger than the renew deadline.
    pub fn holds(&self) -> bool {
        let holds = |until: &Arc<Mutex<Instant>>| {
            Instant::now() < *until.lock().unwrap_or_else(PoisonError::into_inner)
        };
        self.until.as_ref().is_none_or(holds)
    }

    /// Notes a renewal, and until when it holds.
    pub fn renewed(&self, until: Instant) {
        if let Some(known) = &self.until {
            *known.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_lead_ends_by_itself_when_it_is_not_renewed() {
        assert!(Lead::undisputed().holds());
        let lead = Lead::not_yet();
        let elsewhere = lead.clone();
        assert!(!elsewhere.holds(), "nobody leads before the first renewal");
        lead.renewed(Instant::now() + Duration::from_mins(1));
        assert!(elsewhere.holds());
        lead.renewed(Instant::now());
        assert!(!elsewhere.holds());
    }
}
