//! How much one provider is asked, and when it is left alone. Pure: the present and the random source are arguments.
//!
//! Three rules, of which each protects somebody else. The rate protects the provider from us. A wait that the provider
//! asked for (`Retry-After`) is kept. And a provider that fails again and again is left alone for a while: it may be
//! failing because of us, and each pass that waits for its timeouts holds up the passes of other providers' domains.
//!
//! The rest is a twelfth of the outage so far, so that recovery is noticed within a small part of what the outage took:
//! seconds in the first minute, never more than [`LONGEST_REST`]. After a rest one call goes through; what it meets
//! decides.

use jiff::{SignedDuration, Timestamp};

/// Failures in a row after which a provider is left alone.
pub const THRESHOLD: u32 = 5;
/// The rest after the first outage, and the longest one, before jitter.
pub const SHORTEST_REST: SignedDuration = SignedDuration::from_secs(1);
/// See [`SHORTEST_REST`].
pub const LONGEST_REST: SignedDuration = SignedDuration::from_secs(90);
/// The most that is believed of a provider that asks to wait.
pub const LONGEST_WAIT: SignedDuration = SignedDuration::from_mins(5);
/// How long a call may wait for the rate; more would outlive the pass that makes it.
pub const LONGEST_QUEUE: SignedDuration = SignedDuration::from_secs(10);
/// Rests differ by up to this part, so that replicas and providers do not knock in step.
const JITTER: f64 = 0.2;
const PART: i32 = 12;

/// What the rate allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls in a second, in the long run; at least one.
    pub per_second: u32,
    /// Calls at once after a rest; at least one.
    pub burst: u32,
}

/// Whether a call may be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// It may, after this long. `probe`: it alone decides whether the provider is back.
    Go {
        /// For the rate.
        wait: SignedDuration,
        /// Whether the provider rested until now.
        probe: bool,
    },
    /// The provider asked to wait, or more calls than the rate can bear wait already; try again after this long.
    Throttled(SignedDuration),
    /// The provider is left alone.
    Resting(Rest),
}

/// A provider that is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rest {
    /// Until when.
    pub until: Timestamp,
    /// Failures in a row.
    pub failures: u32,
}

/// What became of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The provider answered. A refusal is an answer, of credentials too.
    Answered,
    /// No connection, no answer in time, or one that says that the server itself failed.
    Failed,
    /// The provider asked to wait this long.
    AskedToWait(SignedDuration),
    /// Nobody waited for the end.
    Abandoned,
}

/// The traffic with one provider.
#[derive(Debug, Clone)]
pub struct Traffic {
    rate: Rate,
    /// When the calls that were let through are all used up (a leaky bucket as one time).
    used_until: Option<Timestamp>,
    held_until: Option<Timestamp>,
    failures: u32,
    first_failure: Option<Timestamp>,
    rest_until: Option<Timestamp>,
    probing: bool,
}

impl Traffic {
    /// With a provider that nobody has asked yet.
    pub fn new(rate: Rate) -> Self {
        Self {
            rate,
            used_until: None,
            held_until: None,
            failures: 0,
            first_failure: None,
            rest_until: None,
            probing: false,
        }
    }

    /// Whether the provider is left alone, or was and has not answered since.
    pub fn is_open(&self) -> bool {
        self.rest_until.is_some()
    }

    /// Asks to make a call. Whoever may go must [`Traffic::settle`].
    pub fn admit(&mut self, now: Timestamp) -> Admission {
        if let Some(wait) = remaining(self.held_until, now, LONGEST_WAIT) {
            return Admission::Throttled(wait);
        }
        let probe = match self.rest_until {
            Some(until) if self.probing || remaining(self.rest_until, now, LONGEST_REST * 2).is_some() => {
                let failures = self.failures;
                return Admission::Resting(Rest { until, failures });
            }
            Some(_) => true,
            None => false,
        };
        match self.take(now) {
            Err(wait) => Admission::Throttled(wait),
            Ok(wait) => {
                self.probing |= probe;
                Admission::Go { wait, probe }
            }
        }
    }

    /// One call of the rate; how long it must wait. `Err`: too long, and nothing was taken.
    fn take(&mut self, now: Timestamp) -> Result<SignedDuration, SignedDuration> {
        let Rate { per_second, burst } = self.rate;
        let second = SignedDuration::from_secs(1);
        let each = second / i32::try_from(per_second.max(1)).unwrap_or(i32::MAX);
        let all = each * i32::try_from(burst.max(1)).unwrap_or(i32::MAX);
        // A clock that was set back does not hold the calls up.
        let used = self
            .used_until
            .filter(|used| used.duration_since(now) <= all + LONGEST_QUEUE)
            .map_or(now, |used| used.max(now));
        let used = used.saturating_add(each).unwrap_or(Timestamp::MAX);
        let wait = (used.duration_since(now) - all).max(SignedDuration::ZERO);
        if wait > LONGEST_QUEUE {
            return Err(wait);
        }
        self.used_until = Some(used);
        Ok(wait)
    }

