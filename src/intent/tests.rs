//! Specs as data: a sound one, then one mistake at a time.

use serde_json::{Value, json};

use super::{HostAt, KeySource, ReturnPath, parse};

fn sound() -> Value {
    json!({
        "domain": "example.com",
        "hosts": [
            {"name": "mail.example.com", "purpose": "Mail", "addresses": ["203.0.113.4", "2001:db8::4"]},
            {"name": "trk.example.com", "purpose": "MessageTracking", "target": "trk.vendor.example"},
        ],
        "receiving": {"mx": [{"host": "mail.example.com", "preference": 10}]},
        "senders": [
            {
                "name": "mta",
                "hosts": ["mail.example.com"],
                "egress": ["203.0.113.16/29"],
                "returnPath": {"domain": "bounce.example.com"},
                "spf": {"includes": ["_spf.example.net"]},
                "dkim": {"keys": [
                    {"name": "rsa", "generate": {"algorithm": "RSA"}},
                    {"name": "k1", "delegate": {"selector": "k1", "target": "k1._domainkey.vendor.example"}},
                ]},
            },
            {"name": "crm", "returnPath": {"vendor": true}},
        ],
        "dmarc": {"policy": "Reject", "aggregateReports": ["mailto:report@example.com"]},
        "bimi": {"logo": "https://example.com/logo.svg"},
    })
}

/// Sets the value at a JSON pointer; the last part may be new.
fn with(pointer: &str, value: Value) -> Value {
    let mut spec = sound();
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let target = spec.pointer_mut(parent).unwrap();
    match last.parse::<usize>() {
        Ok(index) => target[index] = value,
        Err(_) => target[last] = value,
    }
    spec
}

