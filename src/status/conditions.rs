//! The conditions: one verdict each, with one reason of a closed list.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::{Account, Patience, StaleAfter, bounded_text};
use crate::api::{KeyStage, RecordStatus, Severity, Truth};
use crate::finding::Gate;
use crate::intent::{Drift, Mode};
use crate::plan::Step;

/// One verdict before it becomes a condition.
#[derive(Debug, Clone)]
struct Verdict {
    truth: Truth,
    reason: String,
    message: String,
}

impl Verdict {
    fn new(truth: Truth, reason: &str, message: impl Into<String>) -> Self {
        Self {
            truth,
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    fn fine(message: &str) -> Self {
        Self::new(Truth::True, "AsDeclared", message)
    }
}

/// A condition whose transition time moves only when its status does.
pub fn condition(
    old: &[Condition],
    kind: &str,
    truth: Truth,
    reason: &str,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) -> Condition {
    let before = old.iter().find(|c| c.type_ == kind && c.status == truth.as_str());
    Condition {
        type_: kind.to_owned(),
        status: truth.as_str().to_owned(),
        reason: reason.to_owned(),
        message: bounded_text(message),
        observed_generation: generation,
        last_transition_time: before.map_or(Time(now), |c| c.last_transition_time.clone()),
    }
}

/// All conditions of a MailDomain, in the order in which a person reads them.
pub(super) fn all(
    account: &Account<'_>,
    rows: &[RecordStatus],
    patience: &mut Patience,
    stale: StaleAfter,
) -> Vec<Condition> {
    let mut keep =
        |kind: &'static str, verdict: Verdict| (kind, held(account, kind, verdict, patience, stale));
    let seen = parts(account, rows).into_iter();
    let mut verdicts: Vec<(&'static str, Verdict)> = seen.map(|(kind, v)| keep(kind, v)).collect();
    let aligned = keep(
        "Aligned",
        gate(
            account,
            Gate::Ready,
            "every declared sender has an aligned identifier",
        ),
    );
    let needed = ["Accepted", "KeysReady", "SPFReady", "DKIMReady", "DMARCReady"];
    let mut parts: Vec<&(&str, Verdict)> = verdicts
        .iter()
        .filter(|(kind, _)| needed.contains(kind))
        .collect();
    parts.push(&aligned);
    let ready = both(
        &parts,
        "an independent receiver would authenticate mail sent as declared",
    );
    let deliverable_own = keep(
        "Deliverable",
        gate(
            account,
            Gate::Deliverable,
            "mail sent as declared meets the rules of large receivers",
        ),
    );
    let ready = ("Ready", ready);
    let mut parts: Vec<&(&str, Verdict)> = verdicts
        .iter()
        .filter(|(kind, _)| *kind == "HostsReady")
        .collect();
    parts.extend([&ready, &deliverable_own]);
    let deliverable = both(&parts, "mail sent as declared meets the rules of large receivers");
    verdicts.extend([ready, ("Deliverable", deliverable)]);
    verdicts.extend(progress(account, &verdicts));
    verdicts.extend(moving(account));
    verdicts
        .into_iter()
        .map(|(kind, v)| {
            condition(
                &account.old.conditions,
                kind,
                v.truth,
                &v.reason,
                &v.message,
                account.generation,
                account.now,
            )
        })
        .collect()
}

/// The verdicts that rest on what was seen alone.
fn parts(account: &Account<'_>, rows: &[RecordStatus]) -> Vec<(&'static str, Verdict)> {
    let gate = |of, fine| gate(account, of, fine);
    let hosts = "hosts resolve as declared, and so do the reverse names that are published here";
    let mut verdicts = vec![
        ("Accepted", accepted(account)),
        ("KeysReady", keys(account)),
        ("Published", published(account, rows)),
        ("Verified", verified(rows)),
        (
            "SPFReady",
            gate(Gate::Spf, "SPF passes for every declared sender"),
        ),
        (
            "DKIMReady",
            gate(Gate::Dkim, "every declared key is visible and usable"),
        ),
        ("DMARCReady", dmarc(account)),
        ("HostsReady", gate(Gate::Hosts, hosts)),
    ];
    if account.bimi {
        verdicts.push(("BIMIReady", gate(Gate::Bimi, "the BIMI record is valid")));
    }
    verdicts
}

/// Unknown keeps the verdict before, until it has been unknown too often for too long (design section 7).
fn held(
    account: &Account<'_>,
    kind: &'static str,
    verdict: Verdict,
    patience: &mut Patience,
    stale: StaleAfter,
) -> Verdict {
    // That no key is made is known; it was not missed by a look that failed.
    if verdict.truth != Truth::Unknown || verdict.reason == "KeyNotMade" {
        patience.since.remove(kind);
        return verdict;
    }
    let (since, misses) = patience.since.entry(kind).or_insert((account.now, 0));
    *misses += 1;
    let exhausted = *misses > stale.misses && account.now.duration_since(*since) >= stale.time;
    // Alignment has no condition of its own. It is the part that only Ready asks for: where that was True, it held. So it
    // is with what only Deliverable asks for; that may have been False for another reason.
    let before = account.old.conditions.iter().find(|c| match kind {
        "Aligned" => c.type_ == "Ready" && c.status == "True",
        "Deliverable" => c.type_ == kind && c.status == "True",
        _ => c.type_ == kind && c.status != "Unknown",
    });
    match before {
        Some(before) if !exhausted => {
            let truth = if before.status == "True" {
                Truth::True
            } else {
                Truth::False
            };
            Verdict::new(truth, "Stale", format!("as last seen; now {}", verdict.message))
        }
        Some(_) | None => verdict,
    }
}

fn accepted(account: &Account<'_>) -> Verdict {
    for row in &account.plan.rows {
        match &row.step {
            Step::Refused(refusal)
                if refusal.reason() == "OwnedElsewhere"
                    || refusal.reason() == "NotAllowed"
                        && crate::tenancy::address_of(&row.group.key.name).is_none() =>
            {
                return Verdict::new(Truth::False, refusal.reason(), refusal.to_string());
            }
            // Where no provider is needed, none can hold anything back.
            Step::Unread(_) if row.home.is_none() => {}
            Step::Unread(error) => {
                let truth = if matches!(
                    error.reason(),
                    "CredentialsRefused" | "CredentialsMissing" | "ZoneMissing"
                ) {
                    Truth::False
                } else {
                    Truth::Unknown
                };
                return Verdict::new(truth, error.reason(), error.to_string());
            }
            Step::Refused(_)
            | Step::InPlace
            | Step::Satisfied
            | Step::Adopt
            | Step::Write
            | Step::Replace
            | Step::Mend
            | Step::Conflict(_)
            | Step::Withheld(_) => {}
        }
    }
    Verdict::fine("the declaration is valid, the claim is held, the providers may be used")
}

fn keys(account: &Account<'_>) -> Verdict {
    let worst = account
        .keys
        .iter()
        .filter(|key| key.waiting_for.is_some())
        .min_by_key(|key| (key.unsure, key.stage));
    match worst {
        None => Verdict::fine("every key has its Secret, is proven, and is with the signers that select it"),
        Some(key) => {
            let reason = match key.stage {
                _ if key.not_made => "KeyNotMade",
                KeyStage::Pending => "KeyPending",
                KeyStage::Published => "KeyNotProven",
                KeyStage::Proven | KeyStage::Active => "KeyNotInSigner",
            };
            let truth = if key.unsure { Truth::Unknown } else { Truth::False };
            let message = format!(
                "{}/{} (selector {}) waits for {}",
                key.sender,
                key.key,
                key.selector,
                key.waiting_for.as_deref().unwrap_or_default()
            );
            Verdict::new(truth, reason, message)
        }
    }
}

/// The worst rows decide; a reason that a person must act on comes before one that passes.
fn published(account: &Account<'_>, rows: &[RecordStatus]) -> Verdict {
    // What waits for a person's hand or word is said only when nothing is wrong besides.
    let passing = [
        "Propagating",
        "Raced",
        "Throttled",
        "Drift",
        "Suspended",
        "ByHand",
    ];
    let bad = |truth| {
        rows.iter()
            .filter(move |row| row.published == truth)
            .min_by_key(|row| row.reason.as_deref().is_some_and(|r| passing.contains(&r)))
    };
    if let Some(held) = &account.plan.held {
        return Verdict::new(Truth::False, "DeletionsHeld", super::held::message(held));
    }
    let fine = match account.conduct.mode {
        Mode::Publish => "every record is at its provider",
        Mode::Manual | Mode::Observe => "every record is there",
    };
    let worst = bad(Truth::False).or(bad(Truth::Unknown));
    let mut verdict = summarize(rows, worst, |row| row.published, fine);
    if account.conduct.suspend {
        if verdict.truth == Truth::True {
            "Suspended".clone_into(&mut verdict.reason);
        }
        if verdict.truth == Truth::True || verdict.reason != "Suspended" {
            verdict.message += "; nothing is written while spec.suspend is true";
        }
    }
    verdict
}

fn verified(rows: &[RecordStatus]) -> Verdict {
    let drift = rows.iter().find(|row| row.reason.as_deref() == Some("Drift"));
    if let Some(row) = drift {
        return Verdict::new(Truth::False, "Drift", line(row));
    }
    let bad = |truth| rows.iter().find(move |row| row.verified == truth);
    summarize(
        rows,
        bad(Truth::False).or(bad(Truth::Unknown)),
        |row| row.verified,
        "every authoritative server answers exactly what is declared",
    )
}

fn summarize(
    rows: &[RecordStatus],
    worst: Option<&RecordStatus>,
    truth: fn(&RecordStatus) -> Truth,
    fine: &str,
) -> Verdict {
    let Some(worst) = worst else {
        return Verdict::fine(fine);
    };
    let others = rows
        .iter()
        .filter(|row| truth(row) != Truth::True)
        .count()
        .saturating_sub(1);
    let more = if others > 0 {
        format!(" (and {others} more, see status.records)")
    } else {
        String::new()
    };
    Verdict::new(
        truth(worst),
        worst.reason.as_deref().unwrap_or("NotAsked"),
        format!("{}{more}", line(worst)),
    )
}

fn line(row: &RecordStatus) -> String {
    let text = row.message.as_deref().unwrap_or("is not as declared");
    format!("{} {} ({}): {text}", row.name, row.record_type, row.purpose)
}

/// The verdict of the checks behind a gate: one failure makes it False, one unanswered question Unknown.
fn gate(account: &Account<'_>, gate: Gate, fine: &str) -> Verdict {
    let of = |severity| {
        account
            .findings
            .iter()
            .filter(move |f| f.gate == gate && f.severity == severity)
    };
    if let Some(first) = of(Severity::Fail).next() {
        let others = of(Severity::Fail).count() - 1;
        let more = if others > 0 {
            format!(" (and {others} more, see status.findings)")
        } else {
            String::new()
        };
        return Verdict::new(
            Truth::False,
            &reason_of(first.id),
            format!("{}{more}", first.message),
        );
    }
    match of(Severity::Unknown).next() {
        Some(first) => Verdict::new(Truth::Unknown, "NotAsked", first.message.clone()),
        None => Verdict::fine(fine),
    }
}

fn dmarc(account: &Account<'_>) -> Verdict {
    let verdict = gate(account, Gate::Dmarc, "a valid DMARC policy applies to the domain");
    match account.held {
        Some(whom) if verdict.truth == Truth::True => Verdict::new(
            Truth::False,
            "PolicyHeld",
            format!("the declared policy is held back until every sender is proven: {whom}"),
        ),
        Some(_) | None => verdict,
    }
}

/// The conjunction of other conditions.
fn both(parts: &[&(&str, Verdict)], fine: &str) -> Verdict {
    let worst = |truth| parts.iter().find(|(_, v)| v.truth == truth);
    let stale = parts.iter().find(|(_, v)| v.reason == "Stale");
    match worst(Truth::False).or(worst(Truth::Unknown)).or(stale) {
        None => Verdict::fine(fine),
        Some((kind, v)) => Verdict::new(v.truth, &v.reason, format!("{kind}: {}", v.message)),
    }
}

/// `Reconciling` and `Stalled` of kstatus: present only while True.
fn progress(account: &Account<'_>, verdicts: &[(&'static str, Verdict)]) -> Vec<(&'static str, Verdict)> {
    let stuck = [
        "Conflict",
        "DeletionsHeld",
        "OwnedElsewhere",
        "NotAllowed",
        "NoProvider",
        "NameConflict",
        "CredentialsRefused",
        "CredentialsMissing",
        "ZoneMissing",
        "ChangeRefused",
        "Unsupported",
    ];
    let stalled = verdicts
        .iter()
        .find(|(kind, v)| matches!(*kind, "Accepted" | "Published") && stuck.contains(&v.reason.as_str()));
    // Drift that is only reported waits for a person.
    let reported = verdicts.iter().find(|(kind, v)| {
        *kind == "Published" && v.reason == "Drift" && account.conduct.drift == Drift::Report
    });
    if let Some((_, v)) = stalled.or(reported) {
        return vec![("Stalled", Verdict::new(Truth::True, &v.reason, v.message.clone()))];
    }
    // Where nothing is written and nobody is asked to, only a proof can be on its way.
    let rests = account.conduct.suspend || account.conduct.mode == Mode::Observe;
    let moving = account
        .keys
        .iter()
        .any(|k| k.waiting_for.is_some() && !k.not_made)
        || !rests
            && (verdicts
                .iter()
                .any(|(kind, v)| matches!(*kind, "Published" | "Verified") && v.truth == Truth::False)
                || account.held.is_some());
    if moving {
        return vec![(
            "Reconciling",
            Verdict::new(
                Truth::True,
                "Waiting",
                "something is on its way; see the other conditions",
            ),
        )];
    }
    Vec::new()
}

/// `Moving`: present only while records move from one home to another.
fn moving(account: &Account<'_>) -> Option<(&'static str, Verdict)> {
    let (reason, message) = super::moving::verdict(account.moves)?;
    Some(("Moving", Verdict::new(Truth::True, reason, message)))
}

/// What a refused declaration says; the other verdicts stay as they were last seen.
pub(super) fn refuse(
    conditions: &mut Vec<Condition>,
    generation: Option<i64>,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let old = std::mem::take(conditions);
    let refused = [
        ("Accepted", Truth::False),
        ("Ready", Truth::False),
        ("Stalled", Truth::True),
    ];
    *conditions = refused
        .iter()
        .map(|(kind, truth)| condition(&old, kind, *truth, reason, message, generation, now))
        .collect();
    conditions.extend(
        old.into_iter()
            .filter(|c| c.type_ != "Reconciling" && !refused.iter().any(|(kind, _)| *kind == c.type_)),
    );
}

/// `spf-present` becomes `SpfPresent`: reasons are CamelCase in Kubernetes.
fn reason_of(id: &str) -> String {
    id.split('-')
        .map(|word| {
            let mut letters = word.chars();
            letters
                .next()
                .map(|first| first.to_ascii_uppercase().to_string() + letters.as_str())
                .unwrap_or_default()
        })
        .collect()
}
