//! A DNS service in memory, with the rules of a real one: for the tests of everything that uses a [`Publisher`].

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{BoxFuture, FutureExt as _, ready};

use super::transaction::{carried_out, fence, same, transactions};
use super::{Change, Live, LiveRrset, ProviderPlan, PublishError, Publisher, confirm};
use crate::lead::Lead;
use crate::name::Name;
use crate::record::{Key, Value};

type Rrsets = BTreeMap<Key, LiveRrset>;

/// Some zones; a transaction compares before it writes, and changes a zone at once or not at all.
#[derive(Debug, Default)]
pub struct Memory {
    zones: Mutex<BTreeMap<Name, Rrsets>>,
    /// The next call of any kind fails with this.
    failure: Mutex<Option<PublishError>>,
    writes: Mutex<usize>,
}

impl Memory {
    /// A service with these zones, empty.
    pub fn new(zones: impl IntoIterator<Item = Name>) -> Self {
        Self {
            zones: Mutex::new(zones.into_iter().map(|zone| (zone, Rrsets::new())).collect()),
            failure: Mutex::default(),
            writes: Mutex::default(),
        }
    }

    /// Puts an RRset there as somebody else would; without values it goes. Ignored outside the zones.
    pub fn put(&self, key: Key, ttl: u32, values: impl IntoIterator<Item = Value>) {
        let records: BTreeMap<_, _> = values.into_iter().map(|v| (v.to_string(), Some(v))).collect();
        let mut zones = lock(&self.zones);
        let Some(zone) = key.name.longest_match(zones.keys()).cloned() else {
            return;
        };
        let rrsets = zones.entry(zone).or_default();
        if records.is_empty() {
            rrsets.remove(&key);
        } else {
            rrsets.insert(key, LiveRrset { ttl, records });
        }
    }

    /// The RRset, if there is one.
    pub fn get(&self, key: &Key) -> Option<LiveRrset> {
        let zones = lock(&self.zones);
        let zone = key.name.longest_match(zones.keys())?;
        zones.get(zone)?.get(key).cloned()
    }

    /// Makes the next call fail.
    pub fn fail_next(&self, error: PublishError) {
        *lock(&self.failure) = Some(error);
    }

    /// How many transactions were carried out.
    pub fn writes(&self) -> usize {
        *lock(&self.writes)
    }

    fn fail(&self) -> Result<(), PublishError> {
        lock(&self.failure).take().map_or(Ok(()), Err)
    }

    fn look(&self, zone: &Name, names: &BTreeSet<Name>) -> Result<Live, PublishError> {
        self.fail()?;
        let zones = lock(&self.zones);
        let rrsets = zones
            .get(zone)
            .ok_or_else(|| PublishError::ZoneMissing(zone.clone()))?;
        let found = rrsets.iter().filter(|(key, _)| names.contains(&key.name));
        Ok(Live {
            rrsets: found.map(|(key, rrset)| (key.clone(), rrset.clone())).collect(),
            ..Live::default()
        })
    }

    fn transact(&self, zone: &Name, changes: &[&Change], fence: Option<&Change>) -> Result<(), PublishError> {
        let mut zones = lock(&self.zones);
        let rrsets = zones
            .get_mut(zone)
            .ok_or_else(|| PublishError::ZoneMissing(zone.clone()))?;
        if let Some(fence) = fence {
            let now = Live {
                rrsets: rrsets.clone(),
                ..Live::default()
            };
            if !carried_out(fence, &now) {
                return Err(PublishError::Raced(fence.key.clone()));
            }
        }
        for change in changes {
            if !same(rrsets.get(&change.key), change.before.as_ref()) {
                return Err(PublishError::Raced(change.key.clone()));
            }
        }
        for change in changes {
            let kept = rrsets.remove(&change.key).unwrap_or_default().records;
            let mut records: BTreeMap<String, Option<Value>> = change
                .keep
                .iter()
                .map(|raw| (raw.clone(), kept.get(raw).cloned().flatten()))
                .collect();
            records.extend(change.ours.iter().map(|v| (v.to_string(), Some(v.clone()))));
            if !records.is_empty() {
                let ttl = change.ttl;
                rrsets.insert(change.key.clone(), LiveRrset { ttl, records });
            }
        }
        *lock(&self.writes) += 1;
        Ok(())
    }

