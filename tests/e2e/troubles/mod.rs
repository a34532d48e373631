//! Real name servers with real troubles: what `maildomain check` says of a domain whose zone BIND, Knot, NSD or PowerDNS serves, and
//! with whose signatures, delegation, servers or lines something is wrong. The servers are asked through a delegation from a
//! signed zone above, and the resolver validates. What is said is committed (tests/data/troubles.txt); `UPDATE_EXPECT=1` writes
//! it anew, to be read before it is kept.

mod front;
mod server;
mod unbound;
mod zone;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use front::Front;
use serde_json::Value as Json;
use server::{Prepared, SOFTWARE, Server, Software};
use unbound::Unbound;
use zone::{TROUBLES, Trouble, Zone};

use crate::harness::{Dig, add_zone, eventually, put_all, run, var};

const PARENT: &str = "troubles.example";
/// Checks under way at the same time.
const ASKING: usize = 8;

/// The addresses of one program's servers and of the lines before them. They are of the range that is local in the world, beyond
/// those of its zones.
struct Addresses([String; 8]);

impl Addresses {
    fn of(software: usize) -> Self {
        Self(std::array::from_fn(|n| {
            format!("198.19.255.{}", 100 + 20 * software + n)
        }))
    }

    fn pair(&self, first: usize) -> [String; 2] {
        [self.0[first].clone(), self.0[first + 1].clone()]
    }

    /// Where the two name servers of such a zone are.
    fn servers(&self, trouble: Trouble) -> [String; 2] {
        match trouble {
            Trouble::Slow => self.pair(2),
            Trouble::TruncatedWithoutTcp => self.pair(4),
            Trouble::Silent => [self.0[0].clone(), self.0[6].clone()],
            Trouble::AllSilent => self.pair(6),
            Trouble::Right
            | Trouble::Unsigned
            | Trouble::Expired
            | Trouble::Bogus
            | Trouble::LeftDs
            | Trouble::Lame
            | Trouble::AllLame
            | Trouble::Inconsistent
            | Trouble::Truncated => self.pair(0),
        }
    }

    fn lines(&self) -> Vec<Front> {
        let late = |line: usize, time| Front::start(&self.0[line], &self.0[line % 2], time);
        let second = Some(Duration::from_secs(1));
        let at_once = Some(Duration::ZERO);
        [
            (2, second),
            (3, second),
            (4, at_once),
            (5, at_once),
            (6, None),
            (7, None),
        ]
        .map(|(line, time)| late(line, time))
        .into()
    }
}

/// One program with all its zones.
struct House {
    software: Software,
    zones: Vec<(Zone, [String; 2])>,
    servers: [Prepared; 2],
    _lines: Vec<Front>,
}

fn house(directory: &Path, number: usize, software: Software, key: &str) -> House {
    let addresses = Addresses::of(number);
    let make = |trouble: &Trouble| {
        let servers = addresses.servers(*trouble);
        let name = format!("{}-{}.{PARENT}", trouble.label(), software.label());
        (zone::make(directory, &name, *trouble, &servers, key), servers)
    };
    let zones: Vec<(Zone, [String; 2])> = TROUBLES.iter().map(make).collect();
    let prepare = |which: usize| {
        let served: Vec<(&str, &Path)> = zones
            .iter()
            .filter_map(|(zone, _)| Some((zone.name.as_str(), zone.files[which].as_deref()?)))
            .collect();
        Prepared::new(software, directory, &addresses.0[which], &served)
    };
    House {
        software,
        servers: [prepare(0), prepare(1)],
        _lines: addresses.lines(),
        zones,
    }
}

fn houses(directory: &Path) -> Vec<House> {
    let key = public_key();
    std::thread::scope(|scope| {
        let prepare = |(number, software)| {
            let key = &key;
            scope.spawn(move || house(directory, number, software, key))
        };
        let prepared: Vec<_> = SOFTWARE.into_iter().enumerate().map(prepare).collect();
        let houses = prepared.into_iter();
        houses
            .map(|thread| thread.join().expect("it is prepared"))
            .collect()
    })
}

