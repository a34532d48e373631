//! Records of every kind and size.

use maildomain::lead::Lead;
use maildomain::publish::ProviderPlan;
use maildomain::record::{RecordType, Value, quoted};

use crate::bench::{Bench, TTL, alone, key, name, spf};

pub fn every_type_is_written_read_and_removed(bench: &Bench) {
    let all = [
        alone("mail.corp.test", RecordType::A, &["192.0.2.1", "192.0.2.2"]),
        alone("mail.corp.test", RecordType::Aaaa, &["2001:db8::1"]),
        alone(
            "s1._domainkey.corp.test",
            RecordType::Cname,
            &["s1.vendor.example."],
        ),
        alone(
            "corp.test",
            RecordType::Mx,
            &["10 mail.corp.test.", "20 mx.vendor.example."],
        ),
        alone("silent.corp.test", RecordType::Mx, &["0 ."]),
        alone("4.113.0.203.in-addr.arpa", RecordType::Ptr, &["mail.corp.test."]),
        alone("_dmarc.corp.test", RecordType::Txt, &["\"v=DMARC1; p=none\""]),
        spf("corp.test", "v=spf1 mx -all"),
    ];
    bench.publish(&all);
    for wanted in &all {
        let (owner, record_type) = (wanted.key.name.as_str(), wanted.key.record_type.as_str());
        let shown = wanted.values.iter().map(Value::to_string).collect();
        assert_eq!(
            bench.hand.see(owner, record_type),
            Some((TTL, shown)),
            "{owner} {record_type}"
        );
        let live = bench.read(
            crate::bench::ZONES[if owner.ends_with("arpa") { 2 } else { 0 }],
            &[owner],
        );
        let live = live.unwrap();
        assert!(
            live.values(&wanted.key).eq(&wanted.values),
            "{owner} {record_type}: {live:?}"
        );
        assert_eq!(live.rrsets[&wanted.key].ttl, TTL);
    }
    bench.publish(&[]);
    for wanted in &all {
        bench.stands(wanted.key.name.as_str(), wanted.key.record_type.as_str(), &[]);
    }
}

pub fn long_texts_are_whole(bench: &Bench) {
    for length in [255, 256, 410, 600, 1500] {
        let text: String = "v=DKIM1; p="
            .chars()
            .chain("Az09+/".chars().cycle())
            .take(length)
            .collect();
        let owner = "s1._domainkey.corp.test";
        bench.publish(&[alone(owner, RecordType::Txt, &[&quoted(&text)])]);
        bench.stands(owner, "TXT", &[&quoted(&text)]);
    }
}

pub fn texts_of_any_octets_are_kept(bench: &Bench) {
    let text: String = (0..=255_u8).map(char::from).collect();
    for text in ["", " ", "a;b \"c\" \\ d", "caf\u{c3}\u{a9}", "$(x) @ *", &text] {
        bench.publish(&[alone("t.corp.test", RecordType::Txt, &[&quoted(text)])]);
        bench.stands("t.corp.test", "TXT", &[&quoted(text)]);
    }
}

pub fn reverse_zones_are_zones(bench: &Bench) {
    let v4 = "7.113.0.203.in-addr.arpa";
    let v6 = "4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa";
    for target in ["mail.corp.test.", "mx.corp.test."] {
        bench.publish(&[
            alone(v4, RecordType::Ptr, &[target]),
            alone(v6, RecordType::Ptr, &[target]),
        ]);
        bench.stands(v4, "PTR", &[target]);
        bench.stands(v6, "PTR", &[target]);
    }
    bench.publish(&[]);
    bench.stands(v4, "PTR", &[]);
    bench.stands(v6, "PTR", &[]);
}

pub fn a_new_ttl_is_written(bench: &Bench) {
    let wanted = [alone(
        "mail.corp.test",
        RecordType::A,
        &["192.0.2.1", "192.0.2.2"],
    )];
    for ttl in [300, 60, 7200] {
        bench.publish_with(&wanted, ttl);
        let (seen, data) = bench.hand.see("mail.corp.test", "A").unwrap();
        assert_eq!((seen, data.len()), (ttl, 2));
    }
    // Values and TTL at once.
    bench.publish_with(
        &[alone(
            "mail.corp.test",
            RecordType::A,
            &["192.0.2.2", "192.0.2.3"],
        )],
        90,
    );
    assert_eq!(bench.hand.see("mail.corp.test", "A").unwrap().0, 90);
    bench.stands("mail.corp.test", "A", &["192.0.2.2", "192.0.2.3"]);
}

