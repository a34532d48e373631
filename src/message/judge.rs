//! What a receiver makes of the message, and what differs from what is declared.

use super::{Envelope, From, Message, Signature};
use crate::api::{Alignment, DmarcPolicy, Severity};
use crate::finding::{Finding, Gate};
use crate::intent::{HostAt, Intent, Sender};
use crate::lookup::{Facts, Failure};
use crate::name::Name;
use crate::protocol::spf::{Client, SpfResult, check_host};
use crate::protocol::{SigningKey, alignment, dmarc};
use crate::record::RecordType;

/// A check of messages: its id, what must hold, and where that is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageCheck {
    /// Identifier.
    pub id: &'static str,
    /// What must hold.
    pub title: &'static str,
    /// Document and section.
    pub source: &'static str,
}

const FROM: MessageCheck = MessageCheck {
    id: "message-from",
    title: "the message has one From with one domain",
    source: "RFC 9989 section 4.2",
};
const SPF: MessageCheck = MessageCheck {
    id: "message-spf",
    title: "SPF passes the address that it came from",
    source: "RFC 7208 section 4",
};
const DKIM: MessageCheck = MessageCheck {
    id: "message-dkim",
    title: "its signatures verify with the keys in DNS",
    source: "RFC 6376 section 6",
};
const DMARC: MessageCheck = MessageCheck {
    id: "message-dmarc",
    title: "one that passed is of the domain in From",
    source: "RFC 9989 section 4.4",
};
const DECLARED: MessageCheck = MessageCheck {
    id: "message-as-declared",
    title: "it was sent as the MailDomain says",
    source: "the declaration",
};

/// Every check of messages.
pub const CHECKS: [MessageCheck; 5] = [FROM, SPF, DKIM, DMARC, DECLARED];

impl MessageCheck {
    fn finding(self, severity: Severity, name: impl ToString, message: String) -> Finding {
        Finding {
            severity,
            id: self.id,
            name: name.to_string(),
            message,
            gate: Gate::Nothing,
        }
    }
}

/// What came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// One line: from where, as whom, signed by whom, and what each comes to.
    pub summary: String,
    /// What is wrong, worst first.
    pub findings: Vec<Finding>,
}

/// An identifier that passed, or did not.
struct Identifier {
    domain: Option<Name>,
    passes: Option<bool>,
    told: String,
}

/// What is declared for the domain in From.
#[derive(Debug, Clone, Copy)]
pub struct Declared<'a> {
    /// The declaration.
    pub intent: &'a Intent,
    /// Its keys.
    pub keys: &'a [SigningKey],
    /// Whether these are all: without its ledger nobody knows the selectors of generated keys.
    pub all_keys_known: bool,
}

/// Judges a message; with a declaration it also tells what differs from it. `now` is seconds since 1970. What the facts miss is
/// noted in them.
pub fn judge(message: &Message, facts: &Facts, declared: Option<Declared<'_>>, now: i64) -> Account {
    let envelope = message.envelope();
    let from = match message.from() {
        From::Domain(domain) => domain,
        From::Unusable(why) => {
            let told =
                format!("The message cannot be judged: {why}. Receivers refuse such (RFC 9989 section 4.2).");
            return Account {
                summary: why.to_owned(),
                findings: vec![FROM.finding(Severity::Fail, "From", told)],
            };
        }
    };
    let signatures = message.signatures();
    let mut findings = Vec::new();
    let spf = by_spf(&envelope, facts, &mut findings);
    let dkim: Vec<Identifier> = signatures
        .iter()
        .map(|signature| by_dkim(signature, facts, now, &mut findings))
        .collect();
    if signatures.is_empty() {
        let told = "The message has no DKIM signature. Let the server sign it.".to_owned();
        findings.push(DKIM.finding(Severity::Warn, &from, told));
    }
    findings.extend(by_dmarc(&from, facts, &spf, &dkim));
    if let Some(declared) = &declared {
        findings.extend(differences(declared.intent, &envelope));
        findings.extend(undeclared_selectors(declared, signatures));
    }
    findings.sort();
    let mut told = vec![spf.told];
    told.extend(dkim.into_iter().map(|identifier| identifier.told));
    Account {
        summary: format!("From {from}; {}", told.join("; ")),
        findings,
    }
}

