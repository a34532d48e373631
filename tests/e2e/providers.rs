//! Providers that are down, refuse, or are not there: said by name, nothing lost, mended without a restart.

use std::time::Duration;

use crate::harness::{
    Dig, Door, Gate, Site, SiteOptions, USUAL, allow_updates, apply, eventually, kubectl, throughout, var,
};

/// Some passes of an operator that looks every four seconds.
const A_WHILE: Duration = Duration::from_secs(10);

/// The reason of a condition and a word of its message.
#[track_caller]
fn says(site: &Site, kind: &str, expected: &str, word: &str) {
    site.wait_for(kind, expected);
    let message = site.message(kind);
    assert!(message.contains(word), "{kind} does not say {word}: {message}");
}

/// Waits for a line of `kubectl get clusterdnsprovider`: Ready, its reason, the reason about credentials, visible zones.
#[track_caller]
fn shows(site: &Site, expected: [&str; 3]) {
    let ask = || kubectl(&["get", "clusterdnsprovider", &site.provider, "--no-headers"]);
    eventually(&format!("the provider's line has {expected:?}"), ask, |line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        words.windows(3).any(|seen| seen == expected)
    });
}

/// What the provider object says of its zones.
fn zones(site: &Site) -> (i64, Vec<String>, Vec<String>) {
    let text = kubectl(&["get", "clusterdnsprovider", &site.provider, "-o", "json"]);
    let object: serde_json::Value = serde_json::from_str(&text).expect("kubectl prints JSON");
    let status = &object["status"];
    let list = |field: &str| -> Vec<String> {
        let list = status[field].as_array().into_iter().flatten();
        list.map(|zone| zone.as_str().unwrap_or_default().to_owned())
            .collect()
    };
    (
        status["zoneCount"].as_i64().unwrap_or(-1),
        list("zones"),
        list("missingZones"),
    )
}

/// Ready, and the records are where receivers look for them.
#[track_caller]
fn becomes_ready(site: &Site) {
    site.wait_for("Ready", "True");
    site.wait_for("Verified", "True/AsDeclared");
    let spf = ["\"v=spf1 ip4:203.0.113.4 ~all\""];
    Dig::until(&site.ns1, &site.zone, "TXT", &spf);
    Dig::until(&site.ns2, &site.zone, "TXT", &spf);
    site.wait_for("Accepted", "True/AsDeclared");
    assert_eq!(
        site.condition("Stalled"),
        "-",
        "nothing is left of the earlier trouble"
    );
}

#[test]
fn a_provider_that_is_down_at_start_loses_nothing() {
    let gate = Gate::new(Door::Closed);
    let options = SiteOptions {
        api: Some(gate.url()),
        ..SiteOptions::default()
    };
    let site = Site::with("down-at-start", options);
    let _operator = site.operator();
    apply(&site.usual());
    says(
        &site,
        "Accepted",
        "Unknown/ProviderUnreachable",
        "does not answer",
    );
    says(
        &site,
        "Published",
        "Unknown/ProviderUnreachable",
        "does not answer",
    );
    site.wait_for("Ready", "False");
    site.wait_for_provider("Unknown/ProviderUnreachable", "does not answer");
    eventually(
        "both keys are made meanwhile",
        || site.key_secrets(),
        |keys| keys.len() == 2,
    );
    let keys = site.key_secrets();
    assert!(site.zone_at_provider().is_empty());
    // It is left alone after a few failures, and says so; the wait is short at the beginning of an outage.
    site.wait_for_provider("Unknown/ProviderUnreachable", "it is not asked until about");
    shows(&site, ["Unknown", "ProviderUnreachable", "Unreachable"]);
    gate.set(Door::Open);
    becomes_ready(&site);
    assert_eq!(
        site.key_secrets(),
        keys,
        "the keys that were made meanwhile are used"
    );
    site.wait_for_provider("True/AsDeclared", "");
}