pub fn a_shared_ttl_is_left(bench: &Bench) {
    bench
        .hand
        .add("corp.test", "corp.test", 1800, "TXT", "\"token=1\"");
    for ttl in [300, 60, 7200] {
        bench.publish_with(&[spf("corp.test", "v=spf1 mx -all")], ttl);
        let (seen, data) = bench.hand.see("corp.test", "TXT").unwrap();
        assert_eq!((seen, data.len()), (1800, 2));
    }
    bench.publish(&[]);
    bench.stands("corp.test", "TXT", &["\"token=1\""]);
}

/// More than 64 KiB of changes in one zone.
pub fn more_than_one_message_holds(bench: &Bench) {
    let text = quoted(&format!("v=DKIM1; p={}", "k".repeat(700)));
    let all: Vec<_> = (0..120)
        .map(|n| alone(&format!("s{n}._domainkey.corp.test"), RecordType::Txt, &[&text]))
        .collect();
    let plan = bench.publish(&all);
    assert_eq!(plan.changes().count(), all.len());
    for n in [0, 60, 119] {
        bench.stands(&format!("s{n}._domainkey.corp.test"), "TXT", &[&text]);
    }
    bench.publish(&[]);
    bench.stands("s60._domainkey.corp.test", "TXT", &[]);
}

pub fn a_plan_of_several_zones(bench: &Bench) {
    let plan = bench.publish(&[
        alone("mail.corp.test", RecordType::A, &["203.0.113.4"]),
        alone("4.113.0.203.in-addr.arpa", RecordType::Ptr, &["mail.corp.test."]),
        alone("_dmarc.corp.test", RecordType::Txt, &["\"v=DMARC1; p=none\""]),
        alone("mail.near.corp.test", RecordType::A, &["203.0.113.5"]),
    ]);
    assert_eq!(plan.changes().count(), 4);
    bench.stands("mail.corp.test", "A", &["203.0.113.4"]);
    bench.stands("4.113.0.203.in-addr.arpa", "PTR", &["mail.corp.test."]);
    bench.stands("_dmarc.corp.test", "TXT", &["\"v=DMARC1; p=none\""]);
    // The longest match has it.
    bench.stands("mail.near.corp.test", "A", &["203.0.113.5"]);
    assert_eq!(
        bench
            .read("near.corp.test", &["mail.near.corp.test"])
            .unwrap()
            .rrsets
            .len(),
        1
    );
}

pub fn nothing_to_do_is_nothing_done(bench: &Bench) {
    let nothing = ProviderPlan {
        domain: name("corp.test"),
        changes: Vec::new(),
        state: std::collections::BTreeMap::default(),
    };
    assert_eq!(
        bench.wait(bench.publisher.apply(&nothing, &Lead::undisputed())),
        Ok(())
    );
    let read = bench
        .read("corp.test", &["none.corp.test", "_domainkey.corp.test"])
        .unwrap();
    assert!(read.rrsets.is_empty() && read.other_types.is_empty(), "{read:?}");
    let all = [alone("mail.corp.test", RecordType::A, &["192.0.2.1"])];
    bench.publish(&all);
    let before = bench.hand.see("corp.test", "SOA");
    bench.publish(&all);
    assert_eq!(
        bench.hand.see("corp.test", "SOA"),
        before,
        "the serial moves only for a change"
    );
}

/// A value that differs from ours in letters only is ours, and one of another case is replaced.
pub fn names_in_another_case_are_found_and_replaced(bench: &Bench) {
    bench.publish(&[alone("corp.test", RecordType::Mx, &["10 mx.vendor.example."])]);
    bench.hand.write(
        "corp.test",
        &[
            "delete corp.test. MX".to_owned(),
            "add corp.test. 300 MX 10 Mx.VENDOR.example.".to_owned(),
        ],
    );
    let same = [alone("corp.test", RecordType::Mx, &["10 mx.vendor.example."])];
    let plan = bench.plan(&same, TTL);
    assert!(plan.is_empty(), "{plan}");
    bench.publish(&[alone("corp.test", RecordType::Mx, &["20 mx.vendor.example."])]);
    let live = bench.read("Corp.Test", &["CORP.test"]).unwrap();
    assert_eq!(live.values(&key("corp.test", RecordType::Mx)).count(), 1);
    bench.publish(&[]);
    bench.stands("corp.test", "MX", &[]);
}
