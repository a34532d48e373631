//! One question to one server: UDP with EDNS0, TCP when the answer was cut off. Nothing is remembered here.
//!
//! An answer counts when it comes from the address that was asked (the socket is connected), to the random port, with
//! the random identifier and the question that was sent (RFC 5452 section 9.1). Everything else is passed over, and
//! the wait goes on. No answer is larger than a DNS message over TCP, 65535 octets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{self, Record};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::time::{Instant, timeout_at};

use super::Failure;
use super::wire::{wire_name, wire_type};
use crate::name::Name;
use crate::record::RecordType;

/// What an answer over UDP may hold (RFC 9715 section 3.1: no fragments).
const EDNS_PAYLOAD: u16 = 1232;
/// More than any server should send over UDP; an answer that fills it is asked again over TCP.
const UDP_BUFFER: usize = 4096;
/// How many stray datagrams are passed over while waiting for one answer.
const MAX_STRAYS: usize = 64;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// Owner name.
    pub(super) name: Name,
    /// Record type, also those that are no business of [`RecordType`].
    pub(super) record_type: rr::RecordType,
    /// Who is asked, in which way.
    pub(super) mode: Mode,
}

/// Who is asked, in which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Mode {
    /// An authoritative server, recursion off.
    Authority,
    /// A resolver, which validates.
    Resolver,
    /// A resolver, which shall not validate: CD (RFC 4035 section 3.2.2).
    Unchecked,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    /// Response code.
    pub(super) code: ResponseCode,
    /// AA: the server speaks with authority.
    pub(super) authoritative: bool,
    /// Answer section.
    pub(super) answers: Vec<Record>,
    /// Authority section.
    pub(super) authorities: Vec<Record>,
    /// Additional section.
    pub(super) additionals: Vec<Record>,
}

impl Reply {
    /// What a message says; `None` when it cannot be read.
    pub(super) fn read(octets: &[u8]) -> Option<Self> {
        Message::from_vec(octets).ok().map(Self::of)
    }

    fn of(message: Message) -> Self {
        Self {
            code: message.metadata.response_code,
            authoritative: message.metadata.authoritative,
            answers: message.answers,
            authorities: message.authorities,
            additionals: message.additionals,
        }
    }
}

impl Question {
    /// A question for one of our record types.
    pub(super) fn new(name: &Name, record_type: RecordType, mode: Mode) -> Self {
        Self {
            name: name.clone(),
            record_type: wire_type(record_type),
            mode,
        }
    }

    fn encode(&self, id: u16, edns: bool) -> Option<(Query, Vec<u8>)> {
        let query = Query::query(wire_name(&self.name)?, self.record_type);
        let mut message = Message::new(id, MessageType::Query, OpCode::Query);
        message.metadata.recursion_desired = self.mode != Mode::Authority;
        message.metadata.checking_disabled = self.mode == Mode::Unchecked;
        message.add_query(query.clone());
        if edns {
            let mut options = Edns::new();
            options.set_max_payload(EDNS_PAYLOAD).set_version(0);
            message.set_edns(options);
        }
        Some((query, message.to_vec().ok()?))
    }
}

/// Asks a server. `patience` covers everything: both datagrams, and TCP.
///
/// Silence, a refused connection and a missing route are all [`Failure::Timeout`]: nothing came back. After an answer that was
/// cut off they are [`Failure::CutOff`].
pub(super) async fn ask(
    server: SocketAddr,
    question: &Question,
    patience: Duration,
) -> Result<Reply, Failure> {
    let deadline = Instant::now() + patience;
    let reply = exchange(server, question, true, deadline, patience).await?;
    // RFC 6891 section 7: a server that does not know EDNS says FORMERR; some say NOTIMP.
    if matches!(reply.code, ResponseCode::FormErr | ResponseCode::NotImp) {
        return exchange(server, question, false, deadline, patience).await;
    }
    Ok(reply)
}

async fn exchange(
    server: SocketAddr,
    question: &Question,
    edns: bool,
    deadline: Instant,
    patience: Duration,
) -> Result<Reply, Failure> {
    let id: u16 = rand::random();
    let (query, message) = question.encode(id, edns).ok_or(Failure::NotAsked)?;
    let expected = Expected { id, query };
    if let Some(reply) = over_udp(server, &expected, &message, deadline, patience / 3).await? {
        return Ok(reply);
    }
    let over_tcp = timeout_at(deadline, over_tcp(server, &expected, &message)).await;
    over_tcp
        .unwrap_or(Err(Failure::Timeout))
        .map_err(|failure| match failure {
            Failure::Timeout => Failure::CutOff,
            other => other,
        })
}

