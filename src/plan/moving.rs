//! Moving house: names that another provider, or another zone, serves now. Pure.
//!
//! At the new home everything is written as for the first time, but that our own values count as ours where they stand
//! already: in a zone that was copied, or behind another door to the same zone. What we wrote at the old home stays, as it
//! is, as long as the world may ask there: until the zone above names other servers ([`Departure::away`]) and caches have
//! forgotten the old ones ([`Departure::linger`]). Who goes back before that finds it as it was left.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::decide::{self, Taken};
use super::{Group, Marks, Plan, Situation, Step, War, Written, owner, retire};
use crate::intent::Mode;
use crate::lookup::{Answer, Delegation, Server};
use crate::name::Name;
use crate::protocol::Purpose;
use crate::publish::{Live, PublishError};
use crate::record::{Key, Value, Values};
use crate::tenancy::Home;

/// What we wrote at homes whose names live elsewhere now.
pub type Leaving = BTreeMap<Home, Departure>;

/// One home that is being left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// When the move began.
    pub since: Timestamp,
    /// Who served the zone then, by name.
    pub servers: BTreeSet<Name>,
    /// How long caches may lead to the old servers after the delegation has changed, in seconds: the longest TTL of the NS
    /// records and the longest of ours, together.
    pub linger: u32,
    /// Since when the world asks other servers.
    pub away: Option<Timestamp>,
    /// Whether this pass has seen that. Where nobody could be asked nothing is removed.
    pub certain: bool,
    /// What we wrote there.
    pub entries: BTreeMap<Key, Written>,
}

/// How a departure ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parting {
    /// What stood there by our hand is gone.
    Removed,
    /// It is the same zone, behind another door.
    SameZone,
    /// Another operator's owner text stands there now, so what is there is not ours to remove.
    TakenOver,
    /// Neither the provider object nor the zone exists any more.
    Gone,
    /// A person said that what stands there shall be left alone.
    LeftAlone,
}

impl Departure {
    fn begin(now: Timestamp) -> Self {
        Self {
            since: now,
            servers: BTreeSet::new(),
            linger: 0,
            away: None,
            certain: true,
            entries: BTreeMap::new(),
        }
    }

    /// When what stands there may go, if the world goes on asking others.
    pub fn ends(&self) -> Option<Timestamp> {
        let linger = SignedDuration::from_secs(i64::from(self.linger));
        self.away?.checked_add(linger).ok()
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.certain && self.ends().is_some_and(|end| now >= end)
    }

    /// Takes in what was seen of the delegation. `None`: nobody could be asked.
    pub fn saw(&mut self, away: Option<bool>, now: Timestamp) {
        self.certain = away.is_some();
        match away {
            Some(true) => drop(self.away.get_or_insert(now)),
            Some(false) => self.away = None,
            None => {}
        }
    }
}

/// Who is at home where: the ledger after this pass has noticed every move.
#[derive(Debug, Default)]
pub(super) struct Housed {
    /// What we wrote, each at the home of its name. What is new there is not settled.
    pub(super) written: BTreeMap<Key, Written>,
    /// What is left elsewhere.
    pub(super) leaving: Leaving,
    /// Departures that end because of what is known already.
    pub(super) partings: BTreeMap<Home, Parting>,
    /// What nobody declares any more and has to stay for a while, at its new home too.
    pub(super) carried: Vec<Group>,
    /// What moves in this pass.
    pub(super) moved: BTreeSet<Key>,
}

