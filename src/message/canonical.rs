//! Canonical forms of headers and bodies (RFC 6376 section 3.4).

/// How much may change on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing.
    Simple,
    /// Blanks and the case of names.
    Relaxed,
}

impl Form {
    /// A word of `c=`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "simple" => Some(Self::Simple),
            "relaxed" => Some(Self::Relaxed),
            _ => None,
        }
    }
}

/// A header field without the end of its last line.
pub(super) fn field(form: Form, raw: &[u8]) -> Vec<u8> {
    if form == Form::Simple {
        return raw.to_vec();
    }
    let colon = raw.iter().position(|octet| *octet == b':').unwrap_or(raw.len());
    let (name, value) = raw.split_at(colon);
    let mut text = name.trim_ascii_end().to_ascii_lowercase();
    text.push(b':');
    let value = value.get(1..).unwrap_or_default();
    let unfolded: Vec<u8> = value
        .iter()
        .copied()
        .filter(|octet| !b"\r\n".contains(octet))
        .collect();
    text.extend_from_slice(single_blanks(&unfolded).trim_ascii());
    text
}

/// A body with CRLF at the ends of its lines.
pub(super) fn body(form: Form, octets: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(octets.len() + 2);
    if form == Form::Simple {
        text.extend_from_slice(octets);
    } else {
        let mut rest = octets;
        while !rest.is_empty() {
            let (line, after) = super::split_line(rest);
            text.extend_from_slice(single_blanks(line).trim_ascii_end());
            if after.is_empty() && !rest.ends_with(b"\r\n") {
                break;
            }
            text.extend_from_slice(b"\r\n");
            rest = after;
        }
    }
    while text.ends_with(b"\r\n\r\n") {
        text.truncate(text.len() - 2);
    }
    if text == b"\r\n" && form == Form::Relaxed {
        text.clear();
    }
    let ends = text.ends_with(b"\r\n");
    if !ends && (form == Form::Simple || !text.is_empty()) {
        text.extend_from_slice(b"\r\n");
    }
    text
}

/// Every run of blanks and tabs as one blank.
fn single_blanks(line: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(line.len());
    for &octet in line {
        let blank = b" \t".contains(&octet);
        if !blank {
            text.push(octet);
        } else if text.last() != Some(&b' ') {
            text.push(b' ');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6376 section 3.4.5.
    #[test]
    fn the_examples_of_the_rfc() {
        let (a, b) = (b"A: X", b"B : Y\t\r\n\tZ  ");
        assert_eq!(field(Form::Relaxed, a), b"a:X");
        assert_eq!(field(Form::Relaxed, b), b"b:Y Z");
        assert_eq!(field(Form::Simple, b), b);
        let octets = b" C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(body(Form::Relaxed, octets), b" C\r\nD E\r\n");
        assert_eq!(body(Form::Simple, octets), b" C \r\nD \t E\r\n");
    }

    #[test]
    fn empty_bodies_differ() {
        assert_eq!(body(Form::Simple, b""), b"\r\n");
        assert_eq!(body(Form::Relaxed, b""), b"");
        assert_eq!(body(Form::Simple, b"\r\n\r\n"), b"\r\n");
        assert_eq!(body(Form::Relaxed, b"\r\n\r\n"), b"");
        assert_eq!(body(Form::Relaxed, b"x"), b"x\r\n");
    }
}