#[test]
fn a_provider_that_goes_down_later_leaves_the_verdict() {
    let gate = Gate::new(Door::Open);
    let options = SiteOptions {
        api: Some(gate.url()),
        ..SiteOptions::default()
    };
    let site = Site::with("down-later", options);
    let _operator = site.operator();
    apply(&site.usual());
    becomes_ready(&site);
    let published = site.zone_at_provider();
    gate.set(Door::Closed);
    says(&site, "Accepted", "True/Stale", "does not answer");
    says(&site, "Published", "True/Stale", "does not answer");
    throughout(
        "Ready is kept while DNS answers",
        A_WHILE,
        || (site.condition("Ready"), site.condition("Verified")),
        |(ready, verified)| ready.starts_with("True/") && verified.starts_with("True/"),
    );
    assert_eq!(site.zone_at_provider(), published);

    // Damage is seen in DNS; what stands at the provider is not known, so nobody speaks of drift.
    site.by_hand(&site.zone, "TXT", &["\"v=spf1 -all\""]);
    site.wait_for("Verified", "False");
    site.wait_for("SPFReady", "False");
    let rows = site.status().records;
    assert!(
        rows.iter().all(|row| row.reason.as_deref() != Some("Drift")),
        "{rows:#?}"
    );
    gate.set(Door::Open);
    becomes_ready(&site);
    site.wait_for("Published", "True/AsDeclared");
    assert_eq!(site.zone_at_provider(), published);
}

#[test]
fn a_wrong_api_key_is_named_and_a_corrected_one_is_used_without_a_restart() {
    let options = SiteOptions {
        api_key: Some("not-the-key".to_owned()),
        recheck: "10m",
        ..SiteOptions::default()
    };
    let site = Site::with("wrong-key", options);
    let _operator = site.operator();
    apply(&site.usual());
    says(
        &site,
        "Accepted",
        "False/CredentialsRefused",
        "refuses the credentials",
    );
    says(
        &site,
        "Published",
        "Unknown/CredentialsRefused",
        "check the Secret",
    );
    says(&site, "Stalled", "True/CredentialsRefused", "check the Secret");
    site.wait_for_provider("False/CredentialsRefused", "check the Secret");
    shows(&site, ["False", "CredentialsRefused", "Rejected"]);
    assert!(site.zone_at_provider().is_empty());
    site.set_api_key(&var("PDNS_API_KEY"));
    becomes_ready(&site);
    shows(&site, ["True", "AsDeclared", "Accepted"]);
}

#[test]
fn a_key_that_is_rotated_while_nothing_is_due_is_noticed() {
    let options = SiteOptions {
        recheck: "10m",
        more_zones: vec!["not-there.example".to_owned()],
        ..SiteOptions::default()
    };
    let site = Site::with("rotated-key", options);
    let _operator = site.operator();
    apply(&site.usual());
    shows(&site, ["False", "ZoneMissing", "Accepted"]);
    let (count, seen, missing) = zones(&site);
    assert!(count >= 1 && seen.len() <= 50, "{count} {seen:?}");
    assert!(count > 50 || seen.contains(&site.zone), "{seen:?}");
    assert_eq!(missing, ["not-there.example"]);
    site.apply_provider(&SiteOptions::default());
    shows(&site, ["True", "AsDeclared", "Accepted"]);
    assert_eq!(zones(&site).2, [""; 0]);

    site.set_api_key("not-the-key");
    shows(&site, ["False", "CredentialsRefused", "Rejected"]);
    assert_eq!(zones(&site), (-1, Vec::new(), Vec::new()));
    kubectl(&["-n", &site.system, "delete", "secret", "pdns"]);
    shows(&site, ["False", "CredentialsMissing", "SecretMissing"]);
    site.set_api_key(&var("PDNS_API_KEY"));
    shows(&site, ["True", "AsDeclared", "Accepted"]);
}

