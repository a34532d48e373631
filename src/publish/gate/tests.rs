//! The gate around calls that succeed, fail, and are given up.

use std::cell::Cell;

use super::traffic::THRESHOLD;
use super::*;

thread_local! {
    static NOW: Cell<Timestamp> = const { Cell::new(Timestamp::UNIX_EPOCH) };
}

fn clock() -> Timestamp {
    NOW.get()
}

fn pass(seconds: i64) {
    NOW.set(
        NOW.get()
            .saturating_add(SignedDuration::from_secs(seconds))
            .unwrap(),
    );
}

const RATE: Rate = Rate {
    per_second: 20,
    burst: 40,
};

fn gates() -> Gates {
    Gates::new(clock, Arc::new(Metrics::default()))
}

async fn fails(gate: &Gate) -> PublishError {
    let unreachable = std::future::ready(Err::<(), _>(PublishError::Unreachable));
    gate.call(unreachable).await.unwrap_err()
}

async fn answers(gate: &Gate) -> Result<(), PublishError> {
    gate.call(std::future::ready(Ok(()))).await
}

#[tokio::test]
async fn failures_in_a_row_are_told_and_nobody_is_asked_until_the_rest_is_over() {
    let gates = gates();
    let gate = gates.of("corp", RATE, &["spec", "secret"]);
    for _ in 1..THRESHOLD {
        assert_eq!(fails(&gate).await, PublishError::Unreachable);
    }
    let PublishError::Resting(until, THRESHOLD) = fails(&gate).await else {
        panic!("a rest begins")
    };
    // The next pass makes a publisher of its own, and finds the same gate.
    let again = gates.of("corp", RATE, &["spec", "secret"]);
    let asked = Cell::new(false);
    let call = async {
        asked.set(true);
        Ok(())
    };
    assert_eq!(
        again.call(call).await,
        Err(PublishError::Resting(until, THRESHOLD))
    );
    assert!(!asked.get(), "the provider is left alone");
    let text = gates.metrics.text();
    assert!(
        text.contains(r#"maildomain_provider_open{provider="corp"} 1"#),
        "{text}"
    );
    assert!(
        text.contains(r#"maildomain_provider_calls_total{provider="corp",result="failed"} 5"#),
        "{text}"
    );
    assert!(
        text.contains(r#"maildomain_provider_calls_total{provider="corp",result="resting"} 1"#),
        "{text}"
    );
    pass(2);
    assert_eq!(answers(&again).await, Ok(()));
    assert_eq!(answers(&gate).await, Ok(()));
    assert!(
        gates
            .metrics
            .text()
            .contains(r#"maildomain_provider_open{provider="corp"} 0"#)
    );
}

#[tokio::test]
async fn another_secret_another_spec_and_another_provider_begin_anew() {
    let gates = gates();
    let gate = gates.of("corp", RATE, &["spec", "secret"]);
    for _ in 0..THRESHOLD {
        fails(&gate).await;
    }
    let before = gates.fingerprint("corp");
    assert!(answers(&gate).await.is_err());
    assert_eq!(
        answers(&gates.of("other", RATE, &["spec", "secret"])).await,
        Ok(())
    );
    assert_eq!(
        answers(&gates.of("corp", RATE, &["spec", "rotated"])).await,
        Ok(())
    );
    assert_ne!(gates.fingerprint("corp"), before);
    // What makes it up is told apart, however it is cut.
    assert_eq!(
        answers(&gates.of("corp", RATE, &["specsecret", ""])).await,
        Ok(())
    );
    gates.keep(|provider| provider == "other");
    assert_eq!(gates.fingerprint("corp"), None);
    let text = gates.metrics.text();
    assert!(text.contains(r#"provider="other""#) && !text.contains(r#"provider="corp""#));
}

#[tokio::test]
async fn a_refusal_is_an_answer() {
    let gates = gates();
    let gate = gates.of("corp", RATE, &[]);
    for _ in 0..THRESHOLD * 2 {
        let refused = std::future::ready(Err::<(), _>(PublishError::Credentials));
        assert_eq!(gate.call(refused).await, Err(PublishError::Credentials));
    }
    assert_eq!(answers(&gate).await, Ok(()));
}

#[tokio::test]
async fn an_answer_may_say_that_the_server_failed() {
    let gates = gates();
    let gate = gates.of("corp", RATE, &[]);
    for _ in 0..THRESHOLD {
        let said = gate.judged(std::future::ready(Ok(7)), |code| *code == 7).await;
        assert_eq!(said, Ok(7), "the answer itself is handed on");
    }
    assert!(matches!(answers(&gate).await, Err(PublishError::Resting(..))));
}

#[tokio::test]
async fn a_wait_that_is_asked_for_is_kept_for_everybody() {
    let gates = gates();
    let gate = gates.of("corp", RATE, &[]);
    let wait = Duration::from_secs(7);
    let asked = std::future::ready(Err::<(), _>(PublishError::Throttled(wait)));
    assert_eq!(gate.call(asked).await, Err(PublishError::Throttled(wait)));
    assert_eq!(answers(&gate).await, Err(PublishError::Throttled(wait)));
    pass(8);
    assert_eq!(answers(&gate).await, Ok(()));
}

#[tokio::test]
async fn a_probe_that_nobody_waits_for_gives_its_turn_back() {
    let gates = gates();
    let gate = gates.of("corp", RATE, &[]);
    for _ in 0..THRESHOLD {
        fails(&gate).await;
    }
    pass(2);
    let never = gate.call(std::future::pending::<Result<(), PublishError>>());
    assert!(
        tokio::time::timeout(Duration::from_millis(5), never)
            .await
            .is_err()
    );
    assert_eq!(answers(&gate).await, Ok(()));
}

#[tokio::test]
async fn more_than_the_rate_waits() {
    let gates = gates();
    let rate = Rate {
        per_second: 50,
        burst: 1,
    };
    let gate = gates.of("corp", rate, &[]);
    let began = std::time::Instant::now();
    for _ in 0..3 {
        assert_eq!(answers(&gate).await, Ok(()));
    }
    // By the clock of the gate, which stands, the second call waits 20 ms and the third 40.
    assert!(began.elapsed() >= Duration::from_millis(60));
}
