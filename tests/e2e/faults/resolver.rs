//! The resolver that the operator and the judges ask: it hands every question to the world's own, but for the zones about which it
//! is told to lie or to say nothing.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::harness::var;

/// Of the range that is local in the world, beyond the two addresses of its last zone.
pub const ADDRESS: &str = "198.19.255.53";
/// Longer than anybody here waits for a resolver.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is said instead of the truth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lie {
    /// This name does not exist.
    NoSuchName(String),
    /// This name holds this text and no other.
    OldText(String, String),
    /// Nothing at all, about the whole zone.
    Silence,
}

type Lies = Arc<Mutex<BTreeMap<String, Lie>>>;

/// Runs until it is dropped.
pub struct Resolver {
    lies: Lies,
    _runtime: Runtime,
}

impl Resolver {
    /// An honest one.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime can be made");
        let lies = Lies::default();
        let at = SocketAddr::from((ADDRESS.parse::<IpAddr>().expect("an address"), 53));
        let beyond: IpAddr = var("RESOLVER").parse().expect("RESOLVER is an address");
        let beyond = SocketAddr::from((beyond, 53));
        let (udp, tcp) = runtime.block_on(async {
            let udp = UdpSocket::bind(at).await.expect("port 53 is free");
            (udp, TcpListener::bind(at).await.expect("port 53 is free"))
        });
        runtime.spawn(over_udp(Arc::new(udp), beyond, Arc::clone(&lies)));
        runtime.spawn(over_tcp(tcp, beyond, Arc::clone(&lies)));
        Self {
            lies,
            _runtime: runtime,
        }
    }

    /// From now on it says this of a zone, or the truth.
    pub fn say(&self, zone: &str, lie: Option<Lie>) {
        let mut lies = self.lies.lock().expect("nobody panics here");
        match lie {
            Some(lie) => drop(lies.insert(zone.to_owned(), lie)),
            None => drop(lies.remove(zone)),
        }
    }
}

async fn over_udp(socket: Arc<UdpSocket>, beyond: SocketAddr, lies: Lies) {
    let mut buffer = vec![0; 4096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let (question, socket, lies) = (buffer[..length].to_vec(), Arc::clone(&socket), Arc::clone(&lies));
        tokio::spawn(async move {
            let said = match instead(&question, &lies) {
                Instead::Truth => timeout(PATIENCE, asked(beyond, &question)).await.ok()?.ok()?,
                Instead::Lie(answer) => answer,
                Instead::Nothing => return None,
            };
            socket.send_to(&said, from).await.ok()
        });
    }
}

async fn asked(beyond: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let socket = UdpSocket::bind((beyond.ip(), 0)).await;
    let socket = match socket {
        Ok(socket) => socket,
        Err(_) => UdpSocket::bind("0.0.0.0:0").await?,
    };
    socket.connect(beyond).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; 65_535];
    let length = socket.recv(&mut buffer).await?;
    buffer.truncate(length);
    Ok(buffer)
}

async fn over_tcp(listener: TcpListener, beyond: SocketAddr, lies: Lies) {
    loop {
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        tokio::spawn(timeout(PATIENCE, one_over_tcp(client, beyond, Arc::clone(&lies))));
    }
}

async fn one_over_tcp(mut client: TcpStream, beyond: SocketAddr, lies: Lies) -> io::Result<()> {
    let question = framed(&mut client).await?;
    let said = match instead(&question, &lies) {
        Instead::Truth => {
            let mut server = TcpStream::connect(beyond).await?;
            send(&mut server, &question).await?;
            framed(&mut server).await?
        }
        Instead::Lie(answer) => answer,
        Instead::Nothing => std::future::pending().await,
    };
    send(&mut client, &said).await
}

async fn framed(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let length = stream.read_u16().await?;
    let mut message = vec![0; usize::from(length)];
    stream.read_exact(&mut message).await?;
    Ok(message)
}

async fn send(stream: &mut TcpStream, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).expect("a DNS message");
    stream.write_u16(length).await?;
    stream.write_all(message).await
}

enum Instead {
    Truth,
    Lie(Vec<u8>),
    Nothing,
}

fn instead(question: &[u8], lies: &Lies) -> Instead {
    let Ok(query) = Message::from_vec(question) else {
        return Instead::Nothing;
    };
    let Some(asked) = query.queries.first() else {
        return Instead::Nothing;
    };
    let name = asked.name().to_ascii().trim_end_matches('.').to_ascii_lowercase();
    let lies = lies.lock().expect("nobody panics here");
    let told = lies.iter().find(|(zone, _)| {
        name == **zone || name.strip_suffix(zone.as_str()).is_some_and(|r| r.ends_with('.'))
    });
    let mut reply = Message::response(query.metadata.id, query.metadata.op_code);
    reply.metadata.recursion_desired = true;
    reply.metadata.recursion_available = true;
    reply.add_query(asked.clone());
    match told {
        Some((_, Lie::Silence)) => return Instead::Nothing,
        Some((_, Lie::NoSuchName(gone))) if *gone == name => {
            reply.metadata.response_code = ResponseCode::NXDomain;
        }
        Some((_, Lie::OldText(at, text))) if *at == name && asked.query_type() == RecordType::TXT => {
            let data = RData::TXT(TXT::new(vec![text.clone()]));
            reply.add_answer(Record::from_rdata(asked.name().clone(), 1, data));
        }
        Some(_) | None => return Instead::Truth,
    }
    Instead::Lie(reply.to_vec().expect("it can be written"))
}
