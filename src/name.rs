//! Domain names and selectors: parsed once, compared parsed.
//!
//! A [`Name`] is absolute, lower-case, made of A-labels, without the trailing dot. Nothing after
//! [`crate::intent`] holds a name as text, so a blank, a quote or a second record cannot travel inside one.

use std::fmt;
use std::net::IpAddr;

/// An absolute domain name in lower case, without the trailing dot (RFC 1035 section 2.3.1, with the
/// underscore labels of RFC 8552).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(String);

/// Why a text is not a [`Name`] or a [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or only a dot.
    #[error("is empty")]
    Empty,
    /// RFC 1035 section 2.3.4: 253 characters at most.
    #[error("is longer than 253 characters")]
    TooLong,
    /// RFC 1035 section 2.3.4: a label has 1 to 63 characters.
    #[error("has an empty label or one longer than 63 characters")]
    LabelLength,
    /// RFC 5890: write internationalised names as A-labels.
    #[error(
        "has characters other than a-z, 0-9, hyphen and underscore; write an internationalised name as its A-label (xn--...)"
    )]
    Character,
    /// RFC 1123 section 2.1.
    #[error("has a label that begins or ends with a hyphen")]
    Hyphen,
    /// A host, domain or selector may not hold an underscore.
    #[error("has an underscore, which a host or domain name may not hold")]
    Underscore,
    /// A host or domain has at least two labels.
    #[error("has only one label; write the whole name")]
    SingleLabel,
    /// RFC 3696 section 2: no top-level domain is a number, so that addresses are never names.
    #[error("ends in a number, as an address does; write a name")]
    NumericTop,
}

impl Name {
    /// Parses any owner name, underscores allowed. Upper case is folded, one trailing dot is dropped.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let text = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if text.len() > 253 {
            return Err(NameError::TooLong);
        }
        for label in text.split('.') {
            if label.is_empty() || label.len() > 63 {
                return Err(NameError::LabelLength);
            }
            if !label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            {
                return Err(NameError::Character);
            }
            if label.starts_with('-') || label.ends_with('-') {
                return Err(NameError::Hyphen);
            }
        }
        Ok(Self(text))
    }

    /// Parses the name of a host or a mail domain: at least two labels, no underscore.
    pub fn parse_host(text: &str) -> Result<Self, NameError> {
        let name = Self::parse(text)?;
        if name.0.contains('_') {
            return Err(NameError::Underscore);
        }
        if !name.0.contains('.') {
            return Err(NameError::SingleLabel);
        }
        if name
            .labels()
            .next_back()
            .is_some_and(|top| top.bytes().all(|b| b.is_ascii_digit()))
        {
            return Err(NameError::NumericTop);
        }
        Ok(name)
    }

    /// The name under which the address is looked up in reverse (RFC 1035 section 3.5, RFC 3596 section 2.5).
    pub fn reverse(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => {
                let [a, b, c, d] = v4.octets();
                Self(format!("{d}.{c}.{b}.{a}.in-addr.arpa"))
            }
            IpAddr::V6(v6) => {
                let nibbles: Vec<String> = v6
                    .octets()
                    .iter()
                    .rev()
                    .flat_map(|o| [format!("{:x}", o & 15), format!("{:x}", o >> 4)])
                    .collect();
                Self(format!("{}.ip6.arpa", nibbles.join(".")))
            }
        }
    }

    /// `label.self`; the label may hold several labels. Fails when the result is too long or malformed.
    pub fn child(&self, label: &str) -> Result<Self, NameError> {
        Self::parse(&format!("{label}.{}", self.0))
    }

    /// The name without its first label; `None` at a single label.
    pub fn parent(&self) -> Option<Self> {
        self.0.split_once('.').map(|(_, rest)| Self(rest.to_owned()))
    }

    /// Whether this name is `ancestor` or lies below it.
    pub fn is_within(&self, ancestor: &Self) -> bool {
        self.0
            .strip_suffix(&ancestor.0)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }

    /// The labels, most specific first.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// How many labels the name has.
    pub fn label_count(&self) -> usize {
        self.labels().count()
    }

    /// This name and its parents, longest first, down to one label.
    pub fn ancestors(&self) -> impl Iterator<Item = Self> {
        std::iter::successors(Some(self.clone()), Self::parent)
    }

    /// The longest of `zones` that holds this name.
    pub fn longest_match<'a>(&self, zones: impl IntoIterator<Item = &'a Self>) -> Option<&'a Self> {
        zones
            .into_iter()
            .filter(|zone| self.is_within(zone))
            .max_by_key(|zone| zone.label_count())
    }

    /// Without trailing dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// With trailing dot, as zone files and most provider APIs write it.
    pub fn with_dot(&self) -> String {
        format!("{}.", self.0)
    }
}

