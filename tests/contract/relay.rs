//! Between the publisher and its server: hands messages on, or does to them what networks and busy servers do.

use std::io::{Error, ErrorKind, Read as _, Result, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// What is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speech {
    /// DNS over TCP.
    Dns,
    /// HTTP/1.1.
    Http,
}

/// What the relay does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Hands everything on.
    Open,
    /// Breaks each connection.
    Closed,
    /// Answers in the server's place: HTTP with this status and `Retry-After: 7`, DNS with this code, unsigned.
    Says(u16),
    /// Hands a write to the server, and breaks the connection where its answer would come.
    LosesAnswersToWrites,
    /// Hands a write to the server, and its answer on when the client has given up.
    DelaysAnswersToWrites,
    /// Hands each answer on twice.
    RepeatsAnswers,
}

/// A relay; it lives as long as the test process.
#[derive(Debug)]
pub struct Relay {
    /// Where it listens, on loopback.
    pub port: u16,
    mode: Arc<Mutex<Mode>>,
    met: Arc<AtomicUsize>,
}

impl Relay {
    /// To the server at this port of loopback.
    pub fn new(to: u16, speech: Speech) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(Mutex::new(Mode::Open));
        let met = Arc::new(AtomicUsize::new(0));
        let (shared, counter) = (Arc::clone(&mode), Arc::clone(&met));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                let mode = Arc::clone(&shared);
                // A connection that breaks is the end of it, and nobody's failure here.
                thread::spawn(move || drop(relay(client, to, speech, &mode)));
            }
        });
        Self { port, mode, met }
    }

    /// From now on it does this.
    pub fn set(&self, mode: Mode) {
        *self.mode.lock().unwrap() = mode;
    }

    /// How many connections it has met.
    pub fn met(&self) -> usize {
        self.met.load(Ordering::SeqCst)
    }
}

fn relay(mut client: TcpStream, to: u16, speech: Speech, mode: &Mutex<Mode>) -> Result<()> {
    let now = || *mode.lock().unwrap();
    if now() == Mode::Closed {
        return client.shutdown(Shutdown::Both);
    }
    let mut server: Option<TcpStream> = None;
    loop {
        let request = message(&mut client, speech)?;
        let mode = now();
        match mode {
            Mode::Closed => return client.shutdown(Shutdown::Both),
            Mode::Says(code) => {
                client.write_all(&canned(&request, speech, code))?;
                continue;
            }
            Mode::Open | Mode::LosesAnswersToWrites | Mode::DelaysAnswersToWrites | Mode::RepeatsAnswers => {}
        }
        if server.is_none() {
            server = Some(TcpStream::connect(("127.0.0.1", to))?);
        }
        let Some(upstream) = &mut server else {
            unreachable!()
        };
        upstream.write_all(&request)?;
        let answer = message(upstream, speech)?;
        let write = is_write(&request, speech);
        match mode {
            Mode::LosesAnswersToWrites if write => return client.shutdown(Shutdown::Both),
            Mode::DelaysAnswersToWrites if write => {
                // Nothing more comes from a client that waits; it ends when that has given up.
                let _ = client.read(&mut [0])?;
                return client.write_all(&answer);
            }
            Mode::RepeatsAnswers => client.write_all(&[answer.as_slice(), &answer].concat())?,
            Mode::Open
            | Mode::Closed
            | Mode::Says(_)
            | Mode::LosesAnswersToWrites
            | Mode::DelaysAnswersToWrites => client.write_all(&answer)?,
        }
    }
}

fn is_write(request: &[u8], speech: Speech) -> bool {
    match speech {
        // The operation code UPDATE (RFC 2136 section 1.3), behind length and ID; with at least one update.
        Speech::Dns => request[4] >> 3 & 15 == 5 && (request[10], request[11]) != (0, 0),
        Speech::Http => request.starts_with(b"PATCH "),
    }
}

fn canned(request: &[u8], speech: Speech, code: u16) -> Vec<u8> {
    match speech {
        Speech::Dns => {
            let code = u8::try_from(code).unwrap();
            let mut answer = vec![0, 12, request[2], request[3], request[4] & 0x78 | 0x80, code];
            answer.extend([0; 8]);
            answer
        }
        Speech::Http => {
            format!("HTTP/1.1 {code} No\r\nRetry-After: 7\r\nContent-Length: 0\r\n\r\n").into_bytes()
        }
    }
}

/// One message as it is on the wire.
fn message(from: &mut TcpStream, speech: Speech) -> Result<Vec<u8>> {
    match speech {
        Speech::Dns => {
            let mut octets = vec![0; 2];
            from.read_exact(&mut octets)?;
            let length = u16::from_be_bytes([octets[0], octets[1]]);
            octets.resize(usize::from(length) + 2, 0);
            from.read_exact(&mut octets[2..])?;
            if octets.len() < 14 {
                return Err(Error::from(ErrorKind::InvalidData));
            }
            Ok(octets)
        }
        Speech::Http => http_message(from),
    }
}

fn http_message(from: &mut TcpStream) -> Result<Vec<u8>> {
    let mut octets = Vec::new();
    while !octets.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        from.read_exact(&mut octet)?;
        octets.push(octet[0]);
    }
    let head = String::from_utf8_lossy(&octets).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let bodiless = !head.starts_with("http/") || head.contains(" 204 ");
    match length {
        Some(length) => {
            let start = octets.len();
            octets.resize(start + length.trim().parse::<usize>().unwrap(), 0);
            from.read_exact(&mut octets[start..])?;
        }
        None if bodiless => {}
        // Until the server closes the connection.
        None => drop(from.read_to_end(&mut octets)?),
    }
    Ok(octets)
}
