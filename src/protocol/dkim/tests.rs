//! The vectors of standards.md section 7.2, and one change of the good record for each check.

use serde_json::json;

use super::samples::{
    ED25519, ED25519_SPKI, RSA_512, RSA_1024, RSA_2048, RSA_2048_OTHER, RSA_2048_PKCS1, RSA_PKCS8_PRIVATE,
};
use super::*;
use crate::protocol::dmarc::scene::Scene;

const NAME: &str = "altcraft._domainkey.example.com";

/// One sender at 192.0.2.10 with the declared keys `names`.
fn sender(names: &[&str]) -> Scene {
    let keys: Vec<_> = names
        .iter()
        .map(
            |name| json!({ "name": name, "delegate": { "selector": name, "target": "keys.vendor.example" } }),
        )
        .collect();
    Scene::of("example.com")
        .with(
            "hosts",
            json!([{ "name": "mail.example.com", "purpose": "Mail", "addresses": ["192.0.2.10"] }]),
        )
        .with(
            "senders",
            json!([{ "name": "mta", "hosts": ["mail.example.com"], "dkim": { "keys": keys } }]),
        )
}

fn rsa() -> Scene {
    sender(&["altcraft"]).key("altcraft", &format!("rsa {RSA_2048}"))
}

fn result(scene: &Scene) -> SenderDkim {
    scene.evidence(|evidence| sender_result(evidence, &evidence.declaration.intent.senders[0]))
}

/// The good key with this text in DNS.
fn with_text(text: &str) -> (Vec<String>, SenderDkim) {
    let text = text.replace("KEY", RSA_2048);
    let scene = rsa().zone(&format!("{NAME} TXT {text}"));
    (scene.findings(PROTOCOL.checks), result(&scene))
}

#[test]
fn every_key_is_published_or_delegated() {
    let scene = rsa().key("vendor1", "cname s1.vendor.example");
    let wanted: Vec<String> = scene.declared(|d| {
        desired(d)
            .iter()
            .map(|w| format!("{} {}", w.key, w.values.first().unwrap()))
            .collect()
    });
    assert!(
        wanted[0].starts_with(&format!("{NAME} TXT \"v=DKIM1; k=rsa; p=MIIB")),
        "{}",
        wanted[0]
    );
    assert_eq!(
        wanted[1],
        "vendor1._domainkey.example.com CNAME s1.vendor.example."
    );
}

#[test]
fn a_good_record_has_no_findings() {
    for text in [
        "v=DKIM1; k=rsa; p=KEY",
        "v=DKIM1; p=KEY;",
        "v=DKIM1; k=rsa; s=email; t=s; h=sha256; n=note; p=KEY",
    ] {
        assert_eq!(with_text(text), (Vec::new(), SenderDkim::Pass), "{text}");
    }
}

