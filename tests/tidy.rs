//! The house in order: what `src/lib.rs` and CONTRIBUTING.md promise about the code, checked on the code.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on shall say so"
)]

#[path = "support/source.rs"]
mod source;

use std::collections::{BTreeMap, BTreeSet};

use maildomain::{protocol, status};
use source::{files, files_with, functions, production_files, production_lines, root, text};

/// Facts in, values out: nothing here reads the world.
const PURE: &[&str] = &[
    "src/cidr.rs",
    "src/cli/documents.rs",
    "src/cli/findings.rs",
    "src/cli/moving.rs",
    "src/cli/observed.rs",
    "src/cli/preview.rs",
    "src/cli/report.rs",
    "src/cli/schema.rs",
    "src/cli/show.rs",
    "src/finding.rs",
    "src/intent",
    "src/key.rs",
    "src/keyring.rs",
    "src/message",
    "src/name.rs",
    "src/output.rs",
    "src/plan",
    "src/protocol",
    "src/publish/gate/traffic.rs",
    "src/publish/seen.rs",
    "src/publish/survey.rs",
    "src/record.rs",
    "src/status",
    "src/tenancy.rs",
    "src/verify.rs",
];

/// What a pure file has no use for.
const IMPURE: &[&str] = &[
    "async ",
    ".await",
    "tokio",
    "kube::Client",
    "kube::api",
    "kube::runtime",
    "reqwest",
    "Timestamp::now",
    "SystemTime",
    "Instant",
    "rand::rng",
    "rand::random",
    "tracing::",
    "std::env",
    "std::fs",
    "std::process",
    "std::thread",
];

/// The shell.
const SHELL: &[&str] = &[
    "src/admin.rs",
    "src/cli/check.rs",
    "src/cli/message.rs",
    "src/cli/plan.rs",
    "src/controller",
    "src/lease.rs",
    "src/lookup",
    "src/main.rs",
    "src/publish",
];

const LONGEST_FILE: usize = 600;
const LONGEST_FUNCTION: usize = 80;

/// Protocol files that are no protocol.
const PROTOCOL_PARTS: &[&str] = &["mod", "tag_list"];

/// `path:line: text` of the production lines below `paths` that hold one of the words.
fn found(paths: &[&str], words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for path in paths.iter().flat_map(|path| production_files(path)) {
        for (number, line) in production_lines(&text(&path)) {
            if words.iter().any(|word| line.contains(word)) {
                found.push(format!("{}:{number}: {}", path.display(), line.trim()));
            }
        }
    }
    found
}

fn none(found: &[String], sentence: &str) {
    assert!(found.is_empty(), "{sentence}:\n{}", found.join("\n"));
}

#[test]
fn pure_files_read_no_clock_no_network_no_dice_and_write_no_log() {
    none(
        &found(PURE, IMPURE),
        "pure files must take these as arguments or leave them to the shell",
    );
    assert!(
        !found(&["src/controller"], IMPURE).is_empty(),
        "the scan finds what it looks for"
    );
}

/// Time limits, refused addresses and the rate hold for what passes the gate.
#[test]
fn every_connection_to_a_provider_is_opened_by_the_gate() {
    let opens = [
        "TcpStream::connect",
        "UdpSocket",
        "lookup_host",
        "Client::builder",
        "Client::new",
    ];
    let others: Vec<String> = found(&["src/publish"], &opens)
        .into_iter()
        .filter(|line| !line.starts_with("src/publish/gate/address.rs:"))
        .collect();
    none(
        &others,
        "connections to providers are opened in src/publish/gate/address.rs",
    );
    assert!(
        !found(&["src/publish/gate/address.rs"], &opens).is_empty(),
        "the scan finds what it looks for"
    );
    let connect = text("src/publish/connect.rs");
    assert_eq!(
        connect.matches(".through(gate(").count(),
        2,
        "every publisher that calls a provider goes through its gate"
    );
}

#[test]
fn only_the_shell_is_async() {
    let others: Vec<String> = files_with("src", "rs")
        .into_iter()
        .filter(|path| !SHELL.iter().any(|shell| path.starts_with(shell)))
        .map(|path| path.display().to_string())
        .collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    none(
        &found(&others, &["async "]),
        "only controller/, publish/, lookup/, cli/plan, lease, admin and main are async",
    );
    for shell in SHELL {
        assert!(
            !found(&[shell], &["async "]).is_empty(),
            "{shell} is not async: drop it from SHELL"
        );
    }
}

#[test]
fn protocols_know_neither_providers_nor_the_shell() {
    let words = [
        "crate::publish",
        "crate::controller",
        "lookup::looker",
        "kube",
        "crate::plan",
    ];
    none(
        &found(&["src/protocol"], &words),
        "a protocol wants records and judges facts, nothing else",
    );
}

