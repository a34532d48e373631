//! Keys: the Secret of every declared key is there before a record names it. (client)
//!
//! A key Secret is immutable, named after its selector, never overwritten and never owned by the MailDomain: it outlives
//! everything but its own end.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use kube::api::{Api, ObjectMeta, PostParams};

use super::admit::View;
use super::{Context, Error};
use crate::api::{DKIMSigner, KeyAlgorithm, KeyLife, MANAGED_BY, MailDomain};
use crate::intent::{Conduct, Intent, Mode};
use crate::key::PrivateKey;
use crate::keyring::{self, Origin, Owner, Slot};
use crate::lookup::Answer;
use crate::name::{Name, Selector};
use crate::protocol::SigningKey;
use crate::protocol::dkim::KeyText;
use crate::record::{Key, RecordType, Value};

/// Data key of the private half in a key Secret.
pub const PRIVATE_KEY: &str = "private.pem";
const SELECTOR: &str = "maildomain.dev/selector";
const DOMAIN: &str = "maildomain.dev/domain";

/// A declared key with what is known of it now.
#[derive(Debug)]
pub struct Held {
    /// The slot.
    pub slot: Slot,
    /// The pair, where this operator can read the private half.
    pub pair: Option<PrivateKey>,
    /// Why there is none though there should be.
    pub trouble: Option<String>,
    /// Whether there is none because none is made: mode Observe, or a suspension.
    pub not_made: bool,
}

