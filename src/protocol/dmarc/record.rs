//! A DMARC policy record, read as a receiver reads it (RFC 9989 sections 4.7 and 4.8).
//!
//! Pure. What receivers ignore is kept as a problem, not as an error: the rest of the record still counts.

use crate::api::{Alignment, DmarcPolicy};
use crate::name::Name;
use crate::protocol::tag_list::{self, Problem, Tag, TagList, shown};

/// A policy record that receivers take for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DmarcRecord {
    /// `p=`, if given and valid.
    pub policy: Option<DmarcPolicy>,
    /// `sp=`, if given and valid.
    pub subdomain_policy: Option<DmarcPolicy>,
    /// `np=`, if given and valid.
    pub non_existent_policy: Option<DmarcPolicy>,
    /// `adkim=`.
    pub dkim_alignment: Alignment,
    /// `aspf=`.
    pub spf_alignment: Alignment,
    /// The URIs of `rua=`, as written.
    pub aggregate_reports: Vec<String>,
    /// The URIs of `ruf=`, as written.
    pub failure_reports: Vec<String>,
    /// `t=y`.
    pub test: bool,
    /// `psd=`: `Some(true)` for `y`, `Some(false)` for `n`.
    pub public_suffix: Option<bool>,
    /// Tags that RFC 9989 removed, with their values: `pct`, `rf`, `ri`.
    pub removed: Vec<(&'static str, String)>,
    /// Tags that nobody knows.
    pub unknown: Vec<String>,
    /// `fo=`, as written.
    pub failure_options: Option<String>,
    /// Whether it begins with `V=` rather than `v=`.
    pub shouted: bool,
    /// What is wrong with its form.
    pub syntax: Vec<String>,
    /// The record without what receivers ignore, and with a bare `mailto:` where it was meant to be.
    mended: String,
    /// Values that are not allowed: tag, value, what is.
    pub bad_values: Vec<(&'static str, String, &'static str)>,
}

/// Why a text that looks like a DMARC record is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionFault {
    /// Case counts (`%s"DMARC1"`).
    #[error("the version must be written DMARC1 in upper case")]
    Case,
    /// The version tag comes first.
    #[error("something stands before v=DMARC1")]
    NotFirst,
    /// `v=DMARC1,` or `v=DMARC1 p=none`.
    #[error("v=DMARC1 must be followed by a semicolon")]
    Separator,
}

/// Whom a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// The domain that the record stands at.
    Own,
    /// A subdomain of it.
    Subdomain,
    /// A subdomain that does not exist.
    NonExistent,
}

const KNOWN: [&str; 15] = [
    "v", "p", "sp", "np", "adkim", "aspf", "rua", "ruf", "fo", "t", "psd", "pct", "rf", "ri", "V",
];

/// Removed by RFC 9989.
const REMOVED: [&str; 3] = ["pct", "rf", "ri"];

/// Reads a TXT record at a `_dmarc` name. `None`: it has nothing to do with DMARC, such as what a wildcard answers.
pub fn parse(text: &str) -> Option<Result<DmarcRecord, VersionFault>> {
    let squeezed = tag_list::without_blanks(text).to_ascii_lowercase();
    if !squeezed.contains("v=dmarc1") {
        return None;
    }
    Some(match version_fault(text) {
        Some(fault) => Err(fault),
        None => Ok(DmarcRecord::read(text)),
    })
}

/// `dmarc-version = "v" *WSP "=" *WSP %s"DMARC1"`, then the end or `*WSP ";"`.
fn version_fault(text: &str) -> Option<VersionFault> {
    let blank = |c| c == ' ' || c == '\t';
    let value = text
        .strip_prefix(['v', 'V'])
        .and_then(|rest| rest.trim_start_matches(blank).strip_prefix('='))
        .map(|rest| rest.trim_start_matches(blank));
    let Some(value) = value else {
        return Some(VersionFault::NotFirst);
    };
    match (value.get(..6), value.get(6..)) {
        (Some("DMARC1"), Some(rest)) => {
            let rest = rest.trim_start_matches(blank);
            (!rest.is_empty() && !rest.starts_with(';')).then_some(VersionFault::Separator)
        }
        (Some(version), _) if version.eq_ignore_ascii_case("DMARC1") => Some(VersionFault::Case),
        _ => Some(VersionFault::NotFirst),
    }
}

