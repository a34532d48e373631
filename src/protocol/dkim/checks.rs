//! The checks of key records, one function each.

use super::Seen;
use super::key_text::{Fault, KeyText, Material, RsaForm};
use crate::api::{KeyAlgorithm, Severity};
use crate::finding::{Finding, Gate};
use crate::intent::{self, DmarcPolicy, Sender};
use crate::name::Name;
use crate::protocol::tag_list::{Problem, shown};
use crate::protocol::{Check, Evidence, KeyRecord, SigningKey, alignment, dmarc};
use crate::record::RecordType;

/// What a check says of one record.
type Verdicts = Vec<(Severity, String)>;
/// Judges the only record of a selector.
type Judge = fn(&SigningKey, &KeyText<'_>) -> Verdicts;

const fn check(
    id: &'static str,
    title: &'static str,
    source: &'static str,
    run: fn(&Evidence<'_>) -> Vec<Finding>,
) -> Check {
    Check {
        id,
        title,
        source,
        gate: Gate::Dkim,
        run,
    }
}

const KNOWN: Check = check(
    "dkim-key-known",
    "every declared key is known",
    "RFC 6376 section 3.1",
    known,
);
const PRESENT: Check = check(
    "dkim-present",
    "every selector has a record",
    "RFC 6376 section 6.1.2",
    present,
);
const SINGLE: Check = check(
    "dkim-single",
    "one record at each selector",
    "RFC 6376 section 3.6.2.2",
    single,
);
const VERSION: Check = check(
    "dkim-version-tag",
    "v=DKIM1 comes first",
    "RFC 6376 section 3.6.1",
    |e| each(e, &VERSION, version),
);
const TAG_LIST: Check = check(
    "dkim-taglist",
    "the record is a tag list",
    "RFC 6376 section 3.2",
    |e| each(e, &TAG_LIST, tag_list),
);
const KEY_TYPE: Check = check(
    "dkim-key-type",
    "k= names the kind of key in p=",
    "RFC 6376 section 3.6.1, RFC 8463 section 4.2",
    |e| each(e, &KEY_TYPE, key_type),
);
const ENCODING: Check = check(
    "dkim-key-encoding",
    "p= is a key that verifiers read",
    "RFC 6376 section 3.6.1, RFC 8463 section 4.2",
    |e| each(e, &ENCODING, encoding),
);
const PRIVATE: Check = check(
    "dkim-private-key-exposed",
    "no private key in DNS",
    "RFC 6376 section 8",
    private,
);
const SIZE: Check = check(
    "dkim-key-size",
    "RSA keys of 2048 to 4096 bits",
    "RFC 8301 section 3.2",
    |e| each(e, &SIZE, size),
);
const REVOKED: Check = check(
    "dkim-active-revoked",
    "no key in use is revoked",
    "RFC 6376 section 3.6.1",
    |e| each(e, &REVOKED, revoked),
);
const FLAGS: Check = check(
    "dkim-flags",
    "no key is in test mode",
    "RFC 6376 section 3.6.1",
    flags,
);
const SERVICE_HASH: Check = check(
    "dkim-service-hash",
    "s= and h= allow mail and sha256",
    "RFC 6376 section 3.6.1, RFC 8301 section 3.1",
    |e| each(e, &SERVICE_HASH, service_and_hash),
);
const SIGNER_MATCH: Check = check(
    "dkim-signer-match",
    "DNS holds the key that signs",
    "RFC 6376 section 6.1.3",
    |e| each(e, &SIGNER_MATCH, signer_match),
);
const ALGORITHM_SET: Check = check(
    "dkim-algorithm-set",
    "every sender has an RSA key",
    "RFC 8301 section 3.1, RFC 8463 section 6",
    algorithm_set,
);

/// Every check of key records.
pub(super) const ALL: &[Check] = &[
    KNOWN,
    PRESENT,
    SINGLE,
    VERSION,
    TAG_LIST,
    KEY_TYPE,
    ENCODING,
    PRIVATE,
    SIZE,
    REVOKED,
    FLAGS,
    SERVICE_HASH,
    SIGNER_MATCH,
    ALGORITHM_SET,
    super::quality::QUALITY,
    super::rotation::AGE,
];

/// Whether a verifier that finds this record can use it, and it is the key that we hold.
pub(super) fn is_sound(key: &SigningKey, record: &KeyText<'_>) -> bool {
    const JUDGES: [Judge; 8] = [
        version,
        tag_list,
        key_type,
        encoding,
        size,
        revoked,
        service_and_hash,
        signer_match,
    ];
    let public = record.material.as_ref().is_some_and(|m| m.algorithm().is_some());
    // A key in test mode: receivers may treat the mail as unsigned (RFC 6376 section 3.6.1).
    public
        && !record.lists("t", "y")
        && JUDGES
            .iter()
            .flat_map(|judge| judge(key, record))
            .all(|(severity, _)| severity != Severity::Fail)
}

/// Runs a judge over every selector that has exactly one record; the others have findings already.
fn each(evidence: &Evidence<'_>, check: &Check, judge: Judge) -> Vec<Finding> {
    let mut findings = Vec::new();
    for key in evidence.declaration.keys {
        let Some(Seen {
            name,
            texts: Ok(texts),
        }) = Seen::look(evidence, key)
        else {
            continue;
        };
        if let [text] = texts.as_slice() {
            findings.extend(
                judge(key, &KeyText::read(text))
                    .into_iter()
                    .map(|(severity, message)| check.finding(severity, &name, message)),
            );
        }
    }
    findings
}

/// The record to publish, as a line to paste. Long keys are named by fingerprint: a message has no room for them.
fn line(name: &Name, key: &SigningKey) -> String {
    match &key.record {
        KeyRecord::Delegated(target) => format!("{name} CNAME {target}."),
        KeyRecord::Public(public) if public.algorithm() == KeyAlgorithm::Ed25519 => {
            format!("{name} TXT \"{}\"", public.record_text())
        }
        KeyRecord::Public(public) => {
            format!("{name} TXT \"v=DKIM1; k=rsa; p=<key {}>\"", public.fingerprint())
        }
        KeyRecord::Found => format!("the public key of whoever signs, at {name}"),
    }
}

/// Who mends a record.
fn fixer(key: &SigningKey) -> String {
    match &key.record {
        KeyRecord::Public(public) => {
            format!("replace it by the declared key ({})", public.fingerprint())
        }
        KeyRecord::Delegated(target) => format!("ask the vendor that keeps {target} to correct it"),
        KeyRecord::Found => "replace it by the public key of whoever signs".to_owned(),
    }
}

fn known(evidence: &Evidence<'_>) -> Vec<Finding> {
    let declaration = evidence.declaration;
    let judge = |sender: &Sender| {
        let names: Vec<&str> = super::unknown_keys(declaration, sender)
            .map(|key| key.name.as_str())
            .collect();
        let message = format!(
            "Sender {} shall sign with a generated key ({}), and none is made in mode Observe: nobody knows with which key it signs today. Declare that one by publicKey, import or delegate, or set spec.publishing.mode to Manual or Publish to have it made.",
            sender.name,
            names.join(", ")
        );
        (!names.is_empty()).then(|| KNOWN.finding(Severity::Unknown, &declaration.intent.domain, message))
    };
    declaration.intent.senders.iter().filter_map(judge).collect()
}

fn present(evidence: &Evidence<'_>) -> Vec<Finding> {
    let judge = |key: &SigningKey| {
        let Some(Seen { name, texts }) = Seen::look(evidence, key) else {
            let message =
                "The selector makes the record's name longer than 253 characters; choose a shorter one.";
            return Some(PRESENT.finding(Severity::Fail, &key.selector, message.to_owned()));
        };
        match texts {
            Ok(texts) if !texts.is_empty() => None,
            Err(failure) => Some(PRESENT.finding(
                Severity::Unknown,
                &name,
                format!("Nobody knows whether {name} has a key: the resolver {failure}. It is asked again."),
            )),
            Ok(_) => {
                let misplaced = misplaced(evidence, &name).map(|at| {
                    format!(" A key stands at {at}, where nobody looks: drop the doubled zone name.")
                });
                let message = format!(
                    "{name} has no key, so every signature with this selector fails. Publish {}.{}",
                    line(&name, key),
                    misplaced.unwrap_or_default()
                );
                Some(PRESENT.finding(Severity::Fail, &name, message))
            }
        }
    };
    evidence.declaration.keys.iter().filter_map(judge).collect()
}

/// The commonest slip: a whole name typed where the zone's name is added.
fn misplaced(evidence: &Evidence<'_>, name: &Name) -> Option<Name> {
    let doubled = Name::parse(&format!("{name}.{}", evidence.declaration.intent.domain)).ok()?;
    let texts = evidence.facts.ask(&doubled, RecordType::Txt).texts().ok()?;
    texts.iter().any(|text| text.contains("p=")).then_some(doubled)
}

fn single(evidence: &Evidence<'_>) -> Vec<Finding> {
    let judge = |key: &SigningKey| {
        let Seen { name, texts } = Seen::look(evidence, key)?;
        let count = texts.ok()?.len();
        let message = format!(
            "{name} has {count} TXT records and verifiers may pick any of them. Keep only {}.",
            line(&name, key)
        );
        (count > 1).then(|| SINGLE.finding(Severity::Fail, &name, message))
    };
    evidence.declaration.keys.iter().filter_map(judge).collect()
}

fn version(key: &SigningKey, record: &KeyText<'_>) -> Verdicts {
    match record.tags.tags.iter().find(|tag| tag.name == "v") {
        None => vec![(
            Severity::Info,
            "The record has no v= tag, which is allowed. Begin it with v=DKIM1; so that nobody mistakes it."
                .to_owned(),
        )],
        Some(tag) if tag.value == "DKIM1" && tag.position == 0 => Vec::new(),
        Some(tag) => vec![(
            Severity::Fail,
            format!(
                "The record does not begin with v=DKIM1 (it has v={}), so verifiers ignore it; {}.",
                shown(tag.value),
                fixer(key)
            ),
        )],
    }
}

fn tag_list(key: &SigningKey, record: &KeyText<'_>) -> Verdicts {
    const KNOWN: [&str; 8] = ["v", "h", "k", "n", "p", "s", "t", "g"];
    let mut wrong: Vec<String> = record.tags.problems.iter().map(Problem::to_string).collect();
    if record.material.is_none() {
        wrong.push("the tag \"p\" is missing".to_owned());
    }
    let (shouted, unknown): (Vec<_>, Vec<_>) = record
        .tags
        .others(&KNOWN)
        .into_iter()
        .partition(|name| KNOWN.contains(&name.to_ascii_lowercase().as_str()));
    wrong.extend(
        shouted
            .iter()
            .map(|name| format!("the tag {} is in upper case", shown(name))),
    );
    let mut verdicts: Verdicts = wrong
        .iter()
        .map(|detail| {
            (
                Severity::Fail,
                format!(
                    "In the key record {detail}, so verifiers may ignore it; {}.",
                    fixer(key)
                ),
            )
        })
        .collect();
    if record.tags.value("g").is_some() {
        verdicts.push((
            Severity::Warn,
            "The tag g= was dropped in 2007 and old verifiers stumble over it; remove it.".to_owned(),
        ));
    }
    verdicts.extend(unknown.iter().map(|name| {
        (
            Severity::Info,
            format!("The tag {} is not known; verifiers ignore it.", shown(name)),
        )
    }));
    verdicts
}

fn key_type(key: &SigningKey, record: &KeyText<'_>) -> Verdicts {
    let said = record.key_type();
    let holds = match &record.material {
        Some(Material::Unusable(Fault::Elliptic)) => Some("an elliptic-curve key, which DKIM does not know"),
        Some(material) => material.algorithm().map(|algorithm| match algorithm {
            KeyAlgorithm::RSA => "an RSA key",
            KeyAlgorithm::Ed25519 => "an Ed25519 key",
        }),
        None => None,
    };
    let message = match (said, holds) {
        ("rsa", None | Some("an RSA key")) | ("ed25519", None | Some("an Ed25519 key")) => return Vec::new(),
        ("rsa" | "ed25519", Some(holds)) => {
            format!("The record says k={said} and p= holds {holds}; {}.", fixer(key))
        }
        _ => format!(
            "The record says k={}, which verifiers do not know: they know rsa and ed25519 in lower case; {}.",
            shown(said),
            fixer(key)
        ),
    };
    vec![(Severity::Fail, message)]
}

fn encoding(key: &SigningKey, record: &KeyText<'_>) -> Verdicts {
    let fault = match &record.material {
        Some(Material::Rsa {
            form: RsaForm::Pkcs1, ..
        }) => {
            // The letter of RFC 6376 allows it (erratum 3017); OpenDKIM and rspamd do not, so such mail fails at many.
            let message = "p= holds the bare PKCS#1 form of the key, which widespread verifiers refuse; publish it as SubjectPublicKeyInfo: openssl rsa -RSAPublicKey_in -in key.pem -pubout.";
            return vec![(Severity::Fail, message.to_owned())];
        }
        Some(Material::Unusable(fault)) => *fault,
        Some(Material::Revoked | Material::Private | Material::Rsa { .. } | Material::Ed25519(_)) | None => {
            return Vec::new();
        }
    };
    let what = match fault {
        Fault::OpenSsh => {
            "an OpenSSH public key (ssh-rsa), which no verifier reads; ssh-keygen -e -m PKCS8 -f key.pub converts one"
        }
        Fault::PemArmour => "the BEGIN and END lines of a PEM file, which do not belong there",
        Fault::Quotes => "quotation marks: the text was split inside one string instead of into two",
        Fault::NotBase64 => "something that is not base64",
        Fault::WrappedEd25519 => "an Ed25519 key in SPKI form; RFC 8463 wants its last 32 bytes alone",
        Fault::Elliptic => "an elliptic-curve key",
        Fault::Unreadable => "no public key: it is cut off, padded or of another kind",
    };
    vec![(
        Severity::Fail,
        format!("p= holds {what}. To mend the record, {}.", fixer(key)),
    )]
}

fn private(evidence: &Evidence<'_>) -> Vec<Finding> {
    let judge = |key: &SigningKey| {
        let Seen { name, texts } = Seen::look(evidence, key)?;
        let exposed = texts.ok()?.iter().any(|text| {
            KeyText::read(text).material == Some(Material::Private) || text.contains("PRIVATE KEY")
        });
        let message = format!(
            "A PRIVATE key stands at {name} and anybody can sign with it. Stop signing with it, declare a new key under another selector, then delete the record."
        );
        exposed.then(|| PRIVATE.finding(Severity::Fail, &name, message))
    };
    evidence.declaration.keys.iter().filter_map(judge).collect()
}

/// RFC 8301 section 3.2.
fn size(_: &SigningKey, record: &KeyText<'_>) -> Verdicts {
    let Some(Material::Rsa { bits, .. }) = record.material else {
        return Vec::new();
    };
    let (severity, why) = match bits {
        2048..=4096 => return Vec::new(),
        ..1024 => (Severity::Fail, "verifiers refuse it"),
        1024..2048 => (Severity::Warn, "large receivers want more"),
        4097.. => (Severity::Warn, "verifiers need not support it"),
    };
    let message = format!(
        "The RSA key has {bits} bits and {why}; declare a new key of 2048 bits under another selector."
    );
    vec![(severity, message)]
}

fn revoked(key: &SigningKey, record: &KeyText<'_>) -> Verdicts {
    let message = || {
        format!(
            "The selector {} is revoked (p= is empty) though mail is signed with it; {}, or declare a new one.",
            key.selector,
            fixer(key)
        )
    };
    match record.material {
        Some(Material::Revoked) => vec![(Severity::Fail, message())],
        _ => Vec::new(),
    }
}

fn service_and_hash(key: &SigningKey, record: &KeyText<'_>) -> Verdicts {
    let mut verdicts = Vec::new();
    if let Some(service) = record.tags.value("s").filter(|_| !record.is_for_mail()) {
        let message = format!(
            "s={} keeps the key from being used for mail; {}.",
            shown(service),
            fixer(key)
        );
        verdicts.push((Severity::Fail, message));
    }
    if let Some(hash) = record.tags.value("h") {
        if !record.allows_sha256() {
            let message = format!(
                "h={} leaves out sha256, the only hash that receivers accept; {}.",
                shown(hash),
                fixer(key)
            );
            verdicts.push((Severity::Fail, message));
        }
        if record.lists("h", "sha1") {
            let message = "h= allows sha1, which receivers refuse (RFC 8301); remove h= or write h=sha256.";
            verdicts.push((Severity::Warn, message.to_owned()));
        }
    }
    verdicts
}

fn signer_match(key: &SigningKey, record: &KeyText<'_>) -> Verdicts {
    let KeyRecord::Public(held) = &key.record else {
        return Vec::new();
    };
    if record.material.as_ref().and_then(|m| m.is(held)) != Some(false) {
        return Vec::new();
    }
    let message = format!(
        "DNS holds another key than the signer ({}), so every signature fails. Do not edit the record: old mail needs it. Declare a new selector, or delete the record if nobody signs with it.",
        held.fingerprint()
    );
    vec![(Severity::Fail, message)]
}

fn flags(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let judge = |key: &SigningKey| {
        let Seen { name, texts } = Seen::look(evidence, key)?;
        let texts = texts.ok()?;
        let testing = matches!(texts.as_slice(), [text] if KeyText::read(text).lists("t", "y"));
        if !testing {
            return None;
        }
        let sender = intent.senders.iter().find(|sender| sender.name == key.sender);
        let rejected =
            enforced(evidence) && sender.is_some_and(|sender| spf_does_not_align(evidence, sender));
        let (severity, harm) = if rejected {
            (
                Severity::Fail,
                "receivers may treat the mail as unsigned and DMARC then refuses it",
            )
        } else {
            (Severity::Warn, "receivers may treat the mail as unsigned")
        };
        let message = format!(
            "The key at {name} is in test mode (t=y): {harm}; remove t=y, {}.",
            fixer(key)
        );
        Some(FLAGS.finding(severity, &name, message))
    };
    evidence.declaration.keys.iter().filter_map(judge).collect()
}

/// Whether a DMARC policy stricter than `none` is known to apply.
fn enforced(evidence: &Evidence<'_>) -> bool {
    dmarc::policy(evidence.facts, &evidence.declaration.intent.domain)
        .ok()
        .flatten()
        .and_then(|applied| applied.requested())
        .is_some_and(|policy| policy > DmarcPolicy::None)
}

fn spf_does_not_align(evidence: &Evidence<'_>, sender: &Sender) -> bool {
    matches!(alignment::by_spf(evidence, sender), alignment::Aligned::No(_))
}

fn algorithm_set(evidence: &Evidence<'_>) -> Vec<Finding> {
    let declaration = evidence.declaration;
    declaration
        .intent
        .senders
        .iter()
        .filter(|sender| only_ed25519(evidence, sender))
        .map(|sender| {
            let message = format!(
                "Sender {} signs with Ed25519 alone, which many receivers cannot verify; add an RSA key to its dkim.keys and sign with both (RFC 8301 section 3.1).",
                sender.name
            );
            ALGORITHM_SET.finding(Severity::Fail, &declaration.intent.domain, message)
        })
        .collect()
}

/// Whether every key of the sender is known to be an Ed25519 one. A key that is still being made counts as declared.
fn only_ed25519(evidence: &Evidence<'_>, sender: &Sender) -> bool {
    let ed25519 = |key: &intent::Key| match &key.source {
        intent::KeySource::Generate { algorithm, .. } | intent::KeySource::PublicKey { algorithm, .. } => {
            *algorithm == KeyAlgorithm::Ed25519
        }
        intent::KeySource::Import { .. } | intent::KeySource::Delegate { .. } => evidence
            .declaration
            .keys
            .iter()
            .find(|signing| signing.sender == sender.name && signing.name == key.name)
            .is_some_and(|signing| match &signing.record {
                KeyRecord::Public(public) => public.algorithm() == KeyAlgorithm::Ed25519,
                KeyRecord::Delegated(_) | KeyRecord::Found => {
                    super::usable(evidence, signing) == Ok(Some(KeyAlgorithm::Ed25519))
                }
            }),
    };
    !sender.keys.is_empty() && sender.keys.iter().all(ed25519)
}