/// What became of one key that should be in a Secret.
enum Found {
    Pair(PrivateKey),
    /// The selector cannot be used any more; take another.
    Lost(&'static str),
    /// Its Secret does not exist and is not to be made.
    NotMade,
    Trouble(String),
}

/// Makes sure of every declared key. The lives in the book are brought up to date; it is not written here.
pub async fn ensure(
    ctx: &Context,
    object: &MailDomain,
    intent: &Intent,
    view: &mut View,
) -> Result<Vec<Held>, Error> {
    let name = object.name_any();
    let uid = object.uid().ok_or(Error::Incomplete("uid"))?;
    let owner = Owner {
        name: &name,
        uid: &uid,
    };
    if let Some(status) = &object.status {
        let recalled = keyring::recalled(&status.keys);
        if view.book.is_new() {
            view.book.lives = recalled;
        } else if !intent.conduct.leaves_traces() {
            // The ledger does not learn of proofs while nothing is written.
            keyring::recall_proofs(&mut view.book.lives, recalled);
        }
    }
    // Each round loses at most one selector of each key; three are enough for anything but a fight.
    for _ in 0..3 {
        let (slots, lives) = keyring::slots(intent, owner, &view.book.lives, &|_| false);
        view.book.lives = lives;
        let mut held = Vec::new();
        let mut lost = false;
        for slot in slots {
            let life = view.book.lives.entry(slot.id.clone()).or_default();
            let found = find(ctx, &view.holder.namespace, intent, &slot, life).await?;
            let mut not_made = false;
            let (pair, trouble) = match found {
                None => (None, None),
                Some(Found::Pair(pair)) => (Some(pair), None),
                Some(Found::Trouble(text)) => (None, Some(text)),
                Some(Found::NotMade) => {
                    not_made = true;
                    (None, Some(not_made_while(intent.conduct)))
                }
                Some(Found::Lost(why)) if !intent.conduct.makes_keys() => {
                    not_made = true;
                    let text = format!("a new one, because {why}, and {}", not_made_while(intent.conduct));
                    (None, Some(text))
                }
                Some(Found::Lost(why)) => {
                    ctx.event(
                        object,
                        "KeyReplaced",
                        &format!(
                            "selector {} of {} is given up: {why}; a new key follows",
                            slot.selector, slot.id
                        ),
                    )
                    .await;
                    keyring::lose(life);
                    lost = true;
                    continue;
                }
            };
            if let Some(pair) = &pair {
                keyring::found(life, pair.public());
            }
            held.push(Held {
                slot,
                pair,
                trouble,
                not_made,
            });
        }
        if !lost {
            relieve(ctx, object, intent, &held, view);
            return Ok(held);
        }
    }
    Err(Error::Incomplete("selector that is free"))
}

/// A predecessor's time ends when its successor is proven and no signer has it any more; then its record drains.
fn relieve(ctx: &Context, object: &MailDomain, intent: &Intent, held: &[Held], view: &mut View) {
    for Held { slot, .. } in held {
        let Some(life) = view
            .book
            .lives
            .get_mut(&slot.id)
            .filter(|life| life.proven.is_some())
        else {
            continue;
        };
        let selector = life.predecessor.as_ref().map(|p| Selector::parse(&p.selector));
        let Some(Ok(selector)) = selector else { continue };
        let key = (intent.domain.clone(), selector);
        let holds = |signer: &DKIMSigner| ctx.output_holds(&view.holder.namespace, &signer.name_any(), &key);
        let signers = ctx.signers_of(object, &slot.sender);
        if signers.iter().all(|signer| holds(signer) == Some(false)) {
            life.predecessor = None;
        }
    }
}

/// What mail is signed with, or will be: each declared key that is known, and the predecessors that still sign.
pub fn signing(held: &[Held], view: &View, now: jiff::Timestamp) -> Vec<SigningKey> {
    let slots: Vec<Slot> = held.iter().map(|held| held.slot.clone()).collect();
    let key = |held: &Held| {
        let proven = view
            .book
            .lives
            .get(&held.slot.id)
            .and_then(|life| life.proven.as_ref());
        let key = keyring::signing_key(&held.slot, held.pair.as_ref().map(PrivateKey::public))?;
        Some(SigningKey {
            age: proven.map(|time| now.duration_since(time.0)),
            ..key
        })
    };
    held.iter()
        .filter_map(key)
        .chain(keyring::predecessors(&slots, &view.book.lives))
        .collect()
}

/// What a key waits for that is not made.
fn not_made_while(conduct: Conduct) -> String {
    let end = if conduct.mode == Mode::Observe {
        "spec.publishing.mode Manual or Publish: in mode Observe no key is made. To have the key judged that signs today, declare it by publicKey, import or delegate"
    } else {
        "the end of spec.suspend: no key is made meanwhile"
    };
    end.to_owned()
}

async fn find(
    ctx: &Context,
    namespace: &str,
    intent: &Intent,
    slot: &Slot,
    life: &KeyLife,
) -> Result<Option<Found>, Error> {
    let secrets: Api<Secret> = Api::namespaced(ctx.client.clone(), namespace);
    match &slot.origin {
        Origin::Public(_) | Origin::Delegated(_) => Ok(None),
        Origin::Imported { secret, entry } => {
            let stored = secrets
                .get_opt(secret)
                .await
                .map_err(Error::read("the Secret of an imported key"))?;
            Ok(Some(imported(stored.as_ref(), secret, entry)))
        }
        Origin::Own {
            secret,
            algorithm,
            bits,
        } => {
            let stored = secrets
                .get_opt(secret)
                .await
                .map_err(Error::read("a key Secret"))?;
            match stored {
                Some(stored) => Ok(Some(own(&stored, slot, life))),
                None if life.secret_seen => Ok(Some(Found::Lost("its Secret was deleted"))),
                None if !intent.conduct.makes_keys() => Ok(Some(Found::NotMade)),
                None if is_taken(ctx, &intent.domain, &slot.selector).await => {
                    Ok(Some(Found::Lost("DNS holds another key under it")))
                }
                None => {
                    // Ed25519 keys cost nothing to make.
                    let place = (*algorithm == KeyAlgorithm::RSA).then(|| ctx.key_queue.enter(namespace));
                    if matches!(place, Some(None)) {
                        let text = "its turn; other keys of this namespace are being made";
                        return Ok(Some(Found::Trouble(text.to_owned())));
                    }
                    make(ctx, &secrets, &intent.domain, slot, secret, (*algorithm, *bits))
                        .await
                        .map(Some)
                }
            }
        }
    }
}

fn text(secret: &Secret, entry: &str) -> Option<String> {
    String::from_utf8(secret.data.as_ref()?.get(entry)?.0.clone()).ok()
}

fn imported(stored: Option<&Secret>, name: &str, entry: &str) -> Found {
    let Some(pem) = stored.and_then(|secret| text(secret, entry)) else {
        return Found::Trouble(format!(
            "the Secret {name} or its key {entry}; create it in this namespace"
        ));
    };
    match PrivateKey::from_pem(&pem) {
        Ok(pair) => Found::Pair(pair),
        Err(error) => Found::Trouble(format!("a usable key: {entry} of the Secret {name} {error}")),
    }
}

/// The Secret under our name is read only if it is ours: the right label and selector, the same key as before.
fn own(stored: &Secret, slot: &Slot, life: &KeyLife) -> Found {
    let ours = stored
        .labels()
        .get(MANAGED_BY.0)
        .is_some_and(|v| v == MANAGED_BY.1)
        && stored
            .annotations()
            .get(SELECTOR)
            .is_some_and(|v| v == slot.selector.as_str());
    if !ours {
        return Found::Lost("its Secret's name is taken by a Secret that this operator did not make");
    }
    let pair = text(stored, PRIVATE_KEY).and_then(|pem| PrivateKey::from_pem(&pem).ok());
    match pair {
        Some(pair)
            if life
                .fingerprint
                .as_ref()
                .is_none_or(|f| *f == pair.public().fingerprint()) =>
        {
            Found::Pair(pair)
        }
        Some(_) => Found::Lost("its Secret was replaced by one with another key"),
        None => Found::Lost("its Secret holds no readable key"),
    }
}

/// Whether DNS holds a key under a selector that we are about to use first. Only the authoritative servers are asked:
/// a resolver would remember for a while that there is nothing (RFC 2308 section 5).
async fn is_taken(ctx: &Context, domain: &Name, selector: &Selector) -> bool {
    let Ok(name) = selector.record_name(domain) else {
        return false;
    };
    let key = Key::new(name, RecordType::Txt);
    let direct = ctx.looker.direct(&[key.clone()].into()).await;
    let holds_key = |answer: &Answer| answer.values().is_ok_and(|values| values.iter().any(is_key));
    direct
        .answers
        .get(&key)
        .is_some_and(|answers| answers.iter().any(|(_, answer)| holds_key(answer)))
}

/// A wildcard answers for every selector; its text is seldom a key record (RFC 6376 section 3.6.1).
fn is_key(value: &Value) -> bool {
    value.as_txt().is_some_and(|text| {
        let record = KeyText::read(text);
        record.material.is_some() && record.tags.value("v").is_none_or(|version| version == "DKIM1")
    })
}

async fn make(
    ctx: &Context,
    secrets: &Api<Secret>,
    domain: &Name,
    slot: &Slot,
    name: &str,
    (algorithm, bits): (KeyAlgorithm, usize),
) -> Result<Found, Error> {
    let pair = generate(ctx, algorithm, bits).await?;
    let annotations = [(SELECTOR, slot.selector.as_str()), (DOMAIN, domain.as_str())];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            labels: Some(BTreeMap::from([(
                MANAGED_BY.0.to_owned(),
                MANAGED_BY.1.to_owned(),
            )])),
            annotations: Some(
                annotations
                    .into_iter()
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .collect(),
            ),
            ..ObjectMeta::default()
        },
        immutable: Some(true),
        string_data: Some(BTreeMap::from([(PRIVATE_KEY.to_owned(), pair.pem().to_owned())])),
        ..Secret::default()
    };
    match secrets.create(&PostParams::default(), &secret).await {
        Ok(_) => Ok(Found::Pair(pair)),
        // A former life of this operator was faster: its key counts, ours is forgotten.
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            let stored = secrets.get(name).await.map_err(Error::read("a key Secret"))?;
            Ok(own(&stored, slot, &KeyLife::default()))
        }
        Err(error) => Err(Error::write("a key Secret")(error)),
    }
}