fn problems(spec: Value) -> Vec<String> {
    let spec = serde_json::from_value(spec).unwrap();
    parse(&spec)
        .err()
        .unwrap_or_default()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[track_caller]
fn refused(spec: Value, field: &str, word: &str) {
    let problems = problems(spec);
    assert!(
        problems.iter().any(|p| p.starts_with(field) && p.contains(word)),
        "expected {field} ... {word}, got {problems:#?}"
    );
}

#[test]
fn a_sound_spec_is_typed() {
    let intent = parse(&serde_json::from_value(sound()).unwrap()).unwrap();
    assert_eq!(intent.hosts[0].addresses().len(), 2);
    assert!(matches!(intent.hosts[1].at, HostAt::Alias(_)));
    assert_eq!(
        intent.senders[0].return_path.domain().unwrap().as_str(),
        "bounce.example.com"
    );
    assert_eq!(intent.senders[1].return_path, ReturnPath::Vendor);
    assert!(matches!(
        intent.senders[0].keys[0].source,
        KeySource::Generate { bits: 2048, .. }
    ));
    assert_eq!(
        intent.bimi.unwrap().record_name.as_str(),
        "default._bimi.example.com"
    );
    assert_eq!(intent.ttl, 3600);
}

#[test]
fn every_mistake_of_a_domain_or_host_names_its_field_and_the_fix() {
    refused(with("/domain", json!("localhost")), "spec.domain", "whole name");
    refused(with("/domain", json!("bücher.example")), "spec.domain", "A-label");
    refused(
        with("/hosts/0/name", json!("mail_1.example.com")),
        "spec.hosts[0].name",
        "underscore",
    );
    refused(
        with("/hosts/0/addresses", json!(["192.0.2.300"])),
        "spec.hosts[0].addresses[0]",
        "203.0.113.4",
    );
    refused(
        with("/hosts/0/addresses", json!(["192.0.2.1", "192.0.2.1"])),
        "spec.hosts[0].addresses[1]",
        "twice",
    );
    refused(
        with("/hosts/0/target", json!("a.example.com")),
        "spec.hosts[0]",
        "either addresses or target",
    );
    refused(
        with("/hosts/1/purpose", json!("Mail")),
        "spec.hosts[1]",
        "RFC 2181",
    );
    refused(
        with("/receiving/mx/0/preference", json!(70000)),
        "spec.receiving.mx[0].preference",
        "65535",
    );
}

#[test]
fn every_mistake_of_a_sender_or_policy_names_its_field_and_the_fix() {
    refused(
        with("/dmarc", json!({"policy": "Reject"})),
        "spec.dmarc.aggregateReports",
        "needed with policy",
    );
    refused(
        with("/senders/0/hosts", json!(["other.example.com"])),
        "spec.senders[0].hosts[0]",
        "declare it there",
    );
    refused(
        with("/senders/0/egress", json!(["203.0.113.17/29"])),
        "spec.senders[0].egress[0]",
        "first address",
    );
    refused(
        with(
            "/senders/0/returnPath",
            json!({"domain": "a.example.com", "vendor": true}),
        ),
        "spec.senders[0].returnPath",
        "vendor",
    );
    refused(
        with(
            "/senders/0/returnPath",
            json!({"domain": "example.com", "target": "u.vendor.example"}),
        ),
        "spec.senders[0].returnPath.target",
        "subdomain",
    );
    refused(
        with("/senders/0/spf/includes", json!(["a b"])),
        "spec.senders[0].spf.includes[0]",
        "a-z",
    );
    refused(
        with("/senders/0/dkim/selectorPrefix", json!("-x")),
        "spec.senders[0].dkim.selectorPrefix",
        "hyphen",
    );
    refused(
        with("/senders/0/dkim/keys/0", json!({"name": "rsa"})),
        "spec.senders[0].dkim.keys[0]",
        "exactly one of",
    );
    refused(
        with("/senders/0/dkim/keys/0/generate/bits", json!(1024)),
        "spec.senders[0].dkim.keys[0].generate.bits",
        "2048",
    );
    refused(
        with(
            "/senders/0/dkim/keys/0",
            json!({"name": "p", "publicKey": {"selector": "s", "value": "AAAAB3NzaC1yc2EAAAADAQABAAABAQDLWvAVr5k+4nneMRKhUeb/"}}),
        ),
        "spec.senders[0].dkim.keys[0].publicKey.value",
        "OpenSSH",
    );
    refused(
        with("/dmarc/aggregateReports", json!(["report@example.com"])),
        "spec.dmarc.aggregateReports[0]",
        "mailto:user@host",
    );
    refused(
        with("/bimi/logo", json!("http://example.com/logo.svg")),
        "spec.bimi.logo",
        "https://",
    );
}

#[test]
fn what_cannot_stand_in_a_record_is_refused() {
    refused(
        with("/bimi/logo", json!("https://example.com/a\nb")),
        "spec.bimi.logo",
        "without blanks",
    );
    let long = ["a"; 120].join(".");
    refused(with("/domain", json!(long)), "spec.domain", "no room");
    refused(
        with(
            "/senders/0/dkim/keys/1/delegate/selector",
            json!(["a"; 116].join(".")),
        ),
        "spec.senders[0].dkim.keys[1].selector",
        "longer than 253",
    );
}

#[test]
fn two_declarations_of_one_thing_are_refused() {
    refused(
        with("/hosts/1/name", json!("mail.example.com")),
        "spec.hosts",
        "twice",
    );
    refused(with("/senders/1/name", json!("mta")), "spec.senders", "twice");
    refused(
        with("/senders/0/dkim/keys/1/name", json!("rsa")),
        "spec.senders[].dkim.keys",
        "twice",
    );
}

#[test]
fn all_problems_are_told_at_once() {
    let mut spec = with("/hosts/0/addresses", json!(["x"]));
    spec["bimi"]["logo"] = json!("x");
    assert_eq!(
        problems(spec).len(),
        3,
        "the address, the sender's host that has none, the logo"
    );
}

#[test]
fn hostile_text_is_shown_short_and_without_control_characters() {
    let problems = problems(with(
        "/domain",
        json!(format!("a\n\u{1b}[31m{}", "x".repeat(500))),
    ));
    assert!(
        problems[0].len() < 300 && !problems[0].contains('\u{1b}'),
        "{problems:?}"
    );
}
