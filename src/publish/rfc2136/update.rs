//! Changes as UPDATE messages (RFC 2136). Pure.
//!
//! Each change is a compare-and-swap. The prerequisite names the RRset exactly as it was read (section 2.4.2) or says
//! that there was none (2.4.3); the server compares and changes in one step, all of a message or nothing. So only our
//! records are deleted and added, and others are not even mentioned outside the prerequisites.
//!
//! All records of an RRset share one TTL (RFC 2181 section 5.2), and servers differ in what becomes of the others when
//! a record is added with another one. When the TTL changes, the RRset is deleted and added whole: its prerequisite has
//! just said what all of it is.

use std::collections::{BTreeMap, BTreeSet};

use hickory_proto::op::{Message, MessageType, OpCode, Query, UpdateMessage as _};
use hickory_proto::rr::{self, DNSClass, RData, Record};
use hickory_proto::serialize::binary::BinEncodable as _;

use super::wire;
use crate::lookup::wire::{wire_name, wire_type};
use crate::name::Name;
use crate::plan::is_owner;
use crate::publish::{Change, PublishError};
use crate::record::{RecordType, Value};

/// A message over TCP has 65 535 octets at most (RFC 1035 section 4.2.2); some are left for the signature.
const LARGEST: usize = 65_535 - 1024;
/// A header, and the zone with the longest name (RFC 1035 sections 4.1.1 and 4.1.2).
const HEAD: usize = 12 + 255 + 4;
/// Type, class, TTL and length of a record (RFC 1035 section 4.1.3).
const FIXED: usize = 10;

/// One message, and the changes that it carries.
#[derive(Debug)]
pub(super) struct Update<'a> {
    /// The message, not signed yet.
    pub(super) message: Message,
    /// What it changes.
    pub(super) changes: Vec<&'a Change>,
}

/// The changes of one zone as messages: one, unless they do not fit. Then it is cut between names, never within one,
/// where an alias may take the place of other records; the order of names stays. Every message behind that with the owner
/// text has it as a prerequisite as it was written there: `fence` where that was another transaction.
pub(super) fn updates<'a>(
    zone: &Name,
    changes: &[&'a Change],
    fence: Option<&Change>,
) -> Result<Vec<Update<'a>>, PublishError> {
    let mut packed: Vec<(usize, Vec<&'a Change>)> = Vec::new();
    for unit in by_name(changes) {
        let size = size(&encode(zone, &unit)?)?;
        match (packed.last_mut(), unit.first()) {
            (_, Some(first)) if size > LARGEST => {
                return Err(PublishError::Unsupported(
                    first.key.clone(),
                    "the change of one name is larger than a DNS message",
                ));
            }
            (Some((total, changes)), _) if *total + size <= LARGEST => {
                *total += size;
                changes.extend(unit);
            }
            _ => packed.push((size, unit)),
        }
    }
    let own = changes.iter().copied().find(|change| is_owner(change));
    let fence = own.or(fence);
    let encoded = packed.into_iter().map(|(_, changes)| {
        let mut message = encode(zone, &changes)?;
        let here = changes.iter().any(|change| is_owner(change));
        if let Some(fence) = fence.filter(|_| !here) {
            message.add_pre_requisites(as_written(fence)?);
        }
        Ok(Update { message, changes })
    });
    encoded.collect()
}

/// A message that changes nothing, and says whether the name is in use (RFC 2136 section 2.4.4).
pub(super) fn name_in_use(zone: &Name, name: &Name) -> Result<Message, PublishError> {
    let mut message = empty(zone)?;
    message.add_pre_requisite(bare(&owner(name)?, rr::RecordType::ANY, DNSClass::ANY));
    Ok(message)
}

/// The changes of each name together, in the order in which the names come first.
fn by_name<'a>(changes: &[&'a Change]) -> Vec<Vec<&'a Change>> {
    let mut places: BTreeMap<&Name, usize> = BTreeMap::new();
    let mut units: Vec<Vec<&'a Change>> = Vec::new();
    for change in changes.iter().copied() {
        let place = *places.entry(&change.key.name).or_insert(units.len());
        match units.get_mut(place) {
            Some(unit) => unit.push(change),
            None => units.push(vec![change]),
        }
    }
    units
}

/// The most octets that a message of these records takes, also as a part of a larger one: behind the first 16 KiB names
/// cannot point back to where they stood before (RFC 1035 section 4.1.4), so nothing counts on that.
fn size(message: &Message) -> Result<usize, PublishError> {
    let mut octets = HEAD;
    for record in message.prerequisites().iter().chain(message.updates()) {
        let data = record.data.to_bytes().map_err(|_| unusable())?;
        octets += record.name.len() + FIXED + data.len();
    }
    Ok(octets)
}

fn unusable() -> PublishError {
    PublishError::Misconfigured("a change cannot be written as a DNS message")
}

fn owner(name: &Name) -> Result<rr::Name, PublishError> {
    wire_name(name).ok_or_else(unusable)
}

fn empty(zone: &Name) -> Result<Message, PublishError> {
    let mut message = Message::new(0, MessageType::Query, OpCode::Update);
    message.metadata.recursion_desired = false;
    message.add_zone(Query::query(owner(zone)?, rr::RecordType::SOA));
    Ok(message)
}

