//! Messages to one server over TCP (RFC 7766), each signed and each answer's signature checked (RFC 8945).
//!
//! No text of an answer leaves this module; an answer is a message whose signature was good, or a code. A refusal
//! may come unsigned (RFC 8945 section 5.2: the server does not know the key), anything else may not.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::rdata::tsig::{TsigAlgorithm as Algorithm, TsigError};
use hickory_proto::rr::{TSigVerifier, TSigner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::api::TsigAlgorithm;
use crate::lookup::wire::wire_name;
use crate::name::Name;
use crate::publish::PublishError;
use crate::publish::gate::Gate;
use crate::publish::gate::address::{connect, is_link_local};

/// How long the server may be silent.
const SILENCE: Duration = Duration::from_secs(5);
/// How long a whole exchange may take, however many questions it has.
const TOTAL_TIMEOUT: Duration = Duration::from_secs(30);
/// Questions on their way at the same time, on one connection: fewer than BIND takes before it waits.
const WINDOW: usize = 16;
/// How many seconds the clocks may differ (RFC 8945 section 10).
const FUDGE: u16 = 300;

/// One server, with the key for it.
pub(super) struct Server {
    address: String,
    signer: TSigner,
    gate: Gate,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Server {{ address: {}, key: [redacted] }}", self.address)
    }
}

impl Server {
    /// The server at `host:port`, which knows the key by this name; the secret is base64.
    pub(super) fn new(
        address: &str,
        key_name: &str,
        algorithm: TsigAlgorithm,
        secret: &str,
    ) -> Result<Self, PublishError> {
        const BAD_SECRET: PublishError = PublishError::Misconfigured(
            "the TSIG secret in the Secret is not base64; write it as tsig-keygen or keymgr print it",
        );
        let secret = STANDARD.decode(secret.trim()).map_err(|_| BAD_SECRET)?;
        if secret.is_empty() {
            return Err(BAD_SECRET);
        }
        let algorithm = match algorithm {
            TsigAlgorithm::HmacSha256 => Algorithm::HmacSha256,
            TsigAlgorithm::HmacSha512 => Algorithm::HmacSha512,
        };
        let signer = key(key_name).and_then(|name| TSigner::new(secret, algorithm, name, FUDGE).ok());
        Ok(Self {
            address: checked_address(address)?,
            signer: signer.ok_or(PublishError::Misconfigured(
                "spec.rfc2136.tsig.keyName is not a name",
            ))?,
            gate: Gate::default(),
        })
    }

    /// With this gate; without one, nothing counts the exchanges.
    pub(super) fn through(self, gate: Gate) -> Self {
        Self { gate, ..self }
    }

    /// Sends one message without a signature. The answer is nobody's word: only the choice between two errors may hang
    /// on it.
    pub(super) async fn code_unsigned(&self, mut message: Message) -> Result<ResponseCode, PublishError> {
        let ask = async {
            message.metadata.id = rand::random();
            let octets = framed(&message)?;
            let mut stream = connect(&self.address).await.ok()?;
            silent(stream.write_all(&octets)).await?;
            let answer = Message::from_vec(&receive(&mut stream).await?).ok()?;
            Some(answer.metadata.response_code)
        };
        let ask = async { ask.await.ok_or(PublishError::Unreachable) };
        self.gate.call(ask).await
    }

    /// Sends one message and waits for its answer.
    pub(super) async fn send(&self, message: Message) -> Result<Message, PublishError> {
        let mut answers = self.ask(vec![message]).await?;
        answers.pop().ok_or(PublishError::Unreachable)
    }

    /// Sends the messages and waits for all answers, which come back in the order of the messages.
    pub(super) async fn ask(&self, messages: Vec<Message>) -> Result<Vec<Message>, PublishError> {
        let exchange = async {
            timeout(TOTAL_TIMEOUT, self.ask_all(messages))
                .await
                .unwrap_or(Err(PublishError::Unreachable))
        };
        let failed = |answers: &Vec<Message>| {
            let mut codes = answers.iter().map(|answer| answer.metadata.response_code);
            codes.any(|code| code == ResponseCode::ServFail)
        };
        self.gate.judged(exchange, failed).await
    }

    async fn ask_all(&self, messages: Vec<Message>) -> Result<Vec<Message>, PublishError> {
        let mut answers: BTreeMap<usize, Message> = BTreeMap::new();
        // A server may close the connection after any answer (RFC 7766 section 6.2.3): the rest goes over another one.
        while answers.len() < messages.len() {
            let open: Vec<(usize, &Message)> = messages
                .iter()
                .enumerate()
                .filter(|(place, _)| !answers.contains_key(place))
                .collect();
            let before = answers.len();
            self.over_one_connection(&open, &mut answers).await?;
            if answers.len() == before {
                return Err(PublishError::Unreachable);
            }
        }
        Ok(answers.into_values().collect())
    }

