//! Random situations for the plan: what is wanted, what stands there by whose hand, what was written before.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use maildomain::intent::{Adoption, Conduct, Drift, Mode};
use maildomain::name::Name;
use maildomain::plan::{
    Before, Explains, Group, Leaving, Mandate, Marks, Plan, Situation, Step, Written, group, plan,
};
use maildomain::protocol::{Purpose, Sharing, Wanted};
use maildomain::publish::{Live, PublishError};
use maildomain::record::{Key, RecordType, Value, Values};
use maildomain::tenancy::{Home, Refusal};
use proptest::prelude::*;

use crate::zone::{Line, Zone};

/// RRsets that a declaration may want, with values to choose from. The first values are what our records look like, the
/// others what people put there.
const RRSETS: &[(&str, &str, Purpose, &[&str])] = &[
    ("example.com", "TXT", Purpose::Spf, SPF),
    (
        "example.com",
        "MX",
        Purpose::Mx,
        &["10 mail.example.com.", "0 .", "mail.example.com."],
    ),
    (
        "mail.example.com",
        "A",
        Purpose::Host,
        &["203.0.113.4", "203.0.113.5", "203.0.113.four"],
    ),
    (
        "mail.example.com",
        "CNAME",
        Purpose::Host,
        &["a.vendor.example.", "b.vendor.example."],
    ),
    ("mail.example.com", "TXT", Purpose::Spf, SPF),
    (
        "s._domainkey.example.com",
        "TXT",
        Purpose::Dkim,
        &["\"v=DKIM1; p=AAAA\"", "\"v=DKIM1; p=BBBB\"", "\"v=DKIM1; p="],
    ),
    (
        "s._domainkey.example.com",
        "CNAME",
        Purpose::Dkim,
        &["s.vendor.example.", "t.vendor.example."],
    ),
    (
        "_dmarc.example.com",
        "TXT",
        Purpose::Dmarc,
        &["\"v=DMARC1; p=none\"", "\"v=DMARC1; p=reject\""],
    ),
    (
        "bounce.example.com",
        "MX",
        Purpose::Mx,
        &["10 mail.example.com.", "20 mx.vendor.example."],
    ),
    ("bounce.example.com", "TXT", Purpose::Spf, SPF),
];
const SPF: &[&str] = &[
    "\"v=spf1 a -all\"",
    "\"v=spf1 mx ~all\"",
    "\"V=SPF1 ?all\"",
    "\"token=1\"",
    "\"open",
];
const TTL: u32 = 3600;
const NOW: i64 = 1_000_000_000;

/// A situation.
#[derive(Debug, Clone)]
pub(crate) struct Scene {
    pub(crate) wanted: Vec<Wanted>,
    pub(crate) zone: Zone,
    pub(crate) written: BTreeMap<Key, Written>,
    /// Providers whose zone cannot be read.
    unread: BTreeSet<String>,
    pub(crate) conduct: Conduct,
    /// Whether a generation explains removals.
    pub(crate) explains: bool,
    /// How long things retire, in seconds.
    pub(crate) retire_after: i64,
    pub(crate) now: i64,
}

/// The zone `bounce.example.com` is at another provider.
fn home(name: &Name) -> Home {
    let bounce = Name::parse("bounce.example.com").unwrap();
    let at_edge = name.is_within(&bounce);
    Home {
        provider: if at_edge { "edge" } else { "corp" }.to_owned(),
        zone: if at_edge {
            bounce
        } else {
            Name::parse("example.com").unwrap()
        },
    }
}

impl Scene {
    pub(crate) fn live(&self) -> BTreeMap<Home, Result<Live, PublishError>> {
        let mut names: BTreeMap<Home, BTreeSet<Name>> = BTreeMap::new();
        for (owner, ..) in RRSETS {
            let name = Name::parse(owner).unwrap();
            names.entry(home(&name)).or_default().insert(name);
        }
        let reads = names.into_iter().map(|(home, names)| {
            let unread = self.unread.contains(&home.provider);
            let read = if unread {
                Err(PublishError::Unreachable)
            } else {
                Ok(self.zone.read(&names))
            };
            (home, read)
        });
        reads.collect()
    }

    fn groups(&self) -> Vec<Group> {
        group(self.wanted.clone())
    }

    pub(crate) fn group(&self, key: &Key) -> Option<Group> {
        self.groups().into_iter().find(|group| &group.key == key)
    }

    pub(crate) fn plan(&self) -> Plan {
        let groups = self.groups();
        let places: BTreeMap<Name, Result<Home, Refusal>> = groups
            .iter()
            .map(|group| (group.key.name.clone(), Ok(home(&group.key.name))))
            .collect();
        plan(&Situation {
            writer: None,
            domain: &Name::parse("example.com").unwrap(),
            mandate: Mandate {
                generation: 1,
                explains: if self.explains {
                    Explains::New
                } else {
                    Explains::Nothing
                },
                retire_after: SignedDuration::from_secs(self.retire_after),
                ..Mandate::END
            },
            ttl: TTL,
            conduct: self.conduct,
            told: &BTreeSet::new(),
            asked: &BTreeSet::new(),
            groups: &groups,
            places: &places,
            live: &self.live(),
            written: &self.written,
            leaving: &Leaving::new(),
            now: Timestamp::from_second(self.now).unwrap(),
            drain: SignedDuration::from_hours(120),
        })
    }

    /// The scene after every provider has done its part and has read it back.
    pub(crate) fn carried_out(mut self) -> Self {
        let plan = self.plan();
        plan.changes().for_each(|change| self.zone.apply(change));
        self.written = plan.written;
        let wrote = plan.rows.iter().filter(|row| row.step.writes());
        for row in wrote {
            let entry = self.written.get_mut(&row.group.key).unwrap();
            entry.values.clone_from(&row.group.values);
            entry.settled = true;
        }
        self
    }

