//! An alias shares its name with nothing (RFC 1034 section 3.6.2), and servers pass over what would break that without
//! an error (RFC 2136 section 3.4.2.2).

use maildomain::publish::PublishError;
use maildomain::record::RecordType;

use crate::bench::{Bench, TTL, alone, key};

const TARGET: &str = "mail.vendor.example.";

pub fn an_alias_takes_the_place_of_records_and_gives_it_back(bench: &Bench) {
    let alias = [alone("mail.corp.test", RecordType::Cname, &[TARGET])];
    let records = [
        alone("mail.corp.test", RecordType::A, &["192.0.2.1"]),
        alone("mail.corp.test", RecordType::Aaaa, &["2001:db8::1"]),
    ];
    bench.publish(&records);
    bench.publish(&alias);
    bench.stands("mail.corp.test", "CNAME", &[TARGET]);
    bench.stands("mail.corp.test", "A", &[]);
    bench.publish(&[alone(
        "mail.corp.test",
        RecordType::Cname,
        &["mx.vendor.example."],
    )]);
    bench.stands("mail.corp.test", "CNAME", &["mx.vendor.example."]);
    bench.publish(&records);
    bench.stands("mail.corp.test", "CNAME", &[]);
    bench.stands("mail.corp.test", "A", &["192.0.2.1"]);
    bench.stands("mail.corp.test", "AAAA", &["2001:db8::1"]);
}

pub fn other_types_forbid_an_alias(bench: &Bench) {
    let live = bench
        .read("corp.test", &["taken.corp.test", "corp.test"])
        .unwrap();
    let types = |owner: &str| live.other_types[&crate::bench::name(owner)].clone();
    assert_eq!(types("taken.corp.test"), ["SRV".to_owned()].into());
    assert!(types("corp.test").contains("NS") && types("corp.test").contains("SOA"));
    let plan = bench.plan(&[alone("taken.corp.test", RecordType::Cname, &[TARGET])], TTL);
    assert!(plan.is_empty() && plan.conflicts().count() == 1, "{plan}");
}

pub fn records_that_come_meanwhile_forbid_an_alias(bench: &Bench) {
    for (record_type, data) in [("A", "192.0.2.77"), ("SRV", "0 0 25 mail.corp.test.")] {
        let wanted = [alone("mail.corp.test", RecordType::Cname, &[TARGET])];
        let stale = bench.plan(&wanted, TTL);
        bench
            .hand
            .add("corp.test", "mail.corp.test", 300, record_type, data);
        let raced = Err(PublishError::Raced(key("mail.corp.test", RecordType::Cname)));
        assert_eq!(bench.apply(&stale), raced, "{record_type}");
        bench.stands("mail.corp.test", record_type, &[data]);
        bench.stands("mail.corp.test", "CNAME", &[]);
        bench
            .hand
            .delete("corp.test", "mail.corp.test", record_type, data);
    }
}

pub fn an_alias_that_comes_meanwhile_is_kept(bench: &Bench) {
    let wanted = [alone("mail.corp.test", RecordType::A, &["192.0.2.1"])];
    let stale = bench.plan(&wanted, TTL);
    bench
        .hand
        .add("corp.test", "mail.corp.test", 300, "CNAME", TARGET);
    let raced = Err(PublishError::Raced(key("mail.corp.test", RecordType::A)));
    assert_eq!(bench.apply(&stale), raced);
    bench.stands("mail.corp.test", "CNAME", &[TARGET]);
}
