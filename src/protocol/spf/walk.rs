//! The static walk over a record and everything that it includes: what the worst client costs (RFC 7208
//! section 4.6.4), and which targets are broken.
//!
//! In: facts and a domain. Out: a [`Walk`]. Unlike `check_host` it does not stop at a match, because other clients
//! do not match there.

use std::fmt;

use super::evaluate::{LOOKUP_LIMIT, NAME_LIMIT, VOID_LIMIT, exchange};
use super::macros::MacroString;
use super::parse::{self, Mechanism, Record, Selected, Term};
use crate::lookup::{Answer, Facts, Failure};
use crate::name::Name;
use crate::record::{RecordType, Values};

/// No tree is walked further than this many terms; it is broken long before.
const CAP: usize = 40;

/// What a record costs and what is broken below it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Walk {
    /// Terms that ask DNS, in the whole tree.
    pub lookups: usize,
    /// The same for each term of the record itself, those that ask nothing left out.
    pub weights: Vec<(String, usize)>,
    /// Terms that find nothing, with the name that was asked.
    pub voids: Vec<(String, Name)>,
    /// Domains with more MX records than one term may use.
    pub crowded: Vec<(Name, usize)>,
    /// Targets that make a receiver stop with permerror.
    pub broken: Vec<Broken>,
    /// Questions without a usable answer.
    pub unknown: Vec<(Name, Failure)>,
    /// Every domain whose record is included, at any depth.
    pub included: Vec<Name>,
}

/// A term whose target cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Whose record holds the term.
    pub holder: Name,
    /// The term.
    pub term: String,
    /// The target.
    pub target: String,
    /// Why.
    pub fault: Fault,
}

/// Why a target cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The name does not exist.
    NoName,
    /// The name has no SPF record.
    NoRecord,
    /// It has several.
    Several,
    /// Its record has a syntax error at this term.
    Syntax(String),
    /// It is being evaluated already.
    Cycle,
    /// No DNS name can be made of it.
    NotAName,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoName => f.write_str("does not exist"),
            Self::NoRecord => f.write_str("has no SPF record"),
            Self::Several => f.write_str("has several SPF records"),
            Self::Syntax(term) => write!(f, "has a syntax error at `{term}`"),
            Self::Cycle => f.write_str("leads back to itself"),
            Self::NotAName => f.write_str("is not a domain name"),
        }
    }
}

/// Walks the record at `domain` as a client with addresses of this type sees it (`A` or `AAAA`).
pub fn walk(facts: &Facts, domain: &Name, record: &Record, address_type: RecordType) -> Walk {
    let mut walker = Walker {
        facts,
        address_type,
        path: Vec::new(),
        walk: Walk::default(),
    };
    walker.record(domain, record);
    walker.walk
}

/// What receivers make of a record within the limits of RFC 7208 section 4.6.4.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Burden {
    /// They can evaluate it.
    Bearable,
    /// So many terms ask DNS, which are too many. Not counted far beyond the limit.
    TooMany(usize),
    /// Evaluation stops for another reason, in words: a broken target, terms that find nothing.
    Broken(String),
    /// This name gave no answer, so nobody knows.
    Unknown(Name, Failure),
}

/// Weighs a record that stands at a name or may come to stand there, for the worst of clients.
pub fn burden(facts: &Facts, domain: &Name, text: &str) -> Burden {
    let record = match parse::parse(text) {
        Ok(record) => record,
        Err(errors) => {
            let term = errors.into_iter().next().map_or_else(String::new, |e| e.term);
            return Burden::Broken(format!("`{term}` is no term of SPF"));
        }
    };
    let walks: Vec<Walk> = [RecordType::A, RecordType::Aaaa]
        .into_iter()
        .map(|address_type| walk(facts, domain, &record, address_type))
        .collect();
    let lookups = walks.iter().map(|walk| walk.lookups).max().unwrap_or_default();
    if lookups > LOOKUP_LIMIT {
        return Burden::TooMany(lookups);
    }
    // All walks are made before any is judged: each leaves its own questions behind.
    let faults = walks.iter().filter_map(Walk::fault);
    let unknown = walks.iter().filter_map(|walk| walk.unknown.first().cloned());
    faults
        .map(Burden::Broken)
        .chain(unknown.map(|(name, failure)| Burden::Unknown(name, failure)))
        .next()
        .unwrap_or(Burden::Bearable)
}

impl Walk {
    /// What stops a receiver, but for the number of terms.
    fn fault(&self) -> Option<String> {
        if let Some(Broken {
            term, target, fault, ..
        }) = self.broken.first()
        {
            return Some(format!("`{term}` leads to {target}, which {fault}"));
        }
        if let Some((name, count)) = self.crowded.first() {
            return Some(format!(
                "{name} has {count} MX records, and one term may use {NAME_LIMIT}"
            ));
        }
        (self.voids.len() > VOID_LIMIT).then(|| {
            let terms: Vec<String> = self.voids.iter().map(|(term, _)| format!("`{term}`")).collect();
            format!("{} find nothing, and {VOID_LIMIT} terms may", terms.join(", "))
        })
    }
}