#[test]
fn a_missing_secret_is_named_with_its_key() {
    let options = SiteOptions {
        recheck: "10m",
        ..SiteOptions::default()
    };
    let site = Site::with("no-secret", options);
    kubectl(&["-n", &site.system, "delete", "secret", "pdns"]);
    let _operator = site.operator();
    apply(&site.usual());
    says(&site, "Accepted", "False/CredentialsMissing", "Secret pdns");
    says(&site, "Accepted", "False/CredentialsMissing", "key api-key");
    says(&site, "Stalled", "True/CredentialsMissing", "Secret pdns");
    site.wait_for_provider("False/CredentialsMissing", "Secret pdns");
    assert!(site.zone_at_provider().is_empty());

    // A Secret without the key that the provider object names is as good as none.
    let other = "--from-literal=token=x";
    kubectl(&["-n", &site.system, "create", "secret", "generic", "pdns", other]);
    throughout(
        "the key is still missing",
        A_WHILE,
        || site.condition("Accepted"),
        |said| said == "False/CredentialsMissing",
    );
    site.set_api_key(&var("PDNS_API_KEY"));
    becomes_ready(&site);
}

#[test]
fn a_zone_that_the_provider_lacks_is_named() {
    let options = SiteOptions {
        zone_exists: false,
        ..SiteOptions::default()
    };
    let mut site = Site::with("no-zone", options);
    let _operator = site.operator();
    apply(&site.usual());
    let zone = format!("the zone {};", site.zone);
    says(&site, "Accepted", "False/ZoneMissing", &zone);
    says(&site, "Stalled", "True/ZoneMissing", &zone);
    site.wait_for_provider("False/ZoneMissing", &zone);
    site.create_zone();
    becomes_ready(&site);
    site.wait_for_provider("True/AsDeclared", "");
}

#[test]
fn a_provider_that_does_not_allow_the_namespace_gets_not_one_record() {
    let options = SiteOptions {
        allowed: false,
        recheck: "10m",
        ..SiteOptions::default()
    };
    let site = Site::with("not-allowed", options);
    let _operator = site.operator();
    apply(&site.usual());
    let denied = format!(
        "the provider {} does not allow this namespace to publish",
        site.provider
    );
    says(&site, "Accepted", "False/NotAllowed", &denied);
    says(&site, "Stalled", "True/NotAllowed", &denied);
    says(&site, "Published", "False/NotAllowed", &denied);
    let rows = site.status().records;
    assert!(
        rows.iter()
            .all(|row| row.reason.as_deref() == Some("NotAllowed") && row.provider.is_none()),
        "{rows:#?}"
    );
    throughout(
        "not one record is written",
        A_WHILE,
        || site.zone_at_provider(),
        Vec::is_empty,
    );

    site.apply_provider(&SiteOptions::default());
    becomes_ready(&site);
    let published = site.zone_at_provider();
    assert_eq!(published.len(), 7, "{published:#?}");

    // Taking the permission away stops the writing and removes nothing.
    site.apply_provider(&SiteOptions {
        allowed: false,
        ..SiteOptions::default()
    });
    says(&site, "Accepted", "False/NotAllowed", &denied);
    let damaged = format!("mail.{}", site.zone);
    site.by_hand(&damaged, "A", &["198.51.100.66"]);
    let damaged_zone = site.zone_at_provider();
    kubectl(&["-n", &site.namespace, "label", "maildomain", "mail", "look=again"]);
    site.wait_for("Verified", "False/NotAllowed");
    throughout(
        "neither mended nor removed",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| *zone == damaged_zone,
    );
}

#[test]
fn a_provider_object_that_does_not_exist_is_named_until_it_does() {
    let options = SiteOptions {
        recheck: "10m",
        ..SiteOptions::default()
    };
    let site = Site::with("no-provider", options);
    site.delete_provider();
    let _operator = site.operator();
    apply(&site.usual());
    let missing = format!("the ClusterDNSProvider {}, which does not exist", site.provider);
    says(&site, "Accepted", "False/ProviderMissing", &missing);
    says(&site, "Ready", "False/ProviderMissing", &missing);
    says(&site, "Stalled", "True/ProviderMissing", &missing);
    assert!(site.zone_at_provider().is_empty());
    site.apply_provider(&SiteOptions::default());
    becomes_ready(&site);
}

