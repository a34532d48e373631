//! Whose domain it is: the owner text at `_maildomain.<domain>`, by which two operators never write in turns. Pure.
//!
//! ```text
//! v=maildomain1; cluster=<UID of the namespace kube-system>; uid=<UID of the MailDomain>; epoch=<number>
//! ```
//!
//! Every pass that writes anything writes this first, with a higher epoch, in the transaction of the domain's own zone. So
//! the provider's compare-and-swap guards all of the pass by it: who read an older text writes nothing. What we wrote is in
//! the ledger. A text that stands there and is not in it was written by somebody else: another cluster, another MailDomain,
//! or this very one in another copy of the cluster, where a backup was restored beside the original. Then no provider is
//! called for the domain until a person says so ([`TAKE_OVER`]).

use std::fmt;

use super::decide::{self, kept, ttl_for};
use super::{Group, Marks, Plan, Row, Situation, Step, Written, conflict};
use crate::api::{Severity, TAKE_OVER};
use crate::finding::{Finding, Gate};
use crate::intent::Mode;
use crate::name::Name;
use crate::protocol::{Purpose, Sharing};
use crate::publish::{Change, Live, LiveRrset, PublishError};
use crate::record::{Key, RecordType, Value, Values};
use crate::tenancy::{Home, Refusal};

const LABEL: &str = "_maildomain";
/// How every owner text begins, of whatever version.
const KIND: &str = "v=maildomain";
/// How those begin that this version writes and reads.
const VERSION: &str = "v=maildomain1;";

/// The RRset of a domain's owner text. `None`: the domain is too long for it, so it goes without.
pub fn key(domain: &Name) -> Option<Key> {
    let name = domain.child(LABEL).ok()?;
    Some(Key::new(name, RecordType::Txt))
}

/// Whether a change is about an owner text.
pub fn is_owner(change: &Change) -> bool {
    change.key.record_type == RecordType::Txt && change.key.name.labels().next() == Some(LABEL)
}

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer<'a> {
    /// The cluster: the UID of its namespace kube-system.
    pub cluster: &'a str,
    /// The UID of the MailDomain. `None`: it is gone, and what it wrote is withdrawn.
    pub uid: Option<&'a str>,
    /// Value of the annotation [`TAKE_OVER`]: the foreign text that may be replaced, or its epoch.
    pub take_over: Option<&'a str>,
}

/// An owner text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owner {
    /// The cluster that wrote it.
    pub cluster: String,
    /// The MailDomain that it was written for.
    pub uid: String,
    /// Rises with every pass that writes. It is the time of that pass in microseconds since 1970, or one more than the
    /// epoch before where the clock went back; so two copies of one memory never choose the same.
    pub epoch: u64,
}

impl Owner {
    /// Reads the form that [`fmt::Display`] writes, and no other.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.strip_prefix(VERSION)?.split(';');
        let mut next = |tag: &str| parts.next()?.strip_prefix(' ')?.strip_prefix(tag);
        let (cluster, uid, epoch) = (next("cluster=")?, next("uid=")?, next("epoch=")?);
        let is_id = |id: &str| {
            let mut letters = id.bytes();
            (1..=64).contains(&id.len()) && letters.all(|b| b.is_ascii_alphanumeric() || b == b'-')
        };
        // No sign and no leading zero: one number has one form.
        let is_number =
            epoch.bytes().all(|b| b.is_ascii_digit()) && (epoch == "0" || !epoch.starts_with('0'));
        (parts.next().is_none() && is_id(cluster) && is_id(uid) && is_number).then_some(())?;
        Some(Self {
            cluster: cluster.to_owned(),
            uid: uid.to_owned(),
            epoch: epoch.parse().ok()?,
        })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cluster, uid, epoch } = self;
        write!(f, "{VERSION} cluster={cluster}; uid={uid}; epoch={epoch}")
    }
}

