//! What to write: a three-way comparison of what is wanted, what stands at the provider, and what we wrote before.
//!
//! Pure. What is not ours is kept by adding it to what is wanted, not by filtering it from the changes afterwards. A
//! plan is a value with a readable `Display`; an empty plan means no call at all.

mod breaker;
mod conflict;
mod decide;
mod group;
mod mandate;
mod marks;
mod merge;
mod moving;
mod owner;
mod retire;
mod stay;
pub mod war;
mod weigh;
mod wildcard;
mod withhold;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use crate::finding::Finding;
use crate::intent::{Conduct, Mode};
use crate::name::Name;
use crate::protocol::Purpose;
use crate::publish::{Change, Live, ProviderPlan, PublishError};
use crate::record::{Key, RecordType, Value, Values};
use crate::tenancy::{Home, Refusal};
use stay::Stays;

pub use breaker::HeldBack;
pub use conflict::{Offer, offer};
pub use group::{Group, group};
pub use mandate::{Explains, Mandate};
pub use marks::{Marks, War};
use moving::Housed;
pub use moving::{Departure, Leaving, Parting, is_away, lacking, neighbours};
use owner::Standing;
pub use owner::{Owner, Writer, is_owner, key as owner_key};
pub use retire::Retiring;
pub use weigh::to_weigh;
pub use withhold::{Why, Withheld, shadows, still_asked, zone_lines};

/// What this operator wrote at one RRset: a ledger entry, parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Where.
    pub home: Home,
    /// What for.
    pub purpose: Purpose,
    /// Our values; those of the write before stand beside them until `settled`.
    pub values: Values,
    /// Whether a read has shown our values there.
    pub settled: bool,
    /// A key record that nobody declares any more may go after this time.
    pub withdraw_after: Option<Timestamp>,
    /// What was replaced; given back when our values go.
    pub before: Option<Before>,
    /// What was decided about its values.
    pub marks: Marks,
}

/// Records of somebody else that were replaced, as the provider stored them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Before {
    /// Their TTL in seconds.
    pub ttl: u32,
    /// Their texts.
    pub records: BTreeSet<String>,
}

/// Everything that the plan follows from.
#[derive(Debug)]
pub struct Situation<'a> {
    /// The domain.
    pub domain: &'a Name,
    /// The declaration that all of this follows from.
    pub mandate: Mandate<'a>,
    /// TTL of our records, in seconds.
    pub ttl: u32,
    /// Who writes, for the owner text. `None`: without one.
    pub writer: Option<Writer<'a>>,
    /// How much may be written, and over what. In the modes Manual and Observe what stands in DNS takes the place of what
    /// stands at providers: each name has the home [`Home::in_dns`].
    pub conduct: Conduct,
    /// Providers that are told a state. They write over nothing that is not theirs, so nothing is adopted through them.
    pub told: &'a BTreeSet<String>,
    /// RRsets that somebody was asked to add, see [`crate::api::RecordLedgerSpec::asked`].
    pub asked: &'a BTreeSet<Key>,
    /// What is wanted, one group for each RRset.
    pub groups: &'a [Group],
    /// Where each name may be published, or why not.
    pub places: &'a BTreeMap<Name, Result<Home, Refusal>>,
    /// What stands at each provider's zones at the names in question, or why that is not known.
    pub live: &'a BTreeMap<Home, Result<Live, PublishError>>,
    /// What we wrote before.
    pub written: &'a BTreeMap<Key, Written>,
    /// What we wrote at homes whose names live elsewhere now.
    pub leaving: &'a Leaving,
    /// The present.
    pub now: Timestamp,
    /// How long a key record stays after nobody declares it any more.
    pub drain: jiff::SignedDuration,
}

