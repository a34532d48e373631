//! A man in the middle of the operator and the PowerDNS API: sees every call, and decides what becomes of it.
//!
//! ```text
//! let proxy = ProviderProxy::new();                      // honest until told otherwise
//! let site = Site::with(name, SiteOptions { api: Some(proxy.url()), ..SiteOptions::default() });
//! proxy.rule(|call| if call.writes() { Act::Reply(Reply::Reset) } else { Act::Ask });
//! proxy.rule(|call| Act::AskThen(Box::new(|answer| Reply::Cut(answer, 10))));
//! proxy.honest();
//! proxy.calls()                                           // everything that came by, and what went back
//! ```
//!
//! A rule runs on the thread of its connection and may block or kill: what it does before it returns [`Act::Ask`] comes
//! before the provider hears of the call, what it does in [`Act::AskThen`] after the provider has done it and before the
//! operator hears of that. Calls of other connections go on meanwhile.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::Value as Json;

/// How long the provider may take; longer than the operator waits.
const PATIENCE: Duration = Duration::from_secs(30);

/// The proxy. It lives as long as the test process.
pub struct ProviderProxy {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

/// What the operator asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Counts the calls of this proxy from 0.
    pub number: usize,
    /// `GET`, `PATCH`.
    pub method: String,
    /// Path and query, percent-encoded as they came.
    pub path: String,
    /// The body, empty where there is none.
    pub body: String,
}

/// One RRset of a write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Owner, without the dot at its end.
    pub name: String,
    /// `TXT`.
    pub record_type: String,
    /// Whether the whole RRset is to go.
    pub deletes: bool,
    /// The contents that shall stand there, without disabled ones.
    pub contents: Vec<String>,
}

/// What a server answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`.
    pub kind: String,
    /// The body.
    pub body: String,
}

/// What the operator gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// This, whole.
    Whole(Answer),
    /// So many bytes of its body; then the connection ends.
    Cut(Answer, usize),
    /// Nothing, for as long as the operator waits.
    Silence,
    /// The connection breaks (RST).
    Reset,
}

/// What is asked for a reply once the provider has answered.
pub type Then = Box<dyn FnOnce(Answer) -> Reply + Send>;

/// What becomes of a call.
pub enum Act {
    /// The provider is asked, and its answer goes back.
    Ask,
    /// The provider is asked, and this makes the reply of its answer.
    AskThen(Then),
    /// The provider hears nothing of it.
    Reply(Reply),
}

/// A call with what went back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// The call.
    pub call: Call,
    /// Whether the provider was asked.
    pub asked: bool,
    /// What went back; `None`: it is still under way.
    pub reply: Option<Reply>,
}

type Rule = Arc<dyn Fn(&Call) -> Act + Send + Sync>;

struct State {
    rule: Rule,
    exchanges: Vec<Exchange>,
}

impl ProviderProxy {
    /// An honest proxy in front of the API at this URL or `address:port`.
    pub fn before(upstream: &str) -> Self {
        let upstream = upstream.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("the port is known");
        let state = Arc::new(Mutex::new(State {
            rule: Arc::new(|_| Act::Ask),
            exchanges: Vec::new(),
        }));
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (state, upstream) = (Arc::clone(&shared), upstream.clone());
                // An operator that is killed hangs up early; that is none of the proxy's business.
                thread::spawn(move || serve(stream, &upstream, &state));
            }
        });
        Self { address, state }
    }

    /// What the provider object calls its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From the next call on this decides.
    pub fn rule(&self, rule: impl Fn(&Call) -> Act + Send + Sync + 'static) {
        lock(&self.state).rule = Arc::new(rule);
    }

    /// From the next call on nothing is changed.
    pub fn honest(&self) {
        self.rule(|_| Act::Ask);
    }

    /// Everything that came by, in the order of arrival.
    pub fn calls(&self) -> Vec<Exchange> {
        lock(&self.state).exchanges.clone()
    }
}

impl Call {
    /// Whether it changes something.
    pub fn writes(&self) -> bool {
        self.method != "GET"
    }

    /// The zone it speaks of, without the dot at its end; empty for none.
    pub fn zone(&self) -> &str {
        let (_, rest) = self.path.split_once("/zones/").unwrap_or_default();
        let end = rest.find(['?', '/']).unwrap_or(rest.len());
        rest[..end].trim_end_matches('.')
    }