/// Compares the homes of the ledger with those of the declaration. Where nothing is published nothing moves; neither does a
/// name that no provider serves any more.
pub(super) fn housed(situation: &Situation<'_>) -> Housed {
    let mut housed = Housed {
        written: situation.written.clone(),
        leaving: situation.leaving.clone(),
        ..Housed::default()
    };
    if situation.conduct.mode != Mode::Publish {
        return housed;
    }
    for (key, entry) in &mut housed.written {
        let Some(Ok(home)) = situation.places.get(&key.name) else {
            continue;
        };
        if entry.home == *home {
            continue;
        }
        let back = housed.leaving.get_mut(home).and_then(|d| d.entries.remove(key));
        let arrived = arrived(entry, home, back);
        let left = std::mem::replace(entry, arrived);
        let departure = housed.leaving.entry(left.home.clone());
        let departure = departure.or_insert_with(|| Departure::begin(situation.now));
        departure.entries.insert(key.clone(), left);
        housed.moved.insert(key.clone());
    }
    return_home(&mut housed, situation);
    housed
        .leaving
        .retain(|_, departure| !departure.entries.is_empty());
    part_early(&mut housed, situation);
    housed.carried = carried(&housed, situation);
    housed
}

/// The entry at the new home: what stood there before we left it, if we did, else nothing yet that was seen. Our values are
/// recognised there, and what was decided about them goes on.
fn arrived(entry: &Written, home: &Home, back: Option<Written>) -> Written {
    let marks = Marks {
        war: War::default(),
        ..entry.marks.clone()
    };
    let known = back.unwrap_or_else(|| Written {
        home: home.clone(),
        values: entry.values.clone(),
        settled: false,
        before: None,
        ..entry.clone()
    });
    Written {
        withdraw_after: entry.withdraw_after,
        marks,
        ..known
    }
}

/// What was left at a home that serves the name again and that nobody wrote elsewhere meanwhile.
fn return_home(housed: &mut Housed, situation: &Situation<'_>) {
    for (home, departure) in &mut housed.leaving {
        let is_home = |key: &Key| matches!(situation.places.get(&key.name), Some(Ok(place)) if place == home);
        let entries = std::mem::take(&mut departure.entries);
        for (key, entry) in entries {
            if is_home(&key) {
                housed.written.entry(key).or_insert(entry);
            } else {
                departure.entries.insert(key, entry);
            }
        }
    }
}

/// Departures that are none, or that a person has ended.
fn part_early(housed: &mut Housed, situation: &Situation<'_>) {
    let Housed {
        written,
        leaving,
        partings,
        ..
    } = housed;
    leaving.retain(|home, departure| {
        let parting = if situation.mandate.left_alone == Some(home.provider.as_str()) {
            Parting::LeftAlone
        } else if is_same_zone(situation, written, home, departure) {
            Parting::SameZone
        } else {
            return true;
        };
        partings.insert(home.clone(), parting);
        false
    });
}

/// Whether the owner text that was written at the new home is seen through the old one.
fn is_same_zone(
    situation: &Situation<'_>,
    written: &BTreeMap<Key, Written>,
    home: &Home,
    departure: &Departure,
) -> bool {
    let Some((key, Ok(live))) = owner::key(situation.domain).zip(situation.live.get(home)) else {
        return false;
    };
    let news = news(written, departure, &key);
    live.values(&key).any(|value| news.contains(value))
}

/// The owner texts that were written since the departure began.
fn news(written: &BTreeMap<Key, Written>, departure: &Departure, key: &Key) -> Values {
    let old = departure.entries.get(key).map(|entry| &entry.values);
    written
        .get(key)
        .into_iter()
        .flat_map(|entry| &entry.values)
        .filter(|value| old.is_some_and(|old| !old.contains(*value)))
        .cloned()
        .collect()
}

/// Keys that drain and hosts that retire: mail in flight needs them wherever the world asks.
fn carried(housed: &Housed, situation: &Situation<'_>) -> Vec<Group> {
    let wanted = |key: &Key| situation.groups.iter().any(|group| &group.key == key);
    let stays = |entry: &Written| {
        let mut dates = entry.marks.retiring.values().chain(&entry.withdraw_after);
        dates.any(|until| situation.now < *until)
    };
    let is_left = |key: &Key| housed.leaving.values().any(|d| d.entries.contains_key(key));
    let entries = housed.written.iter();
    entries
        .filter(|(key, entry)| !entry.settled && stays(entry) && is_left(key) && !wanted(key))
        .map(|(key, entry)| retire::as_group(key, entry, entry.values.clone()))
        .collect()
}

