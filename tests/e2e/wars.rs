//! Another hand that does not give up, and removals that nobody decided.

use std::time::Duration;

use crate::harness::{Site, apply, eventually, throughout};

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