/// Deletions stand first: a record that takes the place of another finds it gone (RFC 2136 section 3.4.2.2).
fn encode(zone: &Name, changes: &[&Change]) -> Result<Message, PublishError> {
    let mut message = empty(zone)?;
    for change in changes {
        message.add_pre_requisites(as_read(change)?);
    }
    message.add_pre_requisites(without_alias(changes)?);
    let edits: Result<Vec<Edit>, PublishError> = changes.iter().map(|change| edit(change)).collect();
    let (deletions, additions): (Vec<_>, Vec<_>) =
        edits?.into_iter().map(|edit| (edit.delete, edit.add)).unzip();
    message.add_updates(deletions.into_iter().flatten());
    message.add_updates(additions.into_iter().flatten());
    Ok(message)
}

/// The compare of the compare-and-swap.
fn as_read(change: &Change) -> Result<Vec<Record>, PublishError> {
    let owner = owner(&change.key.name)?;
    match &change.before {
        None => {
            let record_type = wire_type(change.key.record_type);
            Ok(vec![bare(&owner, record_type, DNSClass::NONE)])
        }
        Some(before) => {
            let records = before.records.keys();
            records
                .map(|raw| Ok(Record::from_rdata(owner.clone(), 0, stored(change, raw)?)))
                .collect()
        }
    }
}

/// What an earlier message wrote must stand there still. A text that goes last has nothing behind it.
fn as_written(fence: &Change) -> Result<Vec<Record>, PublishError> {
    let owner = owner(&fence.key.name)?;
    let ours: BTreeSet<String> = fence.ours.iter().map(Value::to_string).collect();
    let after = ours.iter().chain(&fence.keep);
    after
        .map(|raw| Ok(Record::from_rdata(owner.clone(), 0, stored(fence, raw)?)))
        .collect()
}

/// An alias that comes between reading and writing would make servers pass over what is added beside it, without an
/// error (RFC 2136 section 3.4.2.2). So a new alias wants a name that is not in use (2.4.5), and other new records want
/// one without alias.
fn without_alias(changes: &[&Change]) -> Result<Vec<Record>, PublishError> {
    let is_alias = |change: &Change| change.key.record_type == RecordType::Cname;
    let mut names = BTreeSet::new();
    let mut records = Vec::new();
    for change in changes.iter().filter(|c| c.before.is_none() && !c.deletes()) {
        let name = &change.key.name;
        let mut others = changes
            .iter()
            .filter(|c| &c.key.name == name && c.key != change.key);
        let told = if is_alias(change) {
            others.next().is_some()
        } else {
            others.any(|c| is_alias(c))
        };
        if told || !names.insert(name) {
            continue;
        }
        let record_type = if is_alias(change) {
            rr::RecordType::ANY
        } else {
            rr::RecordType::CNAME
        };
        records.push(bare(&owner(name)?, record_type, DNSClass::NONE));
    }
    Ok(records)
}

/// What becomes of one RRset.
#[derive(Debug, Default)]
struct Edit {
    delete: Vec<Record>,
    add: Vec<Record>,
}

fn edit(change: &Change) -> Result<Edit, PublishError> {
    let owner = owner(&change.key.name)?;
    let ours: BTreeSet<String> = change.ours.iter().map(Value::to_string).collect();
    let after: BTreeSet<&String> = ours.iter().chain(&change.keep).collect();
    let add = |raw: &String| {
        Ok(Record::from_rdata(
            owner.clone(),
            change.ttl,
            stored(change, raw)?,
        ))
    };
    let Some(before) = &change.before else {
        let add = after.into_iter().map(add).collect::<Result<_, PublishError>>()?;
        return Ok(Edit {
            add,
            ..Edit::default()
        });
    };
    if before.ttl != change.ttl && !after.is_empty() {
        let record_type = wire_type(change.key.record_type);
        return Ok(Edit {
            delete: vec![bare(&owner, record_type, DNSClass::ANY)],
            add: after.into_iter().map(add).collect::<Result<_, PublishError>>()?,
        });
    }
    let gone = before.records.keys().filter(|raw| !after.contains(raw));
    let new = after.iter().filter(|raw| !before.records.contains_key(**raw));
    let delete = gone.map(|raw| {
        let mut record = Record::from_rdata(owner.clone(), 0, stored(change, raw)?);
        record.dns_class = DNSClass::NONE;
        Ok(record)
    });
    Ok(Edit {
        delete: delete.collect::<Result<_, PublishError>>()?,
        add: new.map(|raw| add(raw)).collect::<Result<_, PublishError>>()?,
    })
}

fn stored(change: &Change, raw: &str) -> Result<RData, PublishError> {
    wire::data(change.key.record_type, raw)
        .ok_or_else(|| PublishError::Unsupported(change.key.clone(), "a record that is no DNS data"))
}

/// A record without data, as prerequisites and deletions of whole RRsets have it.
fn bare(owner: &rr::Name, record_type: rr::RecordType, class: DNSClass) -> Record {
    let mut record = Record::update0(owner.clone(), 0, record_type);
    record.dns_class = class;
    record
}

#[cfg(test)]
mod tests;
