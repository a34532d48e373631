//! One domain on its way through a schedule: what goes wrong is done and undone, and what the object says is compared with what
//! the judges say.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::board::{Board, Ready};
use super::jury::{Judgement, Receiver};
use super::resolver::{ADDRESS, Resolver};
use super::schedule::{Fault, Step, Target};
use crate::harness::{Dig, Records, put, world};

/// From where mail is sent as declared.
const SENDER: &str = "203.0.113.4";

/// What all domains share.
pub struct Scene {
    pub board: Board,
    pub receiver: Receiver,
    pub resolver: Resolver,
    /// Between two looks of the operator.
    pub interval: Duration,
    /// How long the object may be behind: until the next look and its end, on a busy machine.
    pub window: Duration,
    /// Changes of the world that may be made at the same time.
    pub hands: Vec<Mutex<()>>,
}

/// What became of one schedule.
#[derive(Debug, Default)]
pub struct Told {
    /// Comparisons of a state with a judgement.
    pub compared: usize,
    /// Which pairs stood when a state had settled: judgement, and what the object said.
    pub settled: BTreeMap<(&'static str, String), usize>,
    /// How long it took until the object agreed, after a fault and after its end.
    pub noticed: Vec<Duration>,
    pub recovered: Vec<Duration>,
    /// What must not be.
    pub violations: Vec<String>,
}

/// A domain of the campaign.
pub struct Domain {
    pub object: String,
    pub zone: String,
    pub manifest: String,
    pub servers: [String; 2],
}

/// What stood there before anything went wrong: name, type and contents.
type Good = Vec<(String, String, Vec<String>)>;

/// Why what the object says cannot stand beside what the judges say.
fn disagreement(ready: &Ready, judged: &Judgement, step: &[Fault]) -> Option<&'static str> {
    let kept = ready.reason == "Stale";
    let bogus = step.contains(&Fault::Bogus);
    match (judged, ready.status.as_str()) {
        (Judgement::Fail(_), "True") => Some("Ready=True while a judge does not pass"),
        (Judgement::Pass, "False") => Some("Ready=False while all judges pass"),
        (Judgement::Pass, "True") if kept && step.is_empty() => {
            Some("still Stale though nothing is wrong any more")
        }
        (Judgement::Pass, "True") | (Judgement::Fail(_), _) => None,
        (Judgement::Pass, _) => Some("not Ready while all judges pass"),
        (Judgement::Unknown(_), "True") if !kept => {
            Some("Ready=True, not Stale, while no receiver gets an answer")
        }
        (Judgement::Unknown(_), "False") if !kept && !bogus => Some("Ready=False though nobody can say so"),
        (Judgement::Unknown(_), _) => None,
    }
}

impl Domain {
    /// Goes through all steps.
    pub fn run(&self, scene: &Scene, steps: &[Step]) -> Told {
        let mut told = Told::default();
        let good = self.good();
        for step in steps {
            for fault in step {
                self.inject(scene, fault, &good);
            }
            let noticed = self.settle(scene, step, &mut told);
            told.noticed.extend(noticed);
            self.watch(scene, step, &mut told);
            for fault in step.iter().rev() {
                self.undo(scene, fault, &good);
            }
            let recovered = self.settle(scene, &[], &mut told);
            told.recovered.extend(recovered);
        }
        told
    }

    fn good(&self) -> Good {
        let mut good: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for (name, kind, _, content) in Records::of_the_world().with_ttl(&self.zone) {
            let name = name.trim_end_matches('.').to_owned();
            good.entry((name, kind)).or_default().push(content);
        }
        good.into_iter()
            .map(|((name, kind), values)| (name, kind, values))
            .collect()
    }

    fn judge(&self, scene: &Scene) -> Judgement {
        scene.receiver.judge(&self.zone, SENDER, ADDRESS, &self.servers)
    }

    /// Waits until the object and the judges agree, twice in a row. A state that does not come to that is a violation.
    fn settle(&self, scene: &Scene, step: &[Fault], told: &mut Told) -> Option<Duration> {
        let began = Instant::now();
        loop {
            let judged = self.judge(scene);
            let ready = scene.board.now(&self.object);
            told.compared += 1;
            let mut wrong = disagreement(&ready, &judged, step);
            if wrong.is_none() {
                // The judgement may have been about what stood a moment before.
                let again = self.judge(scene);
                let later = scene.board.now(&self.object);
                told.compared += 1;
                wrong = disagreement(&later, &again, step).or_else(|| disagreement(&ready, &again, step));
                if wrong.is_none() {
                    *told.settled.entry(pair(&again, &later)).or_default() += 1;
                    return Some(began.elapsed());
                }
            }
            if let Some(wrong) = wrong
                && began.elapsed() > scene.window
            {
                let complaint = self.complaint(wrong, &ready, &judged, step);
                // At once: the other schedules may take minutes.
                eprintln!("{complaint}");
                told.violations.push(complaint);
                return None;
            }
        }
    }

