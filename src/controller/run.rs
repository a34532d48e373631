//! Wiring: which watch wakes which pass. (client)

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use kube::api::Api;
use kube::runtime::controller::{Config as ControllerConfig, Controller};
use kube::runtime::events::{Recorder, Reporter};
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{Predicate, WatchStreamExt, predicates};
use kube::{Client, ResourceExt};
use tokio::sync::{OnceCell, Semaphore, watch as channel};

use super::{Context, KeyQueue, clock, domain, provider, signer, watch, withdraw};
use crate::api::{ClusterDNSProvider, DKIMSigner, MailDomain, MailDomainClaim, RecordLedger};
use crate::config::{Config, ConfigError};
use crate::lead::Lead;
use crate::lookup::looker::Looker;
use crate::metrics::Metrics;
use crate::publish::gate::Gates;

/// What the outside gives to the controllers.
pub struct Shell {
    /// The API server.
    pub client: Client,
    /// The operator's namespace.
    pub namespace: String,
    /// Namespaces to watch; empty: all.
    pub watch_namespaces: Vec<String>,
    /// The configuration.
    pub config: Config,
    /// Contents of `/etc/resolv.conf`.
    pub resolv_conf: String,
    /// Metrics.
    pub metrics: Arc<Metrics>,
    /// Whether this process leads.
    pub lead: Lead,
    /// Turns true when the process shall end.
    pub stop: channel::Receiver<bool>,
}

/// Runs every controller until `stop`. Returns when the passes under way have ended.
pub async fn run(shell: Shell) -> Result<(), ConfigError> {
    let Shell {
        client,
        namespace,
        watch_namespaces,
        config,
        resolv_conf,
        metrics,
        lead,
        stop,
    } = shell;
    let looker = Arc::new(Looker::new(config.looker(&resolv_conf)?));
    let private_zones = config.private_zones()?;
    let scopes: Vec<Option<String>> = if watch_namespaces.is_empty() {
        vec![None]
    } else {
        watch_namespaces.into_iter().map(Some).collect()
    };
    let domains: Vec<Controller<MailDomain>> = scopes
        .iter()
        .map(|scope| own_changes(scoped(&client, scope.as_deref()), &metrics))
        .collect();
    let signers: Vec<Controller<DKIMSigner>> = scopes
        .iter()
        .map(|scope| own_changes(scoped(&client, scope.as_deref()), &metrics))
        .collect();
    let gates = Arc::new(Gates::new(clock, Arc::clone(&metrics)));
    let of_providers = Arc::clone(&gates);
    let forget = move |there: &Store<ClusterDNSProvider>| {
        of_providers.keep(|name| there.get(&ObjectRef::new(name)).is_some());
    };
    let (providers, watch_providers) = mirror::<ClusterDNSProvider>(client.clone(), &metrics, forget);
    let (claims, watch_claims) = mirror::<MailDomainClaim>(client.clone(), &metrics, |_| ());
    let reporter = Reporter {
        controller: "maildomain.dev/operator".to_owned(),
        instance: None,
    };
    let ctx = Arc::new(Context {
        recorder: Recorder::new(client.clone(), reporter),
        key_permits: Semaphore::new(config.key_workers),
        domain_stores: domains.iter().map(Controller::store).collect(),
        signer_stores: signers.iter().map(Controller::store).collect(),
        serves_all: scopes.iter().all(Option::is_none),
        key_queue: KeyQueue::new(config.key_workers),
        lead,
        cluster: OnceCell::new(),
        turns: Mutex::default(),
        memories: Mutex::default(),
        outputs: Mutex::default(),
        failures: Mutex::default(),
        gates,
        surveyed: Mutex::default(),
        client: client.clone(),
        namespace,
        config,
        looker,
        metrics,
        providers,
        claims,
        private_zones,
    });
    let mut running: Vec<BoxFuture<'static, ()>> =
        vec![until(&stop, watch_providers), until(&stop, watch_claims)];
    for (controller, scope) in domains.into_iter().zip(&scopes) {
        running.push(run_domains(controller, scope.as_deref(), &ctx, &stop));
    }
    for (controller, scope) in signers.into_iter().zip(&scopes) {
        running.push(run_signers(controller, scope.as_deref(), &ctx, &stop));
    }
    running.push(run_providers(&ctx, &stop));
    running.push(run_ledgers(&ctx, &stop));
    // The caches of providers and claims come first: a pass without them would call a provider missing.
    futures::future::join_all(running).await;
    Ok(())
}

