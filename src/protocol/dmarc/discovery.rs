//! Which DMARC record applies to a domain, and its organizational domain: the tree walk of RFC 9989 section 4.10.
//!
//! Pure: answers come from [`Facts`]. A question that failed makes the result unknown, never absent.

use super::record::{DmarcRecord, Scope, parse};
use crate::api::DmarcPolicy;
use crate::lookup::{Answer, Facts, Failure};
use crate::name::Name;
use crate::record::RecordType;

/// A policy record that was met on the walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The domain that it is for.
    pub domain: Name,
    /// The record.
    pub record: DmarcRecord,
}

/// The policy that governs mail from a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// Where it was found.
    pub hit: Hit,
    /// Whom it is for, seen from there.
    pub scope: Scope,
}

impl Applied {
    /// What it asks for, without regard to `t=`; `None`: nothing, as if there were no record.
    pub fn requested(&self) -> Option<DmarcPolicy> {
        self.hit.record.requested(self.scope)
    }

    /// What RFC 9989 receivers apply.
    pub fn effective(&self) -> Option<DmarcPolicy> {
        self.hit.record.effective(self.scope)
    }
}

/// Where the record of a domain stands: `_dmarc.<domain>`. `None`: the name would be too long to exist.
pub fn record_name(domain: &Name) -> Option<Name> {
    domain.child("_dmarc").ok()
}

/// The texts at `_dmarc.<domain>`.
pub fn texts(facts: &Facts, domain: &Name) -> Result<Vec<String>, Failure> {
    match record_name(domain) {
        Some(name) => facts.ask(&name, RecordType::Txt).texts(),
        None => Ok(Vec::new()),
    }
}

/// The one valid record of this very domain; several count as none.
pub fn own_record(facts: &Facts, domain: &Name) -> Result<Option<DmarcRecord>, Failure> {
    let mut records: Vec<DmarcRecord> = texts(facts, domain)?
        .iter()
        .filter_map(|text| parse(text)?.ok())
        .collect();
    Ok(records.pop().filter(|_| records.is_empty()))
}

/// The domains that a walk visits: at most eight, however deep it begins.
pub(super) fn steps(start: &Name) -> impl Iterator<Item = Name> {
    let count = start.label_count();
    start
        .ancestors()
        .filter(move |name| name.label_count() == count || name.label_count() < count.min(8))
}

/// The records on the way up, most specific first; a record with `psd=y` or `psd=n` ends the way.
pub fn walk(facts: &Facts, start: &Name) -> Result<Vec<Hit>, Failure> {
    // All are asked before one is judged: so a walk takes one round of questions, not eight.
    let answers: Vec<_> = steps(start)
        .map(|domain| (own_record(facts, &domain), domain))
        .collect();
    let mut hits = Vec::new();
    for (record, domain) in answers {
        if let Some(record) = record? {
            let last = record.public_suffix.is_some();
            hits.push(Hit { domain, record });
            if last {
                break;
            }
        }
    }
    Ok(hits)
}

/// The organizational domain (RFC 9989 section 4.10.2).
pub fn organizational_domain(facts: &Facts, domain: &Name) -> Result<Name, Failure> {
    Ok(organizational_of(&walk(facts, domain)?, domain))
}

fn organizational_of(hits: &[Hit], domain: &Name) -> Name {
    let Some(last) = hits.last() else {
        return domain.clone();
    };
    if last.record.public_suffix == Some(true) && last.domain != *domain {
        let below = |name: &Name| name.parent().as_ref() == Some(&last.domain);
        return domain.ancestors().find(below).unwrap_or_else(|| domain.clone());
    }
    // Fewest labels, or the `psd=n` that ended the way.
    last.domain.clone()
}

/// The policy that governs mail from a domain (RFC 9989 section 4.10.1); `None`: none does.
pub fn policy(facts: &Facts, domain: &Name) -> Result<Option<Applied>, Failure> {
    if let Some(record) = own_record(facts, domain)? {
        let hit = Hit {
            domain: domain.clone(),
            record,
        };
        let scope = Scope::Own;
        return Ok(Some(Applied { hit, scope }));
    }
    let mut hits = walk(facts, domain)?;
    let organizational = organizational_of(&hits, domain);
    let at = hits
        .iter()
        .position(|hit| hit.domain == organizational)
        .or_else(|| hits.iter().position(|hit| hit.record.public_suffix == Some(true)));
    let Some(at) = at else {
        return Ok(None);
    };
    let scope = match facts.ask(domain, RecordType::Txt) {
        Answer::NxDomain { .. } => Scope::NonExistent,
        Answer::Records { .. } | Answer::NoData { .. } => Scope::Subdomain,
        Answer::Failed(failure) => return Err(failure),
    };
    let hit = hits.swap_remove(at);
    Ok(Some(Applied { hit, scope }))
}

