//! What is not ours: kept byte for byte, never overwritten, named with the line to paste.

mod lived_in;

use std::time::Duration;

use crate::harness::{Dig, Site, SiteOptions, USUAL, apply, eventually, kubectl, throughout};

/// Some passes of an operator that looks every four seconds.
const A_WHILE: Duration = Duration::from_secs(10);

/// Lines of a dump at one name and type.
fn at(zone: &[String], name: &str, kind: &str) -> Vec<String> {
    let head = format!("{name} {kind} ");
    zone.iter()
        .filter_map(|line| line.strip_prefix(&head))
        .map(str::to_owned)
        .collect()
}

/// What stands in `now` beside `before`, of which nothing may be missing.
#[track_caller]
fn added(before: &[String], now: &[String]) -> Vec<String> {
    let lost: Vec<_> = before.iter().filter(|line| !now.contains(line)).collect();
    assert!(lost.is_empty(), "lost or changed: {lost:#?}\nnow: {now:#?}");
    now.iter()
        .filter(|line| !before.contains(line))
        .cloned()
        .collect()
}

/// The record that a conflict's message offers, without what it says about the end of an SPF record.
#[track_caller]
fn offered(message: &str) -> String {
    let (_, paste) = message
        .split_once("replace it by ")
        .unwrap_or_else(|| panic!("nothing to paste: {message}"));
    let (paste, _) = paste.split_once("; its end ").unwrap_or((paste, ""));
    paste.to_owned()
}

#[test]
fn texts_at_the_apex_are_kept_byte_for_byte() {
    let site = Site::new("apex-texts");
    let long = "x".repeat(200);
    let texts = [
        "\"google-site-verification=AbC-dEf_123\"".to_owned(),
        "\"in two\" \" strings\"".to_owned(),
        "\"quotes \\\" and \\\\ backslashes; a semicolon\"".to_owned(),
        format!("\"{long}\" \"{long}\""),
        "\"V=spf1x is not SPF\"".to_owned(),
    ];
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    site.by_hand(&site.zone, "TXT", &texts);
    let before = site.zone_at_provider();
    let seen = Dig::ask(&site.ns1, &site.zone, "TXT");
    assert_eq!(seen.len(), 5, "{seen:#?}");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    assert_eq!(added(&before, &site.zone_at_provider()).len(), 7);
    let mut expected = [seen, vec!["\"v=spf1 ip4:203.0.113.4 ~all\"".to_owned()]].concat();
    expected.sort();
    assert_eq!(Dig::ask(&site.ns1, &site.zone, "TXT"), expected);

    // Somebody adds one more beside ours, and we change ours.
    let live = at(&site.zone_at_provider(), &site.zone, "TXT");
    let more: Vec<&str> = live.iter().map(String::as_str).chain(["\"one=more\""]).collect();
    site.by_hand(&site.zone, "TXT", &more);
    let spec = USUAL.replace(
        "hosts: [mail.ZONE]",
        "hosts: [mail.ZONE]\n      egress: [198.51.100.0/28]",
    );
    apply(&site.manifest(&spec));
    let ours = "\"v=spf1 ip4:198.51.100.0/28 ip4:203.0.113.4 ~all\"";
    let texts = eventually(
        "our part changes",
        || at(&site.zone_at_provider(), &site.zone, "TXT"),
        |texts| texts.iter().any(|text| text == ours),
    );
    assert_eq!(texts.len(), 7, "{texts:#?}");
    added(&before, &site.zone_at_provider());
    site.delete();
    let one_more = format!("{} TXT \"one=more\"", site.zone);
    eventually(
        "what is left is theirs",
        || site.zone_at_provider(),
        |zone| zone.len() == before.len() + 1 && added(&before, zone) == [one_more.clone()],
    );
}

/// A foreign record where the usual declaration wants its own. `label` is put before the zone.
fn conflict(test: &str, label: &str, kind: &str, foreign: &str, paste: &str) {
    let site = Site::new(test);
    let (foreign, paste) = (
        foreign.replace("ZONE", &site.zone),
        paste.replace("ZONE", &site.zone),
    );
    let name = format!("{label}{}", site.zone);
    site.by_hand(&name, kind, &[&foreign]);
    let before = site.zone_at_provider();
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Published", "False/Conflict");
    site.wait_for("Stalled", "True/Conflict");
    site.wait_for("KeysReady", "True");

    // One name is said, with what stands there and what would do; everything else is out.
    let conflicts = site.conflicts();
    let [(key, message)] = conflicts.as_slice() else {
        panic!("not one conflict: {conflicts:#?}")
    };
    assert_eq!(*key, format!("{name} {kind}"));
    assert!(message.starts_with(&foreign), "{message}");
    assert_eq!(offered(message), paste);
    assert!(
        site.message("Published").contains(&paste),
        "{}",
        site.message("Published")
    );
    let rows = site.status().records;
    let out = rows.iter().filter(|row| row.published.as_str() == "True").count();
    assert_eq!((rows.len(), out), (7, 6), "{rows:#?}");
    let ours = added(&before, &site.zone_at_provider());
    assert_eq!(ours.len(), 6, "{ours:#?}");
    throughout(
        "the name is left alone",
        A_WHILE,
        || at(&site.zone_at_provider(), &name, kind),
        |there| *there == [foreign.clone()],
    );
    let events = kubectl(&[
        "-n",
        &site.namespace,
        "get",
        "events",
        "--field-selector",
        "reason=Conflict",
        "-o",
        "name",
    ]);
    assert_eq!(events.lines().count(), 1, "{events}");

    // A person pastes the line, and is left alone with it for ever.
    site.by_hand(&name, kind, &[&paste]);
    site.wait_for("Published", "True/AsDeclared");
    site.wait_for("Verified", "True/AsDeclared");
    site.wait_for("Ready", "True");
    assert!(site.conflicts().is_empty());
    let pasted = format!("{name} {kind} {paste}");
    assert!(site.zone_at_provider().contains(&pasted));
    site.delete();
    eventually(
        "only the pasted record is left",
        || site.zone_at_provider(),
        |zone| *zone == [pasted.clone()],
    );
}

