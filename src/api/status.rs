//! Status of a MailDomain: a view, computed whole and written once. It may be lost without harm.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::KeyAlgorithm;

/// What the operator did and what the world sees.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MailDomainStatus {
    /// The generation of spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Counts, for the printer columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<Summary>,
    /// The verdicts. Ready: an independent receiver would authenticate mail sent as declared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// One row for each RRset that is wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub records: Vec<RecordStatus>,
    /// One row for each zone at a provider whose names another one serves now, as long as copies stand there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub moving: Vec<MoveStatus>,
    /// One row for each key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub keys: Vec<KeyStatus>,
    /// What is wrong or worth knowing, worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub findings: Vec<FindingStatus>,
}

/// Counts of rows.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// RRsets that are wanted.
    pub records: i32,
    /// Of these, how many the provider holds.
    pub published: i32,
    /// Of these, how many every authoritative server answers.
    pub verified: i32,
    /// Findings of severity Fail and Warn.
    pub findings: i32,
}

/// What it is for, whether its provider holds it and every name server answers it, and if not, why.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RecordStatus {
    /// Owner name.
    pub name: String,
    /// Record type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// What the record is for: `SPF`, `DKIM`, `DMARC`, `MX`, `Host`...
    pub purpose: String,
    /// The provider object that serves the name; absent when none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// Whether the provider holds it.
    pub published: Truth,
    /// Whether every authoritative server answers exactly that.
    pub verified: Truth,
    /// What is wrong with the record, as one word of a closed list; absent when all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is wrong with the record, as a sentence, and the fix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The record as lines of a zone file, whole, where somebody else than this operator has to add or change it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paste: Option<String>,
}

/// A zone that records move away from, and how far that is.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct MoveStatus {
    /// The provider object that is left.
    pub provider: String,
    /// The zone there.
    pub zone: String,
    /// The provider objects that serve its names now.
    #[schemars(length(max = 8))]
    pub to: Vec<String>,
    /// Who serves the zone by the word of the zone above (RFC 1034 section 4.2.1).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub delegated_to: Vec<String>,
    /// The name servers of the zone at its new home, to which it is to be delegated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub name_servers: Vec<String>,
    /// Whether all of these answer as declared, whoever the world asks.
    pub proven: Truth,
    /// Records of others that stand at the old home and not at the new one, as far as names are known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub missing: Vec<String>,
    /// When the copies at the old home go; absent while the world may still ask there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remove_after: Option<Time>,
    /// One word, that of the condition `Moving`.
    pub reason: String,
    /// Where it stands and what to do.
    pub message: String,
}

/// Three answers: yes, no, not known.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(transform = super::describe::values)]
pub enum Truth {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nobody could be asked.
    Unknown,
}

impl Truth {
    /// As Kubernetes writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Where the key is, how far it is, and what it waits for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeyStatus {
    /// The sender it belongs to.
    pub sender: String,
    /// Its name in the sender's list.
    pub key: String,
    /// The selector.
    pub selector: String,
    /// The algorithm; absent where a vendor keeps the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<KeyAlgorithm>,
    /// `SHA256:` and the base64 digest of what stands in `p=` (decoded).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// How far the key is.
    pub stage: KeyStage,
    /// The Secret with the private half, where this operator holds it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// What the next stage waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting_for: Option<String>,
    /// When this stage was reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}

/// Stages of a key. Rotation adds the later ones.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(transform = super::describe::values)]
pub enum KeyStage {
    /// The key is being made or its Secret is missing.
    Pending,
    /// The key exists, its record is not proven yet.
    Published,
    /// Every authoritative server answered with the key, twice.
    Proven,
    /// Proven, and in the output Secret of the signers that select it.
    Active,
}

/// What a check says, and what to do about it.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct FindingStatus {
    /// The check, as the documentation lists it.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// The name it is about.
    pub name: String,
    /// What is wrong and what to do.
    pub message: String,
}

/// How bad a finding is. `Fail` makes the condition that the check gates False.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[schemars(transform = super::describe::values)]
pub enum Severity {
    /// A conforming receiver ignores the record or rejects mail.
    Fail,
    /// Nobody could be asked: the verdict before is kept for a while.
    Unknown,
    /// Works today but is fragile or below what large receivers want.
    Warn,
    /// Worth knowing.
    Info,
}
