//! End to end, on real parts only: a Kubernetes node, PowerDNS, Knot, unbound, ExternalDNS. See `harness`.
#![expect(
    clippy::panic,
    clippy::expect_used,
    reason = "a test helper that cannot go on fails the test"
)]

mod harness;
mod lifecycle;
