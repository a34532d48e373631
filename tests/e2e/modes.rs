//! How much is written: Manual, Observe, suspend, and what becomes of records that stood there before.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::harness::{Site, USUAL, apply, eventually, kubectl, throughout};

/// Some passes of an operator that looks every four seconds.
const A_WHILE: Duration = Duration::from_secs(10);

/// The usual declaration with other publishing settings, which take the place of `{...}` behind `publishing`.
fn declared(site: &Site, publishing: &str) -> String {
    with_head(site, &format!("publishing: {{{publishing}}}"))
}

fn with_head(site: &Site, head: &str) -> String {
    let usual = USUAL.replace("ZONE", &site.zone);
    format!(
        "apiVersion: maildomain.dev/v1alpha1\nkind: MailDomain\n\
         metadata: {{name: mail, namespace: {}, labels: {{mta: main}}}}\nspec:\n  domain: {}\n  {head}\n{usual}",
        site.namespace, site.zone
    )
}

/// Settings that publish through the site's provider and remove at the end.
fn publishing(site: &Site, more: &str) -> String {
    format!(
        "providerRefs: [{{kind: ClusterDNSProvider, name: {}}}], ttlSeconds: 60, deletionPolicy: Delete, {more}",
        site.provider
    )
}

/// The zone as `status.records` asks for it, by RRset: the data of each line to paste.
fn asked_for(site: &Site) -> BTreeMap<(String, String), Vec<String>> {
    let mut asked: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for row in site.status().records {
        for line in row.paste.iter().flat_map(|paste| paste.lines()) {
            let [owner, _ttl, _class, kind, data] = line.splitn(5, ' ').collect::<Vec<_>>()[..] else {
                panic!("not a line of a zone file: {line}");
            };
            let owner = owner.trim_end_matches('.').to_owned();
            asked
                .entry((owner, kind.to_owned()))
                .or_default()
                .push(data.to_owned());
        }
    }
    asked
}

/// Does what a person does who reads the status.
fn paste_everything(site: &Site) -> usize {
    let asked = asked_for(site);
    for ((owner, kind), data) in &asked {
        let data: Vec<&str> = data.iter().map(String::as_str).collect();
        site.by_hand(owner, kind, &data);
    }
    asked.len()
}

