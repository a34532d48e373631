//! Why a record does not arrive through ExternalDNS: each cause made with the real program, and told by its name.

use maildomain::publish::PublishError;
use maildomain::record::{Key, RecordType};

use crate::bench::{Bench, TTL, ZONES, alone, name, spf};
use crate::cluster::cluster;
use crate::process::eventually;
use crate::servers::{Flags, Place, TYPES, before_bind, before_power_dns};

const OWNER: &str = "mail.corp.test";
const POLICY: &str = "_dmarc.corp.test";
/// What ExternalDNS says at the end of a pass that had nothing to do.
const IDLE: &str = "All records are already up to date";

fn wanted() -> [maildomain::protocol::Wanted; 4] {
    with_policy("v=DMARC1; p=none")
}

fn with_policy(policy: &str) -> [maildomain::protocol::Wanted; 4] {
    let policy = format!("\"{policy}\"");
    [
        alone(OWNER, RecordType::A, &["192.0.2.1"]),
        alone("in.corp.test", RecordType::Mx, &["10 mail.corp.test."]),
        alone(POLICY, RecordType::Txt, &[&policy]),
        spf("corp.test", "v=spf1 mx -all"),
    ]
}

/// Writes the DNSEndpoint, as a pass does.
fn tell(bench: &Bench, wanted: &[maildomain::protocol::Wanted]) {
    let plan = bench.plan(wanted, TTL);
    assert_eq!(bench.apply(&plan), Ok(()));
}

/// What of this is not in DNS, and what the operator says of that: the reason, and the text.
fn told(bench: &Bench, wanted: &[maildomain::protocol::Wanted]) -> Option<(&'static str, String)> {
    let names: Vec<&str> = wanted.iter().map(|w| w.key.name.as_str()).collect();
    let live = bench.read("corp.test", &names).unwrap();
    let missing: Vec<Key> = wanted
        .iter()
        .filter(|w| {
            !w.values
                .iter()
                .all(|value| live.values(&w.key).any(|v| v == value))
        })
        .map(|w| w.key.clone())
        .collect();
    let domain = name("corp.test");
    let why = bench.wait(bench.publisher.explain(&domain, &missing, &live))?;
    Some((why.reason, why.message))
}

