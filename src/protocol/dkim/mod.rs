//! DKIM (RFC 6376, 8301, 8463): a key record for every selector, and whether a verifier could use what is there.

mod checks;
mod key_text;
mod quality;
mod rotation;
#[cfg(test)]
pub(crate) mod samples;

use super::{Declaration, Evidence, KeyRecord, Protocol, Purpose, SigningKey, Wanted, tag_list};
use crate::api::KeyAlgorithm;
use crate::intent::{self, Mode, Sender};
use crate::key::PublicKey;
use crate::lookup::Failure;
use crate::name::Name;
use crate::record::{RecordType, Value};

pub use key_text::{Fault, KeyText, Material, RsaForm};

/// DKIM.
pub const PROTOCOL: Protocol = Protocol {
    name: "DKIM",
    desired,
    checks: checks::ALL,
};

/// Whether mail that a sender signs would verify.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderDkim {
    /// At least one of its RSA keys is visible, correct and in force. `d=` is the domain, so it aligns.
    Pass,
    /// It has keys and none of them would do.
    Fail,
    /// None is known to be good, and of some nobody knows.
    Unknown,
    /// It declares no keys.
    NoKeys,
}

/// Whether a receiver that verifies the sender's signatures today finds a key that it can use.
pub fn sender_result(evidence: &Evidence<'_>, sender: &Sender) -> SenderDkim {
    let keys = || {
        evidence
            .declaration
            .keys
            .iter()
            .filter(|key| key.sender == sender.name)
    };
    if sender.keys.is_empty() && keys().next().is_none() {
        return SenderDkim::NoKeys;
    }
    // Signers must sign with rsa-sha256 (RFC 8301 section 3.1), so an Ed25519 key alone proves nothing.
    let visible: Vec<_> = keys().map(|key| usable(evidence, key)).collect();
    if visible.contains(&Ok(Some(KeyAlgorithm::RSA))) {
        SenderDkim::Pass
    } else if visible.iter().any(Result::is_err)
        || unknown_keys(evidence.declaration, sender).next().is_some()
    {
        SenderDkim::Unknown
    } else {
        SenderDkim::Fail
    }
}

/// The declared keys that would be made here and are not, because the domain is only observed: which key signs the
/// sender's mail, and under which selector, is not known.
fn unknown_keys<'a>(
    declaration: &'a Declaration<'_>,
    sender: &'a Sender,
) -> impl Iterator<Item = &'a intent::Key> {
    let observed = declaration.intent.conduct.mode == Mode::Observe;
    let is_known = |key: &intent::Key| {
        let mut known = declaration.keys.iter();
        known.any(|k| k.sender == sender.name && k.name == key.name)
    };
    sender.keys.iter().filter(move |key| {
        observed && matches!(key.source, intent::KeySource::Generate { .. }) && !is_known(key)
    })
}

/// The key that a record was meant to hold, where it holds it in a form that verifiers do not read.
pub fn meant(text: &str) -> Option<PublicKey> {
    let record = KeyText::read(text);
    match record.material? {
        Material::Unusable(Fault::OpenSsh) => {
            PublicKey::from_openssh(&tag_list::without_blanks(record.tags.value("p")?))
        }
        Material::Rsa {
            form: RsaForm::Pkcs1,
            octets,
            ..
        } => PublicKey::from_pkcs1(&octets),
        Material::Unusable(_)
        | Material::Rsa { .. }
        | Material::Ed25519(_)
        | Material::Revoked
        | Material::Private => None,
    }
}

/// The algorithm of the key at a selector, if signatures made with it verify.
fn usable(evidence: &Evidence<'_>, key: &SigningKey) -> Result<Option<KeyAlgorithm>, Failure> {
    let Some(seen) = Seen::look(evidence, key) else {
        return Ok(None);
    };
    let texts = seen.texts?;
    let [text] = texts.as_slice() else {
        return Ok(None);
    };
    let record = KeyText::read(text);
    let sound = checks::is_sound(key, &record);
    Ok(record.material.and_then(|m| m.algorithm()).filter(|_| sound))
}

/// What stands at a selector.
struct Seen {
    name: Name,
    texts: Result<Vec<String>, Failure>,
}

impl Seen {
    /// Looks through an alias, as verifiers do. `None`: the name would be too long to exist.
    fn look(evidence: &Evidence<'_>, key: &SigningKey) -> Option<Self> {
        let name = key
            .selector
            .record_name(&evidence.declaration.intent.domain)
            .ok()?;
        let texts = evidence.facts.ask(&name, RecordType::Txt).texts();
        Some(Self { name, texts })
    }
}

fn desired(declaration: &Declaration<'_>) -> Vec<Wanted> {
    let wanted = |key: &SigningKey| {
        let name = key.selector.record_name(&declaration.intent.domain).ok()?;
        let value = match &key.record {
            KeyRecord::Public(public) => Value::Txt(public.record_text()),
            KeyRecord::Delegated(target) => Value::Cname(target.clone()),
            KeyRecord::Found => return None,
        };
        Wanted::exclusive(name, Purpose::Dkim, [value])
    };
    declaration.keys.iter().filter_map(wanted).collect()
}

#[cfg(test)]
mod tests;
