//! What admission cannot see.

use super::cases;
use crate::harness::{Site, USUAL, apply, kubectl, try_apply};

#[test]
fn what_admission_cannot_see_changes_nothing_and_troubles_nobody() {
    let site = Site::new("accepted");
    let _operator = site.operator();
    let unseen = cases(include_str!("accepted.txt"));
    assert!(unseen.len() >= 8, "the table is read: {}", unseen.len());
    for (index, case) in unseen.iter().enumerate() {
        let domain = format!("bad-{index}.{}", site.zone);
        let manifest = case.manifest(&format!("bad-{index}"), &site.namespace);
        apply(&manifest.replace("g.example", &domain));
    }
    let twice = USUAL.replace(
        "keys: [",
        "keys: [{name: a, delegate: {selector: s, target: a.v.example}}, {name: b, delegate: {selector: s, target: b.v.example}}, ",
    );
    apply(&site.manifest(&twice));
    for (index, case) in unseen.iter().enumerate() {
        let name = format!("bad-{index}");
        Site::wait_for_at(&site.namespace, &name, "Accepted", "False/SpecInvalid");
        let status = Site::domain_at(&site.namespace, &name).status.unwrap_or_default();
        let accepted = status.conditions.iter().find(|c| c.type_ == "Accepted");
        let message = accepted.map(|c| c.message.as_str()).unwrap_or_default();
        let sentence = case
            .sentence
            .replace("g.example", &format!("bad-{index}.{}", site.zone));
        assert!(
            message.contains(case.field) && message.contains(&sentence),
            "{name}: {message}"
        );
    }
    site.wait_for("Accepted", "False/SpecInvalid");
    site.wait_for("Ready", "False/SpecInvalid");
    nothing_is_written(&site);

    // Corrected, it goes on, and those beside it did not keep it from that.
    apply(&site.usual());
    site.wait_for("Ready", "True");
    let published = site.zone_at_provider();
    assert_eq!(published.len(), 7, "{published:#?}");

    // A declaration that was fine before and is broken now takes nothing away.
    apply(&site.manifest(&twice));
    site.wait_for("Accepted", "False/SpecInvalid");
    assert_eq!(site.zone_at_provider(), published);
    apply(&site.usual());
    site.wait_for("Ready", "True");
    assert_eq!(site.zone_at_provider(), published);

    let other = site
        .usual()
        .replace(&format!("domain: {}\n", site.zone), "domain: other.example\n");
    let said = try_apply(&other).expect_err("the domain is immutable");
    assert!(
        said.contains("spec.domain is immutable; create another MailDomain"),
        "{said}"
    );
}

fn nothing_is_written(site: &Site) {
    assert_eq!(site.zone_at_provider(), [""; 0]);
    assert!(site.key_secrets().is_empty());
    assert_eq!(
        kubectl(&["-n", &site.system, "get", "recordledgers", "-o", "name"]),
        ""
    );
    let claims = kubectl(&["get", "maildomainclaims", "-o", "name"]);
    assert!(!claims.contains(&site.zone), "{claims}");
}
