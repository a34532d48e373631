//! A DKIM key record, read and classified (RFC 6376 section 3.6.1, RFC 8463 section 4.2).
//!
//! Pure: a text goes in; its tags and what its `p=` really holds come out. Judging is next door.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rsa::pkcs1::ALGORITHM_OID;
use rsa::pkcs8::SubjectPublicKeyInfoRef;

use crate::api::KeyAlgorithm;
use crate::key;
use crate::protocol::tag_list::{self, TagList};

/// A key record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyText<'a> {
    /// Its tags.
    pub tags: TagList<'a>,
    /// What `p=` holds; `None` without `p=`.
    pub material: Option<Material>,
}

/// What `p=` holds, whatever `k=` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Material {
    /// Nothing: the key is revoked.
    Revoked,
    /// An RSA public key.
    Rsa {
        /// Modulus length.
        bits: usize,
        /// How it is wrapped.
        form: RsaForm,
        /// The decoded octets.
        octets: Vec<u8>,
    },
    /// The 32 octets of an Ed25519 public key.
    Ed25519(Vec<u8>),
    /// A private key, whole or not.
    Private,
    /// Something that no verifier can use.
    Unusable(Fault),
}

/// How an RSA public key is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RsaForm {
    /// SubjectPublicKeyInfo, which every verifier reads.
    Spki,
    /// The bare PKCS#1 RSAPublicKey of the RFC's text, which some refuse.
    Pkcs1,
}

/// Why no verifier can use what stands in `p=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A one-line OpenSSH public key.
    OpenSsh,
    /// The lines around a PEM file.
    PemArmour,
    /// Quotation marks inside the text.
    Quotes,
    /// Not base64.
    NotBase64,
    /// An Ed25519 key wrapped in SubjectPublicKeyInfo.
    WrappedEd25519,
    /// A key on an elliptic curve other than Ed25519.
    Elliptic,
    /// Anything else: truncated, padded, a certificate.
    Unreadable,
}

/// The first octets of an Ed25519 key in SubjectPublicKeyInfo (RFC 8410 section 4).
const ED25519_SPKI_HEAD: &[u8] = &[
    0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00,
];
/// The object identifier id-ecPublicKey (RFC 5480 section 2.1.1).
const EC_PUBLIC_KEY: &[u8] = &[0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];

impl<'a> KeyText<'a> {
    /// Reads a record.
    pub fn read(text: &'a str) -> Self {
        let tags = TagList::read(text);
        let material = tags.value("p").map(Material::read);
        Self { tags, material }
    }

    /// `k=`, which is `rsa` unless given.
    pub fn key_type(&self) -> &'a str {
        self.tags.value("k").unwrap_or("rsa")
    }

    /// Whether a tag that is a list with colons holds this word.
    pub fn lists(&self, tag: &str, word: &str) -> bool {
        self.tags
            .value(tag)
            .is_some_and(|value| tag_list::members(value, ':').any(|member| member == word))
    }
}

impl KeyText<'_> {
    /// Whether `s=` lets the key be used for mail.
    pub fn is_for_mail(&self) -> bool {
        self.tags.value("s").is_none() || self.lists("s", "email") || self.lists("s", "*")
    }

    /// Whether `h=` allows the hash that receivers accept (RFC 8301 section 3.1).
    pub fn allows_sha256(&self) -> bool {
        self.tags.value("h").is_none() || self.lists("h", "sha256")
    }
}

impl Material {
    /// Classifies the value of `p=`.
    pub fn read(value: &str) -> Self {
        let value = tag_list::without_blanks(value);
        if value.is_empty() {
            return Self::Revoked;
        }
        if is_private(&value) {
            return Self::Private;
        }
        if value.contains("-----") {
            return Self::Unusable(Fault::PemArmour);
        }
        // The beginning tells, even where the rest was cut off or elided.
        if value.starts_with("AAAAB3NzaC1yc2E") || value.starts_with("ssh-") {
            return Self::Unusable(Fault::OpenSsh);
        }
        if value.contains(['"', '\'']) {
            return Self::Unusable(Fault::Quotes);
        }
        match STANDARD.decode(&value) {
            Ok(octets) => Self::of_octets(octets),
            Err(_) => Self::Unusable(Fault::NotBase64),
        }
    }

    fn of_octets(octets: Vec<u8>) -> Self {
        if octets.len() == 32 {
            return Self::Ed25519(octets);
        }
        let spki = SubjectPublicKeyInfoRef::try_from(octets.as_slice()).ok();
        let (form, inner) = match &spki {
            Some(spki) if spki.algorithm.oid == ALGORITHM_OID => {
                (RsaForm::Spki, spki.subject_public_key.as_bytes())
            }
            Some(_) => (RsaForm::Spki, None),
            None => (RsaForm::Pkcs1, Some(octets.as_slice())),
        };
        if let Some(bits) = inner.and_then(key::modulus_bits) {
            return Self::Rsa { bits, form, octets };
        }
        let elliptic = octets
            .windows(EC_PUBLIC_KEY.len())
            .take(8)
            .any(|window| window == EC_PUBLIC_KEY);
        Self::Unusable(match () {
            () if octets.starts_with(ED25519_SPKI_HEAD) => Fault::WrappedEd25519,
            () if elliptic => Fault::Elliptic,
            () => Fault::Unreadable,
        })
    }

