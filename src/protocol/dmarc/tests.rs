//! The vectors of standards.md section 7.3, and one change of the good record for each check.

use serde_json::{Value as Json, json};

use super::scene::Scene;
use super::*;

const GOOD: &str = "v=DMARC1; p=reject; rua=mailto:dmarc@example.com";

/// A sending domain that declares this DMARC policy.
fn declaring(dmarc: Json) -> Scene {
    sending().with("dmarc", dmarc)
}

fn sending() -> Scene {
    Scene::of("example.com")
        .with("senders", json!([{ "name": "mta" }]))
        .zone("example.com MX 10 mail.example.com")
}

/// The findings with these texts at `_dmarc.example.com`.
fn at_own_name(texts: &[&str]) -> Vec<String> {
    texts
        .iter()
        .fold(sending(), |scene, text| {
            scene.zone(&format!("_dmarc.example.com TXT {text}"))
        })
        .findings(PROTOCOL.checks)
}

#[test]
fn the_record_says_what_was_declared_and_no_more() {
    let reports = json!(["mailto:a@example.com", "mailto:b@example.com"]);
    for (dmarc, released, held) in [
        (
            json!({ "policy": "None" }),
            "v=DMARC1; p=none",
            "v=DMARC1; p=none",
        ),
        (
            json!({ "policy": "Reject", "subdomainPolicy": "Reject", "aggregateReports": reports }),
            "v=DMARC1; p=reject; rua=mailto:a@example.com,mailto:b@example.com",
            "v=DMARC1; p=none; rua=mailto:a@example.com,mailto:b@example.com",
        ),
        (
            json!({ "policy": "Reject", "subdomainPolicy": "None", "nonExistentPolicy": "Reject", "aggregateReports": ["mailto:a@example.com"], "failureReports": ["mailto:f@example.com"], "dkimAlignment": "Strict", "spfAlignment": "Strict" }),
            "v=DMARC1; p=reject; sp=none; np=reject; adkim=s; aspf=s; rua=mailto:a@example.com; ruf=mailto:f@example.com",
            "v=DMARC1; p=none; adkim=s; aspf=s; rua=mailto:a@example.com; ruf=mailto:f@example.com",
        ),
        (
            json!({ "policy": "None", "subdomainPolicy": "Reject", "dkimAlignment": "Relaxed" }),
            "v=DMARC1; p=none; sp=reject",
            "v=DMARC1; p=none",
        ),
    ] {
        let text = |scene: Scene| {
            scene.declared(|d| {
                let wanted = desired(d);
                assert_eq!(wanted[0].key.to_string(), "_dmarc.example.com TXT");
                wanted[0].values.first().unwrap().as_txt().unwrap().to_owned()
            })
        };
        assert_eq!(text(declaring(dmarc.clone())), released);
        assert_eq!(text(declaring(dmarc).held()), held);
        assert_eq!(
            at_own_name(&[released]).iter().find(|f| f.starts_with("Fail")),
            None
        );
    }
    assert!(sending().declared(|d| desired(d).is_empty()));
}

#[test]
fn a_good_record_has_no_findings() {
    for text in [
        GOOD,
        "v=DMARC1;p=quarantine;np=reject;adkim=s;aspf=r;psd=n;rua=mailto:a@example.com,mailto:b@m.example.com;",
        "v=DMARC1; rua=mailto:a@example.com; fo=1; ruf=mailto:a@example.com; p=reject; t=n",
    ] {
        let scene = sending().zone(&format!(
            "_dmarc.example.com TXT {text}\nm.example.com A 192.0.2.1"
        ));
        assert_eq!(scene.findings(PROTOCOL.checks), [""; 0], "{text}");
    }
}