fn by_spf(envelope: &Envelope, facts: &Facts, findings: &mut Vec<Finding>) -> Identifier {
    let helo = envelope.helo.clone().unwrap_or_default();
    let mail_from = envelope.mail_from.clone().unwrap_or_default();
    // RFC 7208 section 2.4: a bounce is judged by the greeting.
    let domain = if mail_from.is_empty() {
        Name::parse_host(&helo).ok()
    } else {
        envelope.return_path()
    };
    let (Some(address), Some(domain)) = (envelope.address, domain) else {
        let told = "The message does not tell the address that it came from, or its Return-Path, so SPF is not judged. Take it from a mailbox of a receiver outside.";
        findings.push(SPF.finding(Severity::Unknown, "Received", told.to_owned()));
        return Identifier {
            domain: None,
            passes: None,
            told: "SPF not judged".to_owned(),
        };
    };
    let client = Client {
        address,
        mail_from,
        helo,
    };
    let outcome = check_host(facts, &client, &domain);
    let (severity, passes) = match outcome.result {
        SpfResult::Pass => (None, Some(true)),
        SpfResult::TempError | SpfResult::NotYetKnown => (Some(Severity::Unknown), None),
        SpfResult::Fail | SpfResult::PermError => (Some(Severity::Fail), Some(false)),
        SpfResult::None | SpfResult::Neutral | SpfResult::SoftFail => (Some(Severity::Warn), Some(false)),
    };
    findings.extend(severity.map(|severity| {
        let told = format!(
            "{address} gets SPF {} at {domain}, the domain of the Return-Path: {}.",
            outcome.result, outcome.reason
        );
        SPF.finding(severity, &domain, told)
    }));
    Identifier {
        told: format!("from {address}, SPF {} at {domain}", outcome.result),
        domain: Some(domain),
        passes,
    }
}

fn by_dkim(signature: &Signature, facts: &Facts, now: i64, findings: &mut Vec<Finding>) -> Identifier {
    let domain = signature.domain.clone();
    let Some(name) = signature.key_name() else {
        let told = "A DKIM signature has no d= or s= that can be read, so it fails.".to_owned();
        findings.push(DKIM.finding(Severity::Fail, "DKIM-Signature", told));
        return Identifier {
            domain,
            passes: Some(false),
            told: "a DKIM signature fails".to_owned(),
        };
    };
    let verdict: Result<Result<(), String>, Failure> =
        facts.ask(&name, RecordType::Txt).texts().map(|texts| {
            if texts.is_empty() {
                return Err("the selector has no key".to_owned());
            }
            let tried = texts.iter().map(|text| signature.verify(text, now));
            // RFC 6376 section 6.1.2 step 4: of several, any may do.
            let tried: Vec<Result<(), &str>> = tried.collect();
            match tried.iter().find(|result| result.is_ok()).or(tried.first()) {
                Some(Err(why)) => Err((*why).to_owned()),
                Some(Ok(())) | None => Ok(()),
            }
        });
    let (severity, passes, word, why) = match verdict {
        Ok(Ok(())) => (None, Some(true), "passes", String::new()),
        Ok(Err(why)) => (Some(Severity::Fail), Some(false), "fails", why),
        Err(failure) => (
            Some(Severity::Unknown),
            None,
            "is not known",
            format!("the resolver {failure}"),
        ),
    };
    findings.extend(severity.map(|severity| {
        let told = format!("The DKIM signature with {name} {word}: {why}.");
        DKIM.finding(severity, &name, told)
    }));
    Identifier {
        told: format!("DKIM {name} {word}"),
        domain,
        passes,
    }
}

fn by_dmarc(from: &Name, facts: &Facts, spf: &Identifier, dkim: &[Identifier]) -> Option<Finding> {
    let applied = match dmarc::policy(facts, from) {
        Ok(applied) => applied,
        Err(failure) => {
            let told = format!("Nobody knows which DMARC policy applies to {from}: the resolver {failure}.");
            return Some(DMARC.finding(Severity::Unknown, from, told));
        }
    };
    let modes = applied.as_ref().map(|applied| {
        let record = &applied.hit.record;
        (record.spf_alignment, record.dkim_alignment)
    });
    let (spf_mode, dkim_mode) = modes.unwrap_or((Alignment::Relaxed, Alignment::Relaxed));
    let mut unknown = false;
    let mut aligned = false;
    let mut passed = Vec::new();
    let identifiers = std::iter::once((spf, spf_mode)).chain(dkim.iter().map(|d| (d, dkim_mode)));
    for (identifier, mode) in identifiers {
        let Some(domain) = &identifier.domain else {
            continue;
        };
        let aligns = alignment::aligned(facts, from, domain, || Ok(mode));
        match (identifier.passes, aligns) {
            (Some(true), Ok(true)) => aligned = true,
            (Some(true), Ok(false)) => passed.push(domain.to_string()),
            (Some(true), Err(_)) | (None, _) => unknown = true,
            (Some(false), _) => {}
        }
    }
    if aligned {
        return None;
    }
    let policy = applied.and_then(|applied| applied.effective());
    let harm = match policy {
        Some(DmarcPolicy::Reject) => "is refused (p=reject)",
        Some(DmarcPolicy::Quarantine) => "is put aside (p=quarantine)",
        Some(DmarcPolicy::None) | None => "counts as not authenticated",
    };
    let others = if passed.is_empty() {
        "neither SPF nor a signature passes".to_owned()
    } else {
        format!("what passes is of {} and not of {from}", passed.join(", "))
    };
    let (severity, told) = if unknown {
        (
            Severity::Unknown,
            format!("Nobody knows whether DMARC passes for {from}: not everything could be asked."),
        )
    } else {
        (
            Severity::Fail,
            format!(
                "DMARC fails for {from}, so the message {harm}: {others}. Sign with d={from}, or let the Return-Path be at or below {from} and SPF pass."
            ),
        )
    };
    Some(DMARC.finding(severity, from, told))
}