/// After everything else is decided: what was carried keeps its end, and what moved in and met something foreign is not ours
/// there.
pub(super) fn settle_in(plan: &mut Plan, housed: &Housed) {
    for group in &housed.carried {
        if let (Some(entry), Some(known)) = (plan.written.get_mut(&group.key), housed.written.get(&group.key))
        {
            entry.withdraw_after = known.withdraw_after;
        }
    }
    for row in &plan.rows {
        let is_foreign = matches!(row.step, Step::Conflict(_) | Step::Satisfied);
        if is_foreign && housed.moved.contains(&row.group.key) {
            plan.written.remove(&row.group.key);
        }
    }
}

/// Looks after what is left elsewhere: it stays, or its time has come. The end of the MailDomain is the end of every move;
/// only keys drain, as everywhere.
pub(super) fn leave(plan: &mut Plan, situation: &Situation<'_>) {
    for (home, departure) in situation.leaving {
        let is_end = situation.writer.is_some_and(|writer| writer.uid.is_none());
        let parting = if is_end || departure.is_due(situation.now) {
            remove(plan, situation, home, departure, is_end)
        } else {
            keep(plan, situation, departure);
            None
        };
        if let Some(parting) = parting {
            plan.leaving.remove(home);
            plan.partings.insert(home.clone(), parting);
        }
    }
}

/// A provider that is told a state goes on hearing of it.
fn keep(plan: &mut Plan, situation: &Situation<'_>, departure: &Departure) {
    for (key, entry) in &departure.entries {
        decide::keep_state(plan, situation, key, entry);
    }
}

fn remove(
    plan: &mut Plan,
    situation: &Situation<'_>,
    home: &Home,
    departure: &Departure,
    is_end: bool,
) -> Option<Parting> {
    let live = match situation.live.get(home) {
        Some(Ok(live)) => live,
        Some(Err(PublishError::ZoneMissing(_) | PublishError::ProviderMissing(_))) if !is_end => {
            return Some(Parting::Gone);
        }
        Some(Err(_)) | None => {
            keep(plan, situation, departure);
            return None;
        }
    };
    let owner = owner::key(situation.domain);
    let signature = owner
        .as_ref()
        .and_then(|key| Some((key, departure.entries.get(key)?)));
    if let Some((key, entry)) = signature
        && is_taken_over(live, key, entry)
    {
        return Some(Parting::TakenOver);
    }
    let mut rest = departure.entries.clone();
    rest.retain(|key, entry| {
        if entry.purpose == Purpose::Owner {
            return true;
        }
        if is_end && drains(situation, entry) {
            decide::keep_state(plan, situation, key, entry);
            return true;
        }
        take(plan, situation, home, key, entry, live)
    });
    // The owner text goes last: until then it says whose the rest is.
    if let Some((key, entry)) = signature
        && rest.len() == 1
        && !take(plan, situation, home, key, entry, live)
    {
        rest.clear();
    }
    if rest.is_empty() {
        return Some(Parting::Removed);
    }
    if let Some(departure) = plan.leaving.get_mut(home) {
        departure.entries = rest;
    }
    None
}

/// Whether an entry still stands there by our hand; then it is taken away.
fn take(
    plan: &mut Plan,
    situation: &Situation<'_>,
    home: &Home,
    key: &Key,
    entry: &Written,
    live: &Live,
) -> bool {
    // A provider that is told a state must hear that this left it.
    let part = decide::provider(plan, situation, home);
    match decide::taken(key, entry, entry.before.as_ref(), live) {
        Taken::Already => false,
        Taken::By(change) => {
            part.changes.push(change);
            true
        }
    }
}

/// Mail in flight may need the key wherever the world asks (RFC 6376 section 3.1).
fn drains(situation: &Situation<'_>, entry: &mut Written) -> bool {
    let end = situation.now + situation.drain;
    entry.purpose == Purpose::Dkim && situation.now < *entry.withdraw_after.get_or_insert(end)
}

