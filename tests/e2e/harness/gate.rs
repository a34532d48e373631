//! A door between the operator and a provider's API, which a test opens and closes.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use super::var;

/// A TCP forwarder to the PowerDNS API. It lives as long as the test process.
pub struct Gate {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What the gate does with a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Leads to the provider.
    Open,
    /// Breaks at once.
    Closed,
    /// Is taken, and nothing ever comes back.
    Silent,
}

struct State {
    door: Door,
    streams: Vec<TcpStream>,
}

impl Gate {
    /// A gate in front of the provider.
    pub fn new(door: Door) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("the port is known");
        let streams = Vec::new();
        let state = Arc::new(Mutex::new(State { door, streams }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for inside in listener.incoming().flatten() {
                // A caller that hangs up early is none of the gate's business.
                let _ = pass(inside, &shared);
            }
        });
        Self { address, state }
    }

    /// What the provider object calls its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on the gate is so; connections from before break.
    pub fn set(&self, door: Door) {
        let mut state = lock(&self.state);
        state.door = door;
        for stream in state.streams.drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

/// An open gate copies in both directions, each on a thread.
fn pass(inside: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut state = lock(state);
    if state.door == Door::Open {
        let outside = TcpStream::connect(var("PDNS_API").trim_start_matches("http://"))?;
        for (from, to) in [(&inside, &outside), (&outside, &inside)] {
            let (mut from, mut to) = (from.try_clone()?, to.try_clone()?);
            thread::spawn(move || {
                let _ = io::copy(&mut from, &mut to);
                let _ = to.shutdown(Shutdown::Both);
            });
        }
        state.streams.push(outside);
    }
    if state.door != Door::Closed {
        state.streams.push(inside);
    }
    Ok(())
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
