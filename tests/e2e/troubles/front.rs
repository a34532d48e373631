//! A bad line before a name server: hands on what is asked over UDP, late, or without TCP beside it, or not at all.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often an idle line looks whether it is over.
const TICK: Duration = Duration::from_millis(20);

/// A line to one server at an address of its own. TCP connections to it are refused. It ends when this is dropped.
pub struct Front {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// An answer that is held back.
type Held = (Instant, Vec<u8>, SocketAddr);

impl Front {
    /// At this address, before this server; answers come so much later. `None`: they never come.
    pub fn start(address: &str, server: &str, late: Option<Duration>) -> Self {
        let at = |text: &str| SocketAddr::from((text.parse::<IpAddr>().expect("an address"), 53));
        let outside = Arc::new(UdpSocket::bind(at(address)).expect("the address is free"));
        outside.set_read_timeout(Some(TICK)).expect("a time to wait");
        let stop = Arc::new(AtomicBool::new(false));
        let held: Arc<Mutex<Vec<Held>>> = Arc::default();
        let (server, late_by) = (at(server), late.unwrap_or_default());
        let (socket, kept, stopped) = (Arc::clone(&outside), Arc::clone(&held), Arc::clone(&stop));
        let listens = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while !stopped.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else {
                    continue;
                };
                if late.is_none() {
                    continue;
                }
                // The server is near: it answers before the next question is looked at.
                if let Some(answer) = asked(server, &buffer[..length]) {
                    let due = Instant::now() + late_by;
                    kept.lock().expect("nobody panics here").push((due, answer, from));
                }
            }
        });
        let stopped = Arc::clone(&stop);
        let speaks = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let mut held = held.lock().expect("nobody panics here");
                let now = Instant::now();
                for (_, answer, to) in held.extract_if(.., |(due, ..)| *due <= now) {
                    // Who asked may have gone.
                    let _ = outside.send_to(&answer, to);
                }
                drop(held);
                std::thread::sleep(TICK);
            }
        });
        Self {
            stop,
            threads: vec![listens, speaks],
        }
    }
}

fn asked(server: SocketAddr, question: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.set_read_timeout(Some(Duration::from_millis(500))).ok()?;
    socket.connect(server).ok()?;
    socket.send(question).ok()?;
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).ok()?;
    buffer.truncate(length);
    Some(buffer)
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
