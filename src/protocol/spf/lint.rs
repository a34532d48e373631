//! Checks that need nothing but the TXT records at a name.

use std::net::IpAddr;

use super::macros::{Letter, MacroString};
use super::parse::{self, Mechanism, Qualifier, Record, Term};
use super::site::{self, Found, Site, State, finding, shown};
use crate::api::Severity;
use crate::cidr::Cidr;
use crate::finding::{Finding, Gate};
use crate::name::Name;
use crate::protocol::{Check, Evidence};

/// RFC 7208 section 4.5.
pub const PRESENT: Check = Check {
    id: "spf-present",
    title: "The envelope domain has an SPF record",
    source: "RFC 7208 section 4.5",
    gate: Gate::Spf,
    run: present,
};

/// RFC 7208 section 3.2.
pub const SINGLE: Check = Check {
    id: "spf-single",
    title: "There is one SPF record, not several",
    source: "RFC 7208 section 3.2",
    gate: Gate::Spf,
    run: single,
};

/// RFC 7208 section 4.5.
pub const VERSION_TOKEN: Check = Check {
    id: "spf-version-token",
    title: "No text is skipped for a misspelt version",
    source: "RFC 7208 section 4.5",
    gate: Gate::Spf,
    run: version_token,
};

/// RFC 7208 section 4.6.
pub const SYNTAX: Check = Check {
    id: "spf-syntax",
    title: "Every term is well-formed",
    source: "RFC 7208 section 4.6",
    gate: Gate::Spf,
    run: syntax,
};

/// RFC 7208 section 6.
pub const MECHANISM_AS_MODIFIER: Check = Check {
    id: "spf-mechanism-as-modifier",
    title: "No mechanism is written with an equals sign",
    source: "RFC 7208 section 6",
    gate: Gate::Spf,
    run: mechanism_as_modifier,
};

/// RFC 7208 sections 4.7 and 5.1.
pub const TERMINAL: Check = Check {
    id: "spf-terminal",
    title: "The record ends in ~all or -all",
    source: "RFC 7208 sections 4.7 and 5.1",
    gate: Gate::Spf,
    run: terminal,
};

/// RFC 7208 section 6.1.
pub const REDIRECT_USE: Check = Check {
    id: "spf-redirect-use",
    title: "redirect is used once and can take effect",
    source: "RFC 7208 section 6.1",
    gate: Gate::Spf,
    run: redirect_use,
};

/// RFC 7208 section 5.5.
pub const PTR: Check = Check {
    id: "spf-ptr",
    title: "No term depends on reverse names",
    source: "RFC 7208 section 5.5",
    gate: Gate::Spf,
    run: ptr,
};

/// RFC 9989 section 7.1.
pub const BREADTH: Check = Check {
    id: "spf-breadth",
    title: "No term authorises a large part of the internet",
    source: "RFC 9989 section 7.1",
    gate: Gate::Spf,
    run: breadth,
};

/// RFC 7208 section 7, RFC 8616 section 4.
pub const MACRO: Check = Check {
    id: "spf-macro",
    title: "Macros do what they look like",
    source: "RFC 7208 section 7, RFC 8616 section 4",
    gate: Gate::Spf,
    run: macros,
};

fn present(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    site::envelope_domains(intent)
        .iter()
        .filter_map(|name| match Site::look(evidence.facts, name).state {
            State::Unknown(failure) => Some(site::unknown(&PRESENT, name, failure)),
            State::Absent => Some(finding(
                &PRESENT,
                Severity::Fail,
                name,
                &format!(
                    "{name} is in MAIL FROM and has no SPF record. {}",
                    site::advice(intent, name)
                ),
            )),
            State::Several(_) | State::Malformed(_) | State::Found(_) => None,
        })
        .collect()
}

fn single(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for site in site::sites(evidence) {
        let name = &site.name;
        match &site.state {
            State::Several(texts) => findings.push(finding(
                &SINGLE,
                Severity::Fail,
                name,
                &format!(
                    "{name} has {} SPF records, so receivers use none of them. Merge: {}",
                    texts.len(),
                    site::line(name, &merged(texts))
                ),
            )),
            State::Unknown(_) | State::Absent | State::Malformed(_) | State::Found(_) => {}
        }
    }
    findings
}

/// One record with the terms of several; it ends as the first of them that ends at all.
fn merged(texts: &[String]) -> String {
    let is_all = |word: &&str| {
        word.trim_start_matches(['+', '-', '~', '?'])
            .eq_ignore_ascii_case("all")
    };
    let (ends, others): (Vec<&str>, Vec<&str>) = texts
        .iter()
        .flat_map(|text| text.split(' ').skip(1))
        .filter(|word| !word.is_empty())
        .partition(is_all);
    let mut words = vec![parse::VERSION];
    for word in others.into_iter().chain(ends.into_iter().take(1)) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words.join(" ")
}

