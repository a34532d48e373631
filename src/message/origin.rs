//! Who a message says that it is from, and from where it came.

use std::net::IpAddr;

use super::Message;
use crate::cidr::Cidr;
use crate::name::Name;

/// The domain of the From field (RFC 9989 section 4.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// One.
    Domain(Name),
    /// There is no From field, more than one, or one with addresses of several domains.
    Unusable(&'static str),
}

/// How the message was handed over, as far as the receiver wrote it into the header.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The address that connected.
    pub address: Option<IpAddr>,
    /// What it greeted with.
    pub helo: Option<String>,
    /// MAIL FROM; `Some("")` is the empty one, of bounces.
    pub mail_from: Option<String>,
}

impl Envelope {
    /// The domain of MAIL FROM.
    pub fn return_path(&self) -> Option<Name> {
        domain_of(self.mail_from.as_ref()?)
    }
}

impl Message {
    /// The domain in From.
    pub fn from(&self) -> From {
        let values: Vec<String> = self.values("from").collect();
        let [value] = values.as_slice() else {
            return From::Unusable(if values.is_empty() {
                "it has no From field"
            } else {
                "it has more than one From field"
            });
        };
        let mut domains: Vec<Name> = Vec::new();
        for address in addresses(value) {
            let Some(domain) = domain_of(&address) else {
                return From::Unusable("its From field holds no address that can be read");
            };
            if !domains.contains(&domain) {
                domains.push(domain);
            }
        }
        match domains.as_slice() {
            [domain] => From::Domain(domain.clone()),
            [] => From::Unusable("its From field holds no address that can be read"),
            _ => From::Unusable("its From field holds addresses of several domains"),
        }
    }

    /// How it was handed over: from `Received-SPF` (RFC 7208 section 9.1) or else from the first `Received` field with an
    /// address of the Internet, which the receiver's own border wrote. What lies below was written by others.
    pub fn envelope(&self) -> Envelope {
        let mut envelope = Envelope::default();
        if let Some(said) = self.values("received-spf").next() {
            let value = |key: &str| pair(&said, key);
            envelope.address = value("client-ip").and_then(|text| text.parse().ok());
            envelope.helo = value("helo");
            envelope.mail_from = value("envelope-from");
        }
        if envelope.address.is_none() {
            let hop = self.values("received").find_map(|hop| hop_of(&hop));
            if let Some((helo, address)) = hop {
                envelope.address = Some(address);
                envelope.helo = helo.or(envelope.helo);
            }
        }
        let return_path = self.values("return-path").next();
        if let Some(return_path) = return_path {
            let text = return_path.trim();
            let inner = text.strip_prefix('<').and_then(|text| text.strip_suffix('>'));
            envelope.mail_from = Some(inner.unwrap_or(text).to_owned());
        }
        envelope
    }
}

/// The value of `key=value` in a list with semicolons; quotation marks and angle brackets around it go.
fn pair(text: &str, key: &str) -> Option<String> {
    let words = text.split(|c: char| c == ';' || c.is_whitespace());
    let value = words
        .filter_map(|word| word.split_once('='))
        .find_map(|(name, value)| {
            let is_it = name.trim_start_matches('(').eq_ignore_ascii_case(key);
            is_it.then_some(value)
        })?;
    Some(value.trim_matches(['"', '<', '>', '(', ')']).to_owned())
}

/// Networks inside of receivers, from which no message comes to them.
const INSIDE: [&str; 8] = [
    "10.0.0.0/8",
    "100.64.0.0/10",
    "127.0.0.0/8",
    "169.254.0.0/16",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "::1/128",
    "fc00::/7",
];

