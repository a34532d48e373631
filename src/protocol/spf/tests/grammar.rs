//! Grammar, hints and spans.

use crate::protocol::spf::parse::{is_near_miss, parse};

fn check(text: &str, canonical: &str) {
    assert_eq!(parse(text).unwrap().to_string(), canonical);
}

#[test]
fn records_print_canonically() {
    check("V=SPF1 IP4:192.0.2.10/24 -ALL", "v=spf1 ip4:192.0.2.0/24 -all");
    check("v=spf1  a   mx:e.example/24//64 ", "v=spf1 a mx:e.example/24//64");
    check(
        "v=spf1 exists:%{i3R.-}.%%x.%{d2} redirect=_spf.%{o} x=1",
        "v=spf1 exists:%{i3r.-}.%%x.%{d2} redirect=_spf.%{o} x=1",
    );
    check(
        "v=spf1 ptr ?include:e.example. exp=%{d}",
        "v=spf1 ptr ?include:e.example. exp=%{d}",
    );
}

#[test]
fn each_mistake_gets_a_span_and_a_hint() {
    for (term, hint) in [
        ("ip:192.0.2.1", "write `ip4:192.0.2.1`"),
        ("ipv4:192.0.2.1", "write `ip4:192.0.2.1`"),
        ("ipv6:2001:db8::1", "write `ip6:2001:db8::1`"),
        ("ip4:2001:db8::1", "write `ip6:2001:db8::1`"),
        ("a:192.0.2.1", "write `ip4:192.0.2.1`"),
        ("192.0.2.1", "write `ip4:192.0.2.1`"),
        ("mail.example.com", "write `a:mail.example.com`"),
        ("-", "no blank"),
        ("-all;", "semicolon"),
        ("ip4:192.0.2.1,ip4:192.0.2.2", "commas"),
        ("ip4:192.0.2.1/33", "0 to 32"),
        ("ip4:192.0.2.1/024", "0 to 32"),
        ("ip6:2001:db8::/129", "0 to 128"),
        ("include:https://x.example/", "web address"),
        ("\u{e2}\u{80}\u{93}all", "ASCII"),
        ("redirect:x.example", "redirect=x.example"),
        ("include:x", "only one label"),
        ("include", "needs a colon"),
        ("exists:%{z}.x.example", "macro"),
        ("exists:%{d0}.x.example", "above 0"),
        ("ip4:192.0.2.10include:_spf.x.net", "blank is missing"),
        ("all:x", "nothing behind"),
        ("\"a\"", "quote"),
        ("moo", "no such mechanism"),
    ] {
        let errors = parse(&format!("v=spf1 a {term} mx")).unwrap_err();
        assert_eq!(errors.len(), 1, "{term}: {errors:?}");
        assert_eq!(errors[0].span, 9..9 + term.len(), "{term}");
        assert!(errors[0].hint.contains(hint), "{term}: {}", errors[0].hint);
    }
}

#[test]
fn a_modifier_repeated_is_told_apart() {
    let errors = parse("v=spf1 redirect=a.example redirect=b.example").unwrap_err();
    assert!(errors.len() == 1 && errors[0].repeated, "{errors:?}");
}

#[test]
fn texts_that_were_meant_to_be_spf_are_near_misses() {
    for text in [
        " v=spf1 -all",
        "v=spf10 a",
        "v=spf1; a",
        "v=spf1\ta",
        "\"v=spf1 -all\"",
        "spf=1 a",
        "v=spf2 a",
        "v = spf1 a",
    ] {
        assert!(is_near_miss(text), "{text}");
    }
    for text in [
        "v=spf1 -all",
        "v=spf1",
        "spf2.0/pra a -all",
        "v=DMARC1; p=none",
        "",
    ] {
        assert!(!is_near_miss(text), "{text}");
    }
}
