//! What stands at some names, from questions to the primary.
//!
//! Each type of ours is asked for by itself: ANY may be answered in part (RFC 8482), and a zone transfer needs a right
//! that a writer of some names should not have. Of the other types it only matters whether there are any, since they
//! forbid an alias. A list of those that stand beside mail records is asked for, and ANY for the rest, as far as the
//! server answers it.
//!
//! Two things look like records of a name and are none. A zone below this one, on the same server, answers with the same
//! authority: the SOA record tells whose answer it is (RFC 2308 section 3). A wildcard answers for every name that does
//! not exist (RFC 4592): where there is one, the server is asked whether the name is in use, by a prerequisite without
//! an update.

use std::collections::BTreeSet;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{self, DNSClass, RData, Record};

use super::exchange::Server;
use super::{update, wire};
use crate::lookup::Delegation;
use crate::lookup::wire::{our_name, wire_name, wire_type};
use crate::name::Name;
use crate::publish::{Live, PublishError};
use crate::record::{Key, RecordType, Value};

/// Types of others that are asked for by name; at the top of a zone there are SOA and NS at least.
const OTHERS: [rr::RecordType; 11] = [
    rr::RecordType::NS,
    rr::RecordType::SRV,
    rr::RecordType::CAA,
    rr::RecordType::TLSA,
    rr::RecordType::SSHFP,
    rr::RecordType::HTTPS,
    rr::RecordType::SVCB,
    rr::RecordType::DNAME,
    rr::RecordType::NAPTR,
    rr::RecordType::OPENPGPKEY,
    rr::RecordType::SMIMEA,
];

/// Whether the server holds the zone, and answers this key.
pub(super) async fn zone(server: &Server, zone: &Name) -> Result<(), PublishError> {
    let question = Question::new(zone, rr::RecordType::SOA)?;
    let answer = server.send(question.message()).await;
    let answer = match answer {
        Err(PublishError::Credentials) => return Err(no_key_or_no_zone(server, &question).await),
        answer => answer?,
    };
    holds(zone, &question, &answer)
}

/// Knot says BADKEY of a good key where it does not hold the zone, and rightly so: keys belong to zones there. Asked
/// without any key, it refuses what it does not hold.
async fn no_key_or_no_zone(server: &Server, question: &Question) -> PublishError {
    match server.code_unsigned(question.message()).await {
        Ok(ResponseCode::Refused | ResponseCode::NotAuth) => PublishError::ZoneMissing(question.name.clone()),
        Ok(_) | Err(_) => PublishError::Credentials,
    }
}

/// The NS records at the top of the zone.
pub(super) async fn name_servers(server: &Server, zone: &Name) -> Result<Delegation, PublishError> {
    self::zone(server, zone).await?;
    let question = Question::new(zone, rr::RecordType::NS)?;
    let answer = server.send(question.message()).await?;
    authoritative(zone, &answer)?;
    let mut delegation = Delegation::default();
    for record in &answer.answers {
        if let RData::NS(name) = &record.data
            && record.name == question.owner
        {
            delegation.servers.extend(our_name(&name.0));
            delegation.ttl = record.ttl;
        }
    }
    Ok(delegation)
}

/// What stands at these names of the zone.
pub(super) async fn names(
    server: &Server,
    zone: &Name,
    names: &BTreeSet<Name>,
) -> Result<Live, PublishError> {
    let mut found = Found {
        zone,
        live: Live::default(),
        existing: BTreeSet::new(),
    };
    self::zone(server, zone).await?;
    let mut questions = Vec::new();
    for name in names {
        questions.push(Question::new(name, rr::RecordType::SOA)?);
        for record_type in RecordType::ALL {
            questions.push(Question::new(name, wire_type(record_type))?);
        }
    }
    let answers = ask(server, &questions).await?;
    for (question, answer) in questions.iter().zip(&answers) {
        found.take(question, answer)?;
    }
    found.others(server).await?;
    found.without_wildcards(server).await?;
    Ok(found.live)
}

