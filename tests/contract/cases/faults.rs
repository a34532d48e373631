//! What networks and busy servers do to messages. Whatever it is, a failure is said, nothing is taken for absent, and a
//! change that went through without an answer is found again.

use std::time::{Duration, Instant};

use maildomain::lead::Lead;
use maildomain::publish::PublishError;
use maildomain::record::RecordType;

use crate::bench::{Bench, TTL, alone, name, part, spf};
use crate::process::eventually;
use crate::relay::Mode;

const OWNER: &str = "mail.corp.test";

fn wanted() -> [maildomain::protocol::Wanted; 2] {
    [
        alone(OWNER, RecordType::A, &["192.0.2.1"]),
        spf("corp.test", "v=spf1 mx -all"),
    ]
}

/// What the server itself says about its load is told as it is, by every call.
pub fn overload_is_told_and_never_taken_for_absence(bench: &Bench) {
    bench.publish(&[alone(OWNER, RecordType::A, &["192.0.2.77"])]);
    let plan = part(&bench.plan(&wanted(), TTL));
    assert!(!bench.overload.is_empty());
    for (code, error) in &bench.overload {
        bench.relay().set(Mode::Says(*code));
        let said = Err(error.clone());
        // Bursts: the third time as the first.
        for _ in 0..3 {
            assert_eq!(bench.read("corp.test", &[OWNER]).map(drop), said, "{code}");
            let apply = bench.wait(bench.publisher.apply(&plan, &Lead::undisputed()));
            assert_eq!(apply, said, "{code}");
            assert_eq!(
                bench.wait(bench.publisher.probe(&name("corp.test"))),
                said,
                "{code}"
            );
        }
        bench.stands(OWNER, "A", &["192.0.2.77"]);
    }
    bench.relay().set(Mode::Open);
    bench.publish(&wanted());
    bench.stands(OWNER, "A", &["192.0.2.1"]);
}

/// The server has carried it out, and nobody heard.
pub fn a_change_whose_answer_is_lost_is_found_again(bench: &Bench) {
    lost(bench, Mode::LosesAnswersToWrites);
}

/// The same, and the answer comes when nobody waits any more.
pub fn an_answer_after_the_timeout_is_nobodys(bench: &Bench) {
    lost(bench, Mode::DelaysAnswersToWrites);
}

fn lost(bench: &Bench, mode: Mode) {
    bench
        .hand
        .add("corp.test", "corp.test", 1800, "TXT", "\"token=1\"");
    let plan = bench.plan(&wanted(), TTL);
    bench.relay().set(mode);
    let began = Instant::now();
    assert_eq!(bench.apply(&plan), Err(PublishError::Unreachable));
    assert!(
        began.elapsed() < Duration::from_secs(20),
        "no call waits for ever"
    );
    bench.relay().set(Mode::Open);
    bench.stands(OWNER, "A", &["192.0.2.1"]);
    let again = bench.plan(&wanted(), TTL);
    assert!(again.is_empty(), "what was written is recognised:\n{again}");
    // And it is ours to change and to remove, and nothing else is.
    bench.publish(&[spf("corp.test", "v=spf1 a -all")]);
    bench.publish(&[]);
    bench.stands(OWNER, "A", &[]);
    bench.stands("corp.test", "TXT", &["\"token=1\""]);
}

/// The second copy is not taken for the answer to the next question.
pub fn answers_that_come_twice_count_once(bench: &Bench) {
    bench.relay().set(Mode::RepeatsAnswers);
    for address in ["192.0.2.1", "192.0.2.2"] {
        bench.publish(&[
            alone(OWNER, RecordType::A, &[address]),
            alone("a.corp.test", RecordType::Mx, &["10 mail.corp.test."]),
        ]);
        bench.stands(OWNER, "A", &[address]);
    }
    let live = bench
        .read("corp.test", &[OWNER, "a.corp.test", "none.corp.test"])
        .unwrap();
    assert_eq!(live.rrsets.len(), 2, "{live:?}");
}

/// A burst of failures: the gate leaves the server alone for a while, one call finds that it is back.
pub fn after_failures_in_a_row_the_server_rests_and_recovers(bench: &Bench) {
    let gated = bench.gated.as_ref().unwrap();
    let (zone, names) = (name("corp.test"), [name(OWNER)].into());
    let read = || bench.wait(gated.read(&zone, &names)).map(drop);
    assert_eq!(read(), Ok(()));
    bench.relay().set(Mode::Closed);
    let told: Vec<_> = (0..5).map(|_| read()).collect();
    assert_eq!(told[..4], vec![Err(PublishError::Unreachable); 4]);
    assert!(matches!(told[4], Err(PublishError::Resting(_, 5))), "{told:?}");
    let met = bench.relay().met();
    assert!(matches!(read(), Err(PublishError::Resting(_, 5))));
    assert_eq!(bench.relay().met(), met, "it is left alone");
    bench.relay().set(Mode::Open);
    let began = Instant::now();
    eventually("it is asked again", || read().is_ok());
    assert!(
        began.elapsed() < Duration::from_secs(5),
        "soon, at the beginning of an outage"
    );
    assert!(bench.relay().met() > met);
}

/// Every zone that was asked for is told as served or as missing.
pub fn a_survey_tells_the_zones_and_the_credentials(bench: &Bench) {
    use maildomain::publish::Credentials;
    let served = crate::bench::ZONES.map(name);
    let missing = [name("corp.example"), name("no.corp.test")];
    let wanted = served.iter().chain(&missing).cloned().collect();
    let survey = bench.wait(bench.publisher.survey(&wanted)).unwrap();
    assert_eq!(survey.credentials, Credentials::Accepted);
    assert!(
        served.iter().all(|zone| survey.zones.contains(zone)),
        "{survey:?}"
    );
    let faults: Vec<_> = survey.faults.into_iter().collect();
    assert_eq!(
        faults,
        missing
            .clone()
            .map(|zone| (zone.clone(), PublishError::ZoneMissing(zone)))
    );
    let none = bench.wait(bench.publisher.survey(&missing.iter().cloned().collect()));
    assert!(none.unwrap().zones.iter().all(|zone| !missing.contains(zone)));
}

/// Credentials that are not taken are told by the survey, as a whole or for each zone.
pub fn a_survey_tells_refused_credentials(bench: &Bench) {
    assert!(!bench.revoked.is_empty());
    let served = crate::bench::ZONES.map(name);
    for publisher in &bench.revoked {
        match bench.wait(publisher.survey(&served.iter().cloned().collect())) {
            Err(error) => assert_eq!(error, PublishError::Credentials),
            Ok(survey) => {
                assert!(survey.zones.is_empty(), "{survey:?}");
                let refused: Vec<_> = survey.faults.into_values().collect();
                assert_eq!(refused, vec![PublishError::Credentials; served.len()]);
            }
        }
    }
}
