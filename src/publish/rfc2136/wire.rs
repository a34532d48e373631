//! Records between the wire and the text that a [`crate::publish::LiveRrset`] holds. Pure, and without loss: what was
//! read is written back, or named in a prerequisite, octet for octet. So texts keep the split of a TXT record and the
//! case of a name, which [`Value`] forgets.

use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, PTR, TXT};
use hickory_proto::rr::{self, RData};

use crate::lookup::wire::wire_type;
use crate::record::{self, RecordType};

/// A type of the wire as ours, if it is one.
pub(super) fn our_type(record_type: rr::RecordType) -> Option<RecordType> {
    RecordType::ALL
        .into_iter()
        .find(|known| wire_type(*known) == record_type)
}

/// The text of a record's data: presentation format (RFC 1035 section 5.1), with every octet of a name that is no
/// letter, digit, hyphen or underscore as `\DDD`. `None` for the types that are not ours.
pub(super) fn text(data: &RData) -> Option<String> {
    Some(match data {
        RData::A(A(address)) => address.to_string(),
        RData::AAAA(AAAA(address)) => address.to_string(),
        RData::CNAME(CNAME(target)) | RData::PTR(PTR(target)) => name_text(target),
        RData::MX(mx) => format!("{} {}", mx.preference, name_text(&mx.exchange)),
        RData::TXT(data) => {
            let strings = data.txt_data.iter().map(|string| {
                let text: String = string.iter().copied().map(char::from).collect();
                record::quoted(&text)
            });
            strings.collect::<Vec<_>>().join(" ")
        }
        _ => return None,
    })
}

/// The data that [`text`] describes. `None` when it is not of that form.
pub(super) fn data(record_type: RecordType, text: &str) -> Option<RData> {
    Some(match record_type {
        RecordType::A => RData::A(A(text.parse().ok()?)),
        RecordType::Aaaa => RData::AAAA(AAAA(text.parse().ok()?)),
        RecordType::Cname => RData::CNAME(CNAME(name_data(text)?)),
        RecordType::Ptr => RData::PTR(PTR(name_data(text)?)),
        RecordType::Mx => {
            let (preference, exchange) = text.split_once(' ')?;
            RData::MX(MX::new(preference.parse().ok()?, name_data(exchange)?))
        }
        RecordType::Txt => {
            let strings = strings(text)?;
            RData::TXT(TXT::from_bytes(strings.iter().map(Vec::as_slice).collect()))
        }
        RecordType::Spf => return None,
    })
}

fn name_text(name: &rr::Name) -> String {
    let mut text = String::new();
    for label in name {
        for &octet in label {
            if octet.is_ascii_alphanumeric() || octet == b'-' || octet == b'_' {
                text.push(char::from(octet));
            } else {
                text.push_str(&format!("\\{octet:03}"));
            }
        }
        text.push('.');
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

fn name_data(text: &str) -> Option<rr::Name> {
    let labels = text.strip_suffix('.')?;
    if labels.is_empty() {
        return Some(rr::Name::root());
    }
    let labels: Option<Vec<Vec<u8>>> = labels.split('.').map(unescaped).collect();
    rr::Name::from_labels(labels?.iter().map(Vec::as_slice)).ok()
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut octets = Vec::new();
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        octets.push(if byte == b'\\' { escape(&mut bytes)? } else { byte });
    }
    Some(octets)
}

/// What stands behind a backslash: three digits, or one character.
fn escape(bytes: &mut impl Iterator<Item = u8>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, bytes.next()?, bytes.next()?];
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// The character-strings of a TXT record, each in quotes.
fn strings(text: &str) -> Option<Vec<Vec<u8>>> {
    let mut strings = Vec::new();
    let mut open: Option<Vec<u8>> = None;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match (open.as_mut(), byte) {
            (None, b'"') => open = Some(Vec::new()),
            (None, b' ') => {}
            (None, _) => return None,
            (Some(_), b'"') => strings.extend(open.take()),
            (Some(string), b'\\') => string.push(escape(&mut bytes)?),
            (Some(string), other) => string.push(other),
        }
    }
    let whole = open.is_none() && !strings.is_empty() && strings.iter().all(|s| s.len() <= 255);
    whole.then_some(strings)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::Value;

    #[test]
    fn texts_become_the_data_they_came_from() {
        let long = format!("\"{}\" \"{}\" \"\"", "k".repeat(255), "k".repeat(7));
        for (record_type, shown, known) in [
            (RecordType::A, "192.0.2.1", true),
            (RecordType::Aaaa, "2001:db8::4", true),
            (RecordType::Aaaa, "::ffff:192.0.2.1", true),
            (RecordType::Cname, "a.example.com.", true),
            (RecordType::Cname, "Mail.Example.COM.", true),
            (RecordType::Cname, "\\042.example.com.", false),
            (RecordType::Ptr, "a\\032b\\046c.example.com.", false),
            (RecordType::Ptr, ".", false),
            (RecordType::Mx, "0 .", true),
            (RecordType::Mx, "10 mail.example.com.", true),
            (RecordType::Txt, "\"v=spf1 -all\"", true),
            (RecordType::Txt, "\"a\" \"b\"", true),
            (RecordType::Txt, "\"\"", true),
            (RecordType::Txt, "\"\\\"q\\\" \\\\ caf\\195\\169 \\000;\"", true),
            (RecordType::Txt, &long, true),
        ] {
            let data = data(record_type, shown).unwrap();
            assert_eq!(text(&data).as_deref(), Some(shown));
            assert_eq!(Value::parse(record_type, shown).is_some(), known, "{shown}");
        }
    }

    #[test]
    fn what_we_write_is_read_back_as_the_same_text() {
        let key = "k".repeat(600);
        for (record_type, shown) in [
            (RecordType::Aaaa, "2001:DB8::0:4".to_owned()),
            (RecordType::Mx, "10 Mail.example.com".to_owned()),
            (RecordType::Txt, record::quoted(&key)),
        ] {
            let ours = Value::parse(record_type, &shown).unwrap().to_string();
            assert_eq!(text(&data(record_type, &ours).unwrap()), Some(ours));
        }
    }

    #[test]
    fn other_texts_are_none() {
        let too_long = format!("\"{}\"", "k".repeat(256));
        for (record_type, text) in [
            (RecordType::A, "192.0.2"),
            (RecordType::Cname, "relative"),
            (RecordType::Mx, "mail.example.com."),
            (RecordType::Txt, "bare"),
            (RecordType::Txt, "\"open"),
            (RecordType::Txt, ""),
            (RecordType::Txt, &too_long),
        ] {
            assert_eq!(data(record_type, text), None, "{text}");
        }
    }

    #[test]
    fn types_are_found_again() {
        for known in RecordType::ALL {
            assert_eq!(our_type(wire_type(known)), Some(known));
        }
        assert_eq!(our_type(rr::RecordType::SRV), None);
    }
}
