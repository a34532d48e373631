//! Who may go on: the claim, the providers, the namespace, the ledger. (client)

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, ObjectMeta, PostParams, Preconditions};
use kube::runtime::reflector::ObjectRef;
use kube::{Resource, ResourceExt};

use super::book::Book;
use super::{Context, Error};
use crate::api::{ClaimHolder, ClusterDNSProvider, MailDomain, MailDomainClaim, MailDomainClaimSpec};
use crate::config::ClaimMode;
use crate::intent::{Intent, Mode};
use crate::name::Name;
use crate::tenancy::Provider;

/// Everything about the cluster that a pass needs.
#[derive(Debug)]
pub struct View {
    /// Labels of the namespace.
    pub labels: BTreeMap<String, String>,
    /// Who we are, as claims name holders.
    pub holder: ClaimHolder,
    /// The providers that the MailDomain refers to.
    pub providers: Vec<Arc<ClusterDNSProvider>>,
    /// The same as tenancy sees them.
    pub services: Vec<Provider>,
    /// Claims below the domain that another namespace holds.
    pub foreign_claims: Vec<Name>,
    /// The ledger.
    pub book: Book,
}

/// Why a MailDomain may not go on.
#[derive(Debug)]
pub struct Refused {
    /// One word of the closed list.
    pub reason: &'static str,
    /// The sentence.
    pub message: String,
}

/// Checks and gathers. `Err` is trouble with the API server, `Ok(Err)` an answer.
pub async fn admit(
    ctx: &Context,
    object: &MailDomain,
    intent: &Intent,
) -> Result<Result<View, Refused>, Error> {
    if let Some(older) = ctx.older_twin(object) {
        let message = format!(
            "MailDomain {older} of this namespace declares {} already; delete one of them",
            intent.domain
        );
        return Ok(Err(Refused {
            reason: "DuplicateDomain",
            message,
        }));
    }
    let namespace_name = object.namespace().ok_or(Error::Incomplete("namespace"))?;
    let namespaces: Api<Namespace> = Api::all(ctx.client.clone());
    let namespace = namespaces
        .get(&namespace_name)
        .await
        .map_err(Error::read("the namespace"))?;
    let holder = ClaimHolder {
        namespace: namespace_name,
        uid: namespace.uid(),
    };
    // To look at public DNS takes no claim.
    if intent.conduct.leaves_traces()
        && let Err(refused) = hold_claim(ctx, &intent.domain, &holder).await?
    {
        return Ok(Err(refused));
    }
    let mut providers = Vec::new();
    let needed = intent
        .providers
        .iter()
        .filter(|_| intent.conduct.mode == Mode::Publish);
    for name in needed {
        match ctx.providers.get(&ObjectRef::new(name)) {
            Some(provider) => providers.push(provider),
            None => {
                let message = format!(
                    "spec.publishing.providerRefs names the ClusterDNSProvider {name}, which does not exist"
                );
                return Ok(Err(Refused {
                    reason: "ProviderMissing",
                    message,
                }));
            }
        }
    }
    let services = providers
        .iter()
        .map(|p| Provider::new(&p.name_any(), &p.spec))
        .collect();
    let mut book = Book::read(ctx, &intent.domain).await?;
    book.take_over(&holder);
    let foreign_claims = ctx.foreign_claims(&intent.domain, &holder);
    let labels = namespace.labels().clone();
    Ok(Ok(View {
        labels,
        holder,
        providers,
        services,
        foreign_claims,
        book,
    }))
}

/// Whether a claim's holder is this namespace in this life; a claim without UID is for any life.
fn is_holder(claim: &MailDomainClaim, holder: &ClaimHolder) -> bool {
    let ClaimHolder { namespace, uid } = &claim.spec.holder;
    namespace == &holder.namespace && (uid.is_none() || uid == &holder.uid)
}