    /// The one name that a read asks for, without the dot at its end; `None`: the whole zone, or no records.
    pub fn name(&self) -> Option<&str> {
        let (_, rest) = self.path.split_once("rrset_name=")?;
        Some(rest.split('&').next()?.trim_end_matches('.'))
    }

    /// What a write writes.
    pub fn written(&self) -> Vec<Written> {
        let body: Json = serde_json::from_str(&self.body).unwrap_or_default();
        let rrsets = body["rrsets"].as_array().cloned().unwrap_or_default();
        let text = |json: &Json| json.as_str().unwrap_or_default().to_owned();
        let written = rrsets.iter().map(|rrset| Written {
            name: text(&rrset["name"]).trim_end_matches('.').to_owned(),
            record_type: text(&rrset["type"]),
            deletes: rrset["changetype"] != "REPLACE" || rrset["records"] == Json::Array(Vec::new()),
            contents: rrset["records"].as_array().map_or_else(Vec::new, |records| {
                let enabled = records.iter().filter(|r| r["disabled"] != true);
                enabled.map(|r| text(&r["content"])).collect()
            }),
        });
        written.collect()
    }
}

impl Answer {
    /// An answer in JSON.
    pub fn json(status: u16, body: &Json) -> Self {
        Self {
            status,
            kind: "application/json".to_owned(),
            body: body.to_string(),
        }
    }

    /// An answer of something that is no PowerDNS.
    pub fn html(status: u16) -> Self {
        Self {
            status,
            kind: "text/html".to_owned(),
            body: format!("<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>"),
        }
    }
}

/// One exchange; the connection ends with it.
fn serve(mut stream: TcpStream, upstream: &str, state: &Mutex<State>) -> io::Result<()> {
    let request = read_request(&mut stream)?;
    let (call, rule) = {
        let mut state = lock(state);
        let call = understood(&request, state.exchanges.len());
        state.exchanges.push(Exchange {
            call: call.clone(),
            asked: false,
            reply: None,
        });
        (call, Arc::clone(&state.rule))
    };
    let act = rule(&call);
    let reply = match act {
        Act::Reply(reply) => reply,
        Act::Ask | Act::AskThen(_) => {
            lock(state).exchanges[call.number].asked = true;
            let answer = ask(upstream, &request)?;
            match act {
                Act::AskThen(then) => then(answer),
                Act::Ask | Act::Reply(_) => Reply::Whole(answer),
            }
        }
    };
    lock(state).exchanges[call.number].reply = Some(reply.clone());
    // The last byte of the request is still unread: closing now breaks the connection instead of ending it.
    if reply == Reply::Reset {
        return Ok(());
    }
    stream.read_exact(&mut [0])?;
    match reply {
        Reply::Whole(answer) => send(&mut stream, &answer, answer.body.len()),
        Reply::Cut(answer, length) => send(&mut stream, &answer, length.min(answer.body.len())),
        Reply::Silence | Reply::Reset => io::copy(&mut stream, &mut io::sink()).map(drop),
    }
}

/// Reads a request with a body of a known length. Its last byte is only looked at and is left in the stream.
fn read_request(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r") {
        stream.read_exact(&mut byte)?;
        request.extend(byte);
    }
    let head = String::from_utf8_lossy(&request).to_ascii_lowercase();
    let length = head.lines().find_map(|l| l.strip_prefix("content-length:"));
    let length = length.and_then(|l| l.trim().parse().ok()).unwrap_or(0);
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest)?;
    request.extend(rest);
    let length = stream.peek(&mut byte)?;
    request.extend(&byte[..length]);
    Ok(request)
}

fn understood(request: &[u8], number: usize) -> Call {
    let text = String::from_utf8_lossy(request);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_default();
    let mut words = head.split(' ').map(str::to_owned);
    Call {
        number,
        method: words.next().unwrap_or_default(),
        path: words.next().unwrap_or_default(),
        body: body.to_owned(),
    }
}

/// The request to the provider at `address:port`. With HTTP/1.0, so that its answer ends where the connection does.
pub fn ask(upstream: &str, request: &[u8]) -> io::Result<Answer> {
    let text = String::from_utf8_lossy(request);
    let mut stream = TcpStream::connect(upstream)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(text.replacen("HTTP/1.1\r\n", "HTTP/1.0\r\n", 1).as_bytes())?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
    let kind = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-type")
            .then(|| value.trim().to_owned())
    });
    let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
    Ok(Answer {
        status: status.ok_or(io::ErrorKind::InvalidData)?,
        kind: kind.unwrap_or_default(),
        body: body.to_owned(),
    })
}

