//! The grammar of an SPF record (RFC 7208 sections 4.5, 4.6.1 and 12), strictly.
//!
//! In: the logical text of a TXT record. Out: a [`Record`], or every place where a receiver would stop, with a hint
//! for a person. Asks nothing.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use super::hints;
use super::macros::MacroString;
use crate::cidr::Cidr;

/// What every record begins with.
pub const VERSION: &str = "v=spf1";

/// A record of which every term is well-formed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The terms behind the version, in order.
    pub terms: Vec<Placed>,
}

/// A term and where it stands in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The term.
    pub term: Term,
    /// Its bytes.
    pub span: Range<usize>,
}

/// A directive or a modifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Term {
    /// A mechanism with its qualifier.
    Directive(Qualifier, Mechanism),
    /// `redirect=`.
    Redirect(MacroString),
    /// `exp=`.
    Explanation(MacroString),
    /// A modifier that SPF does not know and receivers skip.
    Unknown {
        /// Its name as written.
        name: String,
        /// Its value.
        value: MacroString,
    },
}

/// What a match means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qualifier {
    /// `+`, or nothing.
    Pass,
    /// `-`.
    Fail,
    /// `~`.
    SoftFail,
    /// `?`.
    Neutral,
}

/// What is matched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mechanism {
    /// Everything.
    All,
    /// What another record passes.
    Include(MacroString),
    /// The addresses of a name.
    A(Option<MacroString>, Prefixes),
    /// The addresses of a domain's mail exchanges.
    Mx(Option<MacroString>, Prefixes),
    /// Reverse names below a domain.
    Ptr(Option<MacroString>),
    /// `ip4:` or `ip6:`.
    Ip(Cidr),
    /// Whether a name has an address.
    Exists(MacroString),
}

/// Prefix lengths of `a` and `mx`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Prefixes {
    /// For IPv4, 32 unless written.
    pub v4: u8,
    /// For IPv6, 128 unless written.
    pub v6: u8,
}

/// One place where a receiver stops with permerror.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where in the text.
    pub span: Range<usize>,
    /// The term as written.
    pub term: String,
    /// What is wrong and what to write.
    pub hint: String,
    /// Whether the term would be fine if it stood there once.
    pub repeated: bool,
}

/// What the TXT records at a name amount to (RFC 7208 section 4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selected {
    /// No SPF record.
    None,
    /// Exactly one.
    One(String),
    /// More than one: permerror.
    Many(Vec<String>),
}

/// Picks the SPF records out of the texts at a name.
pub fn select(texts: impl IntoIterator<Item = String>) -> Selected {
    let mut found: Vec<String> = texts.into_iter().filter(|text| is_record(text)).collect();
    match found.len() {
        0 => Selected::None,
        1 => found.pop().map_or(Selected::None, Selected::One),
        _ => Selected::Many(found),
    }
}

