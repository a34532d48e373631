//! Messages as tables: what the server is told to compare and to change.

use super::*;
use crate::publish::LiveRrset;
use crate::record::{self, Key};

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn rrset(ttl: u32, raw: &[&str]) -> LiveRrset {
    LiveRrset {
        ttl,
        records: raw.iter().map(|raw| ((*raw).to_owned(), None)).collect(),
    }
}

fn change(owner: &str, record_type: RecordType, before: &[&str], keep: &[&str], ours: &[&str]) -> Change {
    Change {
        zone: name("a.example"),
        key: Key::new(name(owner), record_type),
        before: (!before.is_empty()).then(|| rrset(300, before)),
        ttl: 300,
        keep: keep.iter().map(|raw| (*raw).to_owned()).collect(),
        ours: ours
            .iter()
            .map(|text| Value::parse(record_type, text).unwrap())
            .collect(),
    }
}

/// One line a record: `?` for prerequisites, then class, type, TTL and data.
fn shown(changes: &[Change]) -> Vec<String> {
    let changes: Vec<&Change> = changes.iter().collect();
    let updates = updates(&name("a.example"), &changes, None).unwrap();
    let [update] = updates.as_slice() else {
        panic!("{} messages", updates.len());
    };
    let message = Message::from_vec(&update.message.to_vec().unwrap()).unwrap();
    assert_eq!(message.metadata.op_code, OpCode::Update);
    assert_eq!(message.zones()[0].name().to_string(), "a.example.");
    let line = |mark: &str, record: &Record| {
        let data = wire::text(&record.data).unwrap_or_else(|| "-".to_owned());
        let (owner, class, ttl) = (&record.name, record.dns_class, record.ttl);
        format!("{mark} {owner} {class} {} {ttl} {data}", record.record_type())
    };
    let wants = message.prerequisites().iter().map(|record| line("?", record));
    let does = message.updates().iter().map(|record| line("!", record));
    wants.chain(does).collect()
}

#[test]
fn a_new_rrset_wants_none_there_and_no_alias() {
    assert_eq!(
        shown(&[change("m.a.example", RecordType::A, &[], &[], &["192.0.2.1"])]),
        [
            "? m.a.example. NONE A 0 -",
            "? m.a.example. NONE CNAME 0 -",
            "! m.a.example. IN A 300 192.0.2.1",
        ]
    );
    assert_eq!(
        shown(&[change(
            "m.a.example",
            RecordType::Cname,
            &[],
            &[],
            &["x.example."]
        )]),
        [
            "? m.a.example. NONE CNAME 0 -",
            "? m.a.example. NONE ANY 0 -",
            "! m.a.example. IN CNAME 300 x.example.",
        ]
    );
}

#[test]
fn only_ours_is_touched_and_all_is_compared() {
    let foreign = "\"fo\" \"reign\"";
    assert_eq!(
        shown(&[change(
            "a.example",
            RecordType::Txt,
            &[foreign, "\"v=spf1 ?all\""],
            &[foreign],
            &["\"v=spf1 -all\""],
        )]),
        [
            "? a.example. IN TXT 0 \"fo\" \"reign\"",
            "? a.example. IN TXT 0 \"v=spf1 ?all\"",
            "! a.example. NONE TXT 0 \"v=spf1 ?all\"",
            "! a.example. IN TXT 300 \"v=spf1 -all\"",
        ]
    );
}

#[test]
fn another_ttl_is_written_for_the_whole_rrset() {
    let mut changed = change(
        "a.example",
        RecordType::Txt,
        &["\"f\"", "\"o\""],
        &["\"f\""],
        &["\"o\""],
    );
    changed.ttl = 60;
    assert_eq!(
        shown(&[changed]),
        [
            "? a.example. IN TXT 0 \"f\"",
            "? a.example. IN TXT 0 \"o\"",
            "! a.example. ANY TXT 0 -",
            "! a.example. IN TXT 60 \"f\"",
            "! a.example. IN TXT 60 \"o\"",
        ]
    );
}

#[test]
fn an_alias_takes_the_place_of_what_was_deleted_before_it() {
    assert_eq!(
        shown(&[
            change("m.a.example", RecordType::Cname, &[], &[], &["x.example."]),
            change("m.a.example", RecordType::A, &["192.0.2.1"], &[], &[]),
        ]),
        [
            "? m.a.example. NONE CNAME 0 -",
            "? m.a.example. IN A 0 192.0.2.1",
            "! m.a.example. NONE A 0 192.0.2.1",
            "! m.a.example. IN CNAME 300 x.example.",
        ]
    );
}

