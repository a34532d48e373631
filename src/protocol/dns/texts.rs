//! Texts as they are stored: what web forms and scripts do to them on the way.

use crate::api::Severity;
use crate::finding::{Finding, Gate};
use crate::name::Name;
use crate::protocol::tag_list::shown;
use crate::protocol::{Check, Evidence};
use crate::record::{RecordType, character_strings};

pub(super) const ENCODING: Check = Check {
    id: "dns-txt-encoding",
    title: "texts are stored bare and in ASCII",
    source: "RFC 7208 section 3.1, RFC 1035 section 5.1",
    gate: Gate::Nothing,
    run: encoding,
};

pub(super) const STRINGS: Check = Check {
    id: "dns-txt-strings",
    title: "no blank is lost where a text is split",
    source: "RFC 7208 section 3.3",
    gate: Gate::Nothing,
    run: strings,
};

pub(super) const SIZE: Check = Check {
    id: "dns-response-size",
    title: "answers fit into one datagram",
    source: "RFC 7208 section 3.4, RFC 9715 section 3.1",
    gate: Gate::Nothing,
    run: size,
};

/// The texts of the mail protocols, and where they stand.
fn texts(evidence: &Evidence<'_>) -> Vec<(Name, String)> {
    let intent = evidence.declaration.intent;
    let at = |name: Name| {
        let texts = evidence.facts.ask(&name, RecordType::Txt).texts();
        let texts = texts.unwrap_or_default().into_iter();
        texts.map(move |text| (name.clone(), text)).collect::<Vec<_>>()
    };
    // Names of domains hold texts of all kinds; those of others are not ours to judge.
    let is_spf = |(_, text): &(Name, String)| text.to_ascii_lowercase().contains("spf");
    let domains = super::mail_domains(intent).into_iter().cloned();
    let own = intent.domain.child("_dmarc").into_iter();
    let bimi = intent.bimi.iter().map(|bimi| bimi.record_name.clone());
    let exclusive = own.chain(bimi).chain(super::selectors(evidence));
    domains
        .flat_map(at)
        .filter(is_spf)
        .chain(exclusive.flat_map(at))
        .collect()
}

fn encoding(evidence: &Evidence<'_>) -> Vec<Finding> {
    let judge = |(name, text): (Name, String)| {
        let (what, position) = odd(&text)?;
        let message = format!(
            "The text at {name} holds {what} at position {position}: it was pasted from a page or with the quotation of a zone file. Store the bare text, {} without it.",
            shown(&text)
        );
        Some(ENCODING.finding(Severity::Fail, name, message))
    };
    texts(evidence).into_iter().filter_map(judge).collect()
}

/// Octets that stand for more than one character of ASCII, as they come out of word processors.
const PASTED: &[(&str, &str)] = &[
    ("\u{e2}\u{80}\u{93}", "an en dash"),
    ("\u{e2}\u{80}\u{94}", "an em dash"),
    ("\u{e2}\u{80}\u{98}", "a typographic quotation mark"),
    ("\u{e2}\u{80}\u{99}", "a typographic quotation mark"),
    ("\u{e2}\u{80}\u{9c}", "a typographic quotation mark"),
    ("\u{e2}\u{80}\u{9d}", "a typographic quotation mark"),
    ("\u{e2}\u{80}\u{8b}", "a blank of no width"),
    ("\u{ef}\u{bb}\u{bf}", "a byte order mark"),
    ("\u{c2}\u{a0}", "a no-break space"),
];

/// What does not belong into a text, and at which character, counted from 1.
fn odd(text: &str) -> Option<(&'static str, usize)> {
    let position = |byte: usize| text.get(..byte).map_or(1, |head| head.chars().count() + 1);
    let at = |found: Option<usize>, what| found.map(|byte| (what, position(byte)));
    let quotes = ['"', '\''];
    let pasted = PASTED
        .iter()
        .find_map(|(octets, what)| at(text.find(octets), *what));
    pasted
        .or_else(|| at(text.find("\" \""), "quotation marks"))
        .or_else(|| text.starts_with(quotes).then_some(("a quotation mark", 1)))
        .or_else(|| {
            let end = text.chars().count();
            text.ends_with(quotes).then_some(("a quotation mark", end))
        })
        .or_else(|| at(text.find("\\;"), "a backslash"))
        .or_else(|| at(text.find('\t'), "a tab"))
        .or_else(|| at(text.find(|c: char| c.is_ascii_control()), "a control character"))
        .or_else(|| at(text.find(|c: char| !c.is_ascii()), "a character outside ASCII"))
}

/// How terms begin that no other term can hold inside.
const BEGINNINGS: [&str; 5] = ["include:", "ip4:", "ip6:", "exists:", "redirect="];
const ENDINGS: [&str; 3] = ["-all", "~all", "?all"];

