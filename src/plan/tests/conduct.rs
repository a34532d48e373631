//! Modes, suspension, adoption and drift, as plans.

use super::*;
use crate::intent::{Adoption, Drift, Mode};

/// The case under another conduct.
fn observed(case: Case, conduct: Conduct) -> Case {
    Case { conduct, ..case }
}

fn adopting(adoption: Adoption) -> Conduct {
    Conduct {
        adoption,
        ..Conduct::default()
    }
}

fn address(last: u8) -> Value {
    Value::A(Ipv4Addr::new(203, 0, 113, last))
}

#[track_caller]
fn withheld(plan: &Plan) -> (&'static str, &str, &str) {
    let Step::Withheld(withheld) = &plan.rows[0].step else {
        panic!("{:?} is not withheld", plan.rows[0].step)
    };
    (withheld.reason(), &withheld.message, &withheld.paste)
}

#[test]
fn what_only_looks_changes_nothing_forgets_nothing_and_tells_the_line() {
    let written = || {
        vec![wrote(
            "old.example.com",
            RecordType::A,
            Purpose::Host,
            &[address(9)],
            true,
        )]
    };
    for (mode, reason, word) in [
        (Mode::Manual, "ByHand", "add"),
        (Mode::Observe, "Missing", "it is not there"),
        (Mode::Publish, "Suspended", "spec.suspend"),
    ] {
        let conduct = Conduct {
            mode,
            suspend: mode == Mode::Publish,
            ..Conduct::default()
        };
        let case = case(vec![host()], written(), &["old.example.com A 203.0.113.9"]);
        let plan = run(observed(case, conduct));
        assert!(plan.is_empty() && plan.providers.is_empty(), "{mode:?}");
        assert_eq!(plan.written, written().into_iter().collect());
        assert_eq!(plan.rows[0].home.is_some(), mode == Mode::Publish);
        let (said, message, paste) = withheld(&plan);
        assert_eq!(said, reason);
        assert!(
            message.contains(word) && message.ends_with("mail.example.com A 203.0.113.4"),
            "{message}"
        );
        assert_eq!(paste, "mail.example.com. 3600 IN A 203.0.113.4");
    }
}

#[test]
fn a_line_to_paste_is_whole_or_elsewhere_and_keeps_the_terms_and_the_ttl_of_others() {
    let manual = Conduct {
        mode: Mode::Manual,
        ..Conduct::default()
    };
    let long = Wanted::exclusive(
        name("k._domainkey.example.com"),
        Purpose::Dkim,
        [txt(&"k".repeat(600))],
    );
    let plan = run(observed(case(vec![long.unwrap()], vec![], &[]), manual));
    let (_, message, paste) = withheld(&plan);
    assert_eq!(message, "add the record in paste of this row of status.records");
    assert!(paste.len() > 600 && !paste.contains('\n'), "{paste}");

    let lines = [
        r#"example.com TXT "v=spf1 include:_spf.google.com -all""#,
        r#"example.com TXT "token=1""#,
    ];
    let mut shared = observed(case(vec![spf()], vec![], &lines), manual);
    for rrset in shared.live.as_mut().unwrap().rrsets.values_mut() {
        rrset.ttl = 60;
    }
    let plan = run(shared);
    assert_eq!(
        withheld(&plan).2,
        r#"example.com. 60 IN TXT "v=spf1 include:_spf.google.com ip4:203.0.113.4 -all""#
    );
}

