//! What would become of a declaration: the plan of the next pass, row by row, as data for people. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use super::documents::Declared;
use super::subject::{Subject, all_keys};
use super::{moving, past};
use crate::api::{DeletionPolicy, DmarcPolicy};
use crate::intent::{Conduct, Intent, KeyAlgorithm, KeySource, Mode, Sender};
use crate::name::Name;
use crate::plan::{
    Explains, Group, Leaving, Mandate, Plan, Row, Situation, Step, group, offer, owner_key, plan, shadows,
    to_weigh,
};
use crate::protocol::spf::Burden;
use crate::protocol::{self, Declaration, PolicyGate, dmarc};
use crate::publish::{Change, Live, LiveRrset, PublishError};
use crate::record::{Key, RecordType, Value, Values};
use crate::tenancy::Home;

/// What DNS shows at each name.
pub(super) type Seen = BTreeMap<Home, Result<Live, PublishError>>;

/// What SPF records cost receivers.
pub(super) type Burdens = BTreeMap<Name, Burden>;

/// At what moment, and whether for the end.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    /// The present.
    pub(super) now: Timestamp,
    /// How long a key record stays after nobody declares it any more.
    pub(super) drain: SignedDuration,
    /// Whether the MailDomain is deleted.
    pub(super) deleted: bool,
}

/// The plan of one MailDomain.
#[derive(Debug)]
pub(super) struct Preview {
    /// The MailDomain's domain.
    pub(super) domain: Name,
    /// Where it was declared, in words.
    pub(super) source: String,
    /// `metadata.name`.
    pub(super) name: String,
    /// `metadata.namespace`.
    pub(super) namespace: Option<String>,
    /// What a reader should know first.
    pub(super) notes: Vec<String>,
    /// What becomes of each RRset.
    pub(super) entries: Vec<Entry>,
    /// What an ExternalDNS would be told.
    pub(super) state: BTreeMap<Key, (u32, Values)>,
}

/// What becomes of one RRset.
#[derive(Debug)]
pub(super) struct Entry {
    /// Owner name; of a key that is not made yet, with a pattern for its selector.
    pub(super) name: String,
    /// Its type.
    pub(super) record_type: RecordType,
    /// TTL of what is added, in seconds.
    pub(super) ttl: u32,
    /// What becomes of it.
    pub(super) fate: Fate,
    /// What a reader should know.
    pub(super) note: Option<String>,
}

/// What becomes of an RRset. Values are in presentation format.
#[derive(Debug)]
pub(super) enum Fate {
    /// Added, after what is removed; another TTL before.
    Write {
        /// Removed.
        removed: Vec<String>,
        /// Added.
        added: Vec<String>,
        /// The TTL before, where it is another.
        ttl_before: Option<u32>,
    },
    /// Added; what exactly is not known yet.
    Promised(String),
    /// The owner text is added; what exactly only the cluster knows.
    Signed(String),
    /// There already.
    There(Vec<String>),
    /// Something foreign stands in the way.
    Conflict {
        /// What stands there.
        there: Vec<String>,
        /// What to replace it by; empty where that does not help.
        paste: Vec<String>,
        /// The reason.
        why: String,
    },
    /// Not known.
    Unread {
        /// What is wanted.
        wanted: Vec<String>,
        /// Why.
        why: String,
    },
}

/// The names that a declaration is about, and those that hold records of its past: all that are to be looked at.
pub(super) fn names(subject: &Subject, private_zone: bool) -> BTreeSet<Name> {
    let intent = &subject.declared.intent;
    let keys = subject.keys();
    let declaration = Declaration {
        intent,
        keys: &keys,
        policy_gate: PolicyGate::Held(DmarcPolicy::None),
        private_zone,
    };
    let wanted = protocol::desired(&declaration).into_iter().map(|w| w.key.name);
    let imported = all_keys(intent).filter_map(|(_, key)| match &key.source {
        KeySource::Import { selector, .. } => selector.record_name(&intent.domain).ok(),
        KeySource::Generate { .. } | KeySource::PublicKey { .. } | KeySource::Delegate { .. } => None,
    });
    let owner = owner_key(&intent.domain).filter(|_| is_signed(intent));
    wanted
        .chain(imported)
        .chain(subject.past().keys().map(|key| key.name.clone()))
        .chain(owner.map(|key| key.name))
        .collect()
}

/// Whether the owner text would be written.
fn is_signed(intent: &Intent) -> bool {
    intent.conduct.mode == Mode::Publish && !intent.providers.is_empty()
}

