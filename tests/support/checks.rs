//! Each check on a zone that it speaks of and on the repaired one: `maildomain check` against real sockets.
//!
//! `tests/checks/good` is a domain without a finding. A file beside it is a list of cases:
//!
//! ```text
//! == spf-single V5: two records
//! corp.example TXT "v=spf1 a -all"           what takes the place of that RRset of the good zone; `ns2:` at one server only
//! corp.example TXT "v=spf1 mx -all"
//! spec {"dmarc": {"policy": "None"}}         what is merged into the declaration (RFC 7386)
//! observe s1 s2                              nothing is declared; these selectors are named
//! > Fail spf-single                          what is found, all of it (`UPDATE_EXPECT=1` writes these)
//! -- repaired                                what stands there instead when it is repaired; without it: the good zone
//! corp.example TXT "v=spf1 a mx -all"
//! ```
//!
//! The repaired zone has no finding of the case's check. What came of it is the table in docs/checks.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use maildomain::protocol;
use serde_json::Value as Json;

use crate::server::NameServer;
use crate::zone::lines;

const TABLE: &str = "docs/checks.md";
/// Of what no zone can tell; a unit test beside the check shows it.
const ELSEWHERE: [(&str, &str); 1] = [(
    "dkim-rotate-age",
    "a key that has signed for 181 days, and not one of 180 (Warn; by a unit test: no zone tells the age of a key)",
)];
const BEGIN: &str = "<!-- cases: begin -->\n";
const END: &str = "<!-- cases: end -->";

/// One case of a file.
#[derive(Debug, Clone)]
struct Case {
    check: String,
    title: String,
    broken: World,
    repaired: World,
    expected: BTreeSet<String>,
    /// Where its expectation stands: first line and line after the last.
    lines: (usize, usize),
}

/// What differs from the good domain.
#[derive(Debug, Clone, Default)]
struct World {
    records: String,
    spec: Option<Json>,
    observe: Option<String>,
}

impl World {
    fn read(&mut self, line: &str) {
        if let Some(json) = line.strip_prefix("spec ") {
            self.spec = Some(serde_json::from_str(json).unwrap_or_else(|error| panic!("{line}: {error}")));
        } else if let Some(selectors) = line.strip_prefix("observe") {
            self.observe = Some(selectors.trim().to_owned());
        } else {
            self.records += &format!("{line}\n");
        }
    }
}

pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checks")
}

fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory()).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file())
        .collect();
    files.sort();
    files
}

fn read(text: &str) -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut in_repaired = false;
    for (number, line) in text.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("== ") {
            let (check, title) = heading.split_once(' ').unwrap_or_else(|| panic!("{line}"));
            in_repaired = false;
            cases.push(Case {
                check: check.to_owned(),
                title: title.to_owned(),
                broken: World::default(),
                repaired: World::default(),
                expected: BTreeSet::new(),
                lines: (0, 0),
            });
            continue;
        }
        let Some(case) = cases.last_mut() else { continue };
        if let Some(found) = line.strip_prefix("> ") {
            case.expected.insert(found.to_owned());
            if case.lines.1 == 0 {
                case.lines.0 = number;
            }
            case.lines.1 = number + 1;
        } else if line.starts_with("-- repaired") {
            in_repaired = true;
            // An observed domain stays one.
            case.repaired.observe.clone_from(&case.broken.observe);
            if case.lines.1 == 0 {
                case.lines = (number, number);
            }
        } else if let Some(line) = lines(line).next() {
            let world = if in_repaired {
                &mut case.repaired
            } else {
                &mut case.broken
            };
            world.read(line);
            if !in_repaired && case.lines.1 <= number {
                case.lines = (number + 1, number + 1);
            }
        }
    }
    for case in &mut cases {
        if case.repaired.observe.is_none() {
            case.repaired.observe.clone_from(&case.broken.observe);
        }
    }
    cases
}

/// RFC 7386.
fn merge(into: &mut Json, patch: &Json) {
    let Json::Object(patch) = patch else {
        into.clone_from(patch);
        return;
    };
    if !into.is_object() {
        *into = Json::Object(serde_json::Map::new());
    }
    let fields = into.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            fields.remove(name);
        } else {
            merge(fields.entry(name.clone()).or_insert(Json::Null), value);
        }
    }
}

