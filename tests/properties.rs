//! What must hold for every input. `PROPTEST_CASES` says how many are tried (`make campaign`: a hundred times as many).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on shall say so"
)]

#[path = "support/output.rs"]
mod output;
#[path = "support/planned.rs"]
mod planned;
#[path = "support/zone.rs"]
#[expect(dead_code, reason = "the rest is for tests/cases.rs")]
mod zone;

use std::collections::BTreeMap;
use std::net::IpAddr;

use maildomain::api::{Allow, MailDomainSpec};
use maildomain::intent::{self, Adoption, Conduct, Drift, Mode};
use maildomain::name::{Name, Selector};
use maildomain::plan::{Marks, Row, Step, Written};
use maildomain::protocol::{self, Declaration, PolicyGate};
use maildomain::record::{Key, RecordType, Value, Values, quoted, unquoted};
use maildomain::tenancy::{Provider, Tenant, address_of, place};
use planned::{Scene, scenes};
use proptest::prelude::*;
use proptest::strategy::ValueTree;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_foreign_is_removed(scene in scenes()) {
        for change in scene.plan().changes() {
            let entry = scene.written.get(&change.key);
            let group = scene.group(&change.key);
            let plan = scene.plan();
            let kept = plan.written.get(&change.key).and_then(|entry| entry.before.as_ref());
            let before = change.before.iter().flat_map(|rrset| &rrset.records);
            let stays = |raw: &String| change.keep.contains(raw) || change.ours.iter().any(|v| v.to_string() == *raw);
            for (raw, value) in before.filter(|(raw, _)| !stays(raw)) {
                let ours = entry.is_some_and(|e| value.as_ref().is_some_and(|v| e.values.contains(v)));
                // What is settled is ours: another value of our kind in its place is drift.
                let drift = entry.is_some_and(|e| e.settled)
                    && group.as_ref().is_some_and(|g| value.as_ref().map_or(!g.is_shared(), |v| g.claims(v)));
                let same = value.as_ref().is_some_and(|v| change.ours.contains(v));
                // What adoption replaces is remembered, to be given back.
                let replaced = scene.conduct.adoption == Adoption::Replace && kept.is_some_and(|b| b.records.contains(raw));
                prop_assert!(ours || drift || same || replaced, "{} {raw} was not ours: {scene:#?}", change.key);
            }
        }
    }

    #[test]
    fn a_second_pass_is_empty(scene in scenes()) {
        let mut after = scene.clone().carried_out();
        // What is adopted with another TTL gets ours in the pass after.
        let adopted: Vec<Key> = adopted(&scene);
        prop_assert!(after.plan().changes().all(|change| adopted.contains(&change.key)), "{}{scene:#?}", after.plan());
        after = after.carried_out();
        prop_assert!(after.plan().is_empty(), "{}{scene:#?}", after.plan());
    }

    #[test]
    fn what_only_looks_never_changes_and_never_forgets(mut scene in scenes(), mode in 0..3) {
        match mode {
            0 => scene.conduct.suspend = true,
            1 => scene.conduct.mode = Mode::Manual,
            _ => scene.conduct.mode = Mode::Observe,
        }
        let plan = scene.plan();
        prop_assert!(plan.is_empty() && plan.providers.is_empty(), "{plan}{scene:#?}");
        prop_assert_eq!(&plan.written, &scene.written);
        let foreign = |row: &&Row| matches!(&row.step, Step::Adopt | Step::Write | Step::Replace | Step::Mend);
        prop_assert_eq!(plan.rows.iter().find(foreign), None);
    }

    #[test]
    fn matching_changes_nothing_that_never_would_not(mut scene in scenes()) {
        (scene.conduct.mode, scene.conduct.suspend) = (Mode::Publish, false);
        scene.conduct.adoption = Adoption::Never;
        let never = scene.plan();
        scene.conduct.adoption = Adoption::Matching;
        let matching = scene.plan();
        prop_assert!(never.changes().eq(matching.changes()), "{never}{matching}{scene:#?}");
        for key in adopted(&scene) {
            prop_assert!(matching.written[&key].settled && !scene.written.contains_key(&key));
        }
        // In the end at most the TTL of what was adopted is another.
        let records = |scene: Scene| scene.carried_out().carried_out().zone.records().collect::<Vec<_>>();
        let adopting = records(scene.clone());
        scene.conduct.adoption = Adoption::Never;
        prop_assert_eq!(adopting, records(scene));
    }

    #[test]
    fn what_is_replaced_is_given_back_as_it_was(mut scene in scenes()) {
        scene.conduct = Conduct { adoption: Adoption::Replace, ..scene.conduct };
        (scene.conduct.mode, scene.conduct.suspend) = (Mode::Publish, false);
        scene.written.clear();
        let taken_over: Vec<Key> = adopted(&scene);
        let zone = scene.zone.clone();
        let mut scene = scene.carried_out().carried_out();
        // Given up; keys drain meanwhile, and what retires does.
        scene.wanted.clear();
        scene.explains = true;
        for _ in 0..4 {
            scene = scene.carried_out();
            scene.now += 200 * 3600;
        }
        let not_taken = |zone: zone::Zone| {
            let mut rest = zone.rrsets;
            rest.retain(|(owner, kind), _| !taken_over.iter().any(|key| key.name.as_str() == owner && key.record_type.as_str() == kind));
            rest
        };
        prop_assert_eq!(not_taken(scene.zone.clone()), not_taken(zone), "{:#?}", scene);
        let unread = scene.live().into_iter().filter(|(_, live)| live.is_err()).map(|(home, _)| home).collect::<Vec<_>>();
        prop_assert!(scene.written.values().all(|entry| unread.contains(&entry.home)), "{:#?}", scene.written);
    }

    #[test]
    fn drift_that_is_reported_is_never_written_over(mut scene in scenes()) {
        scene.conduct.drift = Drift::Report;
        for change in scene.plan().changes() {
            let (Some(group), Some(entry)) = (scene.group(&change.key), scene.written.get(&change.key)) else { continue };
            let there = change.before.iter().flat_map(|rrset| rrset.records.values().flatten());
            let there: Values = there.filter(|value| group.claims(value)).cloned().collect();
            // An alias and other records of ours change places: nothing there was another hand's.
            let is_alias = change.key.record_type == RecordType::Cname;
            let mut at_name = scene.zone.rrsets.keys().filter(|(owner, _)| owner == change.key.name.as_str());
            let swaps = at_name.any(|(_, kind)| (kind == "CNAME") != is_alias);
            prop_assert!(swaps || !entry.settled || there == entry.values, "{} was changed: {scene:#?}", change.key);
        }
    }

    #[test]
    fn an_alias_never_stands_beside_other_records(scene in scenes()) {
        // Providers refuse the whole transaction otherwise.
        let after = scene.clone().carried_out();
        prop_assert_eq!(after.shared_with_an_alias(), Vec::<String>::new(), "{:#?}", scene);
    }

    #[test]
    fn what_takes_the_place_of_a_record_is_there_before_it_goes(scene in scenes()) {
        // Where an alias and another record change places and the new one cannot be written, the old one stays.
        let plan = scene.plan();
        for change in plan.changes().filter(|change| change.ours.is_empty()) {
            let at_name = plan.rows.iter().filter(|row| row.group.key.name == change.key.name);
            let is_alias = |t: RecordType| t == RecordType::Cname;
            for row in at_name.filter(|r| is_alias(r.group.key.record_type) != is_alias(change.key.record_type)) {
                prop_assert!(row.step.is_there(), "{} goes though {:?}: {scene:#?}", change.key, row.step);
            }
        }
    }

    #[test]
    fn what_could_not_be_read_is_not_changed_and_not_forgotten(scene in scenes()) {
        let plan = scene.plan();
        for (key, entry) in scene.written.iter().filter(|_| !scene.conduct.publishes()) {
            prop_assert_eq!(plan.written.get(key), Some(entry));
        }
        if !scene.conduct.publishes() {
            return Ok(());
        }
        for (home, _) in scene.live().iter().filter(|(_, read)| read.is_err()) {
            let changes = plan.providers.get(&home.provider).map(|part| part.changes.as_slice()).unwrap_or_default();
            prop_assert!(changes.iter().all(|change| change.zone != home.zone), "{plan}{scene:#?}");
            for (key, entry) in scene.written.iter().filter(|(_, entry)| entry.home == *home) {
                // Why it may go is noted, so that it is known when it can.
                let kept = plan.written.get(key).map(|kept| Written { marks: Marks::default(), ..kept.clone() });
                prop_assert_eq!(kept.as_ref(), Some(entry));
                let state = &plan.providers[&home.provider].state;
                prop_assert!(state.contains_key(key), "{key} would leave the state: {scene:#?}");
            }
        }
    }

    #[test]
    fn unexplained_removals_are_few(mut scene in scenes()) {
        scene.explains = false;
        let plan = scene.plan();
        let makes_room = |key: &Key| plan.rows.iter().any(|row| row.group.key.name == key.name);
        let is_key = |key: &Key| scene.written[key].purpose == protocol::Purpose::Dkim;
        let removals = plan.changes().filter(|c| c.ours.is_empty() && !is_key(&c.key) && !makes_room(&c.key));
        prop_assert!(removals.count() <= 3, "{plan}{scene:#?}");
        let rows = plan.held.iter().flat_map(|held| &held.values);
        for (key, values) in rows {
            // What is held stands there afterwards as before.
            let after = scene.clone().carried_out().zone.read(&[key.name.clone()].into());
            let there: Values = after.values(key).cloned().collect();
            let before = scene.zone.read(&[key.name.clone()].into());
            prop_assert!(before.values(key).filter(|v| values.contains(v)).all(|v| there.contains(v)), "{key}{scene:#?}");
        }
    }

    #[test]
    fn an_empty_zone_is_never_deleted_from(mut scene in scenes()) {
        scene.zone = zone::Zone::default();
        for change in scene.plan().changes() {
            prop_assert!(change.before.is_none() && !change.ours.is_empty(), "{change:?}");
        }
    }

    #[test]
    fn every_text_survives_presentation_format(octets in proptest::collection::vec(any::<u8>(), 0..700)) {
        let text: String = octets.iter().map(|octet| char::from(*octet)).collect();
        let shown = quoted(&text);
        prop_assert!(shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)), "{shown}");
        prop_assert_eq!(unquoted(&shown), Some(text.clone()));
        let value = Value::Txt(text);
        prop_assert_eq!(Value::parse(RecordType::Txt, &value.to_string()), Some(value));
    }

    #[test]
    fn whatever_parses_prints_what_parses_to_the_same(
        kind in proptest::sample::select(&RecordType::ALL[..]),
        text in "[ -~]{0,40}|[a-z0-9.:-]{1,30}|[0-9]{1,6} [a-z.]{1,20}|\\PC{0,20}",
    ) {
        if let Some(value) = Value::parse(kind, &text) {
            prop_assert_eq!(Value::parse(kind, &value.to_string()), Some(value));
        }
    }

    #[test]
    fn accepted_names_are_plain_and_survive(text in "\\PC{0,80}|[a-zA-Z0-9._-]{0,80}|([a-z0-9-]{1,70}\\.){0,6}[a-z]{0,3}") {
        drop(Name::parse_host(&text));
        drop(Selector::parse(&text));
        let Ok(name) = Name::parse(&text) else { return Ok(()) };
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        prop_assert!(name.as_str().bytes().all(plain), "{name}");
        prop_assert!(name.as_str().len() <= 253);
        prop_assert_eq!(Name::parse(name.as_str()), Ok(name.clone()));
        prop_assert_eq!(Name::parse(&name.with_dot()), Ok(name.clone()));
        prop_assert!(name.ancestors().all(|ancestor| name.is_within(&ancestor)));
    }

    #[test]
    fn reverse_names_lead_back(address in any::<IpAddr>()) {
        prop_assert_eq!(address_of(&Name::reverse(address)), Some(address));
    }

    #[test]
    fn a_name_is_placed_only_at_or_below_the_domain_or_in_the_reverse_tree(
        zones in proptest::collection::vec(proptest::sample::subsequence(NAMES, 0..4), 1..4),
        claims in proptest::sample::subsequence(NAMES, 0..3),
        (domain, name) in (proptest::sample::select(NAMES), proptest::sample::select(NAMES)),
        reverse in proptest::bool::ANY,
    ) {
        let providers: Vec<Provider> = zones.iter().map(|zones| open_provider(zones, reverse)).collect();
        let (domain, name) = (parsed(domain), parsed(name));
        let foreign_claims: Vec<Name> = claims.iter().map(|claim| parsed(claim)).collect();
        let tenant = Tenant { labels: &BTreeMap::new(), domain: &domain, foreign_claims: &foreign_claims };
        let Ok(home) = place(&tenant, &providers, &name) else { return Ok(()) };
        let is_reverse = address_of(&name).is_some();
        prop_assert!(is_reverse && reverse || name.is_within(&domain), "{name} for {domain}");
        prop_assert!(is_reverse || name.longest_match(&foreign_claims).is_none());
        let longest = name.longest_match(providers.iter().flat_map(|provider| &provider.zones));
        prop_assert_eq!(longest.map(Name::label_count), Some(home.zone.label_count()));
        prop_assert!(name.is_within(&home.zone));
    }

    #[test]
    fn no_declaration_reaches_beyond_its_domain(spec in specs()) {
        let Ok(intent) = intent::parse(&spec) else { return Ok(()) };
        let declaration = Declaration {
            intent: &intent,
            keys: &[],
            policy_gate: PolicyGate::Released,
            private_zone: false,
        };
        for wanted in protocol::desired(&declaration) {
            let name = &wanted.key.name;
            let declared = |address: IpAddr| intent.hosts.iter().any(|host| host.addresses().contains(&address));
            prop_assert!(intent.owns(name) || address_of(name).is_some_and(declared), "{name}");
        }
    }
}