/// Everything in the cluster that this domain could leave behind.
fn traces(site: &Site) -> Vec<String> {
    let list = |arguments: &[&str]| {
        let said = kubectl(arguments);
        said.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let mut traces = list(&["-n", &site.namespace, "get", "secrets", "-o", "name"]);
    traces.extend(list(&["-n", &site.system, "get", "recordledgers", "-o", "name"]));
    let claim = [
        "get",
        "maildomainclaims",
        &site.zone,
        "--ignore-not-found",
        "-o",
        "name",
    ];
    traces.extend(list(&claim));
    traces
}

#[test]
fn a_manual_domain_becomes_ready_when_the_records_are_pasted() {
    let site = Site::new("mode-manual");
    site.by_hand(&site.zone, "TXT", &["\"token=1\""]);
    let before = site.zone_at_provider();
    let _operator = site.operator();
    apply(&declared(&site, "mode: Manual"));
    site.wait_for("Published", "False/ByHand");
    eventually("the keys are made", || site.key_secrets(), |keys| keys.len() == 2);
    eventually(
        "every record is asked for",
        || asked_for(&site).len(),
        |count| *count == 7,
    );
    assert_eq!(site.zone_at_provider(), before, "nothing is written");
    assert!(site.ledger().entries.is_empty(), "nothing is ours");

    // The TXT at the apex is pasted beside what stands there.
    let spf = asked_for(&site)[&(site.zone.clone(), "TXT".to_owned())].clone();
    assert_eq!(paste_everything(&site), 7);
    site.by_hand(&site.zone, "TXT", &["\"token=1\"", &spf[0]]);
    site.wait_for("Ready", "True");
    site.wait_for("Published", "True");
    assert!(asked_for(&site).is_empty());

    // From now on the operator writes, and finds all that it asked for in place.
    let pasted = site.zone_at_provider();
    apply(&declared(&site, &publishing(&site, "adoption: Never")));
    eventually(
        "what was asked for is ours",
        || site.ledger().entries.len(),
        |count| *count == 7,
    );
    site.wait_for("Ready", "True");
    assert_eq!(site.zone_at_provider(), pasted, "nothing had to be written");
    site.delete();
    eventually(
        "ours is gone, theirs is not",
        || site.zone_at_provider(),
        |zone| *zone == before,
    );
}

#[test]
fn observe_writes_nothing_and_says_what_is_there() {
    let site = Site::new("mode-observe");
    let mail = format!("mail.{}", site.zone);
    site.by_hand(&mail, "A", &["203.0.113.4"]);
    site.by_hand(&site.zone, "MX", &[&format!("10 {mail}.")]);
    site.by_hand(&site.zone, "TXT", &["\"v=spf1 -all\"", "\"token=1\""]);
    let zone = site.zone_at_provider();
    let before = traces(&site);
    let _operator = site.operator();
    apply(&declared(&site, "mode: Observe"));
    site.wait_for("Published", "False");
    site.wait_for("KeysReady", "Unknown/KeyNotMade");
    let row = |name: &str, kind: &str| {
        let rows = site.status().records;
        let row = rows
            .into_iter()
            .find(|row| row.name == name && row.record_type == kind);
        row.map(|row| (row.published.as_str(), row.reason))
            .unwrap_or_default()
    };
    // The second name server carries what was written by hand a moment later.
    eventually(
        "each row says what stands there",
        || [row(&mail, "A"), row(&site.zone, "MX"), row(&site.zone, "TXT")],
        |rows| {
            *rows
                == [
                    ("True", None),
                    ("True", None),
                    ("False", Some("Different".to_owned())),
                ]
        },
    );
    let unknown = site.status().findings;
    assert!(unknown.iter().any(|f| f.id == "dkim-key-known"), "{unknown:#?}");
    throughout(
        "nothing is written anywhere",
        A_WHILE,
        || (site.zone_at_provider(), traces(&site)),
        |(now, left)| *now == zone && *left == before,
    );
    site.delete();
    assert_eq!((site.zone_at_provider(), traces(&site)), (zone, before));
}

#[test]
fn a_suspended_domain_is_looked_at_and_not_mended_until_it_goes_on() {
    let site = Site::new("suspend");
    let _operator = site.operator();
    let settings = publishing(&site, "drift: Repair");
    apply(&declared(&site, &settings));
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();
    apply(&with_head(
        &site,
        &format!("suspend: true\n  publishing: {{{settings}}}"),
    ));
    site.wait_for("Published", "True/Suspended");
    site.by_hand(&site.zone, "TXT", &["\"v=spf1 -all\""]);
    let damaged = site.zone_at_provider();
    site.wait_for("Published", "False/Suspended");
    throughout(
        "it is not mended",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| *zone == damaged,
    );
    apply(&declared(&site, &settings));
    site.wait_for("Published", "True/AsDeclared");
    site.wait_for("Ready", "True");
    assert_eq!(site.zone_at_provider(), published);
}

#[test]
fn a_domain_that_is_deleted_while_suspended_leaves_its_records() {
    let site = Site::new("suspend-deleted");
    let _operator = site.operator();
    let settings = publishing(&site, "drift: Repair");
    apply(&declared(&site, &settings));
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();
    apply(&with_head(
        &site,
        &format!("suspend: true\n  publishing: {{{settings}}}"),
    ));
    site.wait_for("Published", "True/Suspended");
    site.delete();
    throughout(
        "the records stay",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| *zone == published,
    );
}

#[test]
fn what_matches_is_adopted_and_goes_with_the_domain() {
    let site = Site::new("adopt-matching");
    let mail = format!("mail.{}", site.zone);
    site.by_hand(&site.zone, "TXT", &["\"token=1\""]);
    site.by_hand(
        &format!("_dmarc.{}", site.zone),
        "TXT",
        &["\"v=DMARC1; p=reject\""],
    );
    let theirs = site.zone_at_provider();
    site.by_hand(&mail, "A", &["203.0.113.4"]);
    site.by_hand(&site.zone, "MX", &[&format!("10 {mail}.")]);
    let _operator = site.operator();
    apply(&declared(&site, &publishing(&site, "adoption: Matching")));
    site.wait_for("Ready", "True");
    site.wait_for("Published", "False/Conflict");
    let adopted = |kind: &str| {
        let entries = site.ledger().entries;
        entries
            .iter()
            .any(|entry| entry.record_type == kind && entry.settled && entry.before.is_none())
    };
    assert!(adopted("A") && adopted("MX"), "{:#?}", site.ledger().entries);
    site.delete();
    eventually(
        "what was adopted is gone, what was not stays",
        || site.zone_at_provider(),
        |zone| *zone == theirs,
    );
}

#[test]
fn what_is_replaced_is_given_back_at_the_end() {
    let site = Site::new("adopt-replace");
    let mail = format!("mail.{}", site.zone);
    site.by_hand(&mail, "A", &["198.51.100.7"]);
    site.by_hand(
        &site.zone,
        "MX",
        &["1 aspmx.l.google.com.", "5 alt1.aspmx.l.google.com."],
    );
    site.by_hand(
        &site.zone,
        "TXT",
        &["\"v=spf1 include:_spf.google.com -all\"", "\"token=1\""],
    );
    site.by_hand(
        &format!("_dmarc.{}", site.zone),
        "TXT",
        &["\"v=DMARC1; p=reject\""],
    );
    let before = site.zone_at_provider();
    let _operator = site.operator();
    apply(&declared(&site, &publishing(&site, "adoption: Replace")));
    site.wait_for("Ready", "True");
    site.wait_for("Published", "True");
    let kept = site
        .ledger()
        .entries
        .into_iter()
        .filter(|entry| entry.before.is_some());
    assert_eq!(kept.count(), 4, "{:#?}", site.ledger().entries);
    assert!(
        site.zone_at_provider()
            .contains(&format!("{} TXT \"token=1\"", site.zone))
    );
    let events = site.events();
    assert!(events.contains("ForeignReplaced"), "{events}");
    site.delete();
    eventually(
        "the zone is as it was",
        || site.zone_at_provider(),
        |zone| *zone == before,
    );
}

#[test]
fn reported_drift_is_named_and_left() {
    let site = Site::new("drift-report");
    let _operator = site.operator();
    apply(&declared(&site, &publishing(&site, "drift: Report")));
    site.wait_for("Ready", "True");
    site.wait_for("Published", "True/AsDeclared");
    let published = site.zone_at_provider();
    site.by_hand(&site.zone, "TXT", &["\"v=spf1 -all\""]);
    let damaged = site.zone_at_provider();
    site.wait_for("Verified", "False/Drift");
    site.wait_for("Stalled", "True/Drift");
    throughout(
        "it is left",
        A_WHILE,
        || site.zone_at_provider(),
        |zone| *zone == damaged,
    );
    assert_eq!(paste_everything(&site), 1);
    site.wait_for("Published", "True/AsDeclared");
    assert_eq!(site.zone_at_provider(), published);
}

#[test]
fn while_suspended_a_lost_key_is_not_replaced_and_mail_stays_signed() {
    let site = Site::new("suspend-lost-key");
    site.apply_signer();
    let _operator = site.operator();
    let settings = publishing(&site, "drift: Repair");
    apply(&declared(&site, &settings));
    site.wait_for("KeysReady", "True");
    let (signing, secrets) = (site.signing_selectors(), site.key_secrets());
    apply(&with_head(
        &site,
        &format!("suspend: true\n  publishing: {{{settings}}}"),
    ));
    site.wait_for("Published", "True/Suspended");
    kubectl(&["-n", &site.namespace, "delete", &secrets[0]]);
    site.wait_for("KeysReady", "False/KeyNotMade");
    throughout(
        "no key is made and signing goes on",
        A_WHILE,
        || (site.key_secrets().len(), site.signing_selectors()),
        |(count, selectors)| *count == secrets.len() - 1 && *selectors == signing,
    );
    apply(&declared(&site, &settings));
    eventually(
        "a new key follows",
        || site.key_secrets().len(),
        |count| *count == secrets.len(),
    );
    site.wait_for("Ready", "True");
}
