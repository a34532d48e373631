//! Encoders and decoders of the PowerDNS API, as tables.

use serde_json::{Value as Json, json};

use super::*;
use crate::publish::LiveRrset;

fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn txt(text: &str) -> Value {
    Value::Txt(text.to_owned())
}

fn change(zone: &str, owner: &str, record_type: RecordType, ours: &[Value]) -> Change {
    Change {
        zone: name(zone),
        key: Key::new(name(owner), record_type),
        before: None,
        ttl: 3600,
        keep: BTreeSet::new(),
        ours: ours.iter().cloned().collect(),
    }
}

#[test]
fn contents_mean_what_the_zone_answers() {
    let long = format!("\"{}\" \"{}\"", "a".repeat(255), "b");
    for (record_type, content, value) in [
        (
            RecordType::A,
            "192.0.2.1",
            Some(Value::A("192.0.2.1".parse().unwrap())),
        ),
        (RecordType::A, "192.0.2", None),
        (
            RecordType::Aaaa,
            "2001:db8::4",
            Some(Value::Aaaa("2001:db8::4".parse().unwrap())),
        ),
        (
            RecordType::Cname,
            "x.example.net.",
            Some(Value::Cname(name("x.example.net"))),
        ),
        (RecordType::Cname, "x.example.net", None),
        (RecordType::Ptr, "*.example.net.", None),
        (
            RecordType::Mx,
            "10 mx.example.com.",
            Some(Value::Mx {
                preference: 10,
                exchange: Some(name("mx.example.com")),
            }),
        ),
        (
            RecordType::Mx,
            "0 .",
            Some(Value::Mx {
                preference: 0,
                exchange: None,
            }),
        ),
        (RecordType::Mx, "10 mx", None),
        (RecordType::Mx, "99999 mx.example.com.", None),
        (RecordType::Txt, "\"v=spf1 -all\"", Some(txt("v=spf1 -all"))),
        (
            RecordType::Txt,
            &long,
            Some(txt(&format!("{}b", "a".repeat(255)))),
        ),
        (RecordType::Txt, "v=spf1", None),
        (RecordType::Txt, "\"open", None),
    ] {
        assert_eq!(decode(record_type, content), value, "{record_type} {content}");
        if let Some(value) = value {
            assert_eq!(value.to_string(), content, "encoded again");
        }
    }
}

#[test]
fn a_listing_becomes_rrsets_other_types_and_disabled_records() {
    let zone: Zone = http::parse(
        br#"{"name": "example.com.", "rrsets": [
            {"name": "example.com.", "type": "TXT", "ttl": 300, "comments": [], "records": [
                {"content": "\"a\"", "disabled": false}, {"content": "\"off\"", "disabled": true}]},
            {"name": "example.com.", "type": "SOA", "ttl": 3600, "records": [{"content": "a. b. 1 2 3 4 5"}]},
            {"name": "example.com.", "type": "CAA", "ttl": 1, "records": [{"content": "x", "disabled": true}]},
            {"name": "c.example.com.", "type": "TXT", "ttl": 0, "records": []},
            {"name": "other.example.com.", "type": "A", "ttl": 1, "records": [{"content": "192.0.2.1"}]}]}"#,
    )
    .unwrap();
    assert!(!zone.speaks_only_of(&name("example.com")));
    let found = zone.at(&BTreeSet::from([name("example.com"), name("c.example.com")]));
    let key = Key::new(name("example.com"), RecordType::Txt);
    let rrset = LiveRrset {
        ttl: 300,
        records: BTreeMap::from([("\"a\"".to_owned(), Some(txt("a")))]),
    };
    assert_eq!(found.live.rrsets, BTreeMap::from([(key.clone(), rrset)]));
    assert_eq!(
        found.live.other_types,
        BTreeMap::from([(name("example.com"), BTreeSet::from(["SOA".to_owned()]))])
    );
    assert_eq!(
        found.disabled,
        BTreeMap::from([(key, BTreeSet::from(["\"off\"".to_owned()]))])
    );
}

#[test]
fn a_replace_keeps_foreign_and_disabled_records_and_deletions_stand_first() {
    let mut spf = change(
        "example.com",
        "example.com",
        RecordType::Txt,
        &[txt("v=spf1 -all")],
    );
    spf.keep.insert("\"foreign\"".to_owned());
    let gone = change("example.com", "www.example.com", RecordType::A, &[]);
    let disabled = BTreeMap::from([(
        spf.key.clone(),
        BTreeSet::from(["\"off\"".to_owned(), "\"foreign\"".to_owned()]),
    )]);
    assert_eq!(
        patch(&[&spf, &gone], &disabled, Way::Whole),
        json!({"rrsets": [
            {"name": "www.example.com.", "type": "A", "changetype": "DELETE"},
            {"name": "example.com.", "type": "TXT", "ttl": 3600, "changetype": "REPLACE", "records": [
                {"content": "\"foreign\"", "disabled": false},
                {"content": "\"v=spf1 -all\"", "disabled": false},
                {"content": "\"off\"", "disabled": true},
            ]},
        ]})
    );
}

