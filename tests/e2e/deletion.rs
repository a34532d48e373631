//! The end of a MailDomain: the object goes at once, records go as declared, nobody is held.

use std::thread;
use std::time::{Duration, Instant};

use crate::harness::{Dig, Door, Gate, Site, SiteOptions, USUAL, apply, eventually, kubectl, throughout};

/// Some passes of an operator that looks every four seconds.
const A_WHILE: Duration = Duration::from_secs(10);

fn with_gate(name: &str) -> (Gate, Site) {
    let gate = Gate::new(Door::Open);
    let options = SiteOptions {
        api: Some(gate.url()),
        ..SiteOptions::default()
    };
    let site = Site::with(name, options);
    (gate, site)
}

/// The ledgers of the site, with the moment since when they are to be withdrawn.
fn ledgers(site: &Site) -> Vec<String> {
    let columns = "custom-columns=N:.metadata.name,W:.spec.withdraw.since";
    let arguments = [
        "-n",
        &site.system,
        "get",
        "recordledgers",
        "--no-headers",
        "-o",
        columns,
    ];
    kubectl(&arguments).lines().map(str::to_owned).collect()
}

fn claims(site: &Site) -> String {
    kubectl(&[
        "get",
        "maildomainclaims",
        &site.zone,
        "--ignore-not-found",
        "-o",
        "name",
    ])
}

/// Everything of ours is gone: records, ledger, claim. What was there `before` still is.
#[track_caller]
fn all_withdrawn(site: &Site, before: &[String]) {
    eventually(
        "the zone is as it was",
        || site.zone_at_provider(),
        |zone| *zone == before,
    );
    eventually("the ledger is closed", || ledgers(site), Vec::is_empty);
    eventually("the claim is given up", || claims(site), String::is_empty);
}

#[test]
fn with_policy_delete_what_is_foreign_survives() {
    let site = Site::new("del-foreign");
    let mail = format!("mail.{}", site.zone);
    site.by_hand(
        &site.zone,
        "TXT",
        &["\"token=1\"", "\"two\" \" strings \\\"q\\\"\""],
    );
    site.by_hand(&mail, "TXT", &["\"theirs\""]);
    site.by_hand(
        &format!("_dmarc.{}", site.zone),
        "TXT",
        &["\"v=DMARC1; p=reject\""],
    );
    // Exactly what will be declared: satisfied, and theirs all the same.
    site.by_hand(&site.zone, "MX", &[&format!("10 {mail}.")]);
    let before = site.zone_at_provider();
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    site.wait_for("Published", "False/Conflict");
    assert_eq!(site.zone_at_provider().len(), before.len() + 5);
    site.delete();
    all_withdrawn(&site, &before);
}

#[test]
fn dmarc_goes_first_and_keys_last() {
    let options = SiteOptions {
        key_drain: "20s",
        ..SiteOptions::default()
    };
    let site = Site::with("del-order", options);
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    site.delete();
    let has = |zone: &[String], part: &str| zone.iter().any(|line| line.contains(part));
    eventually(
        "all but the keys is gone",
        || site.zone_at_provider(),
        |zone| {
            let dmarc = has(zone, "_dmarc.");
            assert!(!dmarc || has(zone, "v=spf1"), "DMARC outlives SPF: {zone:#?}");
            zone.iter().all(|line| line.contains("._domainkey."))
        },
    );
    throughout(
        "the keys wait for mail in flight",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| zone.len() == 2,
    );
    all_withdrawn(&site, &[]);
}

#[test]
fn with_the_provider_down_the_object_goes_at_once_and_the_records_later() {
    let (gate, site) = with_gate("del-down");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();
    gate.set(Door::Closed);
    let began = Instant::now();
    site.delete();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let ledger = ledgers(&site);
    assert!(
        matches!(ledger.as_slice(), [one] if one.starts_with(&site.zone) && !one.contains("<none>")),
        "the ledger carries on alone: {ledger:?}"
    );
    assert_eq!(site.zone_at_provider(), published);
    assert!(
        !claims(&site).is_empty(),
        "the domain is not given away while its records stand"
    );
    gate.set(Door::Open);
    all_withdrawn(&site, &[]);
}

#[test]
fn a_provider_that_never_answers_holds_nobody() {
    let (gate, site) = with_gate("del-silent");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    gate.set(Door::Silent);
    site.wait_for("Accepted", "True/Stale");
    site.delete();
    gate.set(Door::Open);
    all_withdrawn(&site, &[]);
}

#[test]
fn with_its_namespace_a_mail_domain_goes_within_two_minutes_and_takes_its_records() {
    let site = Site::new("del-namespace");
    site.by_hand(&site.zone, "TXT", &["\"token=1\""]);
    let before = site.zone_at_provider();
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    kubectl(&["delete", "namespace", &site.namespace, "--timeout=120s"]);
    all_withdrawn(&site, &before);
}

#[test]
fn with_its_namespace_and_the_provider_down_nobody_is_held() {
    let (gate, site) = with_gate("del-namespace-down");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    gate.set(Door::Closed);
    kubectl(&["delete", "namespace", &site.namespace, "--timeout=120s"]);
    gate.set(Door::Open);
    all_withdrawn(&site, &[]);
}