/// The zone above delegates all of them, and its secondary knows.
fn delegate(houses: &[House]) {
    let above = add_zone(PARENT);
    let zones = || houses.iter().flat_map(|house| &house.zones);
    // The organization of all of them, for old receivers and new ones.
    let policy = format!("\"v=DMARC1; p=none; rua=mailto:report@{PARENT}\"");
    let mut rrsets: Vec<(String, &str, Vec<String>)> =
        vec![(format!("_dmarc.{PARENT}"), "TXT", vec![policy])];
    for (zone, [one, two]) in zones() {
        let (ns1, ns2) = (format!("ns1.{}", zone.name), format!("ns2.{}", zone.name));
        rrsets.push((ns1.clone(), "A", vec![one.clone()]));
        rrsets.push((ns2.clone(), "A", vec![two.clone()]));
        rrsets.push((
            zone.name.clone(),
            "NS",
            vec![format!("{ns1}."), format!("{ns2}.")],
        ));
        rrsets.extend(
            zone.ds
                .iter()
                .map(|ds| (zone.name.clone(), "DS", vec![ds.clone()])),
        );
    }
    let borrowed = rrsets
        .iter()
        .map(|(name, kind, values)| (name.as_str(), *kind, values.iter().map(String::as_str).collect()));
    put_all(PARENT, borrowed);
    for (zone, _) in zones().filter(|(zone, _)| zone.ds.is_some()) {
        for server in &above {
            eventually(
                &format!("{server} delegates {}", zone.name),
                || Dig::ask(server, &zone.name, "DS"),
                |lines| lines.len() == 1,
            );
        }
    }
}

/// What was said of one zone: the verdict, then a line for each thing that is wrong.
fn check(zone: &Zone, servers: &[String; 2], config: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_maildomain"))
        .args(["check", "--output", "json", "-f"])
        .arg(&zone.declaration)
        .arg("--config")
        .arg(config)
        .stdin(Stdio::null())
        .output()
        .expect("maildomain can be started");
    let judged: Json = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{}: {error}: {}",
            zone.name,
            String::from_utf8_lossy(&output.stderr)
        )
    });
    let mut said = format!(
        "{} (exit code {})",
        text(&judged[0]["verdict"]),
        output.status.code().unwrap_or(-1)
    );
    for block in list(&judged[0]["protocols"]) {
        for not in list(&block["notAsDeclared"]) {
            said += &format!(
                "\n    {} {}: {}",
                text(&not["name"]),
                text(&not["type"]),
                text(&not["seen"])
            );
        }
        for finding in list(&block["findings"]) {
            let [severity, id, name, message] =
                ["severity", "id", "name", "message"].map(|key| text(&finding[key]));
            if severity != "Info" {
                said += &format!("\n    {severity} {id} {name}: {message}");
            }
        }
    }
    // An answer is as long as the zone's name makes it.
    let said = match said.split_once(" make an answer of ") {
        Some((head, tail)) => {
            let tail = tail.trim_start_matches(|c: char| c.is_ascii_digit());
            format!("{head} make an answer of SOME{tail}")
        }
        None => said,
    };
    said.replace(&zone.name, "ZONE")
        .replace(&servers[0], "FIRST")
        .replace(&servers[1], "SECOND")
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What must hold whatever the table says.
fn assert_honest(trouble: Trouble, who: &str, said: &str) {
    let verdict = said.split_whitespace().next().unwrap_or_default();
    let context = format!("{} at {who}: {said}", trouble.label());
    if trouble != Trouble::Inconsistent {
        assert!(
            !said.contains("has no such record"),
            "nothing is absent: {context}"
        );
    }
    match trouble {
        Trouble::Right | Trouble::Unsigned | Trouble::Slow => {
            assert_eq!(verdict, "pass", "{context}");
        }
        Trouble::Truncated => {
            assert!(
                verdict == "warn" && said.contains("dns-response-size"),
                "{context}"
            );
        }
        Trouble::Expired | Trouble::Bogus | Trouble::LeftDs => {
            assert!(
                verdict == "fail" && said.contains("dns-dnssec-chain ZONE"),
                "{context}"
            );
        }
        Trouble::Lame | Trouble::Silent => {
            assert!(
                verdict == "warn" && said.contains("ns2.ZONE (SECOND)"),
                "{context}"
            );
        }
        Trouble::Inconsistent => {
            assert!(
                verdict == "fail" && said.contains("ns2.ZONE (SECOND)"),
                "{context}"
            );
        }
        Trouble::TruncatedWithoutTcp | Trouble::AllLame | Trouble::AllSilent => {
            assert!(
                verdict == "unknown" && said.contains("ns1.ZONE (FIRST)"),
                "{context}"
            );
        }
    }
    if trouble == Trouble::TruncatedWithoutTcp {
        assert!(said.contains("does not answer over TCP"), "{context}");
    }
}