#[cfg(test)]
mod tests {
    use super::super::scene::Scene;
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn found(zone: &str, domain: &str) -> String {
        let scene = Scene::of("example.com").zone(zone);
        scene.facts(|facts| {
            let organizational = organizational_domain(facts, &name(domain));
            match policy(facts, &name(domain)) {
                Ok(Some(applied)) => format!(
                    "{:?} from {} for {:?}, org {}",
                    applied.effective().unwrap(),
                    applied.hit.domain,
                    applied.scope,
                    organizational.unwrap()
                ),
                Ok(None) => format!("none, org {}", organizational.unwrap()),
                Err(failure) => format!("{failure:?}"),
            }
        })
    }

    #[test]
    fn a_walk_visits_eight_domains_at_most() {
        let visited = |domain: &str| steps(&name(domain)).map(|n| n.label_count()).collect::<Vec<_>>();
        assert_eq!(visited("example.com"), [2, 1]);
        assert_eq!(visited("a.b.c.d.e.f.com"), [7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(visited("a.b.c.d.e.f.g.com"), [8, 7, 6, 5, 4, 3, 2, 1]);
        assert_eq!(visited("a.b.c.d.e.f.g.h.i.j.com"), [11, 7, 6, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn the_own_record_governs_else_the_organizations() {
        let org = "_dmarc.example.com TXT v=DMARC1; p=reject; sp=quarantine; np=none\n";
        let with = |more: &str| format!("{org}{more}");
        for (zone, domain, expected) in [
            ("", "example.com", "none, org example.com"),
            (
                org,
                "example.com",
                "Reject from example.com for Own, org example.com",
            ),
            (
                &with("m.example.com A 192.0.2.1"),
                "m.example.com",
                "Quarantine from example.com for Subdomain, org example.com",
            ),
            (
                org,
                "m.example.com",
                "None from example.com for NonExistent, org example.com",
            ),
            // A record in between does not govern those below it, unless it says psd=n.
            (
                &with("_dmarc.m.example.com TXT v=DMARC1; p=none\na.m.example.com A 192.0.2.1"),
                "a.m.example.com",
                "Quarantine from example.com for Subdomain, org example.com",
            ),
            (
                &with("_dmarc.m.example.com TXT v=DMARC1; p=none; psd=n\na.m.example.com A 192.0.2.1"),
                "a.m.example.com",
                "None from m.example.com for Subdomain, org m.example.com",
            ),
            // V66: two records are none.
            (
                "_dmarc.m.example.com TXT v=DMARC1; p=none\n_dmarc.m.example.com TXT v=DMARC1; p=reject\n_dmarc.example.com TXT v=DMARC1; p=none; sp=quarantine",
                "m.example.com",
                "Quarantine from example.com for Subdomain, org example.com",
            ),
            // V73: what a wildcard answers is no policy.
            (
                &with("*.example.com TXT v=spf1 -all"),
                "sub.example.com",
                "Quarantine from example.com for Subdomain, org example.com",
            ),
        ] {
            assert_eq!(found(zone, domain), expected, "{domain} in {zone}");
        }
    }

    #[test]
    fn a_public_suffix_makes_its_children_organizations() {
        let zone = "_dmarc.example.com TXT v=DMARC1; p=reject; psd=y\nnews.example.com A 192.0.2.1\na.bounce.example.com A 192.0.2.1";
        for (domain, expected) in [
            (
                "news.example.com",
                "Reject from example.com for Subdomain, org news.example.com",
            ),
            (
                "a.bounce.example.com",
                "Reject from example.com for Subdomain, org bounce.example.com",
            ),
            ("example.com", "Reject from example.com for Own, org example.com"),
        ] {
            assert_eq!(found(zone, domain), expected, "{domain}");
        }
    }

    #[test]
    fn a_failed_question_is_not_an_absent_record() {
        assert_eq!(found("_dmarc.example.com SERVFAIL", "example.com"), "ServFail");
        assert_eq!(found("_dmarc.com SERVFAIL", "example.com"), "ServFail");
    }
}
