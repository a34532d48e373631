//! Which key each declared one is at this moment, and what has to be done to have it. Pure.
//!
//! The life of a key is in the ledger ([`KeyLife`]) and its private half in an immutable Secret. A Secret that was
//! seen and is gone leads to a new selector, never to another key under the old one.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{KeyLife, KeyStage, KeyStatus, Predecessor};
use crate::intent::{Intent, Key, KeyAlgorithm, KeySource, Sender};
use crate::key::PublicKey;
use crate::name::Selector;
use crate::protocol::{KeyRecord, SigningKey};

/// One declared key with what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slot {
    /// `<sender>/<key name>`, the entry in the ledger.
    pub id: String,
    /// The sender.
    pub sender: String,
    /// The key's name.
    pub name: String,
    /// The selector.
    pub selector: Selector,
    /// Where the key comes from.
    pub origin: Origin,
}

/// Where a key comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Our own Secret of this name; made when it is not there.
    Own {
        /// Name of the Secret.
        secret: String,
        /// Algorithm.
        algorithm: KeyAlgorithm,
        /// RSA modulus length in bits.
        bits: usize,
    },
    /// The user's Secret.
    Imported {
        /// Name of the Secret.
        secret: String,
        /// Key in its data.
        entry: String,
    },
    /// Only the public half is known.
    Public(PublicKey),
    /// A vendor keeps the record.
    Delegated(crate::name::Name),
}

impl Origin {
    /// Whether the private half can be in a signer's output.
    pub fn is_signed_with(&self) -> bool {
        match self {
            Self::Own { .. } | Self::Imported { .. } => true,
            Self::Public(_) | Self::Delegated(_) => false,
        }
    }
}

/// The identity of a MailDomain as far as keys are concerned.
#[derive(Debug, Clone, Copy)]
pub struct Owner<'a> {
    /// `metadata.name`.
    pub name: &'a str,
    /// `metadata.uid`.
    pub uid: &'a str,
}

/// The slot of every declared key, and the lives with a selector assigned to each generated key. `taken` are
/// selectors that DNS or the ledger holds for another key.
pub fn slots(
    intent: &Intent,
    owner: Owner<'_>,
    lives: &BTreeMap<String, KeyLife>,
    taken: &dyn Fn(&Selector) -> bool,
) -> (Vec<Slot>, BTreeMap<String, KeyLife>) {
    let mut lives = lives.clone();
    let mut slots: Vec<Slot> = Vec::new();
    for sender in &intent.senders {
        for key in &sender.keys {
            slots.extend(slot(sender, key, owner, &mut lives, taken));
        }
    }
    // The record of a key that nobody declares goes; should the key come back, it has to be seen anew.
    for (_, life) in lives
        .iter_mut()
        .filter(|(id, _)| !slots.iter().any(|slot| &slot.id == *id))
    {
        life.proven = None;
        life.predecessor = None;
    }
    (slots, lives)
}

/// The proven keys that present ones are to replace: mail is signed with them, so their records stand.
pub fn predecessors(slots: &[Slot], lives: &BTreeMap<String, KeyLife>) -> Vec<SigningKey> {
    let former = |slot: &Slot| {
        let Predecessor { selector, record } = lives.get(&slot.id)?.predecessor.as_ref()?;
        let selector = Selector::parse(selector).ok()?;
        // What is declared under the selector now counts.
        let free = !slots.iter().any(|other| other.selector == selector);
        free.then_some(SigningKey {
            sender: slot.sender.clone(),
            name: slot.name.clone(),
            selector,
            record: KeyRecord::Public(PublicKey::read_record(record)?),
            age: None,
        })
    };
    slots.iter().filter_map(former).collect()
}

/// The lives as the status tells them, for when somebody deleted the ledger. A Secret that is not there any more, or
/// holds another key, is lost all the same.
pub fn recalled(keys: &[KeyStatus]) -> BTreeMap<String, KeyLife> {
    let life = |key: &KeyStatus| KeyLife {
        selector: Some(key.selector.clone()),
        secret_seen: key.stage > KeyStage::Pending && key.secret_name.is_some(),
        fingerprint: key.fingerprint.clone(),
        proven: key.since.clone().filter(|_| key.stage >= KeyStage::Proven),
        ..KeyLife::default()
    };
    keys.iter()
        .map(|key| (format!("{}/{}", key.sender, key.key), life(key)))
        .collect()
}