/// A text at `_dmarc.example.com` and what is said of it.
const CHANGES: &[(&str, &[&str])] = &[
    // V57: the seed's own record.
    (
        "v=DMARC1; p=reject; sp=reject; mailto:report@example.com",
        &[
            "Fail dmarc-rua-present",
            "Fail dmarc-syntax",
            "Info dmarc-policy-strength",
        ],
    ),
    // V59
    (
        "v=dmarc1; p=reject",
        &["Fail dmarc-present", "Fail dmarc-version"],
    ),
    (
        "v=DMARC1, p=reject",
        &["Fail dmarc-present", "Fail dmarc-version"],
    ),
    (
        "V=DMARC1; p=reject; rua=mailto:a@example.com",
        &["Warn dmarc-version"],
    ),
    // V61
    (
        "v=DMARC1; p=reject; sp=monitor; rua=mailto:a@example.com",
        &["Fail dmarc-policy-value", "Info dmarc-policy-strength"],
    ),
    (
        "v=DMARC1; p=block",
        &[
            "Fail dmarc-policy-value",
            "Fail dmarc-present",
            "Warn dmarc-rua-present",
        ],
    ),
    (
        "v=DMARC1; p=reject; adkim=strict; rua=mailto:a@example.com",
        &["Fail dmarc-policy-value"],
    ),
    (
        "v=DMARC1; p=reject; t=1; rua=mailto:a@example.com",
        &["Warn dmarc-policy-value"],
    ),
    (
        "v=DMARC1; p=reject; fo=1; rua=mailto:a@example.com",
        &["Info dmarc-policy-value"],
    ),
    (
        "v=DMARC1; p=reject; fo=0:1; ruf=mailto:a@example.com; rua=mailto:a@example.com",
        &["Warn dmarc-policy-value"],
    ),
    (
        "v=DMARC1; rua=mailto:a@example.com",
        &["Info dmarc-policy-strength", "Warn dmarc-policy-value"],
    ),
    // V68
    (
        "v=DMARC1; p=reject; t=y; rua=mailto:a@example.com",
        &["Warn dmarc-test-flag"],
    ),
    (
        "v=DMARC1; p=none; t=y; rua=mailto:a@example.com",
        &["Info dmarc-policy-strength", "Info dmarc-test-flag"],
    ),
    // V69
    (
        "v=DMARC1; p=reject; pct=20; rua=mailto:a@example.com",
        &["Warn dmarc-removed-tags"],
    ),
    (
        "v=DMARC1; p=reject; psd=y; rua=mailto:a@example.com",
        &["Fail dmarc-psd-flag"],
    ),
    (
        "v=DMARC1; p=reject; sp=none; rua=mailto:a@example.com",
        &["Warn dmarc-policy-strength"],
    ),
    (
        "v=DMARC1; p=none",
        &["Info dmarc-policy-strength", "Warn dmarc-rua-present"],
    ),
    (
        "v=DMARC1; p=reject; x=1; rua=mailto:a@example.com",
        &["Info dmarc-syntax"],
    ),
    (
        "v=DMARC1; p=reject; p=none; rua=mailto:a@example.com",
        &["Fail dmarc-syntax"],
    ),
    (
        "v=DMARC1; p=reject; aspf=r\\; rua=mailto:a@example.com",
        &["Fail dmarc-policy-value", "Fail dmarc-syntax"],
    ),
    (
        "v=DMARC1; p=reject rua=mailto:a@example.com",
        &[
            "Fail dmarc-policy-value",
            "Fail dmarc-present",
            "Fail dmarc-syntax",
            "Warn dmarc-rua-present",
        ],
    ),
    ("v=DMARC1; p=reject; rua=a@example.com", &["Fail dmarc-rua-uri"]),
    (
        "v=DMARC1; p=reject; rua=mailto:a@example.com,b@example.com",
        &["Fail dmarc-rua-uri"],
    ),
    (
        "v=DMARC1; p=reject; rua=mailto:a@example.com!10m",
        &["Warn dmarc-rua-uri"],
    ),
    (
        "v=DMARC1; p=reject; rua=https://example.com/",
        &["Warn dmarc-rua-uri"],
    ),
    (
        "v=DMARC1; p=reject; rua=mailto:a@nowhere.example.com",
        &["Fail dmarc-rua-uri"],
    ),
];

#[test]
fn each_change_has_its_own_finding() {
    for (text, expected) in CHANGES {
        assert_eq!(at_own_name(&[text]), *expected, "{text}");
    }
}

#[test]
fn several_records_are_none() {
    assert_eq!(
        at_own_name(&[GOOD, "v=DMARC1; p=none"]),
        ["Fail dmarc-present", "Fail dmarc-single"]
    );
    assert_eq!(at_own_name(&[GOOD, "v=spf1 -all"]), [""; 0]);
    assert_eq!(at_own_name(&[GOOD, "v=dmarc1; p=none"]), ["Warn dmarc-version"]);
    // V66: those of a subdomain let the organization's policy through.
    let scene = Scene::of("m.example.com")
        .with("senders", json!([{ "name": "mta" }]))
        .zone("example.com MX 10 mail.example.com\nm.example.com A 192.0.2.1")
        .zone("_dmarc.m.example.com TXT v=DMARC1; p=none\n_dmarc.m.example.com TXT v=DMARC1; p=reject")
        .zone("_dmarc.example.com TXT v=DMARC1; p=none; sp=quarantine; rua=mailto:a@example.com");
    assert_eq!(scene.findings(PROTOCOL.checks), ["Fail dmarc-single"]);
}

