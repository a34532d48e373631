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
mod cluster;
mod diagnosis;
#[path = "../support/dice.rs"]
mod dice;
mod hand;
mod hostile;
mod interleavings;
mod process;
#[path = "../support/provider_proxy.rs"]
mod provider_proxy;
mod relay;
mod servers;

/// One module for each publisher: all cases of the named lists.
macro_rules! suite {
    ($($publisher:ident: $($list:ident)+;)+) => {
        $(mod $publisher {
            $(crate::cases::$list!($publisher);)+
        })+

        /// The lists that run, by publisher.
        const SUITE: &[(&str, &[&str])] = &[$((stringify!($publisher), &[$(stringify!($list)),+])),+];
    };
}

suite! {
    // DNS UPDATE; the zones of the first two unsigned and signed.
    bind: every_publisher one_step shared_rrsets zones_are_told zones_of_servers credentials bad_networks rights compare_and_swap neighbours_are_safe;
    bind_signed: every_publisher one_step shared_rrsets zones_are_told zones_of_servers credentials bad_networks rights compare_and_swap neighbours_are_safe;
    knot: every_publisher one_step shared_rrsets zones_are_told zones_of_servers credentials bad_networks rights compare_and_swap neighbours_are_safe;
    knot_signed: every_publisher one_step shared_rrsets zones_are_told zones_of_servers credentials bad_networks rights compare_and_swap neighbours_are_safe;
    pdns: every_publisher one_step shared_rrsets zones_are_told zones_of_servers credentials bad_networks compare_and_swap neighbours_are_safe;
    // PowerDNS's HTTP API.
    pdns_api: every_publisher one_step shared_rrsets zones_are_told credentials bad_networks;
    pdns_extend: every_publisher one_step shared_rrsets zones_are_told credentials bad_networks neighbours_are_safe;
    // ExternalDNS, with its pdns provider.
    external_dns: every_publisher;
    memory: every_publisher one_step shared_rrsets zones_are_told compare_and_swap;
}

/// The lists that do not run for a publisher, and why. `docs/providers/contract.md` tells it.
const EXCUSED: &[(&str, &str, &str)] = &[
    ("pdns", "rights", "a key may change all of a zone or nothing"),
    ("pdns_api", "rights", "there is one key, for everything"),
    (
        "pdns_extend",
        "zones_of_servers",
        "the API lists what a zone holds; what the server would answer does not show",
    ),
    ("pdns_extend", "rights", "there is one key, for everything"),
    (
        "pdns_extend",
        "compare_and_swap",
        "single records are added and removed, and nothing is compared",
    ),
    (
        "pdns_api",
        "neighbours_are_safe",
        "the window of REPLACE: docs/providers/powerdns.md",
    ),
    ("memory", "neighbours_are_safe", "no server, no network"),
    (
        "pdns_api",
        "zones_of_servers",
        "the API lists what a zone holds; what the server would answer does not show",
    ),
    (
        "pdns_api",
        "compare_and_swap",
        "the API has none: docs/providers/powerdns.md tells the window",
    ),
    ("memory", "rights", "no server, no credentials"),
    ("memory", "credentials", "no server, no credentials"),
    ("memory", "bad_networks", "no server, no network"),
    ("memory", "zones_of_servers", "no server, no answers"),
    (
        "external_dns",
        "one_step",
        "ExternalDNS adds before it removes, so this takes two passes: an_alias_and_records_take_turns of tests/contract/diagnosis.rs",
    ),
    (
        "external_dns",
        "shared_rrsets",
        "ExternalDNS is told a state and compares nothing; a name with foreign values it leaves alone as a whole, which the operator names",
    ),
    (
        "external_dns",
        "zones_are_told",
        "ExternalDNS tells nobody which zones it serves; a filtered zone is named when nothing of it appears",
    ),
    (
        "external_dns",
        "zones_of_servers",
        "the order and the limits of changes are ExternalDNS's own",
    ),
    (
        "external_dns",
        "credentials",
        "the credentials are ExternalDNS's own",
    ),
    (
        "external_dns",
        "bad_networks",
        "the provider is called by ExternalDNS, which tries again by itself",
    ),
    ("external_dns", "rights", "the credentials are ExternalDNS's own"),
    (
        "external_dns",
        "compare_and_swap",
        "ExternalDNS is told a state and compares nothing",
    ),
    (
        "external_dns",
        "neighbours_are_safe",
        "ExternalDNS is told a state and compares nothing",
    ),
];

/// Nothing is left out without a word.
#[test]
fn every_list_runs_or_is_excused() {
    let lists: std::collections::BTreeSet<&str> = SUITE
        .iter()
        .flat_map(|(_, lists)| lists.iter().copied())
        .collect();
    for (publisher, runs) in SUITE {
        for list in &lists {
            let excuses = EXCUSED.iter().filter(|(p, l, _)| (p, l) == (publisher, list));
            let (runs, excuses) = (runs.contains(list), excuses.count());
            assert!(
                runs != (excuses == 1) && excuses <= 1,
                "{publisher} {list}: runs {runs}, excuses {excuses}"
            );
        }
    }
    assert!(EXCUSED.iter().all(|(_, list, _)| lists.contains(list)));
}
