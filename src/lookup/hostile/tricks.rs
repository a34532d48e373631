//! What a hostile name server can do, each with what must come of it.

use std::sync::Arc;

use hickory_proto::op::{Edns, Message, MessageType, OpCode, ResponseCode};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{self, DNSClass, RData, Record, RecordType};
use rand::{RngExt, SeedableRng};

use super::super::fake::{record, reply_to};
use super::server::{Asked, Say, Trick};

/// What no answer of ours may ever hold: it stands only where it must not be believed.
pub(super) const INVENTED: &str = "invented";

/// A trick: what it is called, what a question for TXT must come to, asked of it as the server of the zone and as a resolver.
pub(super) struct Case {
    pub(super) name: &'static str,
    pub(super) expected: &'static str,
    pub(super) as_resolver: &'static str,
    pub(super) trick: Trick,
}

fn case(
    name: &'static str,
    expected: &'static str,
    trick: impl Fn(&Asked) -> Say + Send + Sync + 'static,
) -> Case {
    Case {
        name,
        expected,
        as_resolver: expected,
        trick: Arc::new(trick),
    }
}

/// A server of a zone answers like one that is lame where a resolver's answer stands for itself.
fn lame(
    name: &'static str,
    as_resolver: &'static str,
    trick: impl Fn(&Asked) -> Say + Send + Sync + 'static,
) -> Case {
    Case {
        as_resolver,
        ..case(name, "answers without authority for the zone", trick)
    }
}

const TIMEOUT: &str = "does not answer";
const CUT_OFF: &str = "cuts its answer off and does not answer over TCP";
const MALFORMED: &str = "sends an unreadable answer";
const REFUSED: &str = "refuses the question";
const NO_DATA: &str = "no data";

fn owner(query: &Message) -> rr::Name {
    query.queries[0].name().clone()
}

fn text(query: &Message, text: &str) -> Record {
    Record::from_rdata(owner(query), 60, RData::TXT(TXT::new(vec![text.to_owned()])))
}

/// An answer with this text, changed.
fn told(query: &Message, words: &str, change: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut reply = reply_to(query);
    reply.add_answer(text(query, words));
    change(&mut reply);
    reply.to_vec().unwrap()
}

fn lie(asked: &Asked, change: impl FnOnce(&mut Message)) -> Say {
    Say::All(vec![told(&asked.query, INVENTED, change)])
}

/// With records instead of the text.
fn with(asked: &Asked, answers: Vec<Record>) -> Say {
    let mut reply = reply_to(&asked.query);
    reply.answers = answers;
    let cut = !asked.tcp && reply.to_vec().unwrap().len() > 1232;
    Say::All(vec![if cut { reply.truncate() } else { reply }.to_vec().unwrap()])
}

/// The bytes of an answer, changed.
fn raw(asked: &Asked, words: &str, change: impl FnOnce(&mut Vec<u8>)) -> Say {
    let mut bytes = told(&asked.query, words, |_| ());
    change(&mut bytes);
    Say::All(vec![bytes])
}

/// Cut off over UDP; over TCP this.
fn over_tcp(asked: &Asked, say: impl FnOnce() -> Say) -> Say {
    if asked.tcp {
        return say();
    }
    Say::All(vec![reply_to(&asked.query).truncate().to_vec().unwrap()])
}

fn aliases(asked: &Asked, count: usize, end: &str) -> Say {
    let name = |number: usize| format!("n{number}.evil.test");
    let mut records = vec![record(&format!("{} 60 CNAME {}", owner(&asked.query), name(0)))];
    for number in 1..count {
        records.push(record(&format!("{} 60 CNAME {}", name(number - 1), name(number))));
    }
    records.push(record(&format!("{} 60 {end}", name(count - 1))));
    with(asked, records)
}

fn referral(asked: &Asked, lines: &[String]) -> Say {
    let mut reply = reply_to(&asked.query);
    reply.metadata.authoritative = false;
    reply.authorities = lines.iter().map(|line| record(line)).collect();
    reply.additionals = vec![record("ns.evil.test 60 A 127.0.0.12")];
    Say::All(vec![reply.to_vec().unwrap()])
}

