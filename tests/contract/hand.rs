//! Somebody else: writes to the same server, and sees what it answers, by other means than the publisher under test.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::Arc;

use maildomain::name::Name;
use maildomain::publish::memory::Memory;
use maildomain::record::{Key, RecordType, Value};

use crate::process::run;

/// An RRset as the outside sees it: its TTL, and each record's data in presentation format.
pub type Seen = (u32, BTreeSet<String>);

/// A record as the outside sees it: owner without the dot at its end, type, data in presentation format.
pub type Record = (String, String, String);

/// What a server keeps in a zone by itself.
const KEPT: [&str; 8] = [
    "SOA",
    "DNSKEY",
    "RRSIG",
    "NSEC",
    "NSEC3",
    "NSEC3PARAM",
    "CDS",
    "CDNSKEY",
];

/// A foreign writer and a witness.
pub trait Hand: Debug + Sync {
    /// Carries out lines of `nsupdate`, `add OWNER TTL TYPE DATA` and `delete OWNER TYPE [DATA]`, in one transaction.
    fn write(&self, zone: &str, lines: &[String]);

    /// What stands there; `None`: nothing.
    fn see(&self, owner: &str, record_type: &str) -> Option<Seen>;

    /// Everything that stands in a zone, as owner, type and data, without what the server itself keeps there.
    fn zone(&self, zone: &str) -> BTreeSet<Record>;

    /// Adds one record.
    fn add(&self, zone: &str, owner: &str, ttl: u32, record_type: &str, data: &str) {
        self.write(zone, &[format!("add {owner}. {ttl} {record_type} {data}")]);
    }

    /// Deletes one record.
    fn delete(&self, zone: &str, owner: &str, record_type: &str, data: &str) {
        self.write(zone, &[format!("delete {owner}. {record_type} {data}")]);
    }

    /// The data alone.
    fn data(&self, owner: &str, record_type: &str) -> BTreeSet<String> {
        self.see(owner, record_type)
            .map(|seen| seen.1)
            .unwrap_or_default()
    }
}

/// BIND's tools: `nsupdate` with a key of its own, and `dig`.
#[derive(Debug)]
pub struct Tools {
    pub port: u16,
    /// `algorithm:name:secret`.
    pub key: String,
}

const PACKAGE: &str = "bind9-dnsutils";

impl Hand for Tools {
    fn write(&self, zone: &str, lines: &[String]) {
        let mut script = format!("server 127.0.0.1 {}\nzone {zone}.\n", self.port);
        for line in lines {
            script.push_str(&format!("update {line}\n"));
        }
        script.push_str("send\n");
        run(PACKAGE, &["nsupdate", "-v", "-y", &self.key], &script);
    }

    fn see(&self, owner: &str, record_type: &str) -> Option<Seen> {
        let port = self.port.to_string();
        let said = run(
            PACKAGE,
            &[
                "dig",
                "@127.0.0.1",
                "-p",
                &port,
                "+tcp",
                "+norecurse",
                "+noall",
                "+answer",
                "-q",
                owner,
                "-t",
                record_type,
            ],
            "",
        );
        let mut seen: Option<Seen> = None;
        for (name, ttl, kind, data) in lines(&said) {
            if kind == record_type && name.eq_ignore_ascii_case(owner) {
                let seen = seen.get_or_insert_with(|| (ttl, BTreeSet::new()));
                seen.1.insert(data);
            }
        }
        seen
    }

    fn zone(&self, zone: &str) -> BTreeSet<Record> {
        let port = self.port.to_string();
        let command = [
            "dig",
            "@127.0.0.1",
            "-p",
            &port,
            "+noall",
            "+answer",
            "+onesoa",
            "axfr",
            zone,
        ];
        let said = run(PACKAGE, &command, "");
        let all = lines(&said);
        assert!(
            all.iter().any(|line| line.2 == "SOA"),
            "no zone transfer:\n{said}"
        );
        all.into_iter()
            .filter(|(_, _, kind, _)| !KEPT.contains(&kind.as_str()))
            .map(|(name, _, kind, data)| (name, kind, data))
            .collect()
    }
}

/// The records of what `dig` said: owner without the dot at its end, TTL, type, data.
fn lines(said: &str) -> Vec<(String, u32, String, String)> {
    let records = said
        .lines()
        .filter(|line| !line.starts_with(';') && !line.is_empty());
    let fields = records.map(|line| {
        let mut rest = line;
        let fields: Vec<&str> = std::iter::from_fn(|| {
            let (field, tail) = rest.split_once([' ', '\t'])?;
            rest = tail.trim_start();
            Some(field)
        })
        .take(4)
        .collect();
        let [name, ttl, "IN", kind] = fields.as_slice() else {
            panic!("dig said {line:?}");
        };
        let name = name.strip_suffix('.').unwrap_or(name);
        (
            name.to_owned(),
            ttl.parse().unwrap(),
            (*kind).to_owned(),
            rest.to_owned(),
        )
    });
    fields.collect()
}

/// Direct access to the service in memory.
#[derive(Debug)]
pub struct Direct(pub Arc<Memory>);

impl Hand for Direct {
    fn write(&self, _zone: &str, lines: &[String]) {
        for line in lines {
            let fields: Vec<&str> = line.splitn(5, ' ').collect();
            let (owner, record_type, ttl, data, add) = match fields.as_slice() {
                ["add", owner, ttl, record_type, data] => {
                    (owner, record_type, ttl.parse().unwrap(), Some(*data), true)
                }
                ["delete", owner, record_type, data @ ..] => {
                    let data = line.find(record_type).filter(|_| !data.is_empty());
                    let data = data.map(|at| line[at + record_type.len()..].trim());
                    (owner, record_type, 0, data, false)
                }
                _ => panic!("{line:?}"),
            };
            let record_type = RecordType::parse(record_type).unwrap();
            let key = Key::new(Name::parse(owner).unwrap(), record_type);
            let before = self.0.get(&key).unwrap_or_default();
            let mut values: BTreeSet<Value> = before.records.into_values().flatten().collect();
            let value = data.map(|data| Value::parse(record_type, data).unwrap());
            match value {
                Some(value) if add => drop(values.insert(value)),
                Some(value) => drop(values.remove(&value)),
                None => values.clear(),
            }
            self.0.put(key, if add { ttl } else { before.ttl }, values);
        }
    }

    fn zone(&self, _zone: &str) -> BTreeSet<Record> {
        panic!("nobody asks a service in memory for a zone transfer");
    }

    fn see(&self, owner: &str, record_type: &str) -> Option<Seen> {
        let key = Key::new(Name::parse(owner).unwrap(), RecordType::parse(record_type)?);
        let rrset = self.0.get(&key)?;
        Some((rrset.ttl, rrset.records.into_keys().collect()))
    }
}
