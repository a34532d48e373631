//! Two operators and one domain: whoever did not write the owner text writes nothing, until a person says so.

use std::time::Duration;

use serde_json::json;

use crate::harness::{Dig, Site, SiteOptions, USUAL, allow_updates, apply, eventually, kubectl, throughout};

/// Some passes of an operator that looks every four seconds.
const A_WHILE: Duration = Duration::from_secs(10);
const FOREIGN: &str = "v=maildomain1; cluster=0f0f0f0f-0000-4000-8000-000000000002; uid=99999999-2222-3333-4444-555555555555; epoch=41";

/// The serial says whether anybody wrote.
#[track_caller]
fn stands_still(site: &Site) {
    let serial = || Dig::ask(&site.ns1, &site.zone, "SOA");
    let before = serial();
    throughout("nobody writes to the zone", A_WHILE, serial, |now| *now == before);
}

#[test]
fn a_domain_of_another_cluster_is_left_alone_until_a_person_gives_it_over() {
    let options = SiteOptions {
        // The annotation alone must bring the next pass.
        recheck: "10m",
        ..SiteOptions::default()
    };
    let site = Site::with("owner-foreign", options);
    let name = format!("_maildomain.{}", site.zone);
    site.by_hand(&name, "TXT", &[&format!("\"{FOREIGN}\"")]);
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Accepted", "False/OwnedElsewhere");
    site.wait_for("Published", "False/OwnedElsewhere");
    site.wait_for("Ready", "False/OwnedElsewhere");
    let message = site.message("Accepted");
    for word in [FOREIGN, "another cluster", "maildomain.dev/take-over: \"41\""] {
        assert!(message.contains(word), "{word} is not in {message}");
    }
    stands_still(&site);
    assert!(site.zone_at_provider().is_empty());
    assert_eq!(site.owner_text(), FOREIGN);
    assert!(site.whole_ledger().entries.is_empty());

    site.give_over("mail", "40");
    site.wait_for("Accepted", "False/OwnedElsewhere");
    assert_eq!(site.owner_text(), FOREIGN);
    site.give_over("mail", "41");
    site.wait_for("Published", "True/AsDeclared");
    site.wait_for("Ready", "True");
    let uid = site.domain().metadata.uid.unwrap_or_default();
    assert!(
        site.owner_text().contains(&format!("; uid={uid}; ")),
        "{}",
        site.owner_text()
    );
    assert_eq!(site.zone_at_provider().len(), 7);
    eventually(
        "it is told",
        || site.events(),
        |events| events.contains("TakenOver"),
    );
}

#[test]
fn a_restored_memory_does_not_fight_the_living_zone() {
    const KEY: &str = "aW50ZXJuZXQgbWFpbCBvZiB5b3VyIG93biBkb21haW4=";
    let options = SiteOptions {
        dns_update: true,
        ..SiteOptions::default()
    };
    let site = Site::with("owner-restored", options);
    allow_updates(&site.zone, &site.name, KEY);
    site.set_update_key(KEY);
    let operator = site.operator();
    apply(&site.usual());
    site.wait_for("Ready", "True");
    site.wait_for("Verified", "True");
    let old = site.whole_ledger();
    let first = site.owner_text();

    // Life goes on, in what is now the other copy.
    apply(&site.manifest(&USUAL.replace("203.0.113.4", "203.0.113.5")));
    site.wait_for("Published", "True/AsDeclared");
    site.wait_for("Verified", "True");
    let living = (site.owner_text(), site.zone_at_provider());
    assert_ne!(living.0, first, "every write raises the epoch");
    operator.kill();

    let patch = json!([{"op": "replace", "path": "/spec", "value": old}]).to_string();
    kubectl(&[
        "-n",
        &site.system,
        "patch",
        "recordledger",
        &site.zone,
        "--type=json",
        "-p",
        &patch,
    ]);
    apply(&site.manifest(&USUAL.replace("203.0.113.4", "203.0.113.6")));
    let _restored = site.operator();
    site.wait_for("Accepted", "False/OwnedElsewhere");
    assert!(
        site.message("Accepted").contains("restored or cloned"),
        "{}",
        site.message("Accepted")
    );
    stands_still(&site);
    assert_eq!((site.owner_text(), site.zone_at_provider()), living);

    // Neither does its end take anything away.
    site.delete();
    stands_still(&site);
    assert_eq!((site.owner_text(), site.zone_at_provider()), living);
}