fn is_taken_over(live: &Live, key: &Key, entry: &Written) -> bool {
    let foreign =
        |value: &Value| value.as_txt().is_some_and(owner::is_owner_text) && !entry.values.contains(value);
    live.values(key).any(foreign)
}

/// Whether the world asks other servers than those of the home that is left. `None`: that is not known.
///
/// Where the new home has an owner text of ours, `marks` are the answers of every delegated server to a question for it: a
/// server that gives one that was written since the departure serves the new home, under whatever name. Without it the
/// delegation must name none of the old servers any more, and none but the `new` ones where these are known: a zone may name
/// its new servers long before the zone above does.
pub fn is_away(
    departure: &Departure,
    delegation: Option<&Delegation>,
    new: &BTreeSet<Name>,
    owner: Option<&Key>,
    marks: Option<&[(Server, Answer)]>,
) -> Option<bool> {
    let delegation = delegation?;
    let signed = owner.and_then(|key| departure.entries.get(key));
    let (Some(signed), Some(marks)) = (signed, marks) else {
        let now = &delegation.servers;
        let is_new = new.is_empty() || now.is_subset(new);
        let known = !departure.servers.is_empty();
        return known.then(|| is_new && departure.servers.is_disjoint(now));
    };
    let asked = |name: &Name| marks.iter().any(|(server, _)| &server.name == name);
    if !delegation.servers.iter().all(asked) {
        // The servers of the zone above do not agree yet.
        return Some(false);
    }
    let mut all_known = true;
    for (_, answer) in marks {
        match answer.values() {
            Ok(values) if owner::is_newer(&values, &signed.values) => {}
            Ok(_) => return Some(false),
            Err(_) => all_known = false,
        }
    }
    all_known.then_some(true)
}

/// Records of others beside the mail, below a domain, whose absence is noticed first when a zone has moved.
const NEIGHBOURS: [&str; 12] = [
    "www",
    "mail",
    "smtp",
    "imap",
    "pop",
    "webmail",
    "mta-sts",
    "autoconfig",
    "autodiscover",
    "ftp",
    "vpn",
    "api",
];

/// Names at which the old and the new zone are compared besides those of our own records.
pub fn neighbours(domain: &Name) -> impl Iterator<Item = Name> {
    let children = NEIGHBOURS.iter().filter_map(|label| domain.child(label).ok());
    std::iter::once(domain.clone()).chain(children)
}

/// Types that each zone has of its own.
const OF_THE_ZONE: [&str; 10] = [
    "SOA",
    "NS",
    "DNSKEY",
    "CDS",
    "CDNSKEY",
    "RRSIG",
    "NSEC",
    "NSEC3",
    "NSEC3PARAM",
    "ZONEMD",
];

/// What others have at the old home and the new one lacks, as `name type value`; without a value where the type is not one
/// of ours. `new` is what stands where a name is at home now, `None` where that is not known.
pub fn lacking<'a>(
    departure: &Departure,
    old: &Live,
    new: impl Fn(&Name) -> Option<&'a Live>,
) -> Vec<String> {
    let mut lacking = Vec::new();
    for (key, rrset) in &old.rrsets {
        let Some(new) = new(&key.name) else { continue };
        let ours = departure.entries.get(key).map(|entry| &entry.values);
        let there = new.rrsets.get(key);
        for (raw, value) in &rrset.records {
            let is_ours = value
                .as_ref()
                .is_some_and(|v| ours.is_some_and(|ours| ours.contains(v)));
            let is_there = there.is_some_and(|there| {
                there.records.contains_key(raw)
                    || value.is_some() && there.records.values().any(|found| found == value)
            });
            if !is_ours && !is_there {
                lacking.push(format!("{key} {raw}"));
            }
        }
    }
    for (name, types) in &old.other_types {
        let Some(new) = new(name) else { continue };
        let there = new.other_types.get(name);
        let of_others = types.iter().filter(|kind| !OF_THE_ZONE.contains(&kind.as_str()));
        let gone = of_others.filter(|kind| there.is_none_or(|there| !there.contains(*kind)));
        lacking.extend(gone.map(|kind| format!("{name} {kind}")));
    }
    lacking
}
