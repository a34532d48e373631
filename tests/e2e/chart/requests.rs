//! What a release asks of the API server, held against docs/security.md.

use std::collections::BTreeSet;

use crate::harness::Site;

/// The audit log is the witness: what the release's pods asked of the API server, granted or not.
pub(super) fn nothing_was_asked_that_is_not_allowed(site: &Site) {
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