/// Who owns a domain, as far as this pass can tell.
#[derive(Debug)]
pub(super) enum Standing<'a> {
    /// Nobody can say: no provider of ours serves the domain's own name, it is one that is told a state, or an alias stands
    /// in the way.
    Without,
    /// What stands there is not known, so nothing is written.
    Unread(Home, PublishError),
    /// Somebody else; the message says who, and what to do.
    Elsewhere(Home, Values, String),
    /// Us, or nobody yet.
    Ours(Ours<'a>),
}

/// The owner text may be written.
#[derive(Debug)]
pub(super) struct Ours<'a> {
    key: Key,
    home: Home,
    live: &'a Live,
    /// The text that stands there.
    stands: Option<Owner>,
    writer: Writer<'a>,
}

/// Compares what stands there with what we remember.
pub(super) fn judge<'a>(situation: &Situation<'a>) -> Standing<'a> {
    let (Some(writer), Some(key)) = (situation.writer, key(situation.domain)) else {
        return Standing::Without;
    };
    let entry = situation.written.get(&key);
    let home = match (situation.places.get(&key.name), writer.uid, entry) {
        (Some(Ok(home)), _, _) => home.clone(),
        // What is withdrawn has no place any more.
        (None, None, Some(entry)) => entry.home.clone(),
        (Some(Err(_)), _, _) | (None, Some(_), _) | (None, None, None) => return Standing::Without,
    };
    let live = match situation.live.get(&home) {
        Some(Ok(live)) => live,
        Some(Err(error)) => return Standing::Unread(home, error.clone()),
        None => return Standing::Unread(home, PublishError::Unreachable),
    };
    let alias = Key::new(key.name.clone(), RecordType::Cname);
    if live.rrsets.contains_key(&alias) {
        return Standing::Without;
    }
    let texts = owner_texts(live.rrsets.get(&key));
    if situation.told.contains(&home.provider) {
        return told(situation, writer, home, &texts);
    }
    let stands = match texts.as_slice() {
        [] => None,
        [text] => match Owner::parse(text) {
            Some(owner) if is_ours(&owner, writer, entry, situation) => Some(owner),
            owner if is_taken(text, owner.as_ref(), writer) => owner,
            owner => {
                let message = elsewhere(situation, writer, text, owner.as_ref());
                return Standing::Elsewhere(home, values(&texts), message);
            }
        },
        [_, _, ..] => {
            let message = format!(
                "{} owner texts stand at {}, and nothing is written anywhere; remove all but that of the operator that owns {} by hand",
                texts.len(),
                key.name,
                situation.domain
            );
            return Standing::Elsewhere(home, values(&texts), message);
        }
    };
    Standing::Ours(Ours {
        key,
        home,
        live,
        stands,
        writer,
    })
}

/// Where a provider is told a state, no text is written: it goes out late and to one server after the other, so that nobody
/// could say which epoch stands; whose the records are is in its own registry. A text of another cluster counts.
fn told<'a>(situation: &Situation<'a>, writer: Writer<'_>, home: Home, texts: &[&str]) -> Standing<'a> {
    let foreign = texts.iter().find_map(|text| {
        let owner = Owner::parse(text);
        let ours = owner
            .as_ref()
            .is_some_and(|owner| owner.cluster == writer.cluster);
        (!ours && !is_taken(text, owner.as_ref(), writer)).then_some((text, owner))
    });
    match foreign {
        None => Standing::Without,
        Some((text, owner)) => {
            let message = elsewhere(situation, writer, text, owner.as_ref());
            Standing::Elsewhere(home, values(texts), message)
        }
    }
}

/// The texts of any version; other texts may come from a wildcard.
fn owner_texts(rrset: Option<&LiveRrset>) -> Vec<&str> {
    let there = rrset
        .into_iter()
        .flat_map(|rrset| rrset.records.values().flatten());
    let texts = there.filter_map(Value::as_txt);
    texts.filter(|text| is_owner_text(text)).collect()
}