fn strings(evidence: &Evidence<'_>) -> Vec<Finding> {
    let judge = |(name, text): (Name, String)| {
        let (term, at) = text.split(' ').find_map(|term| Some((term, fused(term)?)))?;
        let (head, tail) = term.split_at_checked(at)?;
        let message = format!(
            "At {name} two words have become one, {}: a blank was lost where the text was split into strings of 255. Write {} and {} with a blank between them; strings are joined with nothing between.",
            shown(term),
            shown(head),
            shown(tail)
        );
        Some(STRINGS.finding(Severity::Fail, name, message))
    };
    let is_spf = |(_, text): &(Name, String)| text.to_ascii_lowercase().starts_with("v=spf1");
    let texts = texts(evidence).into_iter();
    texts.filter(is_spf).filter_map(judge).collect()
}

/// Where a second term begins inside one.
fn fused(term: &str) -> Option<usize> {
    let term = term.to_ascii_lowercase();
    let begins = |word: &str| {
        let at = term.find(word)?;
        // A qualifier before it belongs to it.
        let qualified = at > 0
            && term
                .as_bytes()
                .get(at - 1)
                .is_some_and(|octet| b"+-~?".contains(octet));
        let start = at - usize::from(qualified);
        (start > 0).then_some(start)
    };
    let ends = |word: &str| {
        let head = term.strip_suffix(word)?;
        // `v=spf1-all`, `ip4:192.0.2.1-all`; the `%{d}` of a macro ends in a brace and is left alone.
        head.ends_with(|c: char| c.is_ascii_alphanumeric())
            .then_some(head.len())
    };
    BEGINNINGS
        .iter()
        .find_map(|word| begins(word))
        .or_else(|| ENDINGS.iter().find_map(|word| ends(word)))
}

/// What fits into a datagram that is not cut into pieces on the way, and what every resolver took before EDNS.
const DATAGRAM: usize = 1232;
const PLAIN: usize = 512;

fn size(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let domains = super::mail_domains(intent).into_iter().cloned();
    let names = domains.chain(super::selectors(evidence));
    let judge = |name: Name| {
        let texts = evidence.facts.ask(&name, RecordType::Txt).texts().ok()?;
        let octets = octets(&name, &texts);
        let severity = match octets {
            0..=PLAIN => return None,
            octets if octets <= DATAGRAM => Severity::Info,
            _ => Severity::Warn,
        };
        let message = format!(
            "The {} texts at {name} make an answer of {octets} octets, which {}. Move what does not belong to mail elsewhere, or shorten the record.",
            texts.len(),
            if severity == Severity::Warn {
                "needs TCP, and some receivers never ask that way"
            } else {
                "is more than the 512 that are sure to arrive"
            }
        );
        Some(SIZE.finding(severity, name, message))
    };
    names.filter_map(judge).collect()
}

/// The octets of an answer: header, question, EDNS, and each record with its owner compressed (RFC 1035 section 4.1).
fn octets(name: &Name, texts: &[String]) -> usize {
    let record = |text: &String| {
        let strings = character_strings(text);
        12 + strings.iter().map(|string| 1 + string.len()).sum::<usize>()
    };
    12 + name.as_str().len() + 2 + 4 + 11 + texts.iter().map(record).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pasted_is_named_where_it_stands() {
        for (text, expected) in [
            ("v=spf1 ip4:192.0.2.1 -all", None),
            ("\"v=spf1 -all\"", Some(("a quotation mark", 1))),
            ("v=spf1 \u{e2}\u{80}\u{93} all", Some(("an en dash", 8))),
            ("v=DMARC1\\; p=none", Some(("a backslash", 9))),
            ("v=DKIM1; p=AB\" \"CD", Some(("quotation marks", 14))),
            ("v=spf1\t-all", Some(("a tab", 7))),
            ("caf\u{c3}\u{a9}", Some(("a character outside ASCII", 4))),
        ] {
            assert_eq!(odd(text), expected, "{text}");
        }
    }

    #[test]
    fn words_that_lost_their_blank_are_found_and_no_others() {
        for (term, expected) in [
            ("ip4:192.0.2.10include:_spf.x.net", Some(14)),
            ("include:_spf.x.net-all", Some(18)),
            ("a:mail.example.com~include:x.net", Some(18)),
            ("v=spf1~all", Some(6)),
            ("include:ip4.example.com", None),
            ("-include:x.net", None),
            ("exists:%{i}.spf.example.com", None),
            ("redirect=_spf.example.com", None),
            ("-all", None),
            ("include:call-all.example", None),
        ] {
            assert_eq!(fused(term), expected, "{term}");
        }
    }

    #[test]
    fn an_answer_is_as_long_as_on_the_wire() {
        // standards.md 3.1: an RSA key of 2048 bits takes about 473 octets.
        let name = Name::parse("m2611a._domainkey.example.com").unwrap();
        let octets = octets(&name, &["k".repeat(410)]);
        assert!((465..=485).contains(&octets), "{octets}");
    }
}
