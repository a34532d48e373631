//! The example of RFC 8463 appendix A, whole and changed in each way.

use std::collections::BTreeMap;

use super::*;
use crate::lookup::{Answer, Facts};
use crate::name::Name;
use crate::record::{Key, RecordType, Value};

const EXAMPLE: &str = include_str!("rfc8463.eml");
const ED25519: &str = "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
const RSA: &str = "v=DKIM1; k=rsa; p=MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDkHlOQoBTzWRiGs5V6NpP3idY6Wk08a5qhdR6wy5bdOKb2jLQiY/J16JYi0Qvx/byYzCNb3W91y3FutACDfzwQ/BC/e/8uBsCR+yz1Lxj+PL6lHvqMKrM3rG4hstT5QjvHO9PzoxZyVYLzBfO2EeC3Ip3G+2kryOTIKT+l/K4w3QIDAQAB";

/// Seconds since 1970, in November 2026.
const NOW: i64 = 1_795_824_000;

fn verdicts(text: &str) -> Vec<Result<(), &'static str>> {
    let message = Message::read(text.as_bytes()).unwrap();
    let keys = [ED25519, RSA];
    let signatures = message.signatures();
    assert_eq!(signatures.len(), 2);
    let pairs = signatures.iter().zip(keys);
    pairs.map(|(signature, key)| signature.verify(key, NOW)).collect()
}

#[test]
fn both_signatures_of_the_rfc_verify_with_any_line_ends() {
    assert_eq!(verdicts(EXAMPLE), [Ok(()), Ok(())]);
    assert_eq!(verdicts(&EXAMPLE.replace('\n', "\r\n")), [Ok(()), Ok(())]);
}

#[test]
fn each_change_is_named() {
    let body = "the body was changed on the way";
    let header = "the header was changed on the way, or another key signed it";
    for (from, to, ed25519, rsa) in [
        ("We lost", "We won", Err(body), Err(body)),
        ("Is dinner ready?", "Is lunch ready?", Err(header), Err(header)),
        // Relaxed: blanks at the ends of lines and more of them do not count.
        ("hungry yet?", "hungry  yet? ", Ok(()), Ok(())),
        ("Subject: Is", "SUBJECT:  Is", Ok(()), Ok(())),
        // A second From was signed against.
        (
            "From: Joe",
            "From: eve@evil.example\nFrom: Joe",
            Err(header),
            Err(header),
        ),
        (
            "a=rsa-sha256",
            "a=rsa-sha1",
            Ok(()),
            Err("it is of rsa-sha1, which receivers refuse (RFC 8301)"),
        ),
        (
            "t=1528637909; h=from : to :\n subject",
            "t=1528637909; x=1528637910; h=from : to :\n subject",
            Err("it has expired (x=)"),
            Ok(()),
        ),
        (
            "s=brisbane; t=",
            "s=brisbane; v=2; t=",
            Err("it is no tag list"),
            Ok(()),
        ),
    ] {
        assert!(EXAMPLE.contains(from), "{from}");
        assert_eq!(
            verdicts(&EXAMPLE.replacen(from, to, 1)),
            [ed25519, rsa],
            "{from} -> {to}"
        );
    }
}

#[test]
fn the_key_says_what_it_is_for() {
    let message = Message::read(EXAMPLE.as_bytes()).unwrap();
    let signature = &message.signatures()[0];
    for (key, why) in [
        (
            ED25519.replace("v=DKIM1;", "v=DKIM1; s=tlsrpt;"),
            "the key is not for mail (s=)",
        ),
        (
            ED25519.replace("v=DKIM1;", "v=DKIM1; h=sha1;"),
            "the key does not allow sha256 (h=)",
        ),
        ("v=DKIM1; p=".to_owned(), "the key is revoked"),
        (RSA.to_owned(), "the record holds no key of the signature's kind"),
    ] {
        assert_eq!(signature.verify(&key, NOW), Err(why), "{key}");
    }
    assert_eq!(
        signature.verify(&ED25519.replace("v=DKIM1;", "v=DKIM1; t=s;"), NOW),
        Ok(())
    );
}