/// `from HELO (NAME [ADDRESS]) by ...`.
fn hop_of(text: &str) -> Option<(Option<String>, IpAddr)> {
    let from = text
        .strip_prefix("from ")
        .or_else(|| text.strip_prefix("From "))?;
    let from = from.split(" by ").next()?;
    let address = from.split(['[', ']', '(', ')', ' ']).find_map(|word| {
        let word = word.strip_prefix("IPv6:").unwrap_or(word);
        word.parse::<IpAddr>().ok()
    })?;
    let inside = INSIDE
        .iter()
        .filter_map(|range| range.parse::<Cidr>().ok())
        .any(|range| range.contains(address));
    let helo = from.split_whitespace().next().map(str::to_owned);
    (!inside).then_some((helo, address))
}

/// The addresses of a From field: comments, names and brackets taken off (RFC 5322 section 3.4).
fn addresses(value: &str) -> Vec<String> {
    let mut plain = String::new();
    let (mut depth, mut quoted, mut escaped) = (0_usize, false, false);
    for c in value.chars() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' if depth == 0 => quoted = !quoted,
            '(' if !quoted => depth += 1,
            ')' if !quoted => depth = depth.saturating_sub(1),
            _ if quoted || depth > 0 => {}
            _ => plain.push(c),
        }
    }
    plain
        .split(',')
        .map(|part| {
            let inner = part.split_once('<').and_then(|(_, rest)| rest.split_once('>'));
            inner.map_or(part, |(address, _)| address).trim().to_owned()
        })
        .filter(|address| !address.is_empty())
        .collect()
}

fn domain_of(address: &str) -> Option<Name> {
    let (_, domain) = address.trim().rsplit_once('@')?;
    Name::parse_host(domain).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::read(format!("{text}\n\nx\n").as_bytes()).unwrap()
    }

    #[test]
    fn the_domain_of_from_is_found_behind_names_and_comments() {
        let domain = |text: &str| match message(&format!("From: {text}")).from() {
            From::Domain(name) => name.to_string(),
            From::Unusable(why) => why.to_owned(),
        };
        for (text, expected) in [
            ("joe@Example.com", "example.com"),
            ("Joe <joe@example.com>", "example.com"),
            ("\"a@b.example, <x@y.example>\" <joe@example.com>", "example.com"),
            ("joe@example.com (x@y.example)", "example.com"),
            ("a@example.com, b@example.com", "example.com"),
            (
                "a@example.com, b@other.example",
                "its From field holds addresses of several domains",
            ),
            ("nobody", "its From field holds no address that can be read"),
        ] {
            assert_eq!(domain(text), expected, "{text}");
        }
        assert_eq!(
            message("To: a@b.example").from(),
            From::Unusable("it has no From field")
        );
        let two = message("From: a@b.example\nFrom: c@d.example");
        assert_eq!(two.from(), From::Unusable("it has more than one From field"));
    }

    #[test]
    fn the_border_of_the_receiver_is_found() {
        let of = |text: &str| {
            let envelope = message(text).envelope();
            let part = |part: Option<String>| part.unwrap_or_else(|| "-".to_owned());
            let address = envelope.address.map(|address| address.to_string());
            [part(address), part(envelope.helo), part(envelope.mail_from)].join(" ")
        };
        assert_eq!(
            of("Return-Path: <bounce@example.com>\n\
                Received: from store (store.inside [10.1.2.3]) by box.inside; Sat, 28 Nov 2026 00:00:00 +0000\n\
                Received: from mail.example.com (mail.example.com. [198.41.0.4])\n        by mx.receiver.example with ESMTPS id 1\n\
                Received: from laptop ([198.41.9.9]) by mail.example.com"),
            "198.41.0.4 mail.example.com bounce@example.com"
        );
        assert_eq!(
            of(
                "Received-SPF: pass (x) client-ip=2001:db8::4; envelope-from=\"a@example.com\"; helo=mail.example.com;"
            ),
            "2001:db8::4 mail.example.com a@example.com"
        );
        assert_eq!(
            of("Received: from mail.example.com ([IPv6:2001:db8::4]) by mx.receiver.example"),
            "2001:db8::4 mail.example.com -"
        );
        assert_eq!(of("Return-Path: <>\nReceived: by 2002:a05 with SMTP"), "- - ");
    }
}