#[test]
fn together_with_its_provider_object_nobody_hangs() {
    let site = Site::new("del-provider");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();
    thread::scope(|scope| {
        scope.spawn(|| site.delete_provider());
        scope.spawn(|| site.delete());
    });
    // Whether the records still went depends on which was faster; with the provider back they go.
    let left = site.zone_at_provider();
    assert!(left.iter().all(|line| published.contains(line)), "{left:#?}");
    site.apply_provider(&SiteOptions::default());
    all_withdrawn(&site, &[]);
}

#[test]
fn after_its_provider_object_a_mail_domain_goes_at_once_too() {
    let site = Site::new("del-after-provider");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();
    site.delete_provider();
    site.wait_for("Accepted", "False/ProviderMissing");
    site.delete();
    assert_eq!(site.zone_at_provider(), published, "nobody can withdraw them now");
    assert_eq!(ledgers(&site).len(), 1, "what is to be withdrawn is remembered");
    site.apply_provider(&SiteOptions::default());
    all_withdrawn(&site, &[]);
}

#[test]
fn with_policy_retain_and_the_provider_down_nothing_goes_and_recreation_takes_over() {
    let (gate, site) = with_gate("del-retain-down");
    let manifest = site.manifest_named("mail", &site.namespace, "Retain", USUAL);
    let _operator = site.operator();
    apply(&manifest);
    site.wait_for("Ready", "True");
    let (published, keys) = (site.zone_at_provider(), site.key_secrets());
    gate.set(Door::Closed);
    site.delete();
    gate.set(Door::Open);
    throughout(
        "the records stay",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| *zone == published,
    );
    assert_eq!(
        ledgers(&site),
        [format!("{}   <none>", site.zone)],
        "the ledger remembers, to no end"
    );
    assert!(claims(&site).is_empty());
    apply(&manifest);
    site.wait_for("Ready", "True");
    assert_eq!(
        (site.zone_at_provider(), site.key_secrets()),
        (published, keys),
        "taken over as it was"
    );
    assert!(site.conflicts().is_empty());
}

#[test]
fn one_that_was_never_accepted_goes_and_touches_nothing() {
    let options = SiteOptions {
        second_tenant: true,
        ..SiteOptions::default()
    };
    let site = Site::with("del-refused", options);
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();
    apply(&site.manifest_named("mail", &site.second, "Delete", USUAL));
    apply(&site.manifest_named("twin", &site.namespace, "Delete", USUAL));
    Site::wait_for_at(&site.second, "mail", "Accepted", "False/ClaimHeld");
    Site::wait_for_at(&site.namespace, "twin", "Accepted", "False/DuplicateDomain");
    kubectl(&[
        "-n",
        &site.second,
        "delete",
        "maildomain",
        "mail",
        "--timeout=30s",
    ]);
    kubectl(&[
        "-n",
        &site.namespace,
        "delete",
        "maildomain",
        "twin",
        "--timeout=30s",
    ]);
    throughout(
        "the holder notices nothing",
        A_WHILE,
        || {
            (
                site.zone_at_provider(),
                site.condition("Ready"),
                claims(&site).is_empty(),
            )
        },
        |(zone, ready, unclaimed)| *zone == published && ready == "True/AsDeclared" && !unclaimed,
    );
}

#[test]
fn deleted_while_no_operator_runs_it_goes_when_one_does() {
    let site = Site::new("del-no-operator");
    let operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    operator.kill();
    kubectl(&[
        "-n",
        &site.namespace,
        "delete",
        "maildomain",
        "mail",
        "--wait=false",
    ]);
    assert_eq!(site.domain().metadata.finalizers.map_or(0, |f| f.len()), 1);
    let _operator = site.operator();
    let list = || kubectl(&["-n", &site.namespace, "get", "maildomains", "-o", "name"]);
    eventually("the object goes", list, String::is_empty);
    all_withdrawn(&site, &[]);
}

#[test]
fn recreated_before_the_withdrawal_began_it_takes_everything_over() {
    let (gate, site) = with_gate("again-before");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let (published, keys) = (site.zone_at_provider(), site.key_secrets());
    gate.set(Door::Closed);
    site.delete();
    apply(&site.usual());
    eventually(
        "the order to withdraw is taken back",
        || ledgers(&site),
        |ledgers| *ledgers == [format!("{}   <none>", site.zone)],
    );
    gate.set(Door::Open);
    site.wait_for("Ready", "True");
    site.wait_for("Published", "True/AsDeclared");
    throughout(
        "no record is missing for a moment",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| *zone == published,
    );
    assert_eq!(site.key_secrets(), keys);
}

#[test]
fn recreated_while_its_keys_drain_it_becomes_ready_with_the_same_keys() {
    let site = Site::new("again-during");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let (published, keys) = (site.zone_at_provider(), site.key_secrets());
    site.delete();
    eventually(
        "the withdrawal is half way",
        || site.zone_at_provider(),
        |zone| zone.len() == 2 && zone.iter().all(|line| line.contains("._domainkey.")),
    );
    apply(&site.usual());
    site.wait_for("Ready", "True");
    site.wait_for("Published", "True/AsDeclared");
    throughout(
        "it stays",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| *zone == published,
    );
    assert_eq!(site.key_secrets(), keys);
    Dig::until(&site.ns2, &site.zone, "MX", &[format!("10 mail.{}.", site.zone)]);
}