/// The plan, from what DNS shows; without it nothing is known of the zone, and everything is an addition.
pub(super) fn preview(
    subject: &Subject,
    seen: Option<&(Seen, Burdens)>,
    private_zone: bool,
    when: When,
) -> Preview {
    let Declared {
        file,
        name,
        namespace,
        uid: _,
        deletion_policy,
        intent,
    } = &subject.declared;
    let unseen = || {
        let names = names(subject, private_zone).into_iter();
        names
            .map(|name| (Home::in_dns(&name), Ok(Live::default())))
            .collect()
    };
    let (live, burdens) = &seen.cloned().unwrap_or_else(|| (unseen(), Burdens::new()));
    let gate = dmarc::policy_gate(intent, false, |key| {
        live.values()
            .flatten()
            .flat_map(|live| live.values(key))
            .collect()
    });
    let retained =
        when.deleted && (*deletion_policy == DeletionPolicy::Retain || !intent.conduct.publishes());
    let plan = if retained {
        Plan::default()
    } else {
        planned(subject, (live, burdens), gate, private_zone, when)
    };
    let mut entries: Vec<Entry> = plan
        .rows
        .iter()
        .map(|row| entry(row, &plan, live, burdens, intent.ttl))
        .collect();
    if !when.deleted {
        let unmade = subject.unmade();
        entries.extend(unmade.filter_map(|(sender, key)| promised(intent, sender, key, live)));
        entries.extend(signature(intent, live));
    }
    entries.extend(past::leaving(subject, &plan, retained));
    if !retained {
        entries.extend(moving::entries(subject, when));
    }
    // Reverse names are in zones of their own.
    entries.sort_by_key(|entry| entry.record_type == RecordType::Ptr);
    let mut notes = notes(intent, gate, when);
    notes.extend(moving::notes(subject, when));
    if seen.is_none() {
        notes.push("nothing is known of the zone without --live, so everything is an addition".to_owned());
    }
    Preview {
        domain: intent.domain.clone(),
        source: format!("MailDomain {name}, {file}"),
        name: name.clone(),
        namespace: namespace.clone(),
        notes,
        entries,
        state: state(&plan),
    }
}

/// What a pass would do, were it allowed to.
fn planned(
    subject: &Subject,
    (live, burdens): (&Seen, &Burdens),
    gate: PolicyGate,
    private_zone: bool,
    when: When,
) -> Plan {
    situated(subject, live, gate, private_zone, when, |situation| {
        plan(&Situation {
            mandate: Mandate {
                burdens,
                ..situation.mandate
            },
            ..*situation
        })
    })
}

/// The SPF records whose cost for receivers is to be found out for the plan.
pub(super) fn to_be_weighed(
    subject: &Subject,
    live: &Seen,
    private_zone: bool,
    when: When,
) -> BTreeMap<Name, String> {
    // They are the same whether the policy is held or not.
    let gate = PolicyGate::Held(DmarcPolicy::None);
    situated(subject, live, gate, private_zone, when, to_weigh)
}

