//! The real ExternalDNS between the publisher and the servers: our DNSEndpoint in a real API server, its pdns provider at our
//! PowerDNS, or its rfc2136 provider at our BIND.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::{BoxFuture, FutureExt as _};
use maildomain::api::TxtFormat;
use maildomain::lead::Lead;
use maildomain::lookup::looker::{Looker, LookerConfig};
use maildomain::name::Name;
use maildomain::publish::external_dns::ExternalDns;
use maildomain::publish::{Explanation, Live, ProviderPlan, PublishError, Publisher};
use maildomain::record::{Key, Values};

use super::power_dns::{API_KEY, start};
use super::{OPERATOR, bind, update_bench};
use crate::bench::{Bench, PROVIDER, ZONES, name, zone_of};
use crate::cluster::{cluster, tool};
use crate::process::{Scratch, Server, eventually};

/// The types that the operator publishes.
pub const TYPES: [&str; 6] = ["A", "AAAA", "CNAME", "MX", "PTR", "TXT"];
/// How long ExternalDNS, which looks every second, may take on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(100);

/// Where an ExternalDNS reads and writes.
#[derive(Debug, Clone)]
pub struct Place {
    pub namespace: String,
    backend: Vec<String>,
}

/// How an ExternalDNS is run, where it is not as docs/providers/externaldns.md says.
#[derive(Debug, Clone, Copy)]
pub struct Flags<'a> {
    pub zones: &'a [&'a str],
    pub types: &'a [&'a str],
    pub registry: &'a str,
    pub policy: &'a str,
    /// The key of the PowerDNS API.
    pub key: &'a str,
}

impl Default for Flags<'_> {
    fn default() -> Self {
        Self {
            zones: &ZONES,
            types: &TYPES,
            registry: "txt",
            policy: "sync",
            key: API_KEY,
        }
    }
}

/// An ExternalDNS at work. It ends when this is dropped.
#[derive(Debug)]
pub struct Running {
    _server: Server,
    scratch: Scratch,
}

impl Running {
    /// Waits until its log has said this so many times more.
    #[track_caller]
    pub fn says(&self, text: &str, times: usize) {
        let count = || {
            let said = std::fs::read_to_string(self.scratch.path("log")).unwrap_or_default();
            said.matches(text).count()
        };
        let wanted = count() + times;
        eventually(text, || count() >= wanted);
    }
}

impl Place {
    pub fn run(&self, flags: Flags<'_>) -> Running {
        let scratch = Scratch::new("external-dns");
        let program = tool("externaldns", "external-dns");
        let mut command = vec![
            program.to_str().unwrap().to_owned(),
            format!("--kubeconfig={}", cluster().kubeconfig),
            format!("--namespace={}", self.namespace),
            "--source=crd".to_owned(),
            "--label-filter=app.kubernetes.io/managed-by=maildomain".to_owned(),
            "--kube-api-qps=100".to_owned(),
            "--kube-api-burst=200".to_owned(),
            "--txt-owner-id=contract".to_owned(),
            "--txt-prefix=extdns-%{record_type}.".to_owned(),
            "--interval=1s".to_owned(),
            "--metrics-address=127.0.0.1:0".to_owned(),
            format!("--registry={}", flags.registry),
            format!("--policy={}", flags.policy),
        ];
        command.extend(flags.zones.iter().map(|zone| format!("--domain-filter={zone}")));
        let types = flags.types.iter();
        command.extend(types.map(|kind| format!("--managed-record-types={kind}")));
        command.extend(self.backend.iter().map(|flag| flag.replace("API_KEY", flags.key)));
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let server = Server::start(&scratch, "none: run tests/world/build", &command);
        Running {
            _server: server,
            scratch,
        }
    }
}

/// PowerDNS, an ExternalDNS as documented, and calls that wait until it has done what it was told.
pub fn external_dns() -> Bench {
    let (bench, place) = before_power_dns();
    let running = place.run(Flags::default());
    bench.wrap(|inner| {
        Box::new(Carried {
            inner,
            _running: running,
        })
    })
}

/// PowerDNS, and nobody who reads what is written to the cluster.
pub fn before_power_dns() -> (Bench, Place) {
    let (scratch, server, port, api_port) = start();
    let place = Place {
        namespace: cluster().namespace(),
        backend: vec![
            "--provider=pdns".to_owned(),
            format!("--pdns-server=http://127.0.0.1:{api_port}"),
            "--pdns-server-id=localhost".to_owned(),
            "--pdns-api-key=API_KEY".to_owned(),
        ],
    };
    let bench = through(
        update_bench(scratch, server, port),
        &place,
        port,
        TxtFormat::Quoted,
    );
    (bench, place)
}