/// What `maildomain check` says, asking these servers.
pub(crate) fn judged(command: &mut Command, server: &NameServer) -> Json {
    let output = command
        .args(["--output", "json", "--dns-port"])
        .arg(server.port().to_string())
        .arg("--config")
        .arg(server.configuration_file())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// What is found: severity and check.
fn found(world: &World) -> BTreeSet<String> {
    let zone = std::fs::read_to_string(directory().join("good/zone.txt")).unwrap();
    let server = NameServer::start_two(&zone, &world.records);
    let mut command = Command::new(env!("CARGO_BIN_EXE_maildomain"));
    command.arg("check");
    let declaration = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("declared-{}.yaml", server.port()));
    match &world.observe {
        Some(selectors) => {
            command.arg("corp.example");
            command.args(selectors.split_whitespace().flat_map(|s| ["--selector", s]));
        }
        None => {
            let text = std::fs::read_to_string(directory().join("good/domain.yaml")).unwrap();
            let mut declared: Json = serde_saphyr::from_str(&text).unwrap();
            if let Some(patch) = &world.spec {
                merge(&mut declared["spec"], patch);
            }
            std::fs::write(&declaration, declared.to_string()).unwrap();
            command.arg("-f").arg(&declaration);
        }
    }
    let judged = judged(&mut command, &server);
    let _ = std::fs::remove_file(declaration);
    judged[0]["protocols"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|block| block["findings"].as_array().unwrap())
        .map(|said| format!("{} {}", text(&said["severity"]), text(&said["id"])))
        .collect()
}

pub(crate) fn text(json: &Json) -> &str {
    json.as_str().unwrap()
}

/// Runs all of them, a few at a time; gives what each found when broken and when repaired.
fn run(cases: &[Case]) -> Vec<(BTreeSet<String>, BTreeSet<String>)> {
    let results = Mutex::new(BTreeMap::new());
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(case) = cases.get(index) else { return };
                    let result = (found(&case.broken), found(&case.repaired));
                    results.lock().unwrap().insert(index, result);
                }
            });
        }
    });
    results.into_inner().unwrap().into_values().collect()
}

#[test]
fn each_check_fires_on_its_bad_zone_and_is_silent_on_the_good_one() {
    assert_eq!(
        found(&World::default()),
        BTreeSet::new(),
        "the good domain has a finding"
    );
    let update = std::env::var_os("UPDATE_EXPECT").is_some();
    let mut wrong = Vec::new();
    let mut rows: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files() {
        let text = std::fs::read_to_string(&path).unwrap();
        let cases = read(&text);
        let results = run(&cases);
        let mut written: Vec<String> = text.lines().map(str::to_owned).collect();
        for (case, (broken, repaired)) in cases.iter().zip(&results).rev() {
            let named =
                |found: &BTreeSet<String>| found.iter().any(|f| f.ends_with(&format!(" {}", case.check)));
            let at = format!("{} {} {}", path.display(), case.check, case.title);
            if *broken != case.expected && !update {
                wrong.push(format!("{at}: found {broken:?}, expected {:?}", case.expected));
            }
            if !named(broken) {
                wrong.push(format!("{at}: the check is silent; found {broken:?}"));
            }
            if named(repaired) {
                wrong.push(format!(
                    "{at}: repaired, and the check still speaks; found {repaired:?}"
                ));
            }
            let own = broken.iter().find(|f| f.ends_with(&format!(" {}", case.check)));
            let severity = own
                .and_then(|f| f.split_once(' '))
                .map_or("", |(severity, _)| severity);
            rows.entry(case.check.clone())
                .or_default()
                .insert(0, format!("{} ({severity})", case.title));
            let expectation: Vec<String> = broken.iter().map(|found| format!("> {found}")).collect();
            written.splice(case.lines.0..case.lines.1, expectation);
        }
        if update {
            std::fs::write(&path, written.join("\n") + "\n").unwrap();
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of the cases:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    compare(&table(&rows), update);
}

/// Every check is in it, or the test fails.
fn table(rows: &BTreeMap<String, Vec<String>>) -> String {
    let mut table =
        "| check | what must hold | speaks of, and is silent when it is repaired |\n| --- | --- | --- |\n"
            .to_owned();
    let mut known = BTreeSet::new();
    for check in protocol::ALL.iter().flat_map(|protocol| protocol.checks) {
        known.insert(check.id);
        let elsewhere = ELSEWHERE.iter().find(|(id, _)| *id == check.id);
        let elsewhere = elsewhere.map(|(_, what)| vec![(*what).to_owned()]);
        let cases = rows.get(check.id).cloned().or(elsewhere);
        let cases = cases.unwrap_or_else(|| panic!("{} has no case in tests/checks", check.id));
        table += &format!("| `{}` | {} | {} |\n", check.id, check.title, cases.join("; "));
    }
    for id in rows.keys() {
        assert!(known.contains(id.as_str()), "{id} is no check");
    }
    table
}

fn compare(table: &str, update: bool) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(TABLE);
    let page = std::fs::read_to_string(&path).unwrap();
    let (head, rest) = page.split_once(BEGIN).unwrap();
    let (stands, tail) = rest.split_once(END).unwrap();
    if update {
        std::fs::write(&path, format!("{head}{BEGIN}{table}{END}{tail}")).unwrap();
    } else {
        assert_eq!(
            stands, table,
            "UPDATE_EXPECT=1 cargo test --test cli checks:: writes {TABLE} anew"
        );
    }
}