#[test]
fn each_change_has_its_own_finding() {
    let (pass, fail) = (SenderDkim::Pass, SenderDkim::Fail);
    let pkcs1 = format!("v=DKIM1; k=rsa; p={RSA_2048_PKCS1}");
    let other = format!("v=DKIM1; k=rsa; p={RSA_2048_OTHER}");
    let small = format!("v=DKIM1; k=rsa; p={RSA_512}");
    let private = format!("v=DKIM1; k=rsa; p={RSA_PKCS8_PRIVATE}");
    let ed25519 = format!("v=DKIM1; k=rsa; p={ED25519}");
    let wrapped = format!("v=DKIM1; k=ed25519; p={ED25519_SPKI}");
    let cut = format!("v=DKIM1; k=rsa; p={}", &RSA_2048[..380]);
    for (text, expected, result) in [
        // V40
        ("p=KEY", &["Info dkim-version-tag"] as &[&str], pass),
        // V38
        (
            "v=DKIM1; k=rsa; p=AAAAB3NzaC1yc2E...",
            &["Fail dkim-key-encoding"],
            fail,
        ),
        // V42
        (&small, &["Fail dkim-key-size", "Fail dkim-signer-match"], fail),
        // V48
        ("v=DKIM1; p=", &["Fail dkim-active-revoked"], fail),
        // V50
        (
            "v=DKIM1; k=rsa; p=MIIB\" \"IjAN",
            &["Fail dkim-key-encoding"],
            fail,
        ),
        ("p=KEY; v=DKIM1", &["Fail dkim-version-tag"], fail),
        ("v=dkim1; p=KEY", &["Fail dkim-version-tag"], fail),
        ("v=DKIM1; k=rsa", &["Fail dkim-taglist"], fail),
        ("v=DKIM1; oops; p=KEY", &["Fail dkim-taglist"], fail),
        ("v=DKIM1; p=KEY; p=KEY", &["Fail dkim-taglist"], fail),
        ("v=DKIM1; K=rsa; p=KEY", &["Fail dkim-taglist"], fail),
        ("v=DKIM1; g=*; p=KEY", &["Warn dkim-taglist"], pass),
        ("v=DKIM1; x=1; p=KEY", &["Info dkim-taglist"], pass),
        ("v=DKIM1; k=RSA; p=KEY", &["Fail dkim-key-type"], fail),
        ("v=DKIM1; k=ed25519; p=KEY", &["Fail dkim-key-type"], fail),
        (&ed25519, &["Fail dkim-key-type", "Fail dkim-signer-match"], fail),
        (&wrapped, &["Fail dkim-key-encoding"], fail),
        (&cut, &["Fail dkim-key-encoding"], fail),
        (&pkcs1, &["Fail dkim-key-encoding"], fail),
        (&private, &["Fail dkim-private-key-exposed"], fail),
        (&other, &["Fail dkim-signer-match"], fail),
        ("v=DKIM1; t=y; p=KEY", &["Warn dkim-flags"], fail),
        ("v=DKIM1; s=tlsrpt; p=KEY", &["Fail dkim-service-hash"], fail),
        (
            "v=DKIM1; h=sha1; p=KEY",
            &["Fail dkim-service-hash", "Warn dkim-service-hash"],
            fail,
        ),
        ("v=DKIM1; h=sha1:sha256; p=KEY", &["Warn dkim-service-hash"], pass),
    ] {
        let expected: Vec<String> = expected.iter().map(|&id| id.to_owned()).collect();
        assert_eq!(with_text(text), (expected, result), "{text}");
    }
}

#[test]
fn a_small_key_works_with_a_warning() {
    let key = format!("rsa {RSA_1024}");
    let scene = sender(&["altcraft"])
        .key("altcraft", &key)
        .zone(&format!("{NAME} TXT v=DKIM1; k=rsa; p={RSA_1024}"));
    assert_eq!(scene.findings(PROTOCOL.checks), ["Warn dkim-key-size"]);
    assert_eq!(result(&scene), SenderDkim::Pass);
}

#[test]
fn absent_several_and_unknown_are_told_apart() {
    assert_eq!(rsa().findings(PROTOCOL.checks), ["Fail dkim-present"]);
    assert_eq!(result(&rsa()), SenderDkim::Fail);

    // V54
    let key = format!("{NAME} TXT v=DKIM1; k=rsa; p={RSA_2048}\n");
    let two = rsa().zone(&format!(
        "{key}{NAME} TXT heritage=external-dns,external-dns/owner=x"
    ));
    assert_eq!(two.findings(PROTOCOL.checks), ["Fail dkim-single"]);
    assert_eq!(result(&two), SenderDkim::Fail);

    let unknown = rsa().zone(&format!("{NAME} SERVFAIL"));
    assert_eq!(unknown.findings(PROTOCOL.checks), ["Unknown dkim-present"]);
    assert_eq!(result(&unknown), SenderDkim::Unknown);
}

#[test]
fn a_doubled_zone_name_is_recognised() {
    let scene = rsa().zone(&format!("{NAME}.example.com TXT v=DKIM1; p=AAAA"));
    let message = scene.message(PROTOCOL.checks, "dkim-present");
    assert!(message.contains("drop the doubled zone name"), "{message}");
}

#[test]
fn a_delegated_selector_is_judged_through_its_alias() {
    let delegated = || sender(&["altcraft"]).key("altcraft", "cname keys.vendor.example");
    let alias = format!("{NAME} CNAME keys.vendor.example");
    assert_eq!(
        delegated().zone(&alias).findings(PROTOCOL.checks),
        ["Fail dkim-present"]
    );
    let with = |text: &str| {
        delegated()
            .zone(&alias)
            .zone(&format!("keys.vendor.example TXT {text}"))
    };
    let good = with(&format!("v=DKIM1; p={RSA_2048_OTHER}"));
    assert_eq!(good.findings(PROTOCOL.checks), [""; 0]);
    assert_eq!(result(&good), SenderDkim::Pass);
    assert_eq!(
        with("v=DKIM1; p=").findings(PROTOCOL.checks),
        ["Fail dkim-active-revoked"]
    );
    let ed25519 = with(&format!("v=DKIM1; k=ed25519; p={ED25519}"));
    assert_eq!(ed25519.findings(PROTOCOL.checks), ["Fail dkim-algorithm-set"]);
}

