//! Name servers on this machine that answer with a zone in text.

use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, NULL, PTR, SOA, TXT};
use hickory_proto::rr::{self, RData, Record};
use maildomain::lookup::{Answer, Failure};
use maildomain::name::Name;
use maildomain::record::{Key, RecordType, Value, character_strings};

use crate::dns::NameServers;
use crate::zone::{Zone, lines, record_type};

/// The addresses of the two servers; the first is the resolver as well.
const ADDRESSES: [&str; 2] = ["127.0.0.1", "127.0.0.2"];

/// Two name servers and a validating resolver. They answer until they are dropped.
pub(crate) struct NameServer {
    port: u16,
    apexes: Vec<String>,
    addresses: &'static [&'static str],
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl NameServer {
    /// Starts one for a zone; lines `owner TYPE TIMEOUT` are questions that it leaves without an answer.
    pub(crate) fn start(text: &str) -> Self {
        let is_failure = |line: &&str| line.ends_with(" TIMEOUT") || line.ends_with(" REFUSED");
        let (failures, records): (Vec<&str>, Vec<&str>) = lines(text).partition(is_failure);
        Self::serve(&records.join("\n"), &failures.join("\n"), &ADDRESSES[..1])
    }

    /// Starts two that hold the zone, less what is said of them (see [`NameServers`]).
    pub(crate) fn start_two(zone: &str, overrides: &str) -> Self {
        Self::serve(zone, overrides, &ADDRESSES)
    }

    fn serve(zone: &str, overrides: &str, addresses: &'static [&'static str]) -> Self {
        let zone = Zone::parse(zone);
        let apexes: Vec<String> = zone
            .rrsets
            .keys()
            .filter(|(_, kind)| kind == "SOA")
            .map(|(owner, _)| owner.clone())
            .collect();
        let is_bogus = |line: &&str| line.ends_with(" BOGUS");
        let beneath: Vec<&str> = lines(overrides).filter(|line| !is_bogus(line)).collect();
        let servers = Arc::new(Servers {
            seen: NameServers::new(&zone, overrides),
            beneath: NameServers::new(&zone, &beneath.join("\n")),
        });
        let (port, sockets) = sockets(addresses);
        let stop = Arc::new(AtomicBool::new(false));
        let threads = sockets
            .into_iter()
            .enumerate()
            .map(|(index, socket)| {
                let (stopped, apexes, servers) = (stop.clone(), apexes.clone(), servers.clone());
                std::thread::spawn(move || {
                    while !stopped.load(Ordering::Relaxed) {
                        answer_one(&socket, &servers, index, &apexes);
                    }
                })
            })
            .collect();
        Self {
            port,
            apexes,
            addresses,
            stop,
            threads,
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

    /// A configuration of the operator with these servers for their zones.
    pub(crate) fn configuration(&self) -> String {
        let servers = self.addresses.join(", ");
        let zones: Vec<String> = self
            .apexes
            .iter()
            .map(|apex| format!("{apex}: [{servers}]"))
            .collect();
        // One that leaves questions unanswered alone would be waited for; of two, a busy machine gets its time.
        let patience = if self.addresses.len() == 1 { "500ms" } else { "3s" };
        format!(
            "dns: {{zoneServers: {{{}}}, resolvers: [127.0.0.1], queryTimeout: {patience}}}\n",
            zones.join(", ")
        )
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// One port that is free at every address.
fn sockets(addresses: &[&str]) -> (u16, Vec<UdpSocket>) {
    for _ in 0..100 {
        let first = UdpSocket::bind((addresses[0], 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let others: Result<Vec<UdpSocket>, _> = addresses[1..]
            .iter()
            .map(|address| UdpSocket::bind((*address, port)))
            .collect();
        let Ok(others) = others else { continue };
        let all: Vec<UdpSocket> = std::iter::once(first).chain(others).collect();
        for socket in &all {
            socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        }
        return (port, all);
    }
    panic!("no port is free at {addresses:?}");
}

fn answer_one(socket: &UdpSocket, servers: &Servers, index: usize, apexes: &[String]) {
    let mut buffer = [0; 4096];
    let Ok((length, from)) = socket.recv_from(&mut buffer) else {
        return;
    };
    let query = Message::from_vec(&buffer[..length]).unwrap();
    if let Some(reply) = reply(&query, servers, index, apexes) {
        socket.send_to(&reply.to_vec().unwrap(), from).unwrap();
    }
}

/// What is answered, and what whoever does not validate sees.
struct Servers {
    seen: NameServers,
    beneath: NameServers,
}

/// What this server says; with recursion desired, what the resolver does.
fn said(query: &Message, servers: &Servers, index: usize, key: &Key) -> Answer {
    let asks_resolver = query.metadata.recursion_desired;
    let answer = if asks_resolver {
        servers.seen.resolve(key)
    } else {
        servers.seen.answers(key).remove(index)
    };
    match answer {
        Answer::Failed(Failure::Bogus) if !asks_resolver || query.metadata.checking_disabled => {
            servers.beneath.answers(key).remove(index)
        }
        answer => answer,
    }
}

fn wire(text: &str) -> rr::Name {
    let mut name = rr::Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

fn reply(query: &Message, servers: &Servers, index: usize, apexes: &[String]) -> Option<Message> {
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
    let is_type_99 = u16::from(asked.query_type()) == 99;
    let kind = if is_type_99 { "SPF" } else { &kind };
    let Some(record_type) = record_type(kind) else {
        reply.authorities = soa.into_iter().collect();
        return Some(reply);
    };
    let key = Key::new(Name::parse(&owner).unwrap(), record_type);
    let answer = said(query, servers, index, &key);
    let alias = servers
        .beneath
        .answers(&Key::new(key.name, RecordType::Cname))
        .remove(0);
    let whole = query.metadata.recursion_desired;
    fill(reply, answer, (&owner, record_type), &alias, whole, soa)
}

/// Writes the answer into the reply; `whole` with what aliases lead to, as a resolver does. `None`: silence.
fn fill(
    mut reply: Message,
    answer: Answer,
    (owner, record_type): (&str, RecordType),
    alias: &Answer,
    whole: bool,
    soa: Option<Record>,
) -> Option<Message> {
    match answer {
        Answer::Records { values, aliases, ttl } if aliases.is_empty() => {
            reply.answers = values
                .iter()
                .map(|value| record(owner, ttl, value, record_type))
                .collect();
        }
        Answer::Records { values, aliases, ttl } if whole => {
            let mut owner = owner.to_owned();
            for alias in aliases {
                let value = Value::Cname(alias.clone());
                reply.answers.push(record(&owner, ttl, &value, RecordType::Cname));
                owner = alias.to_string();
            }
            let records = values.iter().map(|value| record(&owner, ttl, value, record_type));
            reply.answers.extend(records);
        }
        // The alias itself, as a server without the target's zone answers.
        Answer::Records { aliases, ttl, .. } => {
            let alias = Value::Cname(aliases[0].clone());
            reply.answers = vec![record(owner, ttl, &alias, RecordType::Cname)];
        }
        Answer::NoData { .. } => match alias {
            Answer::Records { values, ttl, .. } => {
                let record = |value| record(owner, *ttl, value, RecordType::Cname);
                reply.answers = values.iter().map(record).collect();
            }
            _ => reply.authorities = soa.into_iter().collect(),
        },
        Answer::NxDomain { .. } => {
            reply.metadata.response_code = ResponseCode::NXDomain;
            reply.authorities = soa.into_iter().collect();
        }
        Answer::Failed(Failure::ServFail | Failure::Bogus) => {
            reply.metadata.response_code = ResponseCode::ServFail;
        }
        Answer::Failed(Failure::Lame) => reply.metadata.authoritative = false,
        Answer::Failed(_) => return None,
    }
    Some(reply)
}

fn record(owner: &str, ttl: u32, value: &Value, record_type: RecordType) -> Record {
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
            if record_type == RecordType::Spf {
                let octets = strings.iter().flat_map(|string| {
                    let length = u8::try_from(string.len()).unwrap();
                    std::iter::once(length).chain(string.iter().copied())
                });
                let code = rr::RecordType::Unknown(99);
                let rdata = NULL::with(octets.collect());
                return Record::from_rdata(wire(owner), ttl, RData::Unknown { code, rdata });
            }
            RData::TXT(TXT::from_bytes(strings.iter().map(Vec::as_slice).collect()))
        }
    };
    Record::from_rdata(wire(owner), ttl, data)
}
