//! A validating resolver that remembers like everybody's. The world's own forgets after a second, within which slow servers answer
//! one of the questions that it has to ask for one of ours.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::harness::{Dig, eventually, var};

/// It ends when this is dropped.
pub struct Unbound {
    child: Child,
    /// Where it is asked.
    pub address: &'static str,
}

impl Unbound {
    /// Starts one that begins at the world's root and trusts its key.
    pub fn start(directory: &Path) -> Self {
        let (root, address) = (var("ROOT_HINTS"), "198.19.255.90");
        let write = |name: &str, text: String| {
            let path = directory.join(name);
            std::fs::write(&path, text).expect("a temporary file can be written");
            path.display().to_string()
        };
        let keys = Dig::ask(&root, ".", "DNSKEY").into_iter();
        let anchor = write("root.key", keys.map(|key| format!(". DNSKEY {key}\n")).collect());
        let hints = write("root.hints", format!(". NS a.root.\na.root. A {root}\n"));
        let config = write(
            "unbound.conf",
            format!(
                "server:\n  interface: {address}\n  outgoing-interface: {address}\n  access-control: 0.0.0.0/0 allow\n  do-ip6: no\n  num-threads: 1\n  \
                 username: \"\"\n  chroot: \"\"\n  pidfile: \"\"\n  use-syslog: no\n  root-hints: \"{hints}\"\n  trust-anchor-file: \"{anchor}\"\n  \
                 module-config: \"validator iterator\"\n  unblock-lan-zones: yes\n  insecure-lan-zones: no\n  local-zone: \"test.\" nodefault\n\
                 remote-control:\n  control-enable: no\n"
            ),
        );
        let log = File::create(directory.join("unbound.log")).expect("a log can be made");
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "unbound", "-d", "-c", &config])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("setpriv can be started");
        eventually(
            "the resolver answers",
            || Dig::ask(address, "test", "SOA"),
            |lines| lines.len() == 1,
        );
        Self { child, address }
    }
}

impl Drop for Unbound {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
