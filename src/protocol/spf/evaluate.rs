//! `check_host` (RFC 7208 sections 4 to 7): what a receiver makes of one client.
//!
//! In: facts, and who connects. Out: an [`Outcome`]. A question that nobody has asked yet is noted in the facts; the
//! evaluation goes on as if the term did not match, so that one round collects several questions, and the outcome is
//! [`SpfResult::NotYetKnown`]. It must never turn a failed answer into an empty one.

use std::fmt;
use std::net::IpAddr;

use super::macros::{Letter, MacroString};
use super::parse::{self, Mechanism, Prefixes, Qualifier, Record, Selected, Term};
use crate::cidr::Cidr;
use crate::lookup::{Facts, Failure};
use crate::name::Name;
use crate::record::{RecordType, Value, Values};

/// RFC 7208 section 4.6.4: terms that ask DNS.
pub const LOOKUP_LIMIT: usize = 10;
/// RFC 7208 section 4.6.4: of these, how many may find nothing.
pub const VOID_LIMIT: usize = 2;
/// RFC 7208 section 4.6.4: names of one `mx` or `ptr`.
pub const NAME_LIMIT: usize = 10;

/// Who connects, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// MAIL FROM; an empty one stands for postmaster at the HELO name (RFC 7208 section 2.4).
    pub mail_from: String,
    /// HELO name.
    pub helo: String,
}

/// Results of RFC 7208 section 2.6, and one of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum SpfResult {
    /// No record.
    None,
    /// The domain says nothing about the client.
    Neutral,
    /// Authorised.
    Pass,
    /// Not authorised.
    Fail,
    /// Probably not authorised.
    SoftFail,
    /// DNS failed; try later.
    TempError,
    /// The record cannot be used.
    PermError,
    /// Some answer is not there yet.
    NotYetKnown,
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Neutral => "neutral",
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::SoftFail => "softfail",
            Self::TempError => "temperror",
            Self::PermError => "permerror",
            Self::NotYetKnown => "unknown",
        })
    }
}

/// What came out, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The result.
    pub result: SpfResult,
    /// Which term decided, in our words.
    pub reason: String,
    /// Terms that asked DNS.
    pub lookups: usize,
    /// Of these, how many found nothing.
    pub voids: usize,
}

/// Evaluates the record at `domain` for a client.
pub fn check_host(facts: &Facts, client: &Client, domain: &Name) -> Outcome {
    let sender = if client.mail_from.is_empty() {
        client.helo.as_str()
    } else {
        client.mail_from.as_str()
    };
    let (local, sender_domain) = sender.rsplit_once('@').unwrap_or(("", sender));
    let mut session = Session {
        facts,
        address: client.address.to_canonical(),
        local: if local.is_empty() { "postmaster" } else { local },
        sender_domain,
        helo: &client.helo,
        lookups: 0,
        voids: 0,
        pending: None,
    };
    let judged = session
        .check(domain)
        .unwrap_or_else(|Stop(result, reason)| Judged { result, reason });
    let Judged { result, reason } = match &session.pending {
        Some(question) => Judged {
            result: SpfResult::NotYetKnown,
            reason: format!("the answer to {question} is not there yet"),
        },
        None => judged,
    };
    Outcome {
        result,
        reason,
        lookups: session.lookups,
        voids: session.voids,
    }
}

struct Session<'a> {
    facts: &'a Facts,
    address: IpAddr,
    local: &'a str,
    sender_domain: &'a str,
    helo: &'a str,
    lookups: usize,
    voids: usize,
    /// The first question without an answer.
    pending: Option<String>,
}

struct Judged {
    result: SpfResult,
    reason: String,
}

/// An error that ends the whole evaluation.
struct Stop(SpfResult, String);

impl Stop {
    fn permanent(reason: impl Into<String>) -> Self {
        Self(SpfResult::PermError, reason.into())
    }
}

