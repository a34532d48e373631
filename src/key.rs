//! DKIM key pairs: made, read, encoded, named. Pure: the random source is an argument.
//!
//! RSA public keys are published as SubjectPublicKeyInfo (RFC 6376 appendix C, erratum 3017), Ed25519 ones as the raw
//! 32 bytes (RFC 8463 section 4.2). Private keys are PKCS#8 PEM, which every signer reads.

use std::fmt;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rand::CryptoRng;
use rsa::pkcs1::der::Encode;
use rsa::pkcs1::{DecodeRsaPrivateKey, DecodeRsaPublicKey, RsaPublicKeyRef, UintRef};
use rsa::pkcs8::der::pem::PemLabel;
use rsa::pkcs8::{
    DecodePrivateKey, EncodePrivateKey, EncodePublicKey, LineEnding, PrivateKeyInfoRef, SecretDocument,
    SubjectPublicKeyInfoRef,
};
use rsa::traits::PublicKeyParts;
use rsa::{PrivateKey as RsaPrivateKey, PublicKey as RsaPublicKey};
use sha2::{Digest, Sha256};

use crate::api::KeyAlgorithm;
use crate::name::Selector;

/// PKCS#8 version 1 of an Ed25519 key up to its 32 byte seed (RFC 8410 section 7). Version 2, which some libraries
/// write, cannot be read by OpenSSL 3.0.
const ED25519_PKCS8_HEAD: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// The public half of a key, as DNS holds it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    algorithm: KeyAlgorithm,
    octets: Vec<u8>,
}

/// A private key. Its text never appears in `Debug` or `Display`.
#[derive(Clone)]
pub struct PrivateKey {
    pem: String,
    public: PublicKey,
}

/// Why a key cannot be used. Never holds key material.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not base64 (RFC 4648 section 4, with padding).
    #[error("is not base64; paste what stands after p= in the record, without blanks or quotes")]
    Base64,
    /// An OpenSSH key, as on the page this project started from.
    #[error(
        "is an OpenSSH public key (ssh-rsa), which no mail receiver reads; convert it: openssl rsa -in key.pem -pubout -outform DER | base64 -w0"
    )]
    OpenSsh,
    /// A private key in a public place.
    #[error("is a PRIVATE key; remove it here, stop signing with it and make a new one")]
    Private,
    /// An Ed25519 key wrapped as SPKI.
    #[error(
        "is an Ed25519 key in SPKI form; RFC 8463 wants its last 32 bytes alone (44 characters of base64)"
    )]
    WrappedEd25519,
    /// Not SPKI of an RSA key.
    #[error("is not an RSA public key in SubjectPublicKeyInfo form")]
    NotRsa,
    /// Not 32 bytes.
    #[error("is not a raw Ed25519 public key of 32 bytes")]
    NotEd25519,
    /// RFC 8301 section 3.2.
    #[error("is an RSA key of {0} bits; receivers refuse keys under 1024 and expect 2048")]
    Size(usize),
    /// No PEM of a private key.
    #[error("is not a PEM private key (PKCS#8 or PKCS#1, RSA or Ed25519, without a passphrase)")]
    Pem,
    /// The generator failed; it does not say why.
    #[error("could not be generated")]
    Generate,
}

impl PublicKey {
    /// The algorithm.
    pub fn algorithm(&self) -> KeyAlgorithm {
        self.algorithm
    }

    /// What stands after `p=`: base64 of SPKI (RSA) or of the raw 32 bytes (Ed25519).
    pub fn p_value(&self) -> String {
        STANDARD.encode(&self.octets)
    }

    /// `SHA256:` and the base64 digest of the octets in `p=`, without padding, as OpenSSH prints fingerprints.
    pub fn fingerprint(&self) -> String {
        let digest = STANDARD.encode(Sha256::digest(&self.octets));
        format!("SHA256:{}", digest.trim_end_matches('='))
    }

    /// The whole record text (RFC 6376 section 3.6.1).
    pub fn record_text(&self) -> String {
        let k = match self.algorithm {
            KeyAlgorithm::RSA => "rsa",
            KeyAlgorithm::Ed25519 => "ed25519",
        };
        format!("v=DKIM1; k={k}; p={}", self.p_value())
    }

