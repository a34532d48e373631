//! The owner text: whose domain it is.

use super::*;
use crate::plan::{Owner, Writer, is_owner, owner_key};
use crate::publish::Change;

const CLUSTER: &str = "c1057e12-0000-4000-8000-000000000001";
const UID: &str = "11111111-2222-3333-4444-555555555555";

/// A zone, and operators with a memory each. `now` is in seconds.
struct World {
    zone: Live,
    now: i64,
}

#[derive(Clone)]
struct Operator {
    cluster: &'static str,
    uid: Option<&'static str>,
    take_over: Option<String>,
    wanted: Vec<Wanted>,
    written: BTreeMap<Key, Written>,
    leaving: Leaving,
}

fn operator(wanted: Vec<Wanted>) -> Operator {
    Operator {
        cluster: CLUSTER,
        uid: Some(UID),
        take_over: None,
        wanted,
        written: BTreeMap::new(),
        leaving: Leaving::new(),
    }
}

fn world(lines: &[&str]) -> World {
    World {
        zone: live(lines),
        now: 1_000,
    }
}

fn owner_of(domain: &str) -> Key {
    owner_key(&name(domain)).unwrap()
}

impl World {
    fn plan_with(&self, operator: &Operator, zone: Result<Live, PublishError>) -> Plan {
        let groups = group(operator.wanted.clone());
        let names = groups.iter().map(|g| g.key.name.clone());
        let names = names.chain(operator.uid.map(|_| owner_of("example.com").name));
        plan(&Situation {
            writer: Some(Writer {
                cluster: operator.cluster,
                uid: operator.uid,
                take_over: operator.take_over.as_deref(),
            }),
            domain: &name("example.com"),
            mandate: Mandate::END,
            ttl: 3600,
            conduct: Conduct::default(),
            told: &BTreeSet::new(),
            asked: &BTreeSet::new(),
            groups: &groups,
            places: &names.map(|name| (name, Ok(home()))).collect(),
            live: &BTreeMap::from([(home(), zone)]),
            written: &operator.written,
            leaving: &operator.leaving,
            now: Timestamp::from_second(self.now).unwrap(),
            drain: jiff::SignedDuration::ZERO,
        })
    }

    fn plan(&mut self, operator: &mut Operator) -> Plan {
        self.now += 10;
        let plan = self.plan_with(operator, Ok(self.zone.clone()));
        operator.written.clone_from(&plan.written);
        plan
    }

    /// As a provider with compare-and-swap does it: all of it or nothing.
    fn apply(&mut self, plan: &Plan) -> bool {
        let same = |change: &Change| self.zone.rrsets.get(&change.key) == change.before.as_ref();
        if !plan.changes().all(same) {
            return false;
        }
        for change in plan.changes() {
            self.zone.rrsets.remove(&change.key);
            if !change.ours.is_empty() {
                let ours = change.ours.iter().map(|v| (v.to_string(), Some(v.clone())));
                let rrset = LiveRrset {
                    ttl: change.ttl,
                    records: ours.collect(),
                };
                self.zone.rrsets.insert(change.key.clone(), rrset);
            }
        }
        true
    }

    /// Passes until nothing is written; whether there were any writes.
    fn settle(&mut self, operator: &mut Operator) -> bool {
        for pass in 0..6 {
            let plan = self.plan(operator);
            if plan.is_empty() {
                return pass > 0;
            }
            assert!(
                is_owner(plan.changes().next().unwrap()),
                "the owner text comes first:\n{plan}"
            );
            assert!(self.apply(&plan), "{plan}");
        }
        panic!("not at rest");
    }

    fn owner(&self) -> Option<Owner> {
        let text = self.zone.values(&owner_of("example.com")).next()?;
        Owner::parse(text.as_txt().unwrap())
    }

