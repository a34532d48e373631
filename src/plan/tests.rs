//! The plan as data: what stands there, what we wrote, what is wanted, and the plan's text.

use std::net::Ipv4Addr;

mod conduct;
mod moving;
mod owner;
mod safety;

use super::*;
use crate::protocol::{Sharing, Wanted};
use crate::publish::LiveRrset;
use crate::record::{RecordType, Value, unquoted};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn home() -> Home {
    Home {
        provider: "p".into(),
        zone: name("example.com"),
    }
}

/// `name TYPE content` lines, with ttl 3600.
fn live(lines: &[&str]) -> Live {
    let mut live = Live::default();
    for line in lines {
        let mut words = line.splitn(3, ' ');
        let owner = name(words.next().unwrap());
        let kind = words.next().unwrap();
        let content = words.next().unwrap();
        let Some(record_type) = RecordType::parse(kind) else {
            live.other_types.entry(owner).or_default().insert(kind.to_owned());
            continue;
        };
        let value = match record_type {
            RecordType::A => content.parse::<Ipv4Addr>().ok().map(Value::A),
            RecordType::Txt => unquoted(content).map(Value::Txt),
            RecordType::Cname => Name::parse(content).ok().map(Value::Cname),
            RecordType::Mx => content.split_once(' ').map(|(p, h)| mx(p.parse().unwrap(), h)),
            RecordType::Aaaa | RecordType::Ptr | RecordType::Spf => unreachable!("not used in these cases"),
        };
        let rrset = live
            .rrsets
            .entry(Key::new(owner, record_type))
            .or_insert(LiveRrset {
                ttl: 3600,
                ..LiveRrset::default()
            });
        rrset.records.insert(content.to_owned(), value);
    }
    live
}

fn mx(preference: u16, host: &str) -> Value {
    Value::Mx {
        preference,
        exchange: Name::parse(host).ok(),
    }
}

fn txt(text: &str) -> Value {
    Value::Txt(text.to_owned())
}

fn wrote(key: &str, kind: RecordType, purpose: Purpose, values: &[Value], settled: bool) -> (Key, Written) {
    let written = Written {
        home: home(),
        purpose,
        values: values.iter().cloned().collect(),
        settled,
        withdraw_after: None,
        before: None,
        marks: Marks::default(),
    };
    (Key::new(name(key), kind), written)
}

fn spf() -> Wanted {
    Wanted::shared(
        name("example.com"),
        Purpose::Spf,
        "v=spf1 ip4:203.0.113.4 ~all".into(),
        "v=spf1",
    )
}

fn dmarc() -> Wanted {
    Wanted::exclusive(
        name("_dmarc.example.com"),
        Purpose::Dmarc,
        [txt("v=DMARC1; p=none")],
    )
    .unwrap()
}

fn host() -> Wanted {
    Wanted::exclusive(
        name("mail.example.com"),
        Purpose::Host,
        [Value::A(Ipv4Addr::new(203, 0, 113, 4))],
    )
    .unwrap()
}

struct Case {
    wanted: Vec<Wanted>,
    written: Vec<(Key, Written)>,
    live: Result<Live, PublishError>,
    conduct: Conduct,
    told: BTreeSet<String>,
    asked: BTreeSet<Key>,
    mandate: Mandate<'static>,
    leaving: Leaving,
    now: i64,
}

fn case(wanted: Vec<Wanted>, written: Vec<(Key, Written)>, lines: &[&str]) -> Case {
    Case {
        wanted,
        written,
        live: Ok(live(lines)),
        conduct: Conduct::default(),
        told: BTreeSet::new(),
        asked: BTreeSet::new(),
        mandate: Mandate::END,
        leaving: Leaving::new(),
        now: 0,
    }
}

fn run(case: Case) -> Plan {
    let groups = group(case.wanted);
    let places = groups.iter().map(|g| (g.key.name.clone(), Ok(home()))).collect();
    let written = case.written.into_iter().collect();
    plan(&Situation {
        writer: None,
        domain: &name("example.com"),
        mandate: case.mandate,
        ttl: 3600,
        conduct: case.conduct,
        told: &case.told,
        asked: &case.asked,
        groups: &groups,
        places: &places,
        live: &BTreeMap::from([(home(), case.live)]),
        written: &written,
        leaving: &case.leaving,
        now: Timestamp::from_second(case.now).unwrap(),
        drain: jiff::SignedDuration::from_hours(120),
    })
}

#[track_caller]
fn check(case: Case, expected: &str) -> Plan {
    let plan = run(case);
    let expected: String = expected
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .map(|l| format!("{l}\n"))
        .collect();
    assert_eq!(plan.to_string(), expected);
    plan
}