fn is_record(text: &str) -> bool {
    text.get(..VERSION.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(VERSION))
        && text
            .get(VERSION.len()..)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Whether a text was meant to be an SPF record and is not one, so that receivers skip it in silence.
pub fn is_near_miss(text: &str) -> bool {
    let squeezed: String = text
        .chars()
        .filter(|c| c.is_ascii_graphic() && !"\"'\\".contains(*c))
        .take(8)
        .collect::<String>()
        .to_ascii_lowercase();
    !is_record(text)
        && ["v=spf", "v:spf", "spf=1", "spf1", "vspf1", "v=sp1"]
            .iter()
            .any(|start| squeezed.starts_with(start))
}

/// Parses the text of one record. All errors are reported, not the first one.
pub fn parse(text: &str) -> Result<Record, Vec<SyntaxError>> {
    if !is_record(text) {
        return Err(vec![SyntaxError {
            span: 0..text.len().min(VERSION.len()),
            term: text.split(' ').next().unwrap_or_default().to_owned(),
            hint: "a record begins with `v=spf1` and a blank".to_owned(),
            repeated: false,
        }]);
    }
    let mut terms: Vec<Placed> = Vec::new();
    let mut errors = Vec::new();
    let mut start = VERSION.len() + 1;
    for word in text.get(start..).unwrap_or_default().split(' ') {
        let span = start..start + word.len();
        start = span.end + 1;
        if word.is_empty() {
            continue;
        }
        let parsed = parse_term(word);
        let repeated = parsed
            .as_ref()
            .is_ok_and(|term| terms.iter().any(|placed| placed.term.clashes_with(term)));
        match parsed {
            Ok(term) if !repeated => terms.push(Placed { term, span }),
            Ok(_) => errors.push(SyntaxError {
                span,
                term: word.to_owned(),
                hint: "this modifier may stand in a record only once".to_owned(),
                repeated,
            }),
            Err(reason) => errors.push(SyntaxError {
                span,
                term: word.to_owned(),
                hint: hints::for_term(word).unwrap_or(reason),
                repeated,
            }),
        }
    }
    if errors.is_empty() {
        Ok(Record { terms })
    } else {
        Err(errors)
    }
}

fn parse_term(word: &str) -> Result<Term, String> {
    let end = word.find([':', '/', '=']).unwrap_or(word.len());
    let (name, argument) = word.split_at(end);
    if let Some(value) = argument.strip_prefix('=') {
        return parse_modifier(name, value);
    }
    let (qualifier, name) = parse_qualifier(name);
    parse_mechanism(name, argument).map(|mechanism| Term::Directive(qualifier, mechanism))
}

fn parse_modifier(name: &str, value: &str) -> Result<Term, String> {
    let fits = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    match name.to_ascii_lowercase().as_str() {
        "redirect" => MacroString::parse_domain(value).map(Term::Redirect),
        "exp" => MacroString::parse_domain(value).map(Term::Explanation),
        _ if fits => MacroString::parse(value).map(|value| Term::Unknown {
            name: name.to_owned(),
            value,
        }),
        _ => Err("a modifier begins with a letter and has no qualifier".to_owned()),
    }
}

fn parse_qualifier(text: &str) -> (Qualifier, &str) {
    for (sign, qualifier) in [
        ('+', Qualifier::Pass),
        ('-', Qualifier::Fail),
        ('~', Qualifier::SoftFail),
        ('?', Qualifier::Neutral),
    ] {
        if let Some(rest) = text.strip_prefix(sign) {
            return (qualifier, rest);
        }
    }
    (Qualifier::Pass, text)
}

fn parse_mechanism(name: &str, argument: &str) -> Result<Mechanism, String> {
    let value = argument.strip_prefix(':');
    let required = || value.ok_or_else(|| format!("`{name}` needs a colon and a value"));
    match name.to_ascii_lowercase().as_str() {
        "all" if argument.is_empty() => Ok(Mechanism::All),
        "all" => Err("`all` takes no value".to_owned()),
        "include" => MacroString::parse_domain(required()?).map(Mechanism::Include),
        "exists" => MacroString::parse_domain(required()?).map(Mechanism::Exists),
        "ip4" => parse_range::<Ipv4Addr>(required()?, 32).map(Mechanism::Ip),
        "ip6" => parse_range::<Ipv6Addr>(required()?, 128).map(Mechanism::Ip),
        "a" => parse_host(argument).map(|(domain, prefixes)| Mechanism::A(domain, prefixes)),
        "mx" => parse_host(argument).map(|(domain, prefixes)| Mechanism::Mx(domain, prefixes)),
        "ptr" => match value {
            Some(domain) => MacroString::parse_domain(domain).map(|domain| Mechanism::Ptr(Some(domain))),
            None if argument.is_empty() => Ok(Mechanism::Ptr(None)),
            None => Err("`ptr` takes no prefix length".to_owned()),
        },
        _ => Err("SPF has no such mechanism".to_owned()),
    }
}

/// `ip4-network` or `ip6-network` with an optional prefix length. Host bits may be set.
fn parse_range<A>(text: &str, width: u8) -> Result<Cidr, String>
where
    A: std::str::FromStr + Into<IpAddr>,
{
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, parse_length(length, width)?),
        None => (text, width),
    };
    let address: A = address
        .parse()
        .map_err(|_| format!("`{address}` is not an address of this family"))?;
    Cidr::masked(address.into(), length).ok_or_else(|| wrong_length(width))
}

/// A prefix length without leading zeros.
fn parse_length(text: &str, width: u8) -> Result<u8, String> {
    let plain = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    text.parse()
        .ok()
        .filter(|length| plain && *length <= width)
        .ok_or_else(|| wrong_length(width))
}

fn wrong_length(width: u8) -> String {
    format!("a prefix length is a number from 0 to {width} without leading zeros")
}

/// `[":" domain-spec] [dual-cidr-length]`.
fn parse_host(argument: &str) -> Result<(Option<MacroString>, Prefixes), String> {
    let mut rest = argument;
    let mut prefixes = Prefixes { v4: 32, v6: 128 };
    if let Some((before, length)) = trailing_number(rest, "//") {
        prefixes.v6 = parse_length(length, 128)?;
        rest = before;
    }
    if let Some((before, length)) = trailing_number(rest, "/") {
        prefixes.v4 = parse_length(length, 32)?;
        rest = before;
    }
    match rest.strip_prefix(':') {
        Some(domain) => Ok((Some(MacroString::parse_domain(domain)?), prefixes)),
        None if rest.is_empty() => Ok((None, prefixes)),
        None => Err("a prefix length is written `/24`, `//64` or `/24//64`".to_owned()),
    }
}

