//! Zones and the findings and results that they must give, after the vectors of the fact sheet (V1 to V36).

use super::intent;
use super::zone::Zone;
use crate::api::Severity;
use crate::intent::Intent;
use crate::lookup::{Direct, Facts};
use crate::name::Name;
use crate::protocol::spf::{Burden, Client, PROTOCOL, SenderSpf, burden, check_host, sender_result};
use crate::protocol::{Declaration, Evidence, PolicyGate};

const DECLARED: &str = "
domain: example.com
hosts:
- {name: mail.example.com, purpose: Mail, addresses: [192.0.2.10]}
senders:
- {name: mta, hosts: [mail.example.com]}
";

/// What every vector has: the host, its HELO record, and vendors.
const AROUND: &str = r#"
mail.example.com A 192.0.2.10
mail.example.com TXT "v=spf1 a -all"
_spf.x.net TXT "v=spf1 ip4:192.0.2.10 ip4:198.51.100.0/24 -all"
_two.x.net TXT "v=spf1 -all"
_two.x.net TXT "v=spf1 ~all"
_dead.x.net TIMEOUT
"#;

fn with_evidence<T>(intent: &Intent, facts: &Facts, run: impl Fn(&Evidence<'_>) -> T) -> T {
    let declaration = Declaration {
        intent,
        keys: &[],
        policy_gate: PolicyGate::Released,
        private_zone: false,
    };
    run(&Evidence {
        declaration: &declaration,
        facts,
        direct: &Direct::default(),
    })
}

/// `F spf-single example.com` and so on, sorted; messages are measured on the way.
fn findings(intent: &Intent, zone: &Zone) -> Vec<String> {
    let mut findings = zone.settle(|facts| {
        with_evidence(intent, facts, |evidence| {
            PROTOCOL
                .checks
                .iter()
                .flat_map(|check| (check.run)(evidence))
                .collect::<Vec<_>>()
        })
    });
    findings.sort();
    findings.dedup();
    findings
        .iter()
        .map(|finding| {
            assert!(finding.message.len() <= 300, "{}", finding.message);
            let letter = match finding.severity {
                Severity::Fail => "F",
                Severity::Unknown => "U",
                Severity::Warn => "W",
                Severity::Info => "I",
            };
            format!("{letter} {} {}", finding.id, finding.name)
        })
        .collect()
}

/// One sender at 192.0.2.10 against a zone: SPF's result for it, and the findings.
fn check(lines: &str, result: &str, expected: &[&str]) {
    let zone = Zone::read(&format!("{AROUND}\n{lines}"));
    let client = Client {
        address: "192.0.2.10".parse().unwrap(),
        mail_from: "user@example.com".to_owned(),
        helo: "mail.example.com".to_owned(),
    };
    let domain = Name::parse("example.com").unwrap();
    let outcome = zone.settle(|facts| check_host(facts, &client, &domain));
    assert_eq!(outcome.result.to_string(), result, "{lines}: {}", outcome.reason);
    let found = findings(&intent(DECLARED), &zone);
    let found: Vec<&str> = found
        .iter()
        .map(|line| line.trim_end_matches(" example.com"))
        .collect();
    assert_eq!(found, expected, "{lines}");
}

fn apex(text: &str) -> String {
    format!("example.com TXT \"{text}\"")
}

#[test]
fn good_records_have_no_findings() {
    for text in [
        "v=spf1 ip4:192.0.2.10 -all",
        "v=spf1 include:mail.example.com -all",
        "v=spf1 a:mail.example.com -all",
        "V=SPF1 IP4:192.0.2.10 -ALL",
        "v=spf1  ip4:192.0.2.10   -all ",
        "v=spf1 include:_spf.x.net ~all",
    ] {
        check(&apex(text), "pass", &[]);
    }
}

#[test]
fn v1_an_include_of_a_host_without_a_record() {
    check(
        "plain.example.com A 192.0.2.10\nexample.com TXT \"v=spf1 include:plain.example.com -all\"\n\
         example.com TXT \"spf2.0/pra include:plain.example.com -all\"",
        "permerror",
        &["F spf-authorizes-senders", "F spf-include-target"],
    );
}

#[test]
fn v5_to_v10_one_record_and_its_version() {
    check(
        "example.com TXT \"v=spf1 a:mail.example.com -all\"\nexample.com TXT \"v=spf1 include:_spf.x.net ~all\"",
        "permerror",
        &["F spf-authorizes-senders", "F spf-single"],
    );
    let skipped = ["F spf-authorizes-senders", "F spf-present", "F spf-version-token"];
    check(&apex("v=spf10 a -all"), "none", &skipped);
    check(&apex("v=spf1; ip4:192.0.2.10 -all"), "none", &skipped);
    check(&apex(" v=spf1 ip4:192.0.2.10 -all"), "none", &skipped);
    check(
        r#"example.com TXT "\"v=spf1 ip4:192.0.2.10 -all\"""#,
        "none",
        &skipped,
    );
    check("", "none", &["F spf-authorizes-senders", "F spf-present"]);
}

#[test]
fn v13_to_v18_terms_that_are_wrong() {
    check(
        &apex("v=spf1 ip4=192.0.2.10 -all"),
        "fail",
        &["F spf-authorizes-senders", "F spf-mechanism-as-modifier"],
    );
    let malformed = ["F spf-authorizes-senders", "F spf-syntax"];
    check(&apex("v=spf1 ip:192.0.2.10 -all"), "permerror", &malformed);
    check(
        &apex(r"v=spf1 ip4:192.0.2.10 \226\128\147all"),
        "permerror",
        &malformed,
    );
    check(
        r#"example.com TXT "v=spf1 ip4:192.0.2.10" "include:_spf.x.net -all""#,
        "permerror",
        &malformed,
    );
    check(
        &apex(r"v=spf1 ip4:192.0.2.10 \226\128\147 all"),
        "permerror",
        &malformed,
    );
}

#[test]
fn v20_to_v24_how_records_end() {
    check(
        &apex("v=spf1 -all ip4:192.0.2.10"),
        "fail",
        &["F spf-authorizes-senders", "W spf-terminal"],
    );
    check(
        &apex("v=spf1 redirect=_spf.x.net ~all"),
        "softfail",
        &["F spf-authorizes-senders", "W spf-redirect-use"],
    );
    check(
        &apex("v=spf1 redirect=_spf.x.net"),
        "pass",
        &["W spf-redirect-use"],
    );
    check(
        &apex("v=spf1 ip4:192.0.2.9"),
        "neutral",
        &["F spf-authorizes-senders", "W spf-terminal"],
    );
    check(&apex("v=spf1 +all"), "pass", &["F spf-terminal"]);
    check(&apex("v=spf1 ip4:192.0.2.10 ?all"), "pass", &["W spf-terminal"]);
    check(
        &apex("v=spf1 redirect=a.example redirect=b.example"),
        "permerror",
        &["F spf-authorizes-senders", "F spf-redirect-use"],
    );
}

#[test]
fn v25_to_v29_the_budget_of_lookups() {
    let includes = |n| "include:_spf.x.net ".repeat(n);
    check(
        &apex(&format!("v=spf1 ip4:192.0.2.10 {}-all", includes(8))),
        "pass",
        &[],
    );
    for text in [
        format!("v=spf1 {}ip4:192.0.2.10 -all", includes(10)),
        format!("v=spf1 ip4:192.0.2.10 {}-all", includes(9)),
    ] {
        check(&apex(&text), "pass", &["W spf-lookup-limit"]);
    }
    let miss = "include:_miss.x.net ".repeat(11);
    check(
        &format!("_miss.x.net TXT \"v=spf1 -all\"\nexample.com TXT \"v=spf1 {miss}ip4:192.0.2.10 -all\""),
        "permerror",
        &["F spf-authorizes-senders", "F spf-lookup-limit"],
    );
    // V27: our own address matches early, everybody else gets permerror.
    check(
        &apex(&format!("v=spf1 ip4:192.0.2.10 {}-all", includes(11))),
        "pass",
        &["F spf-lookup-limit"],
    );
    let hosts: Vec<String> = (0..11)
        .map(|i| format!("example.com MX {i} mx{i}.x.net"))
        .collect();
    let hosts = hosts.join("\n");
    check(
        &format!("{hosts}\n{}", apex("v=spf1 mx -all")),
        "permerror",
        &["F spf-authorizes-senders", "F spf-lookup-limit"],
    );
}

#[test]
fn v30_and_v31_the_budget_of_voids() {
    let voids = |n| ["a:v0.x.net ", "a:v1.x.net ", "a:v2.x.net "][..n].concat();
    check(
        &apex(&format!("v=spf1 {}ip4:192.0.2.10 -all", voids(2))),
        "pass",
        &["W spf-void-limit"],
    );
    check(
        &apex(&format!("v=spf1 {}ip4:192.0.2.10 -all", voids(3))),
        "permerror",
        &["F spf-authorizes-senders", "F spf-void-limit"],
    );
    check(
        &apex(&format!("v=spf1 ip4:192.0.2.10 {}-all", voids(3))),
        "pass",
        &["F spf-void-limit"],
    );
}

#[test]
fn a_record_is_weighed_before_it_stands_anywhere() {
    let name = Name::parse("example.com").unwrap();
    let ask = |text: &str| Zone::read(AROUND).settle(|facts| burden(facts, &name, text));
    assert_eq!(
        ask("v=spf1 include:_spf.x.net a:mail.example.com -all"),
        Burden::Bearable
    );
    let includes = |n| format!("v=spf1 {}-all", "include:_spf.x.net ".repeat(n));
    assert_eq!(ask(&includes(10)), Burden::Bearable);
    assert_eq!(ask(&includes(11)), Burden::TooMany(11));
    // Too many are too many, whoever does not answer.
    assert_eq!(
        ask(&includes(11).replacen("_spf", "_dead", 1)),
        Burden::TooMany(11)
    );
    let silent = ask("v=spf1 include:_dead.x.net -all");
    assert!(
        matches!(&silent, Burden::Unknown(name, _) if name.as_str() == "_dead.x.net"),
        "{silent:?}"
    );
    for (text, expected) in [
        ("v=spf1 include:_two.x.net -all", "several SPF records"),
        ("v=spf1 include:_none.x.net -all", "does not exist"),
        ("v=spf1 a:v0.x.net a:v1.x.net a:v2.x.net -all", "find nothing"),
        ("v=spf1 ipv4:192.0.2.10 -all", "no term of SPF"),
    ] {
        let said = ask(text);
        assert!(
            matches!(&said, Burden::Broken(why) if why.contains(expected)),
            "{said:?}"
        );
    }
}

#[test]
fn v32_and_v33_targets_that_err_and_targets_that_are_silent() {
    let broken = ["F spf-authorizes-senders", "F spf-include-target"];
    check(&apex("v=spf1 include:_two.x.net -all"), "permerror", &broken);
    check(&apex("v=spf1 include:_none.x.net -all"), "permerror", &broken);
    check(
        &apex("v=spf1 include:example.com -all"),
        "permerror",
        &["F spf-authorizes-senders", "F spf-include-target"],
    );
    check(
        &apex("v=spf1 include:_dead.x.net -all"),
        "temperror",
        &[
            "U spf-authorizes-senders",
            "U spf-include-target",
            "U spf-lookup-limit",
        ],
    );
    check(
        "example.com TIMEOUT",
        "temperror",
        &["U spf-authorizes-senders", "U spf-present"],
    );
}

#[test]
fn broad_terms_reverse_names_and_macros_are_told() {
    check(&apex("v=spf1 ip4:192.0.2.10/8 -all"), "pass", &["F spf-breadth"]);
    check(&apex("v=spf1 ip4:192.0.2.10/15 -all"), "pass", &["W spf-breadth"]);
    check(
        &apex("v=spf1 ip4:192.0.2.10 ip4:192.168.0.4 -all"),
        "pass",
        &["W spf-breadth"],
    );
    check(
        &apex("v=spf1 ip4:192.0.2.10 a:mail.example.com/0 -all"),
        "pass",
        &["F spf-breadth"],
    );
    check(&apex("v=spf1 ip4:192.0.2.10 ptr -all"), "pass", &["W spf-ptr"]);
    check(
        &apex("v=spf1 ip4:192.0.2.10 exists:mail.example.com -all"),
        "pass",
        &["W spf-macro"],
    );
    check(
        &apex("v=spf1 ip4:192.0.2.10 foo=bar -all"),
        "pass",
        &["I spf-mechanism-as-modifier"],
    );
}

#[test]
fn v36_the_helo_host_has_a_record_that_passes_it() {
    let judge = |helo: &str, expected: &[&str]| {
        let zone = Zone::read(&format!(
            "mail.example.com A 192.0.2.10\nexample.com TXT \"v=spf1 ip4:192.0.2.10 -all\"\n{helo}"
        ));
        assert_eq!(findings(&intent(DECLARED), &zone), expected, "{helo}");
    };
    judge("mail.example.com TXT \"v=spf1 a -all\"", &[]);
    judge("", &["W spf-helo-record mail.example.com"]);
    judge(
        "mail.example.com TXT \"v=spf1 -all\"",
        &["F spf-helo-record mail.example.com"],
    );
    judge(
        "mail.example.com TIMEOUT",
        &["U spf-helo-record mail.example.com"],
    );
}

/// A sender's verdict in a world.
fn check_sender(yaml: &str, lines: &str, expected: SenderSpf) {
    let intent = intent(&format!("domain: example.com\n{yaml}"));
    let zone = Zone::read(&format!("{AROUND}\n{lines}"));
    let sender = &intent.senders[0];
    let result =
        zone.settle(|facts| with_evidence(&intent, facts, |evidence| sender_result(evidence, sender)));
    assert_eq!(result, expected, "{yaml}{lines}");
}

#[test]
fn senders_without_addresses_are_judged_by_structure() {
    let workspace = "senders: [{name: w, spf: {includes: [_spf.x.net]}}]";
    check_sender(
        workspace,
        &apex("v=spf1 include:_spf.x.net ~all"),
        SenderSpf::Pass,
    );
    check_sender(workspace, &apex("v=spf1 ip4:192.0.2.1 ~all"), SenderSpf::Fail);
    let dead = "senders: [{name: w, spf: {includes: [_dead.x.net]}}]";
    check_sender(dead, &apex("v=spf1 include:_dead.x.net ~all"), SenderSpf::Unknown);
    let bare = "senders: [{name: w}]";
    check_sender(bare, &apex("v=spf1 ~all"), SenderSpf::Fail);
}

#[test]
fn aliases_are_judged_where_they_lead_and_vendors_prove_nothing() {
    let alias = "senders: [{name: v, returnPath: {domain: bounce.example.com, target: rp.x.net}}]";
    check_sender(
        alias,
        "bounce.example.com CNAME rp.x.net\nrp.x.net TXT \"v=spf1 include:_spf.x.net -all\"",
        SenderSpf::Pass,
    );
    check_sender(alias, "bounce.example.com CNAME rp.x.net", SenderSpf::Fail);
    check_sender(
        "senders: [{name: v, returnPath: {vendor: true}}]",
        "",
        SenderSpf::Fail,
    );
}

#[test]
fn both_ends_of_a_range_are_asked() {
    let nat = "senders: [{name: nat, egress: [198.51.100.0/24, '2001:db8::/32']}]";
    check_sender(
        nat,
        &apex("v=spf1 include:_spf.x.net ip6:2001:db8::/32 ~all"),
        SenderSpf::Pass,
    );
    check_sender(
        nat,
        &apex("v=spf1 ip4:198.51.100.0/25 ip6:2001:db8::/32 ~all"),
        SenderSpf::Fail,
    );
}

#[test]
fn nothing_is_concluded_before_anything_was_asked() {
    let intent = intent(DECLARED);
    let facts = Facts::default();
    let severities: Vec<Severity> = with_evidence(&intent, &facts, |evidence| {
        PROTOCOL
            .checks
            .iter()
            .flat_map(|check| (check.run)(evidence))
            .map(|finding| finding.severity)
            .collect()
    });
    assert!(!severities.is_empty() && severities.iter().all(|severity| *severity == Severity::Unknown));
}

#[test]
fn a_round_asks_several_questions_at_once() {
    let domain = Name::parse("example.com").unwrap();
    let mut facts = Facts::default();
    let client = Client {
        address: "192.0.2.99".parse().unwrap(),
        mail_from: String::new(),
        helo: "mail.example.com".to_owned(),
    };
    check_host(&facts, &client, &domain);
    let key = facts.take_missing().into_iter().next().unwrap();
    let text = "v=spf1 a:a.x.net include:b.x.net mx:c.x.net exists:%{i}.x.net -all".to_owned();
    facts.learn(
        key,
        crate::lookup::Answer::Records {
            values: [crate::record::Value::Txt(text)].into(),
            aliases: Vec::new(),
            ttl: 60,
        },
    );
    check_host(&facts, &client, &domain);
    assert_eq!(facts.take_missing().len(), 4);
}

#[test]
fn a_record_that_a_message_cannot_hold_is_not_cut() {
    let long = "v=spf1 ip4:198.51.100.200 ".to_owned()
        + &"ip4:198.51.100.201 ".repeat(3)
        + "include:a.very.long.name.of.a.vendor.example ";
    let merged = |count: usize| {
        let other: Vec<String> = (0..count)
            .map(|i| format!("ip4:203.0.113.{} ", 100 + i))
            .collect();
        let other = other.concat();
        let zone = Zone::read(&format!(
            "{AROUND}\n{}\n{}",
            apex(&format!("{long}-all")),
            apex(&format!("v=spf1 {other}~all"))
        ));
        let intent = intent(DECLARED);
        let found = zone.settle(|facts| {
            with_evidence(&intent, facts, |evidence| {
                PROTOCOL
                    .checks
                    .iter()
                    .flat_map(|check| (check.run)(evidence))
                    .collect::<Vec<_>>()
            })
        });
        found
            .into_iter()
            .find(|finding| finding.id == "spf-single")
            .unwrap()
            .message
    };
    assert!(
        merged(1).contains("ip4:203.0.113.100") && merged(1).ends_with("all\""),
        "{}",
        merged(1)
    );
    assert!(merged(20).ends_with("(too long to show here)"), "{}", merged(20));
}
