//! `ClusterDNSProvider`: where records can be published, and who may.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{SecretKeyRef, form};

/// A DNS service that the platform lends to namespaces. Credentials are read from the operator's own namespace.
/// Nothing is allowed that `allow` does not list.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "maildomain.dev",
    version = "v1alpha1",
    kind = "ClusterDNSProvider",
    doc = "A DNS service that the platform lends to namespaces.",
    plural = "clusterdnsproviders",
    shortname = "cdnsp",
    category = "mail",
    status = "ClusterDNSProviderStatus",
    derive = "PartialEq",
    printcolumn(name = "Zones", type_ = "string", json_path = ".spec.zones"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(
        name = "Credentials",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='CredentialsValid')].reason"
    ),
    printcolumn(name = "Visible", type_ = "integer", json_path = ".status.zoneCount"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("[has(self.powerDNS), has(self.externalDNS), has(self.rfc2136)].filter(x, x).size() == 1")
        .message("spec needs exactly one of powerDNS, externalDNS, rfc2136"),
)]
pub struct ClusterDNSProviderSpec {
    /// The zones that this provider serves, reverse zones among them. A name goes to the longest match.
    #[schemars(
        length(min = 1, max = 256),
        inner(
            length(min = 2, max = 253),
            regex(
                pattern = form::ZONE
            )
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub zones: Vec<String>,
    /// Who may publish what. Absent or empty: nobody may publish anything.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub allow: Vec<Allow>,
    /// How many calls the operator makes in a second, in the long run; twice as many at once after a pause. A call is one
    /// HTTP request, or one exchange of DNS messages over TCP. Not for `externalDNS`. Default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub calls_per_second: Option<i32>,
    /// A PowerDNS authoritative server, through its HTTP API.
    #[serde(default, rename = "powerDNS", skip_serializing_if = "Option::is_none")]
    pub power_dns: Option<PowerDNS>,
    /// ExternalDNS, through DNSEndpoint objects in the operator's namespace.
    #[serde(default, rename = "externalDNS", skip_serializing_if = "Option::is_none")]
    pub external_dns: Option<ExternalDNS>,
    /// A primary server that takes DNS UPDATE (RFC 2136): BIND, Knot, PowerDNS and others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rfc2136: Option<Rfc2136>,
}

/// One permission: these namespaces may publish under these domains.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Allow {
    /// The namespaces, by label. An empty selector means every namespace.
    pub namespace_selector: LabelSelector,
    /// The domains: `example.com` is that domain and what lies below it as far as its MailDomain declares it;
    /// `*.example.com` is every MailDomain below example.com; `*` is every domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(
            length(min = 1, max = 253),
            regex(
                pattern = form::DOMAINS
            )
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub domains: Vec<String>,
    /// The addresses whose reverse names may be published, as CIDR ranges.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(max = 49), regex(pattern = form::RANGE)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub reverse: Vec<String>,
}

/// A PowerDNS authoritative server.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PowerDNS {
    /// Base URL of the API, without path: `https://pdns.corp:8081`.
    #[schemars(
        length(min = 8, max = 300),
        regex(pattern = form::API)
    )]
    pub url: String,
    /// The server's id in the API. Default `localhost`.
    #[serde(default, rename = "serverID", skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = form::SERVER_ID))]
    pub server_id: Option<String>,
    /// The API key, in a Secret of the operator's namespace.
    pub api_key_secret_ref: SecretKeyRef,
}

/// ExternalDNS in the same cluster. Run it with `--source=crd`, the flags are in the documentation.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ExternalDNS {
    /// How TXT values are written for the provider behind ExternalDNS. Default `Quoted`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub txt_format: Option<TxtFormat>,
    /// How long records may take to appear before the MailDomain says why they do not. Default `5m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 2, max = 16),
        regex(pattern = form::DURATION)
    )]
    pub sync_timeout: Option<String>,
}

/// How TXT values are written in a DNSEndpoint.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum TxtFormat {
    /// In quotes, split at 255 octets: PowerDNS, Route 53, Google, Cloudflare.
    #[default]
    Quoted,
    /// As it is: Azure, and no value over 255 octets.
    Raw,
}

/// A primary server that takes DNS UPDATE (RFC 2136) over TCP, signed with TSIG (RFC 8945).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Rfc2136 {
    /// The primary server of the zones, host and TCP port: `192.0.2.1:53`, `[2001:db8::53]:53` or `ns1.corp:53`. It is
    /// asked and told directly, so it must be the primary, not a secondary that forwards.
    #[schemars(length(min = 4, max = 260), regex(pattern = form::SERVER))]
    pub server: String,
    /// The key that signs every message (RFC 8945). Answers without its signature are not believed.
    pub tsig: Tsig,
}

/// A TSIG key (RFC 8945).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Tsig {
    /// The key's name, as the server has it (RFC 8945 section 4.2); a domain name, often of one label.
    #[schemars(length(min = 1, max = 253), regex(pattern = form::KEY_NAME))]
    pub key_name: String,
    /// The key's algorithm (RFC 8945 section 6). Default `HMACSHA256`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<TsigAlgorithm>,
    /// The key's secret in base64, as `tsig-keygen` and `keymgr` print it, in a Secret of the operator's namespace.
    pub secret_ref: SecretKeyRef,
}

/// How messages are signed (RFC 8945 section 6).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum TsigAlgorithm {
    /// hmac-sha256.
    #[default]
    #[serde(rename = "HMACSHA256")]
    HmacSha256,
    /// hmac-sha512.
    #[serde(rename = "HMACSHA512")]
    HmacSha512,
}

/// What the operator found when it used the provider.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ClusterDNSProviderStatus {
    /// The generation of spec that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`: the API answers, accepts the credentials and serves every zone of spec. `CredentialsValid`: the
    /// provider accepts the credentials; Unknown where that cannot be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Zones that the provider serves, sorted, the first 50 of them. PowerDNS tells all of them, a DNS UPDATE server
    /// those of spec that it serves, ExternalDNS none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub zones: Vec<String>,
    /// How many zones it serves, those that `zones` has no room for among them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub zone_count: Option<i32>,
    /// Zones of spec that it does not serve, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256), inner(length(max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub missing_zones: Vec<String>,
}
