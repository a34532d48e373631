//! The ledger of one domain: read, changed in memory, written back when it differs. (client)
//!
//! Every write carries the version that was read, so a pass that lost its lead cannot overwrite a newer one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, DeleteParams, PostParams, Preconditions};

use super::{Context, Error, marks};
use crate::api::{
    ClaimHolder, KeyLife, LedgerBefore, LedgerDeparture, LedgerEntry, MANAGED_BY, PlannedFor, RecordLedger,
    RecordLedgerSpec, Withdrawal,
};
use crate::name::Name;
use crate::plan::{Before, Departure, Leaving, Written};
use crate::protocol::Purpose;
use crate::record::{Key, RecordType, Value};
use crate::tenancy::Home;

/// How many name servers of a home that is left are remembered; no zone has as many.
const SERVERS: usize = 32;

/// What we wrote for one domain.
#[derive(Debug)]
pub struct Book {
    domain: Name,
    stored: Option<RecordLedger>,
    /// Whose records these are.
    pub holder: Option<ClaimHolder>,
    /// The declaration that every removal so far was decided for.
    pub planned: Option<PlannedFor>,
    /// What stands in DNS by our hand.
    pub written: BTreeMap<Key, Written>,
    /// What is left at homes whose names live elsewhere now.
    pub leaving: Leaving,
    /// The life of each key.
    pub lives: BTreeMap<String, KeyLife>,
    /// RRsets that somebody was asked to add in mode Manual.
    pub asked: BTreeSet<Key>,
    /// Set when the records are to be removed without a MailDomain.
    pub withdraw: Option<Withdrawal>,
}

impl Book {
    /// Reads the ledger of a domain; a missing one is empty.
    pub async fn read(ctx: &Context, domain: &Name) -> Result<Self, Error> {
        let stored = ctx
            .ledgers()
            .get_opt(domain.as_str())
            .await
            .map_err(Error::read("the ledger"))?;
        Ok(Self::open(domain.clone(), stored))
    }

    /// The book of an object that was read elsewhere.
    pub fn open(domain: Name, stored: Option<RecordLedger>) -> Self {
        let spec = stored
            .as_ref()
            .map(|ledger| ledger.spec.clone())
            .unwrap_or_default();
        let RecordLedgerSpec {
            domain: _,
            holder,
            planned,
            entries,
            leaving,
            keys,
            asked,
            withdraw,
        } = spec;
        Self {
            domain,
            stored,
            holder,
            planned,
            written: entries.into_iter().filter_map(parse).collect(),
            leaving: leaving.into_iter().filter_map(departure).collect(),
            lives: keys,
            asked: asked.iter().filter_map(|text| rrset(text)).collect(),
            withdraw,
        }
    }

    /// Whether there was no ledger.
    pub fn is_new(&self) -> bool {
        self.stored.is_none()
    }

    /// Whether nothing stands anywhere by our hand.
    pub fn is_blank(&self) -> bool {
        self.written.is_empty() && self.leaving.is_empty()
    }

    /// Everything that stands anywhere by our hand.
    pub fn entries(&self) -> impl Iterator<Item = (&Key, &Written)> {
        let left = self.leaving.values().flat_map(|departure| &departure.entries);
        self.written.iter().chain(left)
    }

    /// Writes the ledger if it differs from what was read.
    pub async fn write(&mut self, ctx: &Context) -> Result<(), Error> {
        let spec = RecordLedgerSpec {
            domain: self.domain.to_string(),
            holder: self.holder.clone(),
            planned: self.planned.clone(),
            entries: self.written.iter().map(entry).collect(),
            leaving: self.leaving.iter().map(left).collect(),
            keys: self.lives.clone(),
            asked: self.asked.iter().map(ToString::to_string).collect(),
            withdraw: self.withdraw.clone(),
        };
        if self.stored.as_ref().is_some_and(|stored| stored.spec == spec) {
            return Ok(());
        }
        let params = PostParams::default();
        let written = match &self.stored {
            Some(stored) => {
                let ledger = RecordLedger {
                    metadata: stored.metadata.clone(),
                    spec,
                };
                ctx.ledgers()
                    .replace(self.domain.as_str(), &params, &ledger)
                    .await
            }
            None => {
                let labels = BTreeMap::from([(MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned())]);
                let metadata = ObjectMeta {
                    name: Some(self.domain.to_string()),
                    labels: Some(labels),
                    ..ObjectMeta::default()
                };
                ctx.ledgers()
                    .create(&params, &RecordLedger { metadata, spec })
                    .await
            }
        };
        self.stored = Some(written.map_err(Error::write("the ledger"))?);
        Ok(())
    }

