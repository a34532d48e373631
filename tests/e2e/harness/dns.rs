//! DNS and the PowerDNS API as the outside sees and changes them.

use std::net::IpAddr;
use std::process::Command;

use super::{eventually, run, var, world};

/// Asks one server with dig.
pub struct Dig;

impl Dig {
    /// The answers, sorted, one a line of `dig +short`; texts with their quotes.
    pub fn ask(server: &str, name: &str, kind: &str) -> Vec<String> {
        let at = format!("@{server}");
        let output = Command::new("dig")
            .args([&at, "+short", "+time=2", "+tries=1", name, kind])
            .output()
            .expect("failed to start dig");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut lines: Vec<String> = text
            .lines()
            .filter(|l| !l.starts_with(';'))
            .map(str::to_owned)
            .collect();
        lines.sort();
        lines
    }

    /// Waits for these answers: a secondary carries a change a moment after its primary, and Published does not wait for it.
    #[track_caller]
    pub fn until<A: AsRef<str>>(server: &str, name: &str, kind: &str, expected: &[A]) {
        eventually(
            &format!("{name} {kind} at {server}"),
            || Self::ask(server, name, kind),
            |lines| {
                lines
                    .iter()
                    .map(String::as_str)
                    .eq(expected.iter().map(AsRef::as_ref))
            },
        );
    }

    /// What the validating resolver says.
    pub fn resolver(name: &str, kind: &str) -> Vec<String> {
        Self::ask(&var("RESOLVER"), name, kind)
    }
}

/// The text that servers give for a TXT record of one value: the strings of the answer joined. Empty: none, or several.
pub fn text_at(server: &str, name: &str) -> String {
    match Dig::ask(server, name, "TXT").as_slice() {
        [line] => line.trim_matches('"').replace("\" \"", ""),
        _ => String::new(),
    }
}

/// Creates a zone, empty but for SOA and NS; gives the addresses of its two name servers, which no other zone has.
#[track_caller]
pub fn add_zone(zone: &str) -> [String; 2] {
    let said = world(&["zone", "add", zone]);
    let address = |key: &str| {
        let value = said.split_whitespace().find_map(|word| word.strip_prefix(key));
        value
            .filter(|text| text.parse::<IpAddr>().is_ok())
            .unwrap_or_else(|| panic!("world zone add said {said:?}"))
            .to_owned()
    };
    [address("NS1="), address("NS2=")]
}

/// Changes an RRset at PowerDNS by hand, as a person with the API key would. No values: deletes it.
#[track_caller]
pub fn put(zone: &str, name: &str, kind: &str, values: &[&str]) {
    let records: Vec<_> = values
        .iter()
        .map(|v| serde_json::json!({"content": v, "disabled": false}))
        .collect();
    let change = if records.is_empty() { "DELETE" } else { "REPLACE" };
    let body = serde_json::json!({"rrsets": [{
        "name": format!("{name}."), "type": kind, "ttl": 60, "changetype": change, "records": records,
    }]});
    run(
        "curl",
        &[
            "-sS",
            "--fail-with-body",
            "-X",
            "PATCH",
            "-H",
            &format!("X-API-Key: {}", var("PDNS_API_KEY")),
            "-d",
            &body.to_string(),
            &api(zone),
        ],
    );
}

/// Lets a TSIG key, which is made by this, change a zone by DNS UPDATE. `secret` is base64.
#[track_caller]
pub fn allow_updates(zone: &str, key: &str, secret: &str) {
    let post = |path: &str, body: serde_json::Value| {
        let header = format!("X-API-Key: {}", var("PDNS_API_KEY"));
        let url = format!("{}/api/v1/servers/localhost/{path}", var("PDNS_API"));
        let body = body.to_string();
        run(
            "curl",
            &["-sS", "--fail-with-body", "-H", &header, "-d", &body, &url],
        );
    };
    post(
        "tsigkeys",
        serde_json::json!({"name": key, "algorithm": "hmac-sha256", "key": secret}),
    );
    for (kind, value) in [
        ("TSIG-ALLOW-DNSUPDATE", key),
        ("SOA-EDIT-DNSUPDATE", "INCREASE"),
        ("NOTIFY-DNSUPDATE", "1"),
    ] {
        post(
            &format!("zones/{zone}./metadata"),
            serde_json::json!({"kind": kind, "metadata": [value]}),
        );
    }
}

/// Every record of a zone at PowerDNS but SOA, NS and DNSSEC, as `name TYPE content`, sorted.
#[track_caller]
pub fn dump(zone: &str) -> Vec<String> {
    let text = run(
        "curl",
        &[
            "-sS",
            "--fail",
            "-H",
            &format!("X-API-Key: {}", var("PDNS_API_KEY")),
            &api(zone),
        ],
    );
    let zone: serde_json::Value = serde_json::from_str(&text).expect("PowerDNS answers JSON");
    let mut lines = Vec::new();
    for rrset in zone["rrsets"].as_array().expect("a zone has rrsets") {
        let kind = rrset["type"].as_str().unwrap_or_default();
        if matches!(kind, "SOA" | "NS") {
            continue;
        }
        for record in rrset["records"].as_array().into_iter().flatten() {
            let name = rrset["name"].as_str().unwrap_or_default().trim_end_matches('.');
            lines.push(format!(
                "{name} {kind} {}",
                record["content"].as_str().unwrap_or_default()
            ));
        }
    }
    lines.sort();
    lines
}

fn api(zone: &str) -> String {
    format!("{}/api/v1/servers/localhost/zones/{zone}.", var("PDNS_API"))
}