/// Adds the proofs that only the status knows: of the same key under the same selector.
pub fn recall_proofs(lives: &mut BTreeMap<String, KeyLife>, recalled: BTreeMap<String, KeyLife>) {
    for (id, known) in recalled {
        let life = lives.entry(id).or_default();
        if life.selector.is_none() {
            *life = known;
        } else if life.selector == known.selector && life.fingerprint == known.fingerprint {
            life.proven = life.proven.take().or(known.proven);
        }
    }
}

/// Notes the pair that was found. Another one than before, which a user's Secret may bring, has to be seen anew.
pub fn found(life: &mut KeyLife, public: &PublicKey) {
    let fingerprint = public.fingerprint();
    if life.fingerprint.as_ref() != Some(&fingerprint) {
        life.proven = None;
    }
    life.secret_seen = true;
    life.fingerprint = Some(fingerprint);
    life.record = Some(public.record_text());
}

/// Ends the present key of a life. A proven one goes on until its successor is proven.
fn end(life: &mut KeyLife) {
    let selector = life.selector.take();
    if let (Some(selector), Some(record), Some(_)) = (&selector, &life.record, &life.proven) {
        life.predecessor = Some(Predecessor {
            selector: selector.clone(),
            record: record.clone(),
        });
    }
    *life = KeyLife {
        counter: life.counter,
        used_selectors: std::mem::take(&mut life.used_selectors),
        predecessor: life.predecessor.take(),
        ..KeyLife::default()
    };
    life.used_selectors.extend(selector);
}

fn slot(
    sender: &Sender,
    key: &Key,
    owner: Owner<'_>,
    lives: &mut BTreeMap<String, KeyLife>,
    taken: &dyn Fn(&Selector) -> bool,
) -> Option<Slot> {
    let id = format!("{}/{}", sender.name, key.name);
    let life = lives.entry(id.clone()).or_default();
    let (selector, origin) = match &key.source {
        KeySource::Generate { algorithm, bits } => {
            let selector = assigned(sender, &key.name, owner, life, taken)?;
            let secret = secret_name(owner.name, &selector);
            (
                selector,
                Origin::Own {
                    secret,
                    algorithm: *algorithm,
                    bits: *bits,
                },
            )
        }
        KeySource::Import {
            selector,
            secret,
            entry,
        } => (
            selector.clone(),
            Origin::Imported {
                secret: secret.clone(),
                entry: entry.clone(),
            },
        ),
        KeySource::PublicKey {
            selector,
            algorithm,
            value,
        } => (
            selector.clone(),
            Origin::Public(PublicKey::parse(*algorithm, value).ok()?),
        ),
        KeySource::Delegate { selector, target } => (selector.clone(), Origin::Delegated(target.clone())),
    };
    if life.selector.as_deref() != Some(selector.as_str()) {
        // Another selector is another key: nothing of the old one's proof holds for it.
        if life.selector.is_some() {
            end(life);
        }
        life.selector = Some(selector.to_string());
        life.predecessor = life
            .predecessor
            .take()
            .filter(|p| p.selector != selector.as_str());
    }
    // A proof is about one key; which one a vendor has is not known here.
    let (fingerprint, record) = match &origin {
        Origin::Public(key) => (Some(key.fingerprint()), Some(key.record_text())),
        Origin::Own { .. } | Origin::Imported { .. } => (life.fingerprint.clone(), life.record.clone()),
        Origin::Delegated(_) => (None, None),
    };
    if fingerprint != life.fingerprint {
        life.proven = None;
    }
    (life.fingerprint, life.record) = (fingerprint, record);
    Some(Slot {
        id,
        sender: sender.name.clone(),
        name: key.name.clone(),
        selector,
        origin,
    })
}

/// The selector in use, or a new one that was never used.
fn assigned(
    sender: &Sender,
    key: &str,
    owner: Owner<'_>,
    life: &mut KeyLife,
    taken: &dyn Fn(&Selector) -> bool,
) -> Option<Selector> {
    let current = life
        .selector
        .as_deref()
        .and_then(|text| Selector::parse(text).ok());
    if let Some(current) = current.filter(|s| !life.used_selectors.iter().any(|used| used == s.as_str())) {
        return Some(current);
    }
    // Ten names in a row that somebody else uses do not happen; the bound keeps this loop finite.
    for _ in 0..10 {
        let selector = crate::key::selector(
            &sender.selector_prefix,
            owner.uid,
            &sender.name,
            key,
            life.counter,
        )?;
        if !life.used_selectors.iter().any(|used| used == selector.as_str()) && !taken(&selector) {
            return Some(selector);
        }
        life.counter += 1;
    }
    None
}