#[test]
fn removing_ours_from_a_shared_rrset_is_a_replace() {
    let mut rest = change("example.com", "example.com", RecordType::Txt, &[]);
    rest.keep.insert("\"foreign\"".to_owned());
    assert_eq!(patch::encode(&rest, None)["changetype"], "REPLACE");
    let gone = change("example.com", "example.com", RecordType::Txt, &[]);
    let off = BTreeSet::from(["\"off\"".to_owned()]);
    assert_eq!(patch::encode(&gone, None)["changetype"], "DELETE");
    assert_eq!(patch::encode(&gone, Some(&off))["changetype"], "REPLACE");
}

#[test]
fn reading_back_finds_what_is_missing() {
    let mut spf = change("example.com", "example.com", RecordType::Txt, &[txt("v=spf1")]);
    spf.keep.insert("\"a\"".to_owned());
    let live = |texts: &[&str]| Live {
        rrsets: BTreeMap::from([(
            spf.key.clone(),
            LiveRrset {
                ttl: 1,
                records: texts
                    .iter()
                    .map(|t| ((*t).to_owned(), decode(RecordType::Txt, t)))
                    .collect(),
            },
        )]),
        ..Live::default()
    };
    assert!(carried_out(&spf, &live(&["\"a\"", "\"v=spf1\"", "\"new\""])));
    assert!(!carried_out(&spf, &live(&["\"v=spf1\""])));
    assert!(!carried_out(&spf, &live(&["\"a\""])));
    assert!(!carried_out(&spf, &Live::default()));
    let gone = change("example.com", "example.com", RecordType::Txt, &[]);
    assert!(carried_out(&gone, &Live::default()));
    assert!(!carried_out(&gone, &live(&["\"a\""])));
}

#[test]
fn a_mapped_address_is_found_before_anything_is_written() {
    let with = |address: &str| {
        let value = Value::Aaaa(address.parse().unwrap());
        storable(&[change("example.com", "a.example.com", RecordType::Aaaa, &[value])])
    };
    assert_eq!(with("2001:db8::4"), Ok(()));
    assert!(matches!(
        with("::ffff:192.0.2.1"),
        Err(PublishError::Unsupported(..))
    ));
}

#[test]
fn a_message_names_three_rrsets_at_most() {
    let changes: Vec<Change> = ["a.example", "b.example", "c.example", "d.example"]
        .map(|owner| change("example", owner, RecordType::A, &[]))
        .into();
    let all: Vec<&Change> = changes.iter().collect();
    assert_eq!(describe(&all), "a.example A, b.example A, c.example A, 1 more");
}

#[test]
fn a_zone_without_its_soa_is_not_the_zone() {
    let listed = |rrsets: Json| serde_json::from_value::<Zone>(json!({ "rrsets": rrsets })).unwrap();
    let soa = |owner: &str| json!({"name": owner, "type": "SOA", "ttl": 60, "records": []});
    let text = json!({"name": "corp.example.", "type": "TXT", "ttl": 60, "records": []});
    assert!(listed(json!([text, soa("corp.example.")])).begins_at(&name("corp.example")));
    for other in [json!([]), json!([text]), json!([soa("other.example."), text])] {
        assert!(!listed(other.clone()).begins_at(&name("corp.example")), "{other}");
    }
}

#[test]
fn versions_with_single_records_are_known() {
    for (version, knows) in [
        ("4.7.3", false),
        ("4.9.11", false),
        ("4.9.12", true),
        ("4.10.0", true),
        ("5.0.1", false),
        ("5.0.2", true),
        ("5.0.2-1pdns.bookworm", true),
        ("5.1.0", true),
        ("6.0.0", true),
        ("0.0.0-git", false),
        ("", false),
        ("main", false),
    ] {
        assert_eq!(patch::extends(version), knows, "{version}");
    }
}

#[test]
fn in_a_shared_rrset_only_our_records_are_named() {
    let [theirs, old, same] = ["token=1", "v=spf1 a -all", "spf2.0/pra -all"].map(txt);
    let mut spf = change(
        "example.com",
        "example.com",
        RecordType::Txt,
        &[txt("v=spf1 mx -all"), same.clone()],
    );
    let stored = |values: &[&Value]| LiveRrset {
        ttl: 3600,
        records: values
            .iter()
            .map(|v| (v.to_string(), Some((*v).clone())))
            .collect(),
    };
    spf.keep = [theirs.to_string()].into();
    spf.before = Some(stored(&[&theirs, &old, &same]));
    assert!(shares(&spf));
    let one = |changetype: &str, content: &str| {
        json!({"name": "example.com.", "type": "TXT", "ttl": 3600, "changetype": changetype,
               "records": [{"content": content, "disabled": false}]})
    };
    assert_eq!(
        patch(&[&spf], &BTreeMap::new(), Way::Single),
        json!({"rrsets": [one("PRUNE", "\"v=spf1 a -all\""), one("EXTEND", "\"v=spf1 mx -all\"")]})
    );
    assert_eq!(
        patch(&[&spf], &BTreeMap::new(), Way::Whole)["rrsets"][0]["changetype"],
        "REPLACE"
    );
    // Ours alone, another TTL, and foreign values that are given back: the RRset is written whole.
    for alter in [
        |change: &mut Change| change.keep.clear(),
        |change: &mut Change| change.ttl = 60,
        |change: &mut Change| change.before = None,
        |change: &mut Change| change.keep.extend(["\"given back\"".to_owned()]),
    ] {
        let mut other = spf.clone();
        alter(&mut other);
        assert!(!shares(&other), "{other:?}");
    }
}