    fn put(&mut self, text: Option<&str>) {
        let key = owner_of("example.com");
        self.zone.rrsets.remove(&key);
        if let Some(text) = text {
            let line = format!("{} TXT {}", key.name, txt(text));
            self.zone.rrsets.extend(live(&[&line]).rrsets);
        }
    }
}

fn settled(wanted: Vec<Wanted>) -> (World, Operator) {
    let (mut world, mut operator) = (world(&[]), operator(wanted));
    assert!(world.settle(&mut operator));
    (world, operator)
}

/// What a plan says of the owner, and that it writes nothing.
fn held(plan: &Plan) -> String {
    assert!(plan.is_empty() && plan.providers.is_empty(), "{plan}");
    match &plan.rows[0].step {
        Step::Refused(Refusal::OwnedElsewhere(message)) => message.clone(),
        step => panic!("{step:?}"),
    }
}

#[test]
fn texts_have_one_form() {
    let good = format!("v=maildomain1; cluster={CLUSTER}; uid={UID}; epoch=7");
    let owner = Owner::parse(&good).unwrap();
    assert_eq!((owner.to_string(), owner.epoch), (good.clone(), 7));
    let bad = [
        good.replace("maildomain1", "maildomain2"),
        good.replace("; uid", ";uid"),
        good.replace("epoch=7", "epoch=07"),
        good.replace("epoch=7", "epoch=+7"),
        good.replace("epoch=7", "epoch="),
        good.replace("epoch=7", "epoch=99999999999999999999"),
        good.replace(CLUSTER, ""),
        good.replace(CLUSTER, "a b"),
        good.replace(CLUSTER, &"a".repeat(65)),
        format!("{good}; more=1"),
        format!("{good};"),
        format!(" {good}"),
        good.replace("uid=", "UID="),
    ];
    for text in bad {
        assert_eq!(Owner::parse(&text), None, "{text}");
    }
}

#[test]
fn it_comes_first_rises_with_every_write_and_rests() {
    let (mut world, mut ours) = settled(vec![host()]);
    let first = world.owner().unwrap();
    assert_eq!((first.cluster.as_str(), first.uid.as_str()), (CLUSTER, UID));
    assert!(!world.settle(&mut ours), "at rest nothing is written");
    ours.wanted.push(spf());
    assert!(world.settle(&mut ours));
    assert!(world.owner().unwrap().epoch > first.epoch);
    let plan = world.plan(&mut ours);
    assert_eq!(plan.rows[0].step, Step::InPlace);
    assert!(plan.written[&owner_of("example.com")].settled);
}

#[test]
fn without_anything_of_ours_there_is_nothing_to_own() {
    let mut ours = operator(vec![]);
    assert!(!world(&[]).settle(&mut ours));
}

#[test]
fn before_a_ledger_of_an_older_version_goes_on_it_is_planted() {
    let (mut world, mut ours) = settled(vec![host()]);
    world.put(None);
    ours.written.remove(&owner_of("example.com"));
    let plan = world.plan(&mut ours);
    let changed: Vec<&Key> = plan.changes().map(|change| &change.key).collect();
    assert_eq!(changed, [&owner_of("example.com")]);
}

#[test]
fn a_foreign_one_means_no_write_and_no_removal() {
    let foreign = [
        (
            "another cluster",
            format!("v=maildomain1; cluster=c-2; uid={UID}; epoch=3"),
        ),
        (
            "another MailDomain of this cluster",
            format!("v=maildomain1; cluster={CLUSTER}; uid=u-2; epoch=3"),
        ),
        (
            "was restored or cloned",
            format!("v=maildomain1; cluster={CLUSTER}; uid={UID}; epoch=99999999999"),
        ),
        ("does not know", "v=maildomain2; who=knows".to_owned()),
    ];
    for (whose, text) in foreign {
        let (mut world, mut ours) = settled(vec![host(), spf()]);
        let before = ours.written.clone();
        world.put(Some(&text));
        ours.wanted = vec![host(), dmarc()];
        let plan = world.plan(&mut ours);
        let message = held(&plan);
        assert!(message.contains(whose) && message.contains(&text), "{message}");
        assert!(message.len() <= 512, "{}", message.len());
        let mut after = plan.written.clone();
        for entry in after.values_mut() {
            entry.marks = Marks::default();
        }
        assert_eq!(
            after, before,
            "nothing is learned but what was decided, and nothing is forgotten"
        );
        ours.uid = None;
        ours.wanted.clear();
        held(&world.plan(&mut ours));
    }
}

