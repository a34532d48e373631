//! The chart and the image as people install them: real helm, real pods.
//!
//! `MAILDOMAIN_IMAGE` names the archive that `tests/image` makes; `make e2e` sets it.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Once;

use serde_json::Value;

use crate::harness::{
    Dig, Site, SiteOptions, apply, eventually, kubectl, pipe, run, said, try_apply, var, world,
};

/// The largest image that the project promises.
const MAX_IMAGE: u64 = 30 << 20;

#[test]
fn the_image_is_small_and_holds_one_program() {
    let archive = archive();
    let size = std::fs::metadata(&archive).expect("the archive is there").len();
    assert!(size < MAX_IMAGE, "{archive} has {size} bytes");
    let index: Value = serde_json::from_str(&unpack(&archive, "index.json")).expect("an OCI index");
    let manifest = blob(&archive, &index["manifests"][0]);
    let config = blob(&archive, &manifest["config"]);
    assert_eq!(config["config"]["User"], "65532:65532");
    let files: Vec<String> = manifest["layers"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|layer| {
            let list = format!("tar -xOf '{archive}' '{}' | tar -tv", path_of(layer));
            run("sh", &["-c", &list])
                .lines()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        })
        .filter(|line| line.starts_with('-') && line.contains('x'))
        .map(|line| line.split_whitespace().last().unwrap_or_default().to_owned())
        .collect();
    assert_eq!(files, ["maildomain"], "the programs in the image");
}

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
        assert_eq!(
            Dig::ask(server, &site.zone, "TXT"),
            ["\"v=spf1 ip4:203.0.113.4 ~all\""]
        );
    }
    metrics_tell_the_story(&site);
    nothing_was_asked_that_is_not_allowed(&site);
}

#[test]
fn a_leader_that_is_deleted_hands_over() {
    let site = site("chart-leader");
    install(&site, &[]);
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let first = leader(&site);
    kubectl(&["-n", &site.system, "delete", "pod", &first, "--wait=false"]);
    let second = eventually(
        "another pod leads",
        || {
            assert!(site.condition("Ready").starts_with("True/"), "Ready stays");
            leader(&site)
        },
        |now| !now.is_empty() && *now != first,
    );
    assert!(
        pods(&site).iter().any(|pod| pod.name == second),
        "{second} is a pod of the release"
    );
    // It works, and does not only hold the lease.
    mends(&site);
    eventually("there are two again", || pods(&site).len(), |count| *count == 2);
}

#[test]
fn upgrade_uninstall_and_install_again_change_nothing_in_dns() {
    let site = site("chart-life");
    install(&site, &[]);
    apply(&site.usual());
    site.wait_for("Ready", "True");
    site.wait_for("Verified", "True");
    let before = facts(&site);
    let pods_before: Vec<String> = pods(&site).into_iter().map(|pod| pod.name).collect();

    upgrade(&site, &["--set", "recheckInterval=3s"]);
    let pods_after: Vec<String> = pods(&site).into_iter().map(|pod| pod.name).collect();
    assert!(
        pods_after.iter().all(|pod| !pods_before.contains(pod)),
        "a changed value makes new pods"
    );
    let leads = eventually(
        "a new pod leads",
        || leader(&site),
        |now| pods_after.contains(now),
    );
    assert!(site.condition("Ready").starts_with("True/"));
    wait_for_its_passes(&site, &leads);
    assert_eq!(facts(&site), before, "an upgrade writes nothing");

    run(
        "helm",
        &[
            "uninstall",
            &site.name,
            "-n",
            &site.system,
            "--wait",
            "--timeout",
            "2m",
        ],
    );
    eventually("the pods are gone", || pods(&site).len(), |count| *count == 0);
    assert!(
        !may(&site, "get", "maildomains.maildomain.dev", &site.namespace),
        "so are the roles"
    );
    assert_eq!(facts(&site), before, "keys, records, object and ledger stay");
    for kind in [
        "maildomains",
        "dkimsigners",
        "clusterdnsproviders",
        "maildomainclaims",
        "recordledgers",
    ] {
        kubectl(&["get", "crd", &format!("{kind}.maildomain.dev")]);
    }

    install(&site, &[]);
    let pods_again: Vec<String> = pods(&site).into_iter().map(|pod| pod.name).collect();
    let leads = eventually("a pod leads", || leader(&site), |now| pods_again.contains(now));
    wait_for_its_passes(&site, &leads);
    assert!(site.condition("Ready").starts_with("True/"));
    assert_eq!(facts(&site), before, "it goes on where it was");
    mends(&site);
}

