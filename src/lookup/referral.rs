//! What the servers of a zone say about where a name is: here, or in which zone further down. Pure.
//!
//! A server is believed about its own zone and what lies below it: a delegation to another place, and addresses of
//! servers elsewhere, are passed over.

use std::collections::BTreeSet;
use std::net::IpAddr;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{self, RData, Record};
use tokio::time::Instant;

use super::ask::Reply;
use super::wire::our_name;
use super::{Failure, Server};
use crate::name::Name;

/// Name servers of one zone.
pub(super) const MAX_NAMES: usize = 16;

/// A zone with its servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// The zone; `None` is the root.
    pub(super) zone: Option<Name>,
    /// Every address of every name server, as far as they are known.
    pub(super) servers: Vec<Server>,
    /// Name servers without a known address.
    pub(super) nameless: BTreeSet<Name>,
    /// Whether the zone itself was asked for its servers and their addresses were looked up.
    pub(super) complete: bool,
    /// Until when this may be believed; `None` for the root and for given zones.
    pub(super) until: Option<Instant>,
}

/// What a server of a zone says about a name.
#[derive(Debug)]
pub(super) enum Step {
    /// This zone holds it.
    Here,
    /// The name is an alias, so it is no zone of its own: its parent's zone holds it.
    Alias,
    /// A zone further down, whose servers these are.
    Below(Referral),
    /// A zone further down on the same server, which therefore does not refer.
    Inside(Name),
}

/// NS records and glue.
#[derive(Debug)]
pub(super) struct Referral {
    /// The zone.
    pub(super) zone: Name,
    /// Its name servers, at most [`MAX_NAMES`].
    pub(super) names: BTreeSet<Name>,
    /// Addresses of them that came along.
    pub(super) glue: BTreeSet<Server>,
    /// Smallest TTL, in seconds.
    pub(super) ttl: u32,
}

impl Cut {
    /// A cut that is known from the beginning.
    pub(super) fn fixed(zone: Option<&Name>, addresses: &[IpAddr]) -> Self {
        // The configuration names no names; the zone's own stands for them.
        let name = zone.cloned().or_else(|| Name::parse("root").ok());
        let servers = addresses.iter().filter_map(|address| {
            Some(Server {
                name: name.clone()?,
                address: *address,
            })
        });
        Self {
            zone: zone.cloned(),
            servers: servers.collect(),
            nameless: BTreeSet::new(),
            complete: true,
            until: None,
        }
    }

    /// Whether the configuration gives this zone's servers.
    pub(super) fn is_given(&self) -> bool {
        self.until.is_none() && self.zone.is_some()
    }

    /// How deep the zone is; the root is 0.
    pub(super) fn labels(&self) -> usize {
        self.zone.as_ref().map_or(0, Name::label_count)
    }

    /// Whether the name is at or below the zone.
    pub(super) fn holds(&self, name: &Name) -> bool {
        self.zone.as_ref().is_none_or(|zone| name.is_within(zone))
    }

    fn is_above(&self, zone: &Name) -> bool {
        self.holds(zone) && self.zone.as_ref() != Some(zone)
    }
}

/// Reads the answer to a question for the SOA record of `name` that a server of `cut` gave.
pub(super) fn step(reply: &Reply, name: &Name, cut: &Cut) -> Result<Step, Failure> {
    usable(reply)?;
    if !reply.authoritative {
        return referral(reply, name, cut).map(Step::Below).ok_or(Failure::Lame);
    }
    let is_alias = |r: &Record| r.record_type() == rr::RecordType::CNAME && is(r, name);
    if reply.answers.iter().any(is_alias) {
        return Ok(Step::Alias);
    }
    let mut both = reply.answers.iter().chain(&reply.authorities);
    let zone = both
        .find(|r| r.record_type() == rr::RecordType::SOA)
        .and_then(|r| our_name(&r.name));
    Ok(match zone {
        Some(zone) if name.is_within(&zone) && cut.is_above(&zone) => Step::Inside(zone),
        _ => Step::Here,
    })
}

fn referral(reply: &Reply, name: &Name, cut: &Cut) -> Option<Referral> {
    let zone = reply
        .authorities
        .iter()
        .filter(|r| r.record_type() == rr::RecordType::NS)
        .filter_map(|r| our_name(&r.name))
        .find(|zone| name.is_within(zone) && cut.is_above(zone))?;
    let glue = |server: &Name| cut.holds(server);
    Some(name_servers(&zone, &reply.authorities, &reply.additionals, glue))
}

/// Reads the answer of a server of `zone` to a question for the zone's NS records.
pub(super) fn own_servers(reply: &Reply, zone: &Name) -> Result<Referral, Failure> {
    usable(reply)?;
    let glue = |server: &Name| server.is_within(zone);
    let found = name_servers(zone, &reply.answers, &reply.additionals, glue);
    if reply.authoritative && !found.names.is_empty() {
        Ok(found)
    } else {
        Err(Failure::Lame)
    }
}

