//! Watches that come back soon and alone. (client)
//!
//! A `Controller` sleeps at any watch's error with all of its watches, up to a minute (reliability.md 1.3 measured three
//! minutes until the first pass after an outage). Here each watch waits for itself, three seconds at most, and errors
//! are counted instead of handed on.

use std::collections::HashMap;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::Resource;
use kube::api::Api;
use kube::runtime::utils::Backoff;
use kube::runtime::{WatchStreamExt, watcher};
use serde::de::DeserializeOwned;

use crate::metrics::Metrics;

const SHORTEST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(3);

/// Doubles from [`SHORTEST`] to [`LONGEST`]; the watch resets it when it goes on.
#[derive(Debug)]
struct Wait(Duration);

impl Iterator for Wait {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = self.0;
        self.0 = (wait * 2).min(LONGEST);
        Some(wait)
    }
}

impl Backoff for Wait {
    fn reset(&mut self) {
        self.0 = SHORTEST;
    }
}

/// The events of one kind, for ever.
pub fn events<K>(
    api: Api<K>,
    metrics: &Arc<Metrics>,
) -> impl Stream<Item = Result<watcher::Event<K>, watcher::Error>> + Send + use<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default + Eq + Hash + Clone,
{
    let metrics = metrics.clone();
    watcher(api, watcher::Config::default())
        .backoff(Wait(SHORTEST))
        .filter_map(move |event| {
            if let Err(error) = &event {
                let kind = K::kind(&K::DynamicType::default()).into_owned();
                tracing::debug!(kind, error = %error, "a watch was cut off and is made again");
                metrics.watch_failed(kind);
            }
            std::future::ready(event.ok().map(Ok))
        })
}

/// Every object that was created, changed or deleted.
pub fn touched<K>(
    api: Api<K>,
    metrics: &Arc<Metrics>,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + use<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default + Eq + Hash + Clone,
{
    events(api, metrics).touched_objects()
}

/// Every object that was created or deleted, or whose aspect changed. What else changes wakes nobody.
pub fn changed<K, A>(
    api: Api<K>,
    metrics: &Arc<Metrics>,
    aspect: fn(&K) -> A,
) -> impl Stream<Item = Result<K, watcher::Error>> + Send + use<K, A>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
    K::DynamicType: Default + Eq + Hash + Clone,
    A: PartialEq + Send + 'static,
{
    let mut known: HashMap<Option<String>, A> = HashMap::new();
    events(api, metrics).filter_map(move |event| {
        let touched = event.map(|event| news(&mut known, event, aspect)).transpose();
        std::future::ready(touched)
    })
}

/// The object of an event, if it is news.
fn news<K: Resource, A: PartialEq>(
    known: &mut HashMap<Option<String>, A>,
    event: watcher::Event<K>,
    aspect: fn(&K) -> A,
) -> Option<K> {
    match event {
        watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
            let now = aspect(&object);
            let uid = object.meta().uid.clone();
            let same = known.get(&uid) == Some(&now);
            known.insert(uid, now);
            (!same).then_some(object)
        }
        watcher::Event::Delete(object) => {
            known.remove(&object.meta().uid);
            Some(object)
        }
        watcher::Event::Init | watcher::Event::InitDone => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_watch_waits_three_seconds_at_most_and_little_after_success() {
        let mut wait = Wait(SHORTEST);
        let first: Vec<u128> = wait.by_ref().take(6).map(|w| w.as_millis()).collect();
        assert_eq!(first, [200, 400, 800, 1600, 3000, 3000]);
        wait.reset();
        assert_eq!(wait.next(), Some(SHORTEST));
    }

    #[test]
    fn only_the_aspect_is_news() {
        use k8s_openapi::api::core::v1::Namespace;
        use watcher::Event::{Apply, Delete, Init, InitApply};
        let object = |uid: &str, generation, version: &str| {
            let mut object = Namespace::default();
            object.metadata.uid = Some(uid.to_owned());
            object.metadata.generation = Some(generation);
            object.metadata.resource_version = Some(version.to_owned());
            object
        };
        let mut known = HashMap::new();
        let mut is_news = |event| news(&mut known, event, |o: &Namespace| o.metadata.generation).is_some();
        assert!(!is_news(Init));
        assert!(is_news(InitApply(object("a", 1, "1"))));
        assert!(!is_news(Apply(object("a", 1, "2"))), "a status");
        assert!(is_news(Apply(object("b", 1, "3"))), "another object");
        assert!(is_news(Apply(object("a", 2, "4"))));
        assert!(
            !is_news(InitApply(object("a", 2, "4"))),
            "the watch was made again"
        );
        assert!(is_news(Delete(object("a", 2, "5"))));
        assert!(is_news(Apply(object("a", 2, "6"))), "it came back");
    }
}
