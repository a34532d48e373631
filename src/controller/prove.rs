//! Proof of keys: two agreements of all authoritative servers, some seconds apart. (memory, events)

use jiff::Timestamp;

use super::admit::View;
use super::keys::Held;
use super::look::{self, Seen};
use super::{Context, clock};
use crate::api::MailDomain;
use crate::intent::Intent;
use crate::keyring::{self, Origin};
use crate::record::{Key, RecordType};

/// Moves each key's proof on by what was seen. The book is changed, not written.
pub async fn prove(
    ctx: &Context,
    object: &MailDomain,
    intent: &Intent,
    held: &[Held],
    seen: &Seen,
    view: &mut View,
    now: Timestamp,
) {
    let apart = jiff::SignedDuration::try_from(ctx.config.proof_interval)
        .unwrap_or(jiff::SignedDuration::from_secs(5));
    for Held {
        slot,
        pair: _,
        trouble: _,
        not_made: _,
    } in held
    {
        let Some(life) = view
            .book
            .lives
            .get_mut(&slot.id)
            .filter(|life| life.proven.is_none())
        else {
            continue;
        };
        let record_type = if matches!(slot.origin, Origin::Delegated(_)) {
            RecordType::Cname
        } else {
            RecordType::Txt
        };
        let Ok(name) = slot.selector.record_name(&intent.domain) else {
            continue;
        };
        let key = Key::new(name, record_type);
        // A selector of our own making was never asked for before; a fixed one may be remembered as missing.
        let fixed = !matches!(slot.origin, Origin::Own { .. });
        let negative = look::negative_until(&seen.direct, &key, now).filter(|_| fixed);
        let unanimous = seen.verdicts.get(&key).is_some_and(|verdict| verdict.unanimous);
        let selector = slot.selector.to_string();
        let (first, not_before) = ctx.remember(object, |memory| {
            let until = memory.negative_until.get(&selector).copied().max(negative);
            memory
                .negative_until
                .extend(until.map(|until| (selector.clone(), until)));
            (memory.first_seen.remove(&selector), until)
        });
        // The clock is read again: looking took time, and the proof is about the moment of the answer.
        let first = keyring::prove(life, unanimous, first, not_before, apart, clock());
        if life.proven.is_some() {
            let message = format!(
                "every authoritative server answers with the key of {} at selector {selector}",
                slot.id
            );
            ctx.event(object, "KeyProven", &message).await;
        } else if let Some(first) = first {
            ctx.remember(object, |memory| memory.first_seen.insert(selector, first));
        }
    }
}
