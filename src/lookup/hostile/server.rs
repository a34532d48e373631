//! A server that answers whatever bytes it is told to, how it is told to.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_proto::op::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// Between two octets of an answer that drips.
const DROP: Duration = Duration::from_millis(100);

/// What becomes of one question.
pub(super) enum Say {
    /// These messages, one after the other.
    All(Vec<Vec<u8>>),
    /// This one, from another address. UDP only.
    FromElsewhere(Vec<u8>),
    /// This one octet by octet. TCP only.
    Drip(Vec<u8>),
    /// So much of this one, and the connection ends. TCP only.
    Cut(Vec<u8>, usize),
    /// Nothing, and the connection stays.
    Nothing,
}

/// What is known of a question.
pub(super) struct Asked {
    pub(super) query: Message,
    pub(super) tcp: bool,
    /// How many there were before.
    pub(super) count: usize,
}

pub(super) type Trick = Arc<dyn Fn(&Asked) -> Say + Send + Sync>;

/// It ends when this is dropped.
pub(super) struct Hostile {
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Hostile {
    pub(super) async fn start_at(address: SocketAddr, trick: Trick) -> io::Result<Self> {
        let udp = Arc::new(UdpSocket::bind(address).await?);
        let tcp = TcpListener::bind(address).await?;
        let count = Arc::new(AtomicUsize::new(0));
        let tasks = vec![
            tokio::spawn(over_udp(udp, Arc::clone(&trick), Arc::clone(&count))),
            tokio::spawn(over_tcp(tcp, trick, count)),
        ];
        Ok(Self { tasks })
    }
}

fn say(trick: &Trick, bytes: &[u8], tcp: bool, count: &AtomicUsize) -> Say {
    let query = Message::from_vec(bytes).unwrap();
    let count = count.fetch_add(1, Ordering::SeqCst);
    trick(&Asked { query, tcp, count })
}

async fn over_udp(socket: Arc<UdpSocket>, trick: Trick, count: Arc<AtomicUsize>) {
    let mut buffer = vec![0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        match say(&trick, &buffer[..length], false, &count) {
            Say::All(messages) => {
                for message in messages {
                    let _ = socket.send_to(&message, from).await;
                }
            }
            Say::FromElsewhere(message) => {
                let other = UdpSocket::bind("127.0.0.99:0").await.unwrap();
                let _ = other.send_to(&message, from).await;
            }
            Say::Drip(_) | Say::Cut(..) => panic!("over TCP only"),
            Say::Nothing => {}
        }
    }
}

async fn over_tcp(listener: TcpListener, trick: Trick, count: Arc<AtomicUsize>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(one_over_tcp(stream, Arc::clone(&trick), Arc::clone(&count)));
    }
}

/// An error is that of a client that has gone.
async fn one_over_tcp(mut stream: TcpStream, trick: Trick, count: Arc<AtomicUsize>) -> io::Result<()> {
    let length = stream.read_u16().await?;
    let mut question = vec![0; usize::from(length)];
    stream.read_exact(&mut question).await?;
    match say(&trick, &question, true, &count) {
        Say::All(messages) => {
            for message in messages {
                stream.write_all(&framed(&message)).await?;
            }
        }
        Say::FromElsewhere(_) => panic!("over UDP only"),
        Say::Drip(message) => {
            for octet in framed(&message) {
                stream.write_u8(octet).await?;
                tokio::time::sleep(DROP).await;
            }
        }
        Say::Cut(message, length) => stream.write_all(&framed(&message)[..length]).await?,
        Say::Nothing => std::future::pending().await,
    }
    Ok(())
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).unwrap();
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend_from_slice(message);
    framed
}