    /// Removes the ledger object as it was read.
    pub async fn close(self, ctx: &Context) -> Result<(), Error> {
        let Some(stored) = self.stored else { return Ok(()) };
        let preconditions = Preconditions {
            uid: stored.metadata.uid,
            resource_version: stored.metadata.resource_version,
        };
        let params = DeleteParams {
            preconditions: Some(preconditions),
            ..DeleteParams::default()
        };
        match ctx.ledgers().delete(self.domain.as_str(), &params).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(error) => Err(Error::write("the end of the ledger")(error)),
        }
    }

    /// Makes the book ours. What another namespace had written is foreign from now on, except for keys that drain: their
    /// end was decided before. Within the cluster the claim says who may write, so the owner text stays this operator's.
    pub fn take_over(&mut self, holder: &ClaimHolder) {
        if self.holder.as_ref().is_some_and(|old| old != holder) {
            self.written
                .retain(|_, entry| entry.withdraw_after.is_some() || entry.purpose == Purpose::Owner);
            self.leaving.clear();
            self.lives.clear();
            self.asked.clear();
            self.planned = None;
        }
        self.holder = Some(holder.clone());
        self.withdraw = None;
    }

    /// Asks for the removal of everything.
    pub fn withdraw(&mut self, now: Timestamp) {
        self.withdraw.get_or_insert(Withdrawal { since: Time(now) });
    }
}

