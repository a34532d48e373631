//! What kubectl shows, compared with files that people have read: tests/golden. `UPDATE_GOLDEN=1` writes them anew; then
//! read them again, as somebody would who never saw the project.

use std::path::PathBuf;

use crate::harness::{Site, apply, definitions, eventually, kubectl};

#[test]
fn explain_reads_as_committed() {
    definitions();
    for (file, arguments) in [
        ("explain-maildomain", "maildomain"),
        ("explain-maildomain-spec", "maildomain.spec"),
        ("explain-maildomain-spec-recursive", "maildomain.spec --recursive"),
        ("explain-hosts", "maildomain.spec.hosts"),
        ("explain-senders", "maildomain.spec.senders"),
        ("explain-return-path", "maildomain.spec.senders.returnPath"),
        ("explain-keys", "maildomain.spec.senders.dkim.keys"),
        ("explain-generate", "maildomain.spec.senders.dkim.keys.generate"),
        ("explain-publishing", "maildomain.spec.publishing"),
        ("explain-dmarc", "maildomain.spec.dmarc"),
        ("explain-status", "maildomain.status"),
        ("explain-status-records", "maildomain.status.records"),
        ("explain-status-keys", "maildomain.status.keys"),
        ("explain-dkimsigner-spec", "dkimsigner.spec"),
        ("explain-clusterdnsprovider-spec", "clusterdnsprovider.spec"),
        (
            "explain-clusterdnsprovider-allow",
            "clusterdnsprovider.spec.allow",
        ),
        (
            "explain-clusterdnsprovider-powerdns",
            "clusterdnsprovider.spec.powerDNS",
        ),
        (
            "explain-clusterdnsprovider-externaldns",
            "clusterdnsprovider.spec.externalDNS",
        ),
        ("explain-maildomainclaim-spec", "maildomainclaim.spec"),
        ("explain-recordledger-spec", "recordledger.spec"),
    ] {
        let mut command = vec!["explain"];
        command.extend(arguments.split(' '));
        compare(file, &kubectl(&command));
    }
}

#[test]
fn a_ready_domain_reads_as_committed() {
    let site = Site::new("golden-ready");
    let _operator = site.operator();
    apply(&site.usual());
    site.apply_signer();
    for condition in ["Ready", "Published", "Verified", "KeysReady"] {
        site.wait_for(condition, "True/AsDeclared");
    }
    let condition = "jsonpath={.status.conditions[0].status}";
    let ask = |kind, name| kubectl(&["-n", &site.namespace, "get", kind, name, "-o", condition]);
    eventually(
        "the signer is ready",
        || ask("dkimsigner", "mta"),
        |said| said == "True",
    );
    shown(&site, "ready");
    let claim = format!("maildomainclaim/{}", site.zone);
    for (file, kind) in [
        ("ready-dkimsigner", "dkimsigner/mta"),
        ("ready-maildomainclaim", &claim),
    ] {
        compare(
            file,
            &plain(&site, &kubectl(&["-n", &site.namespace, "get", kind])),
        );
    }
}

#[test]
fn a_conflict_reads_as_committed() {
    let site = Site::new("golden-conflict");
    site.by_hand(
        &site.zone,
        "TXT",
        &[
            "\"v=spf1 ip4:198.51.100.9 ~all\"",
            "\"google-site-verification=abc\"",
        ],
    );
    site.by_hand(
        &format!("_dmarc.{}", site.zone),
        "TXT",
        &["\"v=DMARC1; p=reject\""],
    );
    let _operator = site.operator();
    apply(&site.usual());
    site.wait_for("Stalled", "True/Conflict");
    site.wait_for("KeysReady", "True/AsDeclared");
    shown(&site, "conflict");
}

/// The MailDomain as `get`, `get -o wide` and `describe` show it.
#[track_caller]
fn shown(site: &Site, name: &str) {
    let mail = ["-n", &site.namespace, "get", "mdom", "mail"];
    compare(&format!("{name}-get"), &plain(site, &kubectl(&mail)));
    let wide = [&mail[..], &["-o", "wide"]].concat();
    compare(&format!("{name}-get-wide"), &plain(site, &kubectl(&wide)));
    let described = kubectl(&["-n", &site.namespace, "describe", "mdom", "mail"]);
    compare(&format!("{name}-describe"), &plain(site, &described));
}

