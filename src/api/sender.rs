//! Senders of a MailDomain and their DKIM keys.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MailExchange, form};

/// One system that sends mail as the domain: an MTA of your own, a mailbox provider, a vendor.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// A name for this sender, of your choice; a DKIMSigner may select keys by it.
    #[schemars(length(min = 1, max = 63), regex(pattern = form::LABEL))]
    pub name: String,
    /// The hosts that send, by their HELO names. They must be declared in `spec.hosts`; those below `domain` get an
    /// SPF record of their own (RFC 7208 section 2.3).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 4, max = 253), regex(pattern = form::HOST)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hosts: Vec<String>,
    /// Further addresses that mail leaves from (NAT, pools), as CIDR ranges: SPF terms, no A or AAAA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(max = 49), regex(pattern = form::RANGE)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub egress: Vec<String>,
    /// The domain of the envelope sender (RFC 5321 MailFrom), where SPF is looked up. Absent: the MailDomain's domain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_path: Option<ReturnPath>,
    /// What this sender needs in SPF beside its own addresses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spf: Option<SenderSpf>,
    /// The keys this sender signs with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dkim: Option<Dkim>,
}

/// The domain of the envelope sender.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.vendor) && self.vendor) != has(self.domain)")
        .message("give returnPath either a domain or vendor: true (the vendor uses a domain of its own)"),
    validation = Rule::new("!has(self.target) || (has(self.domain) && !has(self.mx))")
        .message("returnPath.target makes returnPath.domain an alias: give that domain, and no mx beside it"),
)]
pub struct ReturnPath {
    /// The envelope domain. At or below the MailDomain's domain it is written, elsewhere only looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 4, max = 253), regex(pattern = form::HOST))]
    pub domain: Option<String>,
    /// MX of the envelope domain, where bounces go. Absent: looked at, never written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".into()]))]
    pub mx: Vec<MailExchange>,
    /// Make the envelope domain a CNAME to this name of a vendor, who then owns SPF and MX there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 4, max = 253), regex(pattern = form::HOST))]
    pub target: Option<String>,
    /// The vendor sends with an envelope domain of its own: no SPF term is made, DKIM must align.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<bool>,
}

/// What a sender needs in SPF beside its own addresses.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct SenderSpf {
    /// Domains for `include:` terms; each must publish an SPF record of its own (RFC 7208 section 5.2). A host that has
    /// only an address does not qualify: list it in `hosts`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 10),
        inner(
            length(min = 4, max = 253),
            regex(
                pattern = form::RECORD_NAME
            )
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub includes: Vec<String>,
}

/// The DKIM keys of a sender (RFC 6376).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Dkim {
    /// The keys. A key keeps its name while selectors come and go under it.
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub keys: Vec<DkimKey>,
    /// What generated selectors begin with. Default `md`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 16),
        regex(pattern = form::PREFIX)
    )]
    pub selector_prefix: Option<String>,
}

/// One DKIM key. Exactly one of `generate`, `import`, `publicKey` and `delegate` says where it comes from.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.generate), has(self.import), has(self.publicKey), has(self.delegate)].filter(x, x).size() == 1")
        .message("each of dkim.keys[] needs exactly one of generate, import, publicKey, delegate"),
)]
pub struct DkimKey {
    /// A name for this key, of your choice; it is not the selector.
    #[schemars(length(min = 1, max = 63), regex(pattern = form::LABEL))]
    pub name: String,
    /// The operator makes the key and keeps its private half in a Secret of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generate: Option<GenerateKey>,
    /// A private key that you have already, in a Secret of this namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub import: Option<ImportKey>,
    /// A key that somebody else signs with: only its public half is known here, and published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub public_key: Option<PublicKey>,
    /// A key that a vendor signs with and keeps the record of: the selector becomes an alias (CNAME) of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delegate: Option<DelegateKey>,
}

/// A key that the operator makes.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.algorithm == 'RSA' || !has(self.bits)").message("bits is for algorithm RSA only; drop it"),
    validation = Rule::new("!has(self.bits) || self.bits in [2048, 3072, 4096]").message("bits must be 2048, 3072 or 4096 (RFC 8301 section 3.2)"),
)]
pub struct GenerateKey {
    /// The algorithm.
    pub algorithm: KeyAlgorithm,
    /// RSA modulus length in bits: 2048 (default), 3072 or 4096.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<i32>,
}

/// Signature algorithms of DKIM.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(transform = super::describe::values)]
pub enum KeyAlgorithm {
    /// rsa-sha256 (RFC 6376, RFC 8301). Every receiver verifies it.
    RSA,
    /// ed25519-sha256 (RFC 8463). Use it beside RSA, never alone.
    Ed25519,
}

/// A private key that exists already.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ImportKey {
    /// The selector it is used under.
    #[schemars(length(min = 1, max = 190), regex(pattern = form::SELECTOR))]
    pub selector: String,
    /// A Secret of the same namespace with the private key as PEM (PKCS#8 or PKCS#1).
    pub secret_ref: SecretKeyRef,
}

/// One entry of a Secret in the same namespace.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Name of the Secret.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Key in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
}

/// The public half of a key that somebody else signs with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PublicKey {
    /// The selector it is used under.
    #[schemars(length(min = 1, max = 190), regex(pattern = form::SELECTOR))]
    pub selector: String,
    /// The algorithm. Default RSA.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,
    /// Base64: SubjectPublicKeyInfo for RSA, the raw 32 bytes for Ed25519 (RFC 8463 section 4.2). What stands after
    /// `p=` in the record that the vendor gave you.
    #[schemars(length(max = 1200), regex(pattern = form::PUBLIC_KEY))]
    pub value: String,
}

/// A selector whose record a vendor keeps.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DelegateKey {
    /// The selector that the vendor signs with.
    #[schemars(length(min = 1, max = 190), regex(pattern = form::SELECTOR))]
    pub selector: String,
    /// The vendor's name that holds the key record.
    #[schemars(
        length(min = 4, max = 253),
        regex(pattern = form::RECORD_NAME)
    )]
    pub target: String,
}