/// Answers that are not to this question.
fn strays() -> Vec<Case> {
    vec![
        case("another identifier", MALFORMED, |asked| {
            lie(asked, |reply| {
                reply.metadata.id = reply.metadata.id.wrapping_add(1);
            })
        }),
        case("another name in the question", MALFORMED, |asked| {
            lie(asked, |reply| {
                reply.queries[0].set_name(rr::Name::from_ascii("else.evil.test.").unwrap());
            })
        }),
        case("another type in the question", MALFORMED, |asked| {
            lie(asked, |reply| {
                reply.queries[0].set_query_type(RecordType::NULL);
            })
        }),
        case("another class in the question", MALFORMED, |asked| {
            lie(asked, |reply| {
                reply.queries[0].set_query_class(DNSClass::CH);
            })
        }),
        case("two questions", MALFORMED, |asked| {
            lie(asked, |reply| reply.queries.push(reply.queries[0].clone()))
        }),
        case("no question", MALFORMED, |asked| {
            lie(asked, |reply| reply.queries.clear())
        }),
        case("another address", TIMEOUT, |asked| {
            over_udp(asked, |query| Say::FromElsewhere(told(query, INVENTED, |_| ())))
        }),
        case("no answer but a question (QR clear)", MALFORMED, |asked| {
            lie(asked, |reply| reply.metadata.message_type = MessageType::Query)
        }),
        case("another opcode", MALFORMED, |asked| {
            lie(asked, |reply| reply.metadata.op_code = OpCode::Notify)
        }),
        case("the right answer behind sixty wrong ones", "1 record", |asked| {
            let mut wrong = vec![told(&asked.query, INVENTED, |reply| reply.metadata.id ^= 1); 60];
            wrong.push(told(&asked.query, "said", |_| ()));
            Say::All(wrong)
        }),
    ]
}

fn over_udp(asked: &Asked, say: impl FnOnce(&Message) -> Say) -> Say {
    if asked.tcp {
        Say::Nothing
    } else {
        say(&asked.query)
    }
}

/// Bytes that are no message, or one that lies about itself.
fn garbage() -> Vec<Case> {
    vec![
        case("a pointer to itself", MALFORMED, |asked| {
            // The owner name of the answer points to where it begins.
            raw(asked, INVENTED, |bytes| {
                let at = 12 + bytes[12..].iter().position(|b| *b == 0).unwrap() + 5;
                let pointer = 0xc000 | u16::try_from(at).unwrap();
                bytes[at..at + 2].copy_from_slice(&pointer.to_be_bytes());
            })
        }),
        case("a pointer in the question to itself", MALFORMED, |asked| {
            raw(asked, INVENTED, |bytes| {
                bytes[12..14].copy_from_slice(&[0xc0, 12]);
            })
        }),
        case("more answers counted than there are", MALFORMED, |asked| {
            raw(asked, INVENTED, |bytes| {
                bytes[6..8].copy_from_slice(&[0xff, 0xff]);
            })
        }),
        case("more questions counted than there are", MALFORMED, |asked| {
            raw(asked, INVENTED, |bytes| {
                bytes[4..6].copy_from_slice(&[0xff, 0xff]);
            })
        }),
        case("a record longer than the message", MALFORMED, |asked| {
            raw(asked, INVENTED, |bytes| {
                let length = bytes.len() - INVENTED.len() - 3;
                bytes[length..length + 2].copy_from_slice(&[0xff, 0xff]);
            })
        }),
        case("a string longer than its record", MALFORMED, |asked| {
            raw(asked, INVENTED, |bytes| {
                let at = bytes.len() - INVENTED.len() - 1;
                bytes[at] = 0xff;
            })
        }),
        case("half a message", MALFORMED, |asked| {
            raw(asked, INVENTED, |bytes| bytes.truncate(bytes.len() / 2))
        }),
        case("a header alone", MALFORMED, |asked| {
            raw(asked, INVENTED, |bytes| bytes.truncate(12))
        }),
        case("three octets", MALFORMED, |asked| {
            raw(asked, INVENTED, |bytes| bytes.truncate(3))
        }),
        case("random octets", MALFORMED, |asked| {
            let mut random = rand::rngs::StdRng::seed_from_u64(u64::try_from(asked.count).unwrap());
            let mut bytes: Vec<u8> = (0..random.random_range(12..600))
                .map(|_| random.random())
                .collect();
            bytes[..2].copy_from_slice(&asked.query.metadata.id.to_be_bytes());
            // An answer, with one question that is not ours.
            bytes[2] = 0x84;
            bytes[4..6].copy_from_slice(&[0, 1]);
            Say::All(vec![bytes])
        }),
    ]
}

