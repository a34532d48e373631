//! The output Secret of a signer: which keys it holds and in which layouts. Pure.
//!
//! A format is one function and one line in [`render`]. It names the algorithms that its software can use and leaves
//! the others out.

use std::collections::{BTreeMap, BTreeSet};

use crate::api::{KeyAlgorithm, SignerFormat};
use crate::name::{Name, Selector};

/// A proven key with its private half. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ProvenKey {
    /// The `d=` domain.
    pub domain: Name,
    /// The selector.
    pub selector: Selector,
    /// Algorithm.
    pub algorithm: KeyAlgorithm,
    /// PKCS#8 PEM.
    pub pem: String,
}

impl std::fmt::Debug for ProvenKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ProvenKey({} {})", self.selector, self.domain)
    }
}

impl ProvenKey {
    fn file(&self) -> String {
        file_name(&self.domain, &self.selector)
    }
}

/// The file of a private key, in every format.
pub fn file_name(domain: &Name, selector: &Selector) -> String {
    format!("{domain}.{selector}.pem")
}

/// The data of the Secret, by file name.
pub fn render(
    keys: &BTreeSet<ProvenKey>,
    formats: &[SignerFormat],
    mount_path: &str,
) -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for format in formats {
        let usable: Vec<&ProvenKey> = keys
            .iter()
            .filter(|key| can_use(*format, key.algorithm))
            .collect();
        files.extend(usable.iter().map(|key| (key.file(), key.pem.clone())));
        match format {
            SignerFormat::Plain => plain(&usable, &mut files),
            SignerFormat::OpenDKIM => open_dkim(&usable, mount_path, &mut files),
        }
    }
    files
}

/// Whether some format of these can use the algorithm.
pub fn any_can_use(formats: &[SignerFormat], algorithm: KeyAlgorithm) -> bool {
    formats.iter().any(|format| can_use(*format, algorithm))
}

/// OpenDKIM 2.11 answers 451 to every message when an Ed25519 key is in its table.
fn can_use(format: SignerFormat, algorithm: KeyAlgorithm) -> bool {
    match format {
        SignerFormat::Plain => true,
        SignerFormat::OpenDKIM => algorithm == KeyAlgorithm::RSA,
    }
}

/// `keys.json`: what is in the Secret, for scripts.
fn plain(keys: &[&ProvenKey], files: &mut BTreeMap<String, String>) {
    let list: Vec<serde_json::Value> = keys
        .iter()
        .map(|key| {
            let algorithm = match key.algorithm {
                KeyAlgorithm::RSA => "rsa-sha256",
                KeyAlgorithm::Ed25519 => "ed25519-sha256",
            };
            serde_json::json!({
                "domain": key.domain.as_str(), "selector": key.selector.as_str(), "algorithm": algorithm, "file": key.file(),
            })
        })
        .collect();
    files.insert(
        "keys.json".to_owned(),
        format!("{:#}\n", serde_json::Value::Array(list)),
    );
}

/// `KeyTable` and `SigningTable` of opendkim.conf(5). One key signs a domain: the first selector; the table format
/// would sign with every line, and receivers need one RSA signature only.
fn open_dkim(keys: &[&ProvenKey], mount_path: &str, files: &mut BTreeMap<String, String>) {
    let mut key_table = String::new();
    let mut signing_table = String::new();
    let mut signed = BTreeSet::new();
    for key in keys {
        let ProvenKey {
            domain,
            selector,
            algorithm: _,
            pem: _,
        } = key;
        let name = format!("{selector}._domainkey.{domain}");
        key_table.push_str(&format!(
            "{name} {domain}:{selector}:{mount_path}/{}\n",
            key.file()
        ));
        if signed.insert(domain) {
            signing_table.push_str(&format!("*@{domain} {name}\n"));
        }
    }
    files.insert("KeyTable".to_owned(), key_table);
    files.insert("SigningTable".to_owned(), signing_table);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(domain: &str, selector: &str, algorithm: KeyAlgorithm) -> ProvenKey {
        let pem = format!("PEM of {selector}");
        ProvenKey {
            domain: Name::parse(domain).unwrap(),
            selector: Selector::parse(selector).unwrap(),
            algorithm,
            pem,
        }
    }

    fn keys() -> BTreeSet<ProvenKey> {
        [
            key("a.example", "md-1", KeyAlgorithm::RSA),
            key("a.example", "md-2", KeyAlgorithm::Ed25519),
            key("b.example", "md-3", KeyAlgorithm::RSA),
        ]
        .into()
    }

    #[test]
    fn opendkim_gets_tables_without_ed25519() {
        let files = render(&keys(), &[SignerFormat::OpenDKIM], "/etc/dkim");
        assert_eq!(
            files["KeyTable"],
            "md-1._domainkey.a.example a.example:md-1:/etc/dkim/a.example.md-1.pem\n\
             md-3._domainkey.b.example b.example:md-3:/etc/dkim/b.example.md-3.pem\n"
        );
        assert_eq!(
            files["SigningTable"],
            "*@a.example md-1._domainkey.a.example\n*@b.example md-3._domainkey.b.example\n"
        );
        assert!(!files.contains_key("a.example.md-2.pem"));
    }

    #[test]
    fn plain_lists_every_key() {
        let files = render(&keys(), &[SignerFormat::Plain], "/etc/dkim");
        assert_eq!(files["a.example.md-2.pem"], "PEM of md-2");
        let list: serde_json::Value = serde_json::from_str(&files["keys.json"]).unwrap();
        assert_eq!(list[1]["algorithm"], "ed25519-sha256");
        assert_eq!(list.as_array().unwrap().len(), 3);
    }

    #[test]
    fn debug_text_holds_no_key() {
        assert_eq!(
            format!("{:?}", key("a.example", "md-1", KeyAlgorithm::RSA)),
            "ProvenKey(md-1 a.example)"
        );
    }
}