    /// Names that hold an alias and something else.
    pub(crate) fn shared_with_an_alias(&self) -> Vec<String> {
        let owners: Vec<&(String, String)> = self.zone.rrsets.keys().collect();
        let aliases = owners.iter().filter(|(_, kind)| kind == "CNAME");
        let shared = aliases.filter(|(alias, _)| {
            owners
                .iter()
                .any(|(owner, kind)| owner == alias && kind != "CNAME")
        });
        shared.map(|(owner, _)| owner.clone()).collect()
    }
}

pub(crate) fn step_name(step: &Step) -> &'static str {
    match step {
        Step::InPlace => "InPlace",
        Step::Satisfied => "Satisfied",
        Step::Adopt => "Adopt",
        Step::Write => "Write",
        Step::Replace => "Replace",
        Step::Mend => "Mend",
        Step::Conflict(_) => "Conflict",
        Step::Refused(_) => "Refused",
        Step::Unread(_) => "Unread",
        Step::Withheld(_) => "Withheld",
    }
}

/// Any scene in which no name of the zone holds an alias beside other records: no provider stores that.
pub(crate) fn scenes() -> impl Strategy<Value = Scene> {
    let each: Vec<_> = RRSETS.iter().map(rrsets).collect();
    let unread = proptest::sample::subsequence(&["corp", "edge"][..], 0..=2);
    // Unread zones make every other question trivial, so they are rare.
    let unread = prop_oneof![3 => Just(Vec::new()), 1 => unread];
    let retire_after = prop_oneof![Just(0), Just(3600)];
    (
        each,
        unread,
        conducts(),
        proptest::bool::weighted(0.8),
        retire_after,
    )
        .prop_map(|(parts, unread, conduct, explains, retire_after)| {
            let mut scene = Scene {
                wanted: Vec::new(),
                zone: Zone::default(),
                written: BTreeMap::new(),
                unread: unread.into_iter().map(str::to_owned).collect(),
                conduct,
                explains,
                retire_after,
                now: NOW,
            };
            for Part {
                wanted,
                lines,
                written,
            } in parts
            {
                let clash = |line: &Line| {
                    let alias = |kind: &str| kind == "CNAME";
                    let mut there = scene.zone.rrsets.keys();
                    there.any(|(owner, kind)| *owner == line.owner && alias(kind) != alias(&line.kind))
                };
                if !lines.iter().any(clash) {
                    for line in lines {
                        scene.zone.add(line);
                    }
                }
                scene.wanted.extend(wanted);
                scene.written.extend(written);
            }
            scene
        })
}

/// Mostly such as publish.
fn conducts() -> impl Strategy<Value = Conduct> {
    let mode = prop_oneof![6 => Just(Mode::Publish), 1 => Just(Mode::Manual), 1 => Just(Mode::Observe)];
    let suspend = prop_oneof![6 => Just(false), 1 => Just(true)];
    let adoption = proptest::sample::select(&[Adoption::Never, Adoption::Matching, Adoption::Replace][..]);
    let drift = prop_oneof![2 => Just(Drift::Repair), 1 => Just(Drift::Report)];
    (mode, suspend, adoption, drift).prop_map(|(mode, suspend, adoption, drift)| Conduct {
        mode,
        suspend,
        adoption,
        drift,
    })
}

#[derive(Debug, Clone)]
struct Part {
    wanted: Option<Wanted>,
    lines: Vec<Line>,
    written: Option<(Key, Written)>,
}

/// One RRset: whether it is wanted, what stands there, what was written.
fn rrsets(
    &(owner, kind, purpose, values): &'static (&str, &str, Purpose, &[&str]),
) -> impl Strategy<Value = Part> {
    let ours = proptest::sample::select(&values[..2]);
    let wanted = proptest::option::of(ours.clone());
    let there = proptest::sample::subsequence(values, 0..=values.len().min(3));
    let ttl = prop_oneof![3 => Just(TTL), 1 => Just(60)];
    let after = prop_oneof![2 => Just(None), 1 => Just(Some(NOW - 1)), 1 => Just(Some(NOW + 60))];
    let before = proptest::option::weighted(0.2, proptest::sample::subsequence(values, 1..=1));
    let written = proptest::option::of((ours, proptest::bool::ANY, after, before));
    (wanted, there, ttl, written).prop_map(move |(wanted, there, ttl, written)| {
        let key = Key::new(Name::parse(owner).unwrap(), RecordType::parse(kind).unwrap());
        let value = |text: &str| Value::parse(key.record_type, text).unwrap();
        let line = |data: &str| Line::parse(&format!("{owner} {ttl} {kind} {data}"));
        let written = written.map(|(data, settled, after, before)| Written {
            home: home(&key.name),
            purpose,
            values: [value(data)].into(),
            settled,
            withdraw_after: after.map(|second| Timestamp::from_second(second).unwrap()),
            marks: Marks::default(),
            before: before.map(|records| Before {
                ttl: 60,
                records: records.into_iter().map(str::to_owned).collect(),
            }),
        });
        Part {
            wanted: wanted.map(|data| Wanted {
                key: key.clone(),
                purpose,
                values: Values::from([value(data)]),
                sharing: if purpose == Purpose::Spf {
                    Sharing::Prefix("v=spf1")
                } else {
                    Sharing::Exclusive
                },
            }),
            // An alias leads to one place.
            lines: there
                .into_iter()
                .take(if kind == "CNAME" { 1 } else { 3 })
                .map(line)
                .collect(),
            written: written.map(|written| (key.clone(), written)),
        }
    })
}
