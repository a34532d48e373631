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
    /// Starts one. `identity` tells replicas apart.
    pub fn start(directory: &Path, namespace: &str, watch: &str, identity: &str) -> Self {
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
            .env("KUBECONFIG", directory.join("kubeconfig"))
            .env("RUST_LOG", "info,maildomain=debug")
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
        super::eventually(
            "the operator ends after SIGTERM",
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
