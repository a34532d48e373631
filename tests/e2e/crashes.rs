//! The operator dies at any moment, and what it stores is deleted by hand: nothing is doubled, nothing is lost, and no
//! key is signed with that the world does not see.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::harness::{OUTPUT, Site, SiteOptions, USUAL, apply, eventually, kubectl, text_at, world};
use maildomain::key::PrivateKey;

/// Numbers that look like chance and are the same in every run with the same `MAILDOMAIN_E2E_SEED`.
struct Dice(u64);

impl Dice {
    fn new(test: u64) -> Self {
        let seed = std::env::var("MAILDOMAIN_E2E_SEED")
            .ok()
            .and_then(|text| text.parse().ok());
        let seed: u64 = seed.unwrap_or(20_261_123);
        eprintln!("MAILDOMAIN_E2E_SEED={seed}");
        Self((seed ^ test.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// From `low` to `high` milliseconds.
    fn moment(&mut self, low: u64, high: u64) -> Duration {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        Duration::from_millis(low + self.0 % (high - low))
    }
}

/// Without a lease a new life works from its first moment, so that a short one can do harm.
fn mortal(name: &str) -> Site {
    Site::with(
        name,
        SiteOptions {
            leader_election: false,
            ..SiteOptions::default()
        },
    )
}

/// A life of the operator that SIGKILL ends after this time, wherever it is then.
fn short_life(site: &Site, time: Duration) {
    let operator = site.operator();
    // Not for something to happen: the moment of death is what the test chooses.
    std::thread::sleep(time);
    operator.kill();
    let secrets = site.public_halves();
    for (selector, text) in published_keys(site) {
        assert_eq!(
            secrets.get(&selector),
            Some(&text),
            "a Secret holds what DNS shows, after {time:?}"
        );
    }
}

/// What the zone says under `_domainkey`, by selector.
fn published_keys(site: &Site) -> BTreeMap<String, String> {
    let marker = format!("._domainkey.{} TXT ", site.zone);
    let zone = site.zone_at_provider();
    let keys = zone.iter().filter_map(|line| line.split_once(&marker));
    keys.map(|(selector, text)| (selector.to_owned(), text.trim_matches('"').replace("\" \"", "")))
        .collect()
}

/// The ledger's entries as lines of the zone.
fn remembered(site: &Site) -> Vec<String> {
    let entries = site.ledger().entries;
    assert!(
        entries.iter().all(|e| e.settled && e.withdraw_after.is_none()),
        "{entries:#?}"
    );
    let mut lines: Vec<String> = entries
        .iter()
        .flat_map(|e| {
            e.values
                .iter()
                .map(move |value| format!("{} {} {value}", e.name, e.record_type))
        })
        .collect();
    lines.sort();
    lines
}

/// Waits until the declaration is fulfilled, and checks that it is so exactly: each key once, each record once, and the
/// ledger says the same as the zone.
#[track_caller]
fn assert_whole(site: &Site, records: usize, keys: &[&str]) {
    site.wait_for("Ready", "True");
    site.wait_for("Verified", "True");
    let zone = eventually(
        "the zone holds just what is declared",
        || site.zone_at_provider(),
        |zone| zone.len() == records,
    );
    eventually(
        "the ledger says the same",
        || remembered(site),
        |lines| *lines == zone,
    );
    let status = site.status();
    let declared: Vec<String> = status.keys.iter().map(|k| k.key.clone()).collect();
    assert_eq!(declared, keys);
    let secrets = site.public_halves();
    let published = published_keys(site);
    let selectors: BTreeSet<&String> = status.keys.iter().map(|k| &k.selector).collect();
    assert_eq!(
        published.keys().collect::<BTreeSet<_>>(),
        selectors,
        "one record for each key"
    );
    for (selector, text) in &published {
        assert_eq!(secrets.get(selector), Some(text));
    }
    for (id, life) in site.ledger().keys {
        assert!(
            life.proven.is_some() && life.used_selectors.is_empty() && life.counter == 0,
            "{id}: {life:?}"
        );
    }
}

#[test]
fn killed_at_any_moment_of_the_first_publication() {
    let site = mortal("crashfirst");
    let mut dice = Dice::new(1);
    apply(&site.usual());
    for _ in 0..12 {
        short_life(&site, dice.moment(10, 2500));
    }
    let _operator = site.operator();
    assert_whole(&site, 7, &["rsa", "ed"]);
    assert_eq!(site.public_halves().len(), 2, "no key was made twice");
}

#[test]
fn killed_at_any_moment_of_a_change() {
    let site = mortal("crashchange");
    let mut dice = Dice::new(2);
    let other = USUAL
        .replace("203.0.113.4", "203.0.113.5")
        .replace(
            "keys: [",
            "keys: [{name: spare, generate: {algorithm: Ed25519}}, ",
        )
        .replace("policy: None", "policy: None, subdomainPolicy: Reject");
    {
        let _operator = site.operator();
        apply(&site.usual());
        site.wait_for("Ready", "True");
    }
    for round in 0..10 {
        apply(&site.manifest(if round % 2 == 0 { &other } else { USUAL }));
        short_life(&site, dice.moment(10, 2500));
    }
    let _operator = site.operator();
    apply(&site.manifest(&other));
    assert_whole(&site, 8, &["spare", "rsa", "ed"]);
    apply(&site.usual());
    // The spare key's record drains; its Secret stays.
    site.wait_for("Ready", "True");
    eventually(
        "the old key has drained",
        || site.zone_at_provider(),
        |zone| zone.len() == 7,
    );
    assert_eq!(
        site.public_halves().len(),
        3,
        "no key was made twice, and none is deleted"
    );
}

#[test]
fn killed_at_any_moment_of_the_deletion() {
    let site = mortal("crashdelete");
    let mut dice = Dice::new(3);
    site.by_hand(&site.zone, "TXT", &["\"token=1\""]);
    let before = site.zone_at_provider();
    {
        let _operator = site.operator();
        apply(&site.usual());
        site.wait_for("Ready", "True");
    }
    kubectl(&[
        "-n",
        &site.namespace,
        "delete",
        "maildomain",
        "mail",
        "--wait=false",
    ]);
    for _ in 0..8 {
        short_life(&site, dice.moment(10, 1500));
    }
    let _operator = site.operator();
    eventually(
        "the zone is as before",
        || site.zone_at_provider(),
        |zone| *zone == before,
    );
    let left = ["maildomains", "recordledgers"].map(|kind| (kind, &site.namespace, &site.system));
    for (kind, tenant, system) in left {
        for namespace in [tenant, system] {
            let ask = || kubectl(&["-n", namespace, "get", kind, "-o", "name"]);
            eventually("neither object nor ledger is left", ask, String::is_empty);
        }
    }
    let claim = || {
        kubectl(&[
            "get",
            "maildomainclaim",
            &site.zone,
            "--ignore-not-found",
            "-o",
            "name",
        ])
    };
    eventually("the claim is given up", claim, String::is_empty);
}

/// A MailDomain and a DKIMSigner, both done.
fn signing(name: &str) -> Site {
    let site = mortal(name);
    site.apply_signer();
    apply(&site.usual());
    site
}

/// Waits until the output holds so many keys, checking at every look that it holds none that is not proven and always
/// the one named `kept`, if any.
#[track_caller]
fn await_output(
    site: &Site,
    what: &str,
    kept: Option<&str>,
    done: impl Fn(&[String]) -> bool,
) -> Vec<String> {
    let ask = || {
        let selectors = site.signing_selectors();
        if let Some(kept) = kept {
            assert!(
                selectors.iter().any(|s| s == kept),
                "{what}: {kept} is gone; {selectors:?}"
            );
        }
        selectors
    };
    eventually(what, ask, |selectors| done(selectors))
}

fn selector_of(site: &Site, key: &str) -> String {
    let keys = site.status().keys.into_iter();
    keys.filter(|k| k.key == key).map(|k| k.selector).collect()
}

#[test]
fn the_output_deleted_by_hand_comes_back_with_the_same_keys() {
    let site = signing("lostoutput");
    let _operator = site.operator();
    await_output(&site, "both keys are in the output", None, |s| s.len() == 2);
    site.wait_for("Ready", "True");
    let before = site.secret(OUTPUT);
    kubectl(&["-n", &site.namespace, "delete", "secret", OUTPUT]);
    eventually("the output is back", || site.secret(OUTPUT), Option::is_some);
    assert_eq!(site.secret(OUTPUT), before);
    site.wait_for("Ready", "True");
}

#[test]
fn the_ledger_deleted_by_hand_is_written_anew() {
    let site = signing("lostledger");
    let _operator = site.operator();
    await_output(&site, "both keys are in the output", None, |s| s.len() == 2);
    site.wait_for("Ready", "True");
    let (zone, secrets, ledger) = (site.zone_at_provider(), site.public_halves(), site.ledger());
    let version = || {
        let path = "jsonpath={.metadata.resourceVersion}";
        kubectl(&["-n", &site.namespace, "get", "secret", OUTPUT, "-o", path])
    };
    let output = version();

    // Several times: whether MailDomain or DKIMSigner is looked at first is a matter of chance.
    for _ in 0..4 {
        kubectl(&["-n", &site.system, "delete", "recordledger", &site.zone]);
        let there = || kubectl(&["-n", &site.system, "get", "recordledgers", "-o", "name"]);
        eventually("there is a ledger again", there, |name| !name.is_empty());
        eventually(
            "it says the same",
            || (site.ledger().entries, site.ledger().keys),
            |(entries, keys)| *entries == ledger.entries && *keys == ledger.keys,
        );
        assert_eq!(version(), output, "what the MTA signs with was never touched");
    }
    site.wait_for("Ready", "True");
    assert_eq!(
        (site.zone_at_provider(), site.public_halves()),
        (zone, secrets),
        "nothing new"
    );

    kubectl(&[
        "-n",
        &site.namespace,
        "delete",
        "maildomain",
        "mail",
        "--timeout=30s",
    ]);
    eventually(
        "its records are known as ours",
        || site.zone_at_provider(),
        Vec::is_empty,
    );
}

#[test]
fn a_key_secret_deleted_by_hand_leads_to_a_new_selector() {
    let site = signing("lostkey");
    let _operator = site.operator();
    await_output(&site, "both keys are in the output", None, |s| s.len() == 2);
    site.wait_for("Ready", "True");
    let (lost, kept) = (selector_of(&site, "rsa"), selector_of(&site, "ed"));
    another_key_follows(&site, &lost, &kept, || {
        kubectl(&["-n", &site.namespace, "delete", "secret", &format!("mail-{lost}")]);
    });
    assert!(
        site.secret(&format!("mail-{lost}")).is_none(),
        "another key under the old name would be a lie"
    );
}

#[test]
fn a_key_secret_replaced_by_a_foreign_one_leads_to_a_new_selector() {
    let site = signing("foreignkey");
    let _operator = site.operator();
    await_output(&site, "both keys are in the output", None, |s| s.len() == 2);
    site.wait_for("Ready", "True");
    let (lost, kept) = (selector_of(&site, "ed"), selector_of(&site, "rsa"));
    let name = format!("mail-{lost}");
    let foreign = pem();
    // With our own label and annotation: whoever restores a wrong backup writes those, too.
    another_key_follows(&site, &lost, &kept, || {
        kubectl(&["-n", &site.namespace, "delete", "secret", &name]);
        apply(&secret(&site, &name, &lost, &foreign));
    });
    assert_eq!(
        site.secret(&name).map(|files| files["private.pem"].clone()),
        Some(foreign),
        "it is not ours to change"
    );
}

/// The second name server stays behind meanwhile: until it has the new key, nobody may sign with that.
#[track_caller]
fn another_key_follows(site: &Site, lost: &str, kept: &str, damage: impl FnOnce()) {
    let old_name = format!("{lost}._domainkey.{}", site.zone);
    world(&["dns", "freeze", &site.zone]);
    damage();
    let is_new = |selector: &String| selector != lost && selector != kept;
    let new_key = || {
        let published = published_keys(site).into_keys().find(is_new);
        (published, site.signing_selectors(), site.passes())
    };
    let (_, _, passes) = eventually("the new key is published", new_key, |(new, _, _)| new.is_some());
    eventually("the operator looks again", new_key, |(_, signing, now)| {
        // The output has its own copy of the lost key, and DNS its record: mail stays signed.
        assert!(
            [kept, lost]
                .iter()
                .all(|key| signing.contains(&(*key).to_owned()))
                && !signing.iter().any(is_new),
            "{signing:?}"
        );
        *now > passes + 3
    });
    world(&["dns", "thaw", &site.zone]);
    let selectors = await_output(site, "another key is in the output", Some(kept), |s| {
        assert_eq!(
            s.len(),
            2,
            "one key takes the place of the other in a single write"
        );
        !s.iter().any(|selector| selector == lost)
    });
    site.wait_for("Ready", "True");
    let now: Vec<String> = site.status().keys.into_iter().map(|k| k.selector).collect();
    assert_eq!(BTreeSet::from_iter(&now), BTreeSet::from_iter(&selectors));
    eventually(
        "the old record drains",
        || text_at(&site.ns2, &old_name),
        String::is_empty,
    );
    assert_eq!(published_keys(site).len(), 2);
    let events = site.events();
    let said = events
        .lines()
        .find(|line| line.starts_with("KeyReplaced") && line.contains(lost));
    assert!(said.is_some(), "{events}");
}

#[test]
fn a_key_that_comes_back_and_an_imported_one_that_changes_are_proven_again() {
    let site = mortal("reproven");
    let _operator = site.operator();
    site.apply_signer();
    let keys = "{name: old, import: {selector: legacy, secretRef: {name: mine, key: private.pem}}}";
    let with = |keys: &str| site.manifest(&USUAL.replace("{name: ed, generate: {algorithm: Ed25519}}", keys));
    apply(&secret(&site, "mine", "none", &pem()));
    apply(&with(keys));
    await_output(&site, "the imported key is in the output", None, |s| {
        s.contains(&"legacy".to_owned())
    });
    site.wait_for("Ready", "True");
    let output = site.secret(OUTPUT);
    let asked = site.requests().len();

    apply(&secret(&site, "mine", "none", &pem()));
    eventually(
        "the other key is in the output, and was proven before",
        || {
            site.signing_selectors();
            site.secret(OUTPUT)
        },
        |now| {
            *now != output
                && now
                    .as_ref()
                    .is_some_and(|files| files["keys.json"].contains("legacy"))
        },
    );
    let requests = site.requests().split_off(asked);
    let mut order = requests.iter().filter(|r| r.writes()).map(|r| {
        let object = if r.name == OUTPUT { OUTPUT } else { &r.resource };
        object.to_owned()
    });
    let first = order.find(|object| object == OUTPUT || object == "maildomains/status");
    assert_eq!(
        first.as_deref(),
        Some(OUTPUT),
        "the old half left the output before anything was published or said: {requests:#?}"
    );

    apply(&with("").replace(", ]", "]"));
    await_output(&site, "the key is out", None, |s| s.len() == 1);
    eventually(
        "its record is gone",
        || published_keys(&site).len(),
        |count| *count == 1,
    );
    apply(&with(keys));
    await_output(&site, "the key is back, and was proven before", None, |s| {
        s.len() == 2
    });
    site.wait_for("Ready", "True");
}

fn pem() -> String {
    let algorithm = maildomain::api::KeyAlgorithm::Ed25519;
    let key = PrivateKey::generate(algorithm, 0, &mut rand::rng()).expect("a key can be made");
    key.pem().to_owned()
}

/// A Secret that looks like a key Secret of the operator.
fn secret(site: &Site, name: &str, selector: &str, pem: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: {name}\n  namespace: {}\n  \
         labels: {{app.kubernetes.io/managed-by: maildomain}}\n  annotations: {{maildomain.dev/selector: {selector}}}\n\
         stringData:\n  private.pem: |\n    {}\n",
        site.namespace,
        pem.trim().replace('\n', "\n    ")
    )
}
