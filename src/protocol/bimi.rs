//! BIMI (draft-brand-indicators-for-message-identification): where the logo of the domain is. Only if declared.
//!
//! Whether the logo and its certificate can be fetched is not looked at: this reads DNS alone.

use super::tag_list::{self, Problem, TagList, shown};
use super::{Check, Declaration, Evidence, Protocol, Purpose, Wanted, dmarc};
use crate::api::{DmarcPolicy, Severity};
use crate::finding::{Finding, Gate};
use crate::intent::Bimi;
use crate::lookup::Failure;
use crate::record::{RecordType, Value};

/// BIMI.
pub const PROTOCOL: Protocol = Protocol {
    name: "BIMI",
    desired,
    checks: &[LOCATION, SYNTAX, EVIDENCE, DMARC_GATE],
};

const LOCATION: Check = Check {
    id: "bimi-location",
    title: "one BIMI record at the selector",
    source: "BIMI draft, Assertion Record Discovery",
    gate: Gate::Bimi,
    run: location,
};
const SYNTAX: Check = Check {
    id: "bimi-syntax",
    title: "the BIMI record can be read",
    source: "BIMI draft, Assertion Record Definition",
    gate: Gate::Bimi,
    run: syntax,
};
const EVIDENCE: Check = Check {
    id: "bimi-evidence",
    title: "a mark certificate is named",
    source: "BIMI draft, Authority Evidence",
    gate: Gate::Bimi,
    run: certificate,
};
const DMARC_GATE: Check = Check {
    id: "bimi-dmarc-gate",
    title: "DMARC is strict enough for a logo",
    source: "BIMI draft, Authentication Requirements",
    gate: Gate::Bimi,
    run: dmarc_gate,
};

fn desired(declaration: &Declaration<'_>) -> Vec<Wanted> {
    let wanted = |bimi: &Bimi| {
        Wanted::exclusive(
            bimi.record_name.clone(),
            Purpose::Bimi,
            [Value::Txt(record_text(bimi))],
        )
    };
    declaration
        .intent
        .bimi
        .as_ref()
        .and_then(wanted)
        .into_iter()
        .collect()
}

fn record_text(bimi: &Bimi) -> String {
    let Bimi {
        record_name: _,
        logo,
        certificate,
    } = bimi;
    match certificate {
        Some(certificate) => format!("v=BIMI1; l={logo}; a={certificate}"),
        None => format!("v=BIMI1; l={logo}"),
    }
}

/// The texts at the declared name: those that mean BIMI, and the others.
fn look(evidence: &Evidence<'_>, bimi: &Bimi) -> Result<(Vec<String>, Vec<String>), Failure> {
    let texts = evidence.facts.ask(&bimi.record_name, RecordType::Txt).texts()?;
    Ok(texts.into_iter().partition(|text| {
        let text = tag_list::without_blanks(text).to_ascii_lowercase();
        text.contains("v=bimi") || text.starts_with("l=")
    }))
}

/// The only BIMI text.
fn only(evidence: &Evidence<'_>, bimi: &Bimi) -> Option<String> {
    let (mut ours, _) = look(evidence, bimi).ok()?;
    ours.pop().filter(|_| ours.is_empty())
}

fn location(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(bimi) = &evidence.declaration.intent.bimi else {
        return Vec::new();
    };
    let name = &bimi.record_name;
    let line = || format!("{name} TXT \"{}\"", record_text(bimi));
    let (severity, message) = match look(evidence, bimi) {
        Err(failure) => (
            Severity::Unknown,
            format!(
                "Nobody knows whether {name} has a BIMI record: the resolver {failure}. It is asked again."
            ),
        ),
        Ok((ours, _)) if ours.is_empty() => (
            Severity::Fail,
            format!("{name} has no BIMI record. Publish {}.", line()),
        ),
        Ok((ours, _)) if ours.len() > 1 => (
            Severity::Fail,
            format!(
                "{name} has {} BIMI records and receivers use none of them. Keep {}.",
                ours.len(),
                line()
            ),
        ),
        Ok((_, others)) => match others.first() {
            None => return Vec::new(),
            Some(other) => (
                Severity::Warn,
                format!(
                    "{name} also holds {}, which has no meaning there. Remove it.",
                    shown(other)
                ),
            ),
        },
    };
    vec![LOCATION.finding(severity, name, message)]
}

fn syntax(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(bimi) = &evidence.declaration.intent.bimi else {
        return Vec::new();
    };
    let Some(text) = only(evidence, bimi) else {
        return Vec::new();
    };
    let list = TagList::read(&text);
    let wrong = faults(&list).into_iter().map(|why| {
        let message = format!(
            "In the BIMI record {why}, and receivers must not repair it. Publish \"{}\".",
            record_text(bimi)
        );
        (Severity::Fail, message)
    });
    let unknown = list
        .others(&["v", "l", "a", "avp", "lps"])
        .into_iter()
        .map(|tag| {
            let message = format!("The tag {} is not known; receivers ignore it.", shown(tag));
            (Severity::Info, message)
        });
    wrong
        .chain(unknown)
        .map(|(severity, message)| SYNTAX.finding(severity, &bimi.record_name, message))
        .collect()
}