    /// Asks as far as the server goes along.
    async fn over_one_connection(
        &self,
        open: &[(usize, &Message)],
        answers: &mut BTreeMap<usize, Message>,
    ) -> Result<(), PublishError> {
        let mut stream = connect(&self.address).await?;
        let mut waiting: BTreeMap<u16, (usize, TSigVerifier)> = BTreeMap::new();
        let mut id: u16 = rand::random();
        let mut rest = open.iter();
        loop {
            while waiting.len() < WINDOW
                && let Some((place, message)) = rest.next()
            {
                id = id.wrapping_add(1);
                let (octets, verifier) = self.sign(message, id)?;
                if silent(stream.write_all(&octets)).await.is_none() {
                    return Ok(());
                }
                waiting.insert(id, (*place, verifier));
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let Some(octets) = receive(&mut stream).await else {
                return Ok(());
            };
            let id = octets.first_chunk().map(|id| u16::from_be_bytes(*id));
            // An answer that nobody asked for is passed over; the time for all is bounded.
            if let Some((place, mut verifier)) = id.and_then(|id| waiting.remove(&id)) {
                answers.insert(place, verified(&octets, &mut verifier)?);
            }
        }
    }

    /// The message as it goes out, with its length before it (RFC 1035 section 4.2.2).
    fn sign(&self, message: &Message, id: u16) -> Result<(Vec<u8>, TSigVerifier), PublishError> {
        let unusable = || PublishError::Misconfigured("a message cannot be signed");
        let mut message = message.clone();
        message.metadata.id = id;
        let verifier = message.finalize(&self.signer, now()).ok().flatten();
        let octets = framed(&message).ok_or_else(unusable)?;
        Ok((octets, verifier.ok_or_else(unusable)?))
    }
}

fn framed(message: &Message) -> Option<Vec<u8>> {
    let octets = message.to_vec().ok()?;
    let length = u16::try_from(octets.len()).ok()?;
    let mut framed = length.to_be_bytes().to_vec();
    framed.extend(octets);
    Some(framed)
}

fn key(name: &str) -> Option<hickory_proto::rr::Name> {
    // Keys may have names that no domain has; those of the schema are all parsed here.
    let labels = name.trim_end_matches('.').split('.').map(str::as_bytes);
    Name::parse(name)
        .ok()
        .and_then(|name| wire_name(&name))
        .or_else(|| hickory_proto::rr::Name::from_labels(labels).ok())
}

fn checked_address(address: &str) -> Result<String, PublishError> {
    let port = address.rsplit_once(':').and_then(|(host, port)| {
        let port: u16 = port.parse().ok()?;
        (!host.is_empty() && port != 0).then_some(port)
    });
    if port.is_none() {
        return Err(PublishError::Misconfigured(
            "spec.rfc2136.server needs a host and a port; write it like 192.0.2.1:53",
        ));
    }
    match address.parse::<SocketAddr>() {
        Ok(literal) if is_link_local(literal.ip()) => Err(PublishError::Misconfigured(
            "spec.rfc2136.server is a link-local address",
        )),
        Ok(_) | Err(_) => Ok(address.to_owned()),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a signature holds the time at which it was made; nothing is decided by it here"
)]
fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// `None`: the connection failed, or was silent for too long.
async fn silent<T>(action: impl Future<Output = std::io::Result<T>>) -> Option<T> {
    timeout(SILENCE, action).await.ok()?.ok()
}

async fn receive(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let length = silent(stream.read_u16()).await?;
    let mut octets = vec![0; usize::from(length)];
    silent(stream.read_exact(&mut octets)).await?;
    Some(octets)
}

/// The answer, if its signature is good; of an unsigned refusal only the code.
fn verified(octets: &[u8], verifier: &mut TSigVerifier) -> Result<Message, PublishError> {
    let message = Message::from_vec(octets).map_err(|_| PublishError::Unreadable)?;
    let error = message.signature().and_then(|record| record.data.error);
    let good = verifier.verify(octets).is_ok();
    // RFC 8945 section 5.2: BADSIG, BADKEY, BADTIME and BADTRUNC; the first two come without a signature.
    if matches!(
        error,
        Some(TsigError::BadSig | TsigError::BadKey | TsigError::BadTime | TsigError::BadTrunc)
    ) {
        return Err(PublishError::Credentials);
    }
    if good {
        return Ok(message);
    }
    match message.metadata.response_code {
        ResponseCode::NotAuth => Err(PublishError::Credentials),
        code @ (ResponseCode::Refused
        | ResponseCode::ServFail
        | ResponseCode::FormErr
        | ResponseCode::NotImp) => Ok(Message::error_msg(message.id, message.op_code, code)),
        _ => Err(PublishError::Unreadable),
    }
}

#[cfg(test)]
mod tests;