pub(super) fn is_owner_text(text: &str) -> bool {
    let begin = text.get(..KIND.len());
    begin.is_some_and(|begin| begin.eq_ignore_ascii_case(KIND))
}

fn values(texts: &[&str]) -> Values {
    texts.iter().map(|text| Value::Txt((*text).to_owned())).collect()
}

fn owners(values: &Values) -> impl Iterator<Item = Owner> {
    values.iter().filter_map(Value::as_txt).filter_map(Owner::parse)
}

fn remembered(entry: &Written) -> impl Iterator<Item = Owner> {
    owners(&entry.values)
}

/// Whether one of these texts is of the same operator as the known ones and newer than all of them.
pub(super) fn is_newer(texts: &Values, known: &Values) -> bool {
    let known: Vec<Owner> = owners(known).collect();
    let same = |owner: &Owner, other: &Owner| owner.cluster == other.cluster && owner.uid == other.uid;
    let newer = |owner: &Owner| known.iter().all(|k| same(owner, k) && k.epoch < owner.epoch);
    !known.is_empty() && owners(texts).any(|owner| newer(&owner))
}

fn newest(entry: Option<&Written>) -> Option<Owner> {
    entry
        .into_iter()
        .flat_map(remembered)
        .max_by_key(|owner| owner.epoch)
}

/// Whether we wrote it: the ledger says so, or it is our own and older than all that the ledger says, as in a zone that was
/// restored. Where no ledger is left, our name is enough.
fn is_ours(owner: &Owner, writer: Writer<'_>, entry: Option<&Written>, situation: &Situation<'_>) -> bool {
    let known: Vec<Owner> = entry.into_iter().flat_map(remembered).collect();
    match known.iter().min_by_key(|known| known.epoch) {
        Some(oldest) => {
            let is_older =
                owner.cluster == oldest.cluster && owner.uid == oldest.uid && owner.epoch < oldest.epoch;
            is_older || known.contains(owner)
        }
        None => {
            owner.cluster == writer.cluster
                && writer.uid == Some(&owner.uid)
                && situation.written.values().all(|entry| entry.values.is_empty())
        }
    }
}

/// Whether a person gave this very text up for us.
fn is_taken(text: &str, owner: Option<&Owner>, writer: Writer<'_>) -> bool {
    let said = writer.take_over.map(str::trim);
    said.is_some_and(|said| said == text || owner.is_some_and(|owner| said == owner.epoch.to_string()))
}

fn elsewhere(situation: &Situation<'_>, writer: Writer<'_>, text: &str, owner: Option<&Owner>) -> String {
    let domain = situation.domain;
    let shown = conflict::shorten(&Value::Txt(text.to_owned()).to_string(), 200);
    let (whose, proof) = match owner {
        None => (
            "it is of a form that this version does not know".to_owned(),
            "the text".to_owned(),
        ),
        Some(owner) => {
            let whose = if owner.cluster != writer.cluster {
                "another cluster owns the domain"
            } else if writer.uid.is_some_and(|uid| uid != owner.uid) {
                "another MailDomain of this cluster owns the domain"
            } else {
                "this cluster's memory is older than the zone: it was restored or cloned"
            };
            (whose.to_owned(), format!("\"{}\"", owner.epoch))
        }
    };
    format!(
        "{shown} stands at {LABEL}.{domain}: {whose}. Nothing is written at any provider. If whoever wrote it is gone, take over: annotate the MailDomain with {TAKE_OVER}: {proof}"
    )
}

