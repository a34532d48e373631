//! Somebody writes between our read and our write: that is noticed, and nothing is lost.

use maildomain::lead::Lead;
use maildomain::publish::PublishError;
use maildomain::record::RecordType;

use crate::bench::{Bench, TTL, alone, key, part, spf};

pub fn a_value_added_meanwhile_is_kept(bench: &Bench) {
    bench.hand.add("corp.test", "corp.test", 300, "TXT", "\"first\"");
    let wanted = [spf("corp.test", "v=spf1 mx -all")];
    let stale = bench.plan(&wanted, TTL);
    bench.hand.add("corp.test", "corp.test", 300, "TXT", "\"second\"");
    let raced = Err(PublishError::Raced(key("corp.test", RecordType::Txt)));
    assert_eq!(bench.apply(&stale), raced);
    bench.stands("corp.test", "TXT", &["\"first\"", "\"second\""]);
    bench.publish(&wanted);
    bench.stands(
        "corp.test",
        "TXT",
        &["\"first\"", "\"second\"", "\"v=spf1 mx -all\""],
    );
    // Once more with a change, and a value that goes.
    let wanted = [spf("corp.test", "v=spf1 a -all")];
    let stale = bench.plan(&wanted, TTL);
    bench.hand.delete("corp.test", "corp.test", "TXT", "\"first\"");
    assert_eq!(bench.apply(&stale), raced);
    bench.stands("corp.test", "TXT", &["\"second\"", "\"v=spf1 mx -all\""]);
    bench.publish(&wanted);
    bench.stands("corp.test", "TXT", &["\"second\"", "\"v=spf1 a -all\""]);
}

pub fn an_rrset_made_meanwhile_is_kept(bench: &Bench) {
    let wanted = [alone("mail.corp.test", RecordType::A, &["192.0.2.1"])];
    let stale = bench.plan(&wanted, TTL);
    bench
        .hand
        .add("corp.test", "mail.corp.test", 300, "A", "192.0.2.77");
    let raced = Err(PublishError::Raced(key("mail.corp.test", RecordType::A)));
    assert_eq!(bench.apply(&stale), raced);
    bench.stands("mail.corp.test", "A", &["192.0.2.77"]);
}

pub fn an_rrset_removed_meanwhile_is_noticed(bench: &Bench) {
    bench.publish(&[alone("mail.corp.test", RecordType::A, &["192.0.2.1"])]);
    let wanted = [alone(
        "mail.corp.test",
        RecordType::A,
        &["192.0.2.1", "192.0.2.2"],
    )];
    let stale = bench.plan(&wanted, TTL);
    bench.hand.delete("corp.test", "mail.corp.test", "A", "192.0.2.1");
    let raced = Err(PublishError::Raced(key("mail.corp.test", RecordType::A)));
    assert_eq!(bench.apply(&stale), raced);
    bench.stands("mail.corp.test", "A", &[]);
    bench.publish(&wanted);
    bench.stands("mail.corp.test", "A", &["192.0.2.1", "192.0.2.2"]);
}

/// Whoever planned from an older owner text writes nothing, at no name.
pub fn a_stale_copy_is_stopped_by_the_owner_text(bench: &Bench) {
    let text = |epoch: u32| format!("\"v=maildomain1; cluster=c; uid=u; epoch={epoch}\"");
    let wanted = |epoch, address| {
        [
            alone("_maildomain.corp.test", RecordType::Txt, &[&text(epoch)]),
            alone("mail.corp.test", RecordType::A, &[address]),
        ]
    };
    bench.publish(&wanted(1, "192.0.2.1"));
    let stale = bench.plan(&wanted(3, "192.0.2.3"), TTL);
    let owner = "_maildomain.corp.test";
    bench.hand.delete("corp.test", owner, "TXT", &text(1));
    bench.hand.add("corp.test", owner, TTL, "TXT", &text(2));
    let raced = Err(PublishError::Raced(key(owner, RecordType::Txt)));
    assert_eq!(bench.apply(&stale), raced);
    bench.stands(owner, "TXT", &[&text(2)]);
    bench.stands("mail.corp.test", "A", &["192.0.2.1"]);
}

