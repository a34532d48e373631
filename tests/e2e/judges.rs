//! A message sent as declared, and judged by programs that know nothing of this operator: OpenDKIM signs it with the
//! output Secret mounted in its pod, dkimpy adds the Ed25519 signature; rspamd, dkimpy and pyspf judge.

use serde_json::Value;

use crate::harness::{
    Dig, OUTPUT, Site, SiteOptions, add_zone, apply, eventually, kubectl, pipe, put, run, said, var, world,
};

/// A range of its own: its reverse zone belongs to this test.
const ADDRESS: &str = "198.51.100.4";
const REVERSE_ZONE: &str = "100.51.198.in-addr.arpa";
const REVERSE_NAME: &str = "4.100.51.198.in-addr.arpa";

#[test]
fn a_message_sent_as_declared_passes_and_each_damage_is_seen() {
    let _reverse = ReverseZone::new();
    let options = SiteOptions {
        more_zones: vec![REVERSE_ZONE.to_owned()],
        ..SiteOptions::default()
    };
    let site = Site::with("judges", options);
    let operator = site.operator();
    apply(&site.manifest(DECLARED));
    site.apply_signer();
    for condition in ["Ready", "Verified", "KeysReady", "Deliverable"] {
        site.wait_for(condition, "True");
    }
    run(&judge("rspamd"), &["up"]);
    let message = signed(&site);

    let sent = Sent {
        site: &site,
        message: &message,
        address: ADDRESS,
    };
    passes_with_both_signatures(&sent);

    // Nobody mends while the operator is away.
    assert_eq!(operator.stop(), Some(0));
    let sound = records(&site);
    each_damage_is_seen(&sent);

    let _operator = site.operator();
    eventually("every damage is mended", || records(&site), |now| *now == sound);
    for condition in ["Ready", "Verified", "Deliverable"] {
        site.wait_for(condition, "True");
    }
    sent.judged(ALL_PASS);

    // What somebody else sends in this name: neither the address nor a signature is right, and the policy counts.
    let forged = Sent {
        site: &site,
        message: &unsigned(&site),
        address: "198.51.100.66",
    };
    forged.judged(["fail", "none", "fail", "none"]);
}

/// All judges agree with both signatures, and with the name that the sender gives itself.
fn passes_with_both_signatures(sent: &Sent) {
    let verdict = sent.judged(ALL_PASS);
    let mut algorithms: Vec<&str> = signatures(&verdict)
        .map(|s| s["algorithm"].as_str().unwrap_or_default())
        .collect();
    algorithms.sort_unstable();
    assert_eq!(algorithms, ["ed25519-sha256", "rsa-sha256"]);
    for signature in signatures(&verdict) {
        assert_eq!(
            (&signature["result"], &signature["domain"]),
            (&"pass".into(), &sent.site.zone.as_str().into())
        );
    }
    assert_eq!(verdict["iprev"]["helo"], "pass");
    assert_eq!(verdict["iprev"]["helo_is_name"], true);
}

/// Each damage changes one verdict more.
fn each_damage_is_seen(sent: &Sent) {
    let site = sent.site;
    put(
        REVERSE_ZONE,
        REVERSE_NAME,
        "PTR",
        &[&format!("web.{}.", site.zone)],
    );
    sent.judged(["pass", "pass", "pass", "fail"]);
    site.by_hand(
        &format!("_dmarc.{}", site.zone),
        "TXT",
        &["\"v=DMARC1; p=refuse\""],
    );
    sent.judged(["pass", "pass", "permerror", "fail"]);
    site.by_hand(&format!("bounce.{}", site.zone), "TXT", &["\"v=spf1 -all\""]);
    sent.judged(["fail", "pass", "permerror", "fail"]);
    let selector = selector(site, "rsa");
    let name = format!("{selector}._domainkey.{}", site.zone);
    site.by_hand(
        &name,
        "TXT",
        &[&format!(
            "\"v=DKIM1; k=rsa; p={}\" \"{}\"",
            &ANOTHER_KEY[..200],
            &ANOTHER_KEY[200..]
        )],
    );
    let verdict = sent.judged(["fail", "fail", "permerror", "fail"]);
    let bad: Vec<&Value> = signatures(&verdict)
        .filter(|s| s["result"] != "pass")
        .map(|s| &s["selector"])
        .collect();
    assert_eq!(bad, [&selector], "the other signature still holds");
}

