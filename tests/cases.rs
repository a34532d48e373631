//! Golden cases: every directory of `tests/cases` goes through the whole pure pipeline, and `expect.txt` holds what came
//! of it. `UPDATE_EXPECT=1 cargo test --test cases` rewrites the expectations; read the difference before you commit it.
//!
//! A case is `domain.yaml` (the MailDomain, and what else the cluster has), `zone.txt` (what the provider holds, and the
//! rest of the world's DNS), optionally `live.txt` (where name servers answer something else than the zone after the
//! plan) and `ledger.txt` (what was written before). The formats are described in `tests/support`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on shall say so"
)]

#[path = "support/dns.rs"]
mod dns;
#[path = "support/keys.rs"]
mod keys;
#[path = "support/pass.rs"]
mod pass;
#[path = "support/provider.rs"]
mod provider;
#[path = "support/setting.rs"]
mod setting;
#[path = "support/zone.rs"]
mod zone;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use keys::RSA_PEM;
use maildomain::api::MailDomainStatus;
use maildomain::key::PrivateKey;
use maildomain::plan::{Plan, Step, Written};
use maildomain::record::{Key, quoted};
use pass::{Course, Passed, Refused};
use setting::Setting;

/// After so many passes a case must be at rest.
const PASSES: usize = 6;

