//! What all objects say of themselves, read again and again for everybody who wants to know.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use maildomain::api::MailDomain;
use serde::Deserialize;

use crate::harness::kubectl;

/// Between two readings.
const PAUSE: Duration = Duration::from_millis(300);
/// A reading takes no longer, however busy the machine is.
const DEADLINE: Duration = Duration::from_mins(1);

/// The condition Ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// `True`, `False`, `Unknown`; empty while there is none.
    pub status: String,
    pub reason: String,
    pub message: String,
}

#[derive(Deserialize)]
struct List {
    items: Vec<MailDomain>,
}

#[derive(Default)]
struct Readings {
    count: u64,
    ready: HashMap<String, Ready>,
}

/// Reads until it is dropped.
pub struct Board {
    readings: Arc<(Mutex<Readings>, Condvar)>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Board {
    /// Of the MailDomains of a namespace.
    pub fn of(namespace: &str) -> Self {
        let readings: Arc<(Mutex<Readings>, Condvar)> = Arc::default();
        let stop = Arc::new(AtomicBool::new(false));
        let (shared, stopped, namespace) = (Arc::clone(&readings), Arc::clone(&stop), namespace.to_owned());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let ready = read(&namespace);
                let mut now = shared.0.lock().expect("nobody panics here");
                now.count += 1;
                now.ready = ready;
                shared.1.notify_all();
                drop(now);
                std::thread::sleep(PAUSE);
            }
        });
        Self {
            readings,
            stop,
            thread: Some(thread),
        }
    }

    /// What an object says in a reading that begins after this call.
    pub fn now(&self, object: &str) -> Ready {
        let readings = self.readings.0.lock().expect("nobody panics here");
        // One may be under way: it does not count.
        let wanted = readings.count + 2;
        let began = Instant::now();
        let (readings, _) = self
            .readings
            .1
            .wait_timeout_while(readings, DEADLINE, |readings| readings.count < wanted)
            .expect("nobody panics here");
        assert!(readings.count >= wanted, "no reading in {:?}", began.elapsed());
        readings.ready.get(object).cloned().unwrap_or(Ready {
            status: String::new(),
            reason: String::new(),
            message: String::new(),
        })
    }
}

fn read(namespace: &str) -> HashMap<String, Ready> {
    let text = kubectl(&["-n", namespace, "get", "maildomains", "-o", "json"]);
    let list: List = serde_json::from_str(&text).expect("kubectl prints MailDomains");
    let said = list.items.into_iter().filter_map(|object| {
        let generation = object.metadata.generation;
        let status = object.status?;
        let ready = status.conditions.into_iter().find(|c| c.type_ == "Ready")?;
        (status.observed_generation == generation).then_some(())?;
        Some((
            object.metadata.name?,
            Ready {
                status: ready.status,
                reason: ready.reason,
                message: ready.message,
            },
        ))
    });
    said.collect()
}

impl Drop for Board {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