/// Words are compared, line by line: how wide a column is depends on what differs from run to run.
#[track_caller]
fn compare(name: &str, shown: &str) {
    let path =
        PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden")).join(format!("{name}.txt"));
    let lines = shown.lines().map(|line| line.trim_end().to_owned() + "\n");
    let shown: String = lines.collect();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, &shown).expect("the golden file can be written");
        return;
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let words = |text: &str| -> Vec<Vec<String>> {
        text.lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    };
    let (is, was) = (words(&shown), words(&committed));
    if let Some(line) = (0..is.len().max(was.len())).find(|line| is.get(*line) != was.get(*line)) {
        panic!(
            "{} is not what kubectl shows; first at line {}. UPDATE_GOLDEN=1 writes it anew. It shows:\n{shown}",
            path.display(),
            line + 1
        );
    }
}

/// Without what differs from run to run: the site's name and addresses, versions, times, and what is random.
fn plain(site: &Site, text: &str) -> String {
    let suffix = std::env::var("MAILDOMAIN_E2E_SUFFIX").unwrap_or_default();
    let name = site.name.strip_suffix(&suffix).unwrap_or(&site.name);
    let text = text
        .replace(&site.name, name)
        .replace(&site.ns1, "NS1")
        .replace(&site.ns2, "NS2");
    let (object, events) = text.split_once("Events:\n").unwrap_or((&text, ""));
    let mut lines: Vec<String> = object.lines().map(words).collect();
    // How often and in which order is a matter of seconds.
    let mut events: Vec<String> = events.lines().map(words).map(|line| once(&line)).collect();
    if events.len() > 2 {
        events[2..].sort();
        lines.push("Events:".to_owned());
        lines.extend(events);
    }
    lines.join("\n") + "\n"
}

/// A line with each word made stable.
fn words(line: &str) -> String {
    if let Some((before, _)) = line.split_once("Resource Version:") {
        return format!("{before}Resource Version:  VERSION");
    }
    let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',');
    line.split_inclusive(ends)
        .map(|word| {
            let bare = word.trim_end_matches(ends);
            stable(bare) + &word[bare.len()..]
        })
        .collect()
}

/// An event without how often it was seen, its columns as wide as what is in them.
fn once(line: &str) -> String {
    let line = match (line.find("AGE (x"), line.find("over AGE)")) {
        (Some(from), Some(to)) => format!("{}AGE{}", &line[..from], &line[to + "over AGE)".len()..]),
        _ => line.to_owned(),
    };
    let columns: Vec<&str> = line
        .split("  ")
        .map(str::trim)
        .filter(|c| !c.is_empty())
        .collect();
    format!("  {}", columns.join("  "))
}

fn stable(word: &str) -> String {
    let only = |set: &str| word.chars().all(|c| set.contains(c));
    let is_age = word.ends_with(['s', 'm', 'h'])
        && word.starts_with(|c: char| c.is_ascii_digit())
        && only("0123456789smh");
    let is_time = word.len() == 20 && word.ends_with('Z') && only("0123456789-:TZ");
    if is_age {
        return "AGE".to_owned();
    }
    if is_time {
        return "TIME".to_owned();
    }
    if word.len() == 36 && only("0123456789abcdef-") {
        return "UID".to_owned();
    }
    if word.starts_with("SHA256:") {
        return "SHA256:FINGERPRINT".to_owned();
    }
    // A selector: `md-` and eight letters, alone or in a name.
    let selector = word.match_indices("md-").map(|(at, _)| at + 3).find(|at| {
        let letters = word
            .get(*at..at + 8)
            .is_some_and(|s| s.bytes().all(|b| b.is_ascii_alphanumeric()));
        letters && !word[at + 8..].starts_with(|c: char| c.is_ascii_alphanumeric())
    });
    match selector {
        Some(at) => format!("{}SELECTOR{}", &word[..at], &word[at + 8..]),
        None => word.to_owned(),
    }
}