    /// What was settled must hold until the operator has looked again; what changes by itself settles anew.
    fn watch(&self, scene: &Scene, step: &[Fault], told: &mut Told) {
        let began = Instant::now();
        let judged = self.judge(scene);
        while began.elapsed() < scene.interval {
            let ready = scene.board.now(&self.object);
            told.compared += 1;
            if disagreement(&ready, &judged, step).is_some() {
                self.settle(scene, step, told);
                return;
            }
        }
    }

    fn complaint(&self, wrong: &str, ready: &Ready, judged: &Judgement, step: &[Fault]) -> String {
        let faults: Vec<String> = step.iter().map(ToString::to_string).collect();
        format!(
            "{}: {wrong}, with [{}]: Ready={}/{} {:?}, judges: {judged:?}",
            self.zone,
            faults.join("; "),
            ready.status,
            ready.reason,
            ready.message
        )
    }

    fn world(&self, scene: &Scene, arguments: &[&str]) {
        let place = self.zone.bytes().map(usize::from).sum::<usize>() % scene.hands.len();
        let _turn = scene.hands[place].lock().expect("nobody panics here");
        world(arguments);
    }

    fn inject(&self, scene: &Scene, fault: &Fault, good: &Good) {
        match fault {
            Fault::ServersDown(which) => {
                for server in which {
                    self.world(scene, &["dns", "silence", &self.servers[*server]]);
                }
            }
            Fault::ServerStale(target, values) => {
                let (name, kind) = target.rrset(&self.zone);
                let before = Dig::ask(&self.servers[1], &name, kind);
                self.write(*target, values);
                let began = Instant::now();
                // The operator may mend it before the secondary has it; then the secondary stays behind with the good one.
                while Dig::ask(&self.servers[1], &name, kind) == before && began.elapsed() < scene.interval {
                    std::thread::sleep(Duration::from_millis(100));
                }
                self.world(scene, &["dns", "freeze", &self.zone]);
                self.restore(*target, good);
            }
            Fault::Bogus => self.world(scene, &["dns", "bogus", &self.zone]),
            Fault::Altered(target, values) => self.write(*target, values),
            Fault::Removed(target) => self.write(*target, &[]),
            Fault::Lies(..) | Fault::ResolverDown => {
                scene.resolver.say(&self.zone, fault.lie(&self.zone));
            }
        }
    }

    fn undo(&self, scene: &Scene, fault: &Fault, good: &Good) {
        match fault {
            Fault::ServersDown(which) => {
                for server in which {
                    self.world(scene, &["dns", "heal", &self.servers[*server]]);
                }
            }
            Fault::ServerStale(target, _) => {
                self.restore(*target, good);
                self.world(scene, &["dns", "thaw", &self.zone]);
            }
            Fault::Bogus => self.world(scene, &["dns", "secure", &self.zone]),
            Fault::Altered(target, _) | Fault::Removed(target) => self.restore(*target, good),
            Fault::Lies(..) | Fault::ResolverDown => scene.resolver.say(&self.zone, None),
        }
    }

    fn write(&self, target: Target, values: &[&str]) {
        let (name, kind) = target.rrset(&self.zone);
        let written: Vec<String> = values
            .iter()
            .map(|value| {
                if kind == "TXT" {
                    format!("\"{value}\"")
                } else {
                    (*value).to_owned()
                }
            })
            .collect();
        let written: Vec<&str> = written.iter().map(String::as_str).collect();
        put(&self.zone, &name, kind, &written);
    }

    fn restore(&self, target: Target, good: &Good) {
        let (name, kind) = target.rrset(&self.zone);
        let stood = good.iter().find(|(n, k, _)| *n == name && k == kind);
        let (_, _, values) = stood.unwrap_or_else(|| panic!("{name} {kind} stood in {good:#?}"));
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        put(&self.zone, &name, kind, &values);
    }
}

fn pair(judged: &Judgement, ready: &Ready) -> (&'static str, String) {
    let judged = match judged {
        Judgement::Pass => "pass",
        Judgement::Fail(_) => "fail",
        Judgement::Unknown(_) => "nobody knows",
    };
    let kept = if ready.reason == "Stale" { "/Stale" } else { "" };
    (judged, format!("{}{kept}", ready.status))
}
