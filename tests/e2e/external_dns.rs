//! Through a real ExternalDNS: the same declaration, the same verdicts; and when a record does not arrive, the object
//! says why.

use crate::harness::{
    Dig, Site, SiteOptions, USUAL, add_zone, apply, eventually, kubectl, put, text_at, world,
};

fn site(name: &str) -> Site {
    with_zones(name, &[])
}

fn with_zones(name: &str, zones: &[&str]) -> Site {
    Site::with(
        name,
        SiteOptions {
            external_dns: true,
            more_zones: zones.iter().map(|zone| (*zone).to_owned()).collect(),
            ..SiteOptions::default()
        },
    )
}

/// The declared rows that are not at their provider, as `name type reason`.
fn unpublished(site: &Site) -> Vec<String> {
    let rows = site.status().records.into_iter();
    rows.filter(|row| row.published != maildomain::api::Truth::True && row.purpose != "Owner")
        .map(|row| {
            format!(
                "{} {} {}",
                row.name,
                row.record_type,
                row.reason.unwrap_or_default()
            )
        })
        .collect()
}

/// Everything on the page that the product grew from, corrected, and what a whole domain needs beside it.
const SEED_PAGE: &str = r#"  hosts:
    - {name: altcraft.ZONE, purpose: Web, addresses: [203.0.113.1]}
    - {name: trk.ZONE, purpose: MessageTracking, addresses: [203.0.113.2]}
    - {name: trk2.ZONE, purpose: MessageTracking, target: trk.ZONE}
    - {name: pxl.ZONE, purpose: SiteTracking, addresses: [203.0.113.3]}
    - {name: mail.ZONE, purpose: Mail, addresses: [203.0.113.77, "2001:db8:77::4"], reverse: Publish}
  receiving: {mx: [{host: mail.ZONE, preference: 10}]}
  senders:
    - name: mta
      hosts: [mail.ZONE]
      egress: [203.0.113.16/29]
      returnPath: {domain: bounce.ZONE, mx: [{host: mail.ZONE, preference: 10}]}
      dkim: {keys: [{name: rsa, generate: {algorithm: RSA}}, {name: ed, generate: {algorithm: Ed25519}}]}
    - name: shop
      spf: {includes: [_spf.VENDOR]}
      dkim: {keys: [{name: k1, delegate: {selector: k1, target: k1.VENDOR}}]}
  dmarc: {policy: Reject, aggregateReports: ["mailto:report@ZONE"]}
  bimi: {logo: "https://ZONE/bimi.svg", certificate: "https://ZONE/vmc.pem"}
  legacyRecords: [SenderID, DomainKeysPolicy]
"#;

const REVERSE: [&str; 2] = ["77.113.0.203.in-addr.arpa", "7.7.0.0.8.b.d.0.1.0.0.2.ip6.arpa"];

/// The vendor's key record.
const VENDOR_KEY: &str = concat!(
    "\"v=DKIM1; k=rsa; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAj5lFDOuKAz3dsKFhKa1LNbT2mZi8xy5qvteaoQSvq5fcCxKGuX47QkaIUWPvggXPP+MRD346UG8Zfa/5mBbCqq9W3KjPV6pAmIRQiXMu57g9K2MgZdAvKOjo+uVOz1N84zK47PspOGsuzgHcCcgWSq9gk8S0eZ9KxO8Puv2iHl6aE2eGDBDIbz7s0b+2\" ",
    "\"+MY0DDqSH2Ejw7getQaQ8oA1bb6fHHGVkJvjEN7St8n/6flkJgo1af+FA0VcVnlefRA2eOl2RhFqcoIM0cvwzAw37zi9NXHI80CLpFHiUbHi9gzRQrcSvQBToy6HP2X4BmrimDxloAE9uxrrZAOry5BtZQIDAQAB\""
);

/// A vendor with an SPF record and a key in a zone of its own.
fn vendor(site: &Site) -> String {
    let zone = format!("{}-vendor.example", site.name);
    add_zone(&zone);
    put(
        &zone,
        &format!("_spf.{zone}"),
        "TXT",
        &["\"v=spf1 ip4:198.51.100.0/24 -all\""],
    );
    put(&zone, &format!("k1.{zone}"), "TXT", &[VENDOR_KEY]);
    zone
}

#[test]
fn the_whole_seed_page() {
    let site = with_zones("edns", &REVERSE);
    for zone in REVERSE {
        // A run before this one may have left it.
        if !Dig::resolver(zone, "SOA").is_empty() {
            world(&["zone", "del", zone]);
        }
        add_zone(zone);
    }
    let vendor = vendor(&site);
    let _external_dns =
        site.external_dns(&["--zone", &site.zone, "--zone", REVERSE[0], "--zone", REVERSE[1]]);
    let _operator = site.operator();
    let manifest = site.manifest(&SEED_PAGE.replace("VENDOR", &vendor));
    apply(&manifest);
    site.wait_for("Ready", "True");
    for condition in ["Published", "Verified", "HostsReady", "DMARCReady", "BIMIReady"] {
        site.wait_for(condition, "True");
    }
    every_record_answers(&site, &vendor);
    damage_is_mended(&site);
    a_change_goes_through(&site, &manifest);
    deletion_takes_only_what_is_ours(&site);
}