#[test]
fn absent_inherited_and_unknown_are_told_apart() {
    assert_eq!(at_own_name(&[]), ["Fail dmarc-present"]);
    let nobody_sends = Scene::of("example.com");
    assert_eq!(nobody_sends.findings(PROTOCOL.checks), ["Warn dmarc-present"]);
    for failing in ["_dmarc.example.com SERVFAIL", "_dmarc.com SERVFAIL"] {
        let scene = sending().zone(failing);
        assert_eq!(scene.findings(PROTOCOL.checks), ["Unknown dmarc-present"]);
    }
    let below = || {
        Scene::of("m.example.com")
            .with("senders", json!([{ "name": "mta" }]))
            .zone("example.com MX 10 mail.example.com\nm.example.com A 192.0.2.1")
            .zone(&format!("_dmarc.example.com TXT {GOOD}"))
    };
    assert_eq!(below().findings(PROTOCOL.checks), [""; 0]);
    let declared = below().with("dmarc", json!({ "policy": "None" }));
    assert_eq!(declared.findings(PROTOCOL.checks), ["Warn dmarc-present"]);
}

#[test]
fn the_line_to_publish_is_the_declared_record() {
    let scene = declaring(json!({ "policy": "Reject", "aggregateReports": ["mailto:a@example.com"] }));
    let message = scene.held().message(PROTOCOL.checks, "dmarc-present");
    assert!(
        message.ends_with("Publish _dmarc.example.com TXT \"v=DMARC1; p=none; rua=mailto:a@example.com\"."),
        "{message}"
    );
}

#[test]
fn a_report_receiver_elsewhere_must_agree() {
    // V70
    let vendor = "vendor.example MX 10 mx.vendor.example\n_dmarc.example.com TXT v=DMARC1; p=reject; rua=mailto:d@vendor.example\n";
    let agreement = "example.com._report._dmarc.vendor.example";
    let scene = |more: &str| sending().zone(vendor).zone(more);
    assert_eq!(scene("").findings(PROTOCOL.checks), ["Fail dmarc-rua-authorized"]);
    let message = scene("").message(PROTOCOL.checks, "dmarc-rua-authorized");
    assert!(
        message.ends_with("Its zone needs example.com._report._dmarc.vendor.example TXT \"v=DMARC1;\"."),
        "{message}"
    );
    for (more, expected) in [
        (format!("{agreement} TXT v=DMARC1;"), &[] as &[&str]),
        ("*._report._dmarc.vendor.example TXT v=DMARC1".to_owned(), &[]),
        (
            format!("{agreement} TXT v=DMARC1; rua=mailto:x@other.example"),
            &["Warn dmarc-rua-authorized"],
        ),
        (
            format!("{agreement} TXT v=spf1 -all"),
            &["Fail dmarc-rua-authorized"],
        ),
        (format!("{agreement} SERVFAIL"), &["Unknown dmarc-rua-authorized"]),
    ] {
        assert_eq!(scene(&more).findings(PROTOCOL.checks), expected, "{more}");
    }
}

#[test]
fn a_parent_that_claims_to_be_a_registry_is_named() {
    // V64
    let zone = |parent: &str| {
        format!(
            "_dmarc.{parent} TXT v=DMARC1; p=reject; psd=y; rua=mailto:a@{parent}\n{parent} MX 10 mx.{parent}\nnews.{parent} A 192.0.2.1"
        )
    };
    let findings = |parent: &str| {
        Scene::of(&format!("news.{parent}"))
            .zone(&zone(parent))
            .findings(PROTOCOL.checks)
    };
    // To receivers that go by the public suffix list it is one organization all the same.
    assert_eq!(
        findings("example.com"),
        ["Fail dmarc-psd-flag", "Warn dmarc-orgdomain-divergence"]
    );
    assert_eq!(findings("co.uk"), [""; 0]);
}

#[test]
fn what_is_offered_instead_is_sound_itself() {
    let offered = |text: &str| match parse(text) {
        Some(Ok(record)) => record.offer().map(str::to_owned),
        Some(Err(_)) | None => None,
    };
    assert_eq!(
        offered("v=DMARC1; p=reject; mailto:a@example.com").as_deref(),
        Some("v=DMARC1; p=reject; rua=mailto:a@example.com")
    );
    // The address has the fault of the next one in it, and nobody knows what was meant.
    assert_eq!(
        offered("v=DMARC1; p=reject; rua=m rua=mailto:a@example.com; x"),
        None
    );
}
