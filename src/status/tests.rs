//! Conditions from plans, verdicts and findings.

use super::*;
use crate::finding::Gate;
use crate::intent::{Conduct, Drift, Mode};
use crate::name::Name;
use crate::plan::{Row, Step, Why, Withheld, group};
use crate::protocol::{Purpose, Wanted};
use crate::record::Value;
use crate::tenancy::Home;

const STALE: StaleAfter = StaleAfter {
    misses: 3,
    time: SignedDuration::from_secs(900),
};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

struct World {
    old: MailDomainStatus,
    step: Step,
    verified: Truth,
    applied: Result<(), PublishError>,
    findings: Vec<Finding>,
    keys: Vec<KeyState>,
    deferred: bool,
    held: Option<&'static str>,
    conduct: Conduct,
    second: i64,
}

impl Default for World {
    fn default() -> Self {
        Self {
            old: MailDomainStatus::default(),
            step: Step::InPlace,
            verified: Truth::True,
            applied: Ok(()),
            findings: Vec::new(),
            keys: Vec::new(),
            deferred: false,
            held: None,
            conduct: Conduct::default(),
            second: 0,
        }
    }
}

fn status(world: &World, patience: &mut Patience) -> MailDomainStatus {
    let wanted = Wanted::exclusive(
        name("mail.example.com"),
        Purpose::Host,
        [Value::A([203, 0, 113, 4].into())],
    )
    .unwrap();
    let group = group(vec![wanted]).remove(0);
    let home = Home {
        provider: "p".into(),
        zone: name("example.com"),
    };
    let key = group.key.clone();
    let plan = Plan {
        rows: vec![Row {
            group,
            home: Some(home),
            step: world.step.clone(),
        }],
        ..Plan::default()
    };
    let reason = (world.verified != Truth::True).then_some(if world.verified == Truth::False {
        "Different"
    } else {
        "Unreachable"
    });
    let verdict = Verdict {
        verified: world.verified,
        unanimous: true,
        reason,
        message: reason.map(str::to_owned),
        worst: None,
    };
    let account = Account {
        old: &world.old,
        generation: Some(1),
        conduct: world.conduct,
        plan: &plan,
        applied: &BTreeMap::from([("p".to_owned(), world.applied.clone())]),
        explained: &BTreeMap::new(),
        deferred: &world.deferred.then(|| "p".to_owned()).into_iter().collect(),
        verdicts: &BTreeMap::from([(key, verdict)]),
        keys: &world.keys,
        findings: &world.findings,
        held: world.held,
        moves: &[],
        bimi: false,
        now: Timestamp::from_second(world.second).unwrap(),
    };
    compute(&account, patience, STALE)
}

/// `Type=Status/Reason` of the conditions that are not fine.
fn told(status: &MailDomainStatus) -> Vec<String> {
    let fine = |c: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
        c.reason == "AsDeclared" && c.status == "True"
    };
    status
        .conditions
        .iter()
        .filter(|c| !fine(c))
        .map(|c| format!("{}={}/{}", c.type_, c.status, c.reason))
        .collect()
}

fn finding(severity: Severity, gate: Gate, id: &'static str) -> Finding {
    Finding {
        severity,
        id,
        name: "example.com".into(),
        message: "m".into(),
        gate,
    }
}

#[test]
fn all_well_is_all_true() {
    let status = status(&World::default(), &mut Patience::default());
    assert_eq!(told(&status), Vec::<String>::new());
    assert_eq!(
        status.summary.unwrap(),
        Summary {
            records: 1,
            published: 1,
            verified: 1,
            findings: 0
        }
    );
}

#[test]
fn a_failing_check_decides_its_condition_and_ready() {
    let world = World {
        findings: vec![finding(Severity::Fail, Gate::Spf, "spf-single")],
        ..World::default()
    };
    assert_eq!(
        told(&status(&world, &mut Patience::default())),
        [
            "SPFReady=False/SpfSingle",
            "Ready=False/SpfSingle",
            "Deliverable=False/SpfSingle"
        ]
    );
    let world = World {
        findings: vec![finding(Severity::Warn, Gate::Spf, "spf-ptr")],
        ..World::default()
    };
    assert_eq!(
        told(&status(&world, &mut Patience::default())),
        Vec::<String>::new()
    );
}

#[test]
fn hosts_do_not_hold_ready() {
    let world = World {
        findings: vec![finding(Severity::Fail, Gate::Hosts, "host-resolves")],
        ..World::default()
    };
    assert_eq!(
        told(&status(&world, &mut Patience::default())),
        ["HostsReady=False/HostResolves", "Deliverable=False/HostResolves"]
    );
}

