//! What a release's ServiceAccount may do.

use super::site;
use crate::harness::{Site, kubectl, pipe, run, said};

/// Where a release serves.
const TENANT: &[(&str, &str)] = &[
    ("get", "secrets"),
    ("create", "secrets"),
    ("patch", "secrets"),
    ("list", "maildomains.maildomain.dev"),
    ("watch", "dkimsigners.maildomain.dev"),
];

/// Nowhere.
const NEVER: &[(&str, &str)] = &[
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

/// A namespace that no narrow release watches.
const ELSEWHERE: &str = "default";

#[test]
fn the_roles_reach_as_far_as_the_watched_namespaces() {
    let narrow = Site::new("chart-narrow");
    tenants_are_served_where_watched(&narrow);
    what_is_never_allowed_is_allowed_nowhere(&narrow);
    single_rights_are_where_they_are_needed(&narrow);
    drop(narrow);

    // A release that serves every namespace: its roles alone, so that it serves none.
    let wide = site("chart-wide");
    wide.helm(&["install", "--set", "replicas=0", "--set", "watchNamespaces=null"]);
    a_wide_release_serves_anywhere(&wide);
    run("helm", &["uninstall", &wide.name, "-n", &wide.system]);
}

fn tenants_are_served_where_watched(narrow: &Site) {
    for (verb, resource) in TENANT {
        assert!(
            may(narrow, verb, resource, &narrow.namespace),
            "{verb} {resource} where it serves"
        );
        assert!(
            !may(narrow, verb, resource, ELSEWHERE),
            "{verb} {resource} elsewhere"
        );
    }
}

fn what_is_never_allowed_is_allowed_nowhere(narrow: &Site) {
    for namespace in [&narrow.namespace, &narrow.system, ELSEWHERE] {
        for (verb, resource) in NEVER {
            assert!(
                !may(narrow, verb, resource, namespace),
                "{verb} {resource} in {namespace}"
            );
        }
    }
}

fn single_rights_are_where_they_are_needed(narrow: &Site) {
    let finalizer = "a namespace that goes away may lose its roles before its MailDomains";
    assert!(
        may(narrow, "patch", "maildomains.maildomain.dev", ELSEWHERE),
        "{finalizer}"
    );
    assert!(
        may(narrow, "get", "secrets", &narrow.system),
        "credentials of providers"
    );
    assert!(!may(narrow, "create", "secrets", &narrow.system));
    let ledgers = "recordledgers.maildomain.dev";
    assert!(may(narrow, "create", ledgers, &narrow.system));
    assert!(!may(narrow, "get", ledgers, &narrow.namespace));
}

fn a_wide_release_serves_anywhere(wide: &Site) {
    for (verb, resource) in TENANT {
        assert!(may(wide, verb, resource, ELSEWHERE), "{verb} {resource} anywhere");
    }
    for (verb, resource) in NEVER {
        assert!(!may(wide, verb, resource, ELSEWHERE), "{verb} {resource}");
    }
    let roles = kubectl(&["get", "roles,rolebindings", "-n", &wide.namespace, "-o", "name"]);
    assert_eq!(roles, "", "nothing is left for single namespaces");
}

/// Whether the release's ServiceAccount may do something.
pub(super) fn may(site: &Site, verb: &str, resource: &str, namespace: &str) -> bool {
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