/// What becomes ours without being written.
fn adopted(scene: &Scene) -> Vec<Key> {
    let plan = scene.plan();
    let rows = plan.rows.iter().filter(|row| row.step == Step::Adopt);
    rows.map(|row| row.group.key.clone()).collect()
}

const NAMES: &[&str] = &[
    "com",
    "example.com",
    "notexample.com",
    "news.example.com",
    "a.news.example.com",
    "_dmarc.example.com",
    "example.org",
    "113.0.203.in-addr.arpa",
    "4.113.0.203.in-addr.arpa",
];

fn parsed(text: &str) -> Name {
    Name::parse(text).unwrap()
}

/// Allows every domain to everybody, and every reverse name or none.
fn open_provider(zones: &[&str], reverse: bool) -> Provider {
    let ranges = if reverse { &["0.0.0.0/0"][..] } else { &[] };
    let allow: Allow = serde_json::from_value(serde_json::json!({
        "namespaceSelector": {}, "domains": ["*"], "reverse": ranges,
    }))
    .unwrap();
    Provider {
        name: zones.join(" "),
        zones: zones.iter().map(|zone| parsed(zone)).collect(),
        allow: vec![allow],
    }
}

/// What mostly fits a field, and now and then nonsense.
fn field(fitting: &'static str) -> impl Strategy<Value = String> {
    prop_oneof![1 => "\\PC{0,12}", 12 => fitting]
}

