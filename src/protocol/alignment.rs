//! Alignment (RFC 9989 section 4.4): whether each sender has an identifier of the From domain that authenticates.
//!
//! The same question decides whether a held DMARC policy may go out; see [`senders_proven`].

use super::{Check, Declaration, Evidence, PolicyGate, Protocol, Wanted, dkim, dmarc, spf};
use crate::api::{Alignment, DmarcPolicy, Severity};
use crate::finding::{Finding, Gate};
use crate::intent::Sender;
use crate::lookup::{Facts, Failure};
use crate::name::Name;

/// Alignment.
pub const PROTOCOL: Protocol = Protocol {
    name: "alignment",
    desired,
    checks: &[IDENTIFIERS, READINESS],
};

const IDENTIFIERS: Check = Check {
    id: "align-identifiers",
    title: "every sender has an aligned identifier",
    source: "RFC 9989 section 4.4",
    gate: Gate::Ready,
    run: identifiers,
};

const READINESS: Check = Check {
    id: "dmarc-reject-readiness",
    title: "no policy refuses the mail of a declared sender",
    source: "RFC 9989 sections 5.1.6 and 7.4",
    gate: Gate::Nothing,
    run: readiness,
};

fn desired(_: &Declaration<'_>) -> Vec<Wanted> {
    Vec::new()
}

/// Whether a sender's mail authenticates as the From domain in one of the two ways.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Aligned {
    /// It does.
    Yes,
    /// It does not; why.
    No(String),
    /// Nobody knows.
    Unknown,
}

/// Whether every declared sender has an identifier that authenticates and aligns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// All have one. So it is without senders.
    Proven,
    /// These have none.
    Not(Vec<Unproven>),
    /// Of some nobody knows, and none is known to lack one.
    Unknown,
}

/// A sender without an aligned identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unproven {
    /// Its name.
    pub sender: String,
    /// Why SPF and DKIM do not do.
    pub why: String,
}

impl PolicyGate {
    /// Why the declared DMARC policy is held, for the status; `None` when it is not.
    pub fn held_for(self, senders: &Proof) -> Option<String> {
        match (self, senders) {
            (Self::Released, _) => None,
            (Self::Held(_), Proof::Proven) => {
                Some("every sender is proven now; the policy follows".to_owned())
            }
            (Self::Held(_), Proof::Unknown) => Some("not every sender could be asked about".to_owned()),
            (Self::Held(_), Proof::Not(senders)) => Some(
                senders
                    .iter()
                    .take(5)
                    .map(|s| format!("{}: {}", s.sender, s.why))
                    .collect::<Vec<_>>()
                    .join("; "),
            ),
        }
    }
}

/// Whether every declared sender has an identifier that authenticates and aligns, so that a strict DMARC policy does
/// not hit its mail.
pub fn senders_proven(evidence: &Evidence<'_>) -> Proof {
    let mut unproven = Vec::new();
    let mut unknown = false;
    for sender in &evidence.declaration.intent.senders {
        match (by_spf(evidence, sender), by_dkim(evidence, sender)) {
            (Aligned::Yes, _) | (_, Aligned::Yes) => {}
            (Aligned::No(spf), Aligned::No(dkim)) => unproven.push(Unproven {
                sender: sender.name.clone(),
                why: format!("{spf} and {dkim}"),
            }),
            (Aligned::Unknown, Aligned::Unknown | Aligned::No(_)) | (Aligned::No(_), Aligned::Unknown) => {
                unknown = true;
            }
        }
    }
    match (unproven.is_empty(), unknown) {
        (false, _) => Proof::Not(unproven),
        (true, true) => Proof::Unknown,
        (true, false) => Proof::Proven,
    }
}

/// By SPF at the Return-Path (RFC 9989 section 4.4.2).
pub fn by_spf(evidence: &Evidence<'_>, sender: &Sender) -> Aligned {
    let domain = &evidence.declaration.intent.domain;
    let Some(return_path) = sender.return_path.domain() else {
        return Aligned::No("its Return-Path is the vendor's".to_owned());
    };
    let aligned = match aligns(evidence, return_path) {
        Ok(true) => Aligned::Yes,
        Ok(false) => {
            return Aligned::No(format!(
                "its Return-Path {return_path} does not align with {domain}"
            ));
        }
        Err(_) => Aligned::Unknown,
    };
    match spf::sender_result(evidence, sender) {
        spf::SenderSpf::Pass => aligned,
        spf::SenderSpf::Fail => Aligned::No(format!("SPF at {return_path} does not pass")),
        spf::SenderSpf::Unknown => Aligned::Unknown,
    }
}