/// What to write.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// By provider.
    pub providers: BTreeMap<String, ProviderPlan>,
    /// What becomes of each wanted RRset, in the order of the groups.
    pub rows: Vec<Row>,
    /// The ledger as it must be before any provider is called.
    pub written: BTreeMap<Key, Written>,
    /// The ledger's other part: what is left at homes whose names live elsewhere now.
    pub leaving: Leaving,
    /// Moves that have come to their end.
    pub partings: BTreeMap<Home, Parting>,
    /// Removals that wait for a person's word.
    pub held: Option<HeldBack>,
    /// What stays for a while beside what is declared.
    pub retiring: BTreeMap<Key, Retiring>,
    /// What is written because another hand changed it; see [`war::count`].
    pub reverts: BTreeSet<Key>,
    /// SPF terms that would retire and for which there is no room in the record.
    pub cut: BTreeMap<Key, Vec<String>>,
    /// The owner text of somebody else that is replaced, because a person gave it up.
    pub taken_over: Option<String>,
    /// What wildcards answer at declared names and will answer no more once our records stand there.
    pub shadowed: BTreeMap<Name, String>,
    /// Where nothing is written: who writes instead, if somebody does.
    pub note: Option<Finding>,
}

/// What becomes of one wanted RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What is wanted; where somebody else's record satisfies, what stands there.
    pub group: Group,
    /// Where it goes.
    pub home: Option<Home>,
    /// What is done about it.
    pub step: Step,
}

/// What is done about one wanted RRset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It stands there by our hand.
    InPlace,
    /// It stands there by another hand, as wanted or with more. Nothing is written, nothing is ever removed.
    Satisfied,
    /// It stands there by another hand, exactly as wanted, and is ours from now on.
    Adopt,
    /// It is written.
    Write,
    /// It is written in the place of something foreign, which the ledger keeps.
    Replace,
    /// It was ours and is different now: it is mended.
    Mend,
    /// Something foreign stands there. Nothing is written at this name and type; the message has the line to paste.
    Conflict(String),
    /// It may not be published.
    Refused(Refusal),
    /// What stands there is not known, so nothing is written.
    Unread(PublishError),
    /// It is not there as wanted, and writing it is not ours: because of the mode, a suspension, or drift that is
    /// reported only.
    Withheld(Withheld),
}

impl Step {
    /// Whether a provider is called for it.
    pub fn writes(&self) -> bool {
        match self {
            Self::Write | Self::Replace | Self::Mend => true,
            Self::InPlace
            | Self::Satisfied
            | Self::Adopt
            | Self::Conflict(_)
            | Self::Refused(_)
            | Self::Unread(_)
            | Self::Withheld(_) => false,
        }
    }

    /// Whether it stands there afterwards, if nothing fails.
    pub fn is_there(&self) -> bool {
        self.writes() || matches!(self, Self::InPlace | Self::Satisfied | Self::Adopt)
    }
}

impl Plan {
    /// Whether nothing is to be written.
    pub fn is_empty(&self) -> bool {
        self.changes().next().is_none()
    }

    /// Every change.
    pub fn changes(&self) -> impl Iterator<Item = &Change> {
        self.providers.values().flat_map(|provider| &provider.changes)
    }

    /// The names of every conflict.
    pub fn conflicts(&self) -> impl Iterator<Item = (&Key, &str)> {
        self.rows.iter().filter_map(|row| match &row.step {
            Step::Conflict(message) => Some((&row.group.key, message.as_str())),
            Step::InPlace
            | Step::Satisfied
            | Step::Adopt
            | Step::Write
            | Step::Replace
            | Step::Mend
            | Step::Refused(_)
            | Step::Unread(_)
            | Step::Withheld(_) => None,
        })
    }
}

impl fmt::Display for Plan {
    /// One line a record: `+` added, `-` removed, `~` changed TTL, `!` conflict, `=` a removal that is held back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for change in self.changes() {
            let Change {
                zone: _,
                key,
                before,
                ttl,
                keep,
                ours,
            } = change;
            let there = || before.iter().flat_map(|b| b.records.keys());
            let old: BTreeSet<String> = there().filter(|raw| !keep.contains(*raw)).cloned().collect();
            let given_back = keep.iter().filter(|raw| !there().any(|r| r == *raw)).cloned();
            let new: BTreeSet<String> = ours.iter().map(ToString::to_string).chain(given_back).collect();
            for gone in old.difference(&new) {
                writeln!(f, "- {key} {gone}")?;
            }
            for added in new.difference(&old) {
                writeln!(f, "+ {key} {added}")?;
            }
            if let Some(before) = before.as_ref().filter(|b| b.ttl != *ttl && !change.deletes()) {
                writeln!(f, "~ {key} TTL {} -> {ttl}", before.ttl)?;
            }
        }
        for (key, message) in self.conflicts() {
            writeln!(f, "! {key} {message}")?;
        }
        for line in self.held.iter().flat_map(HeldBack::lines) {
            writeln!(f, "= {line} is held back")?;
        }
        Ok(())
    }
}

