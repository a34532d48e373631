//! What keeps a live domain from harm: the breaker, the end of wars, retirement.

use jiff::SignedDuration;

use super::*;

const HOUR: i64 = 3600;

fn address(last: u8) -> Value {
    Value::A(Ipv4Addr::new(203, 0, 113, last))
}

fn web(number: u8) -> (Key, Written) {
    wrote(
        &format!("w{number}.example.com"),
        RecordType::A,
        Purpose::Host,
        &[address(number)],
        true,
    )
}

fn lines(numbers: std::ops::Range<u8>) -> Vec<String> {
    numbers
        .map(|n| format!("w{n}.example.com A 203.0.113.{n}"))
        .collect()
}

/// A zone that holds `count` web hosts of ours, of which none is declared any more.
fn undeclared(count: u8, explains: bool) -> Case {
    let lines = lines(0..count);
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let mut case = case(vec![], (0..count).map(web).collect(), &lines);
    case.mandate.explains = if explains {
        Explains::New
    } else {
        Explains::Nothing
    };
    case
}

fn after(mut case: Case, plan: &Plan) -> Case {
    case.written = plan.written.clone().into_iter().collect();
    case
}

#[test]
fn unexplained_removals_are_few_or_none() {
    assert_eq!(run(undeclared(3, false)).changes().count(), 3);
    let plan = run(undeclared(4, false));
    assert_eq!(plan.changes().count(), 0);
    assert_eq!(plan.held.clone().unwrap().lines().count(), 4);
    assert_eq!(
        plan.providers["p"].state.len(),
        4,
        "who is told a state hears them on"
    );
    assert_eq!(run(undeclared(4, true)).changes().count(), 4);
}

#[test]
fn what_a_generation_gave_up_stays_explained_after_a_crash() {
    // The ledger was written, with the generation in it; the provider was not called.
    let crashed = run(undeclared(9, true));
    let mut next = after(undeclared(9, true), &crashed);
    next.mandate.explains = Explains::Nothing;
    assert_eq!(run(next).changes().count(), 9);
}

#[test]
fn what_was_held_is_not_explained_by_a_later_generation() {
    let held = run(undeclared(9, false));
    let later = run(after(undeclared(9, true), &held));
    assert_eq!(
        (later.changes().count(), later.held.clone()),
        (0, held.held.clone())
    );
    // To declare all but two of them again does not let those go either.
    let mut fewer = after(undeclared(9, false), &held);
    fewer.wanted = (0..7)
        .map(|n| Wanted::exclusive(name(&format!("w{n}.example.com")), Purpose::Host, [address(n)]).unwrap())
        .collect();
    let fewer = run(fewer);
    assert_eq!(fewer.changes().count(), 0);
    assert_eq!(fewer.held.unwrap().lines().count(), 2);
}

#[test]
fn a_deletion_explains_what_was_held() {
    let held = run(undeclared(9, false));
    let mut end = after(undeclared(9, false), &held);
    end.mandate = Mandate::END;
    assert_eq!(run(end).changes().count(), 9);
}

#[test]
fn an_acknowledgement_is_of_exactly_these_removals() {
    let hash = run(undeclared(5, false)).held.unwrap().hash;
    assert_ne!(run(undeclared(6, false)).held.unwrap().hash, hash);
    let acknowledged: &'static str = Box::leak(hash.into_boxed_str());
    let let_go = |count| {
        let mut case = undeclared(count, false);
        case.mandate.acknowledged = Some(acknowledged);
        run(case)
    };
    assert_eq!(let_go(6).changes().count(), 0);
    let plan = let_go(5);
    assert_eq!((plan.changes().count(), plan.held.clone()), (5, None));
    // The annotation may go at once.
    assert_eq!(run(after(undeclared(5, false), &plan)).changes().count(), 5);
}

#[test]
fn what_is_gone_already_holds_nothing_up() {
    let mut gone = undeclared(9, false);
    gone.live = Ok(live(&[]));
    let plan = run(gone);
    assert_eq!(plan.held, None);
    assert!(plan.written.is_empty());
}

#[test]
fn unread_zones_count() {
    let mut unread = undeclared(9, false);
    unread.live = Err(PublishError::Unreachable);
    assert_eq!(run(unread).held.unwrap().lines().count(), 9);
}

