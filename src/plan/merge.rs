//! Somebody else's SPF record and ours as one record. Pure; what it costs receivers is weighed elsewhere ([`super::weigh`]).

use crate::cidr::Cidr;
use crate::protocol::spf::parse::{self, Mechanism, Qualifier, Record, Term, VERSION};

/// One record that authorises what several do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Merged {
    /// The whole text.
    pub(super) text: String,
    /// Our terms that theirs lack.
    pub(super) added: Vec<String>,
    /// How it ends and why, where the declaration ends in another way.
    pub(super) end: Option<String>,
}

/// A directive as it was written.
#[derive(Debug, Clone)]
struct Directive {
    text: String,
    qualifier: Qualifier,
    mechanism: Mechanism,
}

/// A record taken apart.
#[derive(Debug, Default)]
struct Parts {
    /// What receivers read before the end.
    directives: Vec<Directive>,
    /// `all` or `redirect=`; with both, receivers skip the second (RFC 7208 section 6.1).
    end: Option<String>,
    /// The target of a `redirect=` that is the end.
    redirect: Option<String>,
    /// All other modifiers.
    modifiers: Vec<String>,
}

/// Merges ours into what stands there: their terms and their end stay, the terms that they lack are put where receivers read
/// them. The end says what becomes of all mail from elsewhere, and is its owner's to decide.
///
/// # Errors
///
/// A term of theirs that receivers cannot read (RFC 7208 section 4.6): no merged record would be better.
pub(super) fn merge<'a>(theirs: impl IntoIterator<Item = &'a str>, ours: &str) -> Result<Merged, String> {
    let theirs = theirs
        .into_iter()
        .map(take_apart)
        .collect::<Result<Vec<_>, _>>()?;
    if theirs.is_empty() {
        return Ok(Merged {
            text: ours.to_owned(),
            added: Vec::new(),
            end: None,
        });
    }
    let ours = take_apart(ours)?;
    // Whatever stands there with an end is what somebody wanted to have at the end.
    let main = theirs.iter().position(|parts| parts.end.is_some()).unwrap_or(0);
    let none = Parts::default();
    let base = theirs.get(main).unwrap_or(&none);
    let others = || {
        theirs
            .iter()
            .enumerate()
            .filter(|(at, _)| *at != main)
            .map(|(_, parts)| parts)
    };
    let included = others().filter_map(|parts| include(parts.redirect.as_deref()?));
    let (their_pass, their_rest): (Vec<Directive>, Vec<Directive>) = others()
        .flat_map(|parts| parts.directives.iter().cloned())
        .chain(included)
        .partition(|directive| directive.qualifier == Qualifier::Pass);
    let more = without_known(their_pass, base.effective());
    let added = without_known(ours.directives.clone(), base.effective().chain(more.iter()));
    // What is about to be covered by ours need not be added from another record of theirs.
    let more = more
        .into_iter()
        .filter(|have| !added.iter().any(|ours| ours.covers(have)));
    let new: Vec<Directive> = more.chain(added.iter().cloned()).collect();
    // Before the first term that could say no to one of ours.
    let says_no = |directive: &Directive| directive.qualifier != Qualifier::Pass;
    let at = base
        .directives
        .iter()
        .position(says_no)
        .unwrap_or(base.directives.len());
    let (before, behind) = base.directives.split_at(at);
    let mut all: Vec<Directive> = Vec::new();
    for directive in before.iter().chain(&new).chain(behind).chain(&their_rest) {
        // The first of two equal mechanisms decides.
        if !all.iter().any(|have| have.matches_as(directive)) {
            all.push(directive.clone());
        }
    }
    let mut words = vec![VERSION.to_owned()];
    words.extend(all.into_iter().map(|directive| directive.text));
    words.extend(base.end.clone());
    words.extend(base.modifiers.iter().cloned());
    Ok(Merged {
        text: words.join(" "),
        added: added.into_iter().map(|directive| directive.text).collect(),
        end: kept_end(base, others(), &ours),
    })
}

/// What is said about an end that differs from another one.
fn kept_end<'a>(base: &Parts, others: impl Iterator<Item = &'a Parts>, ours: &Parts) -> Option<String> {
    let is_same = |end: &str| end.eq_ignore_ascii_case(base.end.as_deref().unwrap_or("?all"));
    let declared = ours.end.as_deref().unwrap_or("?all");
    let mut differing: Vec<String> = others
        .filter_map(|parts| parts.end.as_deref())
        .filter(|end| !is_same(end))
        .map(|end| format!("another one there ends in {end}"))
        .collect();
    if !is_same(declared) {
        differing.push(format!("{declared} is declared"));
    }
    let kept = match (&base.redirect, &base.end) {
        (Some(_), _) => "its redirect is kept, which all beside it would switch off".to_owned(),
        (None, Some(end)) => format!("its end {end} is kept"),
        (None, None) => "it has no end, as before, which counts as ?all".to_owned(),
    };
    (!differing.is_empty()).then(|| format!("{kept}; {}", differing.join(", ")))
}

