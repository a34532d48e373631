//! Macro strings (RFC 7208 section 7): parsed once, expanded for one client.
//!
//! In: the text behind `:` or `=` of a term. Out: a [`MacroString`], or a hint what is wrong with it.

use std::fmt;

use crate::name::Name;

/// A text with macros in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MacroString(Vec<Part>);

/// One piece of a macro string.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    Macro(Macro),
    /// `%%`, `%_` and `%-`: the sign behind the first percent sign.
    Escape(char),
}

/// `%{letter digits r delimiters}`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Macro {
    letter: Letter,
    /// An upper-case letter: the value is URL-escaped.
    escaped: bool,
    /// How many labels are kept, from the right.
    keep: Option<usize>,
    reversed: bool,
    delimiters: String,
}

/// What a macro stands for (RFC 7208 section 7.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Letter {
    /// `s`: the whole sender.
    Sender,
    /// `l`: the sender's local part.
    LocalPart,
    /// `o`: the sender's domain.
    SenderDomain,
    /// `d`: the domain whose record this is.
    Domain,
    /// `i`: the client's address, in dotted form.
    Address,
    /// `p`: the client's validated reverse name.
    ValidatedName,
    /// `v`: `in-addr` or `ip6`.
    Family,
    /// `h`: the HELO name.
    Helo,
    /// `c`, `r` and `t`: only in the text of an explanation.
    Explanation(char),
}

impl Letter {
    fn parse(letter: char) -> Option<Self> {
        Some(match letter.to_ascii_lowercase() {
            's' => Self::Sender,
            'l' => Self::LocalPart,
            'o' => Self::SenderDomain,
            'd' => Self::Domain,
            'i' => Self::Address,
            'p' => Self::ValidatedName,
            'v' => Self::Family,
            'h' => Self::Helo,
            other @ ('c' | 'r' | 't') => Self::Explanation(other),
            _ => return None,
        })
    }

    /// As a record writes it.
    pub fn as_char(self) -> char {
        match self {
            Self::Sender => 's',
            Self::LocalPart => 'l',
            Self::SenderDomain => 'o',
            Self::Domain => 'd',
            Self::Address => 'i',
            Self::ValidatedName => 'p',
            Self::Family => 'v',
            Self::Helo => 'h',
            Self::Explanation(letter) => letter,
        }
    }
}

const OPEN: &str = "holds an unfinished or unknown macro; write a percent sign as `%%`";

impl MacroString {
    /// Parses `macro-string`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if first != '%' {
                let end = rest.find('%').unwrap_or(rest.len());
                let (literal, behind) = rest.split_at(end);
                if !literal.bytes().all(|b| b.is_ascii_graphic()) {
                    return Err("holds a character outside printable ASCII; type it again by hand".to_owned());
                }
                parts.push(Part::Literal(literal.to_owned()));
                rest = behind;
            } else if let Some(inner) = rest.strip_prefix("%{") {
                let (inner, behind) = inner.split_once('}').ok_or(OPEN)?;
                parts.push(Part::Macro(parse_macro(inner)?));
                rest = behind;
            } else {
                let sign = rest.chars().nth(1).filter(|c| "%_-".contains(*c)).ok_or(OPEN)?;
                parts.push(Part::Escape(sign));
                rest = rest.get(2..).unwrap_or_default();
            }
        }
        Ok(Self(parts))
    }

    /// Parses `domain-spec`: it ends in a macro or in a dot and a top label that is no number.
    pub fn parse_domain(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("lacks a domain name".to_owned());
        }
        let spec = Self::parse(text)?;
        if let Some(Letter::Explanation(letter)) =
            spec.letters().find(|l| matches!(l, Letter::Explanation(_)))
        {
            return Err(format!(
                "uses `%{{{letter}}}`, which only the text of an explanation may hold"
            ));
        }
        let Some(Part::Literal(last)) = spec.0.last() else {
            return Ok(spec);
        };
        match last.strip_suffix('.').unwrap_or(last).rsplit_once('.') {
            None => Err(format!(
                "needs a full domain name, and `{text}` has only one label"
            )),
            Some((_, label)) if is_top_label(label) => Ok(spec),
            Some(_) => Err(format!("needs a domain name, and `{text}` does not end like one")),
        }
    }

    /// The macros that occur.
    pub fn letters(&self) -> impl Iterator<Item = Letter> {
        self.0.iter().filter_map(|part| match part {
            Part::Macro(found) => Some(found.letter),
            Part::Literal(_) | Part::Escape(_) => None,
        })
    }

    /// Whether the text depends on the client.
    pub fn has_macros(&self) -> bool {
        self.letters().next().is_some()
    }

    /// The text with every macro replaced by its value (RFC 7208 section 7.3).
    pub fn expand(&self, mut value: impl FnMut(Letter) -> String) -> String {
        self.0
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.clone(),
                Part::Macro(found) => found.expand(&value(found.letter)),
                Part::Escape('_') => " ".to_owned(),
                Part::Escape('-') => "%20".to_owned(),
                Part::Escape(other) => other.to_string(),
            })
            .collect()
    }

    /// The domain name that this expands to; labels are dropped from the left until it fits
    /// (RFC 7208 section 7.3). `None` when no question can be made of it.
    pub fn expand_domain(&self, value: impl FnMut(Letter) -> String) -> Option<Name> {
        let text = self.expand(value);
        let mut text = text.strip_suffix('.').unwrap_or(&text);
        while text.len() > 253 {
            text = text.split_once('.')?.1;
        }
        Name::parse(text).ok()
    }
}