#[test]
fn a_bot_is_resisted_three_times_an_hour() {
    let ours = "mail.example.com A 203.0.113.4";
    let theirs = "mail.example.com A 198.51.100.1";
    let mut written = vec![wrote(
        "mail.example.com",
        RecordType::A,
        Purpose::Host,
        &[address(4)],
        true,
    )];
    let mut look = |second: i64, generation: i64, line: &str| {
        let mut case = case(vec![host()], written.clone(), &[line]);
        (case.now, case.mandate.generation) = (second, generation);
        let plan = run(case);
        let mut after = plan.written.clone();
        let applied = BTreeMap::from([("p".to_owned(), Ok(()))]);
        let at = Timestamp::from_second(second).unwrap();
        war::count(&mut after, &plan, &applied, generation, at);
        written = after.into_iter().collect();
        plan.rows[0].step.clone()
    };
    for second in [0, 10, 20] {
        assert_eq!(look(second, 1, theirs), Step::Mend);
        assert_eq!(look(second + 5, 1, ours), Step::InPlace);
    }
    let Step::Conflict(message) = look(30, 1, theirs) else {
        panic!("it goes on")
    };
    assert!(
        message.contains("198.51.100.1") && message.contains("1970-01-01T01:00:20Z"),
        "{message}"
    );
    assert_eq!(
        look(40, 1, ours),
        Step::InPlace,
        "as wanted is fine whoever wrote it"
    );
    assert!(matches!(look(HOUR + 19, 1, theirs), Step::Conflict(_)));
    assert_eq!(look(HOUR + 20, 1, theirs), Step::Mend);
    // It counts anew.
    assert_eq!(look(HOUR + 30, 1, theirs), Step::Mend);
    assert_eq!(look(HOUR + 40, 1, theirs), Step::Mend);
    assert!(matches!(look(HOUR + 50, 1, theirs), Step::Conflict(_)));
    assert_eq!(look(HOUR + 60, 2, theirs), Step::Mend, "another declaration");
}

#[test]
fn what_a_provider_did_not_do_is_no_revert() {
    let written = vec![wrote(
        "mail.example.com",
        RecordType::A,
        Purpose::Host,
        &[address(4)],
        true,
    )];
    let plan = run(case(vec![host()], written, &["mail.example.com A 198.51.100.1"]));
    let reverts = |said: Result<(), PublishError>| {
        let mut written = plan.written.clone();
        let applied = BTreeMap::from([("p".to_owned(), said)]);
        war::count(&mut written, &plan, &applied, 1, Timestamp::UNIX_EPOCH);
        written.values().next().unwrap().marks.war.reverts.len()
    };
    assert_eq!(reverts(Ok(())), 1);
    assert_eq!(reverts(Err(PublishError::Unreachable)), 0);
}

fn retiring(mut case: Case) -> Case {
    case.mandate.retire_after = SignedDuration::from_hours(1);
    case.mandate.explains = Explains::New;
    case
}

#[test]
fn an_exchange_retires_beside_its_successor() {
    let wanted = || Wanted::exclusive(name("example.com"), Purpose::Mx, [mx(10, "new.example.com")]).unwrap();
    let old = wrote(
        "example.com",
        RecordType::Mx,
        Purpose::Mx,
        &[mx(10, "old.example.com")],
        true,
    );
    let before = ["example.com MX 10 old.example.com."];
    let both = [
        "example.com MX 10 old.example.com.",
        "example.com MX 10 new.example.com.",
    ];
    let first = check(
        retiring(case(vec![wanted()], vec![old.clone()], &before)),
        "+ example.com MX 10 new.example.com.",
    );
    assert_eq!(first.rows[0].group.values.len(), 2, "who looks expects both");
    let then = |second: i64| {
        let mut case = retiring(case(
            vec![wanted()],
            first.written.clone().into_iter().collect(),
            &both,
        ));
        case.now = second;
        case
    };
    let row = &check(then(HOUR - 1), "").rows[0];
    assert_eq!(row.step, Step::InPlace);
    check(then(HOUR), "- example.com MX 10 old.example.com.");
    // A shorter time counts for what retires already.
    let mut cut = then(1);
    cut.mandate.retire_after = SignedDuration::ZERO;
    check(cut, "- example.com MX 10 old.example.com.");
    // One that was never seen there is not put there.
    let never = check(
        retiring(case(vec![wanted()], vec![old], &[])),
        "+ example.com MX 10 new.example.com.",
    );
    assert!(never.retiring.is_empty());
}