impl Parts {
    /// The directives that pass what they match, whatever stands before them.
    fn effective(&self) -> impl Iterator<Item = &Directive> {
        self.directives.iter().enumerate().filter_map(|(at, directive)| {
            let mut earlier = self.directives.iter().take(at);
            let refused = earlier.any(|other| other.qualifier != Qualifier::Pass && other.covers(directive));
            (directive.qualifier == Qualifier::Pass && !refused).then_some(directive)
        })
    }
}

impl Directive {
    fn range(&self) -> Option<Cidr> {
        match self.mechanism {
            Mechanism::Ip(range) => Some(range),
            Mechanism::All
            | Mechanism::Include(_)
            | Mechanism::A(..)
            | Mechanism::Mx(..)
            | Mechanism::Ptr(_)
            | Mechanism::Exists(_) => None,
        }
    }

    /// Whether both match the same. Names do not differ by case; macros do (RFC 7208 section 7.3).
    fn matches_as(&self, other: &Self) -> bool {
        let (one, two) = (self.mechanism.to_string(), other.mechanism.to_string());
        one == two || !one.contains('%') && one.eq_ignore_ascii_case(&two)
    }

    /// Whether this matches all that the other one does.
    fn covers(&self, other: &Self) -> bool {
        match (self.range(), other.range()) {
            (Some(wider), Some(range)) => wider.length() <= range.length() && wider.contains(range.address()),
            _ => self.matches_as(other),
        }
    }
}

/// The candidates that neither something known nor another candidate covers.
fn without_known<'a>(
    candidates: Vec<Directive>,
    known: impl Iterator<Item = &'a Directive>,
) -> Vec<Directive> {
    let known: Vec<&Directive> = known.collect();
    let mut missing: Vec<Directive> = Vec::new();
    for candidate in candidates {
        if known.iter().any(|have| have.covers(&candidate))
            || missing.iter().any(|have| have.covers(&candidate))
        {
            continue;
        }
        missing.retain(|have| !candidate.covers(have));
        missing.push(candidate);
    }
    missing
}

fn include(target: &str) -> Option<Directive> {
    let text = format!("include:{target}");
    let parts = take_apart(&format!("{VERSION} {text}")).ok()?;
    parts.directives.into_iter().next()
}