    /// Reads a text that [`Self::record_text`] made.
    pub fn read_record(text: &str) -> Option<Self> {
        let (k, p_value) = text.strip_prefix("v=DKIM1; k=")?.split_once("; p=")?;
        let algorithm = match k {
            "rsa" => KeyAlgorithm::RSA,
            "ed25519" => KeyAlgorithm::Ed25519,
            _ => return None,
        };
        Self::parse(algorithm, p_value).ok()
    }

    /// The key of a one-line OpenSSH public key (RFC 4253 section 6.6), given as its base64. `None`: it is no RSA key.
    pub fn from_openssh(text: &str) -> Option<Self> {
        let octets = STANDARD.decode(text).ok()?;
        let (kind, rest) = ssh_string(&octets)?;
        let (exponent, rest) = ssh_string(rest)?;
        let (modulus, rest) = ssh_string(rest)?;
        (kind == b"ssh-rsa" && rest.is_empty()).then_some(())?;
        let bare = RsaPublicKeyRef {
            modulus: UintRef::new(modulus).ok()?,
            public_exponent: UintRef::new(exponent).ok()?,
        };
        Self::from_pkcs1(&bare.to_der().ok()?)
    }

    /// The key of a bare RSAPublicKey (RFC 8017 appendix A.1.1), which some verifiers refuse as it is.
    pub fn from_pkcs1(octets: &[u8]) -> Option<Self> {
        let key = RsaPublicKey::from_pkcs1_der(octets).ok()?;
        let spki = key.to_public_key_der().ok()?;
        Self::parse(KeyAlgorithm::RSA, &STANDARD.encode(spki.as_bytes())).ok()
    }

    /// Reads what stands after `p=`, strictly.
    pub fn parse(algorithm: KeyAlgorithm, p_value: &str) -> Result<Self, KeyError> {
        let octets = STANDARD.decode(p_value).map_err(|_| KeyError::Base64)?;
        match algorithm {
            KeyAlgorithm::Ed25519 if octets.len() == 32 => {}
            KeyAlgorithm::Ed25519 if octets.len() == 44 => return Err(KeyError::WrappedEd25519),
            KeyAlgorithm::Ed25519 => return Err(KeyError::NotEd25519),
            KeyAlgorithm::RSA => {
                let bits = rsa_bits(&octets)?;
                if !(1024..=8192).contains(&bits) {
                    return Err(KeyError::Size(bits));
                }
            }
        }
        Ok(Self { algorithm, octets })
    }
}

/// The first of the strings of RFC 4251 section 5, and what comes after it.
fn ssh_string(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_first_chunk::<4>()?;
    rest.split_at_checked(usize::try_from(u32::from_be_bytes(*length)).ok()?)
}

/// Modulus length in bits of an RSA key in SPKI form, also of one that is too small or too large to be loaded.
fn rsa_bits(octets: &[u8]) -> Result<usize, KeyError> {
    if octets.starts_with(b"\0\0\0\x07ssh-rsa") {
        return Err(KeyError::OpenSsh);
    }
    if RsaPrivateKey::from_pkcs8_der(octets).is_ok() || RsaPrivateKey::from_pkcs1_der(octets).is_ok() {
        return Err(KeyError::Private);
    }
    let info = SubjectPublicKeyInfoRef::try_from(octets).map_err(|_| KeyError::NotRsa)?;
    let inner = info
        .subject_public_key
        .as_bytes()
        .filter(|_| info.algorithm.oid == rsa::pkcs1::ALGORITHM_OID);
    inner.and_then(modulus_bits).ok_or(KeyError::NotRsa)
}

/// Modulus length in bits of a PKCS#1 RSAPublicKey of any size, also of one that no library would load.
pub fn modulus_bits(octets: &[u8]) -> Option<usize> {
    let key = RsaPublicKeyRef::try_from(octets).ok()?;
    let modulus = key.modulus.as_bytes();
    let unused = modulus.first()?.leading_zeros() as usize;
    Some(modulus.len() * 8 - unused)
}

/// Modulus and exponent of a PKCS#1 RSAPublicKey, most significant octet first.
pub fn rsa_numbers(octets: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let key = RsaPublicKeyRef::try_from(octets).ok()?;
    let number = |octets: &[u8]| octets.to_vec();
    Some((
        number(key.modulus.as_bytes()),
        number(key.public_exponent.as_bytes()),
    ))
}

/// Whether a declared public key can be published.
pub fn check_public(algorithm: KeyAlgorithm, p_value: &str) -> Result<(), KeyError> {
    PublicKey::parse(algorithm, p_value).map(|_| ())
}

