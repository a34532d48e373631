//! DNS and the PowerDNS API as the outside sees and changes them.

use std::net::IpAddr;
use std::process::Command;

use super::{eventually, pipe, run, said, var, world};

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
    put_all(zone, [(name, kind, values.to_vec())]);
}

/// The same with any number of RRsets, in one request.
#[track_caller]
pub fn put_all<'a>(zone: &str, rrsets: impl IntoIterator<Item = (&'a str, &'a str, Vec<&'a str>)>) {
    put_all_for(zone, 60, rrsets);
}

/// The same with another TTL, in seconds.
#[track_caller]
pub fn put_all_for<'a>(
    zone: &str,
    ttl: u32,
    rrsets: impl IntoIterator<Item = (&'a str, &'a str, Vec<&'a str>)>,
) {
    let rrsets = rrsets
        .into_iter()
        .map(|(name, kind, values)| (name, kind, ttl, values));
    put_at(&var("PDNS_API"), zone, rrsets);
}

/// The same at the PowerDNS whose API is here: name, type, TTL in seconds and contents.
#[track_caller]
pub fn put_at<'a>(
    api: &str,
    zone: &str,
    rrsets: impl IntoIterator<Item = (&'a str, &'a str, u32, Vec<&'a str>)>,
) {
    let rrset = |(name, kind, ttl, values): (&str, &str, u32, Vec<&str>)| {
        let change = if values.is_empty() { "DELETE" } else { "REPLACE" };
        let record = |value: &str| serde_json::json!({"content": value, "disabled": false});
        let records: Vec<_> = values.into_iter().map(record).collect();
        serde_json::json!({"name": format!("{name}."), "type": kind, "ttl": ttl, "changetype": change, "records": records})
    };
    let rrsets: Vec<_> = rrsets.into_iter().map(rrset).collect();
    let body = serde_json::json!({"rrsets": rrsets}).to_string();
    let header = format!("X-API-Key: {}", var("PDNS_API_KEY"));
    let url = zone_url(api, zone);
    let patch = [
        "-sS",
        "--fail-with-body",
        "-X",
        "PATCH",
        "-H",
        &header,
        "-d",
        &body,
        &url,
    ];
    // Its database turns one of two writers away that come at the same time.
    let ask = || {
        let output = pipe("curl", &patch, b"");
        (output.status.success(), said(&output))
    };
    eventually(&format!("PowerDNS takes {body}"), ask, |(taken, _)| *taken);
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

/// Every record of a zone at the world's PowerDNS but SOA, NS, DNSSEC and the owner text, as `name TYPE content`, sorted.
#[track_caller]
pub fn dump(zone: &str) -> Vec<String> {
    Records::of_the_world().lines(zone)
}

/// What stands at a PowerDNS, as its API shows it.
pub struct Records {
    api: String,
}

/// Name, type, TTL and content of a record.
pub type Record = (String, String, u32, String);

impl Records {
    /// Of the world's PowerDNS.
    pub fn of_the_world() -> Self {
        Self::at(var("PDNS_API"))
    }

    /// Of the one whose API is here.
    pub fn at(api: String) -> Self {
        Self { api }
    }

    /// Every record of a zone but SOA, NS, DNSSEC and the owner text, which nobody declares.
    #[track_caller]
    pub fn with_ttl(&self, zone: &str) -> Vec<Record> {
        let mut records = self.all(zone);
        records.retain(|(name, ..)| !name.starts_with(OWNER));
        records
    }

    /// The same as `name TYPE content`, sorted.
    #[track_caller]
    pub fn lines(&self, zone: &str) -> Vec<String> {
        let records = self.with_ttl(zone).into_iter();
        let mut lines: Vec<String> = records
            .map(|(name, kind, _, content)| format!("{name} {kind} {content}"))
            .collect();
        lines.sort();
        lines
    }

    /// The owner text of a domain; empty where there is none.
    #[track_caller]
    pub fn owner_text(&self, zone: &str) -> String {
        let texts = self.all(zone).into_iter();
        let texts = texts.filter(|(name, ..)| name.starts_with(OWNER));
        texts
            .map(|(.., text)| text.trim_matches('"').to_owned())
            .collect()
    }

    #[track_caller]
    fn all(&self, zone: &str) -> Vec<Record> {
        let header = format!("X-API-Key: {}", var("PDNS_API_KEY"));
        let url = zone_url(&self.api, zone);
        let text = run("curl", &["-sS", "--fail", "-H", &header, &url]);
        let zone: serde_json::Value = serde_json::from_str(&text).expect("PowerDNS answers JSON");
        let text = |json: &serde_json::Value| json.as_str().unwrap_or_default().to_owned();
        let mut all = Vec::new();
        for rrset in zone["rrsets"].as_array().expect("a zone has rrsets") {
            let kind = text(&rrset["type"]);
            if matches!(kind.as_str(), "SOA" | "NS") {
                continue;
            }
            let name = text(&rrset["name"]).trim_end_matches('.').to_owned();
            let ttl = rrset["ttl"].as_u64().and_then(|ttl| u32::try_from(ttl).ok());
            for record in rrset["records"].as_array().into_iter().flatten() {
                let ttl = ttl.unwrap_or_default();
                all.push((name.clone(), kind.clone(), ttl, text(&record["content"])));
            }
        }
        all
    }
}

const OWNER: &str = "_maildomain.";

fn zone_url(api: &str, zone: &str) -> String {
    format!("{api}/api/v1/servers/localhost/zones/{zone}.")
}