#[test]
fn ed25519_alone_is_not_enough() {
    // V47
    let text = format!("v=DKIM1; k=ed25519; p={ED25519}");
    let alone = json!([{ "name": "mta", "dkim": { "keys": [{ "name": "altcraft", "publicKey": { "selector": "altcraft", "algorithm": "Ed25519", "value": ED25519 } }] } }]);
    let scene = Scene::of("example.com")
        .with("senders", alone)
        .key("altcraft", &format!("ed25519 {ED25519}"))
        .zone(&format!("{NAME} TXT {text}"));
    assert_eq!(scene.findings(PROTOCOL.checks), ["Fail dkim-algorithm-set"]);
    assert_eq!(result(&scene), SenderDkim::Fail);

    let both = sender(&["altcraft", "two"])
        .key("altcraft", &format!("ed25519 {ED25519}"))
        .key("two", &format!("rsa {RSA_2048}"))
        .zone(&format!(
            "{NAME} TXT {text}\ntwo._domainkey.example.com TXT v=DKIM1; p={RSA_2048}"
        ));
    assert_eq!(both.findings(PROTOCOL.checks), [""; 0]);
    assert_eq!(result(&both), SenderDkim::Pass);
}

#[test]
fn a_test_flag_fails_where_only_dkim_stands_between_mail_and_reject() {
    // V53
    let zone = format!("{NAME} TXT v=DKIM1; t=y; p={RSA_2048}\n_dmarc.example.com TXT v=DMARC1; p=reject");
    assert_eq!(rsa().zone(&zone).findings(PROTOCOL.checks), ["Fail dkim-flags"]);
    let spf = "example.com TXT v=spf1 ip4:192.0.2.10 -all";
    assert_eq!(
        rsa().zone(&zone).zone(spf).findings(PROTOCOL.checks),
        ["Warn dkim-flags"]
    );
}

#[test]
fn without_keys_dkim_is_silent() {
    let scene = sender(&[]);
    assert_eq!(scene.findings(PROTOCOL.checks), [""; 0]);
    assert_eq!(result(&scene), SenderDkim::NoKeys);
    assert_eq!(
        result(&sender(&["altcraft"])),
        SenderDkim::Fail,
        "declared and not made yet"
    );
}

#[test]
fn a_generated_key_of_an_observed_domain_is_unknown_and_never_failing() {
    let scene = |mode: &str, keys: serde_json::Value| {
        sender(&[]).with("publishing", json!({ "mode": mode })).with(
            "senders",
            json!([{ "name": "mta", "hosts": ["mail.example.com"], "dkim": { "keys": keys } }]),
        )
    };
    let generated = json!([{ "name": "rsa", "generate": { "algorithm": "RSA" } }]);
    let observed = scene("Observe", generated.clone());
    assert_eq!(observed.findings(PROTOCOL.checks), ["Unknown dkim-key-known"]);
    assert_eq!(result(&observed), SenderDkim::Unknown);
    let message = observed.message(PROTOCOL.checks, "dkim-key-known");
    assert!(message.contains("mta") && message.contains("(rsa)"), "{message}");
    // Elsewhere it is being made.
    let manual = scene("Manual", generated);
    assert_eq!(manual.findings(PROTOCOL.checks), Vec::<String>::new());
    assert_eq!(result(&manual), SenderDkim::Fail);
    // A key that is declared whole is judged, and one good key is enough.
    let both = json!([
        { "name": "rsa", "generate": { "algorithm": "RSA" } },
        { "name": "altcraft", "delegate": { "selector": "altcraft", "target": "keys.vendor.example" } },
    ]);
    let good = scene("Observe", both)
        .key("altcraft", &format!("rsa {RSA_2048}"))
        .zone(&format!("{NAME} TXT v=DKIM1; k=rsa; p={RSA_2048}"));
    assert_eq!(result(&good), SenderDkim::Pass);
    assert_eq!(good.findings(PROTOCOL.checks), ["Unknown dkim-key-known"]);
}
