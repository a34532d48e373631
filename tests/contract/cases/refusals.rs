//! What is not there, not ours, or not allowed is said, and never taken for nothing.

use std::collections::BTreeSet;

use maildomain::lead::Lead;
use maildomain::publish::{ProviderPlan, PublishError, Publisher};
use maildomain::record::RecordType;

use crate::bench::{Bench, TTL, alone, name, part};

/// What reading, writing and probing say.
fn all_calls(bench: &Bench, publisher: &dyn Publisher, zone: &str) -> [Result<(), PublishError>; 3] {
    let mut plan: ProviderPlan =
        part(&bench.plan(&[alone("mail.corp.test", RecordType::A, &["192.0.2.1"])], TTL));
    for change in &mut plan.changes {
        change.zone = name(zone);
        change.key.name = name(&format!("mail.{zone}"));
    }
    let (zone, names) = (name(zone), BTreeSet::from([name(&format!("mail.{zone}"))]));
    [
        bench.wait(publisher.read(&zone, &names)).map(drop),
        bench.wait(publisher.apply(&plan, &Lead::undisputed())),
        bench.wait(publisher.probe(&zone)),
    ]
}

pub fn a_zone_that_is_not_there_is_never_empty(bench: &Bench) {
    // Nowhere; below a zone that is there; above one.
    for zone in ["corp.example", "no.corp.test", "0.203.in-addr.arpa"] {
        let missing = Err(PublishError::ZoneMissing(name(zone)));
        let [read, apply, probe] = all_calls(bench, bench.publisher.as_ref(), zone);
        assert_eq!((read, probe), (missing.clone(), missing.clone()), "{zone}");
        assert_eq!(apply, missing, "{zone}");
        let nothing = bench.wait(bench.publisher.read(&name(zone), &BTreeSet::new()));
        assert_eq!(nothing.map(drop), missing, "{zone}");
    }
}

pub fn who_does_not_lead_writes_nothing(bench: &Bench) {
    let plan = part(&bench.plan(&[alone("mail.corp.test", RecordType::A, &["192.0.2.1"])], TTL));
    let said = bench.wait(bench.publisher.apply(&plan, &Lead::not_yet()));
    assert_eq!(said, Err(PublishError::LeadLost));
    bench.stands("mail.corp.test", "A", &[]);
}

/// Its own, not those of a zone below it.
pub fn the_name_servers_of_a_zone_are_told(bench: &Bench) {
    for zone in ["corp.test", "near.corp.test"] {
        let zone = name(zone);
        let told = bench.wait(bench.publisher.name_servers(&zone)).unwrap().unwrap();
        assert_eq!(told.servers, BTreeSet::from([name("ns1.corp.test")]), "{zone}");
        assert_eq!(told.ttl, 3600, "{zone}");
    }
    let nowhere = name("nowhere.test");
    let told = bench.wait(bench.publisher.name_servers(&nowhere));
    assert_eq!(told, Err(PublishError::ZoneMissing(nowhere)));
}

pub fn a_zone_that_is_there_is_found(bench: &Bench) {
    for zone in crate::bench::ZONES {
        assert_eq!(bench.wait(bench.publisher.probe(&name(zone))), Ok(()), "{zone}");
    }
    assert!(!bench.publisher.hands_over());
}

pub fn names_of_other_zones_are_not_this_ones(bench: &Bench) {
    for (cut, owners) in [
        ("far.corp.test", ["far.corp.test", "mail.far.corp.test"]),
        ("near.corp.test", ["near.corp.test", "mail.near.corp.test"]),
    ] {
        for owner in owners {
            let missing = Err(PublishError::ZoneMissing(name(cut)));
            let read = bench.read("corp.test", &["mail.corp.test", owner]);
            assert_eq!(read, missing, "{owner}");
        }
    }
}

pub fn a_wildcard_is_no_record_of_a_name(bench: &Bench) {
    let owners = ["new.wild.corp.test", "there.wild.corp.test", "a.b.wild.corp.test"];
    bench.stands(owners[0], "TXT", &["\"from the wildcard\""]);
    let live = bench.read("corp.test", &owners).unwrap();
    let there: Vec<String> = live.rrsets.keys().map(ToString::to_string).collect();
    assert_eq!(there, ["there.wild.corp.test A"]);
    bench.publish(&[alone(owners[0], RecordType::Txt, &["\"v=DKIM1; p=\""])]);
    bench.stands(owners[0], "TXT", &["\"v=DKIM1; p=\""]);
    bench.publish(&[]);
    bench.stands(owners[0], "TXT", &["\"from the wildcard\""]);
}

pub fn revoked_credentials_are_told(bench: &Bench) {
    assert!(!bench.revoked.is_empty());
    for publisher in &bench.revoked {
        let refused = Err(PublishError::Credentials);
        let calls = all_calls(bench, publisher.as_ref(), "corp.test");
        assert_eq!(calls, [refused.clone(), refused.clone(), refused]);
    }
    bench.stands("mail.corp.test", "A", &[]);
    // The good ones go on.
    bench.publish(&[alone("mail.corp.test", RecordType::A, &["192.0.2.1"])]);
}

pub fn a_server_that_is_gone_is_unreachable(bench: &Bench) {
    let plan = part(&bench.plan(&[alone("mail.corp.test", RecordType::A, &["192.0.2.1"])], TTL));
    bench.stop_server();
    let gone = Err(PublishError::Unreachable);
    assert_eq!(bench.read("corp.test", &["mail.corp.test"]).map(drop), gone);
    assert_eq!(
        bench.wait(bench.publisher.apply(&plan, &Lead::undisputed())),
        gone
    );
    assert_eq!(bench.wait(bench.publisher.probe(&name("corp.test"))), gone);
}

/// Reads, and is told when it writes.
pub fn a_key_without_the_right_is_refused(bench: &Bench) {
    let reader = bench.reader.as_ref().unwrap();
    let [read, apply, _] = all_calls(bench, reader.as_ref(), "corp.test");
    assert_eq!(read, Ok(()));
    let refused = Err(PublishError::Refused("mail.corp.test A".to_owned(), 5));
    assert_eq!(apply, refused);
    bench.stands("mail.corp.test", "A", &[]);
}
