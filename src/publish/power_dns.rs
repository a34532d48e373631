//! PowerDNS Authoritative Server, through its HTTP API. Run against 4.7.3; the calls are the same in 5.x.
//!
//! A PATCH replaces whole RRsets, all of them or none, and has no compare-and-swap. So each transaction reads the
//! zone, refuses when an RRset is not what the plan was made from, writes, and reads back. Between that read and the
//! write, one round trip, somebody else's value in the same RRset can still be lost: only a TXT RRset that is
//! shared with others is exposed to it. There EXTEND and PRUNE, which add and remove one record, are used where the
//! server's version has them (4.9.12, 5.0.2 and later); a server that refuses them after all gets the whole RRset. DNS
//! UPDATE closes the window on every version.
//!
//! The read before the write takes the whole zone, not `rrset_name`: the filtered answer leaves disabled records
//! out (seen in 4.7.3), and a REPLACE made from it would delete them. Reading for a plan may use the filter, since
//! disabled records are not in DNS.

mod patch;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use reqwest::Method;
use reqwest::header::HeaderName;
use serde::Deserialize;

use self::patch::{Way, patch, shares};
use super::gate::Gate;
use super::http::{self, Api, Reply, segment};
use super::transaction::{carried_out, describe, fence, same, transactions};
use super::{Change, Live, ProviderPlan, PublishError, Publisher, Survey, confirm};
use crate::lead::Lead;
use crate::lookup::Delegation;
use crate::name::Name;
use crate::record::{self, Key, RecordType, Value};

/// From this many names on, one answer with the whole zone is asked for instead of one for each name.
const WHOLE_ZONE_FROM: usize = 64;
/// Questions to one server at the same time.
const CONCURRENCY: usize = 4;
/// Writes are in the answers of this server at once; its secondaries follow a NOTIFY.
const PATIENCE: Duration = Duration::from_secs(5);

/// One PowerDNS server.
#[derive(Debug)]
pub struct PowerDns {
    api: Api,
    server_id: String,
}

impl PowerDns {
    /// The server with this id behind the API at `url`, `localhost` unless a proxy says otherwise.
    pub fn new(url: &str, server_id: &str, api_key: &str) -> Result<Self, PublishError> {
        Ok(Self {
            api: Api::new(url, HeaderName::from_static("x-api-key"), api_key)?,
            server_id: server_id.to_owned(),
        })
    }

    /// The same, with every request through this gate.
    #[must_use]
    pub fn through(self, gate: Gate) -> Self {
        Self {
            api: self.api.through(gate),
            ..self
        }
    }

    fn server_path(&self) -> String {
        format!("/api/v1/servers/{}", segment(&self.server_id))
    }

    fn zone_path(&self, zone: &Name) -> String {
        format!("{}/zones/{}", self.server_path(), segment(&zone.with_dot()))
    }

    async fn get_zone(&self, zone: &Name, query: &str) -> Result<Zone, PublishError> {
        let path = format!("{}{query}", self.zone_path(zone));
        match self.api.send(Method::GET, &path, None).await? {
            Reply::Success(body) => http::parse(&body),
            // 404, and 422 "Could not find domain" in older servers.
            Reply::Status(404 | 422) => Err(PublishError::ZoneMissing(zone.clone())),
            Reply::Status(status) => Err(PublishError::Refused(zone.to_string(), status)),
        }
    }

    /// All of a zone. One without SOA does not exist, so an answer without it is not the zone: what a REPLACE keeps of
    /// others must not be taken from it.
    async fn get_whole(&self, zone: &Name) -> Result<Zone, PublishError> {
        let answer = self.get_zone(zone, "").await?;
        if answer.begins_at(zone) {
            Ok(answer)
        } else {
            Err(PublishError::Unreadable)
        }
    }

    async fn get_name(&self, zone: &Name, name: &Name) -> Result<Zone, PublishError> {
        let query = format!("?rrsets=true&rrset_name={}", segment(&name.with_dot()));
        self.get_zone(zone, &query).await
    }

