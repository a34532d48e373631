//! What comes and goes while DNS stays: leaders, upgrades, whole releases.

use super::metrics::value;
use super::pods::{leader, pods};
use super::roles::may;
use super::{install, site, upgrade};
use crate::harness::{Dig, Site, apply, eventually, kubectl, pipe, run, said};

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
