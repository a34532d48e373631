//! Waiting on conditions with deadlines, never for a time.

use std::fmt::Debug;
use std::time::{Duration, Instant, SystemTime};

/// How long anything may take on a busy two-core machine before a test calls it a failure.
const DEADLINE: Duration = Duration::from_secs(90);

/// Asks again and again until the answer satisfies; on the deadline panics with the last answer.
#[track_caller]
pub fn eventually<T: Debug>(what: &str, mut ask: impl FnMut() -> T, satisfied: impl Fn(&T) -> bool) -> T {
    let began = Instant::now();
    loop {
        let answer = ask();
        if satisfied(&answer) {
            return answer;
        }
        assert!(
            began.elapsed() < DEADLINE,
            "{what}: not within {DEADLINE:?}; last seen: {answer:#?}"
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until the clock says this; it must say so within five minutes.
#[track_caller]
#[expect(clippy::disallowed_methods, reason = "tests live in real time")]
pub fn wait_until(time: jiff::Timestamp) {
    let end = SystemTime::from(time);
    let began = Instant::now();
    while SystemTime::now() < end {
        assert!(began.elapsed() < Duration::from_mins(5), "{time} is too far away");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Asks again and again for a while; panics at the first answer that does not satisfy. For what must not happen.
#[track_caller]
pub fn throughout<T: Debug>(
    what: &str,
    time: Duration,
    mut ask: impl FnMut() -> T,
    satisfied: impl Fn(&T) -> bool,
) {
    let began = Instant::now();
    while began.elapsed() < time {
        let answer = ask();
        assert!(
            satisfied(&answer),
            "{what}: no more after {:?}; seen: {answer:#?}",
            began.elapsed()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}
