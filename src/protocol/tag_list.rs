//! The `name=value;` lists that DKIM, DMARC and BIMI records share (RFC 6376 section 3.2).
//!
//! A text goes in; its tags in order and everything that is wrong with it come out. What a problem means is for the
//! protocol to say.

use std::fmt;

/// A list as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagList<'a> {
    /// The tags, in order; a repeated tag is kept once, as first seen.
    pub tags: Vec<Tag<'a>>,
    /// What is wrong, in order.
    pub problems: Vec<Problem>,
}

/// One tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag<'a> {
    /// Its name, as written: names are case-sensitive.
    pub name: &'a str,
    /// Its value without the blanks around it.
    pub value: &'a str,
    /// Which segment of the text it is, from 0.
    pub position: usize,
}

/// Something in a list that its grammar does not allow. Holds text from DNS, ready to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// A segment without `=`.
    NoEquals(String),
    /// Two semicolons with nothing between.
    Empty,
    /// A name that is not a letter followed by letters, digits and underscores.
    BadName(String),
    /// A name that appears twice.
    Duplicate(String),
    /// A value with octets outside printable ASCII; the tag's name.
    NotPrintable(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoEquals(segment) => write!(f, "{segment} has no \"=\""),
            Self::Empty => f.write_str("two semicolons stand with nothing between them"),
            Self::BadName(name) => write!(f, "{name} is not a tag name"),
            Self::Duplicate(name) => write!(f, "the tag {name} appears twice"),
            Self::NotPrintable(name) => {
                write!(f, "the tag {name} holds characters that are not printable ASCII")
            }
        }
    }
}

impl<'a> TagList<'a> {
    /// Reads a list. The last segment may be empty.
    pub fn read(text: &'a str) -> Self {
        let mut list = Self {
            tags: Vec::new(),
            problems: Vec::new(),
        };
        let text = text.trim_end_matches(blank);
        let text = text.strip_suffix(';').unwrap_or(text);
        for (position, segment) in text.split(';').enumerate() {
            match Tag::read(segment.trim_matches(blank), position) {
                Ok(tag) => list.add(tag),
                Err(problem) => list.problems.push(problem),
            }
        }
        list
    }

    fn add(&mut self, tag: Tag<'a>) {
        if self.value(tag.name).is_some() {
            self.problems.push(Problem::Duplicate(shown(tag.name)));
            return;
        }
        if !tag.value.chars().all(|c| blank(c) || c.is_ascii_graphic()) {
            self.problems.push(Problem::NotPrintable(shown(tag.name)));
        }
        self.tags.push(tag);
    }

    /// The value of a tag.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.tags.iter().find(|tag| tag.name == name).map(|tag| tag.value)
    }

    /// The tags whose names are none of these.
    pub fn others(&self, known: &[&str]) -> Vec<&'a str> {
        self.tags
            .iter()
            .map(|tag| tag.name)
            .filter(|name| !known.contains(name))
            .collect()
    }
}

impl<'a> Tag<'a> {
    fn read(segment: &'a str, position: usize) -> Result<Self, Problem> {
        if segment.is_empty() {
            return Err(Problem::Empty);
        }
        let Some((name, value)) = segment.split_once('=') else {
            return Err(Problem::NoEquals(shown(segment)));
        };
        let name = name.trim_end_matches(blank);
        let fine = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !fine {
            return Err(Problem::BadName(shown(name)));
        }
        Ok(Self {
            name,
            value: value.trim_matches(blank),
            position,
        })
    }
}

/// Folding white space (RFC 6376 section 2.8).
fn blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

/// A value with all white space removed.
pub fn without_blanks(value: &str) -> String {
    value.chars().filter(|c| !blank(*c)).collect()
}

/// The members of a value that is a list, such as `t=y:s` or `rua=a,b`, without the blanks around them.
pub fn members(value: &str, separator: char) -> impl Iterator<Item = &str> {
    value.split(separator).map(|member| member.trim_matches(blank))
}

/// A text from DNS as it may stand in a message: in quotes, short, printable.
pub fn shown(text: &str) -> String {
    let mut short: String = text
        .chars()
        .map(|c| if c == ' ' || c.is_ascii_graphic() { c } else { '?' })
        .take(60)
        .collect();
    if text.chars().count() > 60 {
        short.push_str("...");
    }
    format!("\"{short}\"")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<(usize, String)>, Vec<String>) {
        let list = TagList::read(text);
        let tags = list
            .tags
            .iter()
            .map(|tag| (tag.position, format!("{}={}", tag.name, tag.value)))
            .collect();
        (tags, list.problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn blanks_and_one_last_semicolon_are_free() {
        for text in ["v=X1;p=a b", " v = X1 ; p = a b ; ", "v=X1;\r\n\tp=a b;"] {
            let expected = vec![(0, "v=X1".to_owned()), (1, "p=a b".to_owned())];
            assert_eq!(read(text), (expected, Vec::new()), "{text:?}");
        }
    }

    #[test]
    fn an_empty_value_is_a_value() {
        assert_eq!(TagList::read("v=X1; p=").value("p"), Some(""));
        assert_eq!(TagList::read("v=X1; p=").value("q"), None);
    }

    #[test]
    fn every_problem_is_named_and_the_rest_is_kept() {
        for (text, problem) in [
            (
                "v=X1; mailto:a@b.example; p=a",
                "\"mailto:a@b.example\" has no \"=\"",
            ),
            ("v=X1;; p=a", "two semicolons stand with nothing between them"),
            ("v=X1; =x; p=a", "\"\" is not a tag name"),
            ("v=X1; 1p=x; p=a", "\"1p\" is not a tag name"),
            ("v=X1; p=a; p=b", "the tag \"p\" appears twice"),
        ] {
            let (tags, problems) = read(text);
            assert_eq!(problems, [problem], "{text}");
            assert_eq!(tags.last().unwrap().1, "p=a", "{text}");
        }
        let (tags, problems) = read("v=X1; p=\u{c3}\u{a9}");
        assert_eq!(
            problems,
            ["the tag \"p\" holds characters that are not printable ASCII"]
        );
        assert_eq!(tags.len(), 2);
    }

    #[test]
    fn a_shown_text_is_short_and_printable() {
        assert_eq!(shown("a\u{7}b"), "\"a?b\"");
        assert_eq!(shown(&"x".repeat(80)).len(), 65);
    }
}
