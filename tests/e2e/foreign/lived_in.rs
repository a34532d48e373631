//! A zone in which people have lived: mail at a big provider, a dozen tokens, a vendor's selectors, a strict policy.

use super::{A_WHILE, added, at, offered};
use crate::harness::{Site, add_zone, apply, eventually, put, throughout};

/// The zone BIG of the provider.
const BIG_PROVIDER: &str = r#"mx1.BIG A 198.51.100.11
mx2.BIG A 198.51.100.12
_spf.BIG TXT "v=spf1 include:_net.BIG ~all"
_net.BIG TXT "v=spf1 ip4:198.51.100.0/25 ~all"
spf.crm.BIG TXT "v=spf1 ip4:198.51.100.128/26 ~all"
s1.dkim.BIG TXT "v=DKIM1; p="
"#;

/// The zone of the site.
const LIVED_IN: &str = r#"ZONE TXT "vendor1-site-verification=1aB-_/+=;\"1\""
ZONE TXT "vendor2-site-verification=2aB-_/+=;\"2\""
ZONE TXT "vendor3-site-verification=3aB-_/+=;\"3\""
ZONE TXT "vendor4-site-verification=4aB-_/+=;\"4\""
ZONE TXT "vendor5-site-verification=5aB-_/+=;\"5\""
ZONE TXT "vendor6-site-verification=6aB-_/+=;\"6\""
ZONE TXT "vendor7-site-verification=7aB-_/+=;\"7\""
ZONE TXT "vendor8-site-verification=8aB-_/+=;\"8\""
ZONE TXT "vendor9-site-verification=9aB-_/+=;\"9\""
ZONE TXT "vendor10-site-verification=10aB-_/+=;\"10\""
ZONE TXT "vendor11-site-verification=11aB-_/+=;\"11\""
ZONE TXT "vendor12-site-verification=12aB-_/+=;\"12\""
ZONE TXT "v=spf1 include:_spf.BIG include:spf.crm.BIG ip4:198.51.100.200 ~all"
ZONE MX 1 mx1.BIG.
ZONE MX 5 mx2.BIG.
ZONE A 198.51.100.80
ZONE CAA 0 issue "letsencrypt.org"
ZONE CAA 0 iodef "mailto:sec@x.example"
_dmarc.ZONE TXT "v=DMARC1; p=reject; sp=reject; rua=mailto:dmarc@ZONE; fo=1"
google._domainkey.ZONE TXT "v=DKIM1; k=rsa; p="
s1._domainkey.ZONE CNAME s1.dkim.BIG.
*.ZONE A 198.51.100.99
*.ZONE MX 10 mx1.BIG.
www.ZONE CNAME ZONE.
_sip._tls.ZONE SRV 100 1 443 sip.BIG.
_mta-sts.ZONE TXT "v=STSv1; id=20260101"
_acme-challenge.ZONE TXT "one"
_acme-challenge.ZONE TXT "two"
"#;

/// What is declared over it: a host, a provider beside it, a policy that refuses.
const DECLARED: &str = r#"  hosts:
    - {name: mta.ZONE, purpose: Mail, addresses: [203.0.113.4], reverse: Check}
  senders:
    - name: mta
      hosts: [mta.ZONE]
      dkim: {keys: [{name: rsa, generate: {algorithm: RSA}}, {name: ed, generate: {algorithm: Ed25519}}]}
    - {name: workspace, spf: {includes: [_spf.BIG]}}
  dmarc: {policy: Reject, aggregateReports: ["mailto:report@ZONE"]}
"#;

#[test]
fn a_lived_in_zone_keeps_everything_and_asks_one_question_a_name() {
    let site = Site::new("lived-in");
    let big = format!("big-{}", site.zone);
    add_zone(&big);
    people_live_in(&site, &big);
    let before = site.zone_at_provider();
    let _operator = site.operator();
    apply(&site.manifest(&DECLARED.replace("BIG", &big)));
    site.wait_for("Published", "False/Conflict");
    site.wait_for("KeysReady", "True");
    let ours = added(&before, &site.zone_at_provider());
    the_host_and_two_keys_are_out(&site, &ours);
    let offers = two_questions_are_asked(&site, &big);
    throughout(
        "nothing foreign changes",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| added(&before, zone) == ours,
    );

    the_person_decides(&site, &before, &offers);
    the_reverse_name_is_said(&site);
    let decided: Vec<String> = site
        .zone_at_provider()
        .into_iter()
        .filter(|line| !ours.contains(line))
        .collect();
    site.delete();
    eventually(
        "only what is theirs is left",
        || site.zone_at_provider(),
        |zone| *zone == decided,
    );
}