#[test]
fn a_conflict_stalls_but_does_not_decide_ready() {
    let world = World {
        step: Step::Conflict("x".into()),
        verified: Truth::False,
        ..World::default()
    };
    assert_eq!(
        told(&status(&world, &mut Patience::default())),
        [
            "Published=False/Conflict",
            "Verified=False/Conflict",
            "Stalled=True/Conflict"
        ]
    );
}

#[test]
fn drift_is_named_in_verified() {
    let status = status(
        &World {
            step: Step::Mend,
            ..World::default()
        },
        &mut Patience::default(),
    );
    assert_eq!(
        told(&status),
        ["Verified=False/Drift", "Reconciling=True/Waiting"]
    );
    let verified = status.conditions.iter().find(|c| c.type_ == "Verified").unwrap();
    assert_eq!(
        verified.message,
        "mail.example.com A (Host): was changed by another hand and is mended"
    );
}

#[test]
fn a_provider_that_is_told_a_state_has_published_when_dns_says_so() {
    let mut world = World {
        step: Step::Write,
        deferred: true,
        verified: Truth::False,
        ..World::default()
    };
    assert_eq!(
        told(&status(&world, &mut Patience::default()))[0],
        "Published=False/Propagating"
    );
    world.verified = Truth::True;
    assert_eq!(
        told(&status(&world, &mut Patience::default())),
        Vec::<String>::new()
    );
}

#[test]
fn errors_of_providers_have_names() {
    let world = World {
        step: Step::Unread(PublishError::Credentials),
        ..World::default()
    };
    let told = told(&status(&world, &mut Patience::default()));
    assert_eq!(told[0], "Accepted=False/CredentialsRefused");
    assert!(
        told.contains(&"Stalled=True/CredentialsRefused".to_owned()),
        "{told:?}"
    );
}

#[test]
fn unknown_keeps_the_verdict_for_a_while() {
    let mut patience = Patience::default();
    let mut world = World::default();
    world.old = status(&world, &mut patience);
    world.findings = vec![
        finding(Severity::Unknown, Gate::Dkim, "dkim-present"),
        finding(Severity::Unknown, Gate::Ready, "sender-aligned"),
    ];
    for second in [1, 300, 600, 899] {
        world.second = second;
        world.old = status(&world, &mut patience);
        let kept = [
            "DKIMReady=True/Stale",
            "Ready=True/Stale",
            "Deliverable=True/Stale",
        ];
        assert_eq!(told(&world.old), kept, "after {second} s");
    }
    world.second = 901;
    assert_eq!(
        told(&status(&world, &mut patience)),
        [
            "DKIMReady=Unknown/NotAsked",
            "Ready=Unknown/NotAsked",
            "Deliverable=Unknown/NotAsked"
        ]
    );
}

#[test]
fn transition_times_move_with_the_status_only() {
    let mut patience = Patience::default();
    let mut world = World::default();
    world.old = status(&world, &mut patience);
    world.second = 50;
    assert_eq!(
        status(&world, &mut patience),
        world.old,
        "at rest nothing changes"
    );
    world.findings = vec![finding(Severity::Fail, Gate::Spf, "spf-present")];
    let changed = status(&world, &mut patience);
    let time = |kind: &str| {
        changed
            .conditions
            .iter()
            .find(|c| c.type_ == kind)
            .unwrap()
            .last_transition_time
            .0
            .as_second()
    };
    assert_eq!((time("SPFReady"), time("DKIMReady")), (50, 0));
}

#[test]
fn a_held_policy_says_for_whom() {
    let world = World {
        held: Some("mta has no verified identifier"),
        ..World::default()
    };
    assert_eq!(
        told(&status(&world, &mut Patience::default()))[0],
        "DMARCReady=False/PolicyHeld"
    );
}

#[test]
fn a_refused_declaration_keeps_what_was_seen() {
    let old = status(&World::default(), &mut Patience::default());
    let status = refused(
        &old,
        Some(2),
        "SpecInvalid",
        "spec.domain \"x\" is ...",
        Timestamp::from_second(9).unwrap(),
    );
    assert_eq!(
        told(&status),
        [
            "Accepted=False/SpecInvalid",
            "Ready=False/SpecInvalid",
            "Stalled=True/SpecInvalid"
        ]
    );
    assert_eq!(status.records, old.records);
    assert_eq!(status.observed_generation, Some(2));
}