/// Takes back what the plan would write, where the domain is not known to be ours, and says so in the rows.
pub(super) fn hold(plan: &mut Plan, situation: &Situation<'_>, standing: &Standing<'_>) {
    let (home, values, step) = match standing {
        Standing::Without | Standing::Ours(_) => return,
        Standing::Unread(home, error) => (home, Values::new(), Step::Unread(error.clone())),
        Standing::Elsewhere(home, values, message) => {
            let refusal = Refusal::OwnedElsewhere(message.clone());
            (home, values.clone(), Step::Refused(refusal))
        }
    };
    plan.providers.clear();
    plan.leaving.clone_from(situation.leaving);
    plan.partings.clear();
    // What was decided of removals stays decided, though nothing is removed now.
    let decided = std::mem::replace(&mut plan.written, situation.written.clone());
    for (key, entry) in &mut plan.written {
        if let Some(decided) = decided.get(key) {
            entry.marks.clone_from(&decided.marks);
        }
    }
    let held = match &step {
        Step::Refused(_) => Step::Refused(Refusal::OwnedElsewhere(format!(
            "not written, because the domain is owned elsewhere; see the row of {LABEL}.{}",
            situation.domain
        ))),
        step => step.clone(),
    };
    let writes = |row: &&mut Row| row.step.writes() || row.step == Step::Adopt;
    for row in plan.rows.iter_mut().filter(writes) {
        row.step = held.clone();
    }
    if let (Some(key), Step::Refused(_)) = (key(situation.domain), &step) {
        plan.rows.insert(0, row(key, home, values, step));
    }
}

fn row(key: Key, home: &Home, values: Values, step: Step) -> Row {
    Row {
        group: group(key, values),
        home: Some(home.clone()),
        step,
    }
}

fn group(key: Key, values: Values) -> Group {
    Group {
        key,
        purpose: Purpose::Owner,
        values,
        sharing: vec![Sharing::Prefix(VERSION)],
        past: Values::new(),
    }
}

/// Signs the plan: with anything else that is written the owner text is written too, first and with a new epoch. Alone it is
/// written where it is missing. It goes when nothing of ours is left to withdraw.
pub(super) fn sign(plan: &mut Plan, situation: &Situation<'_>, ours: &Ours<'_>) {
    let Ours {
        key,
        home,
        live,
        stands,
        writer,
    } = ours;
    let entry = situation.written.get(key);
    let writes = !plan.is_empty();
    let holds = plan.written.values().any(|entry| entry.purpose != Purpose::Owner);
    if writer.uid.is_none() && !holds {
        if let Some(entry) = entry {
            decide::remove(plan, situation, key, entry, None, live);
            decide::provider(plan, situation, home).state.remove(key);
        }
        return;
    }
    if !writes && !holds && entry.is_none() {
        // Nothing of ours is there to be guarded.
        return;
    }
    let Some(uid) = writer
        .uid
        .map(str::to_owned)
        .or(newest(entry).map(|owner| owner.uid))
    else {
        return;
    };
    // Only a text that is newer than those at homes that are being left tells this home from them.
    let is_left = |owner: &Owner| {
        let left = situation.leaving.values().filter_map(|d| d.entries.get(key));
        left.flat_map(remembered).any(|left| left.epoch >= owner.epoch)
    };
    let is_me = |owner: &Owner| owner.cluster == writer.cluster && owner.uid == uid && !is_left(owner);
    let newest = newest(entry);
    let is_newest = newest
        .as_ref()
        .is_none_or(|newest| stands.as_ref() == Some(newest));
    // Taken over or rolled back, it is not what we wrote last, though we may go on from it.
    let in_place = stands.clone().filter(|owner| is_me(owner) && is_newest);
    // What was on its way and has not come is tried again as it was: a provider that is told a state would never rest.
    let pending = newest
        .clone()
        .filter(|owner| is_me(owner) && !is_newest && entry.is_some_and(|entry| !entry.settled));
    let step = match (&in_place, stands) {
        (Some(_), _) if !writes => Step::InPlace,
        (_, None) if entry.is_some_and(|entry| entry.settled) => Step::Mend,
        _ => Step::Write,
    };
    let before = [newest, stands.clone()].into_iter().flatten();
    let last = before.map(|owner| owner.epoch).max();
    let text = match (in_place, pending) {
        (Some(owner), _) if !writes => owner,
        (_, Some(pending)) if stands.as_ref().is_none_or(|s| s.epoch < pending.epoch) => pending,
        (Some(_) | None, _) => Owner {
            cluster: writer.cluster.to_owned(),
            uid,
            epoch: next(situation, last),
        },
    };
    let given_up = stands
        .as_ref()
        .filter(|owner| !is_ours(owner, *writer, entry, situation));
    plan.taken_over = given_up.filter(|_| step.writes()).map(ToString::to_string);
    let text = group(key.clone(), [Value::Txt(text.to_string())].into());
    put(plan, situation, ours, &text, &step);
    plan.rows.insert(0, row(key.clone(), home, text.values, step));
}