fn claims(ctx: &Context) -> Api<MailDomainClaim> {
    Api::all(ctx.client.clone())
}

/// Reads the claim from the API server, and makes it where that is our task. Creating it is the lock: of two, one gets
/// a conflict.
async fn hold_claim(
    ctx: &Context,
    domain: &Name,
    holder: &ClaimHolder,
) -> Result<Result<(), Refused>, Error> {
    for _ in 0..2 {
        if let Some(claim) = claims(ctx)
            .get_opt(domain.as_str())
            .await
            .map_err(Error::read("the claim"))?
        {
            if is_holder(&claim, holder) {
                return Ok(Ok(()));
            }
            let message = format!(
                "the claim of {domain} is held by another namespace; its holder or an administrator can give it up: kubectl delete maildomainclaim {domain}"
            );
            return Ok(Err(Refused {
                reason: "ClaimHeld",
                message,
            }));
        }
        if ctx.config.claims == ClaimMode::Manual {
            let message = format!(
                "claims are made by administrators here; ask for a MailDomainClaim named {domain} with this namespace as holder"
            );
            return Ok(Err(Refused {
                reason: "ClaimMissing",
                message,
            }));
        }
        let claim = MailDomainClaim {
            metadata: ObjectMeta {
                name: Some(domain.to_string()),
                ..ObjectMeta::default()
            },
            spec: MailDomainClaimSpec {
                holder: holder.clone(),
            },
        };
        match claims(ctx).create(&PostParams::default(), &claim).await {
            Ok(_) => return Ok(Ok(())),
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => return Err(Error::write("the claim")(error)),
        }
    }
    let message = format!("the claim of {domain} changes hands; it is tried again");
    Ok(Err(Refused {
        reason: "ClaimHeld",
        message,
    }))
}

/// Whether the claim is ours right now. Asked before every write to a provider.
pub async fn holds_claim(ctx: &Context, domain: &Name, holder: &ClaimHolder) -> Result<bool, Error> {
    let claim = claims(ctx)
        .get_opt(domain.as_str())
        .await
        .map_err(Error::read("the claim"))?;
    Ok(claim.is_some_and(|claim| is_holder(&claim, holder)))
}

/// Gives the claim up, if it is ours and of this life; a claim that an administrator made stays.
pub async fn release_claim(ctx: &Context, domain: &Name, holder: &ClaimHolder) -> Result<(), Error> {
    if ctx.config.claims == ClaimMode::Manual {
        return Ok(());
    }
    let Some(claim) = claims(ctx)
        .get_opt(domain.as_str())
        .await
        .map_err(Error::read("the claim"))?
    else {
        return Ok(());
    };
    if claim.spec.holder != *holder {
        return Ok(());
    }
    let preconditions = Preconditions {
        uid: claim.meta().uid.clone(),
        resource_version: None,
    };
    let params = DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    match claims(ctx).delete(domain.as_str(), &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(error) => Err(Error::write("the release of the claim")(error)),
    }
}

impl Context {
    /// An older MailDomain of the same namespace and domain.
    fn older_twin(&self, object: &MailDomain) -> Option<String> {
        let age = |o: &MailDomain| (o.creation_timestamp(), o.name_any());
        self.domains()
            .into_iter()
            .filter(|other| {
                other.namespace() == object.namespace() && other.spec.domain == object.spec.domain
            })
            .filter(|other| other.meta().deletion_timestamp.is_none() && other.uid() != object.uid())
            .find(|other| age(other) < age(object))
            .map(|other| other.name_any())
    }

    fn foreign_claims(&self, domain: &Name, holder: &ClaimHolder) -> Vec<Name> {
        let claims = self.claims.state();
        let foreign = claims.iter().filter(|claim| !is_holder(claim, holder));
        let names = foreign.filter_map(|claim| Name::parse(&claim.name_any()).ok());
        names
            .filter(|name| name != domain && name.is_within(domain))
            .collect()
    }
}
