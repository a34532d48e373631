//! DKIM signatures: read, and verified with a key (RFC 6376 section 6, RFC 8463).

use aws_lc_rs::signature::{
    ED25519, RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY, UnparsedPublicKey, VerificationAlgorithm,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::canonical::{self, Form};
use super::{Field, Message};
use crate::api::KeyAlgorithm;
use crate::name::Name;
use crate::protocol::dkim::{KeyText, Material};
use crate::protocol::tag_list::{self, TagList};

/// One DKIM-Signature field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    /// `d=`.
    pub domain: Option<Name>,
    /// `s=`, whatever characters its labels have.
    pub selector: Option<Name>,
    /// What was signed, or why nothing can be verified with it.
    content: Result<Content, &'static str>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    algorithm: KeyAlgorithm,
    /// The octets that the signature is of.
    signed: Vec<u8>,
    signature: Vec<u8>,
    /// The domain of `i=`.
    identity: Name,
    /// `x=`, seconds since 1970.
    expires: Option<i64>,
}

impl Signature {
    pub(super) fn read(message: &Message, field: &Field) -> Self {
        let raw = String::from_utf8_lossy(&field.raw).into_owned();
        let value = raw.split_once(':').map_or("", |(_, value)| value);
        // Folding is a blank; a tag list knows no line ends.
        let value = value.replace("\r\n", "");
        let tags = TagList::read(&value);
        let tag = |name: &str| tags.value(name).map(tag_list::without_blanks);
        let domain = tag("d").and_then(|text| Name::parse_host(&text).ok());
        let selector = tag("s").and_then(|text| Name::parse(&text).ok());
        let content = match &domain {
            Some(domain) => content(message, field, &tags, domain),
            None => Err("its d= is missing or no domain name"),
        };
        Self {
            domain,
            selector,
            content,
        }
    }

    /// Where its key stands.
    pub fn key_name(&self) -> Option<Name> {
        let (selector, domain) = (self.selector.as_ref()?, self.domain.as_ref()?);
        domain.child(&format!("{selector}._domainkey")).ok()
    }

    /// Whether it holds with the key of this record, at this time (seconds since 1970); why not.
    pub fn verify(&self, key: &str, now: i64) -> Result<(), &'static str> {
        let content = self.content.as_ref().map_err(|why| *why)?;
        if content.expires.is_some_and(|expires| expires < now) {
            return Err("it has expired (x=)");
        }
        let key = KeyText::read(key);
        if key.lists("t", "s") && self.domain.as_ref() != Some(&content.identity) {
            return Err("its i= is a subdomain of d=, which the key forbids (t=s)");
        }
        if !key.allows_sha256() {
            return Err("the key does not allow sha256 (h=)");
        }
        if !key.is_for_mail() {
            return Err("the key is not for mail (s=)");
        }
        let material = key.material.as_ref().ok_or("the record holds no key")?;
        let (public, algorithm): (Vec<u8>, &dyn VerificationAlgorithm) = match (content.algorithm, material) {
            (_, Material::Revoked) => return Err("the key is revoked"),
            (KeyAlgorithm::RSA, Material::Rsa { bits, .. }) if *bits >= 1024 => (
                material.rsa_key().ok_or("the key cannot be read")?,
                &RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY,
            ),
            (KeyAlgorithm::RSA, Material::Rsa { .. }) => return Err("the key is shorter than 1024 bits"),
            (KeyAlgorithm::Ed25519, Material::Ed25519(octets)) => (octets.clone(), &ED25519),
            (_, Material::Rsa { .. } | Material::Ed25519(_) | Material::Private | Material::Unusable(_)) => {
                return Err("the record holds no key of the signature's kind");
            }
        };
        // RFC 8463 section 3: Ed25519 signs the hash.
        let hashed = Sha256::digest(&content.signed);
        let signed: &[u8] = match content.algorithm {
            KeyAlgorithm::RSA => &content.signed,
            KeyAlgorithm::Ed25519 => &hashed,
        };
        UnparsedPublicKey::new(algorithm, public)
            .verify(signed, &content.signature)
            .map_err(|_| "the header was changed on the way, or another key signed it")
    }
}