/// By DKIM: `d=` is the domain itself, so what verifies aligns.
pub fn by_dkim(evidence: &Evidence<'_>, sender: &Sender) -> Aligned {
    match dkim::sender_result(evidence, sender) {
        dkim::SenderDkim::Pass => Aligned::Yes,
        dkim::SenderDkim::Fail => Aligned::No("none of its DKIM keys would verify".to_owned()),
        dkim::SenderDkim::NoKeys => Aligned::No("it has no DKIM key".to_owned()),
        dkim::SenderDkim::Unknown => Aligned::Unknown,
    }
}

/// Whether a Return-Path domain aligns with From: the same name, or, unless strict, of the same organization.
fn aligns(evidence: &Evidence<'_>, return_path: &Name) -> Result<bool, Failure> {
    let domain = &evidence.declaration.intent.domain;
    aligned(evidence.facts, domain, return_path, || spf_alignment(evidence))
}

/// Whether an identifier aligns with From in this mode, which is asked for only where it matters.
pub fn aligned(
    facts: &Facts,
    from: &Name,
    identifier: &Name,
    mode: impl Fn() -> Result<Alignment, Failure>,
) -> Result<bool, Failure> {
    if identifier == from {
        return Ok(true);
    }
    // All are asked before any is judged, to save rounds of questions.
    let mode = mode();
    let theirs = dmarc::organizational_domain(facts, identifier);
    let ours = dmarc::organizational_domain(facts, from);
    Ok(mode? == Alignment::Relaxed && theirs? == ours?)
}

/// As declared; else as the record that applies says.
fn spf_alignment(evidence: &Evidence<'_>) -> Result<Alignment, Failure> {
    let intent = evidence.declaration.intent;
    if let Some(dmarc) = &intent.dmarc {
        return Ok(dmarc.spf_alignment.unwrap_or(Alignment::Relaxed));
    }
    let applied = dmarc::policy(evidence.facts, &intent.domain)?;
    Ok(applied.map_or(Alignment::Relaxed, |applied| applied.hit.record.spf_alignment))
}

fn identifiers(evidence: &Evidence<'_>) -> Vec<Finding> {
    let domain = &evidence.declaration.intent.domain;
    let judge = |sender: &Sender| {
        let name = &sender.name;
        let (severity, message) = match (by_spf(evidence, sender), by_dkim(evidence, sender)) {
            (Aligned::Yes, Aligned::Yes | Aligned::Unknown) | (Aligned::Unknown, Aligned::Yes) => {
                return None;
            }
            (Aligned::No(spf), Aligned::No(dkim)) => (
                Severity::Fail,
                format!(
                    "Mail of sender {name} does not authenticate as {domain}: {spf} and {dkim}. Give it a DKIM key (dkim.keys), or a Return-Path at or below {domain} with its addresses in SPF."
                ),
            ),
            (Aligned::Yes, Aligned::No(dkim)) => (
                Severity::Warn,
                format!(
                    "Mail of sender {name} authenticates by SPF alone ({dkim}) and fails when it is forwarded. Give it a DKIM key (dkim.keys)."
                ),
            ),
            (Aligned::No(spf), Aligned::Yes) => (
                Severity::Warn,
                format!(
                    "Mail of sender {name} authenticates by DKIM alone ({spf}). Give it a Return-Path at or below {domain} with its addresses in SPF."
                ),
            ),
            (Aligned::Unknown, Aligned::Unknown | Aligned::No(_)) | (Aligned::No(_), Aligned::Unknown) => (
                Severity::Unknown,
                format!(
                    "Nobody knows whether mail of sender {name} authenticates as {domain}: the resolver did not answer. It is asked again."
                ),
            ),
        };
        Some(IDENTIFIERS.finding(severity, domain, message))
    };
    evidence
        .declaration
        .intent
        .senders
        .iter()
        .filter_map(judge)
        .collect()
}