impl PrivateKey {
    /// PKCS#8 PEM. Goes into Secrets and nowhere else.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Makes a key. RSA takes up to seconds: call it on a blocking thread.
    pub fn generate(
        algorithm: KeyAlgorithm,
        bits: usize,
        random: &mut impl CryptoRng,
    ) -> Result<Self, KeyError> {
        match algorithm {
            KeyAlgorithm::RSA => {
                Self::from_rsa(&RsaPrivateKey::new(random, bits).map_err(|_| KeyError::Generate)?)
                    .ok_or(KeyError::Generate)
            }
            KeyAlgorithm::Ed25519 => {
                let mut seed = [0; 32];
                random.fill_bytes(&mut seed);
                Self::from_seed(&seed).ok_or(KeyError::Generate)
            }
        }
    }

    /// Reads PEM: PKCS#8 of RSA or Ed25519, or PKCS#1.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        let (label, document) = SecretDocument::from_pem(pem.trim()).map_err(|_| KeyError::Pem)?;
        if label != PrivateKeyInfoRef::PEM_LABEL {
            let key = RsaPrivateKey::from_pkcs1_der(document.as_bytes()).map_err(|_| KeyError::Pem)?;
            return Self::from_rsa(&key).ok_or(KeyError::Pem);
        }
        if let Ok(key) = RsaPrivateKey::from_pkcs8_der(document.as_bytes()) {
            return Self::from_rsa(&key).ok_or(KeyError::Pem);
        }
        let info = PrivateKeyInfoRef::try_from(document.as_bytes()).map_err(|_| KeyError::Pem)?;
        let ed25519 = info.algorithm.oid.to_string() == "1.3.101.112";
        let seed = info
            .private_key
            .as_bytes()
            .strip_prefix(&[0x04, 0x20])
            .filter(|seed| ed25519 && seed.len() == 32);
        seed.and_then(Self::from_seed).ok_or(KeyError::Pem)
    }

    fn from_rsa(key: &RsaPrivateKey) -> Option<Self> {
        let bits = key.n().bit_width() as usize;
        let octets = key.to_public_key().to_public_key_der().ok()?.into_vec();
        let pem = key.to_pkcs8_pem(LineEnding::LF).ok()?.to_string();
        (bits >= 1024).then_some(Self {
            pem,
            public: PublicKey {
                algorithm: KeyAlgorithm::RSA,
                octets,
            },
        })
    }

    fn from_seed(seed: &[u8]) -> Option<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).ok()?;
        let document = SecretDocument::try_from([&ED25519_PKCS8_HEAD[..], seed].concat()).ok()?;
        let pem = document
            .to_pem(PrivateKeyInfoRef::PEM_LABEL, LineEnding::LF)
            .ok()?
            .to_string();
        let octets = pair.public_key().as_ref().to_vec();
        Some(Self {
            pem,
            public: PublicKey {
                algorithm: KeyAlgorithm::Ed25519,
                octets,
            },
        })
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public.fingerprint())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({:?} {})", self.algorithm, self.fingerprint())
    }
}