    async fn read_names(&self, zone: &Name, names: &BTreeSet<Name>) -> Result<Live, PublishError> {
        let mut rest = names.iter();
        let first = match rest.next() {
            Some(first) if names.len() < WHOLE_ZONE_FROM => first,
            Some(_) => return Ok(self.get_whole(zone).await?.at(names).live),
            None => {
                return self
                    .get_zone(zone, "?rrsets=false")
                    .await
                    .map(|_| Live::default());
            }
        };
        let answer = self.get_name(zone, first).await?;
        if !answer.speaks_only_of(first) {
            // A server that does not know the filter sent the whole zone.
            return Ok(answer.at(names).live);
        }
        let mut live = answer.at(names).live;
        // Boxed: an opaque future here would be tied to the lifetimes of the closure.
        let questions: Vec<BoxFuture<'_, Result<Zone, PublishError>>> =
            rest.map(|name| self.get_name(zone, name).boxed()).collect();
        let mut answers = stream::iter(questions).buffer_unordered(CONCURRENCY);
        while let Some(answer) = answers.try_next().await? {
            let found = answer.at(names).live;
            live.rrsets.extend(found.rrsets);
            live.other_types.extend(found.other_types);
        }
        Ok(live)
    }

    /// The names of all zones. `dnssec=false` spares the server a look at the keys of each (4.3 and later).
    async fn list_zones(&self) -> Result<BTreeSet<Name>, PublishError> {
        let path = format!("{}/zones?dnssec=false", self.server_path());
        let body = match self.api.send(Method::GET, &path, None).await? {
            Reply::Success(body) => body,
            Reply::Status(404) => return Err(PublishError::ServerUnknown(self.server_id.clone())),
            Reply::Status(status) => {
                return Err(PublishError::Refused("the list of zones".to_owned(), status));
            }
        };
        let zones: Vec<ListedZone> = http::parse(&body)?;
        // A zone whose name is no `Name`, the root for one, is none that is published in.
        Ok(zones
            .iter()
            .filter_map(|zone| Name::parse(&zone.name).ok())
            .collect())
    }

    /// One PATCH, between two reads. Where the server may know EXTEND and PRUNE, they are tried first on what is shared.
    async fn transact(
        &self,
        zone: &Name,
        changes: &[&Change],
        fence: Option<&Change>,
        lead: &Lead,
    ) -> Result<(), PublishError> {
        let shared = changes.iter().any(|change| shares(change));
        if shared && self.extends().await? && self.attempt(zone, changes, fence, lead, Way::Single).await? {
            return Ok(());
        }
        if self.attempt(zone, changes, fence, lead, Way::Whole).await? {
            return Ok(());
        }
        Err(PublishError::Refused(describe(changes), 422))
    }

    /// `false`: the server understood the request and takes no such change (422).
    async fn attempt(
        &self,
        zone: &Name,
        changes: &[&Change],
        fence: Option<&Change>,
        lead: &Lead,
        way: Way,
    ) -> Result<bool, PublishError> {
        let names: BTreeSet<Name> = changes.iter().map(|c| c.key.name.clone()).collect();
        let guarded = fence.map(|fence| fence.key.name.clone()).into_iter();
        let read = names.iter().cloned().chain(guarded).collect();
        let found = self.get_whole(zone).await?.at(&read);
        if let Some(fence) = fence.filter(|fence| !carried_out(fence, &found.live)) {
            return Err(PublishError::Raced(fence.key.clone()));
        }
        if let Some(raced) = changes
            .iter()
            .find(|c| !same(found.live.rrsets.get(&c.key), c.before.as_ref()))
        {
            return Err(PublishError::Raced(raced.key.clone()));
        }
        let body = patch(changes, &found.disabled, way);
        confirm(lead)?;
        match self
            .api
            .send(Method::PATCH, &self.zone_path(zone), Some(&body))
            .await?
        {
            Reply::Success(_) => {}
            Reply::Status(422) => return Ok(false),
            Reply::Status(404) => return Err(PublishError::ZoneMissing(zone.clone())),
            Reply::Status(status) => return Err(PublishError::Refused(describe(changes), status)),
        }
        let after = self.read_names(zone, &names).await?;
        match changes.iter().find(|c| !carried_out(c, &after)) {
            Some(lost) => Err(PublishError::Raced(lost.key.clone())),
            None => Ok(true),
        }
    }

