//! `DKIMSigner`: the output Secret that an MTA mounts.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::form;

/// One MTA: its output Secret holds the proven keys of every MailDomain of the namespace that it selects.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "maildomain.dev",
    version = "v1alpha1",
    kind = "DKIMSigner",
    doc = "One MTA and the Secret with the proven keys that it mounts.",
    plural = "dkimsigners",
    category = "mail",
    namespaced,
    status = "DKIMSignerStatus",
    derive = "PartialEq",
    printcolumn(name = "Secret", type_ = "string", json_path = ".spec.secretName"),
    printcolumn(name = "Keys", type_ = "integer", json_path = ".status.keys"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct DKIMSignerSpec {
    /// The MailDomains of this namespace whose keys this MTA signs with. An empty selector means all.
    pub mail_domain_selector: LabelSelector,
    /// Only keys of the sender with this name. Absent: of every sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = form::LABEL))]
    pub sender_name: Option<String>,
    /// The Secret to write, in this namespace. It must not exist yet: what the operator did not make is left alone.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = form::OBJECT)
    )]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.secretName is immutable; create another DKIMSigner and move the MTA to it"))]
    pub secret_name: String,
    /// The layouts in which the Secret holds the keys. Default `[Plain]`.
    #[serde(default = "default_formats")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub formats: Vec<SignerFormat>,
    /// Directory where the MTA mounts the Secret; OpenDKIM's table names files below it. Default `/etc/dkim`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 2, max = 200), regex(pattern = form::DIRECTORY))]
    pub mount_path: Option<String>,
}

fn default_formats() -> Vec<SignerFormat> {
    vec![SignerFormat::Plain]
}

/// Layouts of the output Secret.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(transform = super::describe::values)]
pub enum SignerFormat {
    /// `<domain>.<selector>.pem` for each key, and `keys.json` that lists them.
    Plain,
    /// `KeyTable` and `SigningTable` beside the key files. RSA only: OpenDKIM answers 451 to every message when an
    /// Ed25519 key is in its table.
    OpenDKIM,
}

/// What the output holds.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct DKIMSignerStatus {
    /// The generation of spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many keys the output Secret holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<i32>,
    /// `Ready`: the Secret is written and holds at least one key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
}