impl Context {
    pub(super) fn ledgers(&self) -> Api<RecordLedger> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// `name type`, as a [`Key`] prints.
fn rrset(text: &str) -> Option<Key> {
    let (name, record_type) = text.split_once(' ')?;
    Some(Key::new(Name::parse(name).ok()?, RecordType::parse(record_type)?))
}

/// An entry that does not parse was written by a later version; it is left out, so its record counts as foreign.
fn parse(entry: LedgerEntry) -> Option<(Key, Written)> {
    let LedgerEntry {
        provider,
        zone,
        name,
        record_type,
        purpose,
        values,
        settled,
        withdraw_after,
        before,
        marks: noted,
    } = entry;
    let record_type = RecordType::parse(&record_type)?;
    let values = values
        .iter()
        .filter_map(|text| Value::parse(record_type, text))
        .collect();
    let home = Home {
        provider,
        zone: Name::parse(&zone).ok()?,
    };
    let purpose = Purpose::parse(&purpose)?;
    let withdraw_after = withdraw_after.map(|time| time.0);
    let before = before.map(|LedgerBefore { ttl_seconds, records }| Before {
        ttl: u32::try_from(ttl_seconds).unwrap_or_default(),
        records: records.into_iter().collect(),
    });
    Some((
        Key::new(Name::parse(&name).ok()?, record_type),
        Written {
            home,
            purpose,
            values,
            settled,
            withdraw_after,
            before,
            marks: marks::read(record_type, noted.unwrap_or_default()),
        },
    ))
}

fn departure(noted: LedgerDeparture) -> Option<(Home, Departure)> {
    let LedgerDeparture {
        provider,
        zone,
        since,
        servers,
        linger_seconds,
        away_since,
        entries,
    } = noted;
    let home = Home {
        provider,
        zone: Name::parse(&zone).ok()?,
    };
    let departure = Departure {
        since: since.0,
        servers: servers.iter().filter_map(|name| Name::parse(name).ok()).collect(),
        linger: u32::try_from(linger_seconds).unwrap_or(u32::MAX),
        away: away_since.map(|time| time.0),
        certain: true,
        entries: entries.into_iter().filter_map(parse).collect(),
    };
    Some((home, departure))
}

fn left((home, departure): (&Home, &Departure)) -> LedgerDeparture {
    let Departure {
        since,
        servers,
        linger,
        away,
        certain: _,
        entries,
    } = departure;
    LedgerDeparture {
        provider: home.provider.clone(),
        zone: home.zone.to_string(),
        since: Time(*since),
        servers: servers.iter().take(SERVERS).map(ToString::to_string).collect(),
        linger_seconds: i64::from(*linger),
        away_since: away.map(Time),
        entries: entries.iter().map(entry).collect(),
    }
}

fn entry((key, written): (&Key, &Written)) -> LedgerEntry {
    let Written {
        home,
        purpose,
        values,
        settled,
        withdraw_after,
        before,
        marks: noted,
    } = written;
    let before = before.as_ref().map(|Before { ttl, records }| LedgerBefore {
        ttl_seconds: i32::try_from(*ttl).unwrap_or(i32::MAX),
        records: records.iter().cloned().collect(),
    });
    LedgerEntry {
        provider: home.provider.clone(),
        zone: home.zone.to_string(),
        name: key.name.to_string(),
        record_type: key.record_type.to_string(),
        purpose: purpose.to_string(),
        values: values.iter().map(ToString::to_string).collect(),
        settled: *settled,
        withdraw_after: withdraw_after.map(Time),
        before,
        marks: marks::write(noted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dmarc(withdraw_after: Option<Timestamp>) -> (Key, Written) {
        let key = Key::new(Name::parse("_dmarc.example.com").unwrap(), RecordType::Txt);
        let written = Written {
            home: Home {
                provider: "p".into(),
                zone: Name::parse("example.com").unwrap(),
            },
            purpose: Purpose::Dmarc,
            values: [Value::Txt("v=DMARC1; p=none".into())].into(),
            settled: true,
            withdraw_after,
            before: Some(Before {
                ttl: 60,
                records: ["\"v=DMARC1; p=reject\"".to_owned()].into(),
            }),
            marks: crate::plan::Marks {
                released: [Value::Txt("v=DMARC1; p=none".into())].into(),
                held: [Value::Txt("v=DMARC1; p=quarantine".into())].into(),
                retiring: [("ip4:203.0.113.4".to_owned(), Timestamp::UNIX_EPOCH)].into(),
                war: crate::plan::War {
                    generation: 7,
                    reverts: vec![Timestamp::UNIX_EPOCH],
                },
            },
        };
        (key, written)
    }

    #[test]
    fn entries_survive_the_round_trip() {
        let (key, written) = dmarc(Some(Timestamp::from_second(7).unwrap()));
        assert_eq!(parse(entry((&key, &written))), Some((key, written)));
    }

    #[test]
    fn what_is_left_elsewhere_survives_the_round_trip() {
        let home = Home {
            provider: "old".into(),
            zone: Name::parse("example.com").unwrap(),
        };
        let departure = Departure {
            since: Timestamp::UNIX_EPOCH,
            servers: [Name::parse("ns1.example.net").unwrap()].into(),
            linger: 172_800,
            away: Some(Timestamp::from_second(9).unwrap()),
            certain: true,
            entries: [dmarc(None)].into(),
        };
        let noted = left((&home, &departure));
        assert_eq!(super::departure(noted), Some((home, departure)));
    }

    #[test]
    fn another_holder_starts_with_nothing() {
        let holder = |namespace: &str| ClaimHolder {
            namespace: namespace.into(),
            uid: Some("1".into()),
        };
        let mut book = Book::open(Name::parse("example.com").unwrap(), None);
        book.take_over(&holder("a"));
        book.lives.insert("mta/rsa".into(), KeyLife::default());
        book.asked.extend(rrset("example.com MX"));
        assert_eq!(book.asked.len(), 1);
        book.take_over(&holder("a"));
        assert_eq!(book.lives.len(), 1);
        book.written.extend([dmarc(None)]);
        book.take_over(&holder("b"));
        assert!(book.lives.is_empty() && book.asked.is_empty());
        assert!(book.written.is_empty());
    }

    #[test]
    fn another_holder_lets_keys_drain_to_their_end() {
        let holder = |namespace: &str| ClaimHolder {
            namespace: namespace.into(),
            uid: None,
        };
        let mut book = Book::open(Name::parse("example.com").unwrap(), None);
        book.take_over(&holder("a"));
        book.written.extend([dmarc(Some(Timestamp::UNIX_EPOCH))]);
        book.take_over(&holder("b"));
        assert_eq!(book.written.len(), 1);
    }
}
