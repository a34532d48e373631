//! End to end, on real parts only: a Kubernetes node, PowerDNS, Knot, unbound, ExternalDNS. See `harness`.
#![expect(unreachable_pub, reason = "nothing is outside of a test binary")]
#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a test helper that cannot go on fails the test"
)]

mod chart;
mod check;
mod crashes;
mod deletion;
#[path = "../support/dice.rs"]
mod dice;
mod dns_update;
mod empty_world;
mod external_dns;
mod faults;
mod foreign;
mod garbage;
mod golden;
mod harness;
mod journey;
mod judged;
mod judges;
mod leaders;
mod lifecycle;
mod modes;
mod moving;
mod name_servers;
mod owners;
mod providers;
mod secrets;
mod troubles;
mod wars;
