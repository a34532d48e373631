//! What DNS answered, kept as facts; and (in the submodules) how it is asked.
//!
//! NXDOMAIN, NODATA, SERVFAIL, a timeout, a lame server and a bogus chain stay six answers: "not found" and
//! "could not ask" must never be mixed (RFC 7208 section 4.4, RFC 9989 section 4.10.1).

mod above;
mod answer;
mod ask;
mod budget;
mod delegation;
#[cfg(test)]
mod fake;
#[cfg(test)]
mod hostile;
pub mod looker;
mod referral;
mod roots;
pub(crate) mod wire;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;

use crate::name::Name;
use crate::record::{Key, RecordType, Values};

/// One answer to one question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// At least one record of the type that was asked for.
    Records {
        /// The records.
        values: Values,
        /// Aliases that were followed to them, in order; empty when the name itself holds them.
        aliases: Vec<Name>,
        /// Smallest TTL, in seconds.
        ttl: u32,
    },
    /// The name exists (or is an empty non-terminal) without records of this type.
    NoData {
        /// For how long that may be cached, in seconds (RFC 2308 section 5).
        negative_ttl: u32,
    },
    /// The name does not exist.
    NxDomain {
        /// For how long that may be cached, in seconds (RFC 2308 section 5).
        negative_ttl: u32,
    },
    /// No answer that says anything about the name.
    Failed(Failure),
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Failure {
    /// Nothing came back in time, over UDP and TCP.
    Timeout,
    /// The answer over UDP was cut off, and over TCP nothing came back in time (RFC 7766 section 5).
    CutOff,
    /// The server said SERVFAIL.
    ServFail,
    /// The server said REFUSED, NOTIMP or another error.
    Refused,
    /// The server answered without authority for the zone.
    Lame,
    /// The data is there but its DNSSEC chain does not validate.
    Bogus,
    /// The answer could not be read.
    Malformed,
    /// Not asked: the budget of questions is used up, or no server is known.
    NotAsked,
}

impl Failure {
    /// That data is bogus is what one resolver knows; that others fail says nothing against it.
    fn or_rather(self, other: Self) -> Self {
        if self == Self::Bogus { self } else { other }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Timeout => "does not answer",
            Self::CutOff => "cuts its answer off and does not answer over TCP",
            Self::ServFail => "answers SERVFAIL",
            Self::Refused => "refuses the question",
            Self::Lame => "answers without authority for the zone",
            Self::Bogus => "has data that fails DNSSEC validation",
            Self::Malformed => "sends an unreadable answer",
            Self::NotAsked => "was not asked",
        })
    }
}

impl Answer {
    /// The values; empty for NODATA and NXDOMAIN; the failure otherwise.
    pub fn values(&self) -> Result<Values, Failure> {
        match self {
            Self::Records { values, .. } => Ok(values.clone()),
            Self::NoData { .. } | Self::NxDomain { .. } => Ok(Values::new()),
            Self::Failed(failure) => Err(*failure),
        }
    }

    /// The texts of a TXT answer.
    pub fn texts(&self) -> Result<Vec<String>, Failure> {
        Ok(self
            .values()?
            .iter()
            .filter_map(|v| v.as_txt().map(str::to_owned))
            .collect())
    }
}

/// What a message of a name server with authority says of an RRset. `None`: it cannot be read.
pub fn read_answer(octets: &[u8], key: &Key) -> Option<Answer> {
    let reply = ask::Reply::read(octets)?;
    Some(answer::read(&reply, key, ask::Mode::Authority))
}

/// One authoritative server of a zone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Server {
    /// Its name in the NS RRset.
    pub name: Name,
    /// The address that was asked.
    pub address: IpAddr,
}

/// Who serves a zone, by the word of the zone above (RFC 1034 section 4.2.1).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delegation {
    /// The names of its servers; all of them, where the servers of the zone above differ.
    pub servers: BTreeSet<Name>,
    /// For how long resolvers remember that, in seconds.
    pub ttl: u32,
}

/// What every authoritative server said about the records that we want.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Direct {
    /// By question, one answer for each server of the zone that holds the name.
    pub answers: BTreeMap<Key, Vec<(Server, Answer)>>,
    /// Names whose zone's servers could not be found, with the reason.
    pub unreachable: BTreeMap<Name, Failure>,
}

/// What receivers see: answers of a validating resolver, or, where the authoritative servers disagree with what is
/// wanted, the answer of the worst of them.
///
/// Checks are pure and ask here; a question that nobody asked yet is noted, and the caller asks it and runs the
/// checks again. So SPF can be evaluated through any chain of includes without doing I/O itself.
#[derive(Debug, Default)]
pub struct Facts {
    answers: BTreeMap<Key, Answer>,
    missing: RefCell<BTreeSet<Key>>,
}

impl Facts {
    /// Facts from answers.
    pub fn new(answers: BTreeMap<Key, Answer>) -> Self {
        Self {
            answers,
            missing: RefCell::default(),
        }
    }

    /// The answer, or `Failed(NotAsked)`; in that case the question is noted as missing.
    pub fn ask(&self, name: &Name, record_type: RecordType) -> Answer {
        let key = Key::new(name.clone(), record_type);
        if let Some(answer) = self.answers.get(&key) {
            return answer.clone();
        }
        self.missing.borrow_mut().insert(key);
        Answer::Failed(Failure::NotAsked)
    }

    /// Everything that is known.
    pub fn answers(&self) -> impl Iterator<Item = (&Key, &Answer)> {
        self.answers.iter()
    }

    /// The questions that were asked of these facts and not answered by them; forgets them.
    pub fn take_missing(&self) -> BTreeSet<Key> {
        self.missing.take()
    }

    /// Adds an answer.
    pub fn learn(&mut self, key: Key, answer: Answer) {
        self.answers.insert(key, answer);
    }
}
