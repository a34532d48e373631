//! `maildomain plan` and `maildomain check` as a user runs them: every directory of `tests/cli` is a command line, its files,
//! and what came of it.
//! `UPDATE_EXPECT=1 cargo test --test cli` rewrites the expectations; read the difference before you commit it.
//!
//! `arguments.txt` is the command line behind `maildomain plan`, or `maildomain check` where the directory's name begins so; a line that begins with `<` names the file for standard
//! input. With a `zone.txt` a name server on this machine answers with it, and `--live` and its address are added; the
//! format is that of `tests/support/zone.rs`, and `owner TYPE TIMEOUT` is a question without an answer. `expect.txt` is
//! the exit code, standard output and standard error.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on shall say so"
)]

#[path = "support/broken.rs"]
mod broken;
#[path = "support/checks.rs"]
mod checks;
#[path = "support/dns.rs"]
mod dns;
#[path = "support/server.rs"]
mod server;
#[path = "support/zone.rs"]
#[expect(dead_code, reason = "the rest is for tests/cases.rs")]
mod zone;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use server::NameServer;

/// One test for each directory.
macro_rules! cases {
    ($($name:ident)*) => {
        const LISTED: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { check(stringify!($name)); })*
    };
}

cases! {
    bind
    bind_live
    check_as_declared
    check_json
    check_markdown
    check_message
    check_message_not_as_declared
    check_no_message
    check_not_a_domain
    check_not_as_declared
    check_nothing_there
    check_parked
    check_seed_page
    check_silent
    check_without_domain
    delete
    delete_without_ledger
    dnsendpoint
    dnsendpoint_live
    first_day
    first_day_live
    live_adoption
    live_all_there
    live_alias_in_the_way
    live_conflicts
    live_remembered
    live_silent
    live_spf_too_heavy
    live_wildcard
    manual
    mistakes
    moved
    moving
    no_mail_domain
    no_file
    nothing_declared
    not_yaml
    several_documents
    standard_input
    wrong_use
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli")
}

#[test]
fn every_directory_is_listed() {
    let entries = std::fs::read_dir(directory()).unwrap();
    let found: BTreeSet<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let listed: BTreeSet<String> = LISTED.iter().map(|name| name.replace('_', "-")).collect();
    assert_eq!(found, listed, "list every directory in cases! of tests/cli.rs");
}

fn check(name: &str) {
    let case = directory().join(name.replace('_', "-"));
    let told = run(&case);
    let path = case.join("expect.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, told).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        told,
        expected,
        "{} is not what came of it. If it is right: UPDATE_EXPECT=1 cargo test --test cli {name}",
        path.display()
    );
}

/// Runs the program in the directory of the case.
fn run(case: &Path) -> String {
    let line = std::fs::read_to_string(case.join("arguments.txt")).unwrap();
    let (input, words): (Vec<&str>, Vec<&str>) = line.lines().partition(|line| line.starts_with('<'));
    let mut command = Command::new(env!("CARGO_BIN_EXE_maildomain"));
    let name = case.file_name().unwrap().to_str().unwrap();
    let checks = name.starts_with("check");
    command
        .current_dir(case)
        .arg(if checks { "check" } else { "plan" })
        .args(words.iter().flat_map(|line| line.split_whitespace()));
    let stdin = input
        .first()
        .map(|line| case.join(line.trim_start_matches('<').trim()));
    command.stdin(stdin.map_or_else(Stdio::null, |path| std::fs::File::open(path).unwrap().into()));
    let zone = std::fs::read_to_string(case.join("zone.txt")).ok();
    let server = zone.as_deref().map(NameServer::start);
    if let Some(server) = &server {
        let port = server.port().to_string();
        command
            .args((!checks).then_some("--live"))
            .args(["--dns-port", &port, "--config"])
            .arg(server.configuration_file());
    }
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!(
        "exit code {}\n--- standard output\n{}--- standard error\n{}",
        output.status.code().unwrap_or_else(|| panic!("{output:?}")),
        text(&output.stdout),
        text(&output.stderr)
    )
}

#[test]
fn what_is_printed_for_a_zone_file_satisfies_when_it_is_pasted() {
    let case = directory().join("bind");
    let program = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_maildomain"));
        command.current_dir(&case).args(["plan", "-f", "domain.yaml"]);
        command
    };
    let printed = program().args(["--output", "bind"]).output().unwrap();
    // The zones of the test, and each line without its class.
    let mut zone = std::fs::read_to_string(directory().join("first-day-live/zone.txt")).unwrap();
    for line in String::from_utf8(printed.stdout).unwrap().lines() {
        zone += &line.replacen(". ", " ", 1).replacen(" IN ", " ", 1);
        zone.push('\n');
    }
    let server = NameServer::start(&zone);
    let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-pasted.yaml");
    std::fs::write(&config, server.configuration()).unwrap();
    let port = server.port().to_string();
    let looked = program()
        .args(["--live", "--dns-port", &port, "--config"])
        .arg(config)
        .output()
        .unwrap();
    let text = String::from_utf8(looked.stdout).unwrap();
    assert_eq!(looked.status.code(), Some(0), "{text}");
    let marks: BTreeSet<&str> = text
        .lines()
        .filter(|line| {
            let later = ["????????", "old._domainkey", "_maildomain."];
            line.starts_with("  ") && !later.iter().any(|word| line.contains(word))
        })
        .filter_map(|line| line.get(2..4))
        .filter(|mark| mark.ends_with(' ') && !mark.starts_with(' '))
        .collect();
    assert_eq!(marks, BTreeSet::from(["= "]), "{text}");
}