fn judged(text: &str, records: &[(&str, &str)]) -> (String, Vec<String>) {
    let message = Message::read(text.as_bytes()).unwrap();
    let answer = |key: &Key| {
        let here = records.iter().filter(|(name, _)| *name == key.name.as_str());
        let values: std::collections::BTreeSet<Value> = here
            .filter(|_| key.record_type == RecordType::Txt)
            .map(|(_, text)| Value::Txt((*text).to_owned()))
            .collect();
        if values.is_empty() {
            return Answer::NxDomain { negative_ttl: 300 };
        }
        Answer::Records {
            values,
            aliases: Vec::new(),
            ttl: 300,
        }
    };
    let mut facts = Facts::new(BTreeMap::new());
    for _ in 0..10 {
        let account = judge(&message, &facts, None, NOW);
        let missing = facts.take_missing();
        if missing.is_empty() {
            let said = account.findings.iter();
            let said = said.map(|finding| format!("{:?} {}", finding.severity, finding.id));
            return (account.summary, said.collect());
        }
        for key in missing {
            let answer = answer(&key);
            facts.learn(key, answer);
        }
    }
    panic!("asks for ever");
}

#[test]
fn a_receivers_verdict_is_told() {
    let received = "Return-Path: <bounce@football.example.com>\nReceived: from mail.football.example.com ([198.41.0.4]) by mx.receiver.example\n";
    let keys = [
        ("brisbane._domainkey.football.example.com", ED25519),
        ("test._domainkey.football.example.com", RSA),
        ("football.example.com", "v=spf1 ip4:198.41.0.4 -all"),
        ("_dmarc.football.example.com", "v=DMARC1; p=reject"),
    ];
    let whole = format!("{received}{EXAMPLE}");
    let (summary, found) = judged(&whole, &keys);
    assert_eq!(
        summary,
        "From football.example.com; from 198.41.0.4, SPF pass at football.example.com; \
         DKIM brisbane._domainkey.football.example.com passes; DKIM test._domainkey.football.example.com passes"
    );
    assert_eq!(found, [""; 0]);
    // From another address SPF fails, and DKIM carries DMARC.
    assert_eq!(
        judged(&whole.replace("198.41.0.4", "198.41.0.9"), &keys).1,
        ["Fail message-spf"]
    );
    let changed = whole
        .replace("198.41.0.4", "198.41.0.9")
        .replace("We lost", "We won");
    assert_eq!(
        judged(&changed, &keys).1,
        [
            "Fail message-dkim",
            "Fail message-dkim",
            "Fail message-dmarc",
            "Fail message-spf"
        ]
    );
    let vendor = whole
        .replace("bounce@football.example.com", "bounce@vendor.example")
        .replace("We lost", "We won");
    let (_, found) = judged(
        &vendor,
        &[
            keys[0],
            keys[1],
            keys[3],
            ("vendor.example", "v=spf1 ip4:198.41.0.4 -all"),
        ],
    );
    assert_eq!(
        found,
        ["Fail message-dkim", "Fail message-dkim", "Fail message-dmarc"]
    );
}

#[test]
fn what_is_no_message_is_said() {
    assert_eq!(Message::read(b"").unwrap_err(), NoMessage::NoHeader);
    assert_eq!(
        Message::read(b"hello\r\n\r\nFrom: a@b.example").unwrap_err(),
        NoMessage::NoHeader
    );
    let many = "A: b\n".repeat(1_001);
    assert_eq!(
        Message::read(many.as_bytes()).unwrap_err(),
        NoMessage::TooManyFields
    );
    let mbox = Message::read(b"From joe Sat Nov 28\nFrom: joe@example.com\n\nx").unwrap();
    assert_eq!(mbox.from(), From::Domain(Name::parse("example.com").unwrap()));
}