fn next(situation: &Situation<'_>, last: Option<u64>) -> u64 {
    let now = u64::try_from(situation.now.as_microsecond()).unwrap_or_default();
    last.map_or(now, |last| now.max(last.saturating_add(1)))
}

/// The change, the ledger's entry, and the state that a provider is told.
fn put(plan: &mut Plan, situation: &Situation<'_>, ours: &Ours<'_>, text: &Group, step: &Step) {
    let Ours { key, home, live, .. } = ours;
    let rrset = live.rrsets.get(key);
    let (keep, kept) = kept(text, live);
    // A text of a version that is not ours was given up, or we would not be here.
    let foreign = |value: &Value| value.as_txt().is_some_and(is_owner_text);
    let keep = keep
        .into_iter()
        .filter(|raw| {
            let value = rrset.and_then(|rrset| rrset.records.get(raw));
            !value.is_some_and(|value| value.as_ref().is_some_and(foreign))
        })
        .collect();
    let ttl = match (rrset, ours.writer.uid) {
        // What is withdrawn has no declaration any more that would say it.
        (Some(rrset), None) => rrset.ttl,
        (Some(_) | None, _) => ttl_for(situation, text, live),
    };
    let mut state: Values = kept.into_iter().filter(|value| !foreign(value)).collect();
    state.extend(text.values.iter().cloned());
    let part = decide::provider(plan, situation, home);
    part.state.insert(key.clone(), (ttl, state));
    if step.writes() {
        part.changes.push(Change {
            zone: home.zone.clone(),
            key: key.clone(),
            before: rrset.cloned(),
            ttl,
            keep,
            ours: text.values.clone(),
        });
    }
    // Until the newest one is seen, each may stand there.
    let entry = situation.written.get(key);
    let last = newest(entry).map(|owner| Value::Txt(owner.to_string()));
    let seen = last.filter(|last| rrset.is_some_and(|r| r.records.values().flatten().any(|v| v == last)));
    let mut values: Values = match seen {
        Some(last) => [last].into(),
        None => entry.map(|entry| entry.values.clone()).unwrap_or_default(),
    };
    if step.writes() {
        values.extend(text.values.iter().cloned());
    } else {
        values.clone_from(&text.values);
    }
    plan.written.insert(
        key.clone(),
        Written {
            home: home.clone(),
            purpose: Purpose::Owner,
            values,
            settled: !step.writes(),
            withdraw_after: None,
            before: None,
            marks: Marks::default(),
        },
    );
}

/// Where nothing is written: a word on who does, if somebody else does.
pub(super) fn note(situation: &Situation<'_>, standing: &Standing<'_>) -> Option<Finding> {
    let Standing::Elsewhere(_, values, _) = standing else {
        return None;
    };
    (situation.conduct.mode != Mode::Publish).then_some(())?;
    let name = key(situation.domain)?.name;
    let shown: Vec<String> = values.iter().map(Value::to_string).collect();
    Some(Finding {
        severity: Severity::Info,
        id: "owner-elsewhere",
        name: name.to_string(),
        message: format!(
            "another operator writes the records of this domain: {}",
            conflict::shorten(&shown.join(", "), 200)
        ),
        gate: Gate::Nothing,
    })
}
