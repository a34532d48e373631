//! Status: computed whole from the old status and what just happened, compared, written once. Pure.
//!
//! Text here is ours: no upstream body, no request id, no time that changes on its own.

mod conditions;
mod flapping;
mod held;
mod moving;
pub mod provider;
mod reasons;
mod rows;

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::api::{KeyAlgorithm, KeyStage, MailDomainStatus, Severity, Summary, Truth};
use crate::finding::Finding;
use crate::intent::Conduct;
use crate::name::Selector;
use crate::plan::Plan;
use crate::protocol::Purpose;
use crate::publish::PublishError;
use crate::record::Key;
use crate::verify::Verdict;

pub use conditions::condition;
pub use flapping::{Changes, Telling};
pub use moving::{Move, parted};
pub use reasons::REASONS;

/// Everything that a status follows from.
#[derive(Debug)]
pub struct Account<'a> {
    /// The status as it is.
    pub old: &'a MailDomainStatus,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// How much may be written.
    pub conduct: Conduct,
    /// The plan of this pass.
    pub plan: &'a Plan,
    /// What each provider said to its part of the plan.
    pub applied: &'a BTreeMap<String, Result<(), PublishError>>,
    /// Why a provider that is told a state has not brought a record into DNS, where that is known.
    pub explained: &'a BTreeMap<Key, (&'static str, String)>,
    /// Providers whose success is seen in DNS only.
    pub deferred: &'a BTreeSet<String>,
    /// What the authoritative servers answer.
    pub verdicts: &'a BTreeMap<Key, Verdict>,
    /// The keys.
    pub keys: &'a [KeyState],
    /// What the checks found.
    pub findings: &'a [Finding],
    /// Whether the declared DMARC policy is held back, and for whom.
    pub held: Option<&'a str>,
    /// What moves from one home to another.
    pub moves: &'a [Move],
    /// Whether BIMI is declared.
    pub bimi: bool,
    /// The present.
    pub now: Timestamp,
}

/// How far a key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyState {
    /// The sender.
    pub sender: String,
    /// The key's name.
    pub key: String,
    /// The selector.
    pub selector: Selector,
    /// The algorithm; `None` where a vendor keeps the record.
    pub algorithm: Option<KeyAlgorithm>,
    /// Fingerprint of the public half.
    pub fingerprint: Option<String>,
    /// How far it is.
    pub stage: KeyStage,
    /// The Secret with the private half.
    pub secret: Option<String>,
    /// What it waits for.
    pub waiting_for: Option<String>,
    /// When it was proven.
    pub since: Option<Timestamp>,
    /// Whether a signer selects it that was not heard of yet, so that the stage may be better than it seems.
    pub unsure: bool,
    /// Whether it does not exist because no key is made: mode Observe, or a suspension.
    pub not_made: bool,
}

/// For how long each condition has been unknown, kept in memory between passes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Patience {
    since: BTreeMap<&'static str, (Timestamp, u32)>,
}

/// After how much silence a verdict becomes Unknown (design section 7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StaleAfter {
    /// At least this many passes without an answer.
    pub misses: u32,
    /// Over at least this long.
    pub time: SignedDuration,
}

/// The status of a MailDomain that was looked after.
pub fn compute(account: &Account<'_>, patience: &mut Patience, stale_after: StaleAfter) -> MailDomainStatus {
    let records = rows::records(account);
    let conditions = conditions::all(account, &records, patience, stale_after);
    let count = |n: usize| i32::try_from(n).unwrap_or(i32::MAX);
    let owner = Purpose::Owner.to_string();
    let declared = || records.iter().filter(|row| row.purpose != owner);
    let summary = Summary {
        records: count(declared().count()),
        published: count(declared().filter(|r| r.published == Truth::True).count()),
        verified: count(declared().filter(|r| r.verified == Truth::True).count()),
        findings: count(
            account
                .findings
                .iter()
                .filter(|f| matches!(f.severity, Severity::Fail | Severity::Warn))
                .count(),
        ),
    };
    MailDomainStatus {
        observed_generation: account.generation,
        summary: Some(summary),
        conditions,
        records: rows::bounded(records),
        moving: moving::rows(account.moves),
        keys: rows::keys(account.keys),
        findings: rows::findings(account.findings),
    }
}

/// The status of a MailDomain that cannot be looked after: everything else stays as it was last seen.
pub fn refused(
    old: &MailDomainStatus,
    generation: Option<i64>,
    reason: &'static str,
    message: &str,
    now: Timestamp,
) -> MailDomainStatus {
    let mut status = old.clone();
    status.observed_generation = generation;
    conditions::refuse(&mut status.conditions, generation, reason, message, now);
    status
}

/// Cuts a message at 512 bytes, at a character's border.
pub(crate) fn bounded_text(text: &str) -> String {
    if text.len() <= 512 {
        return text.to_owned();
    }
    let mut end = 509;
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests;
