//! Through DNS UPDATE (RFC 2136) to PowerDNS: the same road as through its API. What the protocol itself promises is in
//! the contract suite.

use crate::harness::{Dig, Site, SiteOptions, allow_updates, apply, eventually};

const KEY: &str = "aW50ZXJuZXQgbWFpbCBvZiB5b3VyIG93biBkb21haW4=";

fn site(name: &str) -> Site {
    let site = Site::with(
        name,
        SiteOptions {
            dns_update: true,
            ..SiteOptions::default()
        },
    );
    allow_updates(&site.zone, &site.name, KEY);
    site
}

#[test]
fn a_domain_becomes_ready_is_mended_and_goes_again() {
    let site = site("dnsupdate");
    site.set_update_key(KEY);
    site.by_hand(&site.zone, "TXT", &["\"verification=1\"", "\"verification=2\""]);
    let before = site.zone_at_provider();
    let _operator = site.operator();
    apply(&site.usual());
    for condition in ["Ready", "Verified", "Published"] {
        site.wait_for(condition, "True");
    }
    site.wait_for_provider("True/AsDeclared", "answers");
    assert_eq!(site.zone_at_provider().len(), before.len() + 7);

    let name = format!("mail.{}", site.zone);
    site.by_hand(&name, "A", &["192.0.2.66"]);
    let at_both = || [&site.ns1, &site.ns2].map(|server| Dig::ask(server, &name, "A"));
    eventually("it is mended", at_both, |all| {
        all.iter().all(|a| a == &["203.0.113.4"])
    });
    site.wait_for("Verified", "True");

    site.delete();
    eventually(
        "the zone is as before",
        || site.zone_at_provider(),
        |zone| *zone == before,
    );
}

#[test]
fn a_wrong_key_is_named_and_a_corrected_one_is_used_without_a_restart() {
    let site = site("dnsupdatekey");
    site.set_update_key("d3Jvbmc=");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Accepted", "False/CredentialsRefused");
    site.wait_for_provider("False/CredentialsRefused", "the Secret");
    assert!(site.zone_at_provider().is_empty());
    assert!(!site.message("Accepted").contains("d3Jvbmc"));
    site.set_update_key(KEY);
    site.wait_for("Ready", "True");
    site.wait_for_provider("True/AsDeclared", "answers");
}