/// What a strict policy does to senders that do not authenticate, or only in the way that forwarding breaks.
fn readiness(evidence: &Evidence<'_>) -> Vec<Finding> {
    let domain = &evidence.declaration.intent.domain;
    let applied = dmarc::policy(evidence.facts, domain).ok().flatten();
    let Some(policy) = applied.and_then(|applied| applied.effective()) else {
        return Vec::new();
    };
    let harm = match policy {
        DmarcPolicy::None => return Vec::new(),
        DmarcPolicy::Quarantine => "puts all of its mail aside",
        DmarcPolicy::Reject => "refuses all of its mail",
    };
    let judge = |sender: &Sender| {
        let name = &sender.name;
        let message = match (by_spf(evidence, sender), by_dkim(evidence, sender)) {
            (Aligned::No(spf), Aligned::No(dkim)) => format!(
                "The DMARC policy {harm} from sender {name}: {spf} and {dkim}. Mend one of them now, or publish p=none until one passes."
            ),
            (Aligned::Yes, Aligned::No(dkim)) if policy == DmarcPolicy::Reject => format!(
                "With p=reject all forwarded mail of sender {name} is refused: {dkim}, and SPF breaks on the way. Give it a DKIM key (dkim.keys), or publish p=quarantine until it has one."
            ),
            (Aligned::Yes | Aligned::No(_) | Aligned::Unknown, _) => return None,
        };
        Some(READINESS.finding(Severity::Fail, domain, message))
    };
    let senders = evidence.declaration.intent.senders.iter();
    senders.filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::super::dkim::samples::RSA_2048;
    use super::super::dmarc::scene::Scene;
    use super::*;
    use serde_json::{Value as Json, json};

    const SPF: &str = "v=spf1 ip4:192.0.2.10 -all";

    /// A sender at 192.0.2.10 with this Return-Path and, perhaps, a key.
    fn sender(return_path: &Json, signs: bool) -> Scene {
        let keys = json!([{ "name": "s1", "delegate": { "selector": "s1", "target": "k.vendor.example" } }]);
        let keys = if signs { keys } else { json!([]) };
        let scene = Scene::of("example.com")
            .with(
                "hosts",
                json!([{ "name": "mail.example.com", "purpose": "Mail", "addresses": ["192.0.2.10"] }]),
            )
            .with(
                "senders",
                json!([{ "name": "mta", "hosts": ["mail.example.com"], "returnPath": return_path, "dkim": { "keys": keys } }]),
            );
        if signs {
            scene.key("s1", "cname k.vendor.example")
        } else {
            scene
        }
    }

    /// The finding and the proof.
    fn judged(scene: &Scene) -> (Vec<String>, &'static str) {
        let proof = scene.evidence(|evidence| match senders_proven(evidence) {
            Proof::Proven => "proven",
            Proof::Not(_) => "not",
            Proof::Unknown => "unknown",
        });
        (scene.findings(PROTOCOL.checks), proof)
    }

    fn key() -> String {
        format!("s1._domainkey.example.com TXT v=DMARC1; p={RSA_2048}").replace("DMARC1", "DKIM1")
    }

    #[test]
    fn both_identifiers_have_no_finding_and_no_sender_is_proven() {
        let scene = sender(&json!({ "domain": "example.com" }), true)
            .zone(&format!("{}\nexample.com TXT {SPF}", key()));
        assert_eq!(judged(&scene), (Vec::new(), "proven"));
        assert_eq!(judged(&Scene::of("example.com")), (Vec::new(), "proven"));
    }

    #[test]
    fn one_identifier_is_a_warning_and_none_a_failure() {
        let warn = || vec!["Warn align-identifiers".to_owned()];
        let fail = || vec!["Fail align-identifiers".to_owned()];
        let unknown = || vec!["Unknown align-identifiers".to_owned()];
        let own = json!({ "domain": "example.com" });
        let key = key();
        for (return_path, signs, zone, expected) in [
            (json!({ "vendor": true }), true, key.clone(), (warn(), "proven")),
            (json!({ "vendor": true }), false, String::new(), (fail(), "not")),
            (own.clone(), true, key.clone(), (warn(), "proven")),
            (
                own.clone(),
                false,
                format!("example.com TXT {SPF}"),
                (warn(), "proven"),
            ),
            (own.clone(), true, String::new(), (fail(), "not")),
            (
                own.clone(),
                false,
                "example.com SERVFAIL".to_owned(),
                (unknown(), "unknown"),
            ),
            (
                json!({ "vendor": true }),
                true,
                "s1._domainkey.example.com SERVFAIL".to_owned(),
                (unknown(), "unknown"),
            ),
            (
                json!({ "domain": "bounce.other.example" }),
                false,
                format!("bounce.other.example TXT {SPF}"),
                (fail(), "not"),
            ),
        ] {
            let scene = sender(&return_path, signs).zone(&zone);
            assert_eq!(judged(&scene), expected, "{return_path} {signs} {zone}");
        }
    }

    #[test]
    fn a_return_path_below_the_domain_aligns_unless_strict_or_of_another_organization() {
        let scene = |dmarc: &str| {
            sender(&json!({ "domain": "bounce.example.com" }), false).zone(&format!(
                "bounce.example.com TXT {SPF}\n_dmarc.example.com TXT {dmarc}"
            ))
        };
        for (dmarc, proof) in [
            ("v=DMARC1; p=none", "proven"),
            ("v=DMARC1; p=none; aspf=s", "not"),
            // Without psd=y at the start the parent is the organization of both.
            ("v=DMARC1; p=none; psd=n", "proven"),
        ] {
            assert_eq!(judged(&scene(dmarc)).1, proof, "{dmarc}");
        }
        let strict = json!({ "policy": "None", "spfAlignment": "Strict" });
        assert_eq!(judged(&scene("v=DMARC1; p=none").with("dmarc", strict)).1, "not");
        // Without any record each name is an organization of its own (RFC 9989 section 4.10.2).
        assert_eq!(judged(&scene("v=spf1 -all")).1, "not");
    }
}