fn trailing_number<'a>(text: &'a str, mark: &str) -> Option<(&'a str, &'a str)> {
    let (before, number) = text.rsplit_once(mark)?;
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    (digits && !before.ends_with('/')).then_some((before, number))
}

impl Term {
    /// `redirect` and `exp` may stand once (RFC 7208 section 6).
    fn clashes_with(&self, other: &Self) -> bool {
        matches!(
            (self, other),
            (Self::Redirect(_), Self::Redirect(_)) | (Self::Explanation(_), Self::Explanation(_))
        )
    }

    /// The domain that is written in the term.
    pub fn domain(&self) -> Option<&MacroString> {
        match self {
            Self::Directive(_, mechanism) => mechanism.domain(),
            Self::Redirect(domain) | Self::Explanation(domain) => Some(domain),
            Self::Unknown { name: _, value: _ } => None,
        }
    }
}

impl Mechanism {
    fn domain(&self) -> Option<&MacroString> {
        match self {
            Self::Include(domain) | Self::Exists(domain) => Some(domain),
            Self::A(domain, _) | Self::Mx(domain, _) | Self::Ptr(domain) => domain.as_ref(),
            Self::All | Self::Ip(_) => None,
        }
    }
}

impl Record {
    /// The directives, in order.
    pub fn directives(&self) -> impl DoubleEndedIterator<Item = (Qualifier, &Mechanism)> {
        self.terms.iter().filter_map(|placed| match &placed.term {
            Term::Directive(qualifier, mechanism) => Some((*qualifier, mechanism)),
            Term::Redirect(_) | Term::Explanation(_) | Term::Unknown { name: _, value: _ } => None,
        })
    }

    /// The target of `redirect`, unless `all` keeps it from ever being used (RFC 7208 section 6.1).
    pub fn live_redirect(&self) -> Option<&MacroString> {
        self.redirect().filter(|_| !self.has_all())
    }

    /// The target of `redirect`.
    pub fn redirect(&self) -> Option<&MacroString> {
        self.terms.iter().find_map(|placed| match &placed.term {
            Term::Redirect(domain) => Some(domain),
            Term::Directive(..) | Term::Explanation(_) | Term::Unknown { name: _, value: _ } => None,
        })
    }

    /// Whether `all` stands in the record, with any qualifier.
    pub fn has_all(&self) -> bool {
        self.directives()
            .any(|(_, mechanism)| *mechanism == Mechanism::All)
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(VERSION)?;
        self.terms
            .iter()
            .try_for_each(|placed| write!(f, " {}", placed.term))
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directive(qualifier, mechanism) => write!(f, "{qualifier}{mechanism}"),
            Self::Redirect(domain) => write!(f, "redirect={domain}"),
            Self::Explanation(domain) => write!(f, "exp={domain}"),
            Self::Unknown { name, value } => write!(f, "{name}={value}"),
        }
    }
}

impl fmt::Display for Qualifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pass => "",
            Self::Fail => "-",
            Self::SoftFail => "~",
            Self::Neutral => "?",
        })
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |f: &mut fmt::Formatter<'_>, name: &str, domain: &Option<MacroString>| {
            f.write_str(name)?;
            domain.as_ref().map_or(Ok(()), |domain| write!(f, ":{domain}"))
        };
        match self {
            Self::All => f.write_str("all"),
            Self::Include(domain) => write!(f, "include:{domain}"),
            Self::Exists(domain) => write!(f, "exists:{domain}"),
            Self::Ip(range) if range.address().is_ipv4() => write!(f, "ip4:{range}"),
            Self::Ip(range) => write!(f, "ip6:{range}"),
            Self::Ptr(domain) => host(f, "ptr", domain),
            Self::A(domain, prefixes) => host(f, "a", domain).and_then(|()| prefixes.fmt(f)),
            Self::Mx(domain, prefixes) => host(f, "mx", domain).and_then(|()| prefixes.fmt(f)),
        }
    }
}

impl fmt::Display for Prefixes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { v4, v6 } = *self;
        if v4 != 32 {
            write!(f, "/{v4}")?;
        }
        if v6 != 128 {
            write!(f, "//{v6}")?;
        }
        Ok(())
    }
}
