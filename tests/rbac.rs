//! The chart's roles grant what the code does, and no more than that by name.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on shall say so"
)]

#[path = "support/helm.rs"]
mod helm;
#[path = "support/source.rs"]
#[expect(dead_code, reason = "the rest is for tests/tidy.rs")]
mod source;

use std::collections::BTreeSet;

use serde_json::Value;
use source::{production_files, text};

/// What the code does with a resource.
struct Need {
    /// The type in the code.
    kind: &'static str,
    group: &'static str,
    resource: &'static str,
    /// Words.
    verbs: &'static str,
    scope: Scope,
}

/// Where the code does it.
#[derive(PartialEq)]
enum Scope {
    /// Objects of the cluster.
    Cluster,
    /// Namespaces with MailDomains.
    Tenants,
    /// The operator's own namespace.
    Home,
}

const fn need(
    kind: &'static str,
    group: &'static str,
    resource: &'static str,
    verbs: &'static str,
    scope: Scope,
) -> Need {
    Need {
        kind,
        group,
        resource,
        verbs,
        scope,
    }
}

const OURS: &str = "maildomain.dev";
const NEEDS: &[Need] = &[
    need("Namespace", "", "namespaces", "get", Scope::Cluster),
    need("Event", "events.k8s.io", "events", "create patch", Scope::Cluster),
    need(
        "ClusterDNSProvider",
        OURS,
        "clusterdnsproviders",
        "get list watch",
        Scope::Cluster,
    ),
    need(
        "ClusterDNSProvider",
        OURS,
        "clusterdnsproviders/status",
        "patch",
        Scope::Cluster,
    ),
    need(
        "MailDomainClaim",
        OURS,
        "maildomainclaims",
        "get list watch create delete",
        Scope::Cluster,
    ),
    need(
        "MailDomain",
        OURS,
        "maildomains",
        "get list watch patch",
        Scope::Tenants,
    ),
    need("MailDomain", OURS, "maildomains/status", "patch", Scope::Tenants),
    need(
        "DKIMSigner",
        OURS,
        "dkimsigners",
        "get list watch",
        Scope::Tenants,
    ),
    need("DKIMSigner", OURS, "dkimsigners/status", "patch", Scope::Tenants),
    need("Secret", "", "secrets", "get create update", Scope::Tenants),
    need("Secret", "", "secrets", "get", Scope::Home),
    need(
        "RecordLedger",
        OURS,
        "recordledgers",
        "get list watch create update delete",
        Scope::Home,
    ),
    need(
        "DynamicObject",
        "externaldns.k8s.io",
        "dnsendpoints",
        "get list create patch delete",
        Scope::Home,
    ),
    need(
        "Lease",
        "coordination.k8s.io",
        "leases",
        "get create update",
        Scope::Home,
    ),
];

/// Group, resource, verb.
type Permission = (String, String, String);

/// What the operator's roles of a kind grant; a Role in this namespace, a ClusterRole in none.
fn granted(rendered: &str, kind: &str, namespace: Option<&str>) -> BTreeSet<Permission> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(rendered).unwrap();
    let roles = documents.iter().filter(|document| {
        let name = document["metadata"]["name"].as_str().unwrap_or_default();
        document["kind"] == kind
            && document["metadata"]["namespace"].as_str() == namespace
            && (name.ends_with("-controller") || name.ends_with("-tenant"))
    });
    let all = roles.flat_map(|role| role["rules"].as_array().unwrap());
    all.flat_map(permissions).collect()
}

/// A rule that names single objects grants its verbs as well.
fn permissions(rule: &Value) -> Vec<Permission> {
    let words = |field: &str| -> Vec<String> { serde_json::from_value(rule[field].clone()).unwrap() };
    let (groups, resources, verbs) = (words("apiGroups"), words("resources"), words("verbs"));
    let mut permissions = Vec::new();
    for (group, resource) in groups.iter().flat_map(|g| resources.iter().map(move |r| (g, r))) {
        let each = verbs
            .iter()
            .map(|verb| (group.clone(), resource.clone(), verb.clone()));
        permissions.extend(each);
    }
    permissions
}