/// Off the async threads, a bounded number at a time.
async fn generate(ctx: &Context, algorithm: KeyAlgorithm, bits: usize) -> Result<PrivateKey, Error> {
    let permit = ctx.key_permits.acquire().await;
    let made =
        tokio::task::spawn_blocking(move || PrivateKey::generate(algorithm, bits, &mut rand::rng())).await;
    drop(permit);
    match made {
        Ok(pair) => pair.map_err(Error::MakeKey),
        Err(_) => Err(Error::MakeKey(crate::key::KeyError::Generate)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_we_did_not_make_is_no_key_of_ours_although_none_is_known_yet() {
        let pair = PrivateKey::generate(KeyAlgorithm::Ed25519, 0, &mut rand::rng()).unwrap();
        let slot = Slot {
            id: "mta/ed".into(),
            sender: "mta".into(),
            name: "ed".into(),
            selector: Selector::parse("md-1").unwrap(),
            origin: Origin::Own {
                secret: "corp-md-1".into(),
                algorithm: KeyAlgorithm::Ed25519,
                bits: 0,
            },
        };
        let stored = |labels: &[(&str, &str)], selector: &str| Secret {
            metadata: ObjectMeta {
                labels: Some(
                    labels
                        .iter()
                        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                        .collect(),
                ),
                annotations: Some([(SELECTOR.to_owned(), selector.to_owned())].into()),
                ..ObjectMeta::default()
            },
            data: Some(
                [(
                    PRIVATE_KEY.to_owned(),
                    k8s_openapi::ByteString(pair.pem().as_bytes().to_vec()),
                )]
                .into(),
            ),
            ..Secret::default()
        };
        let found = |secret: &Secret| own(secret, &slot, &KeyLife::default());
        assert!(matches!(found(&stored(&[MANAGED_BY], "md-1")), Found::Pair(_)));
        assert!(matches!(found(&stored(&[], "md-1")), Found::Lost(_)));
        assert!(matches!(found(&stored(&[MANAGED_BY], "md-2")), Found::Lost(_)));
    }
}
