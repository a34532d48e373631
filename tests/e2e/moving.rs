//! Moving house: a domain leaves one PowerDNS for another, while the world goes on asking the old one for as long as it likes.

use std::time::Duration;

use crate::harness::{Dig, House, Site, apply, eventually, put_all_for, throughout};

/// A site whose domain is ready at the world's PowerDNS, with records of others beside it, and a second home for the zone.
fn settled(name: &str) -> (Site, House, String) {
    let site = Site::new(name);
    let www = format!("www.{}", site.zone);
    put_all_for(
        &site.zone,
        20,
        [
            (site.zone.as_str(), "TXT", vec!["\"verification=1\""]),
            (site.zone.as_str(), "CAA", vec!["0 issue \"ca.example\""]),
            (www.as_str(), "A", vec!["198.51.100.80"]),
        ],
    );
    let house = House::start(&site.zone);
    let provider = format!("{}-new", site.provider);
    site.apply_second_provider(&provider, &house.api());
    (site, house, provider)
}

fn declared(site: &Site) -> String {
    site.usual().replace("ttlSeconds: 60", "ttlSeconds: 30")
}

#[test]
fn copies_stay_until_the_world_asks_elsewhere_and_caches_have_forgotten() {
    let (site, house, provider) = settled("moving");
    let others = site.zone_at_provider();
    let _operator = site.operator();
    apply(&declared(&site));
    site.wait_for("Ready", "True");
    let old = site.zone_at_provider();
    let signature = site.owner_text();

    // Everything stands at both homes; the world asks the old one, and mail goes on.
    site.move_to(&provider);
    site.wait_for("Moving", "True/AwaitingDelegation");
    site.wait_for("Ready", "True");
    let ours: Vec<String> = old
        .iter()
        .filter(|line| !others.contains(line))
        .cloned()
        .collect();
    assert_eq!(house.records().lines(&site.zone), ours);
    assert_eq!(site.zone_at_provider(), old);
    assert_eq!(site.owner_text(), signature);
    assert_ne!(house.records().owner_text(&site.zone), signature);
    let row = site.status().moving.remove(0);
    assert_eq!((&row.provider, &row.zone), (&site.provider, &site.zone));
    assert_eq!(row.to, [provider.as_str()]);
    assert_eq!(row.name_servers, [house.server_name()]);
    assert_eq!(row.delegated_to.len(), 2);
    assert!(row.remove_after.is_none());
    let missing = [
        format!("{} TXT \"verification=1\"", site.zone),
        format!("www.{} A 198.51.100.80", site.zone),
        format!("{} CAA", site.zone),
    ];
    assert_eq!(row.missing, missing);

    // What is declared meanwhile is written at the new home.
    let more = "    - {name: smtp.ZONE, purpose: Mail, addresses: [203.0.113.5]}\n  receiving:";
    let more = declared(&site).replace("  receiving:", &more.replace("ZONE", &site.zone));
    apply(&more.replace(
        &format!("name: {}}}", site.provider),
        &format!("name: {provider}}}"),
    ));
    let smtp = format!("smtp.{}", site.zone);
    Dig::until(house.server(), &smtp, "A", &["203.0.113.5"]);
    assert_eq!(site.zone_at_provider(), old);

    // The world turns to the new servers; caches may still lead to the old ones for a minute.
    house.is_delegated();
    site.wait_for("Moving", "True/AwaitingCaches");
    assert!(site.status().moving[0].remove_after.is_some());
    site.wait_for("Ready", "True");
    throughout(
        "the copies stay while caches may lead to them",
        Duration::from_secs(20),
        || site.zone_at_provider(),
        |zone| *zone == old,
    );
    eventually(
        "the copies are gone",
        || (site.zone_at_provider(), site.owner_text()),
        |(zone, owner)| *zone == others && owner.is_empty(),
    );
    eventually(
        "the move is over",
        || site.condition("Moving"),
        |said| said == "-",
    );
    assert!(site.events().contains("Moved"));
    assert!(site.whole_ledger().leaving.is_empty());
    site.wait_for("Ready", "True");
    assert_eq!(Dig::ask(house.server(), &smtp, "A"), ["203.0.113.5"]);

    site.delete();
    eventually(
        "nothing of ours is left",
        || house.records().lines(&site.zone),
        Vec::is_empty,
    );
}

#[test]
fn who_turns_back_is_at_home_again_and_the_end_clears_both_homes() {
    let (site, house, provider) = settled("movingback");
    let others = site.zone_at_provider();
    let _operator = site.operator();
    apply(&declared(&site));
    site.wait_for("Ready", "True");
    let old = site.zone_at_provider();
    site.move_to(&provider);
    site.wait_for("Moving", "True/AwaitingDelegation");
    let new = house.records().lines(&site.zone);

    // The world never left, so the copies at the new home go as soon as caches allow.
    site.move_to(&site.provider);
    site.wait_for("Moving", "True/AwaitingCaches");
    assert_eq!(site.status().moving[0].provider, provider);
    assert_eq!(site.zone_at_provider(), old);
    assert_eq!(house.records().lines(&site.zone), new);

    site.delete();
    let left = || (site.zone_at_provider(), house.records().lines(&site.zone));
    eventually("both homes are as before", left, |(old, new)| {
        *old == others && new.is_empty()
    });
}

#[test]
fn another_door_to_the_same_zone_is_no_move() {
    let site = Site::new("movingdoor");
    let _operator = site.operator();
    apply(&declared(&site));
    site.wait_for("Ready", "True");
    let before = site.zone_at_provider();
    let door = format!("{}-door", site.provider);
    site.apply_second_provider(&door, &crate::harness::var("PDNS_API"));
    site.move_to(&door);
    let through = || {
        let ledger = site.ledger();
        let mut doors = ledger.entries.into_iter().map(|entry| entry.provider);
        (doors.all(|provider| provider == door), ledger.leaving.len())
    };
    eventually("all goes through the other door", through, |seen| {
        *seen == (true, 0)
    });
    site.wait_for("Ready", "True");
    assert_eq!(site.condition("Moving"), "-");
    assert_eq!(site.zone_at_provider(), before);
}
