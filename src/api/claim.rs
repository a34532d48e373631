//! `MailDomainClaim`: which namespace holds a domain.

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

/// Who holds a domain. The name of the object is the domain: creating it is the lock, and the API server decides races.
/// A claim covers every name below the domain but those that a deeper claim covers.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "maildomain.dev",
    version = "v1alpha1",
    kind = "MailDomainClaim",
    doc = "Which namespace holds a domain; the object's name is the domain.",
    plural = "maildomainclaims",
    derive = "PartialEq",
    printcolumn(name = "Namespace", type_ = "string", json_path = ".spec.holder.namespace"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
pub struct MailDomainClaimSpec {
    /// The namespace that may publish under the domain.
    pub holder: ClaimHolder,
}

/// A namespace, this very one and not a later one of the same name.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ClaimHolder {
    /// Name of the namespace.
    #[schemars(length(min = 1, max = 63))]
    pub namespace: String,
    /// Its UID. Absent in a claim that an administrator made for a namespace of any life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub uid: Option<String>,
}
