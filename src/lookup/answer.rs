//! From a reply to an [`Answer`]. Pure.
//!
//! Aliases are followed inside the answer section only. Records whose names [`crate::name::Name`] cannot hold
//! (wildcards, blanks, octets outside ASCII) are left out; when that leaves none although some were there, the answer
//! is [`Failure::Malformed`] and not NODATA: something is there that we cannot read. Such a name in the middle of an
//! alias chain is followed, and left out of `aliases`.

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::{self, DNSClass, RData, Record};

use super::ask::{Mode, Question, Reply};
use super::wire::{our_name, wire_name};
use super::{Answer, Failure};
use crate::record::{Key, Value, Values};

/// More aliases than any resolver follows.
const MAX_ALIASES: usize = 16;

/// What a reply says about a name.
pub(super) fn read(reply: &Reply, key: &Key, mode: Mode) -> Answer {
    match reply.code {
        ResponseCode::NoError | ResponseCode::NXDomain => {}
        ResponseCode::ServFail => return Answer::Failed(Failure::ServFail),
        ResponseCode::NotAuth => return Answer::Failed(Failure::Lame),
        _ => return Answer::Failed(Failure::Refused),
    }
    // A referral, up or down, and a cached answer alike: this server does not hold the zone.
    if mode == Mode::Authority && !reply.authoritative {
        return Answer::Failed(Failure::Lame);
    }
    let question = Question::new(&key.name, key.record_type, mode);
    let Some(chain) = wire_name(&key.name).and_then(|start| follow(reply, &start, question.record_type))
    else {
        // A loop ends in nothing, like an alias of a name without records.
        return Answer::NoData { negative_ttl: 0 };
    };
    if !chain.records.is_empty() {
        let values: Values = chain.records.iter().filter_map(|r| value(&r.data)).collect();
        if values.is_empty() {
            return Answer::Failed(Failure::Malformed);
        }
        return Answer::Records {
            values,
            aliases: chain.aliases.iter().filter_map(our_name).collect(),
            ttl: chain.ttl,
        };
    }
    let negative_ttl = negative_ttl(reply);
    if reply.code == ResponseCode::NXDomain {
        Answer::NxDomain { negative_ttl }
    } else {
        Answer::NoData { negative_ttl }
    }
}

struct Chain<'a> {
    aliases: Vec<rr::Name>,
    records: Vec<&'a Record>,
    ttl: u32,
}

/// `None` for a loop or an endless chain.
fn follow<'a>(reply: &'a Reply, start: &rr::Name, record_type: rr::RecordType) -> Option<Chain<'a>> {
    let mut owner = start.clone();
    let mut chain = Chain {
        aliases: Vec::new(),
        records: Vec::new(),
        ttl: u32::MAX,
    };
    loop {
        let held: Vec<&Record> = reply
            .answers
            .iter()
            .filter(|r| r.dns_class == DNSClass::IN && r.name == owner)
            .collect();
        chain.records = held
            .iter()
            .copied()
            .filter(|r| r.record_type() == record_type)
            .collect();
        if !chain.records.is_empty() {
            let ttls = chain.records.iter().map(|r| lifetime(r.ttl));
            chain.ttl = ttls.fold(chain.ttl, u32::min);
            return Some(chain);
        }
        let next = held.iter().find_map(|r| match &r.data {
            RData::CNAME(target) => Some((target.0.clone(), r.ttl)),
            _ => None,
        });
        let Some((target, ttl)) = next else {
            return Some(chain);
        };
        if &target == start || chain.aliases.contains(&target) || chain.aliases.len() == MAX_ALIASES {
            return None;
        }
        chain.ttl = chain.ttl.min(lifetime(ttl));
        chain.aliases.push(target.clone());
        owner = target;
    }
}

/// RFC 2181 section 8: with the top bit set it is zero.
fn lifetime(ttl: u32) -> u32 {
    if ttl > i32::MAX.unsigned_abs() { 0 } else { ttl }
}

/// RFC 2308 section 5; 0 without an SOA record.
fn negative_ttl(reply: &Reply) -> u32 {
    reply
        .authorities
        .iter()
        .find_map(|record| match &record.data {
            RData::SOA(soa) => Some(lifetime(record.ttl).min(lifetime(soa.minimum))),
            _ => None,
        })
        .unwrap_or(0)
}

fn value(data: &RData) -> Option<Value> {
    match data {
        RData::A(address) => Some(Value::A(address.0)),
        RData::AAAA(address) => Some(Value::Aaaa(address.0)),
        RData::CNAME(target) => our_name(&target.0).map(Value::Cname),
        RData::PTR(target) => our_name(&target.0).map(Value::Ptr),
        RData::MX(mx) => {
            let exchange = if mx.exchange.is_root() {
                None
            } else {
                Some(our_name(&mx.exchange)?)
            };
            Some(Value::Mx {
                preference: mx.preference,
                exchange,
            })
        }
        RData::TXT(text) => {
            let octets = text.txt_data.iter().flat_map(|string| string.iter().copied());
            Some(Value::Txt(octets.map(char::from).collect()))
        }
        // Type 99 has the form of TXT.
        RData::Unknown { code, rdata } if u16::from(*code) == 99 => {
            character_strings(&rdata.anything).map(Value::Txt)
        }
        _ => None,
    }
}