fn situated<R>(
    subject: &Subject,
    live: &Seen,
    gate: PolicyGate,
    private_zone: bool,
    when: When,
    then: impl FnOnce(&Situation<'_>) -> R,
) -> R {
    let intent = &subject.declared.intent;
    let declaration = Declaration {
        intent,
        keys: &subject.keys(),
        policy_gate: gate,
        private_zone,
    };
    let groups = if when.deleted {
        Vec::new()
    } else {
        group(protocol::desired(&declaration))
    };
    // A declaration that is planned for is a new one: it explains what it drops.
    let mandate = if when.deleted {
        Mandate::END
    } else {
        Mandate {
            explains: Explains::New,
            retire_after: intent.retire_after,
            ..Mandate::END
        }
    };
    then(&Situation {
        domain: &intent.domain,
        mandate,
        ttl: intent.ttl,
        writer: None,
        conduct: Conduct {
            mode: Mode::Publish,
            suspend: false,
            ..intent.conduct
        },
        told: &BTreeSet::new(),
        asked: &BTreeSet::new(),
        groups: &groups,
        places: &live
            .keys()
            .map(|home| (home.zone.clone(), Ok(home.clone())))
            .collect(),
        live,
        written: subject.past(),
        // Where it stands DNS does not show; see `moving`.
        leaving: &Leaving::new(),
        now: when.now,
        drain: when.drain,
    })
}

/// The line of a key that does not exist yet, or that only the cluster has.
fn promised(intent: &Intent, sender: &Sender, key: &crate::intent::Key, live: &Seen) -> Option<Entry> {
    let whose = format!("key {} of sender {}", key.name, sender.name);
    let (selector, text, note) = match &key.source {
        KeySource::Generate { algorithm, .. } => {
            let kind = match algorithm {
                KeyAlgorithm::RSA => "rsa",
                KeyAlgorithm::Ed25519 => "ed25519",
            };
            (
                format!("{}-????????", sender.selector_prefix),
                format!("\"v=DKIM1; k={kind}; p=...\""),
                format!(
                    "{whose}: made in the cluster; its selector follows from the object's UID, so it is not known here"
                ),
            )
        }
        KeySource::Import {
            selector,
            secret,
            entry,
        } => {
            let stands = selector.record_name(&intent.domain).ok().and_then(|name| {
                let read = live.get(&Home::in_dns(&name))?.as_ref().ok()?;
                read.rrsets.get(&Key::new(name, RecordType::Txt))
            });
            let besides = if stands.is_some() {
                "; a record stands there, and whether it is of that key shows in the cluster only"
            } else {
                ""
            };
            (
                selector.to_string(),
                "\"v=DKIM1; k=...; p=...\"".to_owned(),
                format!(
                    "{whose}: the public half of {entry} in the Secret {secret}, which is in the cluster{besides}"
                ),
            )
        }
        KeySource::PublicKey { .. } | KeySource::Delegate { .. } => return None,
    };
    Some(Entry {
        name: format!("{selector}._domainkey.{}", intent.domain),
        record_type: RecordType::Txt,
        ttl: intent.ttl,
        fate: Fate::Promised(text),
        note: Some(note),
    })
}

/// The line of the owner text.
fn signature(intent: &Intent, live: &Seen) -> Option<Entry> {
    let key = owner_key(&intent.domain).filter(|_| is_signed(intent))?;
    let read = live
        .get(&Home::in_dns(&key.name))
        .and_then(|read| read.as_ref().ok());
    let there: Vec<String> = read
        .into_iter()
        .flat_map(|live| live.values(&key))
        .map(Value::to_string)
        .collect();
    let (fate, note) = if there.is_empty() {
        (
            Fate::Signed("\"v=maildomain1; cluster=...; uid=...; epoch=...\"".to_owned()),
            "the owner text: says which operator writes this domain, so that two never write in turns",
        )
    } else {
        (
            Fate::There(there),
            "the owner text of an operator; unless it is this MailDomain's own, nothing is written",
        )
    };
    Some(Entry {
        name: key.name.to_string(),
        record_type: key.record_type,
        ttl: intent.ttl,
        fate,
        note: Some(note.to_owned()),
    })
}

pub(super) fn texts<'a>(values: impl IntoIterator<Item = &'a Value>) -> Vec<String> {
    values.into_iter().map(ToString::to_string).collect()
}

fn entry(row: &Row, plan: &Plan, live: &Seen, burdens: &Burdens, ttl: u32) -> Entry {
    let Row { group, home: _, step } = row;
    let change = plan.changes().find(|change| change.key == group.key);
    let (fate, note) = match step {
        Step::InPlace | Step::Satisfied => (Fate::There(texts(&group.values)), None),
        Step::Adopt => (
            adopted(group, live, ttl),
            Some("becomes the operator's (spec.publishing.adoption)".to_owned()),
        ),
        Step::Write | Step::Mend => {
            let shadow = plan.shadowed.get(&group.key.name);
            (written(group, change), shadow.map(|answers| shadows(answers)))
        }
        Step::Replace => (
            written(group, change),
            Some("what is replaced is kept and given back at the end (spec.publishing.adoption)".to_owned()),
        ),
        Step::Conflict(why) => conflict(group, live, burdens, why),
        Step::Withheld(withheld) => conflict(group, live, burdens, &withheld.message),
        Step::Refused(refusal) => (unread(group, refusal.to_string()), None),
        Step::Unread(error) => (unread(group, error.to_string()), None),
    };
    Entry {
        name: group.key.name.to_string(),
        record_type: group.key.record_type,
        ttl: change.map_or_else(|| shared_ttl(group, live).unwrap_or(ttl), |change| change.ttl),
        fate,
        note,
    }
}

