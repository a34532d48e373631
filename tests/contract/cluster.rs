//! A Kubernetes API server without nodes, for what is published through ExternalDNS: etcd and kube-apiserver of the test
//! world's tools, on loopback. One for all cases, each in a namespace of its own.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};

use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::process::{Scratch, eventually, free_port, run};

/// Of a server that nobody else can reach.
const TOKEN: &str = "contract";

/// A running API server that knows DNSEndpoints.
#[derive(Debug)]
pub struct Cluster {
    pub kubeconfig: String,
}

static CLUSTER: OnceLock<Cluster> = OnceLock::new();
static NAMESPACES: AtomicU16 = AtomicU16::new(0);

/// The one of this process; it ends with it.
pub fn cluster() -> &'static Cluster {
    CLUSTER.get_or_init(Cluster::start)
}

impl Cluster {
    fn start() -> Self {
        let scratch = Scratch::new("cluster");
        let file = |name: &str| scratch.path(name).to_str().unwrap().to_owned();
        let key = file("accounts.key");
        let curve = "ec_paramgen_curve:P-256";
        let command = [
            "openssl",
            "genpkey",
            "-algorithm",
            "EC",
            "-pkeyopt",
            curve,
            "-out",
            &key,
        ];
        run("openssl", &command, "");
        let public = [
            "openssl",
            "pkey",
            "-in",
            &key,
            "-pubout",
            "-out",
            &file("accounts.pub"),
        ];
        run("openssl", &public, "");
        scratch.write("tokens", &format!("{TOKEN},admin,admin,system:masters\n"));
        let (client, peer, port) = (free_port(), free_port(), free_port());
        scratch.write("kubeconfig", &kubeconfig(port));
        scratch.write("run", &script(client, peer, port));
        guard(scratch.path("run"));
        let cluster = Self {
            kubeconfig: file("kubeconfig"),
        };
        eventually(&format!("the API server of {} answers", file("")), || {
            cluster.try_kubectl(&["get", "--raw", "/readyz"], "").is_ok()
        });
        let definition = tool("externaldns", "dnsendpoints.externaldns.k8s.io.yaml");
        let definition = std::fs::read_to_string(definition).unwrap();
        cluster.kubectl(&["apply", "--server-side", "--filename", "-"], &definition);
        eventually("DNSEndpoints are served", || {
            cluster
                .try_kubectl(&["get", "dnsendpoints", "--all-namespaces"], "")
                .is_ok()
        });
        // The script removes the directory.
        std::mem::forget(scratch);
        cluster
    }

    /// A namespace that nobody else uses.
    pub fn namespace(&self) -> String {
        let name = format!("case-{}", NAMESPACES.fetch_add(1, Ordering::SeqCst));
        self.kubectl(&["create", "namespace", &name], "");
        name
    }

    /// A client of the runtime in whose context this is called.
    pub fn client(&self) -> kube::Client {
        // As main does; whoever is second changes nothing.
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let config = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = futures::executor::block_on(kube::Config::from_custom_kubeconfig(config, &options));
        kube::Client::try_from(config.unwrap()).unwrap()
    }

    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str], input: &str) -> String {
        self.try_kubectl(arguments, input)
            .unwrap_or_else(|said| panic!("kubectl {arguments:?}: {said}"))
    }

    fn try_kubectl(&self, arguments: &[&str], input: &str) -> Result<String, String> {
        use std::io::Write as _;
        let mut child = Command::new(tool("kubernetes", "kubectl"))
            .args(["--kubeconfig", &self.kubeconfig])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(said)
        } else {
            Err(said + &String::from_utf8_lossy(&output.stderr))
        }
    }
}

fn kubeconfig(port: u16) -> String {
    format!(
        r#"{{"apiVersion": "v1", "kind": "Config", "current-context": "contract",
"contexts": [{{"name": "contract", "context": {{"cluster": "contract", "user": "admin"}}}}],
"clusters": [{{"name": "contract", "cluster": {{"server": "https://127.0.0.1:{port}", "insecure-skip-tls-verify": true}}}}],
"users": [{{"name": "admin", "user": {{"token": "{TOKEN}"}}}}]}}
"#
    )
}

/// Both servers and their directory, which go when the script is told to end.
fn script(client: u16, peer: u16, port: u16) -> String {
    let (etcd, apiserver) = (tool("etcd", "etcd"), tool("kubernetes", "kube-apiserver"));
    format!(
        "end() {{ trap '' TERM INT HUP; kill -KILL $servers 2>/dev/null; wait; rm -rf 'DIR'; exit; }}
trap end TERM INT HUP
setpriv --pdeathsig KILL -- '{}' --data-dir='DIR/etcd' --unsafe-no-fsync --log-level=error \\
  --listen-client-urls=http://127.0.0.1:{client} --advertise-client-urls=http://127.0.0.1:{client} \\
  --listen-peer-urls=http://127.0.0.1:{peer} --initial-advertise-peer-urls=http://127.0.0.1:{peer} \\
  --initial-cluster=default=http://127.0.0.1:{peer} >'DIR/etcd.log' 2>&1 &
servers=$!
setpriv --pdeathsig KILL -- '{}' --etcd-servers=http://127.0.0.1:{client} --cert-dir='DIR/certificates' \\
  --bind-address=127.0.0.1 --secure-port={port} --endpoint-reconciler-type=none \\
  --token-auth-file='DIR/tokens' --authorization-mode=RBAC --disable-admission-plugins=ServiceAccount \\
  --service-account-issuer=https://kubernetes.default.svc --service-cluster-ip-range=10.96.0.0/16 \\
  --service-account-key-file='DIR/accounts.pub' --service-account-signing-key-file='DIR/accounts.key' >'DIR/apiserver.log' 2>&1 &
servers=\"$servers $!\"
wait
",
        etcd.display(),
        apiserver.display()
    )
}

/// Runs the script until this process ends, in whatever way. The signal comes when the thread that started it ends,
/// so that is one which never does, not the one of the test that came first.
fn guard(script: PathBuf) {
    std::thread::spawn(move || {
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM", "--", "sh"])
            .arg(script)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.unwrap_or_else(|error| panic!("setpriv (Debian package util-linux): {error}"));
        child.wait()
    });
}

/// A file of the test world's tools, in the version that it pins.
pub fn tool(group: &str, file: &str) -> PathBuf {
    let cache = std::env::var_os("MAILDOMAIN_CACHE")
        .map(PathBuf::from)
        .or_else(|| {
            let user = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
            let home = std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
            Some(user.or(home)?.join("maildomain"))
        });
    let name = format!("{}_VERSION=", group.to_uppercase());
    let mut versions = include_str!("../world/versions.env").lines();
    let version = versions
        .find_map(|line| line.strip_prefix(name.as_str()))
        .unwrap();
    let path = cache.unwrap().join(format!("bin/{group}-{version}/{file}"));
    assert!(
        path.is_file(),
        "{} is missing: run tests/world/build",
        path.display()
    );
    path
}
