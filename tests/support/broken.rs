//! Each record of a good domain broken in each way that happens: `maildomain check` must say just what is wrong. The table
//! is committed; `UPDATE_EXPECT=1` writes it anew, to be read before it is kept.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use crate::checks::{judged, text};
use crate::server::NameServer;

/// A way in which records are broken: makes of a line of the zone what stands there instead.
type Way = fn(&Line) -> Option<Vec<String>>;

const WAYS: [(&str, Way); 7] = [
    ("removed", |_| Some(Vec::new())),
    ("altered", |line| Some(vec![line.with(&altered(line))])),
    ("doubled", |line| {
        // No server takes a second alias.
        (line.kind != "CNAME").then(|| vec![line.text(), line.with(&altered(line))])
    }),
    ("split wrong", split_wrong),
    ("at a wrong name", |line| {
        let name = format!("{}.corp.example", line.name);
        (line.kind != "PTR").then(|| vec![line.text().replacen(&line.name, &name, 1)])
    }),
    ("with TTL 0", |line| Some(vec![line.living(0)])),
    ("with another TTL", |line| Some(vec![line.living(7200)])),
];

/// The TTL of the good zone.
const TTL: &str = "3600";

/// `name TTL TYPE data`.
struct Line {
    name: String,
    kind: String,
    data: String,
}

impl Line {
    /// Of the records that are declared; not those of vendors, and no text of somebody else's.
    fn read(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.splitn(4, ' ').collect();
        let [name, TTL, kind, data] = words.as_slice() else {
            return None;
        };
        let ours = name.ends_with("corp.example") || *kind == "PTR";
        (ours && !data.contains("token")).then(|| Self {
            name: (*name).to_owned(),
            kind: (*kind).to_owned(),
            data: (*data).to_owned(),
        })
    }

    fn text(&self) -> String {
        self.with(&self.data)
    }

    fn with(&self, data: &str) -> String {
        format!("{} {TTL} {} {data}", self.name, self.kind)
    }

    fn living(&self, seconds: u32) -> String {
        format!("{} {seconds} {} {}", self.name, self.kind, self.data)
    }

    /// Whether a line of the zone is of the same RRset.
    fn is_beside(&self, text: &str) -> bool {
        text.starts_with(&format!("{} {TTL} {} ", self.name, self.kind))
    }
}

/// Another value of the same kind, well-formed.
fn altered(line: &Line) -> String {
    match line.kind.as_str() {
        "A" => "198.41.0.99".to_owned(),
        "AAAA" => "2a00:c0de::99".to_owned(),
        "CNAME" => "other.vendor.example.".to_owned(),
        "MX" => "10 other.corp.example.".to_owned(),
        "PTR" => "other.corp.example.".to_owned(),
        _ if line.data.contains("v=spf1") => "\"v=spf1 ip4:198.41.0.99 -all\"".to_owned(),
        _ if line.data.contains("DMARC1") => {
            "\"v=DMARC1; p=nonsense; rua=mailto:report@corp.example\"".to_owned()
        }
        _ if line.data.contains("BIMI1") => line.data.replace("logo.svg", "other.svg"),
        // One letter of the key.
        _ => line
            .data
            .replacen("MIIBIjAN", "MIIBIjAO", 1)
            .replacen("p=11q", "p=12q", 1),
    }
}

/// A long text in pieces with a blank too much or too few, as web forms do it.
fn split_wrong(line: &Line) -> Option<Vec<String>> {
    let text = line.data.strip_prefix('"')?.strip_suffix('"')?;
    let broken = match text.split_once("\" \"") {
        // Quotation marks inside one string.
        Some((head, tail)) => format!("\"{head}\\\" \\\"{tail}\""),
        None => format!("\"{}\"", text.replacen(' ', "\" \"", 1)),
    };
    Some(vec![line.with(&broken)])
}

#[test]
fn every_broken_record_is_named_and_nothing_else() {
    let case = crate::checks::directory().join("good");
    let zone = std::fs::read_to_string(case.join("zone.txt")).unwrap();
    let good = check(&case, &zone);
    assert_eq!(good, BTreeSet::new(), "the good domain has a finding");
    let mut table = String::new();
    for (number, text) in zone.lines().enumerate() {
        let Some(line) = Line::read(text) else { continue };
        for (called, way) in WAYS {
            let Some(broken) = way(&line) else { continue };
            let lines = zone.lines().enumerate();
            let time = called
                .contains("TTL")
                .then(|| broken[0].split(' ').nth(1).unwrap().to_owned());
            let zone: Vec<String> = lines
                .flat_map(|(n, text)| match &time {
                    _ if n == number => broken.clone(),
                    // The records of an RRset have one TTL (RFC 2181 section 5.2).
                    Some(time) if line.is_beside(text) => vec![text.replacen(TTL, time, 1)],
                    _ => vec![text.to_owned()],
                })
                .collect();
            let found: Vec<String> = check(&case, &zone.join("\n")).into_iter().collect();
            assert!(
                !found.is_empty(),
                "{} {} {called} is not seen",
                line.name,
                line.kind
            );
            table += &format!("{} {} {called}: {}\n", line.name, line.kind, found.join(", "));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/broken.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(table, expected, "UPDATE_EXPECT=1 writes {} anew", path.display());
}

/// What is wrong with a zone: ids of checks that found something, and RRsets that are not as declared.
fn check(case: &Path, zone: &str) -> BTreeSet<String> {
    let server = NameServer::start_two(zone, "");
    let mut command = Command::new(env!("CARGO_BIN_EXE_maildomain"));
    command.current_dir(case).args(["check", "-f", "domain.yaml"]);
    let judged = judged(&mut command, &server);
    let mut wrong = BTreeSet::new();
    for block in judged[0]["protocols"].as_array().unwrap() {
        for not in block["notAsDeclared"].as_array().unwrap() {
            wrong.insert(format!(
                "{} {} is not as declared",
                text(&not["name"]),
                text(&not["type"])
            ));
        }
        for said in block["findings"].as_array().unwrap() {
            let severity = text(&said["severity"]);
            wrong.insert(format!("{severity} {}", text(&said["id"])));
        }
    }
    wrong
}
