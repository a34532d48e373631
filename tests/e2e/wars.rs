//! Another hand that does not give up, and removals that nobody decided.

use std::time::Duration;

use crate::harness::{Dig, Site, USUAL, apply, eventually, kubectl, text_at, throughout};

/// A bot writes its own value whenever ours stands there. It is resisted three times, then the operator says so and stops.
#[test]
fn a_war_ends_and_is_named() {
    let site = Site::new("war");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let mail = format!("mail.{}", site.zone);
    let theirs = format!("{mail} A 198.51.100.66");
    let strike = || site.by_hand(&mail, "A", &["198.51.100.66"]);
    let mut strikes = 0;
    eventually(
        "the operator gives up",
        || {
            if !site.zone_at_provider().contains(&theirs) {
                strike();
                strikes += 1;
            }
            site.condition("Published")
        },
        |published| published.starts_with("False/Conflict"),
    );
    assert_eq!(strikes, 4, "three were undone");
    let row = site
        .status()
        .records
        .into_iter()
        .find(|row| row.name == mail && row.record_type == "A");
    let message = row.and_then(|row| row.message).unwrap_or_default();
    assert!(message.contains("another hand changed it 3 times"), "{message}");
    throughout(
        "nothing is written",
        Duration::from_secs(10),
        || site.zone_at_provider(),
        |zone| zone.contains(&theirs),
    );
    let events = site.events();
    assert_eq!(
        events.matches("another hand changed it 3 times").count(),
        1,
        "{events}"
    );
    // It is fine again as soon as it stands as declared, whoever put it there.
    site.by_hand(&mail, "A", &["203.0.113.4"]);
    site.wait_for("Published", "True");
}

/// A MailDomain that was deleted and is created anew declares less than the ledger remembers: nobody decided to remove the
/// rest, so it stays until somebody says so.
#[test]
fn removals_that_nobody_decided_wait_for_a_word() {
    let site = Site::new("breaker");
    let _operator = site.operator();
    let retained = |spec: &str| site.manifest_named("mail", &site.namespace, "Retain", spec);
    let web: Vec<String> = (1..=5).map(|n| format!("web{n}.{}", site.zone)).collect();
    let hosts: String = web
        .iter()
        .map(|name| format!("    - {{name: {name}, purpose: Web, addresses: [203.0.113.80]}}\n"))
        .collect();
    apply(&retained(&USUAL.replacen(
        "  hosts:\n",
        &format!("  hosts:\n{hosts}"),
        1,
    )));
    site.wait_for("Ready", "True");
    site.wait_for("Verified", "True");
    let records: Vec<String> = web.iter().map(|name| format!("{name} A 203.0.113.80")).collect();
    let there = |zone: &Vec<String>| records.iter().filter(|record| zone.contains(record)).count();
    kubectl(&[
        "-n",
        &site.namespace,
        "delete",
        "maildomain",
        "mail",
        "--timeout=60s",
    ]);
    apply(&retained(USUAL));
    site.wait_for("Published", "False/DeletionsHeld");
    let message = site.message("Published");
    assert!(
        message.starts_with("5 records of ours would be removed"),
        "{message}"
    );
    let hash = message.split('"').nth(1).unwrap_or_default().to_owned();
    let acknowledge = |word: &str| {
        let annotation = format!("maildomain.dev/acknowledge-deletions={word}");
        kubectl(&[
            "-n",
            &site.namespace,
            "annotate",
            "--overwrite",
            "maildomain",
            "mail",
            &annotation,
        ]);
    };
    acknowledge("0000000000");
    throughout(
        "nothing goes for another word",
        Duration::from_secs(10),
        || site.zone_at_provider(),
        |zone| there(zone) == records.len(),
    );
    acknowledge(&hash);
    eventually("they go", || site.zone_at_provider(), |zone| there(zone) == 0);
    site.wait_for("Published", "True");
    site.wait_for("Ready", "True");
    let events = site.events();
    assert_eq!(events.matches("DeletionsHeld").count(), 1, "{events}");
}

/// A second mail host goes: the world still finds it for as long as was declared, and then no more.
#[test]
fn what_mail_in_flight_relies_on_retires() {
    let site = Site::new("retire");
    let _operator = site.operator();
    let lasting = |time: &str, spec: &str| {
        let manifest = site.manifest(spec);
        manifest.replace("retireAfter: 0s", &format!("retireAfter: {time}"))
    };
    let second = format!("mail2.{}", site.zone);
    let both = USUAL
        .replacen(
            "  hosts:\n",
            &format!("  hosts:\n    - {{name: {second}, purpose: Mail, addresses: [203.0.113.5]}}\n"),
            1,
        )
        .replacen("hosts: [mail.ZONE]", &format!("hosts: [mail.ZONE, {second}]"), 1)
        .replacen("mx: [", &format!("mx: [{{host: {second}, preference: 20}}, "), 1);
    apply(&lasting("1h", &both));
    site.wait_for("Ready", "True");
    let exchanges = [format!("10 mail.{}.", site.zone), format!("20 {second}.")];
    Dig::until(&site.ns2, &site.zone, "MX", &exchanges);
    apply(&lasting("1h", USUAL));
    let retiring = || {
        let rows = site.status().records.into_iter();
        let retiring = rows.filter(|row| row.reason.as_deref() == Some("Retiring"));
        retiring
            .map(|row| format!("{} {}", row.name, row.record_type))
            .collect::<Vec<_>>()
    };
    let expected = [
        format!("{} MX", site.zone),
        format!("{} TXT", site.zone),
        format!("{second} A"),
        format!("{second} TXT"),
    ];
    eventually("it retires", retiring, |rows| {
        rows.len() == expected.len() && expected.iter().all(|row| rows.contains(row))
    });
    site.wait_for("Ready", "True");
    let spf = "v=spf1 ip4:203.0.113.4 ip4:203.0.113.5 ~all";
    for server in [&site.ns1, &site.ns2] {
        Dig::until(server, &site.zone, "MX", &exchanges);
        Dig::until(server, &second, "A", &["203.0.113.5"]);
        assert_eq!(text_at(server, &site.zone), spf);
    }
    // A shorter time counts for what retires already.
    apply(&lasting("10s", USUAL));
    let mail = format!("mail.{}", site.zone);
    for server in [&site.ns1, &site.ns2] {
        Dig::until(server, &site.zone, "MX", &[format!("10 {mail}.")]);
        Dig::until::<&str>(server, &second, "A", &[]);
        Dig::until::<&str>(server, &second, "TXT", &[]);
        eventually(
            "its term goes",
            || text_at(server, &site.zone),
            |text| text == "v=spf1 ip4:203.0.113.4 ~all",
        );
    }
    eventually("nothing retires any more", retiring, Vec::is_empty);
    site.wait_for("Ready", "True");
}
