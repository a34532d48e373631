//! Which records follow from a declaration.

use super::intent;
use crate::name::Name;
use crate::protocol::spf::{PROTOCOL, return_path_domains, terms};
use crate::protocol::{Declaration, PolicyGate};

/// The shape of the seed page: one MTA at one host, the From domain in the envelope.
const SEED: &str = "
domain: example.com
hosts:
- {name: mail.example.com, purpose: Mail, addresses: [203.0.113.4, '2001:db8::4']}
senders:
- {name: mta, hosts: [mail.example.com]}
";

fn check(yaml: &str, expected: &[&str]) {
    let intent = intent(yaml);
    let declaration = Declaration {
        intent: &intent,
        keys: &[],
        policy_gate: PolicyGate::Released,
        private_zone: false,
    };
    let lines: Vec<String> = (PROTOCOL.desired)(&declaration)
        .iter()
        .flat_map(|wanted| {
            wanted
                .values
                .iter()
                .map(move |value| format!("{} {value}", wanted.key.name))
        })
        .collect();
    assert_eq!(lines, expected);
}

#[test]
fn the_seed_page_gets_addresses_at_the_envelope_and_a_at_the_host() {
    check(
        SEED,
        &[
            "example.com \"v=spf1 ip4:203.0.113.4 ip6:2001:db8::4 ~all\"",
            "mail.example.com \"v=spf1 a -all\"",
        ],
    );
}

#[test]
fn senders_of_one_envelope_share_a_sorted_record() {
    check(
        "
domain: example.com
spf: {all: Fail}
hosts:
- {name: b.example.com, purpose: Mail, addresses: ['2001:db8::4', 203.0.113.20]}
- {name: mx.other.example, purpose: Mail, addresses: [198.51.100.1]}
senders:
- {name: own, hosts: [b.example.com], egress: [203.0.113.16/28, 203.0.113.24/29, 192.0.2.0/24]}
- {name: more, hosts: [mx.other.example], spf: {includes: [_spf.z.example, _spf.b.example]}}
- {name: again, spf: {includes: [_spf.b.example]}}
",
        &[
            "example.com \"v=spf1 ip4:192.0.2.0/24 ip4:198.51.100.1 ip4:203.0.113.16/28 ip6:2001:db8::4 \
             include:_spf.b.example include:_spf.z.example -all\"",
            "b.example.com \"v=spf1 a -all\"",
        ],
    );
}

#[test]
fn a_host_that_is_an_envelope_domain_gets_the_merged_record() {
    check(
        "
domain: example.com
hosts:
- {name: mail.example.com, purpose: Mail, addresses: [203.0.113.4]}
senders:
- {name: mta, hosts: [mail.example.com], returnPath: {domain: mail.example.com}}
",
        &["mail.example.com \"v=spf1 ip4:203.0.113.4 ~all\""],
    );
}

#[test]
fn aliases_vendors_and_names_of_others_get_none() {
    check(
        "
domain: example.com
senders:
- {name: vendor, returnPath: {vendor: true}}
- {name: alias, returnPath: {domain: bounce.example.com, target: x.vendor.example}}
- {name: elsewhere, returnPath: {domain: bounce.example.org}}
- {name: nothing, returnPath: {domain: n.example.com}}
",
        &["n.example.com \"v=spf1 ~all\""],
    );
}

#[test]
fn terms_serve_other_records_too() {
    let intent = intent(SEED);
    let domain = Name::parse("example.com").unwrap();
    assert_eq!(
        terms(&intent, &domain),
        ["ip4:203.0.113.4", "ip6:2001:db8::4", "~all"]
    );
    assert!(return_path_domains(&intent).contains(&domain));
}