/// Declarations, many of which can be used.
fn specs() -> impl Strategy<Value = MailDomainSpec> {
    let name = || field("(mail|[a-z]{1,2})\\.(example|news\\.example|example)\\.(com|com|org)");
    let label = || field("[a-z]{1,3}");
    let purpose = proptest::sample::select(&["Web", "Mail"][..]);
    let host = (name(), field("203\\.0\\.113\\.[0-9]"), purpose).prop_map(|(name, address, purpose)| {
        serde_json::json!({"name": name, "addresses": [address], "purpose": purpose, "reverse": "Publish"})
    });
    let sender = (label(), name(), name()).prop_map(|(name, return_path, include)| {
        serde_json::json!({"name": name, "returnPath": {"domain": return_path}, "spf": {"includes": [include]}})
    });
    let lists = (
        proptest::collection::vec(host, 0..3),
        proptest::collection::vec(sender, 0..3),
    );
    let domain = field("example\\.(com|org)");
    (domain, lists, name(), label()).prop_map(|(domain, (hosts, senders), exchange, selector)| {
        serde_json::from_value(serde_json::json!({
            "domain": domain,
            "hosts": hosts,
            "senders": senders,
            "receiving": {"mx": [{"host": exchange, "preference": 10}]},
            "bimi": {"selector": selector, "logo": "https://example.com/b.svg"},
            "dmarc": {"policy": "None"},
            "legacyRecords": ["SenderID", "DomainKeysPolicy"],
        }))
        .unwrap()
    })
}

#[test]
fn the_scenes_are_worth_looking_at() {
    // A generator that makes only trivial scenes would prove nothing.
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for _ in 0..400 {
        let scene: Scene = scenes().new_tree(&mut runner).unwrap().current();
        for row in &scene.plan().rows {
            *seen.entry(planned::step_name(&row.step)).or_default() += 1;
        }
        let removals = scene
            .plan()
            .changes()
            .filter(|change| change.ours.is_empty())
            .count();
        *seen.entry("removal").or_default() += removals;
    }
    for step in [
        "InPlace",
        "Satisfied",
        "Write",
        "Mend",
        "Conflict",
        "Adopt",
        "Replace",
        "Withheld",
        "Unread",
        "removal",
    ] {
        assert!(
            seen.get(step).is_some_and(|count| *count > 20),
            "{step}: {seen:?}"
        );
    }
}
