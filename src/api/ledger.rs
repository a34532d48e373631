//! `RecordLedger`: what this operator wrote. Internal, in the operator's namespace, one for each domain.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ClaimHolder;

/// The operator's memory of one domain. It is written before the provider is called: an entry says what may stand
/// in DNS by our hand, so a value that is not here is foreign. Nobody else writes it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[kube(
    group = "maildomain.dev",
    version = "v1alpha1",
    kind = "RecordLedger",
    doc = "The operator's memory of what it wrote for one domain. Internal.",
    plural = "recordledgers",
    namespaced,
    derive = "PartialEq",
    derive = "Default",
    printcolumn(name = "Domain", type_ = "string", json_path = ".spec.domain"),
    printcolumn(name = "Holder", type_ = "string", json_path = ".spec.holder.namespace"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct RecordLedgerSpec {
    /// The domain.
    pub domain: String,
    /// Whose MailDomain the records were written for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub holder: Option<ClaimHolder>,
    /// The declaration that every removal so far was decided for. What a newer one gives up is marked in its entry in the
    /// same write that puts the newer one here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub planned: Option<PlannedFor>,
    /// What was written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub entries: Vec<LedgerEntry>,
    /// What was written at homes whose names live elsewhere now, see `docs/moving.md`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub leaving: Vec<LedgerDeparture>,
    /// The life of each key, by `<sender>/<key name>`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub keys: BTreeMap<String, KeyLife>,
    /// RRsets, as `name type`, that were missing in mode Manual, so that somebody was asked to add them. What stands there
    /// as declared when the mode turns to Publish was added for this operator, and becomes its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 512))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub asked: Vec<String>,
    /// Set when the MailDomain is gone and these records are to be removed without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdraw: Option<Withdrawal>,
}

/// One RRset that holds values of ours.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LedgerEntry {
    /// The provider object it was written through.
    pub provider: String,
    /// The zone.
    pub zone: String,
    /// Owner name.
    pub name: String,
    /// Record type.
    #[serde(rename = "type")]
    pub record_type: String,
    /// What the records are for.
    pub purpose: String,
    /// Our values, in presentation format. Values of the write before stay beside them until `settled`.
    pub values: Vec<String>,
    /// Whether a read showed our values there. Until then a value that is not listed is foreign; afterwards the RRset
    /// (or our part of it) is ours and another value is drift.
    #[serde(default)]
    pub settled: bool,
    /// For a key record that nobody declares any more: mail in flight may need it until then (RFC 6376 section 3.1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdraw_after: Option<Time>,
    /// What stood there before and was replaced (adoption `Replace`); given back when our values are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<LedgerBefore>,
    /// What was decided about the values, besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marks: Option<LedgerMarks>,
}

/// A home that is being left: a zone at a provider, whose names another one serves now.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LedgerDeparture {
    /// The provider object.
    #[schemars(length(max = 253))]
    pub provider: String,
    /// The zone.
    #[schemars(length(max = 253))]
    pub zone: String,
    /// When the move began.
    pub since: Time,
    /// The names of the servers that served the zone then.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub servers: Vec<String>,
    /// For how long caches may lead to these servers after the delegation has changed: the longest TTL of NS records and
    /// the longest of ours that were seen, together.
    #[serde(default)]
    #[schemars(range(min = 0))]
    pub linger_seconds: i64,
    /// Since when the world asks other servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_since: Option<Time>,
    /// What stands there by our hand.
    #[schemars(length(max = 512))]
    pub entries: Vec<LedgerEntry>,
}

/// A MailDomain as it was at one time.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct PlannedFor {
    /// `metadata.uid`.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// `metadata.generation`.
    #[schemars(range(min = 0))]
    pub generation: i64,
}

/// Decisions about the values of one entry.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LedgerMarks {
    /// Values that a generation or an acknowledgement has given up, in presentation format: they go when they can.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub released: Vec<String>,
    /// Values that nobody declares any more without a reason for it. They stay until it is acknowledged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub held: Vec<String>,
    /// What stays for a while after nobody declares it any more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    pub retiring: Vec<LedgerRetiring>,
    /// When changes of another hand were undone, at most three times within an hour, oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 3))]
    pub reverts: Vec<Time>,
    /// The generation that `reverts` defended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverts_generation: Option<i64>,
}

/// Something that stays for a while.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LedgerRetiring {
    /// A value in presentation format, or a term of an SPF record.
    #[schemars(length(max = 1024))]
    pub what: String,
    /// Until when.
    pub until: Time,
}

/// Records of somebody else that were replaced.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct LedgerBefore {
    /// Their TTL, in seconds (RFC 2181 section 8).
    #[schemars(range(min = 0, max = 2_147_483_647))]
    pub ttl_seconds: i32,
    /// Their contents, as the provider stored them.
    #[schemars(length(max = 64))]
    pub records: Vec<String>,
}

/// The life of a key.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct KeyLife {
    /// Input of the selector's hash; raised when a Secret was lost or a selector was found taken.
    pub counter: i32,
    /// Selectors that were ever used, never to be used for another key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub used_selectors: Vec<String>,
    /// The selector in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<String>,
    /// Whether the Secret of `selector` was seen to exist: from then on its absence means loss, not a crash.
    #[serde(default)]
    pub secret_seen: bool,
    /// Fingerprint of the public half, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<String>,
    /// Text of the record of the public half, once known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// When every authoritative server had answered with this key for the second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proven: Option<Time>,
    /// The proven key that this one is to replace. Its record stands and signers go on with it until this one is proven
    /// and in their outputs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predecessor: Option<Predecessor>,
}

/// A proven key on its way out.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Predecessor {
    /// Its selector.
    pub selector: String,
    /// Text of its record.
    pub record: String,
}

/// Removal without a MailDomain.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Withdrawal {
    /// When the removal was asked for.
    pub since: Time,
}
