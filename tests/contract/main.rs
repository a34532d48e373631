//! One contract for every [`maildomain::publish::Publisher`]: the same table of cases against each, with real name
//! servers where it speaks to one. Each test starts a server of its own on loopback and ends it.
//!
//! A case is a function of a [`bench::Bench`]: the publisher, and a hand that writes to the same server as somebody else
//! would. A new publisher is one line of `suite!` and a function that makes its bench; a new case is one line of a list
//! in `cases` and runs against all of them.
#![expect(unreachable_pub, reason = "nothing is outside of a test binary")]
#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a test helper that cannot go on fails the test"
)]

mod bench;
mod cases;
#[path = "../support/dice.rs"]
mod dice;
mod hand;
mod hostile;
mod interleavings;
mod process;
#[path = "../support/provider_proxy.rs"]
mod provider_proxy;
mod servers;

/// One module for each publisher: all cases of the named lists.
macro_rules! suite {
    ($($publisher:ident: $($list:ident)+;)+) => {
        $(mod $publisher {
            $(crate::cases::$list!($publisher);)+
        })+
    };
}

suite! {
    // DNS UPDATE; the zones of the first two unsigned and signed.
    bind: every_publisher zones_of_servers credentials rights compare_and_swap;
    bind_signed: every_publisher zones_of_servers credentials rights compare_and_swap;
    knot: every_publisher zones_of_servers credentials rights compare_and_swap;
    knot_signed: every_publisher zones_of_servers credentials rights compare_and_swap;
    pdns: every_publisher zones_of_servers credentials compare_and_swap;
    // PowerDNS's HTTP API.
    pdns_api: every_publisher credentials;
    memory: every_publisher compare_and_swap;
}
