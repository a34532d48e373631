//! Name servers for tests: real sockets on 127.0.0.0/8, one port for all, answers from a closure or from zones.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, PTR, SOA, TXT};
use hickory_proto::rr::{self, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinHandle;

use crate::name::Name;

type Handler = Arc<dyn Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync>;

/// A server that answers what a closure of the question and "over TCP" says.
pub(super) struct Fake {
    address: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Fake {
    pub(super) async fn start(
        handler: impl Fn(&Message, bool) -> Vec<Vec<u8>> + Send + Sync + 'static,
    ) -> Self {
        let handler: Handler = Arc::new(handler);
        loop {
            if let Ok(fake) = Self::start_at(([127, 0, 0, 1], 0).into(), Arc::clone(&handler)).await {
                return fake;
            }
        }
    }

    async fn start_at(address: SocketAddr, handler: Handler) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let address = tcp.local_addr()?;
        let udp = UdpSocket::bind(address).await?;
        let tasks = vec![
            tokio::spawn(serve_udp(udp, Arc::clone(&handler))),
            tokio::spawn(serve_tcp(tcp, handler)),
        ];
        Ok(Self { address, tasks })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

async fn serve_udp(socket: UdpSocket, handler: Handler) {
    let mut buffer = vec![0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        let query = Message::from_vec(&buffer[..length]).unwrap();
        for answer in handler(&query, false) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, handler: Handler) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let length = stream.read_u16().await.unwrap();
        let mut buffer = vec![0; usize::from(length)];
        stream.read_exact(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer).unwrap();
        for answer in handler(&query, true) {
            let _ = stream.write_u16(u16::try_from(answer.len()).unwrap()).await;
            let _ = stream.write_all(&answer).await;
        }
    }
}

pub(super) fn name(text: &str) -> Name {
    Name::parse(text).unwrap()
}

fn wire(text: &str) -> rr::Name {
    let mut name = rr::Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

/// An empty authoritative answer with the question of `query`.
pub(super) fn reply_to(query: &Message) -> Message {
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.authoritative = true;
    reply.add_query(query.queries[0].clone());
    reply
}

/// `owner ttl type data`; of an SOA record only the last field is written.
pub(super) fn record(line: &str) -> Record {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [owner, ttl, kind, data @ ..] = fields.as_slice() else {
        panic!("{line}");
    };
    let data = match (*kind, data) {
        ("A", [a]) => RData::A(A(a.parse().unwrap())),
        ("AAAA", [a]) => RData::AAAA(AAAA(a.parse().unwrap())),
        ("CNAME", [n]) => RData::CNAME(CNAME(wire(n))),
        ("NS", [n]) => RData::NS(NS(wire(n))),
        ("PTR", [n]) => RData::PTR(PTR(wire(n))),
        ("MX", [p, n]) => RData::MX(MX::new(p.parse().unwrap(), wire(n))),
        ("TXT", words) => RData::TXT(TXT::new(vec![words.join(" ")])),
        ("SOA", [minimum]) => {
            let minimum = minimum.parse().unwrap();
            RData::SOA(SOA::new(wire("ns.test"), wire("hm.test"), 1, 1, 1, 1, minimum))
        }
        _ => panic!("{line}"),
    };
    Record::from_rdata(wire(owner), ttl.parse().unwrap(), data)
}

/// Apex and records, divided by `|`.
pub(super) type Zone<'a> = (&'a str, &'a str);

/// Servers with zones, all on one port.
pub(super) struct World {
    pub(super) port: u16,
    _servers: Vec<Fake>,
}

impl World {
    pub(super) async fn start(servers: &[(&str, &[Zone<'_>])]) -> Self {
        loop {
            let probe = Fake::start(|_, _| vec![]).await;
            let port = probe.address().port();
            drop(probe);
            let mut started = Vec::new();
            for (address, zones) in servers {
                let zones = parsed(zones);
                let handler: Handler =
                    Arc::new(move |query, _| vec![answer(&zones, query).to_vec().unwrap()]);
                let address = SocketAddr::from((address.parse::<IpAddr>().unwrap(), port));
                started.extend(Fake::start_at(address, handler).await);
            }
            if started.len() == servers.len() {
                return Self {
                    port,
                    _servers: started,
                };
            }
        }
    }
}

fn parsed(zones: &[Zone<'_>]) -> Vec<(rr::Name, Vec<Record>)> {
    zones
        .iter()
        .map(|(apex, lines)| (wire(apex), lines.split('|').map(record).collect()))
        .collect()
}

/// Answers as an authoritative server does (RFC 1034 section 4.3.2), without wildcards.
fn answer(zones: &[(rr::Name, Vec<Record>)], query: &Message) -> Message {
    let mut reply = reply_to(query);
    let question = query.queries[0].clone();
    let held = zones.iter().filter(|(apex, _)| apex.zone_of(question.name()));
    let Some((apex, records)) = held.max_by_key(|(apex, _)| apex.num_labels()) else {
        reply.metadata.authoritative = false;
        reply.metadata.response_code = ResponseCode::Refused;
        return reply;
    };
    let servers = |owner: &rr::Name| {
        records
            .iter()
            .filter(|r| r.record_type() == RecordType::NS && &r.name == owner)
            .cloned()
            .collect::<Vec<_>>()
    };
    let cut = records
        .iter()
        .find(|r| r.record_type() == RecordType::NS && &r.name != apex && r.name.zone_of(question.name()));
    if let Some(cut) = cut {
        reply.metadata.authoritative = false;
        reply.authorities = servers(&cut.name);
    } else {
        let own = records.iter().filter(|r| &r.name == question.name());
        reply.answers = own
            .filter(|r| r.record_type() == question.query_type() || r.record_type() == RecordType::CNAME)
            .cloned()
            .collect();
        if reply.answers.is_empty() {
            let exists = records.iter().any(|r| question.name().zone_of(&r.name));
            if !exists {
                reply.metadata.response_code = ResponseCode::NXDomain;
            }
            reply.authorities = vec![record(&format!("{apex} 300 SOA 60"))];
        }
    }
    let named = reply.answers.iter().chain(&reply.authorities);
    let targets: Vec<rr::Name> = named
        .filter_map(|r| match &r.data {
            RData::NS(ns) => Some(ns.0.clone()),
            _ => None,
        })
        .collect();
    let glue = records
        .iter()
        .filter(|r| targets.contains(&r.name) && matches!(r.record_type(), RecordType::A | RecordType::AAAA));
    reply.additionals = glue.cloned().collect();
    reply
}
