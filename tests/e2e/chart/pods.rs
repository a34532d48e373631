//! The pods of a release: confined, and one of them leads.

use serde_json::Value;

use super::metrics::metrics_tell_the_story;
use super::requests::nothing_was_asked_that_is_not_allowed;
use super::{install, site};
use crate::harness::{Dig, Site, apply, kubectl, pipe, run, said, try_apply};

#[test]
fn a_release_runs_restricted_and_makes_a_domain_ready() {
    let site = site("chart-pods");
    restrict(&site);
    install(&site, &[]);
    let pods = pods(&site);
    assert_eq!(pods.len(), 2);
    for pod in &pods {
        is_confined(&site, pod);
        for page in ["healthz", "readyz"] {
            let url = format!("http://{}:8080/{page}", pod.address);
            assert_eq!(run("curl", &["-sS", "--fail", &url]), "ok\n", "{}", pod.name);
        }
    }
    apply(&site.usual());
    site.apply_signer();
    for condition in ["Ready", "Verified", "KeysReady"] {
        site.wait_for(condition, "True");
    }
    for server in [&site.ns1, &site.ns2] {
        Dig::until(server, &site.zone, "TXT", &["\"v=spf1 ip4:203.0.113.4 ~all\""]);
    }
    metrics_tell_the_story(&site);
    nothing_was_asked_that_is_not_allowed(&site);
}

/// A pod of the release.
#[derive(Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) address: String,
    uid: String,
}

/// The pods that run and are not on their way out.
pub(super) fn pods(site: &Site) -> Vec<Pod> {
    let label = "app.kubernetes.io/name=maildomain";
    let text = kubectl(&["-n", &site.system, "get", "pods", "-l", label, "-o", "json"]);
    let list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
    let pods = list["items"].as_array().into_iter().flatten();
    pods.filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .map(|pod| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            Pod {
                name: text(&pod["metadata"]["name"]),
                address: text(&pod["status"]["podIP"]),
                uid: text(&pod["metadata"]["uid"]),
            }
        })
        .collect()
}

/// The pod that holds the lease; empty while none does.
pub(super) fn leader(site: &Site) -> String {
    let path = "jsonpath={.spec.holderIdentity}";
    let holder = kubectl(&[
        "-n",
        &site.system,
        "get",
        "lease",
        "maildomain",
        "-o",
        path,
        "--ignore-not-found",
    ]);
    holder.split('_').next().unwrap_or_default().to_owned()
}

/// Enforces the Pod Security Standard `restricted` where the operator runs, and sees that it is enforced.
fn restrict(site: &Site) {
    kubectl(&[
        "label",
        "namespace",
        &site.system,
        "pod-security.kubernetes.io/enforce=restricted",
    ]);
    let usual = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: usual, namespace: {}}}\nspec: {{containers: [{{name: a, image: a}}]}}\n",
        site.system
    );
    let refused = try_apply(&usual).expect_err("a pod that asks for nothing special is refused");
    assert!(refused.contains("violates PodSecurity \"restricted"), "{refused}");
}

/// Not root, nothing to write to, no shell. That the program itself can be run there shows that the rest means something.
fn is_confined(site: &Site, pod: &Pod) {
    let status = process(pod);
    for line in [
        "Uid: 65532 65532 65532 65532",
        "Gid: 65532 65532 65532 65532",
        "CapPrm: 0000000000000000",
        "CapEff: 0000000000000000",
        "CapBnd: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2",
    ] {
        assert!(
            status.iter().any(|said| said == line),
            "{}: not {line} but {status:#?}",
            pod.name
        );
    }
    let exec = |command: &[&str]| {
        let arguments = [&["-n", &site.system, "exec", &pod.name, "--"], command].concat();
        let output = pipe("kubectl", &arguments, b"");
        (output.status.success(), said(&output))
    };
    let (ok, version) = exec(&["/maildomain", "--version"]);
    assert!(ok && version.starts_with("maildomain "), "{version}");
    for shell in ["sh", "/bin/sh", "/bin/bash"] {
        let (ok, said) = exec(&[shell, "-c", "true"]);
        assert!(
            !ok && (said.contains("not found") || said.contains("no such file")),
            "{shell}: {said}"
        );
    }
    let (ok, said) = exec(&["/maildomain", "crd", "--out", "/"]);
    assert!(!ok && said.contains("Read-only file system"), "{said}");
}

/// What the kernel says of the operator's process in a pod.
fn process(pod: &Pod) -> Vec<String> {
    let processes = std::fs::read_dir("/proc")
        .expect("processes can be listed")
        .flatten();
    let read = |entry: &std::fs::DirEntry, file: &str| {
        std::fs::read_to_string(entry.path().join(file)).unwrap_or_default()
    };
    let mut found = processes.filter(|entry| {
        read(entry, "cgroup").contains(&pod.uid) && read(entry, "comm").trim() == "maildomain"
    });
    let process = found
        .next()
        .unwrap_or_else(|| panic!("no process belongs to {pod:?}"));
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    read(&process, "status").lines().map(words).collect()
}
