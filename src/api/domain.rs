//! `MailDomain`: what a user declares about one domain that sends mail.

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{MailDomainStatus, Sender, form};

/// One domain that sends mail: its hosts, its senders, its policies. The operator makes the keys, publishes every
/// record, asks the world whether it sees them, and writes the answer into status.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "maildomain.dev",
    version = "v1alpha1",
    kind = "MailDomain",
    doc = "One domain that sends mail: what is declared in spec, what the world sees of it in status.",
    plural = "maildomains",
    shortname = "mdom",
    category = "mail",
    namespaced,
    status = "MailDomainStatus",
    derive = "PartialEq",
    selectable = ".spec.domain",
    printcolumn(name = "Domain", type_ = "string", json_path = ".spec.domain"),
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
    printcolumn(name = "Records", type_ = "integer", json_path = ".status.summary.records"),
    printcolumn(name = "Verified", type_ = "integer", json_path = ".status.summary.verified"),
    printcolumn(name = "Findings", type_ = "integer", json_path = ".status.summary.findings"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Policy",
        type_ = "string",
        json_path = ".spec.dmarc.policy",
        priority = 1
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.senders) || self.senders.all(s, !has(s.hosts) || s.hosts.all(h, has(self.hosts) && self.hosts.exists(d, d.name == h)))")
        .message("spec.senders[].hosts must name entries of spec.hosts; declare the host there first"),
)]
pub struct MailDomainSpec {
    /// The domain in the From header (RFC 5322), also the default for the DKIM `d=` and the Return-Path. Lower-case
    /// A-label. Immutable: another domain is another MailDomain.
    #[schemars(length(min = 4, max = 253), regex(pattern = form::HOST))]
    #[x_kube(validation = Rule::new("self == oldSelf").message("spec.domain is immutable; create another MailDomain for another domain"))]
    pub domain: String,

    /// `true`: keep looking and reporting, write nothing at providers and make no key. Default `false`.
    #[serde(default)]
    pub suspend: bool,

    /// Where and how records are published. Without it nothing is published: see `publishing.providerRefs`.
    #[serde(default)]
    pub publishing: Publishing,

    /// The machines and names that belong to the domain's mail: web interface, tracking, mail hosts. A host outside
    /// `domain` is never written, always looked at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub hosts: Vec<Host>,

    /// Who receives mail for the domain (MX, RFC 5321 section 5.1). Absent: MX is looked at, never written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiving: Option<Receiving>,

    /// Every system that sends mail as this domain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub senders: Vec<Sender>,

    /// Sender Policy Framework (RFC 7208): how the records end. Their terms come from `senders`.
    #[serde(default)]
    pub spf: Spf,

    /// DMARC policy (RFC 9989). Absent: no record is published, the inherited policy is judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dmarc: Option<Dmarc>,

    /// Brand Indicators for Message Identification. Absent: nothing is published or judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bimi: Option<Bimi>,

    /// Records of abandoned standards, off by default: receivers ignore them or suffer from them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub legacy_records: Vec<LegacyRecord>,
}

/// Where and how records are published.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Publishing {
    /// Who writes the records. Default `Publish`.
    #[serde(default)]
    pub mode: Mode,

    /// The providers that may serve names of this domain; each name goes to the longest matching zone among them. Not
    /// used in the modes `Manual` and `Observe`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["kind".into(), "name".into()]))]
    pub provider_refs: Vec<ProviderRef>,

    /// Time to live of the records, in seconds. Default 3600. A foreign value in a shared TXT RRset keeps the RRset's own.
    #[serde(default = "default_ttl")]
    #[schemars(range(min = 30, max = 86400))]
    pub ttl_seconds: i32,

    /// What to do when another hand changes a record that this operator wrote. Default `Repair`.
    #[serde(default)]
    pub drift: Drift,

    /// What to do about values of our kind that stand there already and that this operator did not write. Default `Never`.
    #[serde(default)]
    pub adoption: Adoption,

    /// How long an MX record, a term of SPF or a mail host's records stay published after they are declared no more, beside
    /// what is declared: mail in flight may rely on them. `0s`: not at all, also for what stays already. Default `168h`, at
    /// most `8760h`. Deleting the MailDomain removes at once.
    #[serde(default = "default_retire_after")]
    #[schemars(length(min = 2, max = 16), regex(pattern = form::DURATION))]
    #[x_kube(validation = Rule::new("!self.matches('^([0-9]+h)?([0-9]+m)?([0-9]+s)?$') || self == '' || duration(self) <= duration('8760h')").message("spec.publishing.retireAfter is 8760h (a year) at most"))]
    pub retire_after: String,

    /// What happens to the records when the MailDomain is deleted. Default `Retain`. While nothing is written (modes
    /// `Manual` and `Observe`, `suspend`) it is `Retain`.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
}