/// Reads what a server of the zone above says of who serves `zone`: a referral, or NS records where it serves both.
pub(super) fn delegation(reply: &Reply, zone: &Name) -> Result<Referral, Failure> {
    usable(reply)?;
    let records = if reply.authoritative {
        &reply.answers
    } else {
        &reply.authorities
    };
    let found = name_servers(zone, records, &[], |_| false);
    if found.names.is_empty() {
        Err(Failure::Lame)
    } else {
        Ok(found)
    }
}

/// Reads the answer to a question for the addresses of a name server. Aliases do not count (RFC 2181 section 10.3).
pub(super) fn addresses(reply: &Reply, name: &Name) -> Result<Vec<IpAddr>, Failure> {
    usable(reply)?;
    if !reply.authoritative {
        return Err(Failure::Lame);
    }
    let own = reply.answers.iter().filter(|r| is(r, name));
    Ok(own.filter_map(address).collect())
}

fn name_servers(
    zone: &Name,
    records: &[Record],
    glue: &[Record],
    may_speak_for: impl Fn(&Name) -> bool,
) -> Referral {
    let mut referral = Referral {
        zone: zone.clone(),
        names: BTreeSet::new(),
        glue: BTreeSet::new(),
        ttl: u32::MAX,
    };
    for record in records {
        if let RData::NS(server) = &record.data
            && is(record, zone)
            && referral.names.len() < MAX_NAMES
            && let Some(server) = our_name(&server.0)
        {
            referral.names.insert(server);
            referral.ttl = referral.ttl.min(record.ttl);
        }
    }
    for record in glue {
        if let Some(name) = our_name(&record.name)
            && referral.names.contains(&name)
            && may_speak_for(&name)
            && let Some(address) = address(record)
        {
            referral.glue.insert(Server { name, address });
        }
    }
    referral
}

fn usable(reply: &Reply) -> Result<(), Failure> {
    match reply.code {
        ResponseCode::NoError | ResponseCode::NXDomain => Ok(()),
        ResponseCode::ServFail => Err(Failure::ServFail),
        _ => Err(Failure::Refused),
    }
}

fn is(record: &Record, name: &Name) -> bool {
    our_name(&record.name).as_ref() == Some(name)
}

fn address(record: &Record) -> Option<IpAddr> {
    match &record.data {
        RData::A(address) => Some(IpAddr::V4(address.0)),
        RData::AAAA(address) => Some(IpAddr::V6(address.0)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{name, record};
    use super::*;

    fn told(authoritative: bool, answers: &[&str], authorities: &[&str], additionals: &[&str]) -> String {
        let records = |lines: &[&str]| lines.iter().map(|line| record(line)).collect();
        let reply = Reply {
            code: ResponseCode::NoError,
            authoritative,
            answers: records(answers),
            authorities: records(authorities),
            additionals: records(additionals),
        };
        let cut = Cut::fixed(Some(&name("example.test")), &[]);
        match step(&reply, &name("a.sub.example.test"), &cut) {
            Ok(Step::Below(found)) => {
                let glue: Vec<String> = found.glue.iter().map(|s| s.address.to_string()).collect();
                format!("{} by {:?} at {glue:?}", found.zone, found.names)
            }
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn a_server_is_believed_about_what_lies_below_it() {
        let down = "sub.example.test 300 NS ns.sub.example.test";
        assert_eq!(
            told(
                false,
                &[],
                &[down],
                &[
                    "ns.sub.example.test 300 A 192.0.2.1",
                    "ns.else.test 300 A 192.0.2.2"
                ]
            ),
            "sub.example.test by {ns.sub.example.test} at [\"192.0.2.1\"]"
        );
        let elsewhere = "sub.example.test 300 NS ns.else.test";
        assert_eq!(
            told(false, &[], &[elsewhere], &["ns.else.test 300 A 192.0.2.2"]),
            "sub.example.test by {ns.else.test} at []"
        );
        for up_or_aside in [
            "test 300 NS a.test",
            ". 300 NS a.test",
            "example.test 300 NS a.test",
            "other.example.test 300 NS a.test",
        ] {
            assert_eq!(
                told(false, &[], &[up_or_aside], &[]),
                "Err(Lame)",
                "{up_or_aside}"
            );
        }
    }

    #[test]
    fn authority_says_here_or_further_down() {
        for (answers, authorities, wanted) in [
            (&[][..], &["example.test 300 SOA 60"][..], "Ok(Here)"),
            (&[], &["test 300 SOA 60"], "Ok(Here)"),
            (
                &[],
                &["sub.example.test 300 SOA 60"],
                "Ok(Inside(sub.example.test))",
            ),
            (&["a.sub.example.test 300 CNAME b.test"], &[], "Ok(Alias)"),
            (&[], &[], "Ok(Here)"),
        ] {
            assert_eq!(told(true, answers, authorities, &[]), wanted);
        }
    }
}
