//! PowerDNS, through DNS UPDATE and through its HTTP API.

use std::sync::Arc;
use std::time::Duration;

use maildomain::publish::PublishError;
use maildomain::publish::power_dns::PowerDns;

use super::extend::EXTENDING;
use super::{FOREIGN, OPERATOR, await_zones, gate, tools, update_bench, zone_text};
use crate::bench::{Bench, ZONES};
use crate::process::{Scratch, Server, free_port, run};
use crate::provider_proxy::ProviderProxy;
use crate::relay::{Relay, Speech, Translation};

const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
pub const API_KEY: &str = "contract";

/// Through DNS UPDATE. A key may change all of a zone or nothing: there are no finer rights.
pub fn pdns() -> Bench {
    let (scratch, server, port, _) = start();
    let mut bench = update_bench(scratch, server, port);
    bench.reader = None;
    bench
}

/// Through the HTTP API.
pub fn pdns_api() -> Bench {
    through_api(None)
}

/// Through the HTTP API of a server that knows EXTEND and PRUNE.
pub fn pdns_extend() -> Bench {
    through_api(Some(EXTENDING))
}

fn through_api(translation: Option<Translation>) -> Bench {
    let (scratch, mut server, port, api_port) = start();
    await_zones(&mut server, port);
    let relay = Relay::translating(api_port, Speech::Http, translation);
    let url = format!("http://127.0.0.1:{}", relay.port);
    let api = |key: &str| PowerDns::new(&url, "localhost", key).unwrap();
    let mut bench = Bench::new(Box::new(api(API_KEY)), Arc::new(tools(port)));
    bench.revoked = vec![Box::new(api("revoked"))];
    bench.gated = Some(Box::new(api(API_KEY).through(gate())));
    let wait = PublishError::Throttled(Duration::from_secs(7));
    bench.overload = vec![(429, wait.clone()), (503, wait), (500, PublishError::Unreachable)];
    bench.relay = Some(relay);
    bench.with_server(server, scratch)
}

/// Through the HTTP API, with a proxy that sees every call; and where the API itself is.
pub fn pdns_api_watched() -> (Bench, ProviderProxy, String) {
    let (scratch, mut server, port, api_port) = start();
    await_zones(&mut server, port);
    let api = format!("127.0.0.1:{api_port}");
    let proxy = ProviderProxy::before(&api);
    let publisher = PowerDns::new(&proxy.url(), "localhost", API_KEY).unwrap();
    let bench = Bench::new(Box::new(publisher), Arc::new(tools(port)));
    (bench.with_server(server, scratch), proxy, api)
}

pub(super) fn start() -> (Scratch, Server, u16, u16) {
    let scratch = Scratch::new("pdns");
    let (port, api_port) = (free_port(), free_port());
    scratch.write(
        "pdns.conf",
        &format!(
            "launch=gsqlite3
gsqlite3-database=DIR/zones.db
gsqlite3-pragma-synchronous=0
gsqlite3-dnssec=yes
local-address=127.0.0.1
local-port={port}
socket-dir=DIR
daemon=no
guardian=no
receiver-threads=1
distributor-threads=1
cache-ttl=0
query-cache-ttl=0
negquery-cache-ttl=0
zone-cache-refresh-interval=0
dnsupdate=yes
allow-dnsupdate-from=127.0.0.0/8
api=yes
api-key={API_KEY}
webserver=yes
webserver-address=127.0.0.1
webserver-port={api_port}
webserver-allow-from=127.0.0.0/8
"
        ),
    );
    let database = scratch.path("zones.db");
    let schema = std::fs::read_to_string(SCHEMA)
        .unwrap_or_else(|_| panic!("{SCHEMA} is missing: install the Debian package pdns-backend-sqlite3"));
    run("sqlite3", &["sqlite3", database.to_str().unwrap()], &schema);
    let config = format!("--config-dir={}", scratch.path("").display());
    let util = |arguments: &[&str]| {
        let command: Vec<&str> = ["pdnsutil", &config]
            .into_iter()
            .chain(arguments.iter().copied())
            .collect();
        run("pdns-server", &command, "");
    };
    util(&["import-tsig-key", "operator", "hmac-sha256", OPERATOR]);
    util(&["import-tsig-key", "foreign", "hmac-sha512", FOREIGN]);
    for zone in ZONES {
        let file = format!("{zone}.zone");
        scratch.write(&file, &zone_text(zone));
        util(&["load-zone", zone, scratch.path(&file).to_str().unwrap()]);
        util(&["set-meta", zone, "TSIG-ALLOW-DNSUPDATE", "operator", "foreign"]);
    }
    let server = Server::start(&scratch, "pdns-server", &["pdns_server", &config]);
    (scratch, server, port, api_port)
}