fn version_token(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for site in site::sites(evidence) {
        let severity = match site.state {
            State::Absent => Severity::Fail,
            State::Unknown(_) | State::Several(_) | State::Malformed(_) | State::Found(_) => Severity::Warn,
        };
        findings.extend(site.near_misses.iter().map(|text| {
            finding(
                &VERSION_TOKEN,
                severity,
                &site.name,
                &format!(
                    "`{}` at {} is skipped: a record begins with exactly `v=spf1` and one blank. \
                     Correct or delete it.",
                    shown(text),
                    site.name
                ),
            )
        }));
    }
    findings
}

fn syntax(evidence: &Evidence<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for site in site::sites(evidence) {
        if let State::Malformed(errors) = &site.state {
            findings.extend(errors.iter().filter(|error| !error.repeated).map(|error| {
                finding(
                    &SYNTAX,
                    Severity::Fail,
                    &site.name,
                    &format!(
                        "`{}` in the SPF record of {} is malformed, which disables the whole record. Fix: {}.",
                        shown(&error.term),
                        site.name,
                        clipped_hint(&error.hint)
                    ),
                )
            }));
        }
    }
    findings
}

fn clipped_hint(hint: &str) -> String {
    hint.chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .take(140)
        .collect()
}

/// The same question of every well-formed record.
fn each(evidence: &Evidence<'_>, judge: impl Fn(&Name, &Found) -> Vec<Finding>) -> Vec<Finding> {
    site::sites(evidence)
        .iter()
        .filter_map(|site| site.found().map(|found| judge(&site.name, found)))
        .flatten()
        .collect()
}

fn mechanism_as_modifier(evidence: &Evidence<'_>) -> Vec<Finding> {
    each(evidence, |name, found| {
        found
            .record
            .terms
            .iter()
            .filter_map(|placed| match &placed.term {
                Term::Unknown {
                    name: modifier,
                    value,
                } => Some(modifier_finding(name, modifier, &value.to_string())),
                Term::Directive(..) | Term::Redirect(_) | Term::Explanation(_) => None,
            })
            .collect()
    })
}

fn modifier_finding(name: &Name, modifier: &str, value: &str) -> Finding {
    let lower = modifier.to_ascii_lowercase();
    let value = shown(value);
    if ["all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists", "ip"].contains(&lower.as_str()) {
        let right = if lower == "ip" { "ip4" } else { &lower };
        return finding(
            &MECHANISM_AS_MODIFIER,
            Severity::Fail,
            name,
            &format!(
                "`{lower}={value}` at {name} is an unknown modifier to SPF and authorises nobody. \
                 Write `{right}:{value}`."
            ),
        );
    }
    finding(
        &MECHANISM_AS_MODIFIER,
        Severity::Info,
        name,
        &format!("`{modifier}={value}` at {name} is unknown to SPF and skipped. Drop it unless you need it."),
    )
}

fn terminal(evidence: &Evidence<'_>) -> Vec<Finding> {
    each(evidence, |name, found| {
        let shown_text = shown(&found.text);
        ending(&found.record)
            .map(|(severity, what)| {
                finding(
                    &TERMINAL,
                    severity,
                    name,
                    &format!("`{shown_text}` at {name} {what}. End it with `~all` or `-all`."),
                )
            })
            .into_iter()
            .collect()
    })
}

fn ending(record: &Record) -> Option<(Severity, &'static str)> {
    let all = record
        .directives()
        .position(|(_, mechanism)| *mechanism == Mechanism::All);
    let Some(position) = all else {
        return record
            .redirect()
            .is_none()
            .then_some((Severity::Warn, "does not say what to do with other senders"));
    };
    let (qualifier, _) = record.directives().nth(position)?;
    if qualifier == Qualifier::Pass {
        return Some((Severity::Fail, "authorises everybody with `+all`"));
    }
    if record.directives().count() > position + 1 {
        return Some((Severity::Warn, "holds terms behind `all` that are never reached"));
    }
    (qualifier == Qualifier::Neutral)
        .then_some((Severity::Warn, "says nothing about other senders with `?all`"))
}

fn redirect_use(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let mut findings = Vec::new();
    for site in site::sites(evidence) {
        let name = &site.name;
        match &site.state {
            State::Malformed(errors) => {
                findings.extend(errors.iter().filter(|error| error.repeated).map(|error| {
                    let message = format!(
                        "`{}` at {name} is a second modifier of its kind, which disables the record. Keep one.",
                        shown(&error.term)
                    );
                    finding(&REDIRECT_USE, Severity::Fail, name, &message)
                }));
            }
            State::Found(found) => findings.extend(found.record.redirect().and_then(|target| {
                let is_ours = Name::parse(&target.to_string()).is_ok_and(|target| intent.owns(&target));
                let target = shown(&target.to_string());
                let message = if found.record.has_all() {
                    format!("`redirect={target}` at {name} never runs, because `all` is there. Remove one of them.")
                } else if is_ours {
                    return None;
                } else {
                    format!(
                        "`redirect={target}` hands the whole policy of {name} to others. \
                         Write `include:{target}` and an `all` of your own."
                    )
                };
                Some(finding(&REDIRECT_USE, Severity::Warn, name, &message))
            })),
            State::Unknown(_) | State::Absent | State::Several(_) => {}
        }
    }
    findings
}

