//! What every end-to-end test stands on: a corner of the world of its own ([`Site`]) with its own zone, name server
//! addresses, namespaces and operator, so that no test sees another's faults and all can run at the same time.
//!
//! The test binary runs inside the world's network namespace: `$WORLD cargo test --features e2e --test e2e`.

mod audit;
mod dns;
mod external_dns;
mod gate;
mod house;
mod operator;
#[path = "../../support/provider_proxy.rs"]
mod provider_proxy;
mod signing;
mod site;
mod wait;

pub use dns::{Dig, Records, add_zone, allow_updates, dump, put, put_all, put_all_for, text_at};
pub use external_dns::ExternalDns;
pub use gate::{Door, Gate};
pub use house::House;
pub use operator::Operator;
pub use provider_proxy::{Act, Answer, Call, ProviderProxy, Reply, Written};
pub use signing::OUTPUT;
pub use site::{Site, SiteOptions, USUAL};
pub use wait::{eventually, throughout, wait_until};

use std::process::{Command, Output, Stdio};
use std::sync::Once;

impl ProviderProxy {
    /// An honest proxy in front of the world's PowerDNS.
    pub fn new() -> Self {
        Self::before(&var("PDNS_API"))
    }
}

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

/// Installs the definitions of this checkout, once. Every site and every operator shares them.
pub fn definitions() {
    static INSTALLED: Once = Once::new();
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/crds");
    INSTALLED.call_once(|| {
        kubectl(&["apply", "--server-side", "--force-conflicts", "-f", directory]);
        kubectl(&[
            "wait",
            "--for=condition=Established",
            "-f",
            directory,
            "--timeout=60s",
        ]);
    });
}

/// Runs a command with this on its standard input, and gives how it ended and what it said, whichever way.
pub fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Output {
    use std::io::Write;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("failed to start {program}: {e}"));
    // One that ends before it has read everything says why on its other ends.
    let _ = child.stdin.take().expect("stdin is piped").write_all(input);
    child.wait_with_output().expect("it ends")
}

/// Everything that a command said.
pub fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Applies a manifest as a user would; the result is what kubectl said, refused or not.
pub fn try_apply(manifest: &str) -> Result<String, String> {
    let output = pipe("kubectl", &["apply", "-f", "-"], manifest.as_bytes());
    if output.status.success() {
        Ok(said(&output))
    } else {
        Err(said(&output))
    }
}

/// Applies a manifest that must be accepted.
#[track_caller]
pub fn apply(manifest: &str) {
    if let Err(said) = try_apply(manifest) {
        panic!("kubectl apply refused:\n{said}\n{manifest}");
    }
}