fn scoped<K>(client: &Client, namespace: Option<&str>) -> Api<K>
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope>,
    K::DynamicType: Default,
{
    match namespace {
        Some(namespace) => Api::namespaced(client.clone(), namespace),
        None => Api::all(client.clone()),
    }
}

/// A controller that wakes at changes of spec, labels and annotations: the status that it writes itself must not wake it.
/// Setting a deletionTimestamp raises the generation too.
fn own_changes<K>(api: Api<K>, metrics: &Arc<Metrics>) -> Controller<K>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static,
    K::DynamicType: Default + Eq + std::hash::Hash + Clone + std::fmt::Debug + Send + Sync + Unpin,
{
    let (reader, writer) = reflector::store();
    let changes = predicates::generation
        .combine(predicates::labels)
        .combine(predicates::annotations);
    let watch = watch::events(api, metrics)
        .reflect(writer)
        .applied_objects()
        .predicate_filter(changes, kube::runtime::PredicateConfig::default());
    Controller::for_stream(watch, reader)
}

/// A cache of a cluster-scoped kind, and what keeps it fresh; `changed` sees it after each event.
fn mirror<K>(
    client: Client,
    metrics: &Arc<Metrics>,
    changed: impl Fn(&Store<K>) + Send + 'static,
) -> (Store<K>, BoxFuture<'static, ()>)
where
    K: kube::Resource<Scope = k8s_openapi::ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned
        + Send
        + Sync
        + 'static,
    K::DynamicType: Default + Eq + std::hash::Hash + Clone + std::fmt::Debug + Send + Sync,
{
    let (reader, writer) = reflector::store();
    let there = reader.clone();
    let keep = reflector::reflector(writer, watch::events(Api::<K>::all(client), metrics))
        .for_each(move |_| {
            changed(&there);
            std::future::ready(())
        })
        .boxed();
    (reader, keep)
}

fn until(stop: &channel::Receiver<bool>, task: BoxFuture<'static, ()>) -> BoxFuture<'static, ()> {
    let stopped = stopped(stop);
    async move {
        tokio::select! { () = task => {}, () = stopped => {} }
    }
    .boxed()
}

/// Ends when the process shall end.
fn stopped(stop: &channel::Receiver<bool>) -> impl Future<Output = ()> + Send + Sync + 'static {
    let mut stop = stop.clone();
    async move {
        // An error means that nobody can say stop any more, which is the same.
        drop(stop.wait_for(|stop| *stop).await);
    }
}

fn run_domains(
    controller: Controller<MailDomain>,
    scope: Option<&str>,
    ctx: &Arc<Context>,
    stop: &channel::Receiver<bool>,
) -> BoxFuture<'static, ()> {
    let all = controller.store();
    let (of_provider, of_signer) = (all.clone(), all);
    let ctx = ctx.clone();
    let controller = controller
        .with_config(ControllerConfig::default().concurrency(ctx.config.concurrency))
        .watches_stream(
            watch::changed(
                Api::<ClusterDNSProvider>::all(ctx.client.clone()),
                &ctx.metrics,
                provider::verdicts,
            ),
            move |provider: ClusterDNSProvider| {
                let name = provider.name_any();
                let refers =
                    move |d: &Arc<MailDomain>| d.spec.publishing.provider_refs.iter().any(|r| r.name == name);
                of_provider
                    .state()
                    .into_iter()
                    .filter(refers)
                    .map(|d| ObjectRef::from_obj(&*d))
                    .collect::<Vec<_>>()
            },
        )
        .watches_stream(
            watch::touched(scoped::<DKIMSigner>(&ctx.client, scope), &ctx.metrics),
            move |signer: DKIMSigner| {
                let selected = move |d: &Arc<MailDomain>| {
                    d.namespace() == signer.namespace()
                        && crate::tenancy::selects(&signer.spec.mail_domain_selector, d.labels())
                };
                of_signer
                    .state()
                    .into_iter()
                    .filter(selected)
                    .map(|d| ObjectRef::from_obj(&*d))
                    .collect::<Vec<_>>()
            },
        )
        .graceful_shutdown_on(stopped(stop));
    async move {
        if let (Ok(()), Ok(())) = (
            ctx.providers.wait_until_ready().await,
            ctx.claims.wait_until_ready().await,
        ) {
            controller
                .run(domain::reconcile, domain::error_policy, ctx)
                .for_each(|_| std::future::ready(()))
                .await;
        }
    }
    .boxed()
}