#[test]
fn every_reason_of_the_code_is_in_the_list() {
    let listed: BTreeSet<&str> = REASONS.iter().map(|(reason, _)| *reason).collect();
    assert_eq!(listed.len(), REASONS.len(), "no reason twice");
    let errors = [
        PublishError::Unreachable,
        PublishError::Credentials,
        PublishError::SecretMissing(String::new(), String::new()),
        PublishError::ZoneMissing(name("a.example")),
        PublishError::Refused(String::new(), 422),
        PublishError::Throttled(std::time::Duration::ZERO),
        PublishError::Unreadable,
        PublishError::Endpoint,
    ];
    assert!(errors.iter().all(|e| listed.contains(e.reason())));
}

#[test]
fn long_messages_are_cut_at_a_character() {
    assert_eq!(bounded_text(&"ü".repeat(400)).len(), 511);
}

fn withheld(why: Why, message: &str) -> Step {
    Step::Withheld(Withheld {
        why,
        message: message.to_owned(),
        paste: "mail.example.com. 3600 IN A 203.0.113.4".to_owned(),
    })
}

#[test]
fn where_nothing_is_written_published_says_whether_it_is_there() {
    let conduct = |mode: Mode, suspend: bool, drift: Drift| Conduct {
        mode,
        suspend,
        drift,
        ..Conduct::default()
    };
    let report = conduct(Mode::Publish, false, Drift::Report);
    for (conduct, why, reason, progress) in [
        (
            conduct(Mode::Manual, false, Drift::Repair),
            Why::Absent,
            "ByHand",
            Some("Reconciling=True/Waiting"),
        ),
        (
            conduct(Mode::Observe, false, Drift::Repair),
            Why::Missing,
            "Missing",
            None,
        ),
        (
            conduct(Mode::Publish, true, Drift::Repair),
            Why::Suspended,
            "Suspended",
            None,
        ),
        (report, Why::Drift, "Drift", Some("Stalled=True/Drift")),
    ] {
        let world = World {
            step: withheld(why, "is not there"),
            verified: Truth::False,
            conduct,
            ..World::default()
        };
        let status = status(&world, &mut Patience::default());
        let mut expected = vec![
            format!("Published=False/{reason}"),
            format!("Verified=False/{reason}"),
        ];
        expected.extend(progress.map(str::to_owned));
        assert_eq!(told(&status), expected);
        let row = &status.records[0];
        assert_eq!(row.reason.as_deref(), Some(reason));
        assert!(row.paste.as_deref().is_some_and(|p| p.contains("203.0.113.4")));
    }
}

#[test]
fn a_suspension_is_told_whatever_else_is_told() {
    let suspend = Conduct {
        suspend: true,
        ..Conduct::default()
    };
    let world = |step: Step| World {
        step,
        conduct: suspend,
        ..World::default()
    };
    let said = |world: &World| {
        let status = status(world, &mut Patience::default());
        let published = status.conditions.into_iter().find(|c| c.type_ == "Published");
        published
            .map(|c| (format!("{}/{}", c.status, c.reason), c.message))
            .unwrap()
    };
    let (verdict, message) = said(&world(Step::InPlace));
    assert_eq!(verdict, "True/Suspended");
    assert!(message.contains("spec.suspend"), "{message}");
    let (verdict, message) = said(&world(Step::Conflict("foreign".into())));
    assert_eq!(verdict, "False/Conflict");
    assert!(
        message.contains("foreign") && message.contains("spec.suspend"),
        "{message}"
    );
}

#[test]
fn a_key_that_is_not_made_is_unknown_when_observed_and_missing_when_suspended() {
    let key = |unsure| KeyState {
        sender: "mta".into(),
        key: "rsa".into(),
        selector: Selector::parse("md-1").unwrap(),
        algorithm: None,
        fingerprint: None,
        stage: KeyStage::Pending,
        secret: None,
        waiting_for: Some("another mode".into()),
        since: None,
        unsure,
        not_made: true,
    };
    for (unsure, truth) in [(true, "Unknown"), (false, "False")] {
        let world = World {
            keys: vec![key(unsure)],
            ..World::default()
        };
        let told = told(&status(&world, &mut Patience::default()));
        assert_eq!(
            told,
            [
                format!("KeysReady={truth}/KeyNotMade"),
                format!("Ready={truth}/KeyNotMade"),
                format!("Deliverable={truth}/KeyNotMade")
            ]
        );
    }
}
