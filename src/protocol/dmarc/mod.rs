//! DMARC (RFC 9989): the policy record, which policy applies, and whether receivers read it as it was meant.

mod checks;
mod discovery;
mod places;
mod record;
mod reports;
#[cfg(test)]
pub(crate) mod scene;

use super::{Declaration, PolicyGate, Protocol, Purpose, Wanted};
use crate::api::{Alignment, Dmarc, DmarcPolicy};
use crate::intent::Intent;
use crate::record::{Key, RecordType, Value};

pub use discovery::{Applied, Hit, organizational_domain, own_record, policy, record_name, texts, walk};
pub use record::{DmarcRecord, Scope, VersionFault, parse, strictness};

/// DMARC.
pub const PROTOCOL: Protocol = Protocol {
    name: "DMARC",
    desired,
    checks: checks::ALL,
};

fn desired(declaration: &Declaration<'_>) -> Vec<Wanted> {
    let wanted = || {
        let dmarc = declaration.intent.dmarc.as_ref()?;
        let name = record_name(&declaration.intent.domain)?;
        let text = record_text(dmarc, declaration.policy_gate);
        Wanted::exclusive(name, Purpose::Dmarc, [Value::Txt(text)])
    };
    wanted().into_iter().collect()
}

/// The policy may go out when every sender is known to be proven, or when a record as strict stands there already: a
/// policy is never lowered. `standing` tells the values that stand at an RRset now.
pub fn policy_gate<'a>(
    intent: &Intent,
    senders_proven: bool,
    standing: impl FnOnce(&Key) -> Vec<&'a Value>,
) -> PolicyGate {
    let wanted = intent
        .dmarc
        .as_ref()
        .map_or(DmarcPolicy::None, |dmarc| dmarc.policy);
    let Some(name) = record_name(&intent.domain).filter(|_| wanted > DmarcPolicy::None && !senders_proven)
    else {
        return PolicyGate::Released;
    };
    let standing = standing(&Key::new(name, RecordType::Txt));
    let policies = standing
        .into_iter()
        .filter_map(|value| strictness(value.as_txt()?));
    match policies.max().unwrap_or(DmarcPolicy::None) {
        standing if standing >= wanted => PolicyGate::Released,
        standing => PolicyGate::Held(standing),
    }
}

/// The record that says what was declared. While the gate holds, nothing in it is stricter than what stands there.
pub fn record_text(dmarc: &Dmarc, gate: PolicyGate) -> String {
    let Dmarc {
        policy,
        subdomain_policy,
        non_existent_policy,
        aggregate_reports,
        failure_reports,
        dkim_alignment,
        spf_alignment,
    } = dmarc;
    let allowed = |policy: DmarcPolicy| match gate {
        PolicyGate::Held(standing) => policy.min(standing),
        PolicyGate::Released => policy,
    };
    let own = allowed(*policy);
    let sub = subdomain_policy.map_or(own, allowed);
    let non_existent = non_existent_policy.map_or(sub, allowed);
    let mut tags = vec![format!("v=DMARC1; p={}", word(own))];
    if sub != own {
        tags.push(format!("sp={}", word(sub)));
    }
    if non_existent != sub {
        tags.push(format!("np={}", word(non_existent)));
    }
    if *dkim_alignment == Some(Alignment::Strict) {
        tags.push("adkim=s".to_owned());
    }
    if *spf_alignment == Some(Alignment::Strict) {
        tags.push("aspf=s".to_owned());
    }
    for (tag, uris) in [("rua", aggregate_reports), ("ruf", failure_reports)] {
        if !uris.is_empty() {
            tags.push(format!("{tag}={}", uris.join(",")));
        }
    }
    tags.join("; ")
}

fn word(policy: DmarcPolicy) -> &'static str {
    match policy {
        DmarcPolicy::None => "none",
        DmarcPolicy::Quarantine => "quarantine",
        DmarcPolicy::Reject => "reject",
    }
}

#[cfg(test)]
mod tests;