/// The TTL of an RRset in which others have values: all records of one share it (RFC 2181 section 5.2).
fn shared_ttl(group: &Group, live: &Seen) -> Option<u32> {
    let rrset = standing(group, live)?;
    let is_others =
        |value: &Option<Value>| group.is_shared() && value.as_ref().is_none_or(|v| !group.claims(v));
    rrset.records.values().any(is_others).then_some(rrset.ttl)
}

/// What is adopted stands there, and gets our TTL in the pass after.
fn adopted(group: &Group, live: &Seen, ttl: u32) -> Fate {
    let before = standing(group, live).map(|rrset| rrset.ttl);
    match before.filter(|before| shared_ttl(group, live).is_none() && *before != ttl) {
        None => Fate::There(texts(&group.values)),
        ttl_before => Fate::Write {
            removed: Vec::new(),
            added: Vec::new(),
            ttl_before,
        },
    }
}

fn standing<'a>(group: &Group, live: &'a Seen) -> Option<&'a LiveRrset> {
    let read = live.get(&Home::in_dns(&group.key.name))?.as_ref().ok()?;
    read.rrsets.get(&group.key)
}

fn unread(group: &Group, why: String) -> Fate {
    Fate::Unread {
        wanted: texts(&group.values),
        why,
    }
}

/// What a change takes away and adds.
fn written(group: &Group, change: Option<&Change>) -> Fate {
    let before = change.and_then(|change| change.before.as_ref());
    let added = texts(&group.values);
    let gone = |raw: &&String| {
        let kept = change.is_some_and(|change| change.keep.contains(*raw));
        !kept && !added.contains(raw)
    };
    let there: Vec<String> = before.iter().flat_map(|b| b.records.keys()).cloned().collect();
    Fate::Write {
        removed: there.iter().filter(gone).cloned().collect(),
        ttl_before: before
            .filter(|b| change.is_some_and(|c| c.ttl != b.ttl))
            .map(|b| b.ttl),
        added: added.into_iter().filter(|text| !there.contains(text)).collect(),
    }
}

fn conflict(group: &Group, live: &Seen, burdens: &Burdens, why: &str) -> (Fate, Option<String>) {
    let rrset = standing(group, live);
    let there: Vec<String> = rrset
        .iter()
        .flat_map(|rrset| &rrset.records)
        .filter(|(_, value)| value.as_ref().is_none_or(|v| group.claims(v)))
        .map(|(raw, _)| raw.clone())
        .collect();
    // An alias in the way is another RRset: no record to paste helps there.
    let (paste, note) = if there.is_empty() {
        (Vec::new(), None)
    } else {
        let offer = offer(group, rrset, burdens);
        // Without a line to paste the reason says all.
        let note = offer.note.filter(|_| !offer.values.is_empty());
        (texts(&offer.values), note)
    };
    let why = why.to_owned();
    (Fate::Conflict { there, paste, why }, note)
}

/// What a reader should know before the lines.
fn notes(intent: &Intent, gate: PolicyGate, when: When) -> Vec<String> {
    let mut notes = Vec::new();
    if when.deleted {
        notes.push("what the deletion of the MailDomain does".to_owned());
        if !intent.conduct.publishes() {
            notes.push("deleted while nothing is written, it leaves its records".to_owned());
        }
        return notes;
    }
    match intent.conduct.mode {
        Mode::Manual => notes.push("mode Manual: nothing is written; add what is marked + yourself".to_owned()),
        Mode::Observe => notes.push("mode Observe: nothing is written, no key is made".to_owned()),
        Mode::Publish if intent.providers.is_empty() => notes.push(
            "spec.publishing.providerRefs is empty, so nothing would be written; name a provider, or set spec.publishing.mode to Manual"
                .to_owned(),
        ),
        Mode::Publish => {}
    }
    if intent.conduct.suspend {
        notes.push("spec.suspend is true: nothing is written".to_owned());
    }
    if let (PolicyGate::Held(_), Some(dmarc)) = (gate, &intent.dmarc) {
        notes.push(format!(
            "the DMARC policy {:?} is held back until every sender is proven",
            dmarc.policy
        ));
    }
    notes
}

/// What is to be written, with the foreign values beside it: ExternalDNS takes each RRset whole.
fn state(plan: &Plan) -> BTreeMap<Key, (u32, Values)> {
    let written: BTreeSet<&Key> = plan
        .rows
        .iter()
        .filter(|row| row.step.writes())
        .map(|row| &row.group.key)
        .collect();
    plan.providers
        .values()
        .flat_map(|part| &part.state)
        .filter(|(key, _)| written.contains(key))
        .map(|(key, state)| (key.clone(), state.clone()))
        .collect()
}