/// The character-strings of a record, joined; `None` where the lengths do not fit.
fn character_strings(mut octets: &[u8]) -> Option<String> {
    let mut text = String::new();
    while let Some((length, rest)) = octets.split_first() {
        let (string, rest) = rest.split_at_checked(usize::from(*length))?;
        text.extend(string.iter().copied().map(char::from));
        octets = rest;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::rdata::TXT;

    use super::super::fake::{name, record};
    use super::*;
    use crate::record::RecordType;

    fn reply(lines: &[&str]) -> Reply {
        Reply {
            code: ResponseCode::NoError,
            authoritative: true,
            answers: lines.iter().map(|line| record(line)).collect(),
            authorities: vec![],
            additionals: vec![],
        }
    }

    fn answer(reply: &Reply, record_type: RecordType) -> Answer {
        read(reply, &Key::new(name("a.test"), record_type), Mode::Authority)
    }

    #[test]
    fn the_smallest_ttl_and_the_aliases_are_kept() {
        let reply = reply(&[
            "a.test 300 CNAME B.test",
            "b.test 60 CNAME c.test",
            "c.test 900 A 192.0.2.1",
        ]);
        assert_eq!(
            answer(&reply, RecordType::A),
            Answer::Records {
                values: Values::from([Value::A([192, 0, 2, 1].into())]),
                aliases: vec![name("b.test"), name("c.test")],
                ttl: 60
            }
        );
        let Answer::Records { values, aliases, .. } = answer(&reply, RecordType::Cname) else {
            panic!("no alias");
        };
        assert_eq!((values.len(), aliases), (1, vec![]));
    }

    #[test]
    fn loops_and_ends_outside_the_answer_are_no_data() {
        for lines in [
            &["a.test 300 CNAME a.test"][..],
            &["a.test 300 CNAME b.test", "b.test 300 CNAME a.test"],
            &[
                "a.test 300 CNAME b.test",
                "b.test 300 CNAME c.test",
                "c.test 300 CNAME b.test",
            ],
            &["a.test 300 CNAME elsewhere.test"],
            &["other.test 300 A 192.0.2.1"],
            &["a.test 300 AAAA 2001:db8::1"],
        ] {
            let answer = answer(&reply(lines), RecordType::A);
            assert_eq!(answer, Answer::NoData { negative_ttl: 0 }, "{lines:?}");
        }
    }

    #[test]
    fn the_failures_stay_apart() {
        for (code, wanted) in [
            (ResponseCode::ServFail, Failure::ServFail),
            (ResponseCode::Refused, Failure::Refused),
            (ResponseCode::NotImp, Failure::Refused),
            (ResponseCode::NotAuth, Failure::Lame),
        ] {
            let mut reply = reply(&[]);
            reply.code = code;
            reply.authoritative = false;
            assert_eq!(answer(&reply, RecordType::A), Answer::Failed(wanted));
        }
        let mut cached = reply(&["a.test 300 A 192.0.2.1"]);
        cached.authoritative = false;
        assert_eq!(answer(&cached, RecordType::A), Answer::Failed(Failure::Lame));
        let key = Key::new(name("a.test"), RecordType::A);
        assert!(matches!(
            read(&cached, &key, Mode::Resolver),
            Answer::Records { .. }
        ));
    }

    #[test]
    fn the_negative_ttl_is_the_smaller_of_the_two() {
        let mut negative = reply(&[]);
        negative.authorities = vec![record("test 120 SOA 900")];
        assert_eq!(
            answer(&negative, RecordType::A),
            Answer::NoData { negative_ttl: 120 }
        );
        negative.authorities = vec![record("test 1200 SOA 900")];
        negative.code = ResponseCode::NXDomain;
        assert_eq!(
            answer(&negative, RecordType::A),
            Answer::NxDomain { negative_ttl: 900 }
        );
    }

    #[test]
    fn texts_are_joined_and_keep_their_octets() {
        let mut reply = reply(&[]);
        let data = TXT::from_bytes(vec![b"v=spf1 ", b"caf\xc3\xa9", b"", b"\xff"]);
        let owner = wire_name(&name("a.test")).unwrap();
        reply.answers = vec![Record::from_rdata(owner, 60, RData::TXT(data))];
        assert_eq!(
            answer(&reply, RecordType::Txt).texts(),
            Ok(vec!["v=spf1 caf\u{c3}\u{a9}\u{ff}".to_owned()])
        );
    }

    #[test]
    fn a_null_mx_is_read_and_an_odd_name_left_out() {
        let values = |lines: &[&str]| answer(&reply(lines), RecordType::Mx).values();
        let null = Value::Mx {
            preference: 0,
            exchange: None,
        };
        assert_eq!(values(&["a.test 60 MX 0 ."]), Ok(Values::from([null])));
        let one = values(&["a.test 60 MX 10 *.test", "a.test 60 MX 20 m.test"]);
        assert_eq!(one.map(|v| v.len()), Ok(1));
        assert_eq!(values(&["a.test 60 MX 10 *.test"]), Err(Failure::Malformed));
    }
}