fn parse_macro(inner: &str) -> Result<Macro, String> {
    let mut rest = inner.chars();
    let sign = rest.next().ok_or(OPEN)?;
    let letter = Letter::parse(sign).ok_or(OPEN)?;
    let rest = rest.as_str();
    let behind = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let digits = rest.strip_suffix(behind).unwrap_or_default();
    let keep = (!digits.is_empty()).then(|| digits.parse().unwrap_or(usize::MAX));
    if keep == Some(0) {
        return Err(format!(
            "holds `%{{{inner}}}`, which keeps no label; write a number above 0"
        ));
    }
    let delimiters = behind.strip_prefix(['r', 'R']).unwrap_or(behind);
    if !delimiters.chars().all(|c| ".-+,/_=".contains(c)) {
        return Err(OPEN.to_owned());
    }
    Ok(Macro {
        letter,
        escaped: sign.is_ascii_uppercase(),
        keep,
        reversed: delimiters.len() < behind.len(),
        delimiters: delimiters.to_owned(),
    })
}

fn is_top_label(label: &str) -> bool {
    label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !label.is_empty()
        && !label.starts_with('-')
        && !label.ends_with('-')
        && !label.bytes().all(|b| b.is_ascii_digit())
}

impl Macro {
    fn expand(&self, value: &str) -> String {
        let delimiters = if self.delimiters.is_empty() {
            "."
        } else {
            &self.delimiters
        };
        let mut labels: Vec<&str> = value.split(|c| delimiters.contains(c)).collect();
        if self.reversed {
            labels.reverse();
        }
        let surplus = labels.len().saturating_sub(self.keep.unwrap_or(usize::MAX));
        let text = labels.get(surplus..).unwrap_or_default().join(".");
        if self.escaped { url_escaped(&text) } else { text }
    }
}

/// Everything but the unreserved set of RFC 3986 section 2.3 as `%XX`.
fn url_escaped(text: &str) -> String {
    text.bytes()
        .map(|b| {
            if b.is_ascii_alphanumeric() || b"-._~".contains(&b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}

impl fmt::Display for MacroString {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Escape(sign) => write!(f, "%{sign}"),
            Part::Macro(found) => found.fmt(f),
        })
    }
}

impl fmt::Display for Macro {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            letter,
            escaped,
            keep,
            reversed,
            delimiters,
        } = self;
        let letter = letter.as_char();
        let letter = if *escaped {
            letter.to_ascii_uppercase()
        } else {
            letter
        };
        write!(f, "%{{{letter}")?;
        if let Some(keep) = keep {
            write!(f, "{keep}")?;
        }
        write!(f, "{}{delimiters}}}", if *reversed { "r" } else { "" })
    }
}