/// How strict a record is for its own domain; `None` when receivers ignore it. A `t=y` is not counted, because
/// receivers of before 2026 do not know it.
pub fn strictness(record_text: &str) -> Option<DmarcPolicy> {
    parse(record_text)?.ok()?.requested(Scope::Own)
}

/// What whoever wrote this will have meant.
fn mended(text: &str, list: &TagList<'_>, bad: &[(&str, String, &str)]) -> String {
    let counts = |tag: &&Tag<'_>| {
        KNOWN.contains(&tag.name)
            && !REMOVED.contains(&tag.name)
            && !tag.name.eq_ignore_ascii_case("v")
            && bad.iter().all(|(name, ..)| *name != tag.name)
    };
    let kept = list.tags.iter().filter(counts);
    let kept = kept.map(|tag| format!("{}={}", tag.name, tag.value));
    let is_address = |part: &&str| !part.contains('=') && part.to_ascii_lowercase().starts_with("mailto:");
    let address = text.rsplit(';').map(str::trim).find(is_address);
    let reports = address.filter(|_| list.value("rua").is_none());
    std::iter::once("v=DMARC1".to_owned())
        .chain(kept)
        .chain(reports.map(|address| format!("rua={address}")))
        .collect::<Vec<_>>()
        .join("; ")
}

impl DmarcRecord {
    fn read(text: &str) -> Self {
        let list = TagList::read(text);
        let mut bad_values = Vec::new();
        let uris = |tag| -> Vec<String> {
            list.value(tag)
                .map(|value| tag_list::members(value, ',').map(str::to_owned).collect())
                .unwrap_or_default()
        };
        Self {
            policy: choice(&list, "p", &POLICIES, &mut bad_values),
            subdomain_policy: choice(&list, "sp", &POLICIES, &mut bad_values),
            non_existent_policy: choice(&list, "np", &POLICIES, &mut bad_values),
            dkim_alignment: choice(&list, "adkim", &ALIGNMENTS, &mut bad_values)
                .unwrap_or(Alignment::Relaxed),
            spf_alignment: choice(&list, "aspf", &ALIGNMENTS, &mut bad_values).unwrap_or(Alignment::Relaxed),
            test: choice(&list, "t", &[("y", true), ("n", false)], &mut bad_values).unwrap_or(false),
            public_suffix: choice(
                &list,
                "psd",
                &[("y", Some(true)), ("n", Some(false)), ("u", None)],
                &mut bad_values,
            )
            .flatten(),
            aggregate_reports: uris("rua"),
            failure_reports: uris("ruf"),
            removed: REMOVED
                .into_iter()
                .filter_map(|tag| Some((tag, list.value(tag)?.to_owned())))
                .collect(),
            unknown: list.others(&KNOWN).into_iter().map(str::to_owned).collect(),
            failure_options: list.value("fo").map(str::to_owned),
            shouted: text.starts_with('V'),
            syntax: syntax(&list),
            mended: mended(text, &list, &bad_values),
            bad_values,
        }
    }

    /// What to write instead, where that can be shown and is sound itself.
    pub fn offer(&self) -> Option<&str> {
        let mended = self.mended.as_str();
        let printable = |octet: u8| (b' '..=b'~').contains(&octet) && octet != b'"';
        let is_sound = matches!(parse(mended), Some(Ok(record)) if record.syntax.is_empty());
        (mended.len() <= 120 && mended.bytes().all(printable) && is_sound).then_some(mended)
    }

    /// The policy that this record asks for, without regard to `t=`; `None` when it amounts to no record.
    ///
    /// RFC 9989 section 4.10.1: with a bad or missing `p`, or a bad `sp` or `np`, the record means `none` if it has a
    /// report address that can be used, and nothing otherwise.
    pub fn requested(&self, scope: Scope) -> Option<DmarcPolicy> {
        let broken = self
            .bad_values
            .iter()
            .any(|(tag, _, _)| matches!(*tag, "p" | "sp" | "np"));
        let Some(own) = self.policy.filter(|_| !broken) else {
            let reported = self.aggregate_reports.iter().any(|uri| destination(uri).is_ok());
            return reported.then_some(DmarcPolicy::None);
        };
        let sub = self.subdomain_policy.unwrap_or(own);
        Some(match scope {
            Scope::Own => own,
            Scope::Subdomain => sub,
            Scope::NonExistent => self.non_existent_policy.unwrap_or(sub),
        })
    }

