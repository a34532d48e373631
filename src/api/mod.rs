//! The resources of group `maildomain.dev`, version `v1alpha1`: types, schemas and admission rules, no behaviour.
//!
//! Everything an admission rule refuses is refused again in [`crate::intent`], for objects that are older than the
//! rule. Lists are bounded so that the cost of every CEL rule is bounded too.

#![expect(
    unreachable_pub,
    reason = "the derive of kube repeats each struct in a private scope"
)]

mod claim;
mod describe;
mod domain;
mod form;
mod ledger;
mod provider;
mod sender;
mod signer;
mod status;

pub use claim::*;
pub use domain::*;
pub use ledger::*;
pub use provider::*;
pub use sender::*;
pub use signer::*;
pub use status::*;

use kube::CustomResourceExt;

/// API group of every resource of this operator.
pub const GROUP: &str = "maildomain.dev";

/// The finalizer on MailDomain, the only one that this operator sets.
pub const FINALIZER: &str = "maildomain.dev/withdraw";

/// Annotation of a MailDomain by which its author lets go the removals that were held back; its value is the hash that the
/// condition Published names. Only ever read.
pub const ACKNOWLEDGE_DELETIONS: &str = "maildomain.dev/acknowledge-deletions";
/// Annotation on a MailDomain, read only: the owner text of somebody else that this MailDomain may replace, whole or by its
/// epoch. It says which one, so it is used up once that text is gone.
pub const TAKE_OVER: &str = "maildomain.dev/take-over";
/// Annotation on a MailDomain, read only: the provider whose copies are to be left alone after a move away from it, whatever
/// the world asks.
pub const LEAVE_COPIES: &str = "maildomain.dev/leave-copies";

/// Label with the operator's name on everything that it creates.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "maildomain");

/// Every definition with the file name below `crds/` that holds it, in the order of installation.
pub fn definitions() -> Vec<(
    &'static str,
    k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
)> {
    [
        ("maildomains.yaml", MailDomain::crd()),
        ("dkimsigners.yaml", DKIMSigner::crd()),
        ("clusterdnsproviders.yaml", ClusterDNSProvider::crd()),
        ("maildomainclaims.yaml", MailDomainClaim::crd()),
        ("recordledgers.yaml", RecordLedger::crd()),
    ]
    .map(|(file, definition)| (file, form::explain(describe::finish(definition))))
    .into()
}
