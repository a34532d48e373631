//! Servers as child processes: a directory and a port of their own, a deadline for readiness, and no way to outlive
//! the test.

use std::fs::File;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// How long a server may take to start on a busy machine.
const DEADLINE: Duration = Duration::from_mins(1);
const STEP: Duration = Duration::from_millis(30);
/// Ports below those that the system gives to clients.
const FIRST_PORT: u16 = 12_000;
const PORTS: u16 = 20_000;

static COUNTER: AtomicU16 = AtomicU16::new(0);

/// A directory that goes when it is dropped.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new(what: &str) -> Self {
        let number = COUNTER.fetch_add(1, Ordering::SeqCst);
        let name = format!("maildomain-contract-{}-{number}-{what}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file, in which `DIR` stands for the directory.
    pub fn write(&self, name: &str, text: &str) {
        let text = text.replace("DIR", self.0.to_str().unwrap());
        std::fs::write(self.path(name), text).unwrap();
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A port of loopback on which nobody listens, of both kinds.
pub fn free_port() -> u16 {
    let start = u16::try_from(std::process::id() % u32::from(PORTS)).unwrap();
    for _ in 0..PORTS {
        let step = COUNTER.fetch_add(1, Ordering::SeqCst).wrapping_mul(7);
        let port = FIRST_PORT + start.wrapping_add(step) % PORTS;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no free port");
}

/// A running server. It is killed when this is dropped, and by the kernel when the test ends in any other way.
#[derive(Debug)]
pub struct Server {
    child: Child,
    log: PathBuf,
}

impl Server {
    /// Starts it; what it says goes into a file.
    pub fn start(scratch: &Scratch, package: &str, command: &[&str]) -> Self {
        let log = scratch.path("log");
        let file = File::create(&log).unwrap();
        let [program, arguments @ ..] = command else {
            panic!("no program");
        };
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(found(program, package))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(file.try_clone().unwrap())
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("setpriv (Debian package util-linux): {error}"));
        Self { child, log }
    }

    /// Waits until it is ready; a server that ended, or never is, fails the test with what it said.
    pub fn await_ready(&mut self, ready: impl Fn() -> bool) {
        let began = Instant::now();
        while !ready() {
            let ended = self.child.try_wait().unwrap();
            if ended.is_some() || began.elapsed() > DEADLINE {
                let said = std::fs::read_to_string(&self.log).unwrap_or_default();
                panic!("the server is not ready ({ended:?}):\n{said}");
            }
            std::thread::sleep(STEP);
        }
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let said = std::fs::read_to_string(&self.log).unwrap_or_default();
            let mut last: Vec<&str> = said.lines().rev().take(30).collect();
            last.reverse();
            println!("the server's last lines:\n{}", last.join("\n"));
        }
    }
}

/// The program's path. Daemons are in directories that not every user's PATH holds.
pub fn found(program: &str, package: &str) -> PathBuf {
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').chain(["/usr/sbin", "/usr/bin"]);
    let mut candidates = places.map(|place| Path::new(place).join(program));
    candidates
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{program} is missing: install the Debian package {package}"))
}

/// Runs a program to its end; gives what it printed, and panics with it when it fails.
pub fn run(package: &str, command: &[&str], input: &str) -> String {
    use std::io::Write as _;
    let [program, arguments @ ..] = command else {
        panic!("no program");
    };
    let mut child = Command::new(found(program, package))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?} failed:\n{input}\n{said}{complained}"
    );
    said
}

/// Asks again until it is so, or the deadline has passed.
#[track_caller]
pub fn eventually(what: &str, satisfied: impl Fn() -> bool) {
    let began = Instant::now();
    while !satisfied() {
        assert!(began.elapsed() < DEADLINE, "{what}: not within {DEADLINE:?}");
        std::thread::sleep(STEP);
    }
}