    /// Whether the server is of a version that knows EXTEND and PRUNE. One that does not say its version does not.
    async fn extends(&self) -> Result<bool, PublishError> {
        match self.api.send(Method::GET, &self.server_path(), None).await? {
            Reply::Success(body) => {
                let server: Server = http::parse(&body)?;
                Ok(patch::extends(&server.version))
            }
            Reply::Status(_) => Ok(false),
        }
    }

    async fn check(&self, zone: &Name) -> Result<(), PublishError> {
        match self.get_zone(zone, "?rrsets=false").await {
            Ok(_) => Ok(()),
            Err(PublishError::ZoneMissing(zone)) => {
                match self.api.send(Method::GET, &self.server_path(), None).await? {
                    Reply::Status(404) => Err(PublishError::ServerUnknown(self.server_id.clone())),
                    Reply::Status(_) | Reply::Success(_) => Err(PublishError::ZoneMissing(zone)),
                }
            }
            Err(error) => Err(error),
        }
    }
}

impl Publisher for PowerDns {
    fn read<'a>(
        &'a self,
        zone: &'a Name,
        names: &'a BTreeSet<Name>,
    ) -> BoxFuture<'a, Result<Live, PublishError>> {
        self.read_names(zone, names).boxed()
    }

    fn apply<'a>(
        &'a self,
        plan: &'a ProviderPlan,
        lead: &'a Lead,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        async move {
            storable(&plan.changes)?;
            for (zone, changes) in transactions(&plan.changes) {
                // The first failure ends it: what comes later (DMARC) may rely on what came before.
                let fence = fence(&plan.changes, zone, &changes);
                self.transact(zone, &changes, fence, lead).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn probe<'a>(&'a self, zone: &'a Name) -> BoxFuture<'a, Result<(), PublishError>> {
        self.check(zone).boxed()
    }

    fn name_servers<'a>(&'a self, zone: &'a Name) -> BoxFuture<'a, Result<Option<Delegation>, PublishError>> {
        async move { Ok(Some(self.get_name(zone, zone).await?.name_servers(zone))) }.boxed()
    }

    fn survey<'a>(&'a self, zones: &'a BTreeSet<Name>) -> BoxFuture<'a, Result<Survey, PublishError>> {
        async move { Ok(Survey::listed(self.list_zones().await?, zones)) }.boxed()
    }

    fn patience(&self) -> Duration {
        PATIENCE
    }
}

/// What the API says of the server.
#[derive(Debug, Deserialize)]
struct Server {
    #[serde(default)]
    version: String,
}

/// A zone in the list of all.
#[derive(Debug, Deserialize)]
struct ListedZone {
    name: String,
}

/// A zone as the API lists it. Comments are not read: a REPLACE that says nothing of them keeps them.
#[derive(Debug, Deserialize)]
struct Zone {
    #[serde(default)]
    rrsets: Vec<Rrset>,
}

#[derive(Debug, Deserialize)]
struct Rrset {
    name: String,
    #[serde(rename = "type")]
    record_type: String,
    #[serde(default)]
    ttl: u32,
    /// May be empty: 4.7.3 lists every comment of the zone beside a filtered answer.
    #[serde(default)]
    records: Vec<Record>,
}

#[derive(Debug, Deserialize)]
struct Record {
    content: String,
    #[serde(default)]
    disabled: bool,
}