/// One test for each directory.
macro_rules! cases {
    ($($name:ident)*) => {
        const LISTED: &[&str] = &[$(stringify!($name)),*];
        $(#[test] fn $name() { check(stringify!($name)); })*
    };
}

cases! {
    adopt_matching
    adopt_matching_foreign
    adopt_matching_ttl
    adopt_never_foreign
    adopt_provider_unreachable
    adopt_replace
    adopt_replace_alias
    adopt_replace_cut_off
    adopt_replace_given_back
    adopt_replace_merged
    adopt_through_externaldns
    after_a_crash
    alias_cannot_take_the_place
    alias_clashes
    alias_replaces_address
    at_rest
    bimi_with_enforcement
    bimi_without_enforcement
    breaker_acknowledged
    breaker_explained
    breaker_few
    breaker_ledger_of_another_time
    breaker_other_acknowledged
    breaker_trips
    breaker_values
    changed_declaration
    deeper_claim
    dkim_kinds
    dmarc_held
    dmarc_held_unknown
    dmarc_inherited
    dmarc_kept_strict
    dmarc_raised
    dmarc_tags
    dns_behind
    drift
    drift_report
    drift_report_at_rest
    drift_report_changed_declaration
    drift_report_cut_off
    externaldns
    externaldns_idle
    foreign_address
    foreign_dmarc
    foreign_key
    foreign_mx
    foreign_spf
    host_addresses
    host_alias
    host_deleted
    idn
    idn_u_label
    include_only
    key_becomes_delegated
    key_drained
    legacy_dropped
    legacy_off
    legacy_on
    lived_in_zone
    lived_in_zone_declared
    long_foreign_spf
    mail_exchange_unknown
    manual_after_publish
    manual_alias_in_the_way
    manual_all_added
    manual_becomes_publish
    manual_foreign
    manual_nothing_there
    manual_policy_held
    manual_servers_silent
    manual_spf_too_heavy
    manual_suspended
    manual_wildcard
    manual_wildcard_satisfies
    mx_receiving
    no_provider
    no_reverse_zone
    no_senders
    nothing_declared
    null_mx
    observe_all_there
    observe_generated
    observe_missing
    observe_servers_silent
    observe_wildcard
    owner_elsewhere
    owner_observed
    owner_restored
    owner_taken_over
    owner_unread
    owner_vanished
    pasted_spf
    provider_allows_by_label
    provider_denies
    provider_refuses_change
    provider_refuses_credentials
    provider_unreachable
    provider_without_zone
    retire
    retire_at_once
    retire_declared_again
    retire_is_over
    retire_no_room
    return_paths
    reverse_names
    satisfied
    seed_page_complete
    seed_page_looked_at
    seed_page_word_for_word
    server_silent
    server_stale
    servers_silent
    servers_silent_since_now
    shared_ttl
    spec_garbage
    spf_foreign_unreadable
    spf_merged_by_terms
    spf_merged_redirect
    spf_merged_too_heavy
    spf_merged_unknown
    spf_too_many_lookups
    suspended_at_rest
    suspended_conflict
    suspended_drift
    suspended_first_sight
    suspended_removal
    two_foreign_spf
    two_providers
    unreadable_values
    vendor_gone
    vendor_senders
    war
    wildcard
    zone_bogus
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

#[test]
fn every_directory_is_listed_and_every_file_is_read() {
    let mut found = BTreeSet::new();
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        found.insert(path.file_name().unwrap().to_string_lossy().into_owned());
        for file in std::fs::read_dir(&path).unwrap() {
            let file = file.unwrap().file_name().into_string().unwrap();
            let known = ["domain.yaml", "zone.txt", "live.txt", "ledger.txt", "expect.txt"];
            assert!(
                known.contains(&file.as_str()),
                "nobody reads {}/{file}",
                path.display()
            );
        }
    }
    let listed: BTreeSet<String> = LISTED.iter().map(|name| name.replace('_', "-")).collect();
    assert_eq!(found, listed, "list every directory in cases! of tests/cases.rs");
}

fn check(name: &str) {
    let case = directory().join(name.replace('_', "-"));
    let told = tell(&Setting::read(&case));
    let path = case.join("expect.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, told).unwrap();
        return;
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        told == expected,
        "{} is not what came of it:\n{}\nIf that is right: UPDATE_EXPECT=1 cargo test --test cases {name}",
        path.display(),
        difference(&expected, &told)
    );
}

/// The lines between the common beginning and the common end.
fn difference(old: &str, new: &str) -> String {
    let (mut old, mut new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    while !old.is_empty() && old.last() == new.last() {
        old.pop();
        new.pop();
    }
    let same = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let gone = old[same..].iter().map(|line| format!("- {line}\n"));
    gone.chain(new[same..].iter().map(|line| format!("+ {line}\n")))
        .collect()
}

/// Runs a case until a pass changes nothing any more, and writes down what happened.
fn tell(setting: &Setting) -> String {
    let mut text = String::new();
    let mut course = match Course::begin(setting) {
        Ok(course) => course,
        Err(refused) => {
            let Refused { problems, status } = *refused;
            for problem in problems {
                writeln!(text, "problem {problem}").unwrap();
            }
            tell_status(&mut text, &status);
            return text;
        }
    };
    let mut before: Option<(Plan, Vec<String>)> = None;
    for number in 1..=PASSES {
        let Passed { plan, status } = course.pass();
        let now = (plan, conditions(&status).collect());
        if before.as_ref() == Some(&now) {
            assert_eq!(
                !now.0.is_empty(),
                setting.is_hindered(),
                "what comes back?\n{text}"
            );
            tell_ledger(&mut text, &course, &now.0);
            tell_status(&mut text, &status);
            nothing_foreign_was_lost(setting, &course);
            return text;
        }
        writeln!(text, "pass {number}").unwrap();
        indent(&mut text, &now.0.to_string());
        if now.0.is_empty() {
            text.push_str("  nothing to write\n");
        }
        for row in now.0.rows.iter().filter(|row| row.step == Step::Adopt) {
            writeln!(text, "  {} becomes ours", row.group.key).unwrap();
        }
        let troubles = now.1.iter().filter(|line| !line.ends_with("=True/AsDeclared"));
        indent(&mut text, &troubles.cloned().collect::<Vec<_>>().join("\n"));
        before = Some(now);
    }
    panic!("not at rest after {PASSES} passes:\n{text}");
}

fn indent(text: &mut String, lines: &str) {
    let public = PrivateKey::from_pem(RSA_PEM).unwrap().public().record_text();
    let short = lines.replace(&quoted(&public), "\"v=DKIM1; k=rsa; p=(tests/data/rsa.pem)\"");
    for line in short.lines() {
        writeln!(text, "  {line}").unwrap();
    }
}

/// Entries for records that nobody wants any more, and those that no read has confirmed.
fn tell_ledger(text: &mut String, course: &Course<'_>, plan: &Plan) {
    let wanted: BTreeSet<&Key> = plan.rows.iter().map(|row| &row.group.key).collect();
    let told =
        |(key, entry): &(&Key, &Written)| !wanted.contains(key) || !entry.settled || entry.before.is_some();
    for (key, entry) in &course.written {
        for (what, until) in &entry.marks.retiring {
            writeln!(text, "retiring {key} {what} until {until}").unwrap();
        }
        for time in &entry.marks.war.reverts {
            writeln!(text, "reverted {key} at {time}").unwrap();
        }
    }
    let mut rest = course.written.iter().filter(told).peekable();
    if rest.peek().is_some() {
        text.push_str("remembered\n");
    }
    for (key, entry) in rest {
        let state = match entry.withdraw_after {
            Some(time) => format!("until {time}"),
            None if entry.settled => "settled".to_owned(),
            None => "unsettled".to_owned(),
        };
        let before = entry.before.iter().flat_map(|before| &before.records);
        let before: String = before.map(|raw| format!(", before {raw}")).collect();
        writeln!(text, "  {key} {} {state}{before}", entry.purpose).unwrap();
    }
    if !course.asked.is_empty() {
        text.push_str("asked for\n");
    }
    for key in &course.asked {
        writeln!(text, "  {key}").unwrap();
    }
}

fn conditions(status: &MailDomainStatus) -> impl Iterator<Item = String> {
    status
        .conditions
        .iter()
        .map(|c| format!("{}={}/{}", c.type_, c.status, c.reason))
}

fn tell_status(text: &mut String, status: &MailDomainStatus) {
    text.push_str("conditions\n");
    indent(text, &conditions(status).collect::<Vec<_>>().join("\n"));
    let held = status.conditions.iter().find(|c| c.reason == "DeletionsHeld");
    indent(text, held.map(|c| c.message.as_str()).unwrap_or_default());
    text.push_str("records\n");
    for row in &status.records {
        let provider = row.provider.as_deref().unwrap_or("-");
        let (published, verified) = (row.published.as_str(), row.verified.as_str());
        let reason = row
            .reason
            .as_deref()
            .map(|reason| format!(" {reason}"))
            .unwrap_or_default();
        let what = format!("{} {} {} {provider}", row.name, row.record_type, row.purpose);
        writeln!(text, "  {what} published={published} verified={verified}{reason}").unwrap();
        // What a person has to read to act on.
        let is_for_a_person = matches!(row.reason.as_deref(), Some("ByHand" | "Different"));
        if row.paste.is_some() || is_for_a_person || row.purpose == "Owner" {
            indent(
                text,
                &format!("    {}", row.message.as_deref().unwrap_or_default()),
            );
        }
        for line in row.paste.iter().flat_map(|paste| paste.lines()) {
            indent(text, &format!("    > {line}"));
        }
    }
    text.push_str("keys\n");
    for key in &status.keys {
        let waits = key
            .waiting_for
            .as_deref()
            .map(|what| format!(", waits for {what}"))
            .unwrap_or_default();
        writeln!(
            text,
            "  {}/{} {} {:?}{waits}",
            key.sender, key.key, key.selector, key.stage
        )
        .unwrap();
    }
    text.push_str("findings\n");
    for finding in &status.findings {
        writeln!(text, "  {:?} {} {}", finding.severity, finding.id, finding.name).unwrap();
    }
}

/// Without a ledger nothing is ours, so whatever stood there must stand there still, or be remembered to be given back.
fn nothing_foreign_was_lost(setting: &Setting, course: &Course<'_>) {
    if !setting.written.is_empty() {
        return;
    }
    let after: BTreeSet<String> = course.zone.records().collect();
    let replaced: BTreeSet<String> = course
        .written
        .iter()
        .flat_map(|(key, entry)| entry.before.iter().map(move |before| (key, before)))
        .flat_map(|(key, before)| before.records.iter().map(move |raw| format!("{key} {raw}")))
        .collect();
    for record in setting.zone.records() {
        let given_over = setting.take_over().is_some() && record.starts_with("_maildomain.");
        let there = given_over || after.contains(&record);
        assert!(there || replaced.contains(&record), "lost: {record}");
    }
}