    /// What became of a call that was let through. `dice` is at least 0 and less than 1. Gives the rest that begins with
    /// it, or that goes on.
    pub fn settle(&mut self, now: Timestamp, outcome: Outcome, probe: bool, dice: f64) -> Option<Rest> {
        self.probing &= !probe;
        match outcome {
            Outcome::Answered => {
                self.recovered();
                None
            }
            Outcome::AskedToWait(wait) => {
                self.recovered();
                let until = now.saturating_add(wait.min(LONGEST_WAIT)).unwrap_or(now);
                self.held_until = Some(self.held_until.map_or(until, |held| held.max(until)));
                None
            }
            Outcome::Abandoned => None,
            Outcome::Failed => self.failed(now, probe, dice),
        }
    }

    fn recovered(&mut self) {
        self.failures = 0;
        self.first_failure = None;
        self.rest_until = None;
    }

    fn failed(&mut self, now: Timestamp, probe: bool, dice: f64) -> Option<Rest> {
        self.failures = self.failures.saturating_add(1);
        let since = *self.first_failure.get_or_insert(now);
        if self.failures < THRESHOLD {
            return None;
        }
        // Calls that were on their way when the rest began do not make it longer.
        if probe || self.rest_until.is_none() {
            let rest = (now.duration_since(since) / PART).clamp(SHORTEST_REST, LONGEST_REST);
            let rest = rest.mul_f64(1.0 - JITTER + 2.0 * JITTER * dice);
            self.rest_until = Some(now.saturating_add(rest).unwrap_or(now));
        }
        let failures = self.failures;
        self.rest_until.map(|until| Rest { until, failures })
    }
}