#[test]
fn two_owner_texts_are_for_a_person() {
    let (mut world, mut ours) = settled(vec![host()]);
    let key = owner_of("example.com");
    let line = format!("{} TXT \"v=maildomain1; cluster=x; uid=y; epoch=1\"", key.name);
    let second = live(&[&line]).rrsets.remove(&key).unwrap();
    world
        .zone
        .rrsets
        .get_mut(&key)
        .unwrap()
        .records
        .extend(second.records);
    ours.wanted.push(spf());
    ours.take_over = Some("1".to_owned());
    assert!(held(&world.plan(&mut ours)).contains("2 owner texts"));
}

#[test]
fn a_person_gives_it_over_by_epoch_or_by_text() {
    let foreign = "v=maildomain1; cluster=c-2; uid=u-2; epoch=99999999999";
    for said in ["99999999999", foreign] {
        let mut world = world(&[]);
        world.put(Some(foreign));
        let mut ours = operator(vec![host()]);
        ours.take_over = Some("9".to_owned());
        held(&world.plan(&mut ours));
        ours.take_over = Some(said.to_owned());
        assert!(world.settle(&mut ours));
        let now = world.owner().unwrap();
        assert_eq!(now.cluster, CLUSTER);
        assert!(
            now.epoch > 99_999_999_999,
            "whoever wrote before must see that it is over"
        );
        // The word is used up.
        world.put(Some("v=maildomain1; cluster=c-2; uid=u-2; epoch=199999999999"));
        held(&world.plan(&mut ours));
    }
}

#[test]
fn one_that_vanished_is_mended() {
    let (mut world, mut ours) = settled(vec![host()]);
    let before = world.owner().unwrap();
    world.put(None);
    let plan = world.plan(&mut ours);
    assert_eq!(plan.rows[0].step, Step::Mend);
    assert!(world.apply(&plan));
    assert!(world.owner().unwrap().epoch > before.epoch);
}

#[test]
fn a_zone_that_was_rolled_back_is_still_ours() {
    let (mut world, mut ours) = settled(vec![host()]);
    let old = world.owner().unwrap().to_string();
    ours.wanted.push(spf());
    assert!(world.settle(&mut ours));
    world.put(Some(&old));
    assert!(world.settle(&mut ours));
    assert_ne!(world.owner().unwrap().to_string(), old);
}

#[test]
fn a_successor_in_the_cluster_goes_on_with_the_ledger() {
    let (mut world, mut ours) = settled(vec![host()]);
    ours.uid = Some("99999999-2222-3333-4444-555555555555");
    assert!(world.settle(&mut ours));
    assert_eq!(world.owner().unwrap().uid, ours.uid.unwrap());
}

#[test]
fn without_a_ledger_our_name_is_enough_and_with_one_it_is_not() {
    let (mut world, mut ours) = settled(vec![host()]);
    let mut again = Operator {
        written: BTreeMap::new(),
        ..ours.clone()
    };
    let plan = world.plan(&mut again);
    assert!(plan.is_empty(), "{plan}");
    ours.written.remove(&owner_of("example.com"));
    assert!(held(&world.plan(&mut ours)).contains("restored"));
}