/// Name, type and contents of an RRset.
type RrSet = (String, String, Vec<String>);

/// Reads records, one a line; lines of one name and type that follow each other are one set.
fn record_sets(records: &str) -> Vec<RrSet> {
    let mut sets: Vec<RrSet> = Vec::new();
    for line in records.lines() {
        let fields: Vec<&str> = line.splitn(3, ' ').collect();
        let [name, kind, content] = fields[..] else {
            panic!("not a record: {line}");
        };
        match sets.last_mut() {
            Some(last) if last.0 == name && last.1 == kind => last.2.push(content.to_owned()),
            _ => sets.push((name.to_owned(), kind.to_owned(), vec![content.to_owned()])),
        }
    }
    sets
}

/// Fills the zone of the big provider and the site's own.
fn people_live_in(site: &Site, big: &str) {
    for (name, kind, contents) in record_sets(&BIG_PROVIDER.replace("BIG", big)) {
        let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
        put(big, &name, &kind, &contents);
    }
    let records = LIVED_IN.replace("ZONE", &site.zone).replace("BIG", big);
    for (name, kind, contents) in record_sets(&records) {
        let contents: Vec<&str> = contents.iter().map(String::as_str).collect();
        site.by_hand(&name, &kind, &contents);
    }
}

fn the_host_and_two_keys_are_out(site: &Site, ours: &[String]) {
    let names: Vec<&str> = ours
        .iter()
        .filter_map(|line| line.split(" TXT \"v=DKIM1").next())
        .collect();
    assert_eq!(ours.len(), 4, "{ours:#?}");
    for line in [
        format!("mta.{} A 203.0.113.4", site.zone),
        format!("mta.{} TXT \"v=spf1 a -all\"", site.zone),
    ] {
        assert!(ours.contains(&line), "{ours:#?}");
    }
    assert_eq!(
        names.iter().filter(|name| name.contains("._domainkey.")).count(),
        2,
        "{ours:#?}"
    );
}

/// What the two questions offer to paste.
struct Offers {
    policy: String,
    spf: String,
}

fn two_questions_are_asked(site: &Site, big: &str) -> Offers {
    let zone = &site.zone;
    let conflicts = site.conflicts();
    let [(at_spf, spf_message), (at_policy, policy_message)] = conflicts.as_slice() else {
        panic!("not two questions: {conflicts:#?}")
    };
    assert_eq!(
        (at_policy, at_spf),
        (&format!("_dmarc.{zone} TXT"), &format!("{zone} TXT"))
    );
    let policy = format!("\"v=DMARC1; p=reject; rua=mailto:report@{zone}\"");
    assert_eq!(offered(policy_message), policy, "a strict policy is not lowered");
    let spf = format!(
        "\"v=spf1 include:_spf.{big} include:spf.crm.{big} ip4:198.51.100.200 ip4:203.0.113.4 ~all\""
    );
    assert_eq!(offered(spf_message), spf);
    Offers { policy, spf }
}

/// The person pastes both lines, and the domain is ready.
fn the_person_decides(site: &Site, before: &[String], offers: &Offers) {
    let mut texts = at(before, &site.zone, "TXT");
    texts.retain(|text| !text.starts_with("\"v=spf1"));
    texts.push(offers.spf.clone());
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    site.by_hand(&site.zone, "TXT", &texts);
    site.by_hand(&format!("_dmarc.{}", site.zone), "TXT", &[&offers.policy]);
    site.wait_for("Published", "True/AsDeclared");
    site.wait_for("Verified", "True/AsDeclared");
    site.wait_for("Ready", "True");
}

fn the_reverse_name_is_said(site: &Site) {
    let reverse = site
        .status()
        .findings
        .into_iter()
        .find(|f| f.id == "ptr-forward-confirmed");
    assert!(
        reverse.is_some_and(|f| f.message.contains(&format!("PTR mta.{}.", site.zone))),
        "what only the owner of the address can do is said, and holds nothing back"
    );
}