/// What is left until then. More than there can be means that the clock was set back: then nothing is.
fn remaining(until: Option<Timestamp>, now: Timestamp, most: SignedDuration) -> Option<SignedDuration> {
    let left = until?.duration_since(now);
    (left.is_positive() && left <= most).then_some(left)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Rate = Rate {
        per_second: 20,
        burst: 40,
    };

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millisecond(1_700_000_000_000 + millis).unwrap()
    }

    fn go(traffic: &mut Traffic, millis: i64) -> bool {
        match traffic.admit(at(millis)) {
            Admission::Go { probe, .. } => probe,
            other => panic!("{other:?}"),
        }
    }

    /// A provider that fails from second zero on until it rests; when that was, and the rest.
    fn broken() -> (Traffic, Rest) {
        let mut traffic = Traffic::new(RATE);
        for n in 0..THRESHOLD {
            assert!(!go(&mut traffic, i64::from(n)));
            let rest = traffic.settle(at(i64::from(n)), Outcome::Failed, false, 0.5);
            assert_eq!(rest.is_some(), n + 1 == THRESHOLD, "{n}");
            if let Some(rest) = rest {
                return (traffic, rest);
            }
        }
        panic!("it rests");
    }

    #[test]
    fn a_burst_goes_at_once_and_the_rest_at_the_rate() {
        let mut traffic = Traffic::new(RATE);
        let waits: Vec<i128> = (0..60)
            .map(|_| match traffic.admit(at(0)) {
                Admission::Go { wait, .. } => wait.as_millis(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert!(waits[..40].iter().all(|wait| *wait == 0), "{waits:?}");
        assert_eq!(waits[40..43], [50, 100, 150]);
        // Half a second later ten more are free.
        assert_eq!(waits[59], 1000);
        let later = traffic.admit(at(1050));
        assert_eq!(
            later,
            Admission::Go {
                wait: SignedDuration::ZERO,
                probe: false
            }
        );
    }

    #[test]
    fn nobody_waits_for_ever_for_the_rate() {
        let rate = Rate {
            per_second: 1,
            burst: 1,
        };
        let mut traffic = Traffic::new(rate);
        let admitted = (0..100)
            .filter(|_| matches!(traffic.admit(at(0)), Admission::Go { .. }))
            .count();
        assert_eq!(admitted, 11, "one at once, ten within the queue");
        assert_eq!(
            traffic.admit(at(0)),
            Admission::Throttled(SignedDuration::from_secs(11))
        );
        // A clock that was set back by a day.
        assert!(!go(&mut traffic, -86_400_000));
    }

    #[test]
    fn failures_in_a_row_open_it_and_one_answer_between_them_does_not() {
        let mut traffic = Traffic::new(RATE);
        for n in 0..THRESHOLD * 3 {
            assert!(!go(&mut traffic, i64::from(n)));
            let outcome = if n % THRESHOLD == THRESHOLD - 1 {
                Outcome::Answered
            } else {
                Outcome::Failed
            };
            assert_eq!(traffic.settle(at(i64::from(n)), outcome, false, 0.0), None);
        }
        assert!(!traffic.is_open());
        let (mut traffic, rest) = broken();
        assert_eq!(
            (rest.failures, rest.until),
            (THRESHOLD, at(i64::from(THRESHOLD) - 1 + 1000))
        );
        assert_eq!(traffic.admit(at(500)), Admission::Resting(rest));
    }

    #[test]
    fn after_a_rest_one_call_decides() {
        let (mut traffic, rest) = broken();
        assert!(go(&mut traffic, 1100), "the probe");
        assert_eq!(traffic.admit(at(1100)), Admission::Resting(rest), "one at a time");
        // It fails: the next rest. A failure of a call from before the rest changes nothing.
        let next = traffic.settle(at(1200), Outcome::Failed, true, 0.5).unwrap();
        assert_eq!((next.failures, next.until), (THRESHOLD + 1, at(2200)));
        assert_eq!(
            traffic
                .settle(at(1300), Outcome::Failed, false, 0.5)
                .unwrap()
                .until,
            next.until
        );
        // One that nobody waited for gives the turn back.
        assert!(go(&mut traffic, 2300));
        assert_eq!(traffic.settle(at(2400), Outcome::Abandoned, true, 0.5), None);
        assert!(go(&mut traffic, 2400));
        assert_eq!(traffic.settle(at(2500), Outcome::Answered, true, 0.5), None);
        assert!(!traffic.is_open() && !go(&mut traffic, 2500) && !go(&mut traffic, 2500));
    }

    #[test]
    fn rests_grow_with_the_outage_and_stay_short_in_the_first_minute() {
        let (mut traffic, mut rest) = broken();
        let mut longest_in_first_minute = SignedDuration::ZERO;
        let mut longest = SignedDuration::ZERO;
        let began = at(0);
        while rest.until.duration_since(began) < SignedDuration::from_hours(2) {
            let now = rest.until;
            let Admission::Go { probe: true, .. } = traffic.admit(now) else {
                panic!("the rest is over")
            };
            rest = traffic.settle(now, Outcome::Failed, true, 0.999).unwrap();
            let length = rest.until.duration_since(now);
            longest = longest.max(length);
            if now.duration_since(began) <= SignedDuration::from_mins(1) {
                longest_in_first_minute = longest_in_first_minute.max(length);
            }
        }
        assert!(longest_in_first_minute <= SignedDuration::from_secs(6));
        assert!(longest > SignedDuration::from_secs(100) && longest <= SignedDuration::from_secs(108));
    }

    #[test]
    fn the_dice_move_a_rest_by_a_fifth() {
        let length = |dice| {
            let (mut traffic, rest) = broken();
            assert!(matches!(
                traffic.admit(rest.until),
                Admission::Go { probe: true, .. }
            ));
            let next = traffic.settle(rest.until, Outcome::Failed, true, dice).unwrap();
            next.until.duration_since(rest.until).as_millis()
        };
        assert_eq!([length(0.0), length(0.5)], [800, 1000]);
        assert!(length(0.99) > 1190);
    }

    #[test]
    fn a_wait_that_the_provider_asks_for_is_kept_and_bounded() {
        let mut traffic = Traffic::new(RATE);
        assert!(!go(&mut traffic, 0));
        let asked = Outcome::AskedToWait(SignedDuration::from_secs(7));
        assert_eq!(traffic.settle(at(0), asked, false, 0.0), None);
        assert_eq!(
            traffic.admit(at(2000)),
            Admission::Throttled(SignedDuration::from_secs(5))
        );
        assert!(!go(&mut traffic, 7000));
        let asked = Outcome::AskedToWait(SignedDuration::from_hours(9));
        traffic.settle(at(7000), asked, false, 0.0);
        assert_eq!(traffic.admit(at(7000)), Admission::Throttled(LONGEST_WAIT));
        // A clock that was set back by a day.
        assert!(!go(&mut traffic, -86_400_000));
    }

    #[test]
    fn a_clock_that_was_set_back_ends_a_rest() {
        let (mut traffic, _) = broken();
        assert!(go(&mut traffic, -86_400_000));
    }
}
