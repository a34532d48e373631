//! The rows of a status: one for each RRset, key and finding.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Account, KeyState, bounded_text};
use crate::api::{FindingStatus, KeyStatus, RecordStatus, Truth};
use crate::finding::Finding;
use crate::plan::{Row, Step};
use crate::protocol::Purpose;
use crate::publish::PublishError;
use crate::verify::Verdict;

/// One row for each wanted RRset, in the order of names. That of the owner text comes first, and only where it is in trouble:
/// nobody declared it.
pub(super) fn records(account: &Account<'_>) -> Vec<RecordStatus> {
    let rows = account.plan.rows.iter();
    rows.map(|row| (row.group.purpose, record(account, row)))
        .filter(|(purpose, row)| *purpose != Purpose::Owner || row.published != Truth::True)
        .map(|(_, row)| row)
        .collect()
}

fn record(account: &Account<'_>, row: &Row) -> RecordStatus {
    let verdict = account.verdicts.get(&row.group.key);
    let verified = verdict.map_or(Truth::Unknown, |v| v.verified);
    let (published, mut reason, mut message) = published(account, row, verified);
    if reason.is_none() && row.step == Step::Mend {
        reason = Some("Drift");
        message = Some(match verdict.and_then(|v| v.message.as_deref()) {
            Some(seen) => format!("was changed by another hand and is mended; {seen}"),
            None => "was changed by another hand and is mended".to_owned(),
        });
    }
    if let (
        None,
        Some(Verdict {
            reason: Some(word),
            message: text,
            ..
        }),
    ) = (reason, verdict)
    {
        reason = Some(word);
        message.clone_from(text);
    }
    let retiring = account.plan.retiring.get(&row.group.key);
    if let (None, Some(retiring)) = (reason, retiring) {
        reason = Some("Retiring");
        message = Some(super::held::retiring(retiring));
    }
    RecordStatus {
        name: row.group.key.name.to_string(),
        record_type: row.group.key.record_type.to_string(),
        purpose: row.group.purpose.to_string(),
        provider: row.home.as_ref().map(|home| home.provider.clone()),
        published,
        verified,
        reason: reason.map(str::to_owned),
        message: message.map(|text| bounded_text(&text)),
        paste: match &row.step {
            Step::Withheld(withheld) => Some(withheld.paste.clone()),
            Step::InPlace
            | Step::Satisfied
            | Step::Adopt
            | Step::Write
            | Step::Replace
            | Step::Mend
            | Step::Conflict(_)
            | Step::Refused(_)
            | Step::Unread(_) => None,
        },
    }
}

fn published(
    account: &Account<'_>,
    row: &Row,
    verified: Truth,
) -> (Truth, Option<&'static str>, Option<String>) {
    let fine = (Truth::True, None, None);
    match &row.step {
        Step::InPlace | Step::Satisfied | Step::Adopt => fine,
        Step::Withheld(withheld) => (
            Truth::False,
            Some(withheld.reason()),
            Some(withheld.message.clone()),
        ),
        Step::Conflict(message) => (Truth::False, Some("Conflict"), Some(message.clone())),
        Step::Refused(refusal) => (Truth::False, Some(refusal.reason()), Some(refusal.to_string())),
        // Not all that was asked about the name was answered; this RRset was.
        Step::Unread(PublishError::Unseen(..)) if verified == Truth::True => fine,
        Step::Unread(error) => (Truth::Unknown, Some(error.reason()), Some(error.to_string())),
        Step::Write | Step::Replace | Step::Mend => {
            let provider = row
                .home
                .as_ref()
                .map(|home| home.provider.as_str())
                .unwrap_or_default();
            match account.applied.get(provider) {
                Some(Err(error)) => (Truth::False, Some(error.reason()), Some(error.to_string())),
                None => (Truth::Unknown, Some("NotApplied"), None),
                Some(Ok(())) if account.deferred.contains(provider) && verified != Truth::True => {
                    match account.explained.get(&row.group.key) {
                        Some((reason, message)) => (Truth::False, Some(reason), Some(message.clone())),
                        None => (
                            Truth::False,
                            Some("Propagating"),
                            Some("handed to ExternalDNS, not in DNS yet".to_owned()),
                        ),
                    }
                }
                Some(Ok(())) => fine,
            }
        }
    }
}

/// At most 256 rows; those with something to say are kept first.
pub(super) fn bounded(mut rows: Vec<RecordStatus>) -> Vec<RecordStatus> {
    if rows.len() > 256 {
        rows.sort_by_key(|row| row.reason.is_none());
        rows.truncate(256);
    }
    rows
}

/// One row for each key.
pub(super) fn keys(keys: &[KeyState]) -> Vec<KeyStatus> {
    keys.iter()
        .take(128)
        .map(|state| {
            let KeyState {
                sender,
                key,
                selector,
                algorithm,
                fingerprint,
                stage,
                secret,
                waiting_for,
                since,
                unsure: _,
                not_made: _,
            } = state;
            KeyStatus {
                sender: sender.clone(),
                key: key.clone(),
                selector: selector.to_string(),
                algorithm: *algorithm,
                fingerprint: fingerprint.clone(),
                stage: *stage,
                secret_name: secret.clone(),
                waiting_for: waiting_for.as_deref().map(super::bounded_text),
                since: since.map(Time),
            }
        })
        .collect()
}

/// At most 64 findings; they come sorted, worst first.
pub(super) fn findings(findings: &[Finding]) -> Vec<FindingStatus> {
    findings
        .iter()
        .take(64)
        .map(
            |Finding {
                 severity,
                 id,
                 name,
                 message,
                 gate: _,
             }| FindingStatus {
                id: (*id).to_owned(),
                severity: *severity,
                name: name.clone(),
                message: bounded_text(message),
            },
        )
        .collect()
}