#[test]
fn what_does_not_fit_is_cut_between_names_and_keeps_its_order() {
    let big: Vec<String> = (0..100)
        .map(|n| record::quoted(&format!("{n}{}", "k".repeat(250))))
        .collect();
    let big: Vec<&str> = big.iter().map(String::as_str).collect();
    let mut changes: Vec<Change> = (0..6)
        .map(|n| change(&format!("n{n}.a.example"), RecordType::Txt, &[], &[], &big))
        .collect();
    changes.push(change("n0.a.example", RecordType::Mx, &[], &[], &["0 ."]));
    changes.push(change(
        "_dmarc.a.example",
        RecordType::Txt,
        &[],
        &[],
        &["\"v=DMARC1\""],
    ));
    let all: Vec<&Change> = changes.iter().collect();
    let updates = updates(&name("a.example"), &all, None).unwrap();
    let names: Vec<Vec<&str>> = updates
        .iter()
        .map(|update| update.changes.iter().map(|c| c.key.name.as_str()).collect())
        .collect();
    assert_eq!(
        names,
        [
            vec!["n0.a.example", "n0.a.example", "n1.a.example"],
            vec!["n2.a.example", "n3.a.example"],
            vec!["n4.a.example", "n5.a.example", "_dmarc.a.example"],
        ]
    );
    for update in updates {
        assert!(update.message.to_vec().unwrap().len() <= LARGEST);
    }
    let larger: Vec<String> = (0..300)
        .map(|n| record::quoted(&format!("{n}{}", "k".repeat(250))))
        .collect();
    let larger: Vec<&str> = larger.iter().map(String::as_str).collect();
    let larger = change("a.example", RecordType::Txt, &[], &[], &larger);
    let refused = super::updates(&name("a.example"), &[&larger], None).unwrap_err();
    assert_eq!(refused.reason(), "Unsupported");
}

#[test]
fn a_stored_text_that_is_no_data_is_refused() {
    let broken = change("a.example", RecordType::Txt, &["bare"], &[], &[]);
    let refused = updates(&name("a.example"), &[&broken], None).unwrap_err();
    assert_eq!(refused.reason(), "Unsupported");
    assert!(updates(&name("a.example"), &[], None).unwrap().is_empty());
}

#[test]
fn every_later_message_wants_the_owner_text_as_the_first_one_wrote_it() {
    let text = "\"v=maildomain1; cluster=c; uid=u; epoch=2\"";
    let owner = change("_maildomain.a.example", RecordType::Txt, &[], &[], &[text]);
    let long = record::quoted(&"k".repeat(250));
    let many: Vec<Change> = (0..400)
        .map(|n| change(&format!("n{n}.a.example"), RecordType::Txt, &[], &[], &[&long]))
        .collect();
    let guarded = |update: &Update<'_>| {
        let message = Message::from_vec(&update.message.to_vec().unwrap()).unwrap();
        let mut wants = message.prerequisites().iter();
        wants.any(|record| {
            record.dns_class == DNSClass::IN && wire::text(&record.data).as_deref() == Some(text)
        })
    };
    let all: Vec<&Change> = std::iter::once(&owner).chain(&many).collect();
    let messages = updates(&name("a.example"), &all, None).unwrap();
    assert!(messages.len() > 1);
    assert!(messages[1..].iter().all(guarded));
    // Another transaction of the same plan.
    let later = updates(&name("a.example"), &[&many[0]], Some(&owner)).unwrap();
    assert!(later.iter().all(guarded));
}

#[test]
fn long_names_fit_as_well_as_short_ones() {
    let values: Vec<String> = (0..20).map(|n| format!("192.0.2.{n}")).collect();
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let deep = ["d".repeat(60), "e".repeat(60), "f".repeat(60)].join(".");
    let changes: Vec<Change> = (0..60)
        .map(|n| {
            let owner = format!("n{n}.{deep}.a.example");
            change(&owner, RecordType::A, &values, &[], &["198.51.100.1"])
        })
        .collect();
    let all: Vec<&Change> = changes.iter().collect();
    let updates = updates(&name("a.example"), &all, None).unwrap();
    assert_eq!(updates.iter().map(|u| u.changes.len()).sum::<usize>(), all.len());
    for update in updates {
        assert!(update.message.to_vec().unwrap().len() <= LARGEST);
    }
}