/// What a zone holds at some names.
#[derive(Debug, Default)]
struct Snapshot {
    live: Live,
    /// Records that the server keeps but does not answer with. They are nobody's of ours, and are written back.
    disabled: BTreeMap<Key, BTreeSet<String>>,
}

impl Zone {
    /// Whether the SOA record of this zone is listed (RFC 1034 section 4.2.1: each zone has one, at its top).
    fn begins_at(&self, zone: &Name) -> bool {
        let is_top =
            |rrset: &Rrset| rrset.record_type == "SOA" && Name::parse(&rrset.name).as_ref() == Ok(zone);
        self.rrsets.iter().any(is_top)
    }

    fn name_servers(&self, zone: &Name) -> Delegation {
        let is_top =
            |rrset: &&Rrset| rrset.record_type == "NS" && Name::parse(&rrset.name).as_ref() == Ok(zone);
        let mut delegation = Delegation::default();
        for rrset in self.rrsets.iter().filter(is_top) {
            let names = rrset.records.iter().filter(|record| !record.disabled);
            let names = names.filter_map(|record| Name::parse(&record.content).ok());
            delegation.servers.extend(names);
            delegation.ttl = rrset.ttl;
        }
        delegation
    }

    fn speaks_only_of(&self, name: &Name) -> bool {
        self.rrsets
            .iter()
            .filter(|rrset| !rrset.records.is_empty())
            .all(|rrset| Name::parse(&rrset.name).as_ref() == Ok(name))
    }

    fn at(self, names: &BTreeSet<Name>) -> Snapshot {
        let mut found = Snapshot::default();
        for rrset in self.rrsets {
            // A name that is no `Name`, a wildcard for one, is none that was asked for.
            let Some(name) = Name::parse(&rrset.name).ok().filter(|n| names.contains(n)) else {
                continue;
            };
            let Some(record_type) = RecordType::parse(&rrset.record_type) else {
                if rrset.records.iter().any(|r| !r.disabled) {
                    let types = found.live.other_types.entry(name).or_default();
                    types.insert(rrset.record_type);
                }
                continue;
            };
            let key = Key::new(name, record_type);
            for record in rrset.records {
                if record.disabled {
                    found
                        .disabled
                        .entry(key.clone())
                        .or_default()
                        .insert(record.content);
                } else {
                    let live = found.live.rrsets.entry(key.clone()).or_default();
                    live.ttl = rrset.ttl;
                    let value = decode(record_type, &record.content);
                    live.records.insert(record.content, value);
                }
            }
        }
        found
    }
}

/// What a content of the API means. Names are absolute there; one that is not, means nothing.
fn decode(record_type: RecordType, content: &str) -> Option<Value> {
    match record_type {
        RecordType::A => content.parse().ok().map(Value::A),
        RecordType::Aaaa => content.parse().ok().map(Value::Aaaa),
        RecordType::Cname => absolute(content).map(Value::Cname),
        RecordType::Ptr => absolute(content).map(Value::Ptr),
        RecordType::Mx => {
            let (preference, host) = content.split_once(' ')?;
            let exchange = match host {
                "." => None,
                host => Some(absolute(host)?),
            };
            Some(Value::Mx {
                preference: preference.parse().ok()?,
                exchange,
            })
        }
        RecordType::Txt if content.starts_with('"') => record::unquoted(content).map(Value::Txt),
        RecordType::Txt | RecordType::Spf => None,
    }
}

fn absolute(content: &str) -> Option<Name> {
    content
        .ends_with('.')
        .then(|| Name::parse(content).ok())
        .flatten()
}

/// One value that the server refuses keeps its whole PATCH away, so it is found before anything is written.
fn storable(changes: &[Change]) -> Result<(), PublishError> {
    let mapped = |value: &Value| matches!(value, Value::Aaaa(v6) if v6.to_ipv4_mapped().is_some());
    match changes.iter().find(|change| change.ours.iter().any(mapped)) {
        Some(change) => Err(PublishError::Unsupported(
            change.key.clone(),
            "an IPv6 address that stands for an IPv4 address",
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
