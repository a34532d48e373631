//! ExternalDNS, through one DNSEndpoint for each domain in the operator's namespace.
//!
//! The object says a state; ExternalDNS makes it so when it can, and reports nothing that could be relied on. So
//! what stands is read from the zone's own servers, and [`Publisher::explain`] reasons about what is missing.
//!
//! The object is written only when it differs, only when it carries the operator's label, and only in the version
//! that was looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::DynamicObject;

use super::diagnosis::{self, Symptoms};
use super::{
    Credentials, Explanation, Live, ProviderPlan, PublishError, Publisher, Survey, ask_cluster, confirm,
    endpoint, seen,
};
use crate::api::TxtFormat;
use crate::lead::Lead;
use crate::lookup::Answer;
use crate::lookup::looker::Looker;
use crate::name::Name;
use crate::record::{Key, RecordType, Values};

const FIELD_MANAGER: &str = "maildomain";
/// How often a write is tried again when somebody was faster.
const ATTEMPTS: usize = 3;

/// One ExternalDNS, or several that watch the operator's namespace.
pub struct ExternalDns {
    endpoints: Api<DynamicObject>,
    namespace: String,
    provider_name: String,
    looker: Arc<Looker>,
    txt_format: TxtFormat,
    sync_timeout: Duration,
    zones: Vec<Name>,
}

impl fmt::Debug for ExternalDns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExternalDns")
            .field("provider_name", &self.provider_name)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl ExternalDns {
    /// The publisher behind the provider object of this name; writes to `namespace`, the operator's own.
    pub fn new(
        client: kube::Client,
        namespace: &str,
        provider_name: &str,
        looker: Arc<Looker>,
        txt_format: TxtFormat,
        sync_timeout: Duration,
    ) -> Self {
        Self {
            endpoints: Api::namespaced_with(client, namespace, &endpoint::resource()),
            namespace: namespace.to_owned(),
            provider_name: provider_name.to_owned(),
            looker,
            txt_format,
            sync_timeout,
            zones: Vec::new(),
        }
    }

    /// The zones of the provider object, by which [`Publisher::explain`] tells a filtered zone.
    #[must_use]
    pub fn with_zones(mut self, zones: Vec<Name>) -> Self {
        self.zones = zones;
        self
    }

    /// The generation of the domain's DNSEndpoint, and the one that an ExternalDNS has listed, if any.
    pub async fn observed(&self, domain: &Name) -> Result<Option<(i64, Option<i64>)>, PublishError> {
        Ok(self.get(domain).await?.as_ref().map(generations))
    }

    async fn get(&self, domain: &Name) -> Result<Option<DynamicObject>, PublishError> {
        let name = endpoint::object_name(domain, &self.provider_name);
        ask_cluster(self.endpoints.get_opt(&name)).await
    }

    async fn write(&self, plan: &ProviderPlan, lead: &Lead) -> Result<(), PublishError> {
        let desired = endpoint::spec(&in_turn(plan), self.txt_format)?
            .map(|spec| endpoint::object(&plan.domain, &self.provider_name, &self.namespace, &spec));
        for _ in 0..ATTEMPTS {
            let existing = self.get(&plan.domain).await?;
            if let Some(foreign) = existing.as_ref().filter(|o| !endpoint::is_ours(o)) {
                let name = foreign.metadata.name.clone().unwrap_or_default();
                return Err(PublishError::EndpointTaken(name));
            }
            confirm(lead)?;
            let written = match (existing, &desired) {
                (None, None) => Ok(()),
                (None, Some(desired)) => self.create(desired).await,
                (Some(existing), None) => self.delete(existing).await,
                (Some(existing), Some(desired)) if endpoint::is_current(&existing, desired) => Ok(()),
                (Some(existing), Some(desired)) => self.update(existing, desired.clone()).await,
            };
            match written {
                // Somebody changed, made or removed it meanwhile: look again.
                Err(PublishError::Cluster(409)) => {}
                Err(PublishError::Cluster(404)) => return Err(PublishError::Endpoint),
                other => return other,
            }
        }
        Err(PublishError::Cluster(409))
    }

    /// Creates, where server-side apply would take over an object that appeared since the look.
    async fn create(&self, desired: &DynamicObject) -> Result<(), PublishError> {
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            ..PostParams::default()
        };
        ask_cluster(self.endpoints.create(&params, desired))
            .await
            .map(drop)
    }

    async fn update(&self, existing: DynamicObject, mut desired: DynamicObject) -> Result<(), PublishError> {
        let name = desired.metadata.name.clone().unwrap_or_default();
        desired.metadata.uid = existing.metadata.uid;
        desired.metadata.resource_version = existing.metadata.resource_version;
        let params = PatchParams::apply(FIELD_MANAGER).force();
        let patch = Patch::Apply(&desired);
        ask_cluster(self.endpoints.patch(&name, &params, &patch))
            .await
            .map(drop)
    }

    async fn delete(&self, existing: DynamicObject) -> Result<(), PublishError> {
        let name = existing.metadata.name.unwrap_or_default();
        let params = DeleteParams::default().preconditions(Preconditions {
            resource_version: existing.metadata.resource_version,
            uid: existing.metadata.uid,
        });
        match ask_cluster(self.endpoints.delete(&name, &params)).await {
            Ok(_) | Err(PublishError::Cluster(404)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn look(&self, zone: &Name, names: &BTreeSet<Name>) -> Result<Live, PublishError> {
        let keys = seen::questions(names);
        seen::gather(zone, &keys, &self.looker.direct(&keys).await)
    }

    /// The RRsets at these names that ExternalDNS owns, by its registry records. What could not be asked counts as
    /// owned: unknown accuses nobody.
    async fn owned(&self, live: &Live, names: &BTreeSet<&Name>) -> BTreeSet<Key> {
        let registry: BTreeMap<Key, &Key> = live
            .rrsets
            .keys()
            .filter(|key| names.contains(&key.name))
            .filter_map(|key| registry_key(key).map(|registry| (registry, key)))
            .collect();
        let direct = self.looker.direct(&registry.keys().cloned().collect()).await;
        registry
            .into_iter()
            .filter(|(registry, _)| !is_surely_unowned(direct.answers.get(registry)))
            .map(|(_, key)| key.clone())
            .collect()
    }

    async fn diagnose(&self, domain: &Name, missing: &[Key], live: &Live) -> Option<Explanation> {
        let object = self.get(domain).await.ok()??;
        let names = missing.iter().map(|key| &key.name).collect();
        let owned = self.owned(live, &names).await;
        let (generation, observed) = generations(&object);
        let expected = endpoint::expected(&object, self.txt_format);
        let (reason, key) = diagnosis::diagnose(&Symptoms {
            generation,
            observed,
            expected: &expected,
            missing,
            live,
            owned: &owned,
            zones: &self.zones,
        })?;
        Some(Explanation {
            reason: reason.as_str(),
            message: format!("{key}: {}", reason.text()),
        })
    }
}

impl Publisher for ExternalDns {
    fn read<'a>(
        &'a self,
        zone: &'a Name,
        names: &'a BTreeSet<Name>,
    ) -> BoxFuture<'a, Result<Live, PublishError>> {
        self.look(zone, names).boxed()
    }

    fn apply<'a>(
        &'a self,
        plan: &'a ProviderPlan,
        lead: &'a Lead,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        self.write(plan, lead).boxed()
    }

    /// Whether DNSEndpoints are served; whether an ExternalDNS serves the zone shows only in DNS.
    fn probe<'a>(&'a self, _zone: &'a Name) -> BoxFuture<'a, Result<(), PublishError>> {
        async move {
            let params = ListParams::default().limit(1);
            match ask_cluster(self.endpoints.list(&params)).await {
                Ok(_) => Ok(()),
                Err(PublishError::Cluster(404)) => Err(PublishError::Endpoint),
                Err(error) => Err(error),
            }
        }
        .boxed()
    }

    /// Credentials and zones are those of ExternalDNS, which tells neither.
    fn survey<'a>(&'a self, zones: &'a BTreeSet<Name>) -> BoxFuture<'a, Result<Survey, PublishError>> {
        async move {
            for zone in zones.iter().take(1) {
                self.probe(zone).await?;
            }
            Ok(Survey {
                credentials: Credentials::Foreign,
                ..Survey::default()
            })
        }
        .boxed()
    }

    fn patience(&self) -> Duration {
        self.sync_timeout
    }

    fn hands_over(&self) -> bool {
        true
    }

    fn explain<'a>(
        &'a self,
        domain: &'a Name,
        missing: &'a [Key],
        live: &'a Live,
    ) -> BoxFuture<'a, Option<Explanation>> {
        self.diagnose(domain, missing, live).boxed()
    }
}