impl Ord for Name {
    /// By labels from the right, so that a domain stands before its children (RFC 4034 section 6.1).
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.labels().rev().cmp(other.labels().rev())
    }
}

impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::parse(text)
    }
}

/// A DKIM selector (RFC 6376 section 3.1): one or more labels of letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Selector(String);

impl Selector {
    /// Parses a selector; upper case is folded.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let name = Name::parse(text)?;
        if name.0.contains('_') {
            return Err(NameError::Underscore);
        }
        Ok(Self(name.0))
    }

    /// `<selector>._domainkey.<domain>`, where the key record stands (RFC 6376 section 3.6.2.1).
    pub fn record_name(&self, domain: &Name) -> Result<Name, NameError> {
        domain.child(&format!("{}._domainkey", self.0))
    }

    /// The selector's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    #[test]
    fn names_are_folded_and_lose_one_trailing_dot() {
        assert_eq!(name("Mail.Example.COM.").as_str(), "mail.example.com");
    }

    #[test]
    fn bad_names_say_why() {
        for (text, error) in [
            ("", NameError::Empty),
            (".", NameError::Empty),
            ("a..b", NameError::LabelLength),
            ("a b.example", NameError::Character),
            ("bücher.example", NameError::Character),
            ("-a.example", NameError::Hyphen),
            ("a.example\"", NameError::Character),
            ("*.example", NameError::Character),
        ] {
            assert_eq!(Name::parse(text), Err(error), "{text}");
        }
        assert_eq!(Name::parse_host("_dmarc.example.com"), Err(NameError::Underscore));
        assert_eq!(Name::parse_host("localhost"), Err(NameError::SingleLabel));
        assert_eq!(Name::parse_host("203.0.113.4"), Err(NameError::NumericTop));
        assert_eq!(
            Name::parse(&format!("{}.example", "a".repeat(64))),
            Err(NameError::LabelLength)
        );
    }

    #[test]
    fn within_respects_label_borders() {
        assert!(name("a.example.com").is_within(&name("example.com")));
        assert!(name("example.com").is_within(&name("example.com")));
        assert!(!name("badexample.com").is_within(&name("example.com")));
    }

    #[test]
    fn reverse_names_for_both_families() {
        assert_eq!(
            Name::reverse("203.0.113.4".parse().unwrap()).as_str(),
            "4.113.0.203.in-addr.arpa"
        );
        assert_eq!(
            Name::reverse("2001:db8::4".parse().unwrap()).as_str(),
            "4.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"
        );
    }

    #[test]
    fn a_domain_sorts_before_its_children() {
        let mut names = [
            name("b.example.com"),
            name("example.com"),
            name("a.b.example.com"),
            name("a.example.com"),
        ];
        names.sort();
        assert_eq!(
            names.map(|n| n.to_string()),
            ["example.com", "a.example.com", "b.example.com", "a.b.example.com"]
        );
    }

    #[test]
    fn longest_zone_wins() {
        let zones = [name("example.com"), name("eu.example.com"), name("com")];
        assert_eq!(name("a.eu.example.com").longest_match(&zones), Some(&zones[1]));
        assert_eq!(name("example.org").longest_match(&zones), None);
    }
}