/// What TCP can do.
fn streams() -> Vec<Case> {
    vec![
        case("cut off for ever", MALFORMED, |asked| {
            let reply = reply_to(&asked.query).truncate().to_vec().unwrap();
            Say::All(vec![reply])
        }),
        case("64 KiB over TCP", "1 record", |asked| {
            over_tcp(asked, || {
                let strings = vec![[b'x'; 255].as_slice(); 255];
                let long = RData::TXT(TXT::from_bytes(strings));
                with(asked, vec![Record::from_rdata(owner(&asked.query), 60, long)])
            })
        }),
        case("1,000 records", "1000 records", |asked| {
            let record = |number: usize| text(&asked.query, &format!("said {number}"));
            with(asked, (0..1000).map(record).collect())
        }),
        case("an octet at a time", CUT_OFF, |asked| {
            over_tcp(asked, || Say::Drip(told(&asked.query, INVENTED, |_| ())))
        }),
        case("closed in the middle", MALFORMED, |asked| {
            over_tcp(asked, || Say::Cut(told(&asked.query, INVENTED, |_| ()), 20))
        }),
        case("closed behind half of the length", CUT_OFF, |asked| {
            over_tcp(asked, || Say::Cut(told(&asked.query, INVENTED, |_| ()), 1))
        }),
        case("closed at once", CUT_OFF, |asked| {
            over_tcp(asked, || Say::Cut(told(&asked.query, INVENTED, |_| ()), 0))
        }),
        case("open and silent", CUT_OFF, |asked| {
            over_tcp(asked, || Say::Nothing)
        }),
        case("another identifier over TCP", MALFORMED, |asked| {
            over_tcp(asked, || lie(asked, |reply| reply.metadata.id ^= 1))
        }),
        case("nothing at all", TIMEOUT, |_| Say::Nothing),
    ]
}

/// Well-formed answers that lead astray.
fn ways() -> Vec<Case> {
    vec![
        case("an alias of itself", NO_DATA, |asked| {
            with(
                asked,
                vec![record(&format!("{0} 60 CNAME {0}", owner(&asked.query)))],
            )
        }),
        case("two aliases of each other", NO_DATA, |asked| {
            aliases(asked, 2, "CNAME n0.evil.test")
        }),
        case("a hundred aliases", NO_DATA, |asked| {
            aliases(asked, 100, &format!("TXT {INVENTED}"))
        }),
        case("records of another name", NO_DATA, |asked| {
            with(asked, vec![record(&format!("else.evil.test 60 TXT {INVENTED}"))])
        }),
        case("records of another class", NO_DATA, |asked| {
            let mut other = text(&asked.query, INVENTED);
            other.dns_class = DNSClass::CH;
            with(asked, vec![other])
        }),
        lame("a referral to itself", NO_DATA, |asked| {
            referral(asked, &["evil.test 60 NS ns.evil.test".to_owned()])
        }),
        lame("a referral to the zone above", NO_DATA, |asked| {
            referral(asked, &["test 60 NS ns.evil.test".to_owned()])
        }),
        lame("a referral to the root", NO_DATA, |asked| {
            referral(asked, &[". 60 NS ns.evil.test".to_owned()])
        }),
        lame("a referral to the name itself", NO_DATA, |asked| {
            referral(asked, &[format!("{} 60 NS ns.evil.test", owner(&asked.query))])
        }),
        lame("no authority", "1 record", |asked| {
            let reply = told(&asked.query, "said", |reply| reply.metadata.authoritative = false);
            Say::All(vec![reply])
        }),
        case("an EDNS version that nobody has", REFUSED, |asked| {
            lie(asked, |reply| {
                let mut edns = Edns::new();
                edns.set_version(77);
                reply.set_edns(edns);
                reply.metadata.response_code = ResponseCode::BADVERS;
            })
        }),
        case("names of 255 octets, labels of 63", "1 record", |asked| {
            let label = "l".repeat(63);
            let long = format!("{label}.{label}.{label}.{}", "m".repeat(61));
            let alias = record(&format!("{} 60 CNAME {long}", owner(&asked.query)));
            with(asked, vec![alias, record(&format!("{long} 60 TXT said"))])
        }),
        case("a text without a string", MALFORMED, |asked| {
            raw(asked, INVENTED, |bytes| {
                let at = bytes.len() - INVENTED.len() - 3;
                bytes.truncate(at);
                bytes.extend([0, 0]);
            })
        }),
        case("an empty text", "1 record", |asked| {
            with(asked, vec![text(&asked.query, "")])
        }),
        case("another answer to each question", "1 record", |asked| {
            with(asked, vec![text(&asked.query, &format!("said {}", asked.count))])
        }),
    ]
}

/// Every response code, beside a record that only some of them may come with.
fn codes() -> Vec<Case> {
    let code = |code: u8| {
        let (expected, words) = match code {
            0 | 3 => ("1 record", "said"),
            2 => ("answers SERVFAIL", INVENTED),
            9 => ("answers without authority for the zone", INVENTED),
            _ => (REFUSED, INVENTED),
        };
        case("a response code", expected, move |asked| {
            let reply = told(&asked.query, words, |reply| {
                reply.metadata.response_code = ResponseCode::from(0, code);
            });
            Say::All(vec![reply])
        })
    };
    (0..16).map(code).collect()
}

pub(super) fn all() -> Vec<Case> {
    [strays(), garbage(), streams(), ways(), codes()]
        .into_iter()
        .flatten()
        .collect()
}