/// The state without what waits for its turn: an alias where other records of ours are still there, and they where an alias
/// is. ExternalDNS adds before it removes, so the DNS service refuses the alias beside them (RFC 1034 section 3.6.2), and
/// with it, at each sync, everything that this ExternalDNS has to change. Once they are gone from DNS the plan removes
/// nothing there, and the next pass writes the rest.
fn in_turn(plan: &ProviderPlan) -> BTreeMap<Key, (u32, Values)> {
    let is_alias = |key: &Key| key.record_type == RecordType::Cname;
    let leaves = |key: &Key| {
        let mut gone = plan.changes.iter().filter(|change| change.deletes());
        gone.any(|change| change.key.name == key.name && is_alias(&change.key) != is_alias(key))
    };
    let in_turn = plan.state.iter().filter(|(key, _)| !leaves(key));
    in_turn.map(|(key, state)| (key.clone(), state.clone())).collect()
}

fn generations(object: &DynamicObject) -> (i64, Option<i64>) {
    (
        object.metadata.generation.unwrap_or_default(),
        object.data["status"]["observedGeneration"].as_i64(),
    )
}

/// Where the registry record of an RRset stands with `--txt-prefix=extdns-%{record_type}.`.
fn registry_key(key: &Key) -> Option<Key> {
    let label = format!("extdns-{}", key.record_type.as_str().to_ascii_lowercase());
    let name = key.name.child(&label).ok()?;
    Some(Key::new(name, RecordType::Txt))
}

/// Whether the servers that answered hold no ownership record there.
fn is_surely_unowned<S>(answers: Option<&Vec<(S, Answer)>>) -> bool {
    let answered: Vec<Vec<String>> = answers
        .into_iter()
        .flatten()
        .filter_map(|(_, answer)| answer.texts().ok())
        .collect();
    let owns = |text: &String| text.contains("heritage=external-dns");
    !answered.is_empty() && !answered.iter().flatten().any(owns)
}

#[cfg(test)]
mod tests;