#[test]
fn somebody_was_asked_for_what_was_missing_and_only_that_becomes_ours() {
    let manual = Conduct {
        mode: Mode::Manual,
        ..Conduct::default()
    };
    let standing = [r#"_dmarc.example.com TXT "v=DMARC1; p=none""#];
    let plan = run(observed(case(vec![host(), dmarc()], vec![], &standing), manual));
    let asked = still_asked(&plan, manual, &BTreeSet::new());
    assert_eq!(
        asked.iter().map(ToString::to_string).collect::<Vec<_>>(),
        ["mail.example.com A"]
    );
    let added = [standing[0], "mail.example.com A 203.0.113.4"];
    let mut publishing = case(vec![host(), dmarc()], vec![], &added);
    publishing.asked.clone_from(&asked);
    let plan = check(publishing, "");
    let steps: Vec<&Step> = plan.rows.iter().map(|row| &row.step).collect();
    assert_eq!(steps, [&Step::Satisfied, &Step::Adopt]);
    assert_eq!(plan.written.len(), 1);
    assert!(still_asked(&plan, Conduct::default(), &asked).is_empty());
    // Other data than was asked for is somebody else's.
    let mut other = case(vec![host()], vec![], &["mail.example.com A 198.51.100.1"]);
    other.asked = asked;
    assert_eq!(run(other).conflicts().count(), 1);
}

#[test]
fn matching_takes_over_what_is_exactly_as_wanted_and_changes_nothing() {
    let lines = [
        "mail.example.com A 203.0.113.4",
        r#"_dmarc.example.com TXT "v=DMARC1; p=reject""#,
    ];
    let case = observed(
        case(vec![host(), dmarc()], vec![], &lines),
        adopting(Adoption::Matching),
    );
    let plan = run(case);
    assert!(plan.is_empty());
    assert_eq!(plan.conflicts().count(), 1);
    let (key, entry) = plan.written.first_key_value().unwrap();
    assert_eq!(
        (key.to_string().as_str(), entry.settled, &entry.before),
        ("mail.example.com A", true, &None)
    );
}

#[test]
fn what_is_replaced_is_remembered_with_its_ttl_and_given_back() {
    let replace = adopting(Adoption::Replace);
    let lines = [
        "example.com MX 10 mail.example.com.",
        "example.com MX 1 aspmx.l.google.com.",
    ];
    let exchange =
        || Wanted::exclusive(name("example.com"), Purpose::Mx, [mx(10, "mail.example.com")]).unwrap();
    let mut first = observed(case(vec![exchange()], vec![], &lines), replace);
    for rrset in first.live.as_mut().unwrap().rrsets.values_mut() {
        rrset.ttl = 60;
    }
    let first = check(
        first,
        "- example.com MX 1 aspmx.l.google.com.\n~ example.com MX TTL 60 -> 3600",
    );
    let entry = first.written.values().next().unwrap();
    let before = entry.before.as_ref().unwrap();
    assert_eq!((before.ttl, before.records.len(), entry.settled), (60, 2, false));

    let written = || first.written.clone().into_iter().collect::<Vec<_>>();
    let last = check(
        case(vec![], written(), &lines[..1]),
        "+ example.com MX 1 aspmx.l.google.com.\n~ example.com MX TTL 3600 -> 60",
    );
    assert!(last.changes().all(Change::gives_back));
    let after = check(case(vec![], written(), &lines), "");
    assert!(after.written.is_empty(), "it is done: {:?}", after.written);
    // Somebody took ours away meanwhile: what he put there is his, and nothing comes back.
    let gone = check(case(vec![], written(), &["example.com MX 5 other.example."]), "");
    assert!(gone.written.is_empty());
}

#[test]
fn foreign_spf_records_are_replaced_and_tokens_beside_them_never() {
    let lines = [
        r#"example.com TXT "v=spf1 include:_spf.google.com -all""#,
        r#"example.com TXT "token=1""#,
    ];
    let plan = check(
        observed(case(vec![spf()], vec![], &lines), adopting(Adoption::Replace)),
        r#"- example.com TXT "v=spf1 include:_spf.google.com -all"
           + example.com TXT "v=spf1 ip4:203.0.113.4 ~all""#,
    );
    assert_eq!(
        plan.changes().next().unwrap().keep,
        BTreeSet::from(["\"token=1\"".to_owned()])
    );
    let before = plan.written.values().next().unwrap().before.clone().unwrap();
    assert_eq!(
        before.records,
        BTreeSet::from(["\"v=spf1 include:_spf.google.com -all\"".to_owned()])
    );
}

#[test]
fn a_provider_that_is_told_a_state_adopts_nothing() {
    let lines = [
        "mail.example.com A 203.0.113.4",
        r#"_dmarc.example.com TXT "v=DMARC1; p=reject""#,
    ];
    let mut case = observed(
        case(vec![host(), dmarc()], vec![], &lines),
        adopting(Adoption::Replace),
    );
    case.told.insert("p".to_owned());
    let plan = run(case);
    assert!(plan.is_empty() && plan.written.is_empty());
    assert_eq!(plan.conflicts().count(), 1);
}

#[test]
fn a_policy_that_is_given_back_comes_last() {
    let mut written = wrote(
        "_dmarc.example.com",
        RecordType::Txt,
        Purpose::Dmarc,
        &[txt("v=DMARC1; p=none")],
        true,
    );
    written.1.before = Some(Before {
        ttl: 3600,
        records: ["\"v=DMARC1; p=reject\"".to_owned()].into(),
    });
    let host = wrote(
        "mail.example.com",
        RecordType::A,
        Purpose::Host,
        &[address(4)],
        true,
    );
    check(
        case(
            vec![],
            vec![written, host],
            &[
                r#"_dmarc.example.com TXT "v=DMARC1; p=none""#,
                "mail.example.com A 203.0.113.4",
            ],
        ),
        r#"- mail.example.com A 203.0.113.4
           - _dmarc.example.com TXT "v=DMARC1; p=none"
           + _dmarc.example.com TXT "v=DMARC1; p=reject""#,
    );
}

#[test]
fn drift_that_is_reported_is_told_from_a_change_of_ours() {
    let report = Conduct {
        drift: Drift::Report,
        ..Conduct::default()
    };
    let settled = |last| {
        vec![wrote(
            "mail.example.com",
            RecordType::A,
            Purpose::Host,
            &[address(last)],
            true,
        )]
    };
    let run = |written, line: &[&str]| run(observed(case(vec![host()], written, line), report));
    for drifted in [&["mail.example.com A 198.51.100.1"][..], &[]] {
        for last in [4, 3] {
            let plan = run(settled(last), drifted);
            assert!(plan.is_empty());
            assert_eq!(withheld(&plan).0, "Drift", "{drifted:?} {last}");
        }
    }
    // The declaration changed, and the first write of it did not come through.
    let first = run(settled(3), &["mail.example.com A 203.0.113.3"]);
    assert_eq!(first.rows[0].step, Step::Write);
    let second = run(
        first.written.into_iter().collect(),
        &["mail.example.com A 203.0.113.3"],
    );
    assert_eq!(second.rows[0].step, Step::Write);
}