#[test]
fn a_foreign_spf_record_is_a_conflict_with_the_merged_line() {
    conflict(
        "foreign-spf",
        "",
        "TXT",
        "\"v=spf1 ip4:198.51.100.7 -all\"",
        "\"v=spf1 ip4:198.51.100.7 ip4:203.0.113.4 -all\"",
    );
}

#[test]
fn a_foreign_mx_is_a_conflict() {
    conflict(
        "foreign-mx",
        "",
        "MX",
        "10 mx.elsewhere.example.",
        "10 mail.ZONE.",
    );
}

#[test]
fn a_foreign_address_is_a_conflict() {
    conflict("foreign-a", "mail.", "A", "198.51.100.77", "203.0.113.4");
}

#[test]
fn a_foreign_policy_is_a_conflict() {
    conflict(
        "foreign-dmarc",
        "_dmarc.",
        "TXT",
        "\"v=DMARC1; p=reject; rua=mailto:old@ZONE\"",
        "\"v=DMARC1; p=none; rua=mailto:report@ZONE\"",
    );
}

#[test]
fn a_foreign_alias_at_a_host_is_left_alone() {
    let site = Site::new("foreign-cname");
    let name = format!("mail.{}", site.zone);
    site.by_hand(&name, "CNAME", &[&format!("elsewhere.{}.", site.zone)]);
    let before = site.zone_at_provider();
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Published", "False/Conflict");
    site.wait_for("KeysReady", "True");
    let conflicts = site.conflicts();
    let keys: Vec<&str> = conflicts.iter().map(|(key, _)| key.as_str()).collect();
    assert_eq!(keys, [format!("{name} A"), format!("{name} TXT")]);
    for (_, message) in &conflicts {
        let what = format!(
            "{name} is an alias of elsewhere.{}. that this operator did not write",
            site.zone
        );
        assert!(
            message.starts_with(&what) && message.contains("remove the alias"),
            "{message}"
        );
    }
    let ours = added(&before, &site.zone_at_provider());
    assert_eq!(ours.len(), 5, "the rest is out: {ours:#?}");
    assert!(!ours.iter().any(|line| line.starts_with(&name)), "{ours:#?}");

    site.by_hand(&name, "CNAME", &[]);
    site.wait_for("Published", "True/AsDeclared");
    site.wait_for("Verified", "True/AsDeclared");
    site.wait_for("Ready", "True");
    Dig::until(&site.ns2, &name, "A", &["203.0.113.4"]);
}

#[test]
fn a_foreign_record_keeps_a_declared_alias_away() {
    let site = Site::new("alias-taken");
    let name = format!("trk.{}", site.zone);
    site.by_hand(&name, "CAA", &["0 issue \"letsencrypt.org\""]);
    let before = site.zone_at_provider();
    let _operator = site.operator();
    let host = "    - {name: trk.ZONE, purpose: MessageTracking, target: mail.ZONE}\n  receiving:";
    apply(&site.manifest(&USUAL.replacen("  receiving:", host, 1)));
    site.wait_for("Published", "False/Conflict");
    site.wait_for("KeysReady", "True");
    let conflicts = site.conflicts();
    let [(key, message)] = conflicts.as_slice() else {
        panic!("not one conflict: {conflicts:#?}")
    };
    assert_eq!(*key, format!("{name} CNAME"));
    assert!(
        message.contains(&format!("{name} holds CAA and so cannot be an alias")),
        "{message}"
    );
    assert_eq!(added(&before, &site.zone_at_provider()).len(), 7);
    site.by_hand(&name, "CAA", &[]);
    site.wait_for("Published", "True/AsDeclared");
    site.wait_for("Verified", "True/AsDeclared");
    Dig::until(&site.ns2, &name, "CNAME", &[format!("mail.{}.", site.zone)]);
}