#[test]
fn a_crash_between_ledger_and_provider_is_survived() {
    let (mut world, mut ours) = settled(vec![host()]);
    ours.wanted.push(spf());
    // The ledger has it, the provider does not.
    let lost = world.plan(&mut ours);
    assert!(!lost.is_empty());
    assert!(world.settle(&mut ours));
    // The provider has it, and nobody has read it back.
    ours.wanted.push(dmarc());
    let plan = world.plan(&mut ours);
    assert!(world.apply(&plan));
    assert!(!world.settle(&mut ours));
}

#[test]
fn what_is_on_its_way_does_not_change_with_every_look() {
    let (mut world, mut ours) = (world(&[]), operator(vec![host()]));
    let (first, second) = (world.plan(&mut ours), world.plan(&mut ours));
    assert_eq!(first.providers, second.providers);
    assert_eq!(second.written.len(), 2);
}

#[test]
fn two_copies_of_one_memory_do_not_fight() {
    let (mut world, one) = settled(vec![host()]);
    let mut copies = [one.clone(), one];
    copies[1].wanted = vec![spf()];
    // Both plan from what they read at the same moment; the second finds the zone changed.
    copies[0].wanted = vec![host(), dmarc()];
    let plans = [0, 1].map(|which| {
        world.now += 1;
        let plan = world.plan_with(&copies[which], Ok(world.zone.clone()));
        copies[which].written.clone_from(&plan.written);
        plan
    });
    assert!(world.apply(&plans[0]));
    assert!(!world.apply(&plans[1]), "the owner text stands between them");
    for _ in 0..5 {
        world.settle(&mut copies[0]);
        held(&world.plan(&mut copies[1]));
    }
}

#[test]
fn it_goes_last() {
    let (mut world, mut ours) = settled(vec![host(), spf()]);
    ours.uid = None;
    ours.wanted.clear();
    let plan = world.plan(&mut ours);
    let left: Vec<bool> = plan.changes().map(|change| change.ours.is_empty()).collect();
    assert_eq!(left, [false, true, true], "guarded by a new owner text:\n{plan}");
    assert!(world.apply(&plan));
    let plan = world.plan(&mut ours);
    assert_eq!(plan.changes().count(), 1, "{plan}");
    assert!(world.apply(&plan));
    assert!(world.plan(&mut ours).is_empty());
    assert!(ours.written.is_empty() && world.zone.rrsets.is_empty());
}

#[test]
fn while_it_cannot_be_read_nothing_is_written() {
    let (world, ours) = settled(vec![host()]);
    let plan = world.plan_with(&ours, Err(PublishError::Unreachable));
    assert!(plan.providers.is_empty());
    assert_eq!(plan.written, ours.written);
}

#[test]
fn other_texts_at_its_name_stay() {
    let (mut world, mut ours) = settled(vec![host()]);
    let key = owner_of("example.com");
    let line = format!("{} TXT \"from a wildcard\"", key.name);
    let beside = live(&[&line]).rrsets.remove(&key).unwrap();
    world
        .zone
        .rrsets
        .get_mut(&key)
        .unwrap()
        .records
        .extend(beside.records);
    ours.wanted.push(spf());
    let plan = world.plan(&mut ours);
    let change = plan.changes().next().unwrap();
    assert_eq!((change.keep.len(), change.ours.len()), (1, 1));
}

#[test]
fn what_was_seen_is_remembered_until_the_next_one_is() {
    let (mut world, mut ours) = settled(vec![host()]);
    let before = world.owner().unwrap().to_string();
    // A read that found nothing was wrong, so the write did not come through, and another copy went on.
    world.put(None);
    world.plan(&mut ours);
    world.put(Some(&before));
    assert!(
        world.plan(&mut ours.clone()).providers.contains_key("p"),
        "the one before is still ours"
    );
    let epoch = Owner::parse(&before).unwrap().epoch;
    world.put(Some(
        &before.replace(&epoch.to_string(), &(epoch + 1).to_string()),
    ));
    held(&world.plan(&mut ours));
}