#[test]
fn an_empty_zone_gets_everything_dmarc_last() {
    let plan = check(
        case(vec![dmarc(), spf(), host()], vec![], &[]),
        r#"+ example.com TXT "v=spf1 ip4:203.0.113.4 ~all"
           + mail.example.com A 203.0.113.4
           + _dmarc.example.com TXT "v=DMARC1; p=none""#,
    );
    assert_eq!(plan.written.len(), 3);
    assert!(plan.written.values().all(|entry| !entry.settled));
}

#[test]
fn a_second_pass_is_empty_and_settles() {
    let first = run(case(vec![dmarc(), spf(), host()], vec![], &[]));
    let there = [
        r#"example.com TXT "v=spf1 ip4:203.0.113.4 ~all""#,
        "mail.example.com A 203.0.113.4",
        r#"_dmarc.example.com TXT "v=DMARC1; p=none""#,
    ];
    let second = check(
        case(
            vec![dmarc(), spf(), host()],
            first.written.into_iter().collect(),
            &there,
        ),
        "",
    );
    assert!(second.is_empty());
    assert!(second.written.values().all(|entry| entry.settled));
}

#[test]
fn foreign_texts_at_the_apex_are_kept_byte_for_byte() {
    let token = r#""google-site-verification=abc" "def""#;
    let plan = check(
        case(vec![spf()], vec![], &[&format!("example.com TXT {token}")]),
        r#"+ example.com TXT "v=spf1 ip4:203.0.113.4 ~all""#,
    );
    assert_eq!(
        plan.changes().next().unwrap().keep,
        BTreeSet::from([token.to_owned()])
    );
}

