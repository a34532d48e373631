//! Signatures, secrets and the ways in which a server can fail, against sockets on loopback.

use hickory_proto::op::{MessageType, OpCode, Query};
use hickory_proto::rr::rdata::TSIG;

use hickory_proto::rr::{self, Record, TSigResponseContext};
use tokio::net::TcpListener;

use super::*;

const SECRET: &str = "c2VjcmV0LW9mLXRoZS10ZXN0cw==";

fn server(address: &str) -> Server {
    Server::new(address, "test-key", TsigAlgorithm::HmacSha256, SECRET).unwrap()
}

fn question() -> Message {
    let mut message = Message::new(0, MessageType::Query, OpCode::Query);
    message.add_query(Query::query(
        rr::Name::from_ascii("a.example.").unwrap(),
        rr::RecordType::SOA,
    ));
    message
}

/// Listens, and answers each question of each connection with what the closure makes of it, up to `each` questions for
/// a connection.
async fn fake(each: usize, answer: impl Fn(&Message) -> Vec<u8> + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            for _ in 0..each {
                let Some(octets) = receive(&mut stream).await else {
                    break;
                };
                let answer = answer(&Message::from_vec(&octets).unwrap());
                stream
                    .write_u16(u16::try_from(answer.len()).unwrap())
                    .await
                    .unwrap();
                stream.write_all(&answer).await.unwrap();
            }
        }
    });
    address
}

fn reply(question: &Message) -> Message {
    let mut reply = Message::response(question.metadata.id, question.metadata.op_code);
    reply.add_query(question.queries[0].clone());
    reply
}

/// The reply with the signature that this secret makes.
fn signed(question: &Message, mut reply: Message, secret: &str, error: Option<TsigError>) -> Vec<u8> {
    let asked = question.signature().unwrap();
    let secret = STANDARD.decode(secret).unwrap();
    let signer = TSigner::new(secret, Algorithm::HmacSha256, asked.name.clone(), FUDGE).unwrap();
    let id = question.metadata.id;
    let context = TSigResponseContext::new(id, now(), signer, asked.data.mac.clone(), error);
    let signature = context.sign(&reply.to_vec().unwrap()).unwrap();
    reply.set_signature(signature);
    reply.to_vec().unwrap()
}

fn unsigned_error(question: &Message, error: TsigError) -> Vec<u8> {
    let mut reply = reply(question);
    reply.metadata.response_code = ResponseCode::NotAuth;
    let asked = question.signature().unwrap();
    let tsig = TSIG::new(
        Algorithm::HmacSha256,
        now(),
        FUDGE,
        Vec::new(),
        question.metadata.id,
        Some(error),
        Vec::new(),
    );
    let mut record = Record::from_rdata(asked.name.clone(), 0, tsig);
    record.dns_class = rr::DNSClass::ANY;
    reply.set_signature(Box::new(record));
    reply.to_vec().unwrap()
}

#[tokio::test]
async fn an_answer_counts_with_its_signature_only() {
    let good = fake(9, |question| signed(question, reply(question), SECRET, None)).await;
    let answer = server(&good).send(question()).await.unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NoError);
    let plain = fake(9, |question| reply(question).to_vec().unwrap()).await;
    assert_eq!(
        server(&plain).send(question()).await,
        Err(PublishError::Unreadable)
    );
    let other = fake(9, |question| signed(question, reply(question), "b3RoZXI=", None)).await;
    assert_eq!(
        server(&other).send(question()).await,
        Err(PublishError::Unreadable)
    );
    let altered = fake(9, |question| {
        let mut octets = signed(question, reply(question), SECRET, None);
        // AA, which nobody signed.
        octets[2] |= 4;
        octets
    });
    assert_eq!(
        server(&altered.await).send(question()).await,
        Err(PublishError::Unreadable)
    );
}

#[tokio::test]
async fn what_a_server_says_about_the_key_is_about_the_credentials() {
    for error in [TsigError::BadSig, TsigError::BadKey] {
        let address = fake(9, move |question| unsigned_error(question, error)).await;
        assert_eq!(
            server(&address).send(question()).await,
            Err(PublishError::Credentials)
        );
    }
    let late = fake(9, |question| {
        let mut reply = reply(question);
        reply.metadata.response_code = ResponseCode::NotAuth;
        signed(question, reply, SECRET, Some(TsigError::BadTime))
    });
    assert_eq!(
        server(&late.await).send(question()).await,
        Err(PublishError::Credentials)
    );
}

#[tokio::test]
async fn an_unsigned_refusal_is_a_code_and_nothing_more() {
    let address = fake(9, |question| {
        let mut reply = reply(question);
        reply.metadata.response_code = ResponseCode::Refused;
        reply.to_vec().unwrap()
    })
    .await;
    let answer = server(&address).send(question()).await.unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::Refused);
    assert!(answer.queries.is_empty());
}

#[tokio::test]
async fn many_questions_go_over_as_many_connections_as_the_server_wants() {
    let address = fake(5, |question| signed(question, reply(question), SECRET, None)).await;
    let answers = server(&address).ask(vec![question(); 40]).await.unwrap();
    assert_eq!(answers.len(), 40);
    assert_eq!(server(&address).ask(Vec::new()).await, Ok(Vec::new()));
}

#[tokio::test]
async fn nobody_there_and_garbage_are_told_apart() {
    assert_eq!(
        server("127.0.0.1:1").send(question()).await,
        Err(PublishError::Unreachable)
    );
    let silent = fake(0, |_| Vec::new()).await;
    assert_eq!(
        server(&silent).send(question()).await,
        Err(PublishError::Unreachable)
    );
    let garbage = fake(9, |question| question.metadata.id.to_be_bytes().to_vec()).await;
    assert_eq!(
        server(&garbage).send(question()).await,
        Err(PublishError::Unreadable)
    );
    assert_eq!(
        server("no-such-host.invalid:53").send(question()).await,
        Err(PublishError::Unreachable)
    );
}

#[test]
fn the_secret_is_never_shown() {
    let server = server("192.0.2.1:53");
    let shown = format!("{server:?}");
    assert!(
        shown.contains("192.0.2.1:53") && !shown.contains("secret"),
        "{shown}"
    );
    assert!(!shown.contains(SECRET), "{shown}");
    for bad in ["not base64!", "", "c2VjcmV0LW9mLXRoZS10ZXN0cw=", "c2Vj\ncmV0"] {
        let refused = Server::new("192.0.2.1:53", "k", TsigAlgorithm::HmacSha512, bad).unwrap_err();
        assert_eq!(refused.reason(), "Misconfigured");
        assert!(bad.is_empty() || !refused.to_string().contains(bad), "{refused}");
    }
    assert!(Server::new("192.0.2.1:53", "k", TsigAlgorithm::HmacSha512, " c2VjcmV0\n").is_ok());
}

#[test]
fn addresses_are_checked() {
    for bad in [
        "192.0.2.1",
        ":53",
        "192.0.2.1:0",
        "192.0.2.1:99999",
        "169.254.169.254:53",
        "[fe80::1]:53",
    ] {
        assert!(
            matches!(checked_address(bad), Err(PublishError::Misconfigured(_))),
            "{bad}"
        );
    }
    for good in ["192.0.2.1:53", "[2001:db8::53]:53", "ns1.corp:5353"] {
        assert_eq!(checked_address(good).as_deref(), Ok(good));
    }
}