/// The declaration that is judged: bounces at a name of their own, a reverse name, a policy that refuses.
const DECLARED: &str = r#"  hosts:
    - {name: web.ZONE, purpose: Web, addresses: [198.51.100.5]}
    - {name: mail.ZONE, purpose: Mail, addresses: [198.51.100.4], reverse: Publish}
  receiving: {mx: [{host: mail.ZONE, preference: 10}]}
  senders:
    - name: mta
      hosts: [mail.ZONE]
      returnPath: {domain: bounce.ZONE, mx: [{host: mail.ZONE, preference: 10}]}
      dkim: {keys: [{name: rsa, generate: {algorithm: RSA}}, {name: ed, generate: {algorithm: Ed25519}}]}
  spf: {all: Fail}
  dmarc: {policy: Reject, aggregateReports: ["mailto:report@ZONE"]}
"#;

/// A sound RSA key that is nobody's here.
const ANOTHER_KEY: &str = "MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA7/KmDu0p9I3To6sXV9MiGBart5lXBzDgPLilohS50xLPMIAHmkwi4IeGENyh+ZjR/KHLujn1B1Onqcn7tsBep4eeUmXLdEqZTZvSBa3Zfdnf4WSsjtjPpNnnyryXywSfk7ZuThR+noNe44A9hCnJID36VjfGR6K++kQFnWaYM6FCm7OgcKK2ksgzoaFwBZ+LlMGAeunS59d5dEpn1YwVIwFhMP8A6II7nAhvyHUWXNgH9JEuKsu4FbAJt/DNvs+xVlSCTmKBSDDPRGIeKWiDnzB3pTF/fF/EvsPNSli9ss82gBjPfWHQabAUXnsV3Cotn25AcM+6EbSOfZWZFD0TYQIDAQAB";

const ALL_PASS: [&str; 4] = ["pass"; 4];

/// A message on its way to a receiver.
struct Sent<'a> {
    site: &'a Site,
    message: &'a [u8],
    address: &'a str,
}

impl Sent<'_> {
    /// Waits until the receivers say this of SPF, DKIM, DMARC and the reverse name: what was changed a moment ago may
    /// be on its way to the second name server, or in the resolver's memory for a second. Two judges must agree.
    #[track_caller]
    fn judged(&self, expected: [&str; 4]) -> Value {
        let zone = &self.site.zone;
        let (helo, author) = (format!("mail.{zone}"), format!("news@{zone}"));
        let return_path = format!("bounce-1@bounce.{zone}");
        let sent = [
            "--ip",
            self.address,
            "--helo",
            &helo,
            "--from",
            &author,
            "--return-path",
            &return_path,
        ];
        let ask = || {
            let output = pipe(&judge("verdict"), &sent, self.message);
            let verdict: Value =
                serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", said(&output)));
            (output.status.code(), verdict)
        };
        let (code, verdict) = eventually(
            &format!("spf, dkim, dmarc, reverse are {expected:?}"),
            ask,
            |(_, v)| {
                ["spf", "dkim", "dmarc", "reverse"]
                    .iter()
                    .zip(expected)
                    .all(|(check, word)| v[check] == word)
                    && v["disagree"].as_array().is_some_and(Vec::is_empty)
            },
        );
        assert_eq!(
            code,
            Some(i32::from(expected != ALL_PASS)),
            "the exit code says the same"
        );
        verdict
    }
}

fn signatures(verdict: &Value) -> impl Iterator<Item = &Value> {
    verdict["dkimpy"].as_array().into_iter().flatten()
}