    /// The policy that RFC 9989 receivers apply: `t=y` weakens it by one step.
    pub fn effective(&self, scope: Scope) -> Option<DmarcPolicy> {
        let requested = self.requested(scope)?;
        Some(match requested {
            DmarcPolicy::Reject if self.test => DmarcPolicy::Quarantine,
            DmarcPolicy::Quarantine if self.test => DmarcPolicy::None,
            DmarcPolicy::None | DmarcPolicy::Quarantine | DmarcPolicy::Reject => requested,
        })
    }
}

const POLICIES: [(&str, DmarcPolicy); 3] = [
    ("none", DmarcPolicy::None),
    ("quarantine", DmarcPolicy::Quarantine),
    ("reject", DmarcPolicy::Reject),
];
const ALIGNMENTS: [(&str, Alignment); 2] = [("r", Alignment::Relaxed), ("s", Alignment::Strict)];

/// The value of a tag that takes one of few words; a bad one is noted.
fn choice<T: Copy>(
    list: &TagList<'_>,
    tag: &'static str,
    words: &[(&'static str, T)],
    bad: &mut Vec<(&'static str, String, &'static str)>,
) -> Option<T> {
    let value = list.value(tag)?;
    let found = words.iter().find(|(word, _)| word.eq_ignore_ascii_case(value));
    if found.is_none() {
        let allowed = match tag {
            "adkim" | "aspf" => "r or s",
            "t" => "y or n",
            "psd" => "y, n or u",
            _ => "none, quarantine or reject",
        };
        bad.push((tag, value.to_owned(), allowed));
    }
    found.map(|(_, word)| *word)
}

fn syntax(list: &TagList<'_>) -> Vec<String> {
    let problem = |problem: &Problem| match problem {
        Problem::NoEquals(segment) if segment.contains("mailto:") => {
            format!("{problem}; write rua= before it")
        }
        Problem::NoEquals(_)
        | Problem::Empty
        | Problem::BadName(_)
        | Problem::Duplicate(_)
        | Problem::NotPrintable(_) => problem.to_string(),
    };
    let mut wrong: Vec<String> = list.problems.iter().map(problem).collect();
    for tag in &list.tags {
        if tag.value.ends_with('\\') {
            wrong.push(format!(
                "a backslash stands before the semicolon after {}",
                shown(tag.name)
            ));
        }
        // A second tag inside a value: the separator between them was a comma or a blank.
        let merged = tag.value.split([',', ' ']).skip(1).any(|part| {
            part.trim()
                .split_once('=')
                .is_some_and(|(name, _)| KNOWN.contains(&name.trim()))
        });
        if merged {
            wrong.push(format!(
                "another tag stands inside the value of {}; separate tags by semicolons",
                shown(tag.name)
            ));
        }
    }
    wrong
}

/// Where a report URI sends: the host of a `mailto:`; `None` for `https:`. RFC 9989 sections 4.6 to 4.8.
pub(super) fn destination(uri: &str) -> Result<Option<Name>, &'static str> {
    if !uri.is_ascii() {
        return Err("holds characters outside ASCII");
    }
    if uri.contains(|c: char| c.is_ascii_whitespace()) {
        return Err("holds a blank");
    }
    let Some((scheme, rest)) = uri.split_once(':') else {
        return Err("has no scheme");
    };
    if scheme.eq_ignore_ascii_case("https") {
        return Ok(None);
    }
    if !scheme.eq_ignore_ascii_case("mailto") {
        return Err("is neither mailto: nor https:");
    }
    let (address, _size) = split_size(rest);
    let address = address.split('?').next().unwrap_or_default();
    if address.contains('!') {
        return Err("holds an exclamation mark, which must be written %21");
    }
    match address.rsplit_once('@') {
        Some((local, host)) if !local.is_empty() => Name::parse_host(host)
            .map(Some)
            .map_err(|_| "has no valid host after the @"),
        _ => Err("has no address user@host"),
    }
}

/// Cuts off the obsolete size limit `!10m`.
pub(super) fn split_size(uri: &str) -> (&str, Option<&str>) {
    match uri.rsplit_once('!') {
        Some((rest, size)) if is_size(size) => (rest, Some(size)),
        _ => (uri, None),
    }
}

fn is_size(text: &str) -> bool {
    let digits = text.trim_end_matches(['k', 'm', 'g', 't', 'K', 'M', 'G', 'T']);
    !digits.is_empty() && text.len() - digits.len() <= 1 && digits.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_told_apart() {
        for text in ["", "v=spf1 -all", "google-site-verification=x"] {
            assert_eq!(parse(text), None, "{text}");
        }
        for (text, fault) in [
            ("v=dmarc1; p=reject", VersionFault::Case),
            ("V=Dmarc1; p=reject", VersionFault::Case),
            (" v=DMARC1; p=reject", VersionFault::NotFirst),
            ("\"v=DMARC1; p=reject\"", VersionFault::NotFirst),
            ("p=reject; v=DMARC1", VersionFault::NotFirst),
            ("v=DMARC1, p=reject", VersionFault::Separator),
            ("v=DMARC1 p=reject", VersionFault::Separator),
            ("v=DMARC12; p=reject", VersionFault::Separator),
        ] {
            assert_eq!(parse(text), Some(Err(fault)), "{text}");
        }
        for text in ["v=DMARC1", "v=DMARC1;", "v = DMARC1 ; p=none", "V=DMARC1; p=none"] {
            assert!(matches!(parse(text), Some(Ok(_))), "{text}");
        }
    }

    #[test]
    fn one_bad_policy_weakens_the_whole_record() {
        use DmarcPolicy::{None as Deliver, Quarantine, Reject};
        for (text, policy) in [
            ("v=DMARC1; p=reject", Some(Reject)),
            ("v=DMARC1; sp=none; p=Quarantine", Some(Quarantine)),
            ("v=DMARC1; p=reject; t=y", Some(Reject)),
            (
                "v=DMARC1; p=reject; sp=monitor; rua=mailto:a@example.com",
                Some(Deliver),
            ),
            ("v=DMARC1; p=reject; np=monitor", None),
            ("v=DMARC1; p=block; rua=a@example.com", None),
            ("v=DMARC1; rua=mailto:a@example.com", Some(Deliver)),
            ("v=DMARC1", None),
            ("v=dmarc1; p=reject", None),
            (
                "v=DMARC1; p=reject; sp=reject; mailto:report@example.com",
                Some(Reject),
            ),
        ] {
            assert_eq!(strictness(text), policy, "{text}");
        }
    }

    #[test]
    fn subdomain_policies_fall_back_and_a_test_weakens() {
        let record = |text| parse(text).unwrap().unwrap();
        let plain = record("v=DMARC1; p=reject; sp=quarantine");
        assert_eq!(plain.effective(Scope::NonExistent), Some(DmarcPolicy::Quarantine));
        let test = record("v=DMARC1; p=reject; sp=quarantine; t=y");
        assert_eq!(test.effective(Scope::Own), Some(DmarcPolicy::Quarantine));
        assert_eq!(test.effective(Scope::Subdomain), Some(DmarcPolicy::None));
    }

    #[test]
    fn report_addresses_are_read_or_refused() {
        let name = |text| Name::parse(text).unwrap();
        assert_eq!(destination("mailto:a@example.com"), Ok(Some(name("example.com"))));
        assert_eq!(
            destination("MAILTO:a%2Cb@example.com!10m"),
            Ok(Some(name("example.com")))
        );
        assert_eq!(destination("https://example.com/r"), Ok(None));
        for uri in [
            "a@example.com",
            "mailto:a",
            "mailto:@example.com",
            "mailto:a!b@example.com",
            "mailto:a b@example.com",
            "ftp://x",
            "",
            "mailto:a@-",
        ] {
            assert!(destination(uri).is_err(), "{uri}");
        }
    }
}