async fn ask(server: &Server, questions: &[Question]) -> Result<Vec<Message>, PublishError> {
    server
        .ask(questions.iter().map(Question::message).collect())
        .await
}

/// One question; the name also as the wire has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Question {
    name: Name,
    owner: rr::Name,
    record_type: rr::RecordType,
}

impl Question {
    fn new(name: &Name, record_type: rr::RecordType) -> Result<Self, PublishError> {
        Ok(Self {
            name: name.clone(),
            owner: wire_name(name).ok_or(PublishError::Misconfigured("a name is too long for DNS"))?,
            record_type,
        })
    }

    /// For the wildcard below this name.
    fn wildcard(name: &Name) -> Option<Self> {
        let labels = std::iter::once("*").chain(name.labels());
        Some(Self {
            name: name.clone(),
            owner: rr::Name::from_labels(labels.map(str::as_bytes)).ok()?,
            record_type: rr::RecordType::TXT,
        })
    }

    fn message(&self) -> Message {
        let mut message = Message::new(0, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(self.owner.clone(), self.record_type));
        message
    }

    /// The records of an answer that stand at the name itself.
    fn own<'a>(&'a self, answer: &'a Message) -> impl Iterator<Item = &'a Record> {
        let own = |record: &&Record| record.dns_class == DNSClass::IN && record.name == self.owner;
        answer.answers.iter().filter(own)
    }
}

/// The zone's own SOA record, with authority.
fn holds(zone: &Name, question: &Question, answer: &Message) -> Result<(), PublishError> {
    authoritative(zone, answer)?;
    let is_soa = |record: &Record| matches!(record.data, RData::SOA(_));
    if question.own(answer).any(is_soa) {
        Ok(())
    } else {
        Err(PublishError::ZoneMissing(zone.clone()))
    }
}

/// Whether the server speaks of its own data, and all of it. The code is NOERROR or NXDOMAIN then.
fn authoritative(zone: &Name, answer: &Message) -> Result<(), PublishError> {
    match answer.metadata.response_code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        // A server that does not hold a zone refuses questions about it, and so does one that does not like the asker:
        // they cannot be told apart.
        ResponseCode::Refused | ResponseCode::NotAuth => {
            return Err(PublishError::ZoneMissing(zone.clone()));
        }
        ResponseCode::ServFail => return Err(PublishError::Unreachable),
        _ => return Err(PublishError::Unreadable),
    }
    if answer.metadata.truncation {
        return Err(PublishError::Unreadable);
    }
    if answer.metadata.authoritative {
        return Ok(());
    }
    // A referral: the name was given away to another zone.
    let cut = answer
        .authorities
        .iter()
        .find(|record| matches!(record.data, RData::NS(_)));
    let cut = cut.and_then(|record| below(zone, &record.name));
    Err(PublishError::ZoneMissing(cut.unwrap_or_else(|| zone.clone())))
}

/// A name of the wire that lies below the zone.
fn below(zone: &Name, name: &rr::Name) -> Option<Name> {
    let name = Name::parse(&name.to_ascii()).ok()?;
    (name.is_within(zone) && &name != zone).then_some(name)
}

struct Found<'a> {
    zone: &'a Name,
    live: Live,
    /// Names that exist, or that a wildcard answers for.
    existing: BTreeSet<Name>,
}