pub fn one_race_holds_the_whole_zone_back(bench: &Bench) {
    let wanted = [
        alone("a.corp.test", RecordType::A, &["192.0.2.1"]),
        spf("corp.test", "v=spf1 mx -all"),
        alone("z.corp.test", RecordType::Mx, &["10 a.corp.test."]),
    ];
    let stale = part(&bench.plan(&wanted, TTL));
    assert_eq!(stale.changes.len(), 3);
    bench.hand.add("corp.test", "corp.test", 300, "TXT", "\"second\"");
    let raced = Err(PublishError::Raced(key("corp.test", RecordType::Txt)));
    assert_eq!(
        bench.wait(bench.publisher.apply(&stale, &Lead::undisputed())),
        raced
    );
    bench.stands("a.corp.test", "A", &[]);
    bench.stands("z.corp.test", "MX", &[]);
    bench.stands("corp.test", "TXT", &["\"second\""]);
}

/// Both write to one RRset as fast as they can. Each keeps all of its own.
pub fn a_busy_neighbour_loses_nothing(bench: &Bench) {
    const ROUNDS: usize = 40;
    let mut races = 0;
    let mut theirs: Vec<String> = Vec::new();
    for round in 0..ROUNDS {
        let text = format!("v=spf1 ip4:192.0.2.{round} -all");
        let wanted = [spf("corp.test", &text)];
        // Every third time the neighbour is slower than we are.
        let mut meanwhile = round % 3 != 0;
        loop {
            let plan = bench.plan(&wanted, TTL);
            if meanwhile {
                let value = format!("\"token={round}\"");
                bench.hand.add("corp.test", "corp.test", 300, "TXT", &value);
                theirs.push(value);
                if round % 2 == 0 {
                    bench
                        .hand
                        .delete("corp.test", "corp.test", "TXT", &theirs.remove(0));
                }
            }
            match bench.apply(&plan) {
                Ok(()) => break,
                Err(PublishError::Raced(_)) => races += 1,
                Err(error) => panic!("{error}"),
            }
            meanwhile = false;
        }
        let ours = format!("\"{text}\"");
        let all: Vec<&str> = theirs.iter().map(String::as_str).chain([ours.as_str()]).collect();
        bench.stands("corp.test", "TXT", &all);
    }
    assert_eq!(races, ROUNDS - ROUNDS.div_ceil(3), "each race is noticed");
}

/// After everything that the publisher reads, and before the server sees its write. Whether that goes through or is
/// refused, the neighbour's value stays.
pub fn a_value_that_comes_at_the_moment_of_writing_is_kept(bench: &Bench) {
    bench.hand.add("corp.test", "corp.test", 300, "TXT", "\"first\"");
    let mut before = vec!["\"first\"".to_owned()];
    for (round, text) in ["v=spf1 mx -all", "v=spf1 a -all"].iter().enumerate() {
        let wanted = [spf("corp.test", text)];
        let plan = bench.plan(&wanted, TTL);
        let (hand, value) = (std::sync::Arc::clone(&bench.hand), format!("\"late {round}\""));
        let theirs = value.clone();
        bench
            .relay()
            .before_next_write(move || hand.add("corp.test", "corp.test", 300, "TXT", &theirs));
        match bench.apply(&plan) {
            Ok(()) | Err(PublishError::Raced(_)) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(!bench.relay().waits_for_write(), "something was written");
        before.push(value);
        let now = bench.hand.data("corp.test", "TXT");
        assert!(before.iter().all(|value| now.contains(value)), "{now:?}");
        bench.publish(&wanted);
        let ours = format!("\"{text}\"");
        let all: Vec<&str> = before.iter().map(String::as_str).chain([ours.as_str()]).collect();
        bench.stands("corp.test", "TXT", &all);
    }
}