fn take_apart(text: &str) -> Result<Parts, String> {
    let record: Record = parse::parse(text).map_err(|errors| {
        errors
            .into_iter()
            .next()
            .map_or_else(String::new, |error| error.term)
    })?;
    let has_all = record.has_all();
    let mut parts = Parts::default();
    for placed in record.terms {
        let text = text.get(placed.span).unwrap_or_default().to_owned();
        match placed.term {
            // Nothing behind `all` is read (RFC 7208 section 5.1).
            Term::Directive(..) if has_all && parts.end.is_some() => {}
            Term::Directive(_, Mechanism::All) => parts.end = Some(text),
            Term::Directive(qualifier, mechanism) => parts.directives.push(Directive {
                text,
                qualifier,
                mechanism,
            }),
            Term::Redirect(_) if has_all => {}
            Term::Redirect(target) => {
                parts.redirect = Some(target.to_string());
                parts.end = Some(text);
            }
            Term::Explanation(_) | Term::Unknown { name: _, value: _ } => parts.modifiers.push(text),
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(theirs: &[&str], ours: &str) -> String {
        merge(theirs.iter().copied(), ours).unwrap().text
    }

    /// Theirs, ours, the merged record.
    const CASES: &[(&[&str], &str, &str)] = &[
        // Their terms and their end stay.
        (
            &["v=spf1 include:_spf.google.com ip4:203.0.113.4 -all"],
            "v=spf1 ip4:203.0.113.4 ip6:2001:db8::4 ~all",
            "v=spf1 include:_spf.google.com ip4:203.0.113.4 ip6:2001:db8::4 -all",
        ),
        // Several become one.
        (
            &["v=spf1 mx -all", "v=spf1 a ?all"],
            "v=spf1 ip4:203.0.113.4 ~all",
            "v=spf1 mx a ip4:203.0.113.4 -all",
        ),
        // The same address, written in two ways.
        (
            &["v=spf1 ip4:203.0.113.4/32 ~all"],
            "v=spf1 ip4:203.0.113.4 ~all",
            "v=spf1 ip4:203.0.113.4/32 ~all",
        ),
        // A wider range of theirs, with host bits that are not zero.
        (
            &["v=spf1 +ip4:203.0.113.77/24 ~all"],
            "v=spf1 ip4:203.0.113.4 ip4:198.51.100.4 ~all",
            "v=spf1 +ip4:203.0.113.77/24 ip4:198.51.100.4 ~all",
        ),
        // A wider range with another qualifier authorises nothing, and ours must be read first.
        (
            &["v=spf1 mx ?ip4:203.0.113.0/24 ~all"],
            "v=spf1 ip4:203.0.113.4 ~all",
            "v=spf1 mx ip4:203.0.113.4 ?ip4:203.0.113.0/24 ~all",
        ),
        // An address that is refused before it is passed is not authorised; the second one was never read.
        (
            &["v=spf1 -ip4:203.0.113.0/24 ip4:203.0.113.4 ~all"],
            "v=spf1 ip4:203.0.113.4 ~all",
            "v=spf1 ip4:203.0.113.4 -ip4:203.0.113.0/24 ~all",
        ),
        // IPv4 covers no IPv6.
        (
            &["v=spf1 ip4:0.0.0.0/0 -all"],
            "v=spf1 ip6:2001:db8::4 ~all",
            "v=spf1 ip4:0.0.0.0/0 ip6:2001:db8::4 -all",
        ),
        // A range of ours takes the place of an address from another record of theirs.
        (
            &["v=spf1 mx -all", "v=spf1 ip4:203.0.113.4 -all"],
            "v=spf1 ip4:203.0.113.0/24 -all",
            "v=spf1 mx ip4:203.0.113.0/24 -all",
        ),
        // Names do not differ by case, and repeated terms go.
        (
            &["v=spf1 include:_SPF.Google.com include:_spf.google.com -all"],
            "v=spf1 include:_spf.google.com -all",
            "v=spf1 include:_SPF.Google.com -all",
        ),
        // A redirect is read after everything else.
        (
            &["v=spf1 redirect=_spf.vendor.net"],
            "v=spf1 ip4:203.0.113.4 ~all",
            "v=spf1 ip4:203.0.113.4 redirect=_spf.vendor.net",
        ),
        // One beside `all` is never used; that of a second record authorises what an include would.
        (
            &[
                "v=spf1 redirect=_spf.vendor.net -all ip4:198.51.100.9",
                "v=spf1 redirect=_spf.other.net",
            ],
            "v=spf1 ip4:203.0.113.4 ~all",
            "v=spf1 include:_spf.other.net ip4:203.0.113.4 -all",
        ),
        // Other modifiers stay.
        (
            &["v=spf1 exp=why.example.com mx -all"],
            "v=spf1 ip4:203.0.113.4 -all",
            "v=spf1 mx ip4:203.0.113.4 -all exp=why.example.com",
        ),
        // Without an end it stays without one.
        (&["v=spf1 mx"], "v=spf1 a -all", "v=spf1 mx a"),
        // Nothing stands there.
        (&[], "v=spf1 a -all", "v=spf1 a -all"),
    ];

    #[test]
    fn records_are_merged_term_by_term() {
        for (theirs, ours, expected) in CASES {
            let text = merged(theirs, ours);
            assert_eq!(&text, expected, "{theirs:?} and {ours}");
            if !theirs.is_empty() {
                let again = merge([text.as_str()], ours).unwrap();
                assert_eq!(again.text, text, "pasted, it is merged");
                assert!(again.added.is_empty(), "{again:?}");
            }
        }
    }

    #[test]
    fn a_record_that_nobody_can_read_is_merged_with_nothing() {
        let merged = merge(["v=spf1 ip4:203.0.113.256 -all"], "v=spf1 a -all");
        assert_eq!(merged, Err("ip4:203.0.113.256".to_owned()));
    }

    #[test]
    fn an_end_that_is_not_the_declared_one_is_named() {
        let end = |theirs: &[&str], ours| merge(theirs.iter().copied(), ours).unwrap().end;
        assert_eq!(end(&["v=spf1 mx ~ALL"], "v=spf1 a ~all"), None);
        assert_eq!(end(&["v=spf1 mx"], "v=spf1 a ?all"), None);
        let said = |theirs: &[&str], ours| end(theirs, ours).unwrap_or_default();
        assert_eq!(
            said(&["v=spf1 mx -all"], "v=spf1 a ~all"),
            "its end -all is kept; ~all is declared"
        );
        assert_eq!(
            said(&["v=spf1 mx -all", "v=spf1 ~all"], "v=spf1 a -all"),
            "its end -all is kept; another one there ends in ~all"
        );
        assert!(said(&["v=spf1 redirect=x.net"], "v=spf1 a ~all").contains("all beside it would switch off"));
        assert!(said(&["v=spf1 mx"], "v=spf1 a ~all").contains("counts as ?all"));
    }
}