fn run_signers(
    controller: Controller<DKIMSigner>,
    scope: Option<&str>,
    ctx: &Arc<Context>,
    stop: &channel::Receiver<bool>,
) -> BoxFuture<'static, ()> {
    let all = controller.store();
    let config = ControllerConfig::default()
        .concurrency(2)
        .debounce(Duration::from_millis(500));
    controller
        .with_config(config)
        .watches_stream(
            watch::touched(scoped::<MailDomain>(&ctx.client, scope), &ctx.metrics),
            move |domain: MailDomain| {
                let selects = move |s: &Arc<DKIMSigner>| {
                    s.namespace() == domain.namespace()
                        && crate::tenancy::selects(&s.spec.mail_domain_selector, domain.labels())
                };
                all.state()
                    .into_iter()
                    .filter(selects)
                    .map(|s| ObjectRef::from_obj(&*s))
                    .collect::<Vec<_>>()
            },
        )
        .graceful_shutdown_on(stopped(stop))
        .run(signer::reconcile, signer::error_policy, ctx.clone())
        .for_each(|_| std::future::ready(()))
        .boxed()
}

fn run_providers(ctx: &Arc<Context>, stop: &channel::Receiver<bool>) -> BoxFuture<'static, ()> {
    own_changes(Api::<ClusterDNSProvider>::all(ctx.client.clone()), &ctx.metrics)
        .with_config(ControllerConfig::default().concurrency(4))
        .graceful_shutdown_on(stopped(stop))
        .run(provider::reconcile, provider::error_policy, ctx.clone())
        .for_each(|_| std::future::ready(()))
        .boxed()
}

fn run_ledgers(ctx: &Arc<Context>, stop: &channel::Receiver<bool>) -> BoxFuture<'static, ()> {
    let ledgers: Api<RecordLedger> = Api::namespaced(ctx.client.clone(), &ctx.namespace);
    let ctx = ctx.clone();
    let (all, writer) = reflector::store();
    let changes = watch::events(ledgers, &ctx.metrics)
        .reflect(writer)
        .applied_objects();
    let of_provider = all.clone();
    let controller = Controller::for_stream(changes, all)
        .with_config(ControllerConfig::default().concurrency(4))
        // What waits for its provider to come back goes on when that does.
        .watches_stream(
            watch::changed(
                Api::<ClusterDNSProvider>::all(ctx.client.clone()),
                &ctx.metrics,
                provider::verdicts,
            ),
            move |provider: ClusterDNSProvider| {
                let name = provider.name_any();
                let waits = move |ledger: &Arc<RecordLedger>| {
                    let entries = &ledger.spec.entries;
                    ledger.spec.withdraw.is_some() && entries.iter().any(|e| e.provider == name)
                };
                of_provider
                    .state()
                    .into_iter()
                    .filter(waits)
                    .map(|l| ObjectRef::from_obj(&*l))
                    .collect::<Vec<_>>()
            },
        )
        .graceful_shutdown_on(stopped(stop));
    async move {
        if ctx.providers.wait_until_ready().await.is_ok() {
            controller
                .run(withdraw::reconcile, withdraw::error_policy, ctx)
                .for_each(|_| std::future::ready(()))
                .await;
        }
    }
    .boxed()
}