fn faults(list: &TagList<'_>) -> Vec<String> {
    let mut wrong: Vec<String> = list.problems.iter().map(Problem::to_string).collect();
    if !list
        .tags
        .first()
        .is_some_and(|tag| tag.position == 0 && tag.name == "v" && tag.value == "BIMI1")
    {
        wrong.push("v=BIMI1 does not come first".to_owned());
    }
    if list.value("l").is_none() {
        wrong.push("the tag l= is missing".to_owned());
    }
    // Both empty is how a domain declines; an empty l= beside a certificate names no logo either, which is allowed.
    let addresses = [("l", list.value("l")), ("a", list.value("a"))];
    wrong.extend(addresses.into_iter().filter_map(|(tag, value)| {
        let value = value.filter(|value| !value.is_empty() && !is_https(value))?;
        Some(format!("{tag}={} is not one https:// address", shown(value)))
    }));
    if let Some(preference) = list.value("avp").filter(|v| !matches!(*v, "brand" | "personal")) {
        wrong.push(format!("avp={} is neither brand nor personal", shown(preference)));
    }
    let prefix =
        |p: &str| (1..=63).contains(&p.len()) && p.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if let Some(prefixes) = list.value("lps")
        && !tag_list::members(prefixes, ',').all(prefix)
    {
        wrong.push(format!(
            "lps={} is not a list of local-part prefixes",
            shown(prefixes)
        ));
    }
    wrong
}

fn is_https(value: &str) -> bool {
    let rest = value
        .get(..8)
        .filter(|scheme| scheme.eq_ignore_ascii_case("https://"));
    rest.is_some()
        && value.len() > 8
        && !value.contains([',', ' ', '\t', '#', '@'])
        && !value[8..].starts_with('/')
}

fn certificate(evidence: &Evidence<'_>) -> Vec<Finding> {
    let Some(bimi) = &evidence.declaration.intent.bimi else {
        return Vec::new();
    };
    let Some(text) = only(evidence, bimi) else {
        return Vec::new();
    };
    let list = TagList::read(&text);
    let filled = |tag| list.value(tag).is_some_and(|value| !value.is_empty());
    // Both empty is how a domain declines.
    if filled("a") || !filled("l") {
        return Vec::new();
    }
    let message = format!(
        "The BIMI record at {} names no mark certificate, and the largest mailbox providers show no logo without one. Declare bimi.certificate.",
        bimi.record_name
    );
    vec![EVIDENCE.finding(Severity::Warn, &bimi.record_name, message)]
}

/// The draft's authentication requirements: the From domain and its organization both refuse or set aside what fails.
fn dmarc_gate(evidence: &Evidence<'_>) -> Vec<Finding> {
    let intent = evidence.declaration.intent;
    let Some(bimi) = &intent.bimi else {
        return Vec::new();
    };
    let facts = evidence.facts;
    let own = dmarc::policy(facts, &intent.domain);
    let organization = dmarc::organizational_domain(facts, &intent.domain)
        .and_then(|domain| Ok((dmarc::own_record(facts, &domain)?, domain)));
    let (severity, why) = match (own, organization) {
        (Err(failure), _) | (_, Err(failure)) => (
            Severity::Unknown,
            format!("Nobody knows whether DMARC allows a logo: the resolver {failure}. It is asked again."),
        ),
        (Ok(own), Ok((above, organization))) => {
            let weak = match own {
                None => Some("no DMARC policy applies".to_owned()),
                Some(applied) if applied.effective() <= Some(DmarcPolicy::None) => {
                    Some(format!("the DMARC policy of {} is none", intent.domain))
                }
                Some(applied) => weakness(&applied.hit.record, &applied.hit.domain.to_string()),
            };
            let weak = weak.or_else(|| {
                let record = above.as_ref()?;
                if record.effective(dmarc::Scope::Own) <= Some(DmarcPolicy::None) {
                    return Some(format!("the DMARC policy of {organization} is none"));
                }
                weakness(record, organization.as_str())
            });
            let Some(weak) = weak else {
                return Vec::new();
            };
            let message = format!(
                "Receivers show no logo because {weak}. Declare dmarc.policy: Quarantine or Reject for {} and its organization {organization}.",
                intent.domain
            );
            (Severity::Fail, message)
        }
    };
    vec![DMARC_GATE.finding(severity, &bimi.record_name, why)]
}

