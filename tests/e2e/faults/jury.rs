//! Judges that know nothing of the operator: `tests/judges/receiver`, asked through the resolver that the operator asks too, and
//! at each name server by itself, because a receiver's resolver may ask either.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde::Deserialize;

use crate::harness::var;

/// Longer than a judge whose every question stays without an answer.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the judges say of mail that is sent as declared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// All pass, whoever is asked.
    Pass,
    /// One does not, and says what.
    Fail(String),
    /// A receiver gets no answer now, and would try again later.
    Unknown(String),
}

/// The words of one receiver.
#[derive(Debug, Deserialize)]
struct Said {
    id: u64,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    spf: String,
    #[serde(default)]
    helo: String,
    #[serde(default)]
    dkim: String,
    #[serde(default)]
    dmarc: String,
}

impl Said {
    fn words(&self) -> [(&'static str, &str); 4] {
        [
            ("spf", &self.spf),
            ("helo", &self.helo),
            ("dkim", &self.dkim),
            ("dmarc", &self.dmarc),
        ]
    }

    fn first(&self, wanted: impl Fn(&str, &str) -> bool) -> Option<String> {
        let mut words = self.words().into_iter();
        words
            .find(|(check, word)| wanted(check, word))
            .map(|(check, word)| format!("{check} {word}"))
    }

    fn failure(&self) -> Option<String> {
        // A HELO name without a record says nothing against a message whose Return-Path passes (RFC 7208 section 2.3).
        self.first(|check, word| !(matches!(word, "pass" | "temperror") || check == "helo" && word == "none"))
    }

    fn doubt(&self) -> Option<String> {
        self.first(|_, word| word == "temperror")
    }
}

/// One process; any number of threads may ask it.
pub struct Receiver {
    child: Child,
    questions: Mutex<ChildStdin>,
    waiting: Arc<Mutex<HashMap<u64, Sender<Said>>>>,
    next: AtomicU64,
    asked: AtomicU64,
}

impl Receiver {
    /// Starts one that signs with this key, a PEM file.
    pub fn start(key: &str, selector: &str) -> Self {
        let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/judges/receiver");
        let mut child = Command::new(program)
            .args(["--key", key, "--selector", selector])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the receiver can be started");
        let questions = child.stdin.take().expect("stdin is piped");
        let answers = child.stdout.take().expect("stdout is piped");
        let waiting: Arc<Mutex<HashMap<u64, Sender<Said>>>> = Arc::default();
        let waited_for = Arc::clone(&waiting);
        std::thread::spawn(move || {
            for line in BufReader::new(answers).lines().map_while(Result::ok) {
                let said: Said = serde_json::from_str(&line).expect("the receiver prints JSON");
                let asker = waited_for.lock().expect("nobody panics here").remove(&said.id);
                // Whoever does not wait any more has failed already.
                if let Some(asker) = asker {
                    let _ = asker.send(said);
                }
            }
        });
        Self {
            child,
            questions: Mutex::new(questions),
            waiting,
            next: AtomicU64::new(0),
            asked: AtomicU64::new(0),
        }
    }

    /// How many judgements were given.
    pub fn judgements(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    /// The judgement of mail from this zone: through the resolver, then at each name server.
    pub fn judge(&self, zone: &str, address: &str, resolver: &str, servers: &[String]) -> Judgement {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let seen = self.ask(zone, address, resolver);
        if let Some(failure) = seen.failure() {
            return Judgement::Fail(format!("{failure} through the resolver"));
        }
        for server in servers {
            if let Some(failure) = self.ask(zone, address, server).failure() {
                return Judgement::Fail(format!("{failure} at {server}"));
            }
        }
        match seen.doubt() {
            Some(doubt) => Judgement::Unknown(format!("{doubt} through the resolver")),
            None => Judgement::Pass,
        }
    }

    fn ask(&self, zone: &str, address: &str, server: &str) -> Said {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = channel();
        self.waiting
            .lock()
            .expect("nobody panics here")
            .insert(id, sender);
        let helo = format!("mail.{zone}");
        let question = serde_json::json!({
            "id": id, "server": server, "resolver": var("RESOLVER"), "zone": zone, "ip": address, "helo": helo
        });
        let mut questions = self.questions.lock().expect("nobody panics here");
        writeln!(questions, "{question}").expect("the receiver reads");
        drop(questions);
        let said = answer.recv_timeout(PATIENCE).expect("the receiver answers");
        assert!(said.error.is_none(), "the receiver of {zone}: {:?}", said.error);
        said
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