impl Session<'_> {
    fn check(&mut self, domain: &Name) -> Result<Judged, Stop> {
        let Some(values) = self.ask(domain, RecordType::Txt)? else {
            return Ok(Judged {
                result: SpfResult::Neutral,
                reason: String::new(),
            });
        };
        match parse::select(values.iter().filter_map(Value::as_txt).map(str::to_owned)) {
            Selected::None => Ok(Judged {
                result: SpfResult::None,
                reason: format!("{domain} has no SPF record"),
            }),
            Selected::Many(_) => Err(Stop::permanent(format!("{domain} has several SPF records"))),
            Selected::One(text) => match parse::parse(&text) {
                Ok(record) => self.evaluate(domain, &record),
                Err(errors) => Err(Stop::permanent(
                    errors.first().map_or_else(String::new, |error| {
                        format!("syntax error at `{}` in the record of {domain}", error.term)
                    }),
                )),
            },
        }
    }

    fn evaluate(&mut self, domain: &Name, record: &Record) -> Result<Judged, Stop> {
        for placed in &record.terms {
            let Term::Directive(qualifier, mechanism) = &placed.term else {
                continue;
            };
            if self.matches(domain, mechanism)? {
                return Ok(Judged {
                    result: match qualifier {
                        Qualifier::Pass => SpfResult::Pass,
                        Qualifier::Fail => SpfResult::Fail,
                        Qualifier::SoftFail => SpfResult::SoftFail,
                        Qualifier::Neutral => SpfResult::Neutral,
                    },
                    reason: format!("`{}` of {domain} decides", placed.term),
                });
            }
        }
        match record.live_redirect() {
            Some(target) => self.redirect(domain, target),
            None => Ok(Judged {
                result: SpfResult::Neutral,
                reason: format!("nothing in the record of {domain} matches"),
            }),
        }
    }

    fn redirect(&mut self, domain: &Name, target: &MacroString) -> Result<Judged, Stop> {
        self.count_lookup()?;
        let judged = match self.target(domain, Some(target)) {
            Some(name) => self.check(&name)?,
            None => return Err(Stop::permanent(format!("`redirect={target}` names no domain"))),
        };
        if judged.result == SpfResult::None {
            return Err(Stop::permanent(format!("`redirect={target}`: {}", judged.reason)));
        }
        Ok(judged)
    }

    fn matches(&mut self, domain: &Name, mechanism: &Mechanism) -> Result<bool, Stop> {
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip(range) => Ok(range.contains(self.address)),
            Mechanism::Include(target) => self.include(domain, target),
            Mechanism::A(target, prefixes) => self.a(domain, target.as_ref(), *prefixes),
            Mechanism::Mx(target, prefixes) => self.mx(domain, target.as_ref(), *prefixes),
            Mechanism::Ptr(target) => self.ptr(domain, target.as_ref()),
            Mechanism::Exists(target) => {
                self.count_lookup()?;
                let found = match self.target(domain, Some(target)) {
                    Some(name) => self.ask_counted(&name, RecordType::A)?,
                    None => Values::new(),
                };
                Ok(!found.is_empty())
            }
        }
    }

    /// RFC 7208 section 5.2, with its table.
    fn include(&mut self, domain: &Name, target: &MacroString) -> Result<bool, Stop> {
        self.count_lookup()?;
        let Some(name) = self.target(domain, Some(target)) else {
            return Err(Stop::permanent(format!("`include:{target}` names no domain")));
        };
        let judged = self.check(&name)?;
        match judged.result {
            SpfResult::Pass => Ok(true),
            SpfResult::Fail | SpfResult::SoftFail | SpfResult::Neutral => Ok(false),
            SpfResult::None | SpfResult::TempError | SpfResult::PermError | SpfResult::NotYetKnown => {
                Err(Stop::permanent(format!("`include:{target}`: {}", judged.reason)))
            }
        }
    }

    fn a(&mut self, domain: &Name, target: Option<&MacroString>, prefixes: Prefixes) -> Result<bool, Stop> {
        self.count_lookup()?;
        let Some(name) = self.target(domain, target) else {
            return Ok(false);
        };
        let found = self.ask_counted(&name, self.address_type())?;
        Ok(self.is_one_of(&found, prefixes))
    }

    fn mx(&mut self, domain: &Name, target: Option<&MacroString>, prefixes: Prefixes) -> Result<bool, Stop> {
        self.count_lookup()?;
        let Some(name) = self.target(domain, target) else {
            return Ok(false);
        };
        let found = self.ask_counted(&name, RecordType::Mx)?;
        if found.len() > NAME_LIMIT {
            return Err(Stop::permanent(format!("{name} has more than 10 MX records")));
        }
        for host in found.iter().filter_map(exchange) {
            if let Some(addresses) = self.ask(host, self.address_type())?
                && self.is_one_of(&addresses, prefixes)
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// RFC 7208 section 5.5: an error in DNS is no match here.
    fn ptr(&mut self, domain: &Name, target: Option<&MacroString>) -> Result<bool, Stop> {
        self.count_lookup()?;
        let Some(name) = self.target(domain, target) else {
            return Ok(false);
        };
        let reverse = Name::reverse(self.address);
        if self
            .facts
            .ask(&reverse, RecordType::Ptr)
            .values()
            .is_ok_and(|v| v.is_empty())
        {
            self.count_void(&reverse)?;
        }
        Ok(self.validated_names().iter().any(|found| found.is_within(&name)))
    }

    /// Reverse names that lead back to the client; at most ten are looked at.
    fn validated_names(&mut self) -> Vec<Name> {
        let reverse = Name::reverse(self.address);
        let names = self.ask_leniently(&reverse, RecordType::Ptr);
        let names = names.iter().filter_map(|value| match value {
            Value::Ptr(name) => Some(name),
            Value::A(_)
            | Value::Aaaa(_)
            | Value::Cname(_)
            | Value::Txt(_)
            | Value::Mx {
                preference: _,
                exchange: _,
            } => None,
        });
        let exact = Prefixes { v4: 32, v6: 128 };
        names
            .take(NAME_LIMIT)
            .filter(|name| {
                let addresses = self.ask_leniently(name, self.address_type());
                self.is_one_of(&addresses, exact)
            })
            .cloned()
            .collect()
    }

    fn target(&mut self, domain: &Name, written: Option<&MacroString>) -> Option<Name> {
        match written {
            None => Some(domain.clone()),
            Some(spec) => spec.expand_domain(|letter| self.value(letter, domain)),
        }
    }

    /// RFC 7208 section 7.2.
    fn value(&mut self, letter: Letter, domain: &Name) -> String {
        match letter {
            Letter::Sender => format!("{}@{}", self.local, self.sender_domain),
            Letter::LocalPart => self.local.to_owned(),
            Letter::SenderDomain => self.sender_domain.to_owned(),
            Letter::Domain => domain.to_string(),
            Letter::Helo => self.helo.to_owned(),
            Letter::Family => if self.address.is_ipv4() { "in-addr" } else { "ip6" }.to_owned(),
            Letter::Address => dotted(self.address),
            Letter::ValidatedName => self.validated_name(domain),
            // The parser refuses these outside explanations, which are not evaluated here.
            Letter::Explanation(_) => String::new(),
        }
    }

    /// `%{p}`: the domain itself if it is among the names, else one below it, else any.
    fn validated_name(&mut self, domain: &Name) -> String {
        let names = self.validated_names();
        names
            .iter()
            .find(|name| *name == domain)
            .or_else(|| names.iter().find(|name| name.is_within(domain)))
            .or_else(|| names.first())
            .map_or_else(|| "unknown".to_owned(), Name::to_string)
    }

    fn address_type(&self) -> RecordType {
        if self.address.is_ipv4() {
            RecordType::A
        } else {
            RecordType::Aaaa
        }
    }

    fn is_one_of(&self, values: &Values, prefixes: Prefixes) -> bool {
        values.iter().filter_map(address).any(|address| {
            let length = if address.is_ipv4() {
                prefixes.v4
            } else {
                prefixes.v6
            };
            Cidr::masked(address, length).is_some_and(|range| range.contains(self.address))
        })
    }

    /// The values, `None` when they are not known yet, an error when DNS failed.
    fn ask(&mut self, name: &Name, record_type: RecordType) -> Result<Option<Values>, Stop> {
        match self.facts.ask(name, record_type).values() {
            Ok(values) => Ok(Some(values)),
            Err(Failure::NotAsked) => {
                self.note_pending(name, record_type);
                Ok(None)
            }
            Err(failure) => Err(Stop(
                SpfResult::TempError,
                format!("{name} {record_type} {failure}"),
            )),
        }
    }

    /// The same for the first question of a term, which counts as void when nothing is there.
    fn ask_counted(&mut self, name: &Name, record_type: RecordType) -> Result<Values, Stop> {
        match self.ask(name, record_type)? {
            None => Ok(Values::new()),
            Some(values) => {
                if values.is_empty() {
                    self.count_void(name)?;
                }
                Ok(values)
            }
        }
    }

    fn ask_leniently(&mut self, name: &Name, record_type: RecordType) -> Values {
        let answer = self.facts.ask(name, record_type).values();
        if answer == Err(Failure::NotAsked) {
            self.note_pending(name, record_type);
        }
        answer.unwrap_or_default()
    }

    fn note_pending(&mut self, name: &Name, record_type: RecordType) {
        self.pending
            .get_or_insert_with(|| format!("{name} {record_type}"));
    }

    fn count_lookup(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > LOOKUP_LIMIT {
            return Err(Stop::permanent("more than 10 terms ask DNS"));
        }
        Ok(())
    }

    fn count_void(&mut self, name: &Name) -> Result<(), Stop> {
        self.voids += 1;
        if self.voids > VOID_LIMIT {
            return Err(Stop::permanent(format!(
                "more than 2 lookups find nothing, the last one at {name}"
            )));
        }
        Ok(())
    }
}

/// The host of an MX value; none for the null MX.
pub fn exchange(value: &Value) -> Option<&Name> {
    match value {
        Value::Mx {
            preference: _,
            exchange,
        } => exchange.as_ref(),
        Value::A(_) | Value::Aaaa(_) | Value::Cname(_) | Value::Ptr(_) | Value::Txt(_) => None,
    }
}

fn address(value: &Value) -> Option<IpAddr> {
    match value {
        Value::A(v4) => Some(IpAddr::V4(*v4)),
        Value::Aaaa(v6) => Some(IpAddr::V6(*v6)),
        Value::Cname(_)
        | Value::Ptr(_)
        | Value::Txt(_)
        | Value::Mx {
            preference: _,
            exchange: _,
        } => None,
    }
}

/// `%{i}`: octets, or nibbles for IPv6.
fn dotted(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => v4.to_string(),
        IpAddr::V6(v6) => v6
            .octets()
            .iter()
            .map(|octet| format!("{:x}.{:x}", octet >> 4, octet & 15))
            .collect::<Vec<_>>()
            .join("."),
    }
}
