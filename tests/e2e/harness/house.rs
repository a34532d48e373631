//! A second home for a zone: a PowerDNS of its own, with an address and an API of its own, whose zone nobody is delegated to yet.

use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};

use super::dns::{Dig, Records};
use super::{eventually, pipe, run, var, world};

const SCHEMA: &str = "/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql";
/// Of the documentation network 198.51.100.0/24, which leads nowhere in the world until somebody gives an address life.
static NEXT: AtomicU8 = AtomicU8::new(201);

/// The server; it ends when this is dropped.
pub struct House {
    zone: String,
    address: String,
    directory: std::path::PathBuf,
    server: Child,
}

impl House {
    /// Starts one with this zone, empty but for SOA and NS.
    #[track_caller]
    pub fn start(zone: &str) -> Self {
        let address = format!("198.51.100.{}", NEXT.fetch_add(1, Ordering::Relaxed));
        run("ip", &["address", "add", &format!("{address}/32"), "dev", "lo"]);
        let directory =
            std::env::temp_dir().join(format!("maildomain-e2e-{}-house-{zone}", std::process::id()));
        std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
        let path = directory.display();
        let config = format!(
            "launch=gsqlite3\ngsqlite3-database={path}/zones.db\ngsqlite3-pragma-synchronous=0\n\
             local-address={address}\nlocal-port=53\nsocket-dir={path}\ndaemon=no\nguardian=no\n\
             cache-ttl=0\nquery-cache-ttl=0\nnegquery-cache-ttl=0\nzone-cache-refresh-interval=0\n\
             api=yes\napi-key={}\nwebserver=yes\nwebserver-address={address}\nwebserver-port=8081\n\
             webserver-allow-from=0.0.0.0/0\n",
            var("PDNS_API_KEY")
        );
        std::fs::write(directory.join("pdns.conf"), config).expect("the configuration can be written");
        let schema = std::fs::read(SCHEMA).expect("pdns-backend-sqlite3 is installed");
        let database = format!("{path}/zones.db");
        let made = pipe("sqlite3", &[&database], &schema);
        assert!(made.status.success(), "{made:?}");
        let log = File::create(directory.join("pdns.log")).expect("a log can be made");
        let server = Command::new("pdns_server")
            .arg(format!("--config-dir={path}"))
            .stdin(Stdio::null())
            .stderr(log)
            .stdout(Stdio::null())
            .spawn()
            .expect("failed to start pdns_server");
        let house = Self {
            zone: zone.to_owned(),
            address,
            directory,
            server,
        };
        world(&["dns", "name", &house.server_name(), &house.address]);
        house.create_zone();
        house
    }

    /// Where its API is.
    pub fn api(&self) -> String {
        format!("http://{}:8081", self.address)
    }

    /// The address of its name server.
    pub fn server(&self) -> &str {
        &self.address
    }

    /// The name of its name server.
    pub fn server_name(&self) -> String {
        format!("moved-{}.nic.test", self.zone.replace('.', "-"))
    }

    /// What stands there.
    pub fn records(&self) -> Records {
        Records::at(self.api())
    }

    /// Puts RRsets there as a person would: name, type, TTL in seconds and contents.
    #[track_caller]
    pub fn copy<'a>(&self, rrsets: impl Iterator<Item = (&'a str, &'a str, u32, Vec<&'a str>)>) {
        super::dns::put_at(&self.api(), &self.zone, rrsets);
    }

    /// The zone above names this server from now on, and nobody else.
    #[track_caller]
    pub fn is_delegated(&self) {
        world(&["zone", "redelegate", &self.zone, &self.server_name()]);
    }

    fn create_zone(&self) {
        let name = self.server_name();
        let body = serde_json::json!({
            "name": format!("{}.", self.zone), "kind": "Native", "nameservers": [],
            "rrsets": [
                {"name": format!("{}.", self.zone), "type": "SOA", "ttl": 30, "records":
                    [{"content": format!("{name}. hostmaster.nic.test. 1 3600 600 86400 1"), "disabled": false}]},
                {"name": format!("{}.", self.zone), "type": "NS", "ttl": 30, "records":
                    [{"content": format!("{name}."), "disabled": false}]},
            ],
        })
        .to_string();
        let header = format!("X-API-Key: {}", var("PDNS_API_KEY"));
        let url = format!("{}/api/v1/servers/localhost/zones", self.api());
        let post = ["-sS", "--fail", "-H", &header, "-d", &body, &url];
        let ask = || pipe("curl", &post, b"").status.success();
        eventually("the second home takes the zone", ask, |taken| *taken);
        let soa = || Dig::ask(&self.address, &self.zone, "SOA").len();
        eventually("the second home answers", soa, |count| *count == 1);
    }
}

impl Drop for House {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}
