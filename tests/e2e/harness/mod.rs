//! What every end-to-end test stands on: a corner of the world of its own ([`Site`]) with its own zone, name server
//! addresses, namespaces and operator, so that no test sees another's faults and all can run at the same time.
//!
//! The test binary runs inside the world's network namespace: `$WORLD cargo test --features e2e --test e2e`.

mod dns;
mod operator;
mod site;
mod wait;

pub use dns::Dig;
pub use operator::Operator;
pub use site::{Site, SiteOptions, USUAL};
pub use wait::{DEADLINE, eventually};

use std::process::{Command, Stdio};

/// A variable that `world up` exports. Without a world no test can run, and none is skipped.
pub fn var(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| {
        panic!("{name} is not set: start the end-to-end tests by `make e2e`, which brings the world up")
    })
}

/// Runs a command to its end and gives its output; a failure shows everything it said.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("failed to start {program}: {e}"));
    assert!(
        output.status.success(),
        "{program} {} failed\n{}\n{}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Runs `world ARGUMENTS`.
#[track_caller]
pub fn world(arguments: &[&str]) -> String {
    let world = var("WORLD");
    let program = world
        .split_whitespace()
        .next()
        .expect("WORLD names the world command")
        .to_owned();
    run(&program, arguments)
}

/// Runs kubectl with a manifest on standard input or without.
#[track_caller]
pub fn kubectl(arguments: &[&str]) -> String {
    run("kubectl", arguments)
}

/// Applies a manifest as a user would; the result is what kubectl said, refused or not.
pub fn try_apply(manifest: &str) -> Result<String, String> {
    use std::io::Write;
    let mut child = Command::new("kubectl")
        .args(["apply", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("failed to start kubectl");
    child
        .stdin
        .take()
        .expect("stdin is piped")
        .write_all(manifest.as_bytes())
        .expect("kubectl reads its input");
    let output = child.wait_with_output().expect("kubectl ends");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    if output.status.success() {
        Ok(said)
    } else {
        Err(said)
    }
}

/// Applies a manifest that must be accepted.
#[track_caller]
pub fn apply(manifest: &str) {
    if let Err(said) = try_apply(manifest) {
        panic!("kubectl apply refused:\n{said}\n{manifest}");
    }
}
