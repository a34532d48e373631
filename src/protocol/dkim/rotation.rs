//! How long a key signs (M3AAWG: about half a year).
//!
//! The other rules of rotation are no findings, because what would break them is not done: a key signs after its proof, a record
//! stands until the key has drained, and no selector is used twice (`keyring`).

use crate::api::Severity;
use crate::finding::{Finding, Gate};
use crate::protocol::{Check, Evidence, SigningKey};

pub(super) const AGE: Check = Check {
    id: "dkim-rotate-age",
    title: "no key signs for longer than half a year",
    source: "M3AAWG DKIM Key Rotation Best Common Practices",
    gate: Gate::Nothing,
    run: age,
};

/// Days.
const LONGEST: i64 = 180;

fn age(evidence: &Evidence<'_>) -> Vec<Finding> {
    let judge = |key: &SigningKey| {
        let days = key.age?.as_hours() / 24;
        let name = key
            .selector
            .record_name(&evidence.declaration.intent.domain)
            .ok()?;
        let message = format!(
            "The key at {name} has signed for {days} days, and who got hold of it may have had it for as long. Declare a new key beside it, under another selector, and remove this one when signers use that."
        );
        (days > LONGEST).then(|| AGE.finding(Severity::Warn, name, message))
    };
    evidence.declaration.keys.iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::super::samples::RSA_2048;
    use super::*;
    use crate::protocol::dmarc::scene::Scene;

    #[test]
    fn a_key_of_more_than_half_a_year_is_due() {
        let key = format!("rsa {RSA_2048}");
        let found = |days| {
            Scene::of("example.com")
                .key("s1", &key)
                .aged(days)
                .findings(&[AGE])
        };
        assert_eq!(found(180), [""; 0]);
        assert_eq!(found(181), ["Warn dkim-rotate-age"]);
        assert_eq!(Scene::of("example.com").key("s1", &key).findings(&[AGE]), [""; 0]);
    }
}
