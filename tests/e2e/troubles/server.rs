//! BIND, Knot, NSD and PowerDNS, each as it is started by hand: one process at one address, with zones from files.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{Dig, eventually, pipe, run};

const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";

/// Which program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Software {
    Bind,
    Knot,
    Nsd,
    PowerDns,
}

pub const SOFTWARE: [Software; 4] = [Software::Bind, Software::Knot, Software::Nsd, Software::PowerDns];

/// Zones with their files.
type Zones<'a> = [(&'a str, &'a Path)];

impl Software {
    pub fn label(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Knot => "knot",
            Self::Nsd => "nsd",
            Self::PowerDns => "powerdns",
        }
    }

    /// Writes what it is told by, and gives the command that starts it.
    fn configure(self, place: &str, address: &str, zones: &Zones<'_>) -> Vec<String> {
        let list = |line: &dyn Fn(&str, &str) -> String| -> String {
            zones
                .iter()
                .map(|(name, file)| line(name, &file.display().to_string()))
                .collect()
        };
        let write = |text: String| {
            let path = format!("{place}/conf");
            std::fs::write(&path, text).expect("the configuration can be written");
            path
        };
        let command: Vec<String> = match self {
            Self::Bind => {
                let zones =
                    list(&|name, file| format!("zone {name} {{ type primary; file \"{file}\"; }};\n"));
                let conf = write(format!(
                    "options {{ directory \"{place}\"; listen-on {{ {address}; }}; listen-on-v6 {{ none; }}; pid-file none; lock-file none; \
                     session-keyfile none; recursion no; notify no; dnssec-validation no; check-integrity no; }};\ncontrols {{ }};\n{zones}"
                ));
                vec![
                    "named".into(),
                    "-g".into(),
                    "-n".into(),
                    "1".into(),
                    "-c".into(),
                    conf,
                ]
            }
            Self::Knot => {
                let zones = list(&|name, file| format!("  - domain: {name}\n    file: \"{file}\"\n"));
                let conf = write(format!(
                    "server:\n    rundir: \"{place}\"\n    listen: {address}@53\n    udp-workers: 1\n    tcp-workers: 1\n    background-workers: 1\n\
                     control:\n    listen: \"{place}/knot.sock\"\nlog:\n  - target: stderr\n    any: info\ndatabase:\n    storage: \"{place}/db\"\n\
                     template:\n  - id: default\n    zonefile-load: whole\n    zonefile-sync: -1\n    journal-content: none\nzone:\n{zones}"
                ));
                vec!["knotd".into(), "-c".into(), conf]
            }
            Self::Nsd => {
                let zones = list(&|name, file| format!("zone:\n  name: {name}\n  zonefile: \"{file}\"\n"));
                let conf = write(format!(
                    "server:\n  ip-address: {address}\n  username: \"\"\n  zonesdir: \"{place}\"\n  database: \"\"\n  pidfile: \"{place}/nsd.pid\"\n  \
                     xfrdfile: \"{place}/xfrd\"\n  zonelistfile: \"{place}/zones\"\n  xfrdir: \"{place}\"\n  server-count: 1\n\
                     remote-control:\n  control-enable: no\n{zones}"
                ));
                vec!["nsd".into(), "-d".into(), "-c".into(), conf]
            }
            Self::PowerDns => {
                power_dns(place, address, zones);
                vec!["pdns_server".into(), format!("--config-dir={place}")]
            }
        };
        command
    }
}

fn power_dns(place: &str, address: &str, zones: &Zones<'_>) {
    let config = format!(
        "launch=gsqlite3\ngsqlite3-database={place}/zones.db\ngsqlite3-dnssec=yes\ngsqlite3-pragma-synchronous=0\nlocal-address={address}\n\
         socket-dir={place}\ndaemon=no\nguardian=no\nsecurity-poll-suffix=\n"
    );
    std::fs::write(format!("{place}/pdns.conf"), config).expect("the configuration can be written");
    let schema = std::fs::read(SCHEMA).expect("pdns-backend-sqlite3 is installed");
    let made = pipe("sqlite3", &[&format!("{place}/zones.db")], &schema);
    assert!(made.status.success(), "{made:?}");
    for (name, file) in zones {
        pdnsutil(place, &["load-zone", name, &file.display().to_string()]);
        // It puts names in order, for its denials, only in zones that it believes to sign itself.
        pdnsutil(place, &["add-zone-key", name, "ksk", "active", "ecdsa256"]);
        pdnsutil(place, &["rectify-zone", name]);
        pdnsutil(place, &["set-presigned", name]);
    }
    let forgotten = pipe(
        "sqlite3",
        &[&format!("{place}/zones.db")],
        b"DELETE FROM cryptokeys;",
    );
    assert!(forgotten.status.success(), "{forgotten:?}");
}

fn pdnsutil(place: &str, arguments: &[&str]) {
    let directory = format!("--config-dir={place}");
    run("pdnsutil", &[&[directory.as_str()], arguments].concat());
}

/// A server that can be started.
pub struct Prepared {
    software: Software,
    address: String,
    place: String,
    command: Vec<String>,
    zones: Vec<String>,
}

impl Prepared {
    /// With these zones, in a directory of its own.
    pub fn new(software: Software, directory: &Path, address: &str, zones: &Zones<'_>) -> Self {
        let place = directory.join(format!("{}-{address}", software.label()));
        std::fs::create_dir_all(&place).expect("a temporary directory can be made");
        let place = place.display().to_string();
        Self {
            command: software.configure(&place, address, zones),
            zones: zones.iter().map(|(name, _)| (*name).to_owned()).collect(),
            software,
            address: address.to_owned(),
            place,
        }
    }

    /// Starts it. The kernel ends it with the thread that calls this.
    pub fn start(&self) -> Server {
        // BIND listens at addresses that an interface has, and at no other.
        run(
            "ip",
            &["address", "replace", &format!("{}/32", self.address), "dev", "lo"],
        );
        let log = File::create(self.log()).expect("a log can be made");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(&self.command)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log has two ends"))
            .stderr(log)
            .spawn()
            .expect("setpriv can be started");
        Server { child }
    }

    /// Waits until it has all zones.
    pub fn wait(&self) {
        for zone in &self.zones {
            eventually(
                &format!("{:?} has {zone} (its log is {})", self.software, self.log()),
                || Dig::ask(&self.address, zone, "SOA"),
                |lines| lines.iter().any(|line| line.contains("hostmaster")),
            );
        }
    }

    fn log(&self) -> String {
        format!("{}/log", self.place)
    }
}

/// A running server. It ends when this is dropped, and with the test.
pub struct Server {
    child: Child,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