/// What people read as code: Rust, scripts, whatever begins with `#!`.
fn is_code(path: &std::path::Path) -> bool {
    let ending = path.extension().and_then(|extension| extension.to_str());
    match ending {
        Some("rs" | "sh" | "py" | "go" | "jq") => true,
        Some(_) => false,
        None => text(path).starts_with("#!"),
    }
}

#[test]
fn no_file_is_over_600_lines() {
    let mut long = Vec::new();
    for path in files("src")
        .into_iter()
        .chain(files("tests"))
        .filter(|path| is_code(path))
    {
        let lines = text(&path).lines().count();
        if lines > LONGEST_FILE {
            long.push(format!("{}: {lines} lines", path.display()));
        }
    }
    none(&long, "split what is over 600 lines");
}

#[test]
fn no_function_is_over_80_lines() {
    let mut long = Vec::new();
    let mut seen = 0;
    for path in files_with("src", "rs")
        .into_iter()
        .chain(files_with("tests", "rs"))
    {
        let text = text(&path);
        for function in functions(&text) {
            seen += 1;
            if function.lines.len() > LONGEST_FUNCTION {
                let (line, name, length) = (function.line, function.name, function.lines.len());
                long.push(format!("{}:{line}: {name} has {length} lines", path.display()));
            }
        }
    }
    assert!(seen > 500, "the scan finds functions: {seen}");
    none(&long, "split what is over 80 lines");
}

#[test]
fn functions_are_found_and_measured() {
    let example = "\
fn one() {}
    pub(super) async fn two(
        text: &str,
    ) -> Result<(), ()> {
        if text.is_empty() {
            return Ok(());
        }
        Err(())
    }
    fn promised(&self) -> u8;
// fn none()
let call = |fn_name: &str| fn_name;
const fn three<T>() -> u8 {
    3
}
";
    let measured: Vec<(&str, usize, usize)> = functions(example)
        .iter()
        .map(|f| (f.name, f.line, f.lines.len()))
        .collect();
    assert_eq!(
        measured,
        [
            ("one", 1, 1),
            ("two", 2, 8),
            ("promised", 10, 1),
            ("three", 13, 3)
        ]
    );
    let mut long = String::from("    fn long() {\n");
    long.push_str(&"        step();\n".repeat(LONGEST_FUNCTION - 1));
    long.push_str("    }\n");
    assert_eq!(functions(&long)[0].lines.len(), LONGEST_FUNCTION + 1);
}

#[test]
fn test_code_is_told_from_the_rest() {
    let example =
        "fn a() {} // async\n/// async\n#[cfg(test)]\nmod tests {\n    async fn b() {}\n}\nfn c() {}\n";
    assert_eq!(production_lines(example), [(1, "fn a() {}"), (7, "fn c() {}")]);
    let names = production_files("src/protocol")
        .iter()
        .map(|path| path.display().to_string())
        .collect::<BTreeSet<_>>();
    assert!(names.contains("src/protocol/spf/parse.rs"));
    assert!(
        !names
            .iter()
            .any(|name| name.contains("tests") || name.contains("scene"))
    );
}

#[test]
fn every_protocol_is_in_the_table() {
    let module = text("src/protocol/mod.rs");
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("src/protocol")).unwrap() {
        let path = entry.unwrap().path();
        names.insert(path.file_stem().unwrap().to_str().unwrap().to_owned());
    }
    for part in PROTOCOL_PARTS {
        assert!(names.remove(*part), "{part} is gone: drop it from PROTOCOL_PARTS");
    }
    for name in &names {
        assert!(
            module.contains(&format!("mod {name};")),
            "src/protocol/mod.rs has no `mod {name};`"
        );
        assert!(
            module.contains(&format!("    {name}::PROTOCOL,\n")),
            "ALL has no {name}::PROTOCOL"
        );
    }
    assert_eq!(names.len(), protocol::ALL.len());
}