#[track_caller]
fn says(bench: &Bench, wanted: &[maildomain::protocol::Wanted], reason: &str, words: &[&str]) {
    let (found, message) = told(bench, wanted).expect("something is missing");
    assert_eq!(found, reason, "{message}");
    for word in words {
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[track_caller]
fn arrives(bench: &Bench, wanted: &[maildomain::protocol::Wanted]) {
    eventually("all of it is in DNS", || told(bench, wanted).is_none());
}

#[test]
fn nobody_who_watches_is_named_and_somebody_who_comes_carries_it_out() {
    let (bench, place) = before_power_dns();
    tell(&bench, &wanted());
    says(&bench, &wanted(), "NobodyWatches", &["--source=crd"]);
    let _running = place.run(Flags::default());
    arrives(&bench, &wanted());
}

/// It lists the provider's records before it reads what is asked for, so that is never read.
#[test]
fn credentials_that_the_provider_refuses_from_the_beginning() {
    let (bench, place) = before_power_dns();
    tell(&bench, &wanted());
    let flags = Flags {
        key: "revoked",
        ..Flags::default()
    };
    let running = place.run(flags);
    running.says("unable to list zones", 2);
    says(&bench, &wanted(), "NobodyWatches", &["credentials", "log"]);
}

#[test]
fn credentials_that_the_provider_refuses_later() {
    let (bench, place) = before_power_dns();
    tell(&bench, &wanted());
    let running = place.run(Flags::default());
    arrives(&bench, &wanted());
    drop(running);
    let flags = Flags {
        key: "revoked",
        ..Flags::default()
    };
    let running = place.run(flags);
    let changed = with_policy("v=DMARC1; p=reject");
    tell(&bench, &changed);
    running.says("unable to list zones", 2);
    says(
        &bench,
        &changed,
        "ReadingStopped",
        &["earlier version", "credentials", "log"],
    );
    drop(running);
    let _running = place.run(Flags::default());
    arrives(&bench, &changed);
}

#[test]
fn a_type_that_is_not_managed() {
    let (bench, place) = before_power_dns();
    tell(&bench, &wanted());
    let types: Vec<&str> = TYPES.into_iter().filter(|kind| *kind != "MX").collect();
    let flags = Flags {
        types: &types,
        ..Flags::default()
    };
    let running = place.run(flags);
    running.says(IDLE, 2);
    says(
        &bench,
        &wanted(),
        "TypeNotManaged",
        &["in.corp.test MX", "--managed-record-types"],
    );
}

#[test]
fn a_zone_that_is_filtered_away() {
    let (bench, place) = before_power_dns();
    tell(&bench, &wanted());
    let flags = Flags {
        zones: &ZONES[2..],
        ..Flags::default()
    };
    let running = place.run(flags);
    running.says(IDLE, 2);
    says(&bench, &wanted(), "ZoneFiltered", &["--domain-filter"]);
    bench.stands(OWNER, "A", &[]);
}

#[test]
fn a_foreign_record_at_the_name_keeps_it_away_and_stays() {
    let (bench, place) = before_power_dns();
    bench
        .hand
        .add("corp.test", "corp.test", 1800, "TXT", "\"token=1\"");
    tell(&bench, &wanted());
    let running = place.run(Flags::default());
    running.says(IDLE, 2);
    says(&bench, &wanted(), "ForeignOwner", &["corp.test TXT"]);
    bench.stands("corp.test", "TXT", &["\"token=1\""]);
    bench.stands(OWNER, "A", &["192.0.2.1"]);
}

/// The rfc2136 provider tears what is not in quotes, and compares it with what it never wrote.
#[test]
fn a_text_in_the_wrong_form() {
    let (bench, place) = before_bind();
    let wanted = [
        alone(OWNER, RecordType::A, &["192.0.2.1"]),
        alone(POLICY, RecordType::Txt, &["\"v=DMARC1; p=none\""]),
    ];
    tell(&bench, &wanted);
    let _running = place.run(Flags::default());
    eventually("something is written", || {
        bench.hand.see(POLICY, "TXT").is_some() && bench.hand.see(OWNER, "A").is_some()
    });
    bench.stands(POLICY, "TXT", &["\"v=DMARC1\""]);
    says(&bench, &wanted, "TextForm", &["txtFormat"]);
}

/// PowerDNS takes all of a PATCH or nothing.
#[test]
fn a_change_that_the_provider_refuses() {
    let (bench, place) = before_power_dns();
    tell(&bench, &wanted());
    let poison = poison(&place);
    cluster().kubectl(&["apply", "--filename", "-"], &poison);
    let running = place.run(Flags::default());
    running.says("unable to patch zone", 2);
    says(&bench, &wanted(), "ZoneFiltered", &["provider refuses", "log"]);
    bench.stands(OWNER, "A", &[]);

    cluster().kubectl(&["delete", "--filename", "-"], &poison);
    arrives(&bench, &wanted());
    cluster().kubectl(&["apply", "--filename", "-"], &poison);
    let changed = with_policy("v=DMARC1; p=reject");
    tell(&bench, &changed);
    running.says("unable to patch zone", 3);
    says(
        &bench,
        &changed,
        "Unexplained",
        &["_dmarc.corp.test TXT", "provider refuses", "log"],
    );
    bench.stands(POLICY, "TXT", &["\"v=DMARC1; p=none\""]);
}

/// Somebody else's DNSEndpoint, with a TXT that has no quotes.
fn poison(place: &Place) -> String {
    format!(
        "apiVersion: externaldns.k8s.io/v1alpha1\nkind: DNSEndpoint\nmetadata: {{name: poison, namespace: {}, \
         labels: {{app.kubernetes.io/managed-by: maildomain}}}}\n\
         spec: {{endpoints: [{{dnsName: poison.corp.test, recordType: TXT, recordTTL: 300, targets: [no quotes]}}]}}\n",
        place.namespace
    )
}

/// Whatever stands in the zone counts as ExternalDNS's own.
#[test]
fn without_a_registry_sync_deletes_what_is_foreign() {
    let (bench, place) = before_power_dns();
    bench
        .hand
        .add("corp.test", "www.corp.test", 300, "A", "192.0.2.77");
    tell(&bench, &wanted());
    let flags = Flags {
        registry: "noop",
        ..Flags::default()
    };
    let _running = place.run(flags);
    arrives(&bench, &wanted());
    eventually("the foreign record is gone", || {
        bench.hand.see("www.corp.test", "A").is_none()
    });
}

/// The name is not refused, and the foreign value goes along in the endpoint; but nothing is ever removed.
#[test]
fn without_a_registry_upsert_only_keeps_what_is_foreign_and_what_was_ours() {
    let (bench, place) = before_power_dns();
    bench
        .hand
        .add("corp.test", "www.corp.test", 300, "A", "192.0.2.77");
    bench
        .hand
        .add("corp.test", "corp.test", 1800, "TXT", "\"token=1\"");
    tell(&bench, &wanted());
    let flags = Flags {
        registry: "noop",
        policy: "upsert-only",
        ..Flags::default()
    };
    let running = place.run(flags);
    arrives(&bench, &wanted());
    bench.stands("corp.test", "TXT", &["\"token=1\"", "\"v=spf1 mx -all\""]);
    tell(&bench, &[]);
    running.says(IDLE, 2);
    bench.stands("www.corp.test", "A", &["192.0.2.77"]);
    bench.stands("corp.test", "TXT", &["\"token=1\"", "\"v=spf1 mx -all\""]);
    bench.stands(OWNER, "A", &["192.0.2.1"]);
}

/// By an ownership record that a person made. What is foreign stays as long as something of ours stands beside it; then ExternalDNS
/// removes what it takes for its own whole. docs/providers/externaldns.md warns of that.
#[test]
fn a_name_that_was_handed_over_loses_what_is_foreign_with_the_last_of_ours() {
    let (bench, place) = before_power_dns();
    let mark = "\"heritage=external-dns,external-dns/owner=contract\"";
    bench
        .hand
        .add("corp.test", "corp.test", 1800, "TXT", "\"token=1\"");
    bench
        .hand
        .add("corp.test", "extdns-txt.corp.test", 300, "TXT", mark);
    let running = place.run(Flags::default());
    tell(&bench, &wanted());
    arrives(&bench, &wanted());
    bench.stands("corp.test", "TXT", &["\"token=1\"", "\"v=spf1 mx -all\""]);
    tell(&bench, &[]);
    eventually("ours is gone", || bench.hand.see(OWNER, "A").is_none());
    running.says(IDLE, 1);
    bench.stands("corp.test", "TXT", &[]);
}

/// ExternalDNS adds before it removes, PowerDNS refuses an alias beside records, and a refusal keeps everything else away too. So
/// one goes before the other comes, in a pass each.
#[test]
fn an_alias_and_records_take_turns() {
    let (bench, place) = before_power_dns();
    let running = place.run(Flags::default());
    let alias = [alone(OWNER, RecordType::Cname, &["mail.vendor.example."])];
    let host = [alone(OWNER, RecordType::A, &["192.0.2.1"])];
    tell(&bench, &host);
    arrives(&bench, &host);
    for (comes, goes) in [(&alias, "A"), (&host, "CNAME")] {
        tell(&bench, comes);
        eventually("what was there goes", || bench.hand.see(OWNER, goes).is_none());
        tell(&bench, comes);
        arrives(&bench, comes);
        tell(&bench, comes);
        running.says(IDLE, 1);
        assert!(bench.plan(comes, TTL).is_empty());
    }
}

/// A zone's servers that nobody finds are not an empty zone.
#[test]
fn a_zone_that_no_server_serves_is_not_empty() {
    let (bench, _place) = before_power_dns();
    bench.stop_server();
    let unknown = bench.read("corp.test", &[OWNER]).map(drop);
    assert_eq!(unknown, Err(PublishError::Unreachable));
}
