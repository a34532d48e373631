//! A name server on this machine that answers with a zone in text.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, TXT};
use hickory_proto::rr::{self, RData, Record};
use maildomain::lookup::Answer;
use maildomain::name::Name;
use maildomain::record::{Key, RecordType, Value, character_strings};

use crate::dns::NameServers;
use crate::zone::{Zone, lines};

/// Answers until it is dropped.
pub(crate) struct NameServer {
    port: u16,
    apexes: Vec<String>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Starts one for a zone; lines `owner TYPE TIMEOUT` are questions that it leaves without an answer.
    pub(crate) fn start(text: &str) -> Self {
        let is_failure = |line: &&str| line.ends_with(" TIMEOUT") || line.ends_with(" REFUSED");
        let (failures, records): (Vec<&str>, Vec<&str>) = lines(text).partition(is_failure);
        let zone = Zone::parse(&records.join("\n"));
        let apexes: Vec<String> = zone
            .rrsets
            .keys()
            .filter(|(_, kind)| kind == "SOA")
            .map(|(owner, _)| owner.clone())
            .collect();
        let servers = NameServers::new(&zone, &failures.join("\n"));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let port = socket.local_addr().unwrap().port();
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, ours) = (stop.clone(), apexes.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                serve(&socket, &servers, &ours);
            }
        });
        Self {
            port,
            apexes,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A file with [`Self::configuration`].
    pub(crate) fn configuration_file(&self) -> PathBuf {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("server-{}.yaml", self.port));
        std::fs::write(&path, self.configuration()).unwrap();
        path
    }

    /// A configuration of the operator with this server for its zones.
    pub(crate) fn configuration(&self) -> String {
        let zones: Vec<String> = self
            .apexes
            .iter()
            .map(|apex| format!("{apex}: [127.0.0.1]"))
            .collect();
        format!(
            "dns: {{zoneServers: {{{}}}, resolvers: [127.0.0.1], queryTimeout: 500ms}}\n",
            zones.join(", ")
        )
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(socket: &UdpSocket, servers: &NameServers, apexes: &[String]) {
    let mut buffer = [0; 4096];
    let Ok((length, from)) = socket.recv_from(&mut buffer) else {
        return;
    };
    let query = Message::from_vec(&buffer[..length]).unwrap();
    if let Some(reply) = reply(&query, servers, apexes) {
        socket.send_to(&reply.to_vec().unwrap(), from).unwrap();
    }
}

fn wire(text: &str) -> rr::Name {
    let mut name = rr::Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn reply(query: &Message, servers: &NameServers, apexes: &[String]) -> Option<Message> {
    let asked = &query.queries[0];
    let owner = asked
        .name()
        .to_string()
        .trim_end_matches('.')
        .to_ascii_lowercase();
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.authoritative = true;
    reply.add_query(asked.clone());
    let apex = apexes
        .iter()
        .find(|apex| owner == **apex || owner.ends_with(&format!(".{apex}")));
    let soa = apex.map(|apex| {
        let soa = SOA::new(
            wire("ns1.dns.example"),
            wire("hostmaster.dns.example"),
            1,
            1,
            1,
            1,
            300,
        );
        Record::from_rdata(wire(apex), 300, RData::SOA(soa))
    });
    let kind = asked.query_type().to_string();
    if kind == "SOA" || kind == "NS" {
        if apex.is_some_and(|apex| *apex == owner) {
            reply.answers = if kind == "SOA" {
                soa.into_iter().collect()
            } else {
                vec![Record::from_rdata(
                    wire(&owner),
                    300,
                    RData::NS(NS(wire("ns1.dns.example"))),
                )]
            };
            return Some(reply);
        }
        reply.authorities = soa.into_iter().collect();
        return Some(reply);
    }
    let Some(record_type) = RecordType::parse(&kind) else {
        reply.authorities = soa.into_iter().collect();
        return Some(reply);
    };
    let key = Key::new(Name::parse(&owner).unwrap(), record_type);
    match servers.answers(&key).remove(0) {
        Answer::Records { values, aliases, ttl } if aliases.is_empty() => {
            reply.answers = values.iter().map(|value| record(&owner, ttl, value)).collect();
        }
        // The alias itself, as a server without the target's zone answers.
        Answer::Records { aliases, ttl, .. } => {
            let alias = Value::Cname(aliases[0].clone());
            reply.answers = vec![record(&owner, ttl, &alias)];
        }
        Answer::NoData { .. } => {
            let alias = servers.answers(&Key::new(key.name, RecordType::Cname)).remove(0);
            match alias {
                Answer::Records { values, ttl, .. } => {
                    reply.answers = values.iter().map(|value| record(&owner, ttl, value)).collect();
                }
                _ => reply.authorities = soa.into_iter().collect(),
            }
        }
        Answer::NxDomain { .. } => {
            reply.metadata.response_code = ResponseCode::NXDomain;
            reply.authorities = soa.into_iter().collect();
        }
        Answer::Failed(_) => return None,
    }
    Some(reply)
}

fn record(owner: &str, ttl: u32, value: &Value) -> Record {
    let data = match value {
        Value::A(address) => RData::A(A(*address)),
        Value::Aaaa(address) => RData::AAAA(AAAA(*address)),
        Value::Cname(name) => RData::CNAME(CNAME(wire(name.as_str()))),
        Value::Ptr(name) => RData::PTR(PTR(wire(name.as_str()))),
        Value::Mx { preference, exchange } => RData::MX(MX::new(
            *preference,
            wire(exchange.as_ref().map_or(".", Name::as_str)),
        )),
        Value::Txt(text) => {
            let strings = character_strings(text);
            RData::TXT(TXT::from_bytes(strings.iter().map(Vec::as_slice).collect()))
        }
    };
    Record::from_rdata(wire(owner), ttl, data)
}
