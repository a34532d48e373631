//! A received message: who sent it from where, and whether its signatures hold (RFC 5322, RFC 6376). Pure.

mod canonical;
mod judge;
mod origin;
mod signature;

use std::fmt;

pub use judge::{Account, CHECKS, Declared, judge};
pub use origin::{Envelope, From};
pub use signature::Signature;

/// More than the longest header that servers take.
const MAX_HEADERS: usize = 1_000;

/// Signatures that are looked at: each costs as much as the message is long (RFC 6376 section 6.1 lets verifiers choose).
const MAX_SIGNATURES: usize = 10;

/// A message, taken apart.
#[derive(Debug, Clone)]
pub struct Message {
    /// Header fields in their order, each whole: name, colon, folded value, without the end of its line.
    fields: Vec<Field>,
    /// The body, with CRLF at the ends of lines.
    body: Vec<u8>,
    /// Read once: each costs a hash of the body.
    signatures: Vec<Signature>,
}

/// A header field.
#[derive(Debug, Clone)]
struct Field {
    name: String,
    raw: Vec<u8>,
}

/// Why a text is no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoMessage {
    /// No header field is there.
    NoHeader,
    /// So many that no server would have taken it.
    TooManyFields,
}

impl fmt::Display for NoMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoHeader => {
                "holds no header fields; save the message whole, as its source (\"show original\", .eml)"
            }
            Self::TooManyFields => "has more than 1000 header fields",
        })
    }
}

impl std::error::Error for NoMessage {}

impl Message {
    /// Takes a message apart. Files that lost the CR of their line ends are read as if they had it.
    pub fn read(octets: &[u8]) -> Result<Self, NoMessage> {
        let octets = with_crlf(octets);
        let mut fields: Vec<Field> = Vec::new();
        let mut rest = octets.as_slice();
        let body = loop {
            let (line, after) = split_line(rest);
            if line.is_empty() {
                break after;
            }
            let continues = line.first().is_some_and(|octet| b" \t".contains(octet));
            match (continues, fields.last_mut(), name_of(line)) {
                (true, Some(field), _) => {
                    field.raw.extend_from_slice(b"\r\n");
                    field.raw.extend_from_slice(line);
                }
                (false, _, Some(name)) => fields.push(Field {
                    name,
                    raw: line.to_vec(),
                }),
                // The `From ` line of mbox files, and whatever else is no field: it was not there on the way.
                (true, None, _) | (false, _, None) => {}
            }
            if fields.len() > MAX_HEADERS {
                return Err(NoMessage::TooManyFields);
            }
            rest = after;
        };
        if fields.is_empty() {
            return Err(NoMessage::NoHeader);
        }
        let mut message = Self {
            fields,
            body: body.to_vec(),
            signatures: Vec::new(),
        };
        message.signatures = message.read_signatures();
        Ok(message)
    }

    /// The unfolded values of the fields of this name, in their order.
    fn values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = String> + 'a {
        let fields = self.fields.iter().filter(move |field| field.name == name);
        fields.map(|field| {
            let value = field.raw.get(field.name.len()..).unwrap_or_default();
            let text = String::from_utf8_lossy(value);
            let text = text.trim_start().trim_start_matches(':');
            text.replace("\r\n", "").trim().to_owned()
        })
    }

    /// Its first signatures, in their order.
    pub fn signatures(&self) -> &[Signature] {
        &self.signatures
    }

    fn read_signatures(&self) -> Vec<Signature> {
        let fields = self.fields.iter().filter(|field| field.name == "dkim-signature");
        let fields = fields.take(MAX_SIGNATURES);
        fields.map(|field| Signature::read(self, field)).collect()
    }
}

fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(octets.len());
    for &octet in octets {
        if octet == b'\n' && text.last() != Some(&b'\r') {
            text.push(b'\r');
        }
        text.push(octet);
    }
    text
}

/// A line without its end, and what comes after.
fn split_line(octets: &[u8]) -> (&[u8], &[u8]) {
    let end = octets.windows(2).position(|pair| pair == b"\r\n");
    match end {
        Some(end) => (
            octets.get(..end).unwrap_or_default(),
            octets.get(end + 2..).unwrap_or_default(),
        ),
        None => (octets, &[]),
    }
}

/// The name of a field, in lower case (RFC 5322 section 3.6.8: printable ASCII but the colon).
fn name_of(line: &[u8]) -> Option<String> {
    let end = line.iter().position(|octet| *octet == b':')?;
    let name = line.get(..end)?.trim_ascii_end();
    let is_name = !name.is_empty() && name.iter().all(u8::is_ascii_graphic);
    is_name.then(|| String::from_utf8_lossy(name).to_ascii_lowercase())
}

#[cfg(test)]
mod tests;