#[test]
fn definitions_outlive_the_release_that_brought_them() {
    let chart = concat!(env!("CARGO_MANIFEST_DIR"), "/charts/maildomain");
    let rendered = run("helm", &["template", "any", chart, "-s", "templates/crds.yaml"]);
    let definitions: Vec<&str> = rendered
        .split("\n---\n")
        .filter(|d| d.contains("kind: CustomResourceDefinition"))
        .collect();
    assert_eq!(definitions.len(), 5, "{rendered}");
    for definition in definitions {
        assert!(
            definition.contains("helm.sh/resource-policy: keep"),
            "{definition}"
        );
        let told = pipe(
            "kubectl",
            &[
                "apply",
                "--server-side",
                "--force-conflicts",
                "--dry-run=server",
                "-f",
                "-",
            ],
            definition.as_bytes(),
        );
        assert!(told.status.success(), "{}", said(&told));
    }
}

#[test]
fn the_roles_reach_as_far_as_the_watched_namespaces() {
    let narrow = Site::new("chart-narrow");
    let elsewhere = "default";
    let tenant: &[(&str, &str)] = &[
        ("get", "secrets"),
        ("create", "secrets"),
        ("patch", "secrets"),
        ("list", "maildomains.maildomain.dev"),
        ("watch", "dkimsigners.maildomain.dev"),
    ];
    let never: &[(&str, &str)] = &[
        ("list", "secrets"),
        ("watch", "secrets"),
        ("delete", "secrets"),
        ("delete", "maildomains.maildomain.dev"),
        ("create", "maildomains.maildomain.dev"),
        ("create", "pods"),
        ("get", "configmaps"),
        ("create", "pods/exec"),
        ("create", "serviceaccounts/token"),
        ("patch", "clusterdnsproviders.maildomain.dev"),
        ("update", "maildomainclaims.maildomain.dev"),
        ("patch", "namespaces"),
        ("escalate", "clusterroles.rbac.authorization.k8s.io"),
    ];
    for (verb, resource) in tenant {
        assert!(
            may(&narrow, verb, resource, &narrow.namespace),
            "{verb} {resource} where it serves"
        );
        assert!(
            !may(&narrow, verb, resource, elsewhere),
            "{verb} {resource} elsewhere"
        );
    }
    for namespace in [&narrow.namespace, &narrow.system, elsewhere] {
        for (verb, resource) in never {
            assert!(
                !may(&narrow, verb, resource, namespace),
                "{verb} {resource} in {namespace}"
            );
        }
    }
    let finalizer = "a namespace that goes away may lose its roles before its MailDomains";
    assert!(
        may(&narrow, "patch", "maildomains.maildomain.dev", elsewhere),
        "{finalizer}"
    );
    assert!(
        may(&narrow, "get", "secrets", &narrow.system),
        "credentials of providers"
    );
    assert!(!may(&narrow, "create", "secrets", &narrow.system));
    assert!(may(
        &narrow,
        "create",
        "recordledgers.maildomain.dev",
        &narrow.system
    ));
    assert!(!may(
        &narrow,
        "get",
        "recordledgers.maildomain.dev",
        &narrow.namespace
    ));
    drop(narrow);

    // A release that serves every namespace: its roles alone, so that it serves none.
    let wide = site("chart-wide");
    wide.helm(&["install", "--set", "replicas=0", "--set", "watchNamespaces=null"]);
    for (verb, resource) in tenant {
        assert!(
            may(&wide, verb, resource, elsewhere),
            "{verb} {resource} anywhere"
        );
    }
    for (verb, resource) in never {
        assert!(!may(&wide, verb, resource, elsewhere), "{verb} {resource}");
    }
    let roles = kubectl(&["get", "roles,rolebindings", "-n", &wide.namespace, "-o", "name"]);
    assert_eq!(roles, "", "nothing is left for single namespaces");
    run("helm", &["uninstall", &wide.name, "-n", &wide.system]);
}

