//! `maildomain check` and the operator judge alike: what is Ready has no failure, and what is broken is named.

use std::process::{Command, Stdio};

use crate::harness::{Site, SiteOptions, apply, eventually};

/// The exit code, and what was printed.
fn check(site: &Site, more: &[&str]) -> (i32, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_maildomain"))
        .arg("check")
        .args(more)
        .arg("--config")
        .arg(site.file("config.yaml"))
        .stdin(Stdio::null())
        .output()
        .expect("maildomain can be started");
    let said = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    (output.status.code().unwrap_or(-1), said)
}

#[test]
fn a_ready_domain_passes_and_a_broken_record_is_named() {
    let site = Site::with(
        "check",
        SiteOptions {
            leader_election: false,
            ..SiteOptions::default()
        },
    );
    let operator = site.operator();
    apply(&site.usual());
    for condition in ["Published", "Verified", "Ready"] {
        site.wait_for(condition, "True");
    }
    // It must not mend what is broken below.
    operator.freeze(true);
    let [domain, ledgers] = site
        .declared_and_remembered()
        .map(|path| path.display().to_string());
    let declared = ["-f", &domain, "-f", &ledgers];
    let (code, said) = check(&site, &declared);
    assert_eq!(code, 0, "{said}");
    assert!(
        !said.contains("not as declared") && !said.contains("FAILS"),
        "{said}"
    );
    let (code, said) = check(&site, &[&site.zone]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("not looked at: DKIM"), "{said}");

    site.by_hand(&format!("mail.{}", site.zone), "TXT", &["\"v=spf1 -all\""]);
    let again = || check(&site, &declared);
    eventually("the broken record is named", again, |(code, said)| {
        *code == 2 && said.contains("(spf-helo-record)") && said.contains("is not as declared")
    });
    operator.freeze(false);
    site.wait_for("Verified", "True");
    eventually(
        "it is well again",
        || check(&site, &declared),
        |(code, _)| *code == 0,
    );
}