/// `None`: the answer was cut off.
async fn over_udp(
    server: SocketAddr,
    expected: &Expected,
    message: &[u8],
    deadline: Instant,
    resend: Duration,
) -> Result<Option<Reply>, Failure> {
    let socket = connected(server).await.map_err(|_| Failure::Timeout)?;
    let first_until = (Instant::now() + resend).min(deadline);
    let mut failure = Failure::Timeout;
    for until in [first_until, deadline] {
        // A port that was closed a moment ago shows as an error here, too; the second datagram may reach it.
        let _ = socket.send(message).await;
        match timeout_at(until, receive(&socket, expected, &mut failure)).await {
            Ok(Some(read)) => return read,
            // An ICMP error: the server is not listening. It gets the same time as a silent one to come back.
            Ok(None) if until == first_until => tokio::time::sleep_until(until).await,
            Ok(None) => return Err(failure),
            Err(_) => {}
        }
    }
    Err(failure)
}

/// Waits for the datagram that answers. `None`: the socket failed.
async fn receive(
    socket: &UdpSocket,
    expected: &Expected,
    failure: &mut Failure,
) -> Option<Result<Option<Reply>, Failure>> {
    let mut buffer = vec![0; UDP_BUFFER];
    for _ in 0..MAX_STRAYS {
        let length = socket.recv(&mut buffer).await.ok()?;
        match expected.read(buffer.get(..length)?) {
            Read::Reply(reply) => return Some(Ok(Some(reply))),
            Read::CutOff => return Some(Ok(None)),
            Read::Unreadable if length == UDP_BUFFER => return Some(Ok(None)),
            Read::Unreadable => return Some(Err(Failure::Malformed)),
            // Something speaks there, only not to us: better than silence in the message, if nothing else comes.
            Read::Stray => *failure = Failure::Malformed,
        }
    }
    Some(Err(Failure::Malformed))
}

async fn over_tcp(server: SocketAddr, expected: &Expected, message: &[u8]) -> Result<Reply, Failure> {
    let silent = |_| Failure::Timeout;
    let length = u16::try_from(message.len()).map_err(|_| Failure::NotAsked)?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    let mut stream = TcpStream::connect(server).await.map_err(silent)?;
    stream.write_all(&framed).await.map_err(silent)?;
    let length = stream.read_u16().await.map_err(silent)?;
    let mut answer = vec![0; usize::from(length)];
    stream
        .read_exact(&mut answer)
        .await
        .map_err(|_| Failure::Malformed)?;
    match expected.read(&answer) {
        Read::Reply(reply) => Ok(reply),
        Read::CutOff | Read::Unreadable | Read::Stray => Err(Failure::Malformed),
    }
}

/// Whether a datagram could be sent to this address: with a route, connecting a UDP socket sends nothing and succeeds.
pub(super) async fn has_route(address: IpAddr, port: u16) -> bool {
    connected(SocketAddr::from((address, port))).await.is_ok()
}