#[test]
fn a_provider_object_that_goes_away_takes_no_record_with_it() {
    let site = Site::new("provider-goes");
    let _operator = site.operator();
    apply(&site.manifest_named("mail", &site.namespace, "Delete", USUAL));
    becomes_ready(&site);
    let (published, keys) = (site.zone_at_provider(), site.key_secrets());
    site.delete_provider();
    says(&site, "Accepted", "False/ProviderMissing", &site.provider);
    throughout(
        "not one record goes",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| *zone == published,
    );
    site.apply_provider(&SiteOptions::default());
    becomes_ready(&site);
    assert_eq!(
        (site.zone_at_provider(), site.key_secrets()),
        (published, keys),
        "as before, by the same keys"
    );
}

/// The YAML of a page of docs/providers with this site's names in the place of the page's.
fn page(site: &Site, text: &str, more: &[(&str, String)]) -> String {
    let mut manifest: String = text
        .split("```yaml\n")
        .skip(1)
        .filter_map(|fence| fence.split("```").next())
        .collect::<Vec<_>>()
        .join("---\n");
    let usual = [
        ("maildomain-system", site.system.clone()),
        ("marketing", site.namespace.clone()),
        (
            "metadata: {name: corp}",
            format!("metadata: {{name: {}}}", site.provider),
        ),
        (", 113.0.203.in-addr.arpa]", "]".to_owned()),
    ];
    // The site's own names last: the hosts of servers hold the domain, too.
    let domain = [("corp.example", site.zone.clone())];
    for (place, value) in more.iter().chain(&usual).chain(&domain) {
        // The page of ExternalDNS has no Secret, and so no namespace.
        let needed = *place != "maildomain-system" || !more.is_empty();
        assert!(
            !needed || manifest.contains(place),
            "the page has lost {place}:\n{manifest}"
        );
        manifest = manifest.replace(place, value);
    }
    manifest
}

/// What the page of each provider tells to create, is created and works.
#[test]
fn the_manifests_of_the_pages_work() {
    const KEY: &str = "dGhlIGtleSBvZiB0aGUgcGFnZXMgb2YgdGhlIGRvY3M=";
    let site = Site::with("pages", SiteOptions::default());
    allow_updates(&site.zone, &site.name, KEY);
    site.delete_provider();
    let _operator = site.operator();
    apply(&site.usual());
    let api_key = ("api-key: ...", format!("api-key: {}", var("PDNS_API_KEY")));
    let url = ("https://pdns.corp.example:8081", var("PDNS_API"));
    let server = ("ns1.corp.example:53", format!("{}:53", var("DNS_SERVER")));
    let key_name = ("keyName: maildomain", format!("keyName: {}", site.name));
    let secret = ("c2VjcmV0IGluIGJhc2U2NA==", KEY.to_owned());
    for (text, more, credentials) in [
        (
            include_str!("../../docs/providers/powerdns.md"),
            vec![api_key, url],
            "Accepted",
        ),
        (
            include_str!("../../docs/providers/rfc2136.md"),
            vec![server, key_name, secret],
            "Accepted",
        ),
        (
            include_str!("../../docs/providers/externaldns.md"),
            Vec::new(),
            "NotOurs",
        ),
    ] {
        let manifest = page(&site, text, &more);
        apply(&manifest);
        shows(&site, ["True", "AsDeclared", credentials]);
        // Nobody carries out what is handed to ExternalDNS here; that is for tests/e2e/external_dns.rs.
        if credentials == "Accepted" {
            becomes_ready(&site);
        }
        site.delete_provider();
    }
}
