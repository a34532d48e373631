//! BIND, with the policy of docs/providers/rfc2136.md.

use super::{FOREIGN, OPERATOR, READER, await_signatures, update_bench, zone_text};
use crate::bench::{Bench, ZONES};
use crate::process::{Scratch, Server, free_port};

/// BIND as it is, with the zones as they are.
pub fn bind() -> Bench {
    start("").0
}

/// With a signed copy beside the zone that is written to: answers follow a change after a moment.
pub fn bind_signed() -> Bench {
    let (bench, port) = start("dnssec-policy default; inline-signing yes;");
    await_signatures(port);
    bench
}

pub(super) fn start(signing: &str) -> (Bench, u16) {
    let scratch = Scratch::new("bind");
    let port = free_port();
    let mut text = format!(
        "options {{
            directory \"DIR\";
            listen-on port {port} {{ 127.0.0.1; }};
            listen-on-v6 {{ none; }};
            pid-file none; lock-file none; session-keyfile none;
            recursion no; notify no; dnssec-validation no;
            allow-transfer {{ 127.0.0.1; }};
        }};
        controls {{ }};
        key operator {{ algorithm hmac-sha256; secret \"{OPERATOR}\"; }};
        key reader {{ algorithm hmac-sha256; secret \"{READER}\"; }};
        key foreign {{ algorithm hmac-sha512; secret \"{FOREIGN}\"; }};\n"
    );
    for zone in ZONES {
        scratch.write(&format!("{zone}.zone"), &zone_text(zone));
        text.push_str(&format!(
            "zone {zone} {{
                type primary;
                file \"DIR/{zone}.zone\";
                update-policy {{
                    grant operator zonesub A AAAA CNAME MX PTR TXT;
                    grant foreign zonesub ANY;
                }};
                {signing}
            }};\n"
        ));
    }
    scratch.write("named.conf", &text);
    let conf = scratch.path("named.conf");
    let command = ["named", "-g", "-n", "1", "-c", conf.to_str().unwrap()];
    let server = Server::start(&scratch, "bind9", &command);
    (update_bench(scratch, server, port), port)
}