impl Default for Publishing {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            provider_refs: Vec::new(),
            ttl_seconds: default_ttl(),
            drift: Drift::default(),
            adoption: Adoption::default(),
            retire_after: default_retire_after(),
            deletion_policy: DeletionPolicy::default(),
        }
    }
}

fn default_retire_after() -> String {
    "168h".to_owned()
}

fn default_ttl() -> i32 {
    3600
}

/// Who writes the records.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum Mode {
    /// This operator, at the providers of `providerRefs`.
    #[default]
    Publish,
    /// You. The keys are made here, `status.records` lists what to add, and DNS is looked at all the same.
    Manual,
    /// Nobody. No key is made either: what stands in DNS is judged.
    Observe,
}

/// What to do when another hand changes a record that this operator wrote.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum Drift {
    /// It is named and mended.
    #[default]
    Repair,
    /// It is named and left as it is.
    Report,
}

/// What to do about values of our kind that stand there already and that this operator did not write.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum Adoption {
    /// They stay somebody else's: one that satisfies is left alone, any other is a conflict.
    #[default]
    Never,
    /// Those that are exactly as declared become this operator's, to mend and to remove.
    Matching,
    /// The others are replaced as well. What stood there is remembered, and given back when our record is removed.
    Replace,
}

/// A provider to publish with.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ProviderRef {
    /// The kind of the provider object.
    pub kind: ProviderKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// The kinds of provider objects.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum ProviderKind {
    /// Cluster-scoped, set up by the platform; its `allow` list decides who may use it.
    ClusterDNSProvider,
}

/// What happens to the records when the MailDomain is deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum DeletionPolicy {
    /// Records stay; the ledger remembers them and a new MailDomain of the same domain takes them over.
    #[default]
    Retain,
    /// Records that this operator wrote are removed, DMARC first.
    Delete,
}

/// One host. Exactly one of `addresses` and `target` says where it is.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("(has(self.addresses) && size(self.addresses) > 0) != has(self.target)")
        .message("give spec.hosts[] either addresses or target, not both and not none"),
    validation = Rule::new("self.purpose != 'Mail' || !has(self.target)")
        .message("a host of purpose Mail needs addresses: MX, PTR and HELO names may not be aliases (RFC 2181 section 10.3)"),
)]
pub struct Host {
    /// Full name of the host, lower-case A-label.
    #[schemars(length(min = 4, max = 253), regex(pattern = form::HOST))]
    pub name: String,
    /// What the host is for; decides which records it gets and how it is judged.
    pub purpose: HostPurpose,
    /// IPv4 and IPv6 addresses as text, published as A and AAAA. Give the address the Internet sees, not a pod's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), inner(length(max = 45), regex(pattern = form::ADDRESS)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub addresses: Vec<String>,
    /// Another name that holds the addresses, published as CNAME.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 4, max = 253), regex(pattern = form::HOST))]
    pub target: Option<String>,
    /// Reverse names (PTR) of a host of purpose Mail. Default `Check`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reverse: Option<Reverse>,
}

/// What a host is for.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(transform = super::describe::values)]
pub enum HostPurpose {
    /// A web interface.
    Web,
    /// Links and open pixels in messages.
    MessageTracking,
    /// Tracking on web sites.
    SiteTracking,
    /// A machine that speaks SMTP.
    Mail,
}

/// What to do about the reverse names of a mail host.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum Reverse {
    /// Publish PTR; a provider must serve the reverse zone and allow it.
    Publish,
    /// Look whether forward and reverse agree; the owner of the address sets it.
    #[default]
    Check,
    /// Neither publish nor look.
    Ignore,
}