impl Found<'_> {
    fn take(&mut self, question: &Question, answer: &Message) -> Result<(), PublishError> {
        authoritative(self.zone, answer)?;
        if question.record_type == rr::RecordType::SOA {
            self.is_of_this_zone(question, answer)?;
        }
        if answer.metadata.response_code == ResponseCode::NoError {
            self.existing.insert(question.name.clone());
        }
        for record in question.own(answer) {
            if record.record_type() != question.record_type {
                continue;
            }
            let Some(record_type) = wire::our_type(record.record_type()) else {
                self.other(&question.name, record.record_type());
                continue;
            };
            let raw = wire::text(&record.data).ok_or(PublishError::Unreadable)?;
            let key = Key::new(question.name.clone(), record_type);
            let rrset = self.live.rrsets.entry(key).or_default();
            rrset.ttl = record.ttl;
            let value = Value::parse(record_type, &raw);
            rrset.records.insert(raw, value);
        }
        Ok(())
    }

    /// Another zone of the same server may lie at the name or above it.
    fn is_of_this_zone(&self, question: &Question, answer: &Message) -> Result<(), PublishError> {
        let is_soa = |record: &&Record| matches!(record.data, RData::SOA(_));
        let soa = match question.own(answer).next() {
            Some(_) => question.own(answer).find(is_soa),
            None => answer.authorities.iter().find(is_soa),
        };
        match soa {
            Some(record) if Some(&record.name) != wire_name(self.zone).as_ref() => {
                let other = below(self.zone, &record.name).unwrap_or_else(|| self.zone.clone());
                Err(PublishError::ZoneMissing(other))
            }
            Some(_) | None => Ok(()),
        }
    }

    async fn others(&mut self, server: &Server) -> Result<(), PublishError> {
        let types = || OTHERS.into_iter().chain([rr::RecordType::ANY]);
        let questions: Result<Vec<Question>, PublishError> = self
            .existing
            .iter()
            .flat_map(|name| types().map(move |record_type| Question::new(name, record_type)))
            .collect();
        let questions = questions?;
        let answers = ask(server, &questions).await?;
        for (question, answer) in questions.iter().zip(&answers) {
            if question.record_type != rr::RecordType::ANY {
                authoritative(self.zone, answer)?;
            }
            for record in question.own(answer) {
                self.other(&question.name, record.record_type());
            }
        }
        Ok(())
    }

    fn other(&mut self, name: &Name, record_type: rr::RecordType) {
        if wire::our_type(record_type).is_none() && !may_stand_beside_an_alias(record_type) {
            let types = self.live.other_types.entry(name.clone()).or_default();
            types.insert(record_type.to_string());
        }
    }

    /// Drops what a wildcard answered.
    async fn without_wildcards(&mut self, server: &Server) -> Result<(), PublishError> {
        let zone = self.zone;
        let names: BTreeSet<Name> = self
            .live
            .rrsets
            .keys()
            .map(|key| &key.name)
            .chain(self.live.other_types.keys())
            .filter(|name| *name != zone)
            .cloned()
            .collect();
        let above = |name: &Name| {
            let ancestors = name.ancestors().skip(1);
            ancestors.take_while(|a| a.is_within(zone)).collect::<Vec<_>>()
        };
        let ancestors: BTreeSet<Name> = names.iter().flat_map(above).collect();
        let questions: Vec<Question> = ancestors.iter().filter_map(Question::wildcard).collect();
        let mut wild: BTreeSet<Name> = BTreeSet::new();
        for (question, answer) in questions.iter().zip(&ask(server, &questions).await?) {
            authoritative(zone, answer)?;
            if answer.metadata.response_code == ResponseCode::NoError {
                wild.insert(question.name.clone());
            }
        }
        let suspects: Vec<Name> = names
            .into_iter()
            .filter(|name| above(name).iter().any(|ancestor| wild.contains(ancestor)))
            .collect();
        let messages: Result<Vec<Message>, PublishError> = suspects
            .iter()
            .map(|name| update::name_in_use(zone, name))
            .collect();
        for (name, answer) in suspects.iter().zip(&server.ask(messages?).await?) {
            match answer.metadata.response_code {
                ResponseCode::NoError => {}
                ResponseCode::NXDomain => self.forget(name),
                code => return Err(super::refusal(zone, zone.to_string(), code)),
            }
        }
        Ok(())
    }

    fn forget(&mut self, name: &Name) {
        self.live.rrsets.retain(|key, _| &key.name != name);
        self.live.other_types.remove(name);
    }
}

/// What a signed zone has at every name (RFC 4035 section 2.5).
fn may_stand_beside_an_alias(record_type: rr::RecordType) -> bool {
    matches!(
        record_type,
        rr::RecordType::RRSIG | rr::RecordType::NSEC | rr::RecordType::NSEC3
    )
}
