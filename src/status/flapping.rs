//! How often a change of `Ready` is told as an Event: a domain that goes up and down all the time says so once. Pure.

use jiff::{SignedDuration, Timestamp};

/// So many changes are told, each by itself, within [`WINDOW`].
const TOLD: u32 = 4;
/// After so long without a change the count begins anew.
const WINDOW: SignedDuration = SignedDuration::from_hours(1);

/// The changes since there was an hour without one. The status itself is never damped: it says what is so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    count: u32,
    last: Option<Timestamp>,
}

/// What is told of one change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Telling {
    /// The change.
    Change,
    /// That it changes all the time.
    Flapping,
    /// Nothing: that was told.
    Nothing,
}

impl Changes {
    /// Notes a change.
    pub fn note(&mut self, now: Timestamp) -> Telling {
        let goes_on = self.last.is_some_and(|last| now.duration_since(last) < WINDOW);
        self.count = if goes_on { self.count.saturating_add(1) } else { 1 };
        self.last = Some(now);
        match self.count {
            0..=TOLD => Telling::Change,
            count if count == TOLD + 1 => Telling::Flapping,
            _ => Telling::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_that_goes_up_and_down_says_so_once_until_it_rests() {
        let at = |minutes: i64| Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minutes);
        let mut changes = Changes::default();
        let told: Vec<Telling> = (0..20).map(|n| changes.note(at(n * 50))).collect();
        assert_eq!(told[..4], [Telling::Change; 4]);
        assert_eq!(told[4], Telling::Flapping);
        assert_eq!(told[5..], [Telling::Nothing; 15]);
        assert_eq!(changes.note(at(19 * 50 + 60)), Telling::Change);
    }
}