/// Who receives mail.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Receiving {
    /// The MX records.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".into()]))]
    pub mx: Vec<MailExchange>,
}

/// One MX record.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct MailExchange {
    /// A host with addresses of its own; never an alias or an address (RFC 2181 section 10.3).
    #[schemars(length(min = 4, max = 253), regex(pattern = form::HOST))]
    pub host: String,
    /// Lower is tried first.
    #[schemars(range(min = 0, max = 65535))]
    pub preference: i32,
}

/// How SPF records end.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Spf {
    /// What receivers should think of other senders (RFC 7208 section 5.1). Default `SoftFail`.
    #[serde(default)]
    pub all: SpfAll,
}

/// The last term of an SPF record.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum SpfAll {
    /// `~all`: judge by DMARC. With `-all` some receivers refuse before they look at DKIM (RFC 9989 section 7.1).
    #[default]
    SoftFail,
    /// `-all`: refuse.
    Fail,
    /// `?all`: no opinion.
    Neutral,
}

/// DMARC policy record (RFC 9989 section 4.7).
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.policy == 'None' || (has(self.aggregateReports) && size(self.aggregateReports) > 0)")
        .message("spec.dmarc.aggregateReports is needed with policy Quarantine or Reject: without reports nobody sees what is refused"),
)]
pub struct Dmarc {
    /// `p=`: what receivers shall do with mail that fails. Quarantine and Reject are held at `none` until every
    /// declared sender is proven.
    pub policy: DmarcPolicy,
    /// `sp=`: the policy for subdomains. Absent: as `policy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subdomain_policy: Option<DmarcPolicy>,
    /// `np=`: the policy for subdomains that do not exist. Absent: as `subdomainPolicy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub non_existent_policy: Option<DmarcPolicy>,
    /// `rua=`: where daily aggregate reports go (RFC 9990), as `mailto:` URIs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(
            length(min = 10, max = 320),
            regex(pattern = form::REPORTS)
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub aggregate_reports: Vec<String>,
    /// `ruf=`: where failure reports go (RFC 9991), as `mailto:` URIs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 8),
        inner(
            length(min = 10, max = 320),
            regex(pattern = form::REPORTS)
        )
    )]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub failure_reports: Vec<String>,
    /// `adkim=`: how exactly the DKIM domain must match. Default `Relaxed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dkim_alignment: Option<Alignment>,
    /// `aspf=`: how exactly the Return-Path domain must match. Default `Relaxed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spf_alignment: Option<Alignment>,
}

/// What receivers shall do with mail that fails DMARC.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[schemars(transform = super::describe::values)]
pub enum DmarcPolicy {
    /// Deliver and report.
    None,
    /// Treat as suspicious.
    Quarantine,
    /// Refuse.
    Reject,
}

/// How exactly domains must match (RFC 9989 section 4.4).
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum Alignment {
    /// The same organizational domain.
    Relaxed,
    /// The same name.
    Strict,
}

/// A BIMI assertion record.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Bimi {
    /// The record stands at `<selector>._bimi.<domain>`. Default `default`.
    #[serde(default = "default_bimi_selector")]
    #[schemars(length(min = 1, max = 63), regex(pattern = form::LABEL))]
    pub selector: String,
    /// `l=`: where the logo is (SVG Tiny PS, square).
    #[schemars(
        length(min = 10, max = 400),
        regex(pattern = form::HTTPS)
    )]
    pub logo: String,
    /// `a=`: where the mark certificate is. Without it the largest mailbox providers show no logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 10, max = 400),
        regex(pattern = form::HTTPS)
    )]
    pub certificate: Option<String>,
}

fn default_bimi_selector() -> String {
    "default".to_owned()
}

/// Records of abandoned standards.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
#[schemars(transform = super::describe::values)]
pub enum LegacyRecord {
    /// `spf2.0/pra` beside SPF (RFC 4406, Historic), built from the senders.
    SenderID,
    /// `_domainkey` with `o=-` (RFC 4870, Historic).
    DomainKeysPolicy,
}