/// The needs of a scope that are not met.
fn unmet(granted: &BTreeSet<Permission>, scope: &Scope) -> Vec<Permission> {
    let needs = NEEDS.iter().filter(|need| need.scope == *scope);
    let wanted = needs.flat_map(|need| {
        let verbs = need.verbs.split(' ');
        verbs.map(|verb| (need.group.to_owned(), need.resource.to_owned(), verb.to_owned()))
    });
    wanted
        .filter(|permission| !granted.contains(permission))
        .collect()
}

#[test]
fn the_chart_grants_what_the_code_does() {
    let Some(rendered) = helm::template(&[]) else {
        return;
    };
    let everywhere = granted(&rendered, "ClusterRole", None);
    let at_home = granted(&rendered, "Role", Some("maildomain-system"));
    assert_eq!(unmet(&everywhere, &Scope::Cluster), []);
    assert_eq!(unmet(&everywhere, &Scope::Tenants), []);
    assert_eq!(unmet(&at_home, &Scope::Home), []);
    let mut all = everywhere.iter().chain(&at_home);
    assert_eq!(
        all.find(|(g, r, v)| g == "*" || r == "*" || v == "*"),
        None,
        "nothing is granted by star"
    );
}

#[test]
fn secrets_are_never_listed_watched_or_deleted() {
    let Some(rendered) = helm::template(&["watchNamespaces={a}"]) else {
        return;
    };
    let roles = [
        ("ClusterRole", None),
        ("Role", Some("a")),
        ("Role", Some("maildomain-system")),
    ];
    for (kind, namespace) in roles {
        let granted = granted(&rendered, kind, namespace);
        assert!(!granted.is_empty(), "{kind} {namespace:?}");
        let verbs: BTreeSet<&str> = granted
            .iter()
            .filter(|(_, resource, _)| resource == "secrets")
            .map(|(_, _, verb)| verb.as_str())
            .collect();
        let forbidden = ["list", "watch", "delete", "deletecollection"];
        assert!(
            forbidden.iter().all(|verb| !verbs.contains(verb)),
            "{kind} {namespace:?}: {verbs:?}"
        );
    }
}

#[test]
fn with_named_namespaces_tenants_are_reached_there_alone() {
    let Some(rendered) = helm::template(&["watchNamespaces={a,b}"]) else {
        return;
    };
    for namespace in ["a", "b"] {
        assert_eq!(
            unmet(&granted(&rendered, "Role", Some(namespace)), &Scope::Tenants),
            [],
            "{namespace}"
        );
    }
    let everywhere = granted(&rendered, "ClusterRole", None);
    assert_eq!(unmet(&everywhere, &Scope::Cluster), []);
    let tenant_needs = NEEDS.iter().filter(|need| need.scope == Scope::Tenants);
    let resources: BTreeSet<&str> = tenant_needs.map(|need| need.resource).collect();
    let reach = everywhere
        .iter()
        .filter(|(_, resource, _)| resources.contains(resource.as_str()));
    let reach: Vec<String> = reach
        .map(|(_, resource, verb)| format!("{verb} {resource}"))
        .collect();
    // The finalizer of a namespace that goes away, whose Role may be gone before.
    assert_eq!(reach, ["patch maildomains"]);
}

#[test]
fn every_kind_that_the_code_touches_is_in_the_table() {
    let mut touched = BTreeSet::new();
    for path in production_files("src") {
        let text = text(&path);
        for opening in ["Api<", "Api::<"] {
            let kinds = text
                .split(opening)
                .skip(1)
                .filter_map(|rest| rest.split('>').next());
            touched.extend(kinds.map(str::to_owned));
        }
    }
    // The parameter of functions that watch any kind.
    touched.remove("K");
    let known: BTreeSet<String> = NEEDS.iter().map(|need| need.kind.to_owned()).collect();
    let strangers: Vec<&String> = touched.difference(&known).collect();
    assert!(strangers.is_empty(), "NEEDS says nothing about {strangers:?}");
    assert!(
        touched.contains("Secret") && touched.contains("Lease"),
        "the scan finds kinds: {touched:?}"
    );
}
