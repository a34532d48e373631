//! An ExternalDNS of one test.

use super::world;

/// A running instance. Dropping it ends it.
pub struct ExternalDns {
    name: String,
}

impl ExternalDns {
    /// Starts one, or starts it anew with other arguments.
    pub fn start(name: &str, namespace: &str, arguments: &[&str]) -> Self {
        let mut command = vec!["externaldns", "start", name, "--namespace", namespace];
        command.extend(arguments);
        world(&command);
        Self {
            name: name.to_owned(),
        }
    }
}

impl Drop for ExternalDns {
    fn drop(&mut self) {
        world(&["externaldns", "stop", &self.name]);
    }
}