/// Marks the key of a slot as lost: the next pass takes a new selector.
pub fn lose(life: &mut KeyLife) {
    end(life);
    life.counter += 1;
}

/// The Secret of a selector. Within the 253 characters of an object's name.
pub fn secret_name(owner: &str, selector: &Selector) -> String {
    let owner: String = owner.chars().take(180).collect();
    format!("{}-{}", owner.trim_end_matches(['-', '.']), selector)
}

/// What a selector's record says, from the public half that was read.
pub fn signing_key(slot: &Slot, public: Option<&PublicKey>) -> Option<SigningKey> {
    let record = match &slot.origin {
        Origin::Own { .. } | Origin::Imported { .. } => KeyRecord::Public(public?.clone()),
        Origin::Public(key) => KeyRecord::Public(key.clone()),
        Origin::Delegated(target) => KeyRecord::Delegated(target.clone()),
    };
    Some(SigningKey {
        sender: slot.sender.clone(),
        name: slot.name.clone(),
        selector: slot.selector.clone(),
        record,
        age: None,
    })
}

/// Two full agreements of all authoritative servers, `apart` from each other, prove a key. Returns the moment of the
/// first one to remember, and writes the proof into the life.
///
/// `unanimous`: every server answered with exactly this record, now. `not_before`: for a selector that somebody may
/// have asked for, the end of the negative answer's life.
pub fn prove(
    life: &mut KeyLife,
    unanimous: bool,
    first: Option<Timestamp>,
    not_before: Option<Timestamp>,
    apart: jiff::SignedDuration,
    now: Timestamp,
) -> Option<Timestamp> {
    if life.proven.is_some() {
        return None;
    }
    if !unanimous {
        return None;
    }
    let first = first.unwrap_or(now);
    if now.duration_since(first) >= apart && not_before.is_none_or(|until| now >= until) {
        life.proven = Some(Time(now));
    }
    Some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::MailDomainSpec;

    const OWNER: Owner<'static> = Owner {
        name: "corp",
        uid: "uid-1",
    };

    fn intent() -> Intent {
        let spec: MailDomainSpec = serde_json::from_value(serde_json::json!({
            "domain": "example.com",
            "senders": [{"name": "mta", "dkim": {"keys": [{"name": "rsa", "generate": {"algorithm": "RSA"}}]}}],
        }))
        .unwrap();
        crate::intent::parse(&spec).unwrap()
    }

    fn free(_: &Selector) -> bool {
        false
    }

    #[test]
    fn the_same_selector_after_a_crash() {
        let (first, lives) = slots(&intent(), OWNER, &BTreeMap::new(), &free);
        assert_eq!(slots(&intent(), OWNER, &BTreeMap::new(), &free).0, first);
        assert_eq!(slots(&intent(), OWNER, &lives, &free), (first, lives));
    }

    #[test]
    fn a_lost_secret_leads_to_a_new_selector() {
        let (first, mut lives) = slots(&intent(), OWNER, &BTreeMap::new(), &free);
        let life = lives.get_mut("mta/rsa").unwrap();
        life.secret_seen = true;
        life.proven = Some(Time(Timestamp::UNIX_EPOCH));
        lose(life);
        let (second, lives) = slots(&intent(), OWNER, &lives, &free);
        assert_ne!(first[0].selector, second[0].selector);
        assert_eq!(lives["mta/rsa"].used_selectors, [first[0].selector.to_string()]);
        assert!(lives["mta/rsa"].proven.is_none() && !lives["mta/rsa"].secret_seen);
    }

    fn ed25519(octet: u8) -> PublicKey {
        let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [octet; 32]);
        PublicKey::parse(KeyAlgorithm::Ed25519, &value).unwrap()
    }

    #[test]
    fn a_proven_key_that_is_lost_signs_until_its_successor_can() {
        let (first, mut lives) = slots(&intent(), OWNER, &BTreeMap::new(), &free);
        found(lives.get_mut("mta/rsa").unwrap(), &ed25519(1));
        let mut unproven = lives.clone();
        lose(unproven.get_mut("mta/rsa").unwrap());
        assert!(predecessors(&first, &unproven).is_empty(), "nobody signs with it");

        lives.get_mut("mta/rsa").unwrap().proven = Some(Time(Timestamp::UNIX_EPOCH));
        // The second loss hits a key that nobody signs with: the first one goes on.
        for _ in 0..2 {
            lose(lives.get_mut("mta/rsa").unwrap());
            let (slots, next) = slots(&intent(), OWNER, &lives, &free);
            let [former] = &predecessors(&slots, &next)[..] else {
                panic!("one predecessor: {next:?}")
            };
            assert_eq!(former.selector, first[0].selector);
            assert_eq!(former.record, KeyRecord::Public(ed25519(1)));
            assert_ne!(slots[0].selector, first[0].selector);
            lives = next;
        }
        let mut without = intent();
        without.senders.clear();
        let (_, lives) = slots(&without, OWNER, &lives, &free);
        assert!(lives["mta/rsa"].predecessor.is_none(), "nobody declares it");
    }

    #[test]
    fn another_selector_of_a_proven_key_takes_over_when_it_is_proven() {
        let imported = |selector: &str| {
            let key = serde_json::json!({"name": "k", "import": {"selector": selector, "secretRef": {"name": selector, "key": "k"}}});
            let spec = serde_json::json!({"domain": "example.com", "senders": [{"name": "mta", "dkim": {"keys": [key]}}]});
            crate::intent::parse(&serde_json::from_value(spec).unwrap()).unwrap()
        };
        let (_, mut lives) = slots(&imported("a"), OWNER, &BTreeMap::new(), &free);
        let life = lives.get_mut("mta/k").unwrap();
        found(life, &ed25519(1));
        life.proven = Some(Time(Timestamp::UNIX_EPOCH));
        let (b, lives) = slots(&imported("b"), OWNER, &lives, &free);
        assert_eq!(predecessors(&b, &lives)[0].selector.as_str(), "a");
        assert!(lives["mta/k"].proven.is_none());
        let (a, lives) = slots(&imported("a"), OWNER, &lives, &free);
        assert!(predecessors(&a, &lives).is_empty(), "it is the present one again");
    }

    #[test]
    fn a_key_that_was_not_declared_for_a_while_is_not_proven() {
        let (_, mut lives) = slots(&intent(), OWNER, &BTreeMap::new(), &free);
        lives.get_mut("mta/rsa").unwrap().proven = Some(Time(Timestamp::UNIX_EPOCH));
        let (_, lives) = slots(&intent(), OWNER, &lives, &free);
        assert!(lives["mta/rsa"].proven.is_some());
        let mut without = intent();
        without.senders.clear();
        let (none, lives) = slots(&without, OWNER, &lives, &free);
        assert!(none.is_empty() && lives["mta/rsa"].proven.is_none());
        assert!(
            lives["mta/rsa"].selector.is_some(),
            "it comes back under its selector"
        );
    }

    #[test]
    fn another_key_under_the_same_selector_is_not_proven() {
        let mut life = KeyLife::default();
        found(&mut life, &ed25519(1));
        life.proven = Some(Time(Timestamp::UNIX_EPOCH));
        found(&mut life, &ed25519(1));
        assert!(life.proven.is_some() && life.secret_seen);
        found(&mut life, &ed25519(2));
        assert!(life.proven.is_none());
    }

    #[test]
    fn another_kind_of_key_under_the_same_selector_is_not_proven() {
        let declared = |kind: &str, mut key: serde_json::Value| {
            key["selector"] = "x".into();
            let spec = serde_json::json!({
                "domain": "example.com", "senders": [{"name": "mta", "dkim": {"keys": [{"name": "k", kind: key}]}}],
            });
            crate::intent::parse(&serde_json::from_value(spec).unwrap()).unwrap()
        };
        let value = "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        let public = declared(
            "publicKey",
            serde_json::json!({"algorithm": "Ed25519", "value": value}),
        );
        let delegated = declared("delegate", serde_json::json!({"target": "k.vendor.example"}));
        let imported = declared(
            "import",
            serde_json::json!({"secretRef": {"name": "s", "key": "k"}}),
        );
        for before in [public, delegated] {
            let (_, mut lives) = slots(&before, OWNER, &BTreeMap::new(), &free);
            lives.get_mut("mta/k").unwrap().proven = Some(Time(Timestamp::UNIX_EPOCH));
            let (_, lives) = slots(&before, OWNER, &lives, &free);
            assert!(lives["mta/k"].proven.is_some());
            let (_, mut lives) = slots(&imported, OWNER, &lives, &free);
            let life = lives.get_mut("mta/k").unwrap();
            let octets = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, [1; 32]);
            found(life, &PublicKey::parse(KeyAlgorithm::Ed25519, &octets).unwrap());
            assert!(life.proven.is_none());
        }
    }

    #[test]
    fn the_status_recalls_what_a_lost_ledger_knew() {
        let status: Vec<KeyStatus> = serde_json::from_value(serde_json::json!([
            {"sender": "mta", "key": "rsa", "selector": "md-1", "fingerprint": "SHA256:x", "stage": "Active",
             "secretName": "corp-md-1", "since": "2026-01-02T03:04:05Z"},
            {"sender": "mta", "key": "new", "selector": "md-2", "stage": "Pending", "secretName": "corp-md-2"},
        ]))
        .unwrap();
        let lives = recalled(&status);
        let old = &lives["mta/rsa"];
        assert_eq!(
            (old.selector.as_deref(), old.fingerprint.as_deref()),
            (Some("md-1"), Some("SHA256:x"))
        );
        assert!(old.proven.is_some() && old.secret_seen);
        assert!(lives["mta/new"].proven.is_none() && !lives["mta/new"].secret_seen);
        assert_eq!(
            slots(&intent(), OWNER, &lives, &free).0[0].selector.as_str(),
            "md-1"
        );
    }

    #[test]
    fn a_proof_is_recalled_for_the_same_key_only() {
        let life = |selector: &str, fingerprint: &str, proven: bool| KeyLife {
            selector: Some(selector.to_owned()),
            fingerprint: Some(fingerprint.to_owned()),
            proven: proven.then_some(Time(Timestamp::UNIX_EPOCH)),
            ..KeyLife::default()
        };
        let ids = ["same", "rolled", "replaced"];
        let mut lives = BTreeMap::from([
            (ids[0].to_owned(), life("a", "1", false)),
            (ids[1].to_owned(), life("b", "1", false)),
            (ids[2].to_owned(), life("a", "2", false)),
        ]);
        let mut recalled: BTreeMap<_, _> = ids
            .iter()
            .map(|id| ((*id).to_owned(), life("a", "1", true)))
            .collect();
        recalled.insert("new".to_owned(), life("n", "3", true));
        recall_proofs(&mut lives, recalled);
        let proven: Vec<&str> = lives
            .iter()
            .filter(|(_, life)| life.proven.is_some())
            .map(|(id, _)| id.as_str())
            .collect();
        assert_eq!(proven, ["new", "same"]);
    }

    #[test]
    fn a_selector_that_somebody_uses_is_skipped() {
        let (first, _) = slots(&intent(), OWNER, &BTreeMap::new(), &free);
        let used = first[0].selector.clone();
        let (second, lives) = slots(&intent(), OWNER, &BTreeMap::new(), &|s| s == &used);
        assert_ne!(second[0].selector, used);
        assert_eq!(lives["mta/rsa"].counter, 1);
    }

    #[test]
    fn a_selector_that_was_used_once_is_never_used_again() {
        let (first, _) = slots(&intent(), OWNER, &BTreeMap::new(), &free);
        let used = KeyLife {
            used_selectors: vec![first[0].selector.to_string()],
            ..KeyLife::default()
        };
        let (second, _) = slots(
            &intent(),
            OWNER,
            &BTreeMap::from([("mta/rsa".to_owned(), used)]),
            &free,
        );
        assert_ne!(second[0].selector, first[0].selector);
    }

    #[test]
    fn proof_needs_two_agreements_apart_and_the_negative_ttl() {
        let at = |s| Timestamp::from_second(s).unwrap();
        let apart = jiff::SignedDuration::from_secs(5);
        let mut life = KeyLife::default();
        assert_eq!(prove(&mut life, false, None, None, apart, at(0)), None);
        let first = prove(&mut life, true, None, None, apart, at(1));
        assert_eq!((first, &life.proven), (Some(at(1)), &None));
        assert_eq!(
            prove(&mut life, false, first, None, apart, at(4)),
            None,
            "a disagreement starts over"
        );
        let first = prove(&mut life, true, None, Some(at(60)), apart, at(10));
        prove(&mut life, true, first, Some(at(60)), apart, at(20));
        assert!(life.proven.is_none(), "a negative answer may still be cached");
        prove(&mut life, true, first, Some(at(60)), apart, at(60));
        assert_eq!(life.proven, Some(Time(at(60))));
    }
}
