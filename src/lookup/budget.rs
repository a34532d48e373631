//! The bounds of asking: how many questions are under way at once, in all and to one server; which servers are not
//! worth a question just now; and that a question that is under way is not asked twice.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::Failure;
use super::ask::{Mode, Question, Reply, ask};
use crate::name::Name;
use crate::record::RecordType;

/// Questions under way in all.
const ALL: usize = 256;
/// Questions under way to one authoritative server: politeness.
const AUTHORITY: usize = 16;
/// Questions under way to one resolver, which is ours and needs longer for each.
const RESOLVER: usize = 64;
/// After so many silences in a row a server is left alone for [`REST`]; a resolver only when it is silent about itself, too.
const SILENCES: u32 = 8;
/// A name that every resolver answers for without asking anybody (RFC 6761 section 6.3).
const OWN_NAME: &str = "localhost";
/// How long a silent server is left alone: its questions fail at once instead of filling the queue.
const REST: Duration = Duration::from_secs(5);
/// Servers that are remembered.
const MAX_SERVERS: usize = 10_000;

type Outcome = Result<Arc<Reply>, Failure>;
type UnderWay = WeakShared<BoxFuture<'static, Outcome>>;

/// Asks within bounds.
#[derive(Debug)]
pub(super) struct Budget {
    port: u16,
    patience: Duration,
    all: Semaphore,
    servers: Mutex<HashMap<(IpAddr, bool), Arc<Line>>>,
    under_way: Mutex<HashMap<(IpAddr, Question), UnderWay>>,
}

/// The queue before one server.
#[derive(Debug)]
struct Line {
    places: Semaphore,
    silences: AtomicU32,
    rests_until: Mutex<Option<Instant>>,
}

impl Budget {
    /// Nothing is under way yet.
    pub(super) fn new(port: u16, patience: Duration) -> Self {
        Self {
            port,
            patience,
            all: Semaphore::new(ALL),
            servers: Mutex::default(),
            under_way: Mutex::default(),
        }
    }

    /// The port that is asked.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// How long one question to one server may take.
    pub(super) fn patience(&self) -> Duration {
        self.patience
    }

    /// Asks, or joins the same question if it is under way.
    pub(super) async fn ask(self: &Arc<Self>, server: IpAddr, question: &Question) -> Outcome {
        self.join(server, question).await
    }

    fn join(self: &Arc<Self>, server: IpAddr, question: &Question) -> Shared<BoxFuture<'static, Outcome>> {
        let key = (server, question.clone());
        let mut under_way = locked(&self.under_way);
        if let Some(shared) = under_way.get(&key).and_then(WeakShared::upgrade) {
            return shared;
        }
        // Those that were given up never took themselves out.
        if under_way.len() > 4 * ALL {
            under_way.retain(|_, weak| weak.upgrade().is_some());
        }
        let (this, asked) = (Arc::clone(self), key.clone());
        let shared = async move {
            let outcome = this.ask_in_line(server, &asked.1).await;
            locked(&this.under_way).remove(&asked);
            outcome
        }
        .boxed()
        .shared();
        if let Some(weak) = shared.downgrade() {
            under_way.insert(key, weak);
        }
        shared
    }

    async fn ask_in_line(&self, server: IpAddr, question: &Question) -> Outcome {
        let line = self.line(server, question.mode);
        // The server's place first: whoever waits for a slow server must not hold a place of all.
        let (Ok(_place), Ok(_general)) = (line.places.acquire().await, self.all.acquire().await) else {
            return Err(Failure::NotAsked);
        };
        if line.rests() {
            return Err(Failure::Timeout);
        }
        let outcome = ask(SocketAddr::from((server, self.port)), question, self.patience).await;
        if line.note(outcome.as_ref().err().copied()) {
            self.consider_rest(&line, server, question.mode).await;
        }
        outcome.map(Arc::new)
    }

    /// A silent authoritative server is left alone. A resolver stands for many servers: zones whose servers are silent make
    /// it silent about them, and must not keep others from asking it.
    async fn consider_rest(&self, line: &Line, server: IpAddr, mode: Mode) {
        if mode != Mode::Authority
            && let Ok(name) = Name::parse(OWN_NAME)
        {
            let question = Question::new(&name, RecordType::A, mode);
            if ask(SocketAddr::from((server, self.port)), &question, self.patience)
                .await
                .is_ok()
            {
                line.silences.store(0, Ordering::Relaxed);
                return;
            }
        }
        line.rest();
    }

    fn line(&self, server: IpAddr, mode: Mode) -> Arc<Line> {
        let authority = mode == Mode::Authority;
        let mut servers = locked(&self.servers);
        if servers.len() >= MAX_SERVERS {
            servers.retain(|_, line| Arc::strong_count(line) > 1);
        }
        Arc::clone(servers.entry((server, authority)).or_insert_with(|| {
            Arc::new(Line {
                places: Semaphore::new(if authority { AUTHORITY } else { RESOLVER }),
                silences: AtomicU32::new(0),
                rests_until: Mutex::new(None),
            })
        }))
    }
}