/// RFC 6376 section 6.1.1 and 3.7.
fn content(
    message: &Message,
    field: &Field,
    tags: &TagList<'_>,
    domain: &Name,
) -> Result<Content, &'static str> {
    let tag = |name: &str| tags.value(name).map(tag_list::without_blanks);
    if !tags.problems.is_empty() {
        return Err("it is no tag list");
    }
    if tag("v").as_deref() != Some("1") {
        return Err("its v= is not 1");
    }
    let algorithm = match tag("a").as_deref() {
        Some("rsa-sha256") => KeyAlgorithm::RSA,
        Some("ed25519-sha256") => KeyAlgorithm::Ed25519,
        Some("rsa-sha1") => return Err("it is of rsa-sha1, which receivers refuse (RFC 8301)"),
        _ => return Err("its a= is unknown"),
    };
    let base64 = |name: &str| tag(name).and_then(|text| STANDARD.decode(text).ok());
    let signature = base64("b").ok_or("its b= is missing or no base64")?;
    let body_hash = base64("bh").ok_or("its bh= is missing or no base64")?;
    let (header_form, body_form) = forms(tag("c").as_deref()).ok_or("its c= is unknown")?;
    let signed_fields = tag("h").ok_or("its h= is missing")?.to_ascii_lowercase();
    let names: Vec<&str> = tag_list::members(&signed_fields, ':').collect();
    if !names.contains(&"from") {
        return Err("it does not sign From (h=)");
    }
    let identity = match tag("i") {
        None => domain.clone(),
        Some(text) => {
            let name = text
                .rsplit_once('@')
                .and_then(|(_, name)| Name::parse_host(name).ok());
            name.ok_or("its i= is no address")?
        }
    };
    if !identity.is_within(domain) {
        return Err("its i= is not within d=");
    }
    let mut body = canonical::body(body_form, &message.body);
    if let Some(length) = tag("l") {
        let length: usize = length.parse().map_err(|_| "its l= is no number")?;
        if length > body.len() {
            return Err("its l= is longer than the body");
        }
        body.truncate(length);
    }
    if Sha256::digest(&body).as_slice() != body_hash {
        return Err("the body was changed on the way");
    }
    Ok(Content {
        algorithm,
        signed: signed(message, field, &names, header_form),
        signature,
        identity,
        expires: tag("x").and_then(|text| text.parse().ok()),
    })
}

fn forms(text: Option<&str>) -> Option<(Form, Form)> {
    let text = text.unwrap_or("simple/simple");
    let (header, body) = text.split_once('/').unwrap_or((text, "simple"));
    Some((Form::parse(header)?, Form::parse(body)?))
}

/// The fields that `h=` names, each instance once and from below, then the signature itself without its `b=`.
fn signed(message: &Message, own: &Field, names: &[&str], form: Form) -> Vec<u8> {
    let mut text = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let earlier = names.iter().take(index).filter(|other| *other == name).count();
        let mut instances = message.fields.iter().rev().filter(|field| field.name == *name);
        if let Some(field) = instances.nth(earlier) {
            text.extend(canonical::field(form, &field.raw));
            text.extend_from_slice(b"\r\n");
        }
    }
    text.extend(canonical::field(form, &without_signature(&own.raw)));
    text
}

/// The field with an empty `b=`; nothing else of it changes.
fn without_signature(raw: &[u8]) -> Vec<u8> {
    let colon = raw.iter().position(|octet| *octet == b':').map_or(0, |at| at + 1);
    let mut text = raw.get(..colon).unwrap_or_default().to_vec();
    let value = raw.get(colon..).unwrap_or_default();
    let parts: Vec<Vec<u8>> = value
        .split(|octet| *octet == b';')
        .map(|part| match part.iter().position(|octet| *octet == b'=') {
            Some(at) if part.get(..at).is_some_and(|name| name.trim_ascii() == b"b") => {
                part.get(..=at).unwrap_or_default().to_vec()
            }
            _ => part.to_vec(),
        })
        .collect();
    text.extend(parts.join(&b';'));
    text
}