#[test]
fn the_claim_decides_between_two_namespaces() {
    let options = SiteOptions {
        second_tenant: true,
        // Long enough that the second one comes while the keys of the first one drain.
        key_drain: "15s",
        ..SiteOptions::default()
    };
    let site = Site::with("two-tenants", options);
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();

    apply(&site.manifest_named("mail", &site.second, "Delete", USUAL));
    Site::wait_for_at(&site.second, "mail", "Accepted", "False/ClaimHeld");
    Site::wait_for_at(&site.second, "mail", "Ready", "False/ClaimHeld");
    let status = Site::domain_at(&site.second, "mail").status.unwrap_or_default();
    for condition in &status.conditions {
        assert!(condition.message.contains(&site.zone), "{condition:?}");
        assert!(
            !condition.message.contains(&site.namespace),
            "a tenant is told of another: {condition:?}"
        );
    }
    throughout(
        "the second one changes nothing",
        A_WHILE,
        || (site.zone_at_provider(), site.condition("Ready")),
        |(zone, ready)| *zone == published && ready == "True/AsDeclared",
    );

    site.delete();
    Site::wait_for_at(&site.second, "mail", "Ready", "True");
    let keys = Site::domain_at(&site.second, "mail")
        .status
        .unwrap_or_default()
        .keys;
    let mut selectors: Vec<String> = keys
        .iter()
        .map(|k| format!("{}._domainkey.{}", k.selector, site.zone))
        .collect();
    selectors.sort();
    let zone = eventually(
        "nothing of the first one is left",
        || site.zone_at_provider(),
        |zone| zone.len() == published.len(),
    );
    let there: Vec<&str> = zone
        .iter()
        .filter_map(|line| line.split(' ').next())
        .filter(|name| name.contains("._domainkey."))
        .collect();
    assert_eq!(there, selectors, "the keys are the second one's");
    assert!(
        !published
            .iter()
            .any(|line| selectors.iter().any(|name| line.starts_with(name)))
    );
}

#[test]
fn the_older_one_decides_within_a_namespace() {
    let site = Site::new("twins");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();
    let twin = site.manifest_named("twin", &site.namespace, "Delete", USUAL);
    apply(&twin.replace("203.0.113.4", "203.0.113.5"));
    Site::wait_for_at(&site.namespace, "twin", "Accepted", "False/DuplicateDomain");
    let status = Site::domain_at(&site.namespace, "twin")
        .status
        .unwrap_or_default();
    let accepted = status.conditions.iter().find(|c| c.type_ == "Accepted");
    assert!(
        accepted.is_some_and(|c| c.message.contains("MailDomain mail of this namespace")),
        "{accepted:?}"
    );
    throughout(
        "the younger one changes nothing",
        A_WHILE,
        || (site.zone_at_provider(), site.condition("Ready")),
        |(zone, ready)| *zone == published && ready == "True/AsDeclared",
    );

    site.delete();
    Site::wait_for_at(&site.namespace, "twin", "Ready", "True");
    let zone = eventually(
        "the keys of the older one are drained",
        || site.zone_at_provider(),
        |zone| zone.len() == published.len(),
    );
    assert_eq!(at(&zone, &format!("mail.{}", site.zone), "A"), ["203.0.113.5"]);
    assert_eq!(at(&zone, &site.zone, "TXT"), ["\"v=spf1 ip4:203.0.113.5 ~all\""]);
}

#[test]
fn a_host_that_is_declared_no_more_takes_only_our_record_with_it() {
    let site = Site::new("host-removed");
    let web = format!("web.{}", site.zone);
    site.by_hand(&web, "TXT", &["\"theirs\""]);
    site.by_hand(&web, "CAA", &["0 issue \"letsencrypt.org\""]);
    site.by_hand(&format!("old.{}", site.zone), "A", &["203.0.113.9"]);
    let before = site.zone_at_provider();
    let _operator = site.operator();
    let hosts = "    - {name: web.ZONE, purpose: Web, addresses: [203.0.113.8, \"2001:db8::8\"]}\n    \
                 - {name: old.ZONE, purpose: Web, addresses: [203.0.113.9]}\n  receiving:";
    apply(&site.manifest(&USUAL.replacen("  receiving:", hosts, 1)));
    site.wait_for("Ready", "True");
    site.wait_for("Published", "True/AsDeclared");
    let with = site.zone_at_provider();
    assert_eq!(at(&with, &web, "A"), ["203.0.113.8"]);
    assert_eq!(at(&with, &web, "AAAA"), ["2001:db8::8"]);
    apply(&site.usual());
    let without = eventually(
        "our two records go",
        || site.zone_at_provider(),
        |zone| at(zone, &web, "A").is_empty() && at(zone, &web, "AAAA").is_empty(),
    );
    assert_eq!(
        added(&without, &with).len(),
        2,
        "only ours, and the satisfied one stays"
    );
    assert_eq!(added(&before, &without).len(), 7);
    site.wait_for("Ready", "True");
    throughout(
        "nothing else goes",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| *zone == without,
    );
}

#[test]
fn a_wildcard_text_is_neither_a_key_nor_touched() {
    let site = Site::new("wildcard-text");
    site.by_hand(&format!("*.{}", site.zone), "TXT", &["\"v=spf1 -all\""]);
    let before = site.zone_at_provider();
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    assert_eq!(added(&before, &site.zone_at_provider()).len(), 7);
}