struct Walker<'a> {
    facts: &'a Facts,
    address_type: RecordType,
    path: Vec<Name>,
    walk: Walk,
}

impl Walker<'_> {
    fn record(&mut self, domain: &Name, record: &Record) {
        self.path.push(domain.clone());
        for placed in &record.terms {
            if self.walk.lookups >= CAP {
                break;
            }
            let before = self.walk.lookups;
            self.term(domain, record, &placed.term);
            if self.path.len() == 1 && self.walk.lookups > before {
                let cost = self.walk.lookups - before;
                self.walk.weights.push((placed.term.to_string(), cost));
            }
        }
        self.path.pop();
    }

    fn term(&mut self, domain: &Name, record: &Record, term: &Term) {
        match term {
            Term::Redirect(target) if !record.has_all() => self.follow(domain, term, target),
            Term::Redirect(_) | Term::Explanation(_) | Term::Unknown { name: _, value: _ } => {}
            Term::Directive(_, mechanism) => match mechanism {
                Mechanism::All | Mechanism::Ip(_) => {}
                Mechanism::Include(target) => self.follow(domain, term, target),
                Mechanism::A(target, _) => {
                    self.ask(domain, term, target.as_ref(), self.address_type);
                }
                Mechanism::Mx(target, _) => self.mx(domain, term, target.as_ref()),
                Mechanism::Exists(target) => {
                    self.ask(domain, term, Some(target), RecordType::A);
                }
                // What is asked depends on the client alone.
                Mechanism::Ptr(_) => self.walk.lookups += 1,
            },
        }
    }

    fn mx(&mut self, domain: &Name, term: &Term, target: Option<&MacroString>) {
        let Some((name, values)) = self.ask(domain, term, target, RecordType::Mx) else {
            return;
        };
        let count = values.iter().filter_map(exchange).count();
        if count > NAME_LIMIT {
            self.walk.crowded.push((name, count));
        }
    }

    /// Counts the term; asks unless the name depends on the client.
    fn ask(
        &mut self,
        domain: &Name,
        term: &Term,
        target: Option<&MacroString>,
        record_type: RecordType,
    ) -> Option<(Name, Values)> {
        self.walk.lookups += 1;
        let name = match target {
            None => domain.clone(),
            Some(spec) => fixed(spec)?.ok()?,
        };
        match self.facts.ask(&name, record_type).values() {
            Err(failure) => {
                self.walk.unknown.push((name, failure));
                None
            }
            Ok(values) => {
                if values.is_empty() {
                    self.walk.voids.push((term.to_string(), name.clone()));
                }
                Some((name, values))
            }
        }
    }

    fn follow(&mut self, holder: &Name, term: &Term, target: &MacroString) {
        self.walk.lookups += 1;
        let fault = match fixed(target) {
            None => return,
            Some(Err(fault)) => Some(fault),
            Some(Ok(name)) if self.path.contains(&name) => Some(Fault::Cycle),
            Some(Ok(name)) => self.descend(&name).err(),
        };
        if let Some(fault) = fault {
            self.walk.broken.push(Broken {
                holder: holder.clone(),
                term: term.to_string(),
                target: target.to_string(),
                fault,
            });
        }
    }

    fn descend(&mut self, name: &Name) -> Result<(), Fault> {
        self.walk.included.push(name.clone());
        let answer = self.facts.ask(name, RecordType::Txt);
        let texts = match answer.texts() {
            Ok(texts) => texts,
            Err(failure) => {
                self.walk.unknown.push((name.clone(), failure));
                return Ok(());
            }
        };
        match parse::select(texts) {
            Selected::None if matches!(answer, Answer::NxDomain { negative_ttl: _ }) => Err(Fault::NoName),
            Selected::None => Err(Fault::NoRecord),
            Selected::Many(_) => Err(Fault::Several),
            Selected::One(text) => match parse::parse(&text) {
                Ok(record) => {
                    self.record(name, &record);
                    Ok(())
                }
                Err(errors) => Err(Fault::Syntax(
                    errors
                        .into_iter()
                        .next()
                        .map_or_else(String::new, |error| error.term),
                )),
            },
        }
    }
}

/// The name that a domain-spec always means; `None` when it depends on the client.
fn fixed(spec: &MacroString) -> Option<Result<Name, Fault>> {
    (!spec.has_macros()).then(|| spec.expand_domain(|_| String::new()).ok_or(Fault::NotAName))
}
