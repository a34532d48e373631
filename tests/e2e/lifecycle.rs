//! The main road: declared, published, proven, damaged, mended, deleted.

use crate::harness::{Dig, Site, eventually, kubectl};

#[test]
fn a_domain_becomes_ready_and_every_record_answers() {
    let site = Site::new("ready");
    let _operator = site.operator();
    crate::harness::apply(&site.usual());
    site.wait_for("Ready", "True");
    for server in [&site.ns1, &site.ns2] {
        Dig::until(server, &site.zone, "MX", &[format!("10 mail.{}.", site.zone)]);
        Dig::until(server, &site.zone, "TXT", &["\"v=spf1 ip4:203.0.113.4 ~all\""]);
        Dig::until(server, &format!("mail.{}", site.zone), "A", &["203.0.113.4"]);
    }
    let status = site.status();
    assert_eq!(
        status.summary.map(|s| (s.records, s.published, s.verified)),
        Some((7, 7, 7))
    );
    assert_eq!(status.keys.len(), 2);
}

#[test]
fn a_record_damaged_by_hand_is_named_and_mended() {
    let site = Site::new("drift");
    let _operator = site.operator();
    crate::harness::apply(&site.usual());
    site.wait_for("Ready", "True");
    site.by_hand(&site.zone, "TXT", &["\"v=spf1 -all\""]);
    eventually(
        "the damage is named",
        || site.message("Verified"),
        |m| m.contains(&format!("{} TXT (SPF)", site.zone)),
    );
    site.wait_for("Ready", "True");
    site.wait_for("Verified", "True");
    Dig::until(&site.ns2, &site.zone, "TXT", &["\"v=spf1 ip4:203.0.113.4 ~all\""]);
    let events = site.events();
    assert!(events.contains("DriftMended"), "{events}");
}

#[test]
fn deletion_with_policy_delete_leaves_the_zone_as_it_was() {
    let site = Site::new("withdraw");
    let _operator = site.operator();
    site.by_hand(&site.zone, "TXT", &["\"token=1\""]);
    let before = site.zone_at_provider();
    crate::harness::apply(&site.usual());
    site.wait_for("Ready", "True");
    kubectl(&[
        "-n",
        &site.namespace,
        "delete",
        "maildomain",
        "mail",
        "--timeout=30s",
    ]);
    eventually(
        "the zone is as before, keys last",
        || site.zone_at_provider(),
        |zone| *zone == before,
    );
    eventually(
        "the ledger is closed",
        || kubectl(&["-n", &site.system, "get", "recordledgers", "-o", "name"]),
        String::is_empty,
    );
    assert_eq!(site.key_secrets().len(), 2, "key Secrets outlive the MailDomain");
}

#[test]
fn deletion_with_policy_retain_leaves_the_records_and_recreation_takes_over() {
    let site = Site::new("retain");
    let _operator = site.operator();
    let manifest = site.manifest_named("mail", &site.namespace, "Retain", crate::harness::USUAL);
    crate::harness::apply(&manifest);
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();
    kubectl(&[
        "-n",
        &site.namespace,
        "delete",
        "maildomain",
        "mail",
        "--timeout=30s",
    ]);
    assert_eq!(site.zone_at_provider(), published);
    crate::harness::apply(&manifest);
    site.wait_for("Ready", "True");
    let after = site.zone_at_provider();
    let spf = format!("{} TXT \"v=spf1 ip4:203.0.113.4 ~all\"", site.zone);
    assert!(after.contains(&spf), "{after:#?}");
}
