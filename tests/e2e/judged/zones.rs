//! The zones of tests/judged as data, and as zones of the world.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use super::keys::Keys;
use crate::harness::{Dig, add_zone, eventually, put_all, world};

/// All judged domains lie directly below this zone, which every judge takes for a public suffix, like `co.uk`.
pub(super) const SUFFIX: &str = "judged.example";

/// One domain with what is asked about it.
#[derive(Debug)]
pub(super) struct Domain {
    /// The file's name without its extension.
    pub(super) name: String,
    /// Whether everything about it must be in order.
    pub(super) good: bool,
    /// Its records and those below it.
    pub(super) records: Vec<Record>,
    /// The questions, with the answers that the standards give.
    pub(super) questions: Vec<(Question, String)>,
    /// What `maildomain check` must say.
    pub(super) says: Vec<Said>,
    /// Judges that take one of several records, whichever comes first: what they answer is chance.
    pub(super) by_chance: BTreeSet<String>,
}

/// What judges are asked.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    /// What SPF makes of a client.
    Spf {
        address: String,
        helo: String,
        /// Empty: a bounce.
        mail_from: String,
    },
    /// Whether what is signed with this key verifies.
    Dkim {
        selector: String,
        domain: String,
        key: String,
    },
    /// Which policy applies to an author domain.
    Dmarc { author: String },
}

/// A finding that `maildomain check` must have.
#[derive(Debug)]
pub(super) struct Said {
    pub(super) severity: String,
    pub(super) check: String,
    /// The domain that is checked.
    pub(super) domain: String,
}

/// A record: owner in full without the final dot, type, data in presentation format.
#[derive(Debug, Clone)]
pub(super) struct Record {
    owner: String,
    kind: String,
    data: String,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Spf {
                address,
                helo,
                mail_from,
            } if mail_from.is_empty() => write!(f, "spf {address} {helo} <>"),
            Self::Spf {
                address, mail_from, ..
            } => write!(f, "spf {address} {mail_from}"),
            Self::Dkim { selector, domain, .. } => write!(f, "dkim {selector}@{domain}"),
            Self::Dmarc { author } => write!(f, "dmarc {author}"),
        }
    }
}

impl Domain {
    /// Its whole name.
    pub(super) fn origin(&self) -> String {
        format!("{}.{SUFFIX}", self.name)
    }

    /// The domains to check, with the selectors that are asked about. The domain itself is always there.
    pub(super) fn checked(&self) -> BTreeMap<String, BTreeSet<&String>> {
        let mut selectors = BTreeMap::from([(self.origin(), BTreeSet::new())]);
        selectors.extend(
            self.says
                .iter()
                .map(|said| (said.domain.clone(), BTreeSet::new())),
        );
        for (question, _) in &self.questions {
            if let Question::Dkim { selector, domain, .. } = question {
                selectors.entry(domain.clone()).or_default().insert(selector);
            }
        }
        selectors
    }

    fn read(path: &Path, good: bool, keys: &Keys) -> Self {
        let name = path.file_stem().expect("a file has a name").to_string_lossy();
        let mut domain = Self {
            name: name.into_owned(),
            good,
            records: Vec::new(),
            questions: Vec::new(),
            says: Vec::new(),
            by_chance: BTreeSet::new(),
        };
        let origin = domain.origin();
        for line in lines(&text(path)) {
            if let Some(question) = line.strip_prefix("? ") {
                domain.questions.push(read_question(question));
            } else if let Some(said) = line.strip_prefix("! ") {
                domain.says.push(read_said(said, &origin));
            } else if let Some(judge) = line.strip_prefix("~ ") {
                domain.by_chance.insert(judge.to_owned());
            } else {
                domain.records.push(Record::read(line, &origin, keys));
            }
        }
        domain
    }
}

/// `SEVERITY CHECK`, and the domain where it is another one.
fn read_said(text: &str, origin: &str) -> Said {
    let mut words = text.split_whitespace().map(str::to_owned);
    let (Some(severity), Some(check)) = (words.next(), words.next()) else {
        panic!("not a finding: {text}");
    };
    let domain = words.next().unwrap_or_else(|| origin.to_owned());
    Said {
        severity,
        check,
        domain,
    }
}

fn read_question(text: &str) -> (Question, String) {
    let words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (question, answer) = match words.as_slice() {
        ["spf", address, helo, mail_from, answer] => {
            let mail_from = if *mail_from == "<>" { "" } else { mail_from };
            let question = Question::Spf {
                address: (*address).to_owned(),
                helo: (*helo).to_owned(),
                mail_from: mail_from.to_owned(),
            };
            (question, answer)
        }
        ["dkim", at, key, answer] => {
            let (selector, domain) = at.split_once('@').expect("SELECTOR@DOMAIN");
            let question = Question::Dkim {
                selector: selector.to_owned(),
                domain: domain.to_owned(),
                key: (*key).to_owned(),
            };
            (question, answer)
        }
        ["dmarc", author, answer] => {
            let author = (*author).to_owned();
            (Question::Dmarc { author }, answer)
        }
        _ => panic!("not a question: {text}"),
    };
    (question, (*answer).to_owned())
}

