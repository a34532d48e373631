//! Moving house: two zones, one memory.

use super::*;
use crate::lookup::{Answer, Delegation, Failure, Server};
use crate::plan::{Departure, Leaving, Owner, Parting, Writer, is_away, lacking, owner_key};

const CLUSTER: &str = "c1057e12-0000-4000-8000-000000000001";
const UID: &str = "11111111-2222-3333-4444-555555555555";
const DAY: i64 = 86_400;

/// An operator with its memory, and the zone `example.com` at each provider. Times are in seconds.
struct House {
    zones: BTreeMap<&'static str, Result<Live, PublishError>>,
    /// The provider that the declaration names.
    at: &'static str,
    wanted: Vec<Wanted>,
    written: BTreeMap<Key, Written>,
    leaving: Leaving,
    left_alone: Option<&'static str>,
    deleted: bool,
    now: i64,
}

fn at(provider: &str) -> Home {
    Home {
        provider: provider.into(),
        zone: name("example.com"),
    }
}

fn signature() -> Key {
    owner_key(&name("example.com")).unwrap()
}

/// A house in which all is written at `old`, and which has just been told to move to `new`.
fn moving(wanted: Vec<Wanted>, there: &[&str]) -> House {
    let mut house = House {
        zones: BTreeMap::from([("old", Ok(live(&[r#"example.com TXT "theirs=1""#])))]),
        at: "old",
        wanted,
        written: BTreeMap::new(),
        leaving: Leaving::new(),
        left_alone: None,
        deleted: false,
        now: 1_000,
    };
    house.settle();
    house.zones.insert("new", Ok(live(there)));
    house.at = "new";
    house
}

fn everything() -> Vec<Wanted> {
    vec![host(), spf(), dmarc()]
}

impl House {
    fn plan(&mut self) -> Plan {
        self.now += 10;
        let groups = if self.deleted {
            Vec::new()
        } else {
            group(self.wanted.clone())
        };
        let entries = self.leaving.values().flat_map(|d| d.entries.keys());
        let names = groups
            .iter()
            .map(|g| &g.key)
            .chain(self.written.keys())
            .chain(entries);
        let mut places: BTreeMap<Name, _> = names.map(|key| (key.name.clone(), Ok(at(self.at)))).collect();
        places.insert(signature().name, Ok(at(self.at)));
        if self.deleted {
            places.clear();
        }
        let live = self
            .zones
            .iter()
            .map(|(provider, live)| (at(provider), live.clone()));
        let plan = plan(&Situation {
            domain: &name("example.com"),
            mandate: Mandate {
                left_alone: self.left_alone,
                ..Mandate::END
            },
            ttl: 3600,
            writer: Some(Writer {
                cluster: CLUSTER,
                uid: (!self.deleted).then_some(UID),
                take_over: None,
            }),
            conduct: Conduct::default(),
            told: &BTreeSet::new(),
            asked: &BTreeSet::new(),
            groups: &groups,
            places: &places,
            live: &live.collect(),
            written: &self.written,
            leaving: &self.leaving,
            now: Timestamp::from_second(self.now).unwrap(),
            drain: jiff::SignedDuration::from_hours(24),
        });
        self.written.clone_from(&plan.written);
        self.leaving.clone_from(&plan.leaving);
        plan
    }

    fn apply(&mut self, plan: &Plan) {
        for (provider, part) in &plan.providers {
            for change in &part.changes {
                let zone = self.zones.get_mut(provider.as_str()).unwrap().as_mut().unwrap();
                let before = zone.rrsets.remove(&change.key);
                assert_eq!(before, change.before);
                let kept = before.into_iter().flat_map(|rrset| rrset.records);
                let mut records: BTreeMap<_, _> = kept.filter(|(raw, _)| change.keep.contains(raw)).collect();
                records.extend(change.ours.iter().map(|v| (v.to_string(), Some(v.clone()))));
                if !records.is_empty() {
                    let ttl = change.ttl;
                    zone.rrsets.insert(change.key.clone(), LiveRrset { ttl, records });
                }
            }
        }
    }

    /// Passes until nothing is written any more; everything that was written.
    fn settle(&mut self) -> Vec<Plan> {
        let mut plans = Vec::new();
        for _ in 0..8 {
            let plan = self.plan();
            let rests = plan.is_empty();
            self.apply(&plan);
            plans.push(plan);
            if rests {
                return plans;
            }
        }
        panic!("not at rest");
    }

    /// What stands at a provider: without the owner text.
    fn stands(&self, provider: &str) -> Vec<String> {
        let live = self.zones[provider].as_ref().unwrap();
        let rrsets = live.rrsets.iter().filter(|(key, _)| **key != signature());
        rrsets
            .flat_map(|(key, rrset)| rrset.records.keys().map(move |raw| format!("{key} {raw}")))
            .collect()
    }

    fn epoch(&self, provider: &str) -> Option<u64> {
        let live = self.zones[provider].as_ref().unwrap();
        let text = live.values(&signature()).next()?.as_txt()?.to_owned();
        Owner::parse(&text).map(|owner| owner.epoch)
    }

    /// The world asks elsewhere since now, and caches remember for a day.
    fn delegate_away(&mut self) {
        let now = Timestamp::from_second(self.now).unwrap();
        for departure in self.leaving.values_mut() {
            departure.linger = u32::try_from(DAY).unwrap();
            departure.saw(Some(true), now);
        }
    }
}

#[test]
fn a_move_writes_the_new_home_and_leaves_the_old_one_until_its_time() {
    let mut house = moving(everything(), &[r#"example.com TXT "new=1""#]);
    let before = house.stands("old");
    let old_epoch = house.epoch("old");
    house.settle();
    assert_eq!(
        house.stands("new"),
        [
            r#"example.com TXT "new=1""#,
            r#"example.com TXT "v=spf1 ip4:203.0.113.4 ~all""#,
            r#"_dmarc.example.com TXT "v=DMARC1; p=none""#,
            "mail.example.com A 203.0.113.4",
        ]
    );
    assert_eq!(house.stands("old"), before);
    assert_eq!(house.epoch("old"), old_epoch);
    assert!(house.epoch("new") > old_epoch);
    assert_eq!(house.leaving[&at("old")].entries.len(), 4);

    // Long after, with the delegation as it was, nothing has gone.
    house.now += 100 * DAY;
    house.settle();
    assert_eq!(house.stands("old"), before);
    house.delegate_away();
    house.now += DAY - 60;
    house.settle();
    assert_eq!(house.stands("old"), before);
    house.now += 60;
    let plans = house.settle();
    assert_eq!(house.stands("old"), [r#"example.com TXT "theirs=1""#]);
    assert_eq!(house.epoch("old"), None);
    assert!(house.epoch("new").is_some());
    assert!(house.leaving.is_empty());
    let owner_goes = |plan: &Plan| plan.changes().any(|c| c.key == signature() && c.deletes());
    let last = plans.iter().position(owner_goes).unwrap();
    assert_eq!(plans[last].changes().count(), 1, "the owner text goes last");
    let ended: Vec<&Parting> = plans.iter().flat_map(|plan| plan.partings.values()).collect();
    assert_eq!(ended, [&Parting::Removed]);
}

#[test]
fn while_nobody_could_be_asked_nothing_goes() {
    let mut house = moving(everything(), &[]);
    house.settle();
    house.delegate_away();
    house.now += 2 * DAY;
    let now = Timestamp::from_second(house.now).unwrap();
    house.leaving.get_mut(&at("old")).unwrap().saw(None, now);
    let before = house.stands("old");
    house.settle();
    assert_eq!(house.stands("old"), before);
    // That the world went back ends the waiting.
    house.leaving.get_mut(&at("old")).unwrap().saw(Some(false), now);
    house.settle();
    assert_eq!(house.stands("old"), before);
    assert_eq!(house.leaving[&at("old")].ends(), None);
    // What cannot be read stays remembered.
    house.delegate_away();
    house.now += 2 * DAY;
    house.zones.insert("old", Err(PublishError::Unreachable));
    house.settle();
    assert_eq!(house.leaving[&at("old")].entries.len(), 4);
    // What is gone needs no removal.
    house
        .zones
        .insert("old", Err(PublishError::ZoneMissing(name("example.com"))));
    let plans = house.settle();
    assert_eq!(plans[0].partings[&at("old")], Parting::Gone);
    assert!(house.leaving.is_empty());
}

#[test]
fn who_goes_back_finds_everything_as_it_was_left() {
    let mut house = moving(everything(), &[]);
    house.settle();
    let (old, new) = (house.stands("old"), house.stands("new"));
    house.at = "old";
    let plans = house.settle();
    let written: Vec<&Key> = plans.iter().flat_map(Plan::changes).map(|c| &c.key).collect();
    assert_eq!(written, [&signature()]);
    assert_eq!(house.stands("old"), old);
    assert_eq!(house.stands("new"), new);
    assert_eq!(house.leaving.keys().collect::<Vec<_>>(), [&at("new")]);
    assert!(house.written.values().all(|entry| entry.settled));
}

#[test]
fn another_door_to_the_same_zone_removes_nothing() {
    let mut house = moving(everything(), &[]);
    // Both show one zone, whoever writes.
    for _ in 0..4 {
        let shared = house.zones["old"].clone();
        house.zones.insert("new", shared);
        let plan = house.plan();
        house.apply(&plan);
        let shared = house.zones["new"].clone();
        house.zones.insert("old", shared);
    }
    assert!(house.leaving.is_empty());
    assert_eq!(house.stands("old").len(), 4);
    house.now += 100 * DAY;
    assert!(house.plan().is_empty());
}

#[test]
fn in_a_copied_zone_our_values_are_ours() {
    let mut house = moving(everything(), &[]);
    let copy = house.zones["old"].clone();
    house.zones.insert("new", copy);
    // The copy is older than what is declared now.
    house.wanted[0].values = [Value::A(Ipv4Addr::new(203, 0, 113, 9))].into();
    house.settle();
    assert!(
        house
            .stands("new")
            .contains(&"mail.example.com A 203.0.113.9".to_owned())
    );
    assert!(
        house
            .stands("old")
            .contains(&"mail.example.com A 203.0.113.4".to_owned())
    );
    assert!(house.epoch("new") > house.epoch("old"));
    house.delegate_away();
    house.now += DAY;
    house.settle();
    assert_eq!(house.stands("old"), [r#"example.com TXT "theirs=1""#]);
    assert_eq!(house.stands("new").len(), 4);
}

#[test]
fn what_another_operator_owns_by_now_is_left_to_it() {
    let mut house = moving(everything(), &[]);
    house.settle();
    house.delegate_away();
    house.now += DAY;
    let theirs = Owner {
        cluster: "another".into(),
        uid: UID.into(),
        epoch: 1,
    };
    let line = format!("{} TXT {}", signature().name, txt(&theirs.to_string()));
    house
        .zones
        .get_mut("old")
        .unwrap()
        .as_mut()
        .unwrap()
        .rrsets
        .extend(live(&[&line]).rrsets);
    let before = house.stands("old");
    let plans = house.settle();
    assert_eq!(plans[0].partings[&at("old")], Parting::TakenOver);
    assert_eq!(house.stands("old"), before);
    assert!(house.leaving.is_empty());
}

#[test]
fn a_person_may_leave_copies_alone() {
    let mut house = moving(everything(), &[]);
    house.settle();
    let before = house.stands("old");
    house.left_alone = Some("new");
    house.settle();
    assert_eq!(house.leaving.len(), 1, "it names another provider");
    house.left_alone = Some("old");
    let plans = house.settle();
    assert_eq!(plans[0].partings[&at("old")], Parting::LeftAlone);
    assert_eq!(house.stands("old"), before);
    assert!(house.leaving.is_empty());
}

#[test]
fn a_key_that_drains_moves_along_and_keeps_its_end() {
    let key = Wanted::exclusive(
        name("s1._domainkey.example.com"),
        Purpose::Dkim,
        [txt("v=DKIM1; p=AA")],
    );
    let key = key.unwrap();
    let mut house = moving(vec![host(), key.clone()], &[]);
    house.at = "old";
    house.wanted.pop();
    house.settle();
    let end = house.written[&key.key].withdraw_after;
    assert!(end.is_some());
    house.now += 3_600;
    house.at = "new";
    house.settle();
    assert!(
        house
            .stands("new")
            .contains(&format!("{} \"v=DKIM1; p=AA\"", key.key))
    );
    assert_eq!(house.written[&key.key].withdraw_after, end);
    house.now += DAY;
    house.settle();
    assert_eq!(house.stands("new"), ["mail.example.com A 203.0.113.4"]);
}

#[test]
fn what_somebody_else_has_at_the_new_home_is_a_conflict_and_stays_theirs() {
    let mut house = moving(
        vec![host()],
        &["mail.example.com A 203.0.113.4", "mail.example.com A 192.0.2.9"],
    );
    let plan = house.plan();
    let conflict = |row: &Row| row.group.key == host().key && matches!(row.step, Step::Conflict(_));
    assert!(plan.rows.iter().any(conflict), "{plan}");
    assert!(!house.written.contains_key(&host().key));
    house.settle();
    house.deleted = true;
    house.settle();
    assert_eq!(house.stands("new").len(), 2);
    assert_eq!(house.stands("old"), [r#"example.com TXT "theirs=1""#]);
}

#[test]
fn the_end_of_the_domain_is_the_end_at_every_home() {
    let key = Wanted::exclusive(
        name("s1._domainkey.example.com"),
        Purpose::Dkim,
        [txt("v=DKIM1; p=AA")],
    );
    let mut house = moving([everything(), vec![key.unwrap()]].concat(), &[]);
    house.settle();
    house.deleted = true;
    house.settle();
    let drains = "s1._domainkey.example.com TXT \"v=DKIM1; p=AA\"";
    assert_eq!(house.stands("new"), [drains]);
    assert_eq!(house.stands("old"), [r#"example.com TXT "theirs=1""#, drains]);
    house.now += 2 * DAY;
    house.settle();
    assert_eq!(house.stands("old"), [r#"example.com TXT "theirs=1""#]);
    assert!(house.stands("new").is_empty());
    assert!(house.written.is_empty() && house.leaving.is_empty());
    assert_eq!((house.epoch("old"), house.epoch("new")), (None, None));
}

fn departure(servers: &[&str], owner: Option<u64>) -> Departure {
    let entry = |epoch| {
        let text = format!("v=maildomain1; cluster={CLUSTER}; uid={UID}; epoch={epoch}");
        wrote(
            "_maildomain.example.com",
            RecordType::Txt,
            Purpose::Owner,
            &[txt(&text)],
            true,
        )
    };
    Departure {
        since: Timestamp::UNIX_EPOCH,
        servers: servers.iter().map(|text| name(text)).collect(),
        linger: 0,
        away: None,
        certain: true,
        entries: owner.into_iter().map(entry).collect(),
    }
}

fn delegation(servers: &[&str]) -> Delegation {
    Delegation {
        servers: servers.iter().map(|text| name(text)).collect(),
        ttl: 300,
    }
}

#[test]
fn the_world_is_away_when_every_server_shows_what_only_the_new_home_has() {
    let says = |server: &str, answer: Answer| {
        let address = "192.0.2.1".parse().unwrap();
        (
            Server {
                name: name(server),
                address,
            },
            answer,
        )
    };
    let epoch = |epoch: u64| Answer::Records {
        values: [txt(&format!(
            "v=maildomain1; cluster={CLUSTER}; uid={UID}; epoch={epoch}"
        ))]
        .into(),
        aliases: vec![],
        ttl: 60,
    };
    let signed = departure(&["ns.old.test"], Some(5));
    let judge = |names: &[&str], marks: &[(Server, Answer)]| {
        let names = delegation(names);
        is_away(
            &signed,
            Some(&names),
            &BTreeSet::new(),
            Some(&signature()),
            Some(marks),
        )
    };
    let both = ["a.test", "b.test"];
    // The names of the servers do not matter where their content tells.
    assert_eq!(
        judge(&both, &[says("a.test", epoch(6)), says("b.test", epoch(7))]),
        Some(true)
    );
    assert_eq!(
        judge(&["ns.old.test"], &[says("ns.old.test", epoch(6))]),
        Some(true)
    );
    assert_eq!(
        judge(&both, &[says("a.test", epoch(6)), says("b.test", epoch(5))]),
        Some(false)
    );
    let nothing = Answer::NxDomain { negative_ttl: 60 };
    assert_eq!(
        judge(&both, &[says("a.test", epoch(6)), says("b.test", nothing)]),
        Some(false)
    );
    let silent = Answer::Failed(Failure::Timeout);
    assert_eq!(
        judge(&both, &[says("a.test", epoch(6)), says("b.test", silent)]),
        None
    );
    // A server that the zone above names, and that was not asked.
    assert_eq!(judge(&both, &[says("a.test", epoch(6))]), Some(false));
    let nobody = BTreeSet::new();
    assert_eq!(
        is_away(&signed, None, &nobody, Some(&signature()), Some(&[])),
        None
    );
}

#[test]
fn without_an_owner_text_the_zone_above_must_name_the_new_servers_alone() {
    let unsigned = departure(&["ns.old.test"], None);
    let by_names = |names: &[&str], new: &[&str]| {
        let new = new.iter().map(|text| name(text)).collect();
        is_away(
            &unsigned,
            Some(&delegation(names)),
            &new,
            Some(&signature()),
            None,
        )
    };
    let by_name = |names: &[&str]| by_names(names, &[]);
    assert_eq!(by_name(&["ns.new.test"]), Some(true));
    assert_eq!(by_name(&["ns.new.test", "ns.old.test"]), Some(false));
    assert_eq!(
        is_away(
            &departure(&[], None),
            Some(&delegation(&["a.test"])),
            &BTreeSet::new(),
            None,
            None
        ),
        None
    );
    // The old zone named its new servers before it moved; the zone above still names the old ones.
    assert_eq!(by_names(&["a.test"], &["ns.new.test"]), Some(false));
    assert_eq!(by_names(&["ns.new.test"], &["ns.new.test"]), Some(true));
}

#[test]
fn what_others_have_and_the_new_zone_lacks_is_listed() {
    let mut left = departure(&[], None);
    let ours = Value::A(Ipv4Addr::new(203, 0, 113, 4));
    left.entries.extend([wrote(
        "mail.example.com",
        RecordType::A,
        Purpose::Host,
        &[ours],
        true,
    )]);
    let old = live(&[
        "mail.example.com A 203.0.113.4",
        "www.example.com A 192.0.2.1",
        "www.example.com A 192.0.2.2",
        r#"example.com TXT "theirs=1""#,
        r#"example.com TXT "theirs=2""#,
        "example.com NS ns.old.test",
        "example.com CAA 0",
        "shop.example.com CAA 0",
    ]);
    let new = live(&[
        "www.example.com A 192.0.2.1",
        r#"example.com TXT "theirs=1""#,
        "example.com NS ns.new.test",
        "shop.example.com CAA 0",
    ]);
    assert_eq!(
        lacking(&left, &old, |_| Some(&new)),
        [
            r#"example.com TXT "theirs=2""#,
            "www.example.com A 192.0.2.2",
            "example.com CAA",
        ]
    );
    assert!(lacking(&left, &old, |_| None).is_empty());
}