impl Line {
    fn rests(&self) -> bool {
        locked(&self.rests_until).is_some_and(|until| Instant::now() < until)
    }

    /// Whether these were too many silences in a row.
    fn note(&self, failure: Option<Failure>) -> bool {
        if failure != Some(Failure::Timeout) {
            self.silences.store(0, Ordering::Relaxed);
            return false;
        }
        self.silences.fetch_add(1, Ordering::Relaxed) + 1 >= SILENCES
    }

    fn rest(&self) {
        *locked(&self.rests_until) = Some(Instant::now() + REST);
    }
}

/// The content of a lock. Nothing here panics while holding one.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Values with an end, at most `limit` of them.
#[derive(Debug)]
pub(super) struct Memory<K, V> {
    entries: HashMap<K, (V, Instant)>,
    limit: usize,
}

impl<K: Eq + Hash, V: Clone> Memory<K, V> {
    /// Empty.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            entries: HashMap::new(),
            limit,
        }
    }

    /// The value, unless its time is over.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let (value, until) = self.entries.get(key)?;
        (Instant::now() < *until).then(|| value.clone())
    }

    /// Remembers. When full, what is over goes; when that is not enough, everything goes.
    pub(super) fn put(&mut self, key: K, value: V, until: Instant) {
        if self.entries.len() >= self.limit {
            let now = Instant::now();
            self.entries.retain(|_, (_, until)| now < *until);
            if self.entries.len() >= self.limit {
                self.entries.clear();
            }
        }
        self.entries.insert(key, (value, until));
    }

    /// Forgets.
    pub(super) fn forget(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::super::fake::{Fake, name, reply_to};
    use super::*;

    #[tokio::test]
    async fn the_same_question_is_asked_once_and_sixteen_at_a_time() {
        let seen = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&seen);
        let fake = Fake::start(move |query, _| {
            counter.fetch_add(1, Ordering::SeqCst);
            vec![reply_to(query).to_vec().unwrap()]
        })
        .await;
        let budget = Arc::new(Budget::new(fake.address().port(), Duration::from_secs(2)));
        let same = Question::new(&name("a.test"), RecordType::A, Mode::Authority);
        let asked: Vec<_> = (0..50).map(|_| budget.join(fake.address().ip(), &same)).collect();
        assert!(futures::future::join_all(asked).await.iter().all(Result::is_ok));
        assert_eq!(seen.load(Ordering::SeqCst), 1);
        assert!(locked(&budget.under_way).is_empty());
        let line = budget.line(fake.address().ip(), Mode::Authority);
        assert_eq!(line.places.available_permits(), AUTHORITY);
    }

    #[tokio::test]
    async fn a_silent_server_is_left_alone_for_a_while() {
        let budget = Arc::new(Budget::new(9, Duration::from_millis(30)));
        let asked = (0..SILENCES).map(|i| {
            let question = Question::new(&name(&format!("n{i}.test")), RecordType::A, Mode::Authority);
            budget.join(IpAddr::from([127, 0, 0, 1]), &question)
        });
        futures::future::join_all(asked.collect::<Vec<_>>()).await;
        assert!(budget.line(IpAddr::from([127, 0, 0, 1]), Mode::Authority).rests());
    }

    /// Whether a resolver that is silent about a zone rests, when it says this much about its own name.
    async fn rests(speaks_of_itself: bool) -> bool {
        let fake = Fake::start(move |query, _| {
            let own = query.queries[0].name().to_ascii() == "localhost.";
            let said = own && speaks_of_itself;
            said.then(|| reply_to(query).to_vec().unwrap())
                .into_iter()
                .collect()
        })
        .await;
        let budget = Arc::new(Budget::new(fake.address().port(), Duration::from_millis(100)));
        let server = fake.address().ip();
        let asked = (0..SILENCES).map(|i| {
            let question = Question::new(&name(&format!("n{i}.silent.test")), RecordType::A, Mode::Resolver);
            budget.join(server, &question)
        });
        futures::future::join_all(asked.collect::<Vec<_>>()).await;
        budget.line(server, Mode::Resolver).rests()
    }

    #[tokio::test]
    async fn a_resolver_is_not_left_alone_for_a_zone_that_it_hears_nothing_of() {
        assert!(!rests(true).await);
        assert!(rests(false).await, "it is dead");
    }

    #[tokio::test]
    async fn memory_is_bounded_and_ends() {
        let mut memory = Memory::new(10);
        let now = Instant::now();
        for i in 0..100 {
            memory.put(i, i, now + Duration::from_mins(1));
            assert!(memory.entries.len() <= 10);
        }
        memory.put(1, 1, now);
        assert_eq!(memory.get(&1), None);
        memory.put(2, 2, now + Duration::from_mins(1));
        memory.forget(&2);
        assert_eq!(memory.get(&2), None);
    }
}