/// A corner without a release.
fn site(name: &str) -> Site {
    let options = SiteOptions {
        chart: false,
        ..SiteOptions::default()
    };
    Site::with(name, options)
}

/// Installs the chart with the image, for this world, and waits for the pods.
fn install(site: &Site, more: &[&str]) {
    load_image();
    release(site, "install", more);
}

fn upgrade(site: &Site, more: &[&str]) {
    release(site, "upgrade", more);
}

fn release(site: &Site, action: &str, more: &[&str]) {
    let image = image_name();
    let (repository, tag) = image.rsplit_once(':').expect("an image has a tag");
    let values = [
        format!("image.repository={repository}"),
        format!("image.tag={tag}"),
        "image.pullPolicy=Never".to_owned(),
        "recheckInterval=4s".to_owned(),
        format!("dns.rootHints={{{}}}", var("ROOT_HINTS")),
        format!("dns.resolvers={{{}}}", var("RESOLVER")),
        "dns.privateZones={example,in-addr.arpa,ip6.arpa}".to_owned(),
        "log.filter=info\\,maildomain=debug".to_owned(),
    ];
    let mut arguments = vec![action, "--wait", "--timeout", "2m"];
    arguments.extend(values.iter().flat_map(|value| ["--set", value.as_str()]));
    arguments.extend(more);
    site.helm(&arguments);
}

fn archive() -> String {
    let archive = var("MAILDOMAIN_IMAGE");
    assert!(
        Path::new(&archive).is_file(),
        "MAILDOMAIN_IMAGE is {archive}, which is no archive: tests/image makes one"
    );
    archive
}

fn load_image() {
    static LOADED: Once = Once::new();
    LOADED.call_once(|| {
        world(&["image", "load", &archive()]);
    });
}

/// The name under which the archive's image is known once it is loaded.
fn image_name() -> String {
    let index: Value = serde_json::from_str(&unpack(&archive(), "index.json")).expect("an OCI index");
    let name = &index["manifests"][0]["annotations"]["io.containerd.image.name"];
    name.as_str().expect("the archive names its image").to_owned()
}

fn unpack(archive: &str, path: &str) -> String {
    run("tar", &["-xOf", archive, path])
}

fn path_of(descriptor: &Value) -> String {
    format!(
        "blobs/{}",
        descriptor["digest"]
            .as_str()
            .unwrap_or_default()
            .replace(':', "/")
    )
}

