//! Each publisher with its server: zones of the same content, keys of the same names, the least rights that the
//! documentation tells to give.

mod bind;
mod extend;
mod external_dns;
mod knot;
mod power_dns;

use std::sync::Arc;

use maildomain::api::TsigAlgorithm;
use maildomain::publish::gate::traffic::Rate;
use maildomain::publish::gate::{Gate, Gates};
use maildomain::publish::memory::Memory;
use maildomain::publish::rfc2136::Rfc2136;
use maildomain::publish::{PublishError, Publisher};

use crate::bench::{Bench, ZONES, name};
use crate::hand::{Direct, Hand as _, Tools};
use crate::process::{Scratch, Server, eventually};
use crate::relay::{Relay, Speech};

/// Secrets in base64: of the operator, of somebody else, of somebody who may only read, and of nobody.
pub const OPERATOR: &str = "b3BlcmF0b3Itb3BlcmF0b3Itb3BlcmF0b3Itb3BlcmF0b3I=";
pub const FOREIGN: &str =
    "Zm9yZWlnbi1mb3JlaWduLWZvcmVpZ24tZm9yZWlnbi1mb3JlaWduLWZvcmVpZ24tZm9yZWlnbi1mb3JlaWdu";
pub const READER: &str = "cmVhZGVyLXJlYWRlci1yZWFkZXItcmVhZGVyLXJlYWRlcg==";
pub const REVOKED: &str = "cmV2b2tlZC1yZXZva2VkLXJldm9rZWQtcmV2b2tlZC1yZXY=";

pub use self::bind::{bind, bind_signed};
pub use self::external_dns::{Flags, Place, TYPES, before_bind, before_power_dns, external_dns};
pub use self::knot::{knot, knot_signed};
pub use self::power_dns::{API_KEY, pdns, pdns_api, pdns_api_watched, pdns_extend};

/// What a zone holds at the beginning. Of the zones below `corp.test` one is served by another server, one by the same.
fn zone_text(zone: &str) -> String {
    let mut text = format!(
        "$ORIGIN {zone}.\n$TTL 3600\n\
         @ SOA ns1.corp.test. hostmaster.corp.test. 1 3600 600 86400 60\n\
         @ NS ns1.corp.test.\n"
    );
    if zone == "corp.test" {
        text.push_str(
            "ns1 A 127.0.0.1\n\
             far NS ns.elsewhere.test.\n\
             near NS ns1\n\
             *.wild TXT \"from the wildcard\"\n\
             there.wild A 192.0.2.9\n\
             taken SRV 0 0 25 ns1\n",
        );
    }
    text
}

/// The publisher under test over DNS UPDATE.
fn update(port: u16, key: &str, secret: &str) -> Rfc2136 {
    let address = format!("127.0.0.1:{port}");
    Rfc2136::new(&address, key, TsigAlgorithm::HmacSha256, secret).unwrap()
}

/// A gate that nobody else uses.
fn gate() -> Gate {
    let rate = Rate {
        per_second: 1000,
        burst: 1000,
    };
    Gates::new(maildomain::controller::clock, Arc::default()).of("corp", rate, &[])
}

fn tools(port: u16) -> Tools {
    Tools {
        port,
        key: format!("hmac-sha512:foreign:{FOREIGN}"),
    }
}

/// The bench of a server that takes DNS UPDATE.
fn update_bench(scratch: Scratch, mut server: Server, port: u16) -> Bench {
    await_zones(&mut server, port);
    let relay = Relay::new(port, Speech::Dns);
    let through = |key: &str, secret: &str| update(relay.port, key, secret);
    let mut bench = Bench::new(Box::new(through("operator", OPERATOR)), Arc::new(tools(port)));
    bench.revoked = vec![
        Box::new(through("operator", REVOKED)),
        Box::new(through("nobody", OPERATOR)),
    ];
    bench.reader = Some(Box::new(through("reader", READER)));
    bench.gated = Some(Box::new(through("operator", OPERATOR).through(gate())));
    // SERVFAIL, and REFUSED, which servers with a rate limit say. That looks like a zone that is not served.
    bench.overload = vec![
        (2, PublishError::Unreachable),
        (5, PublishError::ZoneMissing(name("corp.test"))),
    ];
    bench.relay = Some(relay);
    bench.with_server(server, scratch)
}

fn await_zones(server: &mut Server, port: u16) {
    let listens = || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok();
    server.await_ready(listens);
    let hand = tools(port);
    for zone in ZONES {
        eventually(zone, || hand.see(zone, "SOA").is_some());
    }
}

/// A zone that is to be signed, is.
fn await_signatures(port: u16) {
    let hand = tools(port);
    for zone in ZONES {
        eventually(zone, || hand.see(zone, "DNSKEY").is_some());
    }
}

/// No server at all.
pub fn memory() -> Bench {
    let memory = Arc::new(Memory::new(ZONES.map(name)));
    Bench::new(Box::new(Shared(Arc::clone(&memory))), Arc::new(Direct(memory)))
}

/// The publisher and the hand look at the same memory.
#[derive(Debug)]
struct Shared(Arc<Memory>);

impl Publisher for Shared {
    fn read<'a>(
        &'a self,
        zone: &'a maildomain::name::Name,
        names: &'a std::collections::BTreeSet<maildomain::name::Name>,
    ) -> futures::future::BoxFuture<'a, Result<maildomain::publish::Live, maildomain::publish::PublishError>>
    {
        self.0.read(zone, names)
    }

    fn apply<'a>(
        &'a self,
        plan: &'a maildomain::publish::ProviderPlan,
        lead: &'a maildomain::lead::Lead,
    ) -> futures::future::BoxFuture<'a, Result<(), maildomain::publish::PublishError>> {
        self.0.apply(plan, lead)
    }

    fn probe<'a>(
        &'a self,
        zone: &'a maildomain::name::Name,
    ) -> futures::future::BoxFuture<'a, Result<(), maildomain::publish::PublishError>> {
        self.0.probe(zone)
    }

    fn patience(&self) -> std::time::Duration {
        self.0.patience()
    }
}
