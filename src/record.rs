//! DNS records as typed values, grouped into RRsets.
//!
//! A [`Value`] keeps the logical content; each publisher encodes it for its own API. A new record type is one
//! variant here and then refuses to compile until every encoder handles it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use crate::name::Name;

/// The record types that this operator writes and reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// IPv4 address, RFC 1035.
    A,
    /// IPv6 address, RFC 3596.
    Aaaa,
    /// Alias, RFC 1035.
    Cname,
    /// Mail exchange, RFC 1035 and RFC 7505.
    Mx,
    /// Reverse name, RFC 1035.
    Ptr,
    /// Text, RFC 1035 section 3.3.14.
    Txt,
    /// Type 99, which RFC 7208 section 3.1 gave up: only ever looked for. Its values are texts.
    Spf,
}

impl RecordType {
    /// Every type that is written and read, in the order of the enum.
    pub const ALL: [Self; 6] = [Self::A, Self::Aaaa, Self::Cname, Self::Mx, Self::Ptr, Self::Txt];

    /// The mnemonic that zone files use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ptr => "PTR",
            Self::Txt => "TXT",
            Self::Spf => "SPF",
        }
    }

    /// The type with this mnemonic, if it is one that is written and read.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|t| t.as_str().eq_ignore_ascii_case(text))
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The content of one record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Value {
    /// An IPv4 address.
    A(Ipv4Addr),
    /// An IPv6 address.
    Aaaa(Ipv6Addr),
    /// The canonical name.
    Cname(Name),
    /// A mail exchange.
    Mx {
        /// Lower is tried first.
        preference: u16,
        /// `None` is the null MX, `0 .` (RFC 7505).
        exchange: Option<Name>,
    },
    /// The name of an address.
    Ptr(Name),
    /// The logical text: the character-strings of one record joined with nothing between them
    /// (RFC 7208 section 3.3). Bytes above 0x7f are held as the characters U+0080 to U+00FF.
    Txt(String),
}

impl Value {
    /// The type of this value.
    pub fn record_type(&self) -> RecordType {
        match self {
            Self::A(_) => RecordType::A,
            Self::Aaaa(_) => RecordType::Aaaa,
            Self::Cname(_) => RecordType::Cname,
            Self::Mx { .. } => RecordType::Mx,
            Self::Ptr(_) => RecordType::Ptr,
            Self::Txt(_) => RecordType::Txt,
        }
    }

    /// Reads presentation format, as `Display` writes it; names with or without the trailing dot.
    pub fn parse(record_type: RecordType, text: &str) -> Option<Self> {
        Some(match record_type {
            RecordType::A => Self::A(text.parse().ok()?),
            RecordType::Aaaa => Self::Aaaa(text.parse().ok()?),
            RecordType::Cname => Self::Cname(Name::parse(text).ok()?),
            RecordType::Ptr => Self::Ptr(Name::parse(text).ok()?),
            RecordType::Txt | RecordType::Spf => Self::Txt(unquoted(text)?),
            RecordType::Mx => {
                let (preference, host) = text.split_once(' ')?;
                let exchange = if host.trim() == "." {
                    None
                } else {
                    Some(Name::parse(host.trim()).ok()?)
                };
                Self::Mx {
                    preference: preference.parse().ok()?,
                    exchange,
                }
            }
        })
    }

    /// The text of a TXT value.
    pub fn as_txt(&self) -> Option<&str> {
        match self {
            Self::Txt(text) => Some(text),
            Self::A(_) | Self::Aaaa(_) | Self::Cname(_) | Self::Mx { .. } | Self::Ptr(_) => None,
        }
    }
}

impl fmt::Display for Value {
    /// Presentation format (RFC 1035 section 5.1): names with trailing dot, text quoted and split at 255 octets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(address) => address.fmt(f),
            Self::Aaaa(address) => address.fmt(f),
            Self::Cname(name) | Self::Ptr(name) => write!(f, "{name}."),
            Self::Mx {
                preference,
                exchange: Some(host),
            } => write!(f, "{preference} {host}."),
            Self::Mx {
                preference,
                exchange: None,
            } => write!(f, "{preference} ."),
            Self::Txt(text) => f.write_str(&quoted(text)),
        }
    }
}

