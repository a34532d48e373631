//! The operator as a process inside the world, with the chart's own ServiceAccount, so that a test can kill it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A running operator. Dropping it ends it.
pub struct Operator {
    child: Child,
    log: PathBuf,
}

impl Operator {
    /// Starts one. `identity` tells replicas apart; `filter` says what is logged.
    pub fn start(directory: &Path, namespace: &str, watch: &str, identity: &str, filter: &str) -> Self {
        let log = directory.join(format!("{identity}.log"));
        let out = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .expect("the log can be written");
        let child = Command::new(env!("CARGO_BIN_EXE_maildomain"))
            .args([
                "controller",
                "--namespace",
                namespace,
                "--identity",
                identity,
                "--watch-namespace",
                watch,
            ])
            .args(["--admin-address", "127.0.0.1:0", "--config"])
            .arg(directory.join("config.yaml"))
            .env("KUBECONFIG", directory.join(format!("{identity}.kubeconfig")))
            .env("RUST_LOG", filter)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(out)
            .spawn()
            .expect("the operator can be started");
        Self { child, log }
    }

    /// SIGKILL, now.
    pub fn kill(mut self) {
        self.child.kill().expect("the operator can be killed");
        self.child.wait().expect("the operator ends");
    }

    /// SIGTERM; waits for the graceful end and gives the exit code.
    pub fn stop(mut self) -> Option<i32> {
        super::run("kill", &["-TERM", &self.child.id().to_string()]);
        self.wait()
    }

    /// Waits until it has ended and gives the exit code; `None` after a signal.
    pub fn wait(&mut self) -> Option<i32> {
        super::eventually(
            "the operator ends",
            || self.child.try_wait().expect("its state can be asked"),
            Option::is_some,
        )
        .and_then(|status| status.code())
    }

    /// Stops it from running without ending it (SIGSTOP), or lets it go on (SIGCONT).
    pub fn freeze(&self, frozen: bool) {
        super::run(
            "kill",
            &[
                if frozen { "-STOP" } else { "-CONT" },
                &self.child.id().to_string(),
            ],
        );
    }

    /// Whether it runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("its state can be asked").is_none()
    }

    /// Asks it for a page of its own HTTP server: `healthz`, `readyz`, `metrics`.
    pub fn page(&self, name: &str) -> String {
        let address = super::eventually(
            "the operator says where it serves",
            || {
                let log = self.log();
                let words = log.lines().rfind(|l| l.contains("serving probes and metrics"))?;
                words.split("address=").nth(1).map(|a| a.trim().to_owned())
            },
            Option::is_some,
        );
        let address = address.expect("it was waited for");
        super::run("curl", &["-sS", "--fail", &format!("http://{address}/{name}")])
    }

    /// Everything it logged.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended already, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