/// The selector of a generated key: the same after a crash, another in another cluster, life or round.
///
/// `uid` is the MailDomain's UID; `counter` rises with every new key under one name.
pub fn selector(prefix: &str, uid: &str, sender: &str, key: &str, counter: i32) -> Option<Selector> {
    let input = format!("{uid}\0{sender}\0{key}\0{counter}");
    let digest = Sha256::digest(input.as_bytes());
    let suffix: String = digest
        .iter()
        .take(8)
        .map(|byte| char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::from(byte & 31)]))
        .collect();
    Selector::parse(&format!("{prefix}-{suffix}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use rand::rngs::StdRng;

    fn random() -> StdRng {
        StdRng::seed_from_u64(7)
    }

    #[test]
    fn an_openssh_key_becomes_what_verifiers_read() {
        // From the page that this project started from.
        let page = "AAAAB3NzaC1yc2EAAAADAQABAAABAQDLWvAVr5k+4nneMRKhUeb/yGjRBlpGu9CLXx4LJJb1dUZeNWBCbjpjN0P5hlXD3tyml8aBJdHWtudeBvauUmxoxIfrkQW6XNwiplAXB/2bsECd1k5lPRnWzGAt8WOVI/ztOITmykZGLz9BHFIQ8i+Zte6ORlwfNiFyTLE9VE4ubzwIaOWr95MTXwtqC+zXIVwPqjZ0FYs7Ij0PnUAx805AK0I+I/4Fb58HJ9hdMeMiMsVb3Sz+AWby208QQubkAVfm4Zf4/RjW6uBlc1pSwYKy0fq13fHb6VltVXE+Q+Cbj8tYLJHStTT8bCepOcgGsvBkw+8WiuYZBHOX6gn3L/+5";
        let key = PublicKey::from_openssh(page).unwrap();
        assert!(key.p_value().starts_with("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"));
        let modulus = &STANDARD.decode(page).unwrap()[22..];
        let exponent = [0x02, 0x03, 0x01, 0x00, 0x01];
        assert!(key.octets.ends_with(&[modulus, &exponent].concat()));
        for broken in ["", "AAAA", &page[..100], "AAAAC3NzaC1lZDI1NTE5AAAAIA=="] {
            assert_eq!(PublicKey::from_openssh(broken), None, "{broken}");
        }
    }

    #[test]
    fn rsa_is_published_as_spki_and_read_back_from_pem() {
        let key = PrivateKey::generate(KeyAlgorithm::RSA, 2048, &mut random()).unwrap();
        assert!(
            key.public()
                .p_value()
                .starts_with("MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A")
        );
        assert_eq!(key.public().record_text().len(), 410);
        assert!(key.pem().starts_with("-----BEGIN PRIVATE KEY-----\n"));
        assert_eq!(PrivateKey::from_pem(key.pem()).unwrap().public(), key.public());
        assert_eq!(
            PublicKey::parse(KeyAlgorithm::RSA, &key.public().p_value()).as_ref(),
            Ok(key.public())
        );
    }

    #[test]
    fn ed25519_is_published_raw_as_in_rfc_8463_appendix_a() {
        let seed = STANDARD
            .decode("nWGxne/9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A=")
            .unwrap();
        let key = PrivateKey::from_seed(&seed).unwrap();
        assert_eq!(
            key.public().record_text(),
            "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
        );
        assert_eq!(PrivateKey::from_pem(key.pem()).unwrap().public(), key.public());
        let read = PublicKey::read_record(&key.public().record_text());
        assert_eq!(read.as_ref(), Some(key.public()));
    }

    #[test]
    fn wrong_public_keys_are_named() {
        let rsa = |p| PublicKey::parse(KeyAlgorithm::RSA, p).unwrap_err();
        assert_eq!(
            rsa("AAAAB3NzaC1yc2EAAAADAQABAAABAQDLWvAVr5k+4nneMRKhUeb/"),
            KeyError::OpenSsh
        );
        assert_eq!(rsa("not base64"), KeyError::Base64);
        assert_eq!(rsa("AAAA"), KeyError::NotRsa);
        let spki = "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";
        assert_eq!(
            PublicKey::parse(KeyAlgorithm::Ed25519, spki).unwrap_err(),
            KeyError::WrappedEd25519
        );
        let small = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBANDiE2+Xi/WnO+s120NiiJhNyIButVu6zxqlVzz0wy2j4kQVUC4ZRZD80IY+4wIiX2YxKBZKGnd2TtPkcJ/ljkUCAwEAAQ==";
        assert_eq!(rsa(small), KeyError::Size(512));
        let private = PrivateKey::generate(KeyAlgorithm::RSA, 1024, &mut random()).unwrap();
        let body: String = private
            .pem()
            .lines()
            .filter(|line| !line.starts_with('-'))
            .collect();
        assert_eq!(rsa(&body), KeyError::Private);
    }

    #[test]
    fn debug_text_holds_no_key() {
        let key = PrivateKey::generate(KeyAlgorithm::Ed25519, 0, &mut random()).unwrap();
        let body = key.pem().lines().nth(1).unwrap().to_owned();
        assert!(!format!("{key:?}").contains(&body));
    }

    #[test]
    fn selectors_are_stable_and_differ_by_every_input() {
        let one = selector("md", "uid", "mta", "rsa", 0).unwrap();
        assert_eq!(one, selector("md", "uid", "mta", "rsa", 0).unwrap());
        for other in [
            ("uid2", "mta", "rsa", 0),
            ("uid", "mtb", "rsa", 0),
            ("uid", "mta", "ed", 0),
            ("uid", "mta", "rsa", 1),
        ] {
            assert_ne!(one, selector("md", other.0, other.1, other.2, other.3).unwrap());
        }
        assert_eq!(one.as_str().len(), 11);
    }
}