fn ptr(evidence: &Evidence<'_>) -> Vec<Finding> {
    each(evidence, |name, found| {
        found
            .record
            .terms
            .iter()
            .filter(|placed| {
                matches!(placed.term, Term::Directive(_, Mechanism::Ptr(_)))
                    || uses(&placed.term, |letter| letter == Letter::ValidatedName)
            })
            .map(|placed| {
                let message = format!(
                    "`{}` at {name} depends on reverse names, which is slow and discouraged. \
                     List the addresses with `ip4:` and `ip6:`.",
                    shown(&placed.term.to_string())
                );
                finding(&PTR, Severity::Warn, name, &message)
            })
            .collect()
    })
}

fn uses(term: &Term, wanted: impl Fn(Letter) -> bool) -> bool {
    term.domain().is_some_and(|domain| domain.letters().any(wanted))
}

fn breadth(evidence: &Evidence<'_>) -> Vec<Finding> {
    let private_allowed = evidence.declaration.private_zone;
    each(evidence, |name, found| {
        let directives = found.record.directives();
        directives
            .filter(|(qualifier, _)| *qualifier == Qualifier::Pass)
            .filter_map(|(_, mechanism)| {
                let (severity, what) = too_broad(mechanism, private_allowed)?;
                let message = format!(
                    "`{}` at {name} authorises {what}. List only the addresses that you send from.",
                    shown(&mechanism.to_string())
                );
                Some(finding(&BREADTH, severity, name, &message))
            })
            .collect()
    })
}

fn too_broad(mechanism: &Mechanism, private_allowed: bool) -> Option<(Severity, String)> {
    match mechanism {
        Mechanism::Ip(range) => range_breadth(*range, private_allowed),
        Mechanism::A(_, prefixes) | Mechanism::Mx(_, prefixes) => {
            length_breadth(prefixes.v4, true).or_else(|| length_breadth(prefixes.v6, false))
        }
        Mechanism::All | Mechanism::Include(_) | Mechanism::Ptr(_) | Mechanism::Exists(_) => None,
    }
}

fn range_breadth(range: Cidr, private_allowed: bool) -> Option<(Severity, String)> {
    length_breadth(range.length(), range.address().is_ipv4()).or_else(|| {
        (!private_allowed && is_private(range.address())).then(|| {
            (
                Severity::Warn,
                "private addresses, which no receiver ever sees".to_owned(),
            )
        })
    })
}

fn length_breadth(length: u8, is_v4: bool) -> Option<(Severity, String)> {
    let (width, fail, warn) = if is_v4 { (32, 8, 15) } else { (128, 8, 31) };
    let severity = match length {
        _ if length <= fail => Severity::Fail,
        _ if length <= warn => Severity::Warn,
        _ => return None,
    };
    Some((
        severity,
        format!("2^{} addresses, most of them not yours", width - length),
    ))
}

fn is_private(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_private() || v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

fn macros(evidence: &Evidence<'_>) -> Vec<Finding> {
    each(evidence, |name, found| {
        found
            .record
            .terms
            .iter()
            .filter_map(|placed| {
                let (severity, why) = odd_macro(&placed.term)?;
                let message = format!("`{}` at {name} {why}", shown(&placed.term.to_string()));
                Some(finding(&MACRO, severity, name, &message))
            })
            .collect()
    })
}

fn odd_macro(term: &Term) -> Option<(Severity, &'static str)> {
    let is_constant = |domain: &MacroString| !domain.has_macros();
    if matches!(term, Term::Directive(_, Mechanism::Exists(domain)) if is_constant(domain)) {
        let why = "has no macro and so matches every client or none. List addresses instead.";
        return Some((Severity::Warn, why));
    }
    if uses(term, |letter| {
        matches!(letter, Letter::LocalPart | Letter::Sender)
    }) {
        let why =
            "puts local parts into DNS questions and never matches one outside ASCII. Use `%{i}` or `%{d}`.";
        return Some((Severity::Warn, why));
    }
    if matches!(term, Term::Directive(_, Mechanism::Include(domain)) if !is_constant(domain)) {
        // rspamd takes the text as it stands, see tests/judged/disagreements.md.
        let why = "has a macro in an include, which some filters do not expand. Use `exists:` for it.";
        return Some((Severity::Info, why));
    }
    None
}