#[test]
fn a_null_exchange_stands_alone_and_a_preference_is_no_exchange() {
    let null = Value::Mx {
        preference: 0,
        exchange: None,
    };
    let old = || {
        vec![wrote(
            "example.com",
            RecordType::Mx,
            Purpose::Mx,
            &[mx(10, "old.example.com")],
            true,
        )]
    };
    let there = ["example.com MX 10 old.example.com."];
    let wanted = |value| Wanted::exclusive(name("example.com"), Purpose::Mx, [value]).unwrap();
    check(
        retiring(case(vec![wanted(null)], old(), &there)),
        "- example.com MX 10 old.example.com.\n+ example.com MX 0 .",
    );
    check(
        retiring(case(vec![wanted(mx(20, "old.example.com"))], old(), &there)),
        "- example.com MX 10 old.example.com.\n+ example.com MX 20 old.example.com.",
    );
}

#[test]
fn terms_retire_before_the_end_unless_a_wider_range_covers_them_or_they_are_too_many() {
    let old = |text: &str| {
        vec![wrote(
            "example.com",
            RecordType::Txt,
            Purpose::Spf,
            &[txt(text)],
            true,
        )]
    };
    let run = |wanted: &str, before: &str| {
        let wanted = Wanted::shared(name("example.com"), Purpose::Spf, wanted.to_owned(), "v=spf1");
        let line = format!("example.com TXT \"{before}\"");
        run(retiring(case(vec![wanted], old(before), &[&line])))
    };
    let text = |plan: &Plan| {
        plan.rows[0]
            .group
            .values
            .first()
            .unwrap()
            .as_txt()
            .unwrap()
            .to_owned()
    };
    let plan = run(
        "v=spf1 ip4:203.0.113.9 -all",
        "v=spf1 ip4:203.0.113.4 include:a.example ~all",
    );
    assert_eq!(
        text(&plan),
        "v=spf1 ip4:203.0.113.9 include:a.example ip4:203.0.113.4 -all"
    );
    let covered = run("v=spf1 ip4:203.0.113.0/24 -all", "v=spf1 ip4:203.0.113.4 ~all");
    assert_eq!(text(&covered), "v=spf1 ip4:203.0.113.0/24 -all");
    let long = (0..40)
        .map(|n| format!("ip4:203.0.113.{n}"))
        .collect::<Vec<_>>()
        .join(" ");
    let many = run("v=spf1 ip4:198.51.100.1 -all", &format!("v=spf1 {long} ~all"));
    assert!(
        text(&many).len() <= 450 && text(&many).ends_with(" -all"),
        "{}",
        text(&many)
    );
    assert!(!many.cut.is_empty());
}

#[test]
fn only_mail_hosts_retire_and_a_declared_host_changes_its_address_at_once() {
    let a = |owner: &str| wrote(owner, RecordType::A, Purpose::Host, &[address(4)], true);
    let helo = wrote(
        "mail.example.com",
        RecordType::Txt,
        Purpose::Spf,
        &[txt("v=spf1 a -all")],
        true,
    );
    let there = [
        "mail.example.com A 203.0.113.4",
        r#"mail.example.com TXT "v=spf1 a -all""#,
        "www.example.com A 203.0.113.4",
    ];
    let written = vec![a("mail.example.com"), a("www.example.com"), helo];
    let plan = check(
        retiring(case(vec![], written.clone(), &there)),
        "- www.example.com A 203.0.113.4",
    );
    assert_eq!(plan.retiring.len(), 2);
    assert_eq!(plan.rows.len(), 2, "they are looked at on");
    let moved = Wanted::exclusive(name("mail.example.com"), Purpose::Host, [address(9)]).unwrap();
    let plan = run(retiring(case(vec![moved], written, &there)));
    assert_eq!(plan.rows[0].group.values, [address(9)].into());
}

#[test]
fn a_date_is_forgotten_when_its_value_is_declared_again() {
    let helo = || {
        wrote(
            "mail.example.com",
            RecordType::Txt,
            Purpose::Spf,
            &[txt("v=spf1 a -all")],
            true,
        )
    };
    let a = wrote(
        "mail.example.com",
        RecordType::A,
        Purpose::Host,
        &[address(4)],
        true,
    );
    let there = [
        "mail.example.com A 203.0.113.4",
        r#"mail.example.com TXT "v=spf1 a -all""#,
    ];
    let dropped = run(retiring(case(vec![], vec![a, helo()], &there)));
    assert_eq!(dropped.retiring.len(), 2);
    let again = run(retiring(after(case(vec![host()], vec![], &there), &dropped)));
    let dates = |plan: &Plan| plan.written[&host().key].marks.retiring.len();
    assert_eq!((dates(&dropped), dates(&again)), (1, 0));
}