fn send(stream: &mut TcpStream, answer: &Answer, length: usize) -> io::Result<()> {
    let head = format!(
        "HTTP/1.1 {} Said\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        answer.status,
        answer.kind,
        answer.body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(&answer.body.as_bytes()[..length])
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use tokio::runtime::Builder;

    use super::*;

    /// A provider that says how many calls it has heard before, and what the last one was.
    fn provider() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port is free");
        let address = listener.local_addr().expect("the port is known").to_string();
        thread::spawn(move || {
            for (number, mut stream) in listener.incoming().flatten().enumerate() {
                let request = read_request(&mut stream).expect("a request");
                stream.read_exact(&mut [0]).expect("its last byte");
                let call = understood(&request, number);
                let said = format!("{number} {} {} {}", call.method, call.path, call.body);
                let answer = Answer::json(200, &Json::String(said));
                send(&mut stream, &answer, answer.body.len()).expect("it listens");
            }
        });
        address
    }

    /// What the operator's client makes of it.
    fn call(proxy: &ProviderProxy, method: Method, path: &str, body: &str) -> Result<(u16, String), ()> {
        let runtime = Builder::new_current_thread().enable_all().build();
        let client = reqwest::Client::new();
        let request = client
            .request(method, format!("{}{path}", proxy.url()))
            .timeout(Duration::from_millis(500))
            .body(body.to_owned());
        runtime.expect("a runtime").block_on(async {
            let response = request.send().await.map_err(drop)?;
            let status = response.status().as_u16();
            Ok((status, response.text().await.map_err(drop)?))
        })
    }

    #[test]
    fn every_act_is_what_it_says_and_every_call_is_told() {
        let proxy = ProviderProxy::before(&provider());
        let path = "/api/v1/servers/localhost/zones/corp.example.?rrsets=true&rrset_name=mail.corp.example.";
        let body = r#"{"rrsets":[{"name":"mail.corp.example.","type":"A","changetype":"DELETE"},
            {"name":"corp.example.","type":"MX","changetype":"REPLACE","ttl":60,"records":[
                {"content":"10 a.","disabled":false},{"content":"20 b.","disabled":true}]}]}"#;
        let get = |path: &str| call(&proxy, Method::GET, path, "");
        assert_eq!(get(path), Ok((200, format!("\"0 GET {path} \""))));
        assert!(call(&proxy, Method::PATCH, path, body).is_ok_and(|(_, said)| said.contains("corp.example")));

        let broken = |reply: Reply| {
            proxy.rule(move |_| Act::Reply(reply.clone()));
            get(path)
        };
        assert_eq!(
            broken(Reply::Whole(Answer::html(503))).map(|said| said.0),
            Ok(503)
        );
        for reply in [Reply::Cut(Answer::html(200), 5), Reply::Silence, Reply::Reset] {
            assert_eq!(broken(reply), Err(()));
        }
        proxy.rule(|call| {
            if call.writes() {
                Act::AskThen(Box::new(|_| Reply::Reset))
            } else {
                Act::Ask
            }
        });
        assert_eq!(call(&proxy, Method::PATCH, path, body), Err(()));
        let (_, said) = get("/last").expect("reads are let through");
        assert!(
            said.starts_with("\"3 GET /last"),
            "the provider heard of four calls: {said}"
        );
        proxy.honest();
        assert!(call(&proxy, Method::PATCH, path, body).is_ok());

        let calls = proxy.calls();
        let asked: Vec<bool> = calls.iter().map(|exchange| exchange.asked).collect();
        assert_eq!(asked, [true, true, false, false, false, false, true, true, true]);
        assert_eq!(calls[6].reply, Some(Reply::Reset));
        assert_eq!(calls[0].call.zone(), "corp.example");
        assert_eq!(calls[0].call.name(), Some("mail.corp.example"));
        assert!(calls[1].call.writes() && !calls[0].call.writes());
        let [gone, replaced] = calls[1].call.written().try_into().expect("two RRsets");
        assert!(gone.deletes && gone.name == "mail.corp.example" && gone.contents.is_empty());
        assert!(!replaced.deletes && replaced.record_type == "MX" && replaced.contents == ["10 a."]);
    }
}