impl Record {
    fn read(line: &str, origin: &str, keys: &Keys) -> Self {
        let (owner, rest) = line
            .split_once(' ')
            .unwrap_or_else(|| panic!("not a record: {line}"));
        let (kind, data) = rest
            .trim_start()
            .split_once(' ')
            .unwrap_or_else(|| panic!("not a record: {line}"));
        let owner = match owner {
            "@" => origin.to_owned(),
            below => format!("{below}.{origin}"),
        };
        Self {
            owner,
            kind: kind.to_owned(),
            data: in_strings(&keys.fill(data.trim())),
        }
    }
}

/// One long string becomes several of at most 255 octets, as a server wants it. Several are left as they are.
fn in_strings(data: &str) -> String {
    let Some(text) = data.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return data.to_owned();
    };
    if text.len() <= 250 || text.contains("\" \"") && !text.contains("\\\" \\\"") {
        return data.to_owned();
    }
    // An escape must not be cut in two.
    let mut strings = vec![String::new()];
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if strings.last().is_some_and(|last| last.len() > 250) {
            strings.push(String::new());
        }
        let last = strings.last_mut().expect("there is one");
        last.push(c);
        if c == '\\' {
            last.extend(rest.next());
        }
    }
    format!("\"{}\"", strings.join("\" \""))
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The lines that say something.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with(';'))
}

/// The directory of the data.
pub(super) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judged")
}

/// Every domain of both sets, sorted by name within its set.
pub(super) fn read_all(keys: &Keys) -> Vec<Domain> {
    let set = |good: bool| {
        let directory = directory().join(if good { "good" } else { "bad" });
        let files = std::fs::read_dir(directory).expect("the directory can be read");
        let mut files: Vec<PathBuf> = files.map(|file| file.expect("a file").path()).collect();
        files.sort();
        files.into_iter().map(move |path| (path, good))
    };
    set(true)
        .chain(set(false))
        .map(|(path, good)| Domain::read(&path, good, keys))
        .collect()
}

/// The zones of those who send for others: `zone NAME`, then its records.
fn vendors(keys: &Keys) -> Vec<(String, Vec<Record>)> {
    let mut zones: Vec<(String, Vec<Record>)> = Vec::new();
    for line in lines(&text(&directory().join("vendors.txt"))) {
        if let Some(zone) = line.strip_prefix("zone ") {
            zones.push((zone.to_owned(), Vec::new()));
        } else {
            let (zone, records) = zones.last_mut().expect("`zone NAME` comes first");
            records.push(Record::read(line, zone, keys));
        }
    }
    zones
}

/// The zones in the world. Dropping it takes them away.
pub(super) struct Published {
    zones: Vec<String>,
}

impl Published {
    /// Adds the zones, fills them, and waits until both name servers have everything.
    pub(super) fn new(domains: &[Domain], keys: &Keys) -> Self {
        let mut published = Self { zones: Vec::new() };
        let judged = domains.iter().flat_map(|domain| domain.records.clone()).collect();
        let zones = vendors(keys).into_iter().chain([(SUFFIX.to_owned(), judged)]);
        let mut servers = Vec::new();
        for (zone, records) in zones {
            let [first, second] = add_zone(&zone);
            published.zones.push(zone.clone());
            fill(&zone, &records);
            servers.push((zone, first, second));
        }
        for (zone, first, second) in servers {
            eventually(
                &format!("both name servers have {zone}"),
                || [&first, &second].map(|server| Dig::ask(server, &zone, "SOA")),
                |[first, second]| !first.is_empty() && first == second,
            );
        }
        published
    }
}

impl Drop for Published {
    fn drop(&mut self) {
        for zone in self.zones.iter().rev() {
            world(&["zone", "del", zone]);
        }
    }
}

/// In several requests: an argument of a command has at most 128 KiB.
fn fill(zone: &str, records: &[Record]) {
    let mut rrsets: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for record in records {
        let rrset = rrsets.entry((&record.owner, &record.kind)).or_default();
        rrset.push(&record.data);
    }
    let rrsets: Vec<_> = rrsets.into_iter().collect();
    for some in rrsets.chunks(120) {
        let some = some
            .iter()
            .map(|((owner, kind), data)| (*owner, *kind, data.clone()));
        put_all(zone, some);
    }
}