    fn carry_out(&self, plan: &ProviderPlan) -> Result<(), PublishError> {
        self.fail()?;
        transactions(&plan.changes)
            .into_iter()
            .try_for_each(|(zone, changes)| {
                self.transact(zone, &changes, fence(&plan.changes, zone, &changes))
            })
    }
}

impl Publisher for Memory {
    fn read<'a>(
        &'a self,
        zone: &'a Name,
        names: &'a BTreeSet<Name>,
    ) -> BoxFuture<'a, Result<Live, PublishError>> {
        ready(self.look(zone, names)).boxed()
    }

    fn apply<'a>(
        &'a self,
        plan: &'a ProviderPlan,
        lead: &'a Lead,
    ) -> BoxFuture<'a, Result<(), PublishError>> {
        ready(confirm(lead).and_then(|()| self.carry_out(plan))).boxed()
    }

    fn probe<'a>(&'a self, zone: &'a Name) -> BoxFuture<'a, Result<(), PublishError>> {
        ready(self.look(zone, &BTreeSet::new()).map(drop)).boxed()
    }

    fn patience(&self) -> Duration {
        Duration::ZERO
    }
}

/// A test that panicked elsewhere does not hide what stands here.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::RecordType;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn txt(text: &str) -> Value {
        Value::Txt(text.to_owned())
    }

    fn plan(before: Option<LiveRrset>, keep: &[&str], ours: &[Value]) -> ProviderPlan {
        ProviderPlan {
            domain: name("example.com"),
            changes: vec![Change {
                zone: name("example.com"),
                key: Key::new(name("example.com"), RecordType::Txt),
                before,
                ttl: 60,
                keep: keep.iter().map(|&raw| raw.to_owned()).collect(),
                ours: ours.iter().cloned().collect(),
            }],
            state: BTreeMap::new(),
        }
    }

    #[tokio::test]
    async fn a_change_is_compared_and_foreign_values_stay() {
        let service = Memory::new([name("example.com")]);
        let key = Key::new(name("example.com"), RecordType::Txt);
        service.put(key.clone(), 300, [txt("foreign")]);
        let spf = [txt("v=spf1 -all")];
        assert_eq!(
            service.apply(&plan(None, &[], &spf), &Lead::undisputed()).await,
            Err(PublishError::Raced(key.clone()))
        );
        let before = service.get(&key);
        let keep = ["\"foreign\""];
        service
            .apply(&plan(before, &keep, &spf), &Lead::undisputed())
            .await
            .unwrap();
        assert_eq!(service.get(&key).unwrap().records.len(), 2);
        service
            .apply(&plan(service.get(&key), &keep, &[]), &Lead::undisputed())
            .await
            .unwrap();
        assert_eq!(service.get(&key).unwrap().records.len(), 1);
        service
            .apply(&plan(service.get(&key), &[], &[]), &Lead::undisputed())
            .await
            .unwrap();
        assert_eq!(service.get(&key), None);
        assert_eq!(service.writes(), 3);
    }

    #[tokio::test]
    async fn a_zone_that_is_not_there_is_never_empty() {
        let service = Memory::new([name("example.com")]);
        let zone = name("example.org");
        let read = service.read(&zone, &BTreeSet::new()).await;
        assert_eq!(read, Err(PublishError::ZoneMissing(zone)));
        service.fail_next(PublishError::Unreachable);
        let zone = name("example.com");
        assert_eq!(service.probe(&zone).await, Err(PublishError::Unreachable));
        assert_eq!(service.probe(&zone).await, Ok(()));
    }
}