fn blob(archive: &str, descriptor: &Value) -> Value {
    serde_json::from_str(&unpack(archive, &path_of(descriptor))).expect("JSON")
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

/// A pod of the release.
#[derive(Debug)]
struct Pod {
    name: String,
    address: String,
    uid: String,
}

/// The pods that run and are not on their way out.
fn pods(site: &Site) -> Vec<Pod> {
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

/// The pod that holds the lease; empty while none does.
fn leader(site: &Site) -> String {
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

/// Whether the release's ServiceAccount may do something.
fn may(site: &Site, verb: &str, resource: &str, namespace: &str) -> bool {
    let user = format!("system:serviceaccount:{}:maildomain", site.system);
    let output = pipe(
        "kubectl",
        &["--as", &user, "auth", "can-i", verb, resource, "-n", namespace],
        b"",
    );
    let answer = String::from_utf8_lossy(&output.stdout);
    match answer.split_whitespace().next() {
        Some("yes") => true,
        Some("no") => false,
        _ => panic!("kubectl auth can-i: {}", said(&output)),
    }
}

/// Everything that must outlive pods, roles and releases.
fn facts(site: &Site) -> [Vec<String>; 5] {
    let of = |namespace: &str, kind: &str, path: &str| {
        let text = kubectl(&["-n", namespace, "get", kind, "-o", &format!("jsonpath={path}")]);
        text.lines().map(str::to_owned).collect()
    };
    let rows = "{range .items[*]}{.metadata.name} {.metadata.uid} {.metadata.resourceVersion}{\"\\n\"}{end}";
    [
        site.zone_at_provider(),
        // Every write to the zone raises it.
        Dig::ask(&site.ns1, &site.zone, "SOA"),
        of(&site.namespace, "maildomains", rows),
        of(&site.namespace, "secrets", rows),
        of(&site.system, "recordledgers", rows),
    ]
}

/// Waits until this pod has worked: its passes end up in its metrics.
fn wait_for_its_passes(site: &Site, leader: &str) {
    let passes = || {
        let all = pods(site);
        let pod = all.iter().find(|pod| pod.name == leader)?;
        let text = run(
            "curl",
            &["-sS", "--fail", &format!("http://{}:8080/metrics", pod.address)],
        );
        value(
            &text,
            "maildomain_reconciles_total{kind=\"MailDomain\",result=\"ok\"}",
        )
    };
    eventually("the leader looks after the domain", passes, |count| {
        count.is_some_and(|count| count >= 2.0)
    });
}

/// Damages a record and waits until it is mended.
fn mends(site: &Site) {
    let right = Dig::ask(&site.ns1, &site.zone, "TXT");
    assert!(!right.is_empty());
    site.by_hand(&site.zone, "TXT", &["\"v=spf1 -all\""]);
    eventually(
        "the damage is mended",
        || Dig::ask(&site.ns2, &site.zone, "TXT"),
        |now| *now == right,
    );
    site.wait_for("Ready", "True");
    site.wait_for("Verified", "True");
}

/// The value of one line of the metrics.
fn value(metrics: &str, series: &str) -> Option<f64> {
    let line = metrics.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    line.rsplit(' ').next()?.parse().ok()
}

/// The metrics that the documentation and the alerts name, through the release's Service.
fn metrics_tell_the_story(site: &Site) {
    let address = kubectl(&[
        "-n",
        &site.system,
        "get",
        "service",
        "maildomain-metrics",
        "-o",
        "jsonpath={.spec.clusterIP}",
    ]);
    let url = format!("http://{address}:8080/metrics");
    // Either pod may answer; only the leader has something to tell.
    let text = eventually(
        "the leader answers behind the Service",
        || run("curl", &["-sS", "--fail", &url]),
        |text| value(text, "maildomain_leader") == Some(1.0),
    );
    let labels = format!("namespace=\"{}\",name=\"mail\"", site.namespace);
    for (series, least) in [
        (
            format!("maildomain_condition{{{labels},type=\"Ready\",status=\"True\"}}"),
            1.0,
        ),
        (format!("maildomain_records{{{labels},state=\"wanted\"}}"), 7.0),
        (format!("maildomain_records{{{labels},state=\"published\"}}"), 7.0),
        (format!("maildomain_records{{{labels},state=\"verified\"}}"), 7.0),
        (format!("maildomain_policy_held{{{labels}}}"), 0.0),
        (
            "maildomain_reconciles_total{kind=\"MailDomain\",result=\"ok\"}".to_owned(),
            1.0,
        ),
        (
            "maildomain_reconciles_total{kind=\"DKIMSigner\",result=\"ok\"}".to_owned(),
            1.0,
        ),
        (
            "maildomain_reconciles_total{kind=\"ClusterDNSProvider\",result=\"ok\"}".to_owned(),
            1.0,
        ),
        (
            "maildomain_reconcile_seconds_count{kind=\"MailDomain\"}".to_owned(),
            1.0,
        ),
    ] {
        assert!(
            value(&text, &series).is_some_and(|is| is >= least),
            "{series} is not {least} or more:\n{text}"
        );
    }
    assert_eq!(
        value(
            &text,
            &format!("maildomain_condition{{{labels},type=\"Ready\",status=\"False\"}}")
        ),
        Some(0.0)
    );
    for key in site.status().keys {
        let series = format!(
            "maildomain_key_proven_timestamp_seconds{{{labels},selector=\"{}\"}}",
            key.selector
        );
        let proven = value(&text, &series).unwrap_or_else(|| panic!("no {series}:\n{text}"));
        let since = key.since.expect("it is proven").0.as_duration().as_secs_f64();
        assert!((proven - since).abs() < 1.0, "{proven} {since}");
    }
}

/// The audit log is the witness: what the release's pods asked of the API server, granted or not.
fn nothing_was_asked_that_is_not_allowed(site: &Site) {
    let asked: BTreeSet<(String, String, String, i64)> = site
        .all_requests()
        .into_iter()
        .map(|r| {
            (
                where_is(site, &r.namespace).to_owned(),
                r.resource,
                r.verb,
                r.code,
            )
        })
        .collect();
    let seen: BTreeSet<(&str, &str, &str)> = asked
        .iter()
        .map(|(place, resource, verb, _)| (place.as_str(), resource.as_str(), verb.as_str()))
        .collect();
    for wanted in [
        ("tenant", "secrets", "create"),
        ("tenant", "maildomains/status", "patch"),
        ("system", "secrets", "get"),
        ("cluster", "maildomainclaims", "create"),
    ] {
        assert!(
            seen.contains(&wanted),
            "the audit log misses {wanted:?}: {seen:#?}"
        );
    }
    let refused: Vec<_> = asked
        .iter()
        .filter(|(.., code)| matches!(code, 401 | 403))
        .collect();
    assert!(refused.is_empty(), "asked and refused: {refused:#?}");
    let beyond: Vec<_> = seen
        .into_iter()
        .filter(|(place, resource, verb)| !allowed(place, resource, verb))
        .collect();
    assert!(
        beyond.is_empty(),
        "beyond what docs/security.md says: {beyond:#?}"
    );
}

fn where_is<'a>(site: &Site, namespace: &'a str) -> &'a str {
    match namespace {
        "" => "cluster",
        n if n == site.namespace => "tenant",
        n if n == site.system => "system",
        other => other,
    }
}

/// The table of docs/security.md.
#[expect(clippy::match_same_arms, reason = "a table, read line by line")]
fn allowed(place: &str, resource: &str, verb: &str) -> bool {
    let verbs: &[&str] = match (place, resource) {
        ("tenant", "maildomains") => &["get", "list", "watch", "patch"],
        ("tenant", "dkimsigners") => &["get", "list", "watch"],
        ("tenant", "maildomains/status" | "dkimsigners/status") => &["patch", "update"],
        ("tenant", "secrets") => &["get", "create", "update", "patch"],
        ("system", "secrets") => &["get"],
        ("system", "leases") => &["get", "create", "update", "patch"],
        ("system", "recordledgers" | "dnsendpoints") => {
            &["get", "list", "watch", "create", "update", "patch", "delete"]
        }
        ("cluster", "namespaces" | "clusterdnsproviders") => &["get", "list", "watch"],
        ("cluster", "clusterdnsproviders/status") => &["patch", "update"],
        ("cluster", "maildomainclaims") => &["get", "list", "watch", "create", "delete"],
        (_, "events") => &["create", "patch"],
        _ => &[],
    };
    verbs.contains(&verb)
}