fn every_record_answers(site: &Site, vendor: &str) {
    let zone = &site.zone;
    let terms = "ip4:203.0.113.16/29 ip4:203.0.113.77 ip6:2001:db8:77::4 ~all";
    let expected = [
        (format!("altcraft.{zone}"), "A", "203.0.113.1".to_owned()),
        (format!("trk.{zone}"), "A", "203.0.113.2".to_owned()),
        (format!("trk2.{zone}"), "CNAME", format!("trk.{zone}.")),
        (format!("pxl.{zone}"), "A", "203.0.113.3".to_owned()),
        (format!("mail.{zone}"), "A", "203.0.113.77".to_owned()),
        (format!("mail.{zone}"), "AAAA", "2001:db8:77::4".to_owned()),
        (format!("mail.{zone}"), "TXT", "\"v=spf1 a -all\"".to_owned()),
        (zone.clone(), "MX", format!("10 mail.{zone}.")),
        (format!("bounce.{zone}"), "MX", format!("10 mail.{zone}.")),
        (format!("_domainkey.{zone}"), "TXT", "\"o=-\"".to_owned()),
        (format!("k1._domainkey.{zone}"), "CNAME", format!("k1.{vendor}.")),
        (
            format!("_dmarc.{zone}"),
            "TXT",
            format!("\"v=DMARC1; p=reject; rua=mailto:report@{zone}\""),
        ),
        (
            format!("default._bimi.{zone}"),
            "TXT",
            format!("\"v=BIMI1; l=https://{zone}/bimi.svg; a=https://{zone}/vmc.pem\""),
        ),
    ];
    for server in [&site.ns1, &site.ns2] {
        for (name, kind, value) in &expected {
            Dig::until(server, name, kind, &[value.as_str()]);
        }
        let bounce = [format!("\"spf2.0/pra {terms}\""), format!("\"v=spf1 {terms}\"")];
        Dig::until(server, &format!("bounce.{zone}"), "TXT", &bounce);
        let apex = Dig::ask(server, zone, "TXT");
        let include = format!("include:_spf.{vendor} ~all\"");
        assert_eq!(apex.len(), 2, "{apex:?}");
        assert!(
            apex[0].starts_with("\"spf2.0/pra ") && apex[0].ends_with(&include),
            "{apex:?}"
        );
        assert!(
            apex[1].starts_with("\"v=spf1 ") && apex[1].ends_with(&include),
            "{apex:?}"
        );
        for key in site.status().keys.iter().filter(|key| key.sender == "mta") {
            let text = text_at(server, &format!("{}._domainkey.{zone}", key.selector));
            assert!(text.starts_with("v=DKIM1; k="), "{}: {text}", key.key);
        }
    }
    let host = [format!("mail.{zone}.")];
    assert_eq!(Dig::resolver("77.113.0.203.in-addr.arpa", "PTR"), host);
    let six = format!("4{}.{}", ".0".repeat(19), REVERSE[1]);
    assert_eq!(Dig::resolver(&six, "PTR"), host);
}

fn damage_is_mended(site: &Site) {
    let zone = &site.zone;
    site.by_hand(&format!("_dmarc.{zone}"), "TXT", &["\"v=DMARC1; p=none\""]);
    site.by_hand(&format!("mail.{zone}"), "A", &[]);
    eventually(
        "both records are as declared, at both servers",
        || {
            [&site.ns1, &site.ns2].map(|server| {
                let policy = text_at(server, &format!("_dmarc.{zone}"));
                (
                    policy.contains("p=reject"),
                    Dig::ask(server, &format!("mail.{zone}"), "A"),
                )
            })
        },
        |all| all.iter().all(|(strict, a)| *strict && a == &["203.0.113.77"]),
    );
    site.wait_for("Verified", "True");
    site.wait_for("Ready", "True");
}

fn a_change_goes_through(site: &Site, manifest: &str) {
    let zone = &site.zone;
    let alias = format!("    - {{name: trk2.{zone}, purpose: MessageTracking, target: trk.{zone}}}\n");
    assert!(manifest.contains(&alias));
    apply(
        &manifest
            .replace(&alias, "")
            .replace("[203.0.113.1]", "[203.0.113.9, 203.0.113.10]"),
    );
    eventually(
        "the new addresses are there and the alias is gone, at both servers",
        || {
            [&site.ns1, &site.ns2].map(|server| {
                let web = Dig::ask(server, &format!("altcraft.{zone}"), "A");
                (web, Dig::ask(server, &format!("trk2.{zone}"), "CNAME"))
            })
        },
        |all| {
            all.iter()
                .all(|(web, alias)| web == &["203.0.113.10", "203.0.113.9"] && alias.is_empty())
        },
    );
    site.wait_for("Verified", "True");
}