#[test]
fn a_foreign_spf_record_is_a_conflict_and_the_rest_goes_out() {
    check(
        case(
            vec![spf(), host()],
            vec![],
            &[r#"example.com TXT "v=spf1 include:_spf.google.com -all""#],
        ),
        r#"+ mail.example.com A 203.0.113.4
           ! example.com TXT "v=spf1 include:_spf.google.com -all" stands there and was not written by this operator; nothing is written at example.com TXT. To go on, replace it by "v=spf1 include:_spf.google.com ip4:203.0.113.4 -all"; its end -all is kept; ~all is declared"#,
    );
}

#[test]
fn the_line_that_a_conflict_offers_satisfies_when_somebody_pastes_it() {
    let merged = "v=spf1 include:_spf.google.com ip4:203.0.113.4 -all";
    let lines = [
        &format!("example.com TXT \"{merged}\""),
        r#"example.com TXT "token=1""#,
    ];
    let plan = check(case(vec![spf()], vec![], &lines), "");
    assert_eq!(plan.rows[0].step, Step::Satisfied);
    assert_eq!(plan.rows[0].group.values, [txt(merged)].into());
    assert!(plan.written.is_empty());
    for not_enough in [
        "v=spf1 include:_spf.google.com -all",
        "v=spf1 -all ip4:203.0.113.4",
    ] {
        let plan = run(case(
            vec![spf()],
            vec![],
            &[&format!("example.com TXT \"{not_enough}\"")],
        ));
        assert_eq!(plan.conflicts().count(), 1, "{not_enough}");
    }
}

#[test]
fn more_than_we_wrote_in_our_own_record_is_drift() {
    let ours = "v=spf1 ip4:203.0.113.4 ~all";
    let written = vec![wrote(
        "example.com",
        RecordType::Txt,
        Purpose::Spf,
        &[txt(ours)],
        true,
    )];
    let damaged = r#"example.com TXT "v=spf1 ip4:203.0.113.4 ip4:198.51.100.66 ~all""#;
    let plan = run(case(vec![spf()], written, &[damaged]));
    assert_eq!(plan.rows[0].step, Step::Mend);
}

#[test]
fn a_foreign_record_that_is_as_wanted_satisfies_and_is_not_ours() {
    let plan = check(
        case(vec![host()], vec![], &["mail.example.com A 203.0.113.4"]),
        "",
    );
    assert_eq!(plan.rows[0].step, Step::Satisfied);
    assert!(plan.written.is_empty());
}

#[test]
fn foreign_addresses_mail_exchanges_and_policies_are_conflicts() {
    let exchange = Wanted::exclusive(name("example.com"), Purpose::Mx, [mx(10, "mail.example.com")]).unwrap();
    let plan = run(case(
        vec![host(), dmarc(), exchange],
        vec![],
        &[
            "mail.example.com A 198.51.100.1",
            r#"_dmarc.example.com TXT "v=DMARC1; p=reject""#,
            "example.com MX 1 aspmx.l.google.com.",
        ],
    ));
    assert_eq!(plan.conflicts().count(), 3);
    assert!(plan.is_empty());
}

#[test]
fn a_settled_record_that_was_damaged_is_mended() {
    let written = vec![wrote(
        "mail.example.com",
        RecordType::A,
        Purpose::Host,
        &[Value::A(Ipv4Addr::new(203, 0, 113, 4))],
        true,
    )];
    let plan = check(
        case(vec![host()], written, &["mail.example.com A 198.51.100.1"]),
        "- mail.example.com A 198.51.100.1\n+ mail.example.com A 203.0.113.4",
    );
    assert_eq!(plan.rows[0].step, Step::Mend);
}

#[test]
fn a_second_spf_record_beside_our_settled_one_is_drift() {
    let ours = "v=spf1 ip4:203.0.113.4 ~all";
    let written = vec![wrote(
        "example.com",
        RecordType::Txt,
        Purpose::Spf,
        &[txt(ours)],
        true,
    )];
    check(
        case(
            vec![spf()],
            written,
            &[
                &format!("example.com TXT \"{ours}\""),
                r#"example.com TXT "v=spf1 -all""#,
            ],
        ),
        r#"- example.com TXT "v=spf1 -all""#,
    );
}

#[test]
fn what_was_written_but_never_seen_does_not_make_foreign_values_ours() {
    let written = vec![wrote(
        "mail.example.com",
        RecordType::A,
        Purpose::Host,
        &[Value::A(Ipv4Addr::new(203, 0, 113, 4))],
        false,
    )];
    let plan = run(case(vec![host()], written, &["mail.example.com A 198.51.100.1"]));
    assert!(plan.is_empty());
    assert_eq!(plan.conflicts().count(), 1);
}

#[test]
fn a_change_that_did_not_come_through_is_tried_again_and_its_old_value_goes_with_the_declaration() {
    let there = ["example.com TXT \"v=spf1 mx -all\""];
    let old = wrote(
        "example.com",
        RecordType::Txt,
        Purpose::Spf,
        &[txt("v=spf1 mx -all")],
        true,
    );
    let tried = run(case(vec![spf()], vec![old], &there));
    let again = run(case(
        vec![spf()],
        tried.written.clone().into_iter().collect(),
        &there,
    ));
    assert_eq!(again.rows[0].step, Step::Write, "nobody else changed it");
    check(
        case(vec![], again.written.into_iter().collect(), &there),
        "- example.com TXT \"v=spf1 mx -all\"\n",
    );
}

#[test]
fn an_unreadable_provider_changes_nothing_and_forgets_nothing() {
    let written = vec![
        wrote(
            "mail.example.com",
            RecordType::A,
            Purpose::Host,
            &[Value::A(Ipv4Addr::new(203, 0, 113, 4))],
            true,
        ),
        wrote(
            "old.example.com",
            RecordType::A,
            Purpose::Host,
            &[Value::A(Ipv4Addr::new(203, 0, 113, 9))],
            true,
        ),
    ];
    let before: BTreeMap<Key, Written> = written.iter().cloned().collect();
    let mut case = case(vec![host()], written, &[]);
    case.live = Err(PublishError::Unreachable);
    let plan = check(case, "");
    assert_eq!(plan.written, before);
    assert_eq!(
        plan.providers["p"].state.len(),
        2,
        "a provider that is told a state keeps hearing both"
    );
}

#[test]
fn records_that_nobody_declares_any_more_go_but_only_our_values() {
    let written = vec![wrote(
        "example.com",
        RecordType::Txt,
        Purpose::Spf,
        &[txt("v=spf1 -all")],
        true,
    )];
    let plan = check(
        case(
            vec![],
            written,
            &[r#"example.com TXT "v=spf1 -all""#, r#"example.com TXT "token=1""#],
        ),
        r#"- example.com TXT "v=spf1 -all""#,
    );
    assert_eq!(
        plan.changes().next().unwrap().keep,
        BTreeSet::from(["\"token=1\"".to_owned()])
    );
    assert!(
        !plan.written.is_empty(),
        "the ledger remembers until a read shows that it is gone"
    );
}

#[test]
fn a_key_record_stays_while_mail_in_flight_may_need_it() {
    let alias = Value::Cname(name("s1.vendor.example"));
    for (kind, value, line) in [
        (
            RecordType::Txt,
            txt("v=DKIM1; p=AAAA"),
            r#"s1._domainkey.example.com TXT "v=DKIM1; p=AAAA""#,
        ),
        // The vendor signed with it.
        (
            RecordType::Cname,
            alias,
            "s1._domainkey.example.com CNAME s1.vendor.example.",
        ),
    ] {
        let key = wrote("s1._domainkey.example.com", kind, Purpose::Dkim, &[value], true);
        let first = check(case(vec![], vec![key], &[line]), "");
        let after = first.written.values().next().unwrap().withdraw_after.unwrap();
        assert_eq!(after.as_second(), 120 * 3600);
        let mut before = case(vec![], first.written.clone().into_iter().collect(), &[line]);
        before.now = 120 * 3600 - 1;
        check(before, "");
        let mut later = case(vec![], first.written.into_iter().collect(), &[line]);
        later.now = 120 * 3600;
        check(later, &format!("- {line}"));
    }
}

#[test]
fn aliases_and_other_records_do_not_share_a_name() {
    let alias = Wanted::exclusive(
        name("trk.example.com"),
        Purpose::Host,
        [Value::Cname(name("x.vendor.example"))],
    )
    .unwrap();
    assert_eq!(
        run(case(
            vec![alias.clone()],
            vec![],
            &["trk.example.com SRV 0 0 1 a."]
        ))
        .conflicts()
        .count(),
        1
    );
    assert_eq!(
        run(case(
            vec![host()],
            vec![],
            &["mail.example.com CNAME other.example."]
        ))
        .conflicts()
        .count(),
        1
    );
    let written = vec![wrote(
        "trk.example.com",
        RecordType::A,
        Purpose::Host,
        &[Value::A(Ipv4Addr::new(203, 0, 113, 4))],
        true,
    )];
    check(
        case(vec![alias], written, &["trk.example.com A 203.0.113.4"]),
        "- trk.example.com A 203.0.113.4\n+ trk.example.com CNAME x.vendor.example.",
    );
}

#[test]
fn a_ttl_of_ours_is_mended_and_a_shared_one_is_kept() {
    let written = vec![wrote(
        "mail.example.com",
        RecordType::A,
        Purpose::Host,
        &[Value::A(Ipv4Addr::new(203, 0, 113, 4))],
        true,
    )];
    let mut case_ = case(vec![host()], written, &["mail.example.com A 203.0.113.4"]);
    for rrset in case_.live.as_mut().unwrap().rrsets.values_mut() {
        rrset.ttl = 60;
    }
    check(case_, "~ mail.example.com A TTL 60 -> 3600");
    let mut shared = case(vec![spf()], vec![], &[r#"example.com TXT "token=1""#]);
    for rrset in shared.live.as_mut().unwrap().rrsets.values_mut() {
        rrset.ttl = 60;
    }
    assert_eq!(run(shared).changes().next().unwrap().ttl, 60);
}

#[test]
fn two_prefixes_share_one_text_rrset() {
    let sender_id = Wanted::shared(
        name("example.com"),
        Purpose::SenderId,
        "spf2.0/pra ip4:203.0.113.4 ~all".into(),
        "spf2.0/",
    );
    let groups = group(vec![spf(), sender_id]);
    assert_eq!(groups.len(), 1);
    assert!(groups[0].claims(&txt("SPF2.0/mfrom -all")));
    assert!(!Sharing::Prefix("v=spf1").claims(&txt("v=spf10 -all")));
}

#[test]
fn at_a_new_provider_nothing_foreign_counts_as_ours() {
    let elsewhere = |value: Value| {
        let (key, mut entry) = wrote("mail.example.com", RecordType::A, Purpose::Host, &[value], true);
        entry.home.provider = "old".into();
        entry.before = Some(Before {
            ttl: 60,
            records: BTreeSet::from(["192.0.2.9".to_owned()]),
        });
        (key, entry)
    };
    let ours = Value::A(Ipv4Addr::new(203, 0, 113, 4));
    let moved = |lines: &[&str]| run(case(vec![host()], vec![elsewhere(ours.clone())], lines));
    let foreign = moved(&["mail.example.com A 192.0.2.66"]);
    assert!(foreign.is_empty(), "{foreign}");
    assert!(matches!(foreign.rows[0].step, Step::Conflict(_)));
    // Nobody took it away.
    let empty = moved(&[]);
    assert_eq!(empty.rows[0].step, Step::Write);
    let entry = &empty.written[&host().key];
    assert_eq!(
        (&entry.home, entry.settled, &entry.before),
        (&home(), false, &None)
    );
    // Another door to the same zone.
    let same = moved(&["mail.example.com A 203.0.113.4"]);
    assert!(same.is_empty());
    assert_eq!(same.written[&host().key].home, home());
}