#[test]
fn the_layout_in_lib_rs_is_the_layout_on_disk() {
    let lib = text("src/lib.rs");
    let blocks = lib
        .split("//! ```text\n")
        .skip(1)
        .filter_map(|rest| rest.split("//! ```\n").next());
    let trees: Vec<&str> = blocks.filter(|block| block.starts_with("//! main.rs ")).collect();
    let [tree] = trees.as_slice() else {
        panic!("src/lib.rs holds no ```text block that begins with main.rs and lists src/");
    };
    let told: BTreeSet<String> = tree
        .lines()
        .filter_map(|line| line.strip_prefix("//! ")?.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    let mut there = BTreeSet::new();
    for entry in std::fs::read_dir(root().join("src")).unwrap() {
        let entry = entry.unwrap();
        let slash = if entry.file_type().unwrap().is_dir() {
            "/"
        } else {
            ""
        };
        there.insert(format!("{}{slash}", entry.file_name().to_str().unwrap()));
    }
    there.remove("lib.rs");
    assert_eq!(told, there, "the layout in src/lib.rs and src/ differ");
}

/// The words in quotes of a line.
fn quoted_words(line: &str) -> impl Iterator<Item = &str> {
    line.split('"').skip(1).step_by(2)
}

fn is_reason(word: &str) -> bool {
    word.len() > 3 && word.starts_with(char::is_uppercase) && word.chars().all(char::is_alphanumeric)
}

/// Every word that the code gives as a reason: what functions named `reason` answer, and `reason: "..."`.
fn reasons_in_use() -> BTreeMap<String, String> {
    let mut used = BTreeMap::new();
    for path in production_files("src") {
        let text = text(&path);
        let answers = functions(&text)
            .into_iter()
            .filter(|function| function.name == "reason");
        let fields = text
            .lines()
            .filter(|line| line.trim_start().starts_with("reason: \""));
        for line in answers.flat_map(|function| function.lines).chain(fields) {
            let words = quoted_words(line).filter(|word| is_reason(word));
            used.extend(words.map(|word| (word.to_owned(), path.display().to_string())));
        }
    }
    used
}

#[test]
fn every_reason_is_in_the_list_and_in_the_docs() {
    let listed: BTreeSet<&str> = status::REASONS.iter().map(|(reason, _)| *reason).collect();
    let used = reasons_in_use();
    assert!(used.len() > 20, "the scan finds reasons: {used:?}");
    let unknown = used
        .iter()
        .filter(|(reason, _)| !listed.contains(reason.as_str()));
    let unknown: Vec<String> = unknown
        .map(|(reason, path)| format!("{path}: {reason}"))
        .collect();
    none(&unknown, "reasons that status::REASONS does not list");
    let page = text("docs/conditions.md");
    let untold = listed
        .iter()
        .filter(|reason| !page.contains(&format!("`{reason}`")));
    let untold: Vec<String> = untold.map(ToString::to_string).collect();
    none(
        &untold,
        "reasons that docs/conditions.md does not tell (make generate)",
    );
}

#[test]
fn checks_have_kebab_case_names_of_their_own() {
    let checks = protocol::ALL.iter().flat_map(|protocol| protocol.checks);
    let mut ids: Vec<String> = checks.map(|check| check.id.to_owned()).collect();
    // Findings that no check of a protocol makes.
    for path in production_files("src") {
        let text = text(&path);
        let own = production_lines(&text)
            .into_iter()
            .filter(|_| !path.starts_with("src/protocol"));
        let named = own.filter_map(|(_, line)| line.trim().strip_prefix("id: \"")?.strip_suffix("\","));
        ids.extend(named.map(str::to_owned));
    }
    let plain =
        |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let mut seen = BTreeSet::new();
    for id in &ids {
        assert!(
            id.contains('-') && id.split('-').all(plain),
            "{id} is not kebab-case"
        );
        assert!(seen.insert(id), "two checks are named {id}");
    }
    assert!(
        seen.contains(&"dns-server-silent".to_owned()),
        "the scan finds ids outside protocol/"
    );
}

#[test]
fn nothing_is_left_to_do() {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME")];
    let mut left = Vec::new();
    for place in [
        "src",
        "tests",
        "docs",
        "charts",
        "deploy",
        "Makefile",
        "Cargo.toml",
        "README.md",
    ] {
        for path in files(place) {
            let Ok(text) = std::fs::read_to_string(root().join(&path)) else {
                continue;
            };
            if marks.iter().any(|mark| text.contains(mark)) {
                left.push(path.display().to_string());
            }
        }
    }
    none(&left, "an open end belongs into an issue");
}

#[test]
fn every_mutant_says_what_stands_there_once() {
    let mut stale = Vec::new();
    for path in files_with("tests/mutants", "mutant") {
        let mutant = text(&path);
        let (head, rest) = mutant.split_once("--- from\n").unwrap();
        let (from, _) = rest.split_once("--- to\n").unwrap();
        let file = head.lines().find_map(|line| line.strip_prefix("file: ")).unwrap();
        let times = text(file).matches(from.trim_end_matches('\n')).count();
        if times != 1 {
            stale.push(format!("{}: its text is {times} times in {file}", path.display()));
        }
    }
    none(&stale, "a mutant that does not apply proves nothing");
}
