//! Name servers that fall silent or stay behind. Nobody writes anything in these faults: the records are right at the
//! provider all the time, and only what the world sees of them changes.

use crate::harness::{Dig, Site, SiteOptions, apply, eventually, text_at, world};
use maildomain::api::{KeyStage, Severity};

/// A name server of the world that is silent until this is dropped.
struct Silence(String);

impl Silence {
    fn of(address: &str) -> Self {
        world(&["dns", "silence", address]);
        Self(address.to_owned())
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        world(&["dns", "heal", &self.0]);
    }
}

#[test]
fn a_silent_server_is_a_warning_and_no_key_is_proven_without_it() {
    let site = Site::new("onesilent");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");

    let silence = Silence::of(&site.ns2);
    let said = eventually(
        "the silent server is named",
        || {
            assert!(site.condition("Ready").starts_with("True/"), "Ready stays");
            let findings = site.status().findings;
            findings.into_iter().find(|f| f.id == "dns-server-silent")
        },
        Option::is_some,
    );
    let finding = said.expect("it was waited for");
    assert_eq!(finding.severity, Severity::Warn);
    assert!(finding.message.contains(&site.ns2), "{}", finding.message);
    assert!(finding.message.contains(&finding.name), "{}", finding.message);
    assert!(site.condition("Verified").starts_with("True/"));

    // A new key has to wait: the silent server may say anything once it speaks.
    let keys = "keys: [{name: late, generate: {algorithm: Ed25519}}, ";
    apply(&site.usual().replace("keys: [", keys));
    let key = eventually(
        "the new key's record is at the server that answers",
        || {
            let keys = site.status().keys;
            let key = keys.into_iter().find(|k| k.key == "late")?;
            let name = format!("{}._domainkey.{}", key.selector, site.zone);
            text_at(&site.ns1, &name).starts_with("v=DKIM1").then_some(key)
        },
        Option::is_some,
    );
    let selector = key.expect("it was waited for").selector;
    site.wait_for_passes(4);
    let stage = || {
        let mut keys = site.status().keys.into_iter();
        keys.find(|k| k.selector == selector).map(|k| k.stage)
    };
    assert_eq!(stage(), Some(KeyStage::Published));
    assert_eq!(site.condition("KeysReady"), "False/KeyNotProven");
    assert!(site.ledger().keys["mta/late"].proven.is_none());

    drop(silence);
    site.wait_for("KeysReady", "True");
    site.wait_for("Ready", "True");
    assert_eq!(stage(), Some(KeyStage::Proven));
    eventually(
        "the warning goes",
        || site.status().findings,
        |all| all.iter().all(|f| f.id != "dns-server-silent"),
    );
}

#[test]
fn a_stale_server_is_named_and_forgiven() {
    let site = Site::new("onestale");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");

    world(&["dns", "freeze", &site.zone]);
    apply(&site.manifest(&format!("{}  spf: {{all: Neutral}}\n", crate::harness::USUAL)));
    let of_server = |server: &str| text_at(server, &site.zone);
    eventually(
        "the primary has it",
        || of_server(&site.ns1),
        |t| t.ends_with("?all"),
    );
    site.wait_for("Verified", "False/Different");
    let message = site.message("Verified");
    assert!(message.contains(&site.ns2), "{message}");
    assert!(message.contains("~all"), "what it answers: {message}");
    assert!(message.contains("1 of 2 servers answer right"), "{message}");
    assert!(
        site.condition("Published").starts_with("True/"),
        "nothing is wrong there"
    );
    assert!(of_server(&site.ns2).ends_with("~all"), "it is stale indeed");

    world(&["dns", "thaw", &site.zone]);
    site.wait_for("Verified", "True");
    site.wait_for("Ready", "True");
    assert!(of_server(&site.ns2).ends_with("?all"));
}

#[test]
fn when_all_are_silent_the_verdict_is_kept_and_then_unknown() {
    let site = Site::with(
        "allsilent",
        SiteOptions {
            config: "staleAfter: 3s\n".to_owned(),
            ..SiteOptions::default()
        },
    );
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();

    let silences = [Silence::of(&site.ns1), Silence::of(&site.ns2)];
    let mut seen = Vec::new();
    eventually(
        "nobody knows",
        || {
            let now = ["Verified", "SPFReady", "DKIMReady", "DMARCReady", "Ready"].map(|c| site.condition(c));
            if seen.last() != Some(&now) {
                seen.push(now.clone());
            }
            now
        },
        |now| now.iter().all(|c| c.starts_with("Unknown/")),
    );
    // Each verdict went from True by way of Stale to Unknown, and none was ever False.
    let told = format!("{seen:#?}");
    assert!(!told.contains("False/"), "{told}");
    for (index, condition) in ["Verified", "SPFReady", "DKIMReady", "DMARCReady", "Ready"]
        .iter()
        .enumerate()
    {
        let kept = seen.iter().any(|row| row[index] == "True/Stale");
        assert!(kept, "{condition} was kept for a while: {told}");
    }
    assert!(
        site.message("Verified").contains("does not answer"),
        "{}",
        site.message("Verified")
    );
    assert_eq!(
        site.zone_at_provider(),
        published,
        "nothing is removed for not being seen"
    );

    drop(silences);
    for condition in ["Verified", "DKIMReady", "Ready"] {
        site.wait_for(condition, "True/AsDeclared");
    }
    assert!(!Dig::ask(&site.ns1, &site.zone, "MX").is_empty());
}