/// A socket with a random port of its own that hears only the server.
async fn connected(server: SocketAddr) -> std::io::Result<UdpSocket> {
    let any = match server.ip() {
        IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
        IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(server).await?;
    Ok(socket)
}

/// What an answer must carry.
struct Expected {
    id: u16,
    query: Query,
}

enum Read {
    Reply(Reply),
    CutOff,
    /// Carries our identifier and cannot be read.
    Unreadable,
    /// Not an answer to this question.
    Stray,
}

impl Expected {
    fn read(&self, bytes: &[u8]) -> Read {
        let Some(&[high, low, flags, _]) = bytes.first_chunk::<4>() else {
            return Read::Stray;
        };
        // QR set and opcode QUERY (RFC 1035 section 4.1.1).
        if u16::from_be_bytes([high, low]) != self.id || flags & 0xf8 != 0x80 {
            return Read::Stray;
        }
        let cut_off = flags & 0x02 != 0;
        let Ok(message) = Message::from_vec(bytes) else {
            return if cut_off { Read::CutOff } else { Read::Unreadable };
        };
        if !self.asked(&message) {
            return Read::Stray;
        }
        if cut_off {
            return Read::CutOff;
        }
        Read::Reply(Reply::of(message))
    }

    /// Servers that refuse may leave the question out.
    fn asked(&self, message: &Message) -> bool {
        match message.queries.as_slice() {
            [] => !matches!(
                message.metadata.response_code,
                ResponseCode::NoError | ResponseCode::NXDomain
            ),
            [query] => {
                query.name() == self.query.name()
                    && query.query_type() == self.query.query_type()
                    && query.query_class() == self.query.query_class()
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::RData;
    use hickory_proto::rr::rdata::TXT;

    use super::super::fake::{self, Fake, name};
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(600);

    fn question() -> Question {
        Question::new(&name("big.example.com"), RecordType::Txt, Mode::Authority)
    }

    fn with_text(query: &Message, length: usize) -> Message {
        let mut reply = fake::reply_to(query);
        let strings: Vec<Vec<u8>> = vec![vec![b'k'; 250]; length / 250];
        let text = TXT::from_bytes(strings.iter().map(Vec::as_slice).collect());
        reply.add_answer(Record::from_rdata(
            query.queries[0].name().clone(),
            60,
            RData::TXT(text),
        ));
        reply
    }

    async fn outcome(fake: &Fake) -> Result<Reply, Failure> {
        ask(fake.address(), &question(), PATIENCE).await
    }

    #[tokio::test]
    async fn a_plain_answer_is_read_and_asked_without_recursion() {
        let fake = Fake::start(|query, _| {
            assert!(!query.metadata.recursion_desired);
            assert_eq!(query.max_payload(), EDNS_PAYLOAD);
            vec![with_text(query, 500).to_vec().unwrap()]
        })
        .await;
        let reply = outcome(&fake).await.unwrap();
        assert!(reply.authoritative);
        assert_eq!(reply.answers.len(), 1);
    }

    #[tokio::test]
    async fn resolvers_are_asked_with_recursion_and_without_checks_on_demand() {
        let fake = Fake::start(|query, _| {
            assert!(query.metadata.recursion_desired && query.metadata.checking_disabled);
            vec![with_text(query, 500).to_vec().unwrap()]
        })
        .await;
        let question = Question::new(&name("a.test"), RecordType::Txt, Mode::Unchecked);
        assert!(ask(fake.address(), &question, PATIENCE).await.is_ok());
    }

    #[tokio::test]
    async fn a_truncated_answer_is_asked_again_over_tcp_up_to_64_kib() {
        let fake = Fake::start(|query, tcp| {
            let reply = with_text(query, 65_000);
            vec![if tcp { reply } else { reply.truncate() }.to_vec().unwrap()]
        })
        .await;
        let reply = outcome(&fake).await.unwrap();
        assert!(reply.answers[0].data.to_string().len() >= 65_000);
    }

    #[tokio::test]
    async fn answers_with_another_identifier_or_question_are_passed_over() {
        let fake = Fake::start(|query, _| {
            let right = with_text(query, 250);
            let mut wrong_id = right.clone();
            wrong_id.metadata.id = query.metadata.id.wrapping_add(1);
            let mut wrong_question = right.clone();
            wrong_question.queries[0].set_name(rr::Name::from_ascii("evil.test.").unwrap());
            let mut a_query = right.clone();
            a_query.metadata.message_type = MessageType::Query;
            [wrong_id, wrong_question, a_query, right]
                .iter()
                .map(|message| message.to_vec().unwrap())
                .collect()
        })
        .await;
        assert_eq!(outcome(&fake).await.unwrap().answers.len(), 1);
    }

    #[tokio::test]
    async fn garbage_is_malformed_and_silence_a_timeout() {
        let garbage = Fake::start(|_, _| vec![vec![7; 3]]).await;
        assert_eq!(outcome(&garbage).await, Err(Failure::Malformed));
        let half = Fake::start(|query, _| {
            let mut bytes = with_text(query, 250).to_vec().unwrap();
            bytes.truncate(60);
            vec![bytes]
        })
        .await;
        assert_eq!(outcome(&half).await, Err(Failure::Malformed));
        let silent = Fake::start(|_, _| vec![]).await;
        assert_eq!(outcome(&silent).await, Err(Failure::Timeout));
        let closed = SocketAddr::from(([127, 0, 0, 1], 1));
        assert_eq!(ask(closed, &question(), PATIENCE).await, Err(Failure::Timeout));
    }

    #[tokio::test]
    async fn a_lost_datagram_is_sent_again() {
        let seen = std::sync::atomic::AtomicUsize::new(0);
        let fake = Fake::start(move |query, _| {
            if seen.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
                return vec![];
            }
            vec![with_text(query, 250).to_vec().unwrap()]
        })
        .await;
        assert!(outcome(&fake).await.is_ok());
    }

    #[tokio::test]
    async fn a_server_without_edns_is_asked_without() {
        let fake = Fake::start(|query, _| {
            let mut reply = with_text(query, 250);
            if query.edns.is_some() {
                reply = Message::error_msg(query.metadata.id, OpCode::Query, ResponseCode::FormErr);
            }
            vec![reply.to_vec().unwrap()]
        })
        .await;
        assert_eq!(outcome(&fake).await.unwrap().code, ResponseCode::NoError);
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        use rand::{RngExt, SeedableRng};
        let query = Query::query(rr::Name::from_ascii("a.test.").unwrap(), rr::RecordType::TXT);
        let expected = Expected { id: 0x0707, query };
        let mut message = Message::response(0x0707, OpCode::Query);
        message.add_query(expected.query.clone());
        let valid = with_text(&message, 500).to_vec().unwrap();
        let mut random = rand::rngs::StdRng::seed_from_u64(20_261_123);
        let mut read = 0;
        for round in 0..60_000 {
            let mut bytes = if round % 2 == 0 {
                (0..random.random_range(0..200))
                    .map(|_| random.random())
                    .collect()
            } else {
                valid.clone()
            };
            for _ in 0..random.random_range(0..4) {
                let at = random.random_range(0..bytes.len().max(1));
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = random.random();
                }
            }
            if let Some(head) = bytes.first_chunk_mut::<3>() {
                *head = [7, 7, 0x84];
            }
            if let Read::Reply(reply) = expected.read(&bytes) {
                read += 1;
                let key = crate::record::Key::new(name("a.test"), RecordType::Txt);
                let _ = super::super::answer::read(&reply, &key, Mode::Authority);
            }
        }
        assert!(read > 1000, "{read}");
    }
}