fn deletion_takes_only_what_is_ours(site: &Site) {
    let foreign = format!("www.{}", site.zone);
    site.by_hand(&foreign, "A", &["203.0.113.80"]);
    kubectl(&[
        "-n",
        &site.namespace,
        "delete",
        "maildomain",
        "mail",
        "--timeout=30s",
    ]);
    eventually(
        "the zone holds the foreign record and nothing else",
        || site.zone_at_provider(),
        |zone| *zone == [format!("{foreign} A 203.0.113.80")],
    );
    for name in [
        "77.113.0.203.in-addr.arpa",
        &format!("4{}.{}", ".0".repeat(19), REVERSE[1]),
    ] {
        eventually(
            "the reverse name is gone",
            || Dig::resolver(name, "PTR"),
            Vec::is_empty,
        );
    }
    eventually(
        "neither DNSEndpoint nor ledger is left",
        || {
            kubectl(&[
                "-n",
                &site.system,
                "get",
                "dnsendpoints,recordledgers",
                "-o",
                "name",
            ])
        },
        String::is_empty,
    );
}

#[test]
fn without_external_dns_the_object_says_that_nobody_watches() {
    let site = site("ednsnobody");
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Published", "False/Propagating");
    site.wait_for("Published", "False/NobodyWatches");
    let message = site.message("Published");
    assert!(
        message.contains("no ExternalDNS has read the DNSEndpoint"),
        "{message}"
    );
    assert!(message.contains("--source=crd"), "what to do: {message}");
    assert!(
        site.condition("Ready").starts_with("False/"),
        "objects written are not records seen"
    );

    let _external_dns = site.external_dns(&["--zone", &site.zone]);
    site.wait_for("Published", "True");
    site.wait_for("Ready", "True");
}

#[test]
fn a_foreign_text_at_the_apex_is_kept_and_named_as_the_cause() {
    let site = site("ednsforeign");
    site.by_hand(&site.zone, "TXT", &["\"token=1\""]);
    let _external_dns = site.external_dns(&["--zone", &site.zone]);
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Published", "False/ForeignOwner");
    // ExternalDNS refuses the whole name, for every type.
    let apex = ["MX", "TXT"].map(|kind| format!("{} {kind} ForeignOwner", site.zone));
    eventually(
        "all but the apex is published",
        || unpublished(&site),
        |rows| *rows == apex,
    );
    for server in [&site.ns1, &site.ns2] {
        Dig::until(server, &site.zone, "TXT", &["\"token=1\""]);
        let policy = format!("_dmarc.{}", site.zone);
        eventually(
            "the policy is told",
            || text_at(server, &policy),
            |text| text.starts_with("v=DMARC1"),
        );
    }
    assert!(site.condition("Ready").starts_with("False/"));

    // The person removes it, as the message says; ExternalDNS goes on by itself.
    site.by_hand(&site.zone, "TXT", &[]);
    site.wait_for("Ready", "True");
    site.wait_for("Published", "True");
}

#[test]
fn a_type_that_external_dns_does_not_manage_is_named() {
    let site = site("ednstype");
    let types = ["A", "AAAA", "CNAME", "TXT"].map(|kind| format!("--managed-record-types={kind}"));
    let mut arguments = vec!["--zone", &site.zone, "--"];
    arguments.extend(types.iter().map(String::as_str));
    let external_dns = site.external_dns(&arguments);
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Published", "False/TypeNotManaged");
    let mx = [format!("{} MX TypeNotManaged", site.zone)];
    eventually("only MX is missing", || unpublished(&site), |rows| *rows == mx);
    let message = site.message("Published");
    assert!(
        message.contains("--managed-record-types"),
        "what to do: {message}"
    );

    drop(external_dns);
    let _external_dns = site.external_dns(&["--zone", &site.zone]);
    site.wait_for("Published", "True");
    Dig::until(&site.ns2, &site.zone, "MX", &[format!("10 mail.{}.", site.zone)]);
}

#[test]
fn a_zone_that_external_dns_filters_away_is_named() {
    let site = site("ednsfilter");
    let external_dns = site.external_dns(&["--zone", "elsewhere.example"]);
    let _operator = site.operator();
    apply(&site.manifest(USUAL));
    site.wait_for("Published", "False/ZoneFiltered");
    let message = site.message("Published");
    assert!(message.contains("--domain-filter"), "what to do: {message}");
    assert!(site.zone_at_provider().is_empty());

    drop(external_dns);
    let _external_dns = site.external_dns(&["--zone", &site.zone]);
    site.wait_for("Published", "True");
    site.wait_for("Ready", "True");
}