/// The same with BIND.
pub fn before_bind() -> (Bench, Place) {
    let (bench, port) = bind::start("");
    let mut backend = vec![
        "--provider=rfc2136".to_owned(),
        "--rfc2136-host=127.0.0.1".to_owned(),
        format!("--rfc2136-port={port}"),
        "--rfc2136-tsig-keyname=operator".to_owned(),
        format!("--rfc2136-tsig-secret={OPERATOR}"),
        "--rfc2136-tsig-secret-alg=hmac-sha256".to_owned(),
        "--rfc2136-axfr".to_owned(),
    ];
    backend.extend(ZONES.iter().map(|zone| format!("--rfc2136-zone={zone}")));
    let place = Place {
        namespace: cluster().namespace(),
        backend,
    };
    (through(bench, &place, port, TxtFormat::Raw), place)
}

/// The publisher of ExternalDNS instead of the bench's own.
fn through(bench: Bench, place: &Place, port: u16, format: TxtFormat) -> Bench {
    let mut bench = bench.wrap(|_| {
        let home: IpAddr = [127, 0, 0, 1].into();
        let looker = Looker::new(LookerConfig {
            zone_servers: ZONES.iter().map(|zone| (name(zone), vec![home])).collect(),
            port,
            ..LookerConfig::default()
        });
        let (client, looker) = (cluster().client(), Arc::new(looker));
        let publisher = ExternalDns::new(client, &place.namespace, PROVIDER, looker, format, DEADLINE);
        Box::new(publisher.with_zones(ZONES.map(name).into()))
    });
    // Those of the bench that was.
    bench.revoked.clear();
    bench.reader = None;
    bench.gated = None;
    bench.relay = None;
    bench
}

/// The publisher; what it says it has written, ExternalDNS has carried out.
#[derive(Debug)]
struct Carried {
    inner: Box<dyn Publisher>,
    _running: Running,
}

impl Carried {
    /// What is not as the plan says.
    async fn lacks(&self, plan: &ProviderPlan) -> Option<Key> {
        let gone = plan.changes.iter().filter(|change| change.deletes());
        let wanted: BTreeMap<&Key, Option<&(u32, Values)>> = gone
            .map(|change| (&change.key, None))
            .chain(plan.state.iter().map(|(key, state)| (key, Some(state))))
            .collect();
        let mut names: BTreeMap<Name, BTreeSet<Name>> = BTreeMap::new();
        for key in wanted.keys() {
            names
                .entry(zone_of(&key.name))
                .or_default()
                .insert(key.name.clone());
        }
        let mut live = Live::default();
        for (zone, names) in &names {
            live.rrsets
                .extend(self.inner.read(zone, names).await.unwrap().rrsets);
        }
        let differs = |(key, state): &(&Key, Option<&(u32, Values)>)| {
            let there = live.rrsets.get(*key);
            match state {
                None => there.is_some(),
                Some((ttl, values)) => {
                    !live.values(key).eq(values) || there.is_none_or(|rrset| rrset.ttl != *ttl)
                }
            }
        };
        wanted.into_iter().find(differs).map(|(key, _)| key.clone())
    }
}

impl Publisher for Carried {
    fn read<'a>(
        &'a self,
        zone: &'a Name,
        names: &'a BTreeSet<Name>,
    ) -> BoxFuture<'a, Result<Live, PublishError>> {
        self.inner.read(zone, names)
    }

    fn apply<'a>(
        &'a self,
        plan: &'a ProviderPlan,
        lead: &'a Lead,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        async move {
            self.inner.apply(plan, lead).await?;
            let began = Instant::now();
            while let Some(key) = self.lacks(plan).await {
                assert!(began.elapsed() < DEADLINE, "ExternalDNS does not write {key}");
                tokio::time::sleep(STEP).await;
            }
            Ok(())
        }
        .boxed()
    }

    fn probe<'a>(&'a self, zone: &'a Name) -> BoxFuture<'a, Result<(), PublishError>> {
        self.inner.probe(zone)
    }

    fn patience(&self) -> Duration {
        self.inner.patience()
    }

    fn hands_over(&self) -> bool {
        self.inner.hands_over()
    }

    fn explain<'a>(
        &'a self,
        domain: &'a Name,
        missing: &'a [Key],
        live: &'a Live,
    ) -> BoxFuture<'a, Option<Explanation>> {
        self.inner.explain(domain, missing, live)
    }
}