/// Compares and decides.
pub fn plan(situation: &Situation<'_>) -> Plan {
    let ledger = situation;
    let housed = moving::housed(situation);
    let mut plan = Plan {
        written: housed.written.clone(),
        leaving: housed.leaving.clone(),
        partings: housed.partings.clone(),
        shadowed: wildcard::shadowed(situation),
        ..Plan::default()
    };
    let live = wildcard::dropped(situation);
    let remembered = with_past(situation, &housed);
    let situation = &Situation {
        groups: &remembered,
        live: &live,
        written: &housed.written,
        leaving: &housed.leaving,
        ..*situation
    };
    let mut stays = Stays::decide(situation);
    let (groups, whole) = (
        std::mem::take(&mut stays.groups),
        std::mem::take(&mut stays.whole),
    );
    stays.note(&mut plan);
    let situation = &Situation {
        groups: &groups,
        ..*situation
    };
    let aliases: BTreeSet<&Name> = situation
        .groups
        .iter()
        .filter(|g| g.key.record_type == RecordType::Cname)
        .map(|g| &g.key.name)
        .collect();
    for group in situation.groups {
        let clash = aliases.contains(&group.key.name) && group.key.record_type != RecordType::Cname;
        decide::wanted(&mut plan, situation, group, clash);
    }
    moving::settle_in(&mut plan, &housed);
    let standing = owner::judge(situation);
    if situation.conduct.mode == Mode::Publish {
        owner::hold(&mut plan, ledger, &standing);
    }
    if !situation.conduct.publishes() {
        plan.note = owner::note(situation, &standing);
        return withhold::only_look(plan, ledger);
    }
    match standing {
        Standing::Unread(..) | Standing::Elsewhere(..) => return plan,
        Standing::Without => decide::unwanted(&mut plan, situation, &whole),
        Standing::Ours(ours) => {
            decide::unwanted(&mut plan, situation, &whole);
            owner::sign(&mut plan, situation, &ours);
        }
    }
    moving::leave(&mut plan, situation);
    for provider in plan.providers.values_mut() {
        // Additions before removals, DMARC last in and first out (design section 4).
        let renewed: BTreeSet<Key> = provider
            .changes
            .iter()
            .filter(|c| !c.ours.is_empty())
            .map(|c| c.key.clone())
            .collect();
        provider.changes.sort_by_key(|change| order(change, &renewed));
    }
    plan
}

/// The groups, and what stays at a new home; each knows what we wrote at it before. A kind of text that was declared there
/// and is no more would otherwise count as somebody else's, and stay for ever.
fn with_past(situation: &Situation<'_>, housed: &Housed) -> Vec<Group> {
    let groups = situation.groups.iter().chain(&housed.carried);
    let mut groups: Vec<Group> = groups.cloned().collect();
    for group in &mut groups {
        if let Some(entry) = housed.written.get(&group.key) {
            let other_kind = |value: &&Value| !group.claims(value);
            group.past = entry.values.iter().filter(other_kind).cloned().collect();
        }
    }
    groups
}

/// The owner text guards all the rest. Removing DMARC comes first, writing it last; other removals come after the additions,
/// except where an alias makes room for what replaces it, or is made room for.
fn order(change: &Change, renewed: &BTreeSet<Key>) -> u8 {
    if is_owner(change) {
        return 0;
    }
    let dmarc = change.key.name.as_str().starts_with("_dmarc.");
    let is_alias = |key: &Key| key.record_type == RecordType::Cname;
    let makes_room = || {
        renewed
            .iter()
            .any(|key| key.name == change.key.name && (is_alias(key) || is_alias(&change.key)))
    };
    match (change.ours.is_empty(), dmarc) {
        // A policy that is given back counts like one that is written.
        (true, true) if change.gives_back() => 5,
        (true, true) => 1,
        (true, false) if makes_room() => 2,
        (false, false) => 3,
        (true, false) => 4,
        (false, true) => 5,
    }
}

#[cfg(test)]
mod tests;