/// Splits a text into character-strings of at most 255 octets (RFC 1035 section 3.3).
pub fn character_strings(text: &str) -> Vec<Vec<u8>> {
    let octets: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?'))
        .collect();
    if octets.is_empty() {
        return vec![Vec::new()];
    }
    octets.chunks(255).map(<[u8]>::to_vec).collect()
}

/// The presentation form of a TXT value: `"..." "..."`, with `"` and `\` escaped and other octets outside
/// printable ASCII as `\DDD` (RFC 1035 section 5.1).
pub fn quoted(text: &str) -> String {
    let strings: Vec<String> = character_strings(text)
        .iter()
        .map(|octets| {
            let mut out = String::from("\"");
            for &octet in octets {
                match octet {
                    b'"' | b'\\' => {
                        out.push('\\');
                        out.push(char::from(octet));
                    }
                    0x20..=0x7e => out.push(char::from(octet)),
                    _ => out.push_str(&format!("\\{octet:03}")),
                }
            }
            out.push('"');
            out
        })
        .collect();
    strings.join(" ")
}

/// Reads the presentation form of a TXT value back into its logical text; accepts unquoted words too.
/// `None` when a quote or an escape is left open.
pub fn unquoted(presentation: &str) -> Option<String> {
    let mut text = String::new();
    let mut inside = false;
    let mut bytes = presentation.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => inside = !inside,
            b'\\' => {
                let first = bytes.next()?;
                if first.is_ascii_digit() {
                    let digits = [first, bytes.next()?, bytes.next()?];
                    let code: u16 = std::str::from_utf8(&digits).ok()?.parse().ok()?;
                    text.push(char::from(u8::try_from(code).ok()?));
                } else {
                    text.push(char::from(first));
                }
            }
            b' ' | b'\t' if !inside => {}
            other => text.push(char::from(other)),
        }
    }
    (!inside).then_some(text)
}

/// Which RRset: an owner name and a type.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Owner name.
    pub name: Name,
    /// Record type.
    pub record_type: RecordType,
}

impl Key {
    /// The RRset of this type at this name.
    pub fn new(name: Name, record_type: RecordType) -> Self {
        Self { name, record_type }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.record_type)
    }
}

/// A sorted set of values of one type.
pub type Values = BTreeSet<Value>;

/// RRsets by name and type.
pub type Records = BTreeMap<Key, Values>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_text_is_split_at_255_octets_and_read_back() {
        let text = "k".repeat(255) + " \"q\" \\ ;";
        let shown = quoted(&text);
        assert!(shown.contains("k\" \" \\\"q"), "{shown}");
        assert_eq!(unquoted(&shown), Some(text));
    }

    #[test]
    fn octets_outside_ascii_survive() {
        let text = "caf\u{c3}\u{a9}";
        assert_eq!(quoted(text), "\"caf\\195\\169\"");
        assert_eq!(unquoted("\"caf\\195\\169\""), Some(text.to_owned()));
    }

    #[test]
    fn an_open_quote_is_not_a_text() {
        assert_eq!(unquoted("\"abc"), None);
        assert_eq!(unquoted("\"abc\\"), None);
    }

    #[test]
    fn values_are_read_back_from_what_they_print() {
        for (kind, text) in [
            (RecordType::A, "203.0.113.4"),
            (RecordType::Aaaa, "2001:db8::4"),
            (RecordType::Cname, "a.example.com."),
            (RecordType::Ptr, "mail.example.com."),
            (RecordType::Mx, "10 mail.example.com."),
            (RecordType::Mx, "0 ."),
            (RecordType::Txt, "\"v=spf1 -all\""),
        ] {
            assert_eq!(
                Value::parse(kind, text).map(|value| value.to_string()).as_deref(),
                Some(text)
            );
        }
        assert_eq!(Value::parse(RecordType::Mx, "mail.example.com"), None);
    }

    #[test]
    fn null_mx_prints_a_dot() {
        assert_eq!(
            Value::Mx {
                preference: 0,
                exchange: None
            }
            .to_string(),
            "0 ."
        );
    }
}