/// What the message shows and no declared sender has. A vendor's servers and names are the vendor's to choose.
fn differences(intent: &Intent, envelope: &Envelope) -> Vec<Finding> {
    let by_vendor = |sender: &Sender| !sender.includes.is_empty() || sender.return_path.domain().is_none();
    let any_vendor = intent.senders.iter().any(by_vendor);
    let mut findings = Vec::new();
    let mut differs =
        |severity, name: String, told: String| findings.push(DECLARED.finding(severity, name, told));
    if let Some(address) = envelope.address {
        let of_hosts = intent.hosts.iter().filter_map(|host| match &host.at {
            HostAt::Addresses(addresses) => Some(addresses),
            HostAt::Alias(_) => None,
        });
        let declared = of_hosts.flatten().any(|known| *known == address)
            || intent
                .senders
                .iter()
                .flat_map(|sender| &sender.egress)
                .any(|range| range.contains(address));
        if !declared && !any_vendor {
            let told = format!(
                "The message came from {address}, which no host and no egress of a sender declares. Add it to spec.hosts or to the sender's egress, or find out who sends there."
            );
            differs(Severity::Fail, address.to_string(), told);
        }
    }
    if let Some(helo) = &envelope.helo {
        let declared = intent
            .hosts
            .iter()
            .any(|host| host.name.as_str().eq_ignore_ascii_case(helo));
        if !declared && !any_vendor {
            let told = format!(
                "The server greeted as {helo}, which is no declared host. Let it greet with the name in spec.hosts."
            );
            differs(Severity::Warn, helo.clone(), told);
        }
    }
    if let Some(return_path) = envelope.return_path() {
        let declared = intent
            .senders
            .iter()
            .any(|sender| sender.return_path.domain() == Some(&return_path));
        let vendors = intent
            .senders
            .iter()
            .any(|sender| sender.return_path.domain().is_none());
        if !declared && !vendors {
            let told = format!(
                "The Return-Path is at {return_path}, which no sender declares. Set the returnPath of the sender, or the envelope domain of the server."
            );
            differs(Severity::Fail, return_path.to_string(), told);
        }
    }
    findings
}

fn undeclared_selectors(declared: &Declared<'_>, signatures: &[Signature]) -> Vec<Finding> {
    let domain = &declared.intent.domain;
    let ours = signatures
        .iter()
        .filter(|signature| signature.domain.as_ref() == Some(domain));
    let selectors: Vec<&Name> = ours.filter_map(|signature| signature.selector.as_ref()).collect();
    let mut findings = Vec::new();
    let signs = declared
        .intent
        .senders
        .iter()
        .any(|sender| !sender.keys.is_empty());
    if selectors.is_empty() && signs {
        let told = format!(
            "No signature of the message is of {domain}, though its senders have keys. Let the server sign with d={domain}."
        );
        findings.push(DECLARED.finding(Severity::Fail, domain, told));
    }
    let is_known = |selector: &&Name| {
        declared
            .keys
            .iter()
            .any(|key| key.selector.as_str() == selector.as_str())
    };
    for selector in selectors.into_iter().filter(|selector| !is_known(selector)) {
        // The selectors of keys that only the cluster knows are not to be had here.
        if declared.all_keys_known {
            let told = format!(
                "The message is signed with the selector {selector}, which no sender declares. Add it to the sender's dkim.keys, or let the server sign with a declared one."
            );
            findings.push(DECLARED.finding(Severity::Fail, selector, told));
        }
    }
    findings
}
