//! The keys that messages are signed with, and their public halves in every form that people publish.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::harness::{pipe, run, said};

/// Private keys by name, and what stands for `{...}` in the data.
pub(super) struct Keys {
    private: BTreeMap<&'static str, String>,
    filled: BTreeMap<&'static str, String>,
}

impl Keys {
    /// The tree's own RSA key, and others of this run.
    pub(super) fn new() -> Self {
        let rsa = include_str!("../../data/rsa.pem").to_owned();
        let ed25519 = run("openssl", &["genpkey", "-algorithm", "ed25519"]);
        let private = BTreeMap::from([
            ("rsa1024", run("openssl", &["genrsa", "1024"])),
            ("rsa768", run("openssl", &["genrsa", "768"])),
            ("rsa", rsa),
            ("ed25519", ed25519),
        ]);
        let spki = |name: &str| body(&openssl(&["pkey", "-pubout"], &private[name]));
        let rsa = spki("rsa");
        let wrapped = spki("ed25519");
        let (head, tail) = rsa.split_at(200);
        let filled = BTreeMap::from([
            ("{rsa-head}", head.to_owned()),
            ("{rsa-tail}", tail.to_owned()),
            ("{rsa1024}", spki("rsa1024")),
            ("{rsa768}", spki("rsa768")),
            ("{ed25519}", raw_ed25519(&wrapped)),
            ("{ed25519-spki}", wrapped),
            (
                "{pkcs1}",
                body(&openssl(&["rsa", "-RSAPublicKey_out"], &private["rsa"])),
            ),
            ("{openssh}", openssh(&private["rsa"])),
            ("{rsa}", rsa),
        ]);
        // One that could not be made would be found out late.
        assert!(filled.values().all(|text| !text.is_empty()), "{filled:?}");
        Self { private, filled }
    }

    /// A text with its placeholders filled in.
    pub(super) fn fill(&self, text: &str) -> String {
        self.filled
            .iter()
            .fold(text.to_owned(), |text, (placeholder, value)| {
                text.replace(placeholder, value)
            })
    }

    /// The PEM text of a private key.
    pub(super) fn private(&self, name: &str) -> &str {
        self.private
            .get(name)
            .unwrap_or_else(|| panic!("there is no key {name}"))
    }
}

fn openssl(arguments: &[&str], input: &str) -> String {
    let output = pipe("openssl", arguments, input.as_bytes());
    assert!(output.status.success(), "openssl: {}", said(&output));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The base64 of a PEM text.
fn body(pem: &str) -> String {
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

/// RFC 8463: the 32 octets alone, which end the SPKI.
fn raw_ed25519(spki: &str) -> String {
    let der = STANDARD.decode(spki).expect("openssl writes base64");
    let (_, raw) = der.split_at(der.len() - 32);
    STANDARD.encode(raw)
}

/// What `ssh-keygen` shows of the key (RFC 4253 section 6.6): the exponent, which is 65537, and the modulus.
fn openssh(pem: &str) -> String {
    let said = openssl(&["rsa", "-noout", "-modulus"], pem);
    let digits = said.trim().strip_prefix("Modulus=").expect("openssl shows it so");
    let octet = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal");
    let modulus: Vec<u8> = (0..digits.len()).step_by(2).map(octet).collect();
    let modulus = [&[0], modulus.as_slice()].concat();
    let mut blob = Vec::new();
    for part in [b"ssh-rsa".as_slice(), &[1, 0, 1], &modulus] {
        let length = u32::try_from(part.len()).expect("a key is short");
        blob.extend(length.to_be_bytes());
        blob.extend(part);
    }
    STANDARD.encode(blob)
}