fn public_key() -> String {
    let private = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/rsa.pem");
    let pem = run("openssl", &["pkey", "-in", private, "-pubout"]);
    pem.lines().filter(|line| !line.starts_with('-')).collect()
}

/// Looks until something comes of it, as the operator does: a resolver that has to wait for slow servers knows more each time.
fn looked_at(trouble: Trouble, zone: &Zone, servers: &[String; 2], config: &Path) -> String {
    let looks = if trouble == Trouble::Slow { 5 } else { 1 };
    let mut said = String::new();
    for _ in 0..looks {
        said = check(zone, servers, config);
        assert!(
            trouble != Trouble::Slow || !said.contains("Fail"),
            "nobody knows yet: {said}"
        );
        if said.starts_with("pass") {
            break;
        }
    }
    said
}

/// All checks, some at a time, by trouble and program.
fn checked(houses: &[House], config: &Path) -> BTreeMap<(usize, usize), String> {
    let asked: Vec<(usize, usize)> = (0..TROUBLES.len())
        .flat_map(|trouble| (0..houses.len()).map(move |house| (trouble, house)))
        .collect();
    let (next, said) = (Mutex::new(asked.into_iter()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..ASKING {
            scope.spawn(|| {
                while let Some((trouble, house)) = { next.lock().expect("nobody panics here").next() } {
                    let (zone, servers) = &houses[house].zones[trouble];
                    let one = looked_at(TROUBLES[trouble], zone, servers, config);
                    said.lock()
                        .expect("nobody panics here")
                        .insert((trouble, house), one);
                }
            });
        }
    });
    said.into_inner().expect("nobody panicked")
}

#[test]
fn each_trouble_of_each_name_server_is_named() {
    let directory = std::env::temp_dir().join(format!("maildomain-e2e-{}-troubles", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
    let houses = houses(&directory);
    let prepared = || houses.iter().flat_map(|house| &house.servers);
    let _servers: Vec<Server> = prepared().map(Prepared::start).collect();
    prepared().for_each(Prepared::wait);
    delegate(&houses);
    let unbound = Unbound::start(&directory);
    let config = directory.join("config.yaml");
    let dns = format!(
        "dns: {{rootHints: [{}], resolvers: [{}], privateZones: [example]}}\n",
        var("ROOT_HINTS"),
        unbound.address
    );
    std::fs::write(&config, dns).expect("the configuration can be written");

    let said = checked(&houses, &config);
    let mut table = String::new();
    for (number, trouble) in TROUBLES.into_iter().enumerate() {
        table += &format!("== {}\n", trouble.label());
        let mut by_words: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (place, house) in houses.iter().enumerate() {
            let words = said[&(number, place)].as_str();
            by_words.entry(words).or_default().push(house.software.label());
        }
        for (words, programs) in by_words {
            table += &format!("{}: {words}\n", programs.join(" "));
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/troubles.txt");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(&path, &table).expect("the table can be written");
    }
    for ((trouble, place), said) in &said {
        assert_honest(TROUBLES[*trouble], houses[*place].software.label(), said);
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(table, expected, "UPDATE_EXPECT=1 writes {} anew", path.display());
    drop(houses);
    let _ = std::fs::remove_dir_all(&directory);
}