/// What else in a DMARC record keeps the logo away.
fn weakness(record: &dmarc::DmarcRecord, domain: &str) -> Option<String> {
    if record.subdomain_policy == Some(DmarcPolicy::None) {
        return Some(format!("the DMARC record of {domain} says sp=none"));
    }
    let sampled = |(tag, value): &&(&'static str, String)| *tag == "pct" && value.trim() != "100";
    record
        .removed
        .iter()
        .find(sampled)
        .map(|(_, value)| format!("the DMARC record of {domain} says pct={}", shown(value)))
}

#[cfg(test)]
mod tests {
    use super::super::dmarc::scene::Scene;
    use super::*;
    use serde_json::json;

    const DMARC: &str = "_dmarc.example.com TXT v=DMARC1; p=reject; rua=mailto:a@example.com";
    const BIMI: &str = "default._bimi.example.com TXT v=BIMI1; l=https://example.com/logo.svg; a=https://example.com/vmc.pem";

    fn scene(zone: &str) -> Scene {
        let bimi = json!({ "selector": "default", "logo": "https://example.com/logo.svg", "certificate": "https://example.com/vmc.pem" });
        Scene::of("example.com").with("bimi", bimi).zone(zone)
    }

    #[test]
    fn a_declared_logo_is_published() {
        let text = |scene: Scene| scene.declared(|d| desired(d)[0].values.first().unwrap().to_string());
        assert_eq!(
            text(scene("")),
            "\"v=BIMI1; l=https://example.com/logo.svg; a=https://example.com/vmc.pem\""
        );
        let bare = scene("").with(
            "bimi",
            json!({ "selector": "default", "logo": "https://example.com/logo.svg" }),
        );
        assert_eq!(text(bare), "\"v=BIMI1; l=https://example.com/logo.svg\"");
        assert!(Scene::of("example.com").declared(|d| desired(d).is_empty()));
    }

    #[test]
    fn a_good_record_has_no_findings_and_each_change_has_its_own() {
        let checks = PROTOCOL.checks;
        assert_eq!(scene(&format!("{BIMI}\n{DMARC}")).findings(checks), [""; 0]);
        assert_eq!(Scene::of("example.com").findings(checks), [""; 0]);
        let name = "default._bimi.example.com";
        for (text, expected) in [
            (
                "v=BIMI1; l=https://example.com/logo.svg",
                &["Warn bimi-evidence"] as &[&str],
            ),
            ("v=BIMI1; l=; a=", &[]),
            (
                "v=bimi1; l=https://e.com/l.svg; a=https://e.com/a.pem",
                &["Fail bimi-syntax"],
            ),
            (
                "l=https://e.com/l.svg; v=BIMI1; a=https://e.com/a.pem",
                &["Fail bimi-syntax"],
            ),
            ("v=BIMI1; a=https://e.com/a.pem", &["Fail bimi-syntax"]),
            (
                "v=BIMI1; l=http://e.com/l.svg; a=https://e.com/a.pem",
                &["Fail bimi-syntax"],
            ),
            (
                "v=BIMI1; l=https://e.com/l.svg; l=; a=https://e.com/a.pem",
                &["Fail bimi-syntax"],
            ),
            (
                "v=BIMI1; l=https://e.com/l.svg; a=https://e.com/a.pem; avp=none",
                &["Fail bimi-syntax"],
            ),
            (
                "v=BIMI1; l=https://e.com/l.svg; a=https://e.com/a.pem; x=1",
                &["Info bimi-syntax"],
            ),
            ("v=spf1 -all", &["Fail bimi-location"]),
        ] {
            assert_eq!(
                scene(&format!("{name} TXT {text}\n{DMARC}")).findings(checks),
                expected,
                "{text}"
            );
        }
        for (more, expected) in [
            ("TXT v=spf1 -all", "Warn bimi-location"),
            ("TXT v=BIMI1; l=; a=", "Fail bimi-location"),
            ("SERVFAIL", "Unknown bimi-location"),
        ] {
            let zone = format!("{BIMI}\n{name} {more}\n{DMARC}");
            assert_eq!(scene(&zone).findings(checks), [expected], "{more}");
        }
    }

    #[test]
    fn a_weak_dmarc_policy_holds_the_logo_back() {
        for (dmarc, expected) in [
            ("v=DMARC1; p=quarantine", &[] as &[&str]),
            (
                "v=DMARC1; p=none; rua=mailto:a@example.com",
                &["Fail bimi-dmarc-gate"],
            ),
            ("v=DMARC1; p=reject; sp=none", &["Fail bimi-dmarc-gate"]),
            ("v=DMARC1; p=reject; pct=20", &["Fail bimi-dmarc-gate"]),
            ("v=DMARC1; p=quarantine; t=y", &["Fail bimi-dmarc-gate"]),
            ("v=spf1 -all", &["Fail bimi-dmarc-gate"]),
        ] {
            let zone = format!("{BIMI}\n_dmarc.example.com TXT {dmarc}");
            assert_eq!(scene(&zone).findings(PROTOCOL.checks), expected, "{dmarc}");
        }
        let zone = format!("{BIMI}\n_dmarc.example.com SERVFAIL");
        assert_eq!(
            scene(&zone).findings(PROTOCOL.checks),
            ["Unknown bimi-dmarc-gate"]
        );
    }
}