/// A program of tests/judges.
fn judge(name: &str) -> String {
    format!("{}/tests/judges/{name}", env!("CARGO_MANIFEST_DIR"))
}

fn unsigned(site: &Site) -> Vec<u8> {
    format!(
        "From: News <news@{zone}>\r\nTo: reader@elsewhere.example\r\nSubject: Judge for yourself\r\n\
         Date: Mon, 02 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@{zone}>\r\n\r\nSent as declared?\r\n",
        zone = site.zone
    )
    .into_bytes()
}

/// The message with a signature by each of the two keys.
fn signed(site: &Site) -> Vec<u8> {
    let address = start_opendkim(site);
    let once = successful(&judge("milter-sign"), &[&address, "8891"], &unsigned(site));
    let selector = selector(site, "ed");
    let file = format!("{}.{selector}.pem", site.zone);
    let pem = &site.secret(OUTPUT).expect("the output Secret is there")[&file];
    let path = std::env::temp_dir().join(format!("{}-{selector}.pem", site.name));
    std::fs::write(&path, pem).expect("the key can be written");
    let key = path.to_string_lossy().into_owned();
    let arguments = [
        "--ed25519",
        "--selector",
        &selector,
        "--domain",
        &site.zone,
        "--key",
        &key,
    ];
    let twice = successful(&judge("dkim-sign"), &arguments, &once);
    std::fs::remove_file(&path).expect("the key can be removed");
    twice
}

/// OpenDKIM in a pod of the tenant that mounts the output Secret; gives the pod's address.
fn start_opendkim(site: &Site) -> String {
    let image = std::env::temp_dir().join(format!("{}-opendkim.tar", site.name));
    let path = image.to_string_lossy().into_owned();
    run(&judge("opendkim-image"), &[&path]);
    world(&["image", "load", &path]);
    std::fs::remove_file(&image).expect("the archive can be removed");
    let manifest = include_str!("../judges/opendkim.yaml");
    apply(
        &manifest
            .replace("THE-NAMESPACE", &site.namespace)
            .replace("THE-SECRET", OUTPUT),
    );
    let pod = [
        "-n",
        &site.namespace,
        "wait",
        "--for=condition=Ready",
        "pod/judge-opendkim",
        "--timeout=90s",
    ];
    kubectl(&pod);
    kubectl(&[
        "-n",
        &site.namespace,
        "get",
        "pod",
        "judge-opendkim",
        "-o",
        "jsonpath={.status.podIP}",
    ])
}

#[track_caller]
fn successful(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    let output = pipe(program, arguments, input);
    assert!(output.status.success(), "{program}: {}", said(&output));
    output.stdout
}

fn selector(site: &Site, key: &str) -> String {
    let keys = site.status().keys;
    let key = keys
        .into_iter()
        .find(|k| k.key == key)
        .expect("a row for each key");
    key.selector
}

/// What both name servers answer where this test does damage.
fn records(site: &Site) -> Vec<Vec<String>> {
    let zone = &site.zone;
    let key = format!("{}._domainkey.{zone}", selector(site, "rsa"));
    let servers = [site.ns1.clone(), site.ns2.clone()];
    let names = [format!("_dmarc.{zone}"), format!("bounce.{zone}"), key];
    let mut all: Vec<Vec<String>> = names
        .iter()
        .flat_map(|name| servers.iter().map(|server| Dig::ask(server, name, "TXT")))
        .collect();
    all.push(Dig::ask(&var("RESOLVER"), REVERSE_NAME, "PTR"));
    all
}

/// The reverse zone, for as long as this lives.
struct ReverseZone;

impl ReverseZone {
    fn new() -> Self {
        add_zone(REVERSE_ZONE);
        Self
    }
}

impl Drop for ReverseZone {
    fn drop(&mut self) {
        world(&["zone", "del", REVERSE_ZONE]);
    }
}
