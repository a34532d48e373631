//! The queue for the threads that make keys: bounded for each namespace. (memory)

use std::collections::BTreeMap;
use std::sync::Mutex;

use super::lock;

/// How many keys of each namespace wait or are being made. With as many places for a namespace as there are threads, a
/// thousand new domains of one tenant never stand before another's: who finds no place goes on with the rest of its pass.
#[derive(Debug)]
pub struct KeyQueue {
    places: usize,
    taken: Mutex<BTreeMap<String, usize>>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub struct Place<'a> {
    queue: &'a KeyQueue,
    namespace: &'a str,
}

impl KeyQueue {
    /// A queue with so many places for each namespace.
    pub fn new(places: usize) -> Self {
        Self {
            places,
            taken: Mutex::default(),
        }
    }

    /// A place for a key of this namespace, if one is left.
    pub fn enter<'a>(&'a self, namespace: &'a str) -> Option<Place<'a>> {
        let mut all = lock(&self.taken);
        let taken = all.entry(namespace.to_owned()).or_default();
        (*taken < self.places).then(|| {
            *taken += 1;
            Place {
                queue: self,
                namespace,
            }
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut all = lock(&self.queue.taken);
        if let Some(taken) = all.get_mut(self.namespace) {
            *taken = taken.saturating_sub(1);
        }
        all.retain(|_, taken| *taken > 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_that_has_its_places_does_not_keep_others_out() {
        let queue = KeyQueue::new(2);
        let first = queue.enter("many");
        let second = queue.enter("many");
        assert!(first.is_some() && second.is_some());
        assert!(queue.enter("many").is_none());
        assert!(queue.enter("few").is_some());
        drop(first);
        assert!(queue.enter("many").is_some());
    }
}