    /// The bare RSAPublicKey, however it is wrapped.
    pub fn rsa_key(&self) -> Option<Vec<u8>> {
        let Self::Rsa {
            octets,
            form,
            bits: _,
        } = self
        else {
            return None;
        };
        match form {
            RsaForm::Spki => {
                let info = SubjectPublicKeyInfoRef::try_from(octets.as_slice()).ok()?;
                Some(info.subject_public_key.as_bytes()?.to_vec())
            }
            RsaForm::Pkcs1 => Some(octets.clone()),
        }
    }

    /// Modulus and exponent, most significant octet first.
    pub fn rsa_numbers(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        key::rsa_numbers(&self.rsa_key()?)
    }

    /// The algorithm of the key, if it is a public key.
    pub fn algorithm(&self) -> Option<KeyAlgorithm> {
        match self {
            Self::Rsa { .. } => Some(KeyAlgorithm::RSA),
            Self::Ed25519(_) | Self::Unusable(Fault::WrappedEd25519) => Some(KeyAlgorithm::Ed25519),
            Self::Revoked | Self::Private | Self::Unusable(_) => None,
        }
    }

    /// Whether this is that key; `None` when it is no public key at all.
    pub fn is(&self, held: &key::PublicKey) -> Option<bool> {
        let held = STANDARD.decode(held.p_value()).unwrap_or_default();
        match self {
            Self::Ed25519(octets)
            | Self::Rsa {
                octets,
                form: RsaForm::Spki,
                bits: _,
            } => Some(*octets == held),
            // SubjectPublicKeyInfo ends with the PKCS#1 form.
            Self::Rsa {
                octets,
                form: RsaForm::Pkcs1,
                bits: _,
            } => Some(held.ends_with(octets)),
            Self::Revoked | Self::Private | Self::Unusable(_) => None,
        }
    }
}

/// Whether a text is or begins a private key: PEM, or the base64 of PKCS#8, PKCS#1 or SEC 1, all of which begin with a
/// sequence whose first member is the integer 0 or 1. Half a private key is one too.
fn is_private(value: &str) -> bool {
    if value.contains("PRIVATEKEY") {
        return true;
    }
    let head = value.get(..12).and_then(|head| STANDARD.decode(head).ok());
    let Some(&[0x30, length, ref rest @ ..]) = head.as_deref() else {
        return false;
    };
    let long = usize::from(length.saturating_sub(0x80));
    matches!(rest.get(long..), Some([0x02, 0x01, 0 | 1, ..]))
}

#[cfg(test)]
mod tests {
    use super::super::samples;
    use super::*;

    #[test]
    fn public_keys_are_told_by_their_octets() {
        let read = Material::read(samples::RSA_2048);
        assert!(
            matches!(
                read,
                Material::Rsa {
                    bits: 2048,
                    form: RsaForm::Spki,
                    ..
                }
            ),
            "{read:?}"
        );
        let read = Material::read(samples::RSA_2048_PKCS1);
        assert!(
            matches!(
                read,
                Material::Rsa {
                    bits: 2048,
                    form: RsaForm::Pkcs1,
                    ..
                }
            ),
            "{read:?}"
        );
        let read = Material::read("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=");
        assert_eq!(read.algorithm(), Some(KeyAlgorithm::Ed25519));
    }

    #[test]
    fn everything_else_says_what_it_is() {
        let cut = &samples::RSA_2048[..380];
        for (value, material) in [
            ("", Material::Revoked),
            ("  ", Material::Revoked),
            ("AAAAB3NzaC1yc2E...", Material::Unusable(Fault::OpenSsh)),
            ("not base64", Material::Unusable(Fault::NotBase64)),
            ("AAAA\" \"AAAA", Material::Unusable(Fault::Quotes)),
            (
                "-----BEGIN PUBLIC KEY-----AAAA",
                Material::Unusable(Fault::PemArmour),
            ),
            (samples::ED25519_SPKI, Material::Unusable(Fault::WrappedEd25519)),
            (samples::EC, Material::Unusable(Fault::Elliptic)),
            (cut, Material::Unusable(Fault::Unreadable)),
            (samples::RSA_PKCS8_PRIVATE, Material::Private),
            (samples::RSA_PKCS1_PRIVATE, Material::Private),
            (samples::ED25519_PRIVATE, Material::Private),
            (&samples::RSA_PKCS8_PRIVATE[..21], Material::Private),
            ("-----BEGIN RSA PRIVATE KEY-----AAAA", Material::Private),
        ] {
            assert_eq!(Material::read(value), material, "{value}");
        }
    }

    #[test]
    fn both_forms_of_one_key_are_that_key() {
        let held = key::PublicKey::parse(KeyAlgorithm::RSA, samples::RSA_2048).unwrap();
        assert_eq!(Material::read(samples::RSA_2048).is(&held), Some(true));
        assert_eq!(Material::read(samples::RSA_2048_PKCS1).is(&held), Some(true));
        assert_eq!(Material::read(samples::RSA_2048_OTHER).is(&held), Some(false));
        assert_eq!(Material::read("").is(&held), None);
    }
}
