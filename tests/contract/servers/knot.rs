//! Knot DNS, with the access rules of docs/providers/rfc2136.md.

use super::{FOREIGN, OPERATOR, READER, await_signatures, update_bench, zone_text};
use crate::bench::{Bench, ZONES};
use crate::process::{Scratch, Server, free_port};

/// Knot with the zones as they are.
pub fn knot() -> Bench {
    start("off").0
}

/// Knot that signs what it is told.
pub fn knot_signed() -> Bench {
    let (bench, port) = start("on");
    await_signatures(port);
    bench
}

fn start(signing: &str) -> (Bench, u16) {
    let scratch = Scratch::new("knot");
    let port = free_port();
    let mut text = format!(
        "server:
    rundir: \"DIR\"
    listen: 127.0.0.1@{port}
    udp-workers: 1
    tcp-workers: 1
    background-workers: 1
control:
    listen: \"DIR/knot.sock\"
log:
  - target: stderr
    any: info
database:
    storage: \"DIR/db\"
    journal-db-max-size: 100M
    kasp-db-max-size: 10M
    timer-db-max-size: 10M
key:
  - id: operator
    algorithm: hmac-sha256
    secret: {OPERATOR}
  - id: reader
    algorithm: hmac-sha256
    secret: {READER}
  - id: foreign
    algorithm: hmac-sha512
    secret: {FOREIGN}
acl:
  - id: operator-reads
    key: [operator, reader]
    action: query
  - id: operator-writes
    key: operator
    action: update
    update-type: [A, AAAA, CNAME, MX, PTR, TXT]
  - id: foreign
    key: foreign
    action: [query, update]
  - id: witness
    address: 127.0.0.1
    action: transfer
zone:\n"
    );
    for zone in ZONES {
        scratch.write(&format!("{zone}.zone"), &zone_text(zone));
        text.push_str(&format!(
            "  - domain: {zone}
    file: \"DIR/{zone}.zone\"
    acl: [operator-reads, operator-writes, foreign, witness]
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: changes
    dnssec-signing: {signing}\n"
        ));
    }
    std::fs::create_dir(scratch.path("db")).unwrap();
    scratch.write("knot.conf", &text);
    let conf = scratch.path("knot.conf");
    let server = Server::start(&scratch, "knot", &["knotd", "-c", conf.to_str().unwrap()]);
    (update_bench(scratch, server, port), port)
}
