//! Who may publish what, and where: the one place that enforces `allow`, claims and zones. Pure.
//!
//! Every name that is to be written passes [`place`]. The answer is a [`Home`] or a [`Refusal`] with a reason of a
//! closed list; nothing else in the operator looks at `allow`.

use std::collections::BTreeMap;
use std::net::IpAddr;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::api::{Allow, ClusterDNSProviderSpec};
use crate::cidr::Cidr;
use crate::name::Name;

/// A provider as far as tenancy is concerned.
#[derive(Debug, Clone, PartialEq)]
pub struct Provider {
    /// Name of the object.
    pub name: String,
    /// Zones that it serves.
    pub zones: Vec<Name>,
    /// Who may use it.
    pub allow: Vec<Allow>,
}

impl Provider {
    /// From the object; zones that do not parse serve nothing.
    pub fn new(name: &str, spec: &ClusterDNSProviderSpec) -> Self {
        let zones = spec
            .zones
            .iter()
            .filter_map(|zone| Name::parse(zone).ok())
            .collect();
        Self {
            name: name.to_owned(),
            zones,
            allow: spec.allow.clone(),
        }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct Tenant<'a> {
    /// The namespace's labels.
    pub labels: &'a BTreeMap<String, String>,
    /// The MailDomain's domain.
    pub domain: &'a Name,
    /// Claims below the domain that another namespace holds.
    pub foreign_claims: &'a [Name],
}

/// Where a name is published.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Home {
    /// The provider object.
    pub provider: String,
    /// The zone.
    pub zone: Name,
}

impl Home {
    /// Of a name that is looked at in DNS, without a provider.
    pub fn in_dns(name: &Name) -> Self {
        Self {
            provider: String::new(),
            zone: name.clone(),
        }
    }
}

/// Why a name is not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No provider of the MailDomain serves a zone that holds it.
    #[error(
        "no provider in spec.publishing.providerRefs serves a zone that holds {0}; add one, or add the record by hand"
    )]
    NoProvider(Name),
    /// `allow` does not list this namespace and domain.
    #[error(
        "the provider {provider} does not allow this namespace to publish {name}; its administrator can extend spec.allow"
    )]
    NotAllowed {
        /// The provider.
        provider: String,
        /// The name.
        name: Name,
    },
    /// The name lies neither below the domain nor in the reverse tree.
    #[error("{0} is not at or below the declared domain")]
    OutsideDomain(Name),
    /// Another namespace claims a domain between.
    #[error("{name} belongs to the claim of {claim}, which another namespace holds")]
    NameConflict {
        /// The name.
        name: Name,
        /// The deeper claim.
        claim: Name,
    },
    /// Another operator owns the domain, see [`crate::plan::Owner`]; the sentence says who.
    #[error("{0}")]
    OwnedElsewhere(String),
}

impl Refusal {
    /// One word for status rows.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoProvider(_) => "NoProvider",
            Self::NotAllowed { .. } => "NotAllowed",
            Self::OutsideDomain(_) => "OutsideDomain",
            Self::NameConflict { .. } => "NameConflict",
            Self::OwnedElsewhere(_) => "OwnedElsewhere",
        }
    }
}

/// Where the tenant may publish a name, among the providers that its MailDomain refers to. The longest matching zone
/// wins; of two providers with the same zone the first one.
pub fn place(tenant: &Tenant<'_>, providers: &[Provider], name: &Name) -> Result<Home, Refusal> {
    let reverse = address_of(name);
    belongs(tenant, name)?;
    let mut best: Option<(&Provider, &Name)> = None;
    for provider in providers {
        let Some(zone) = name.longest_match(&provider.zones) else {
            continue;
        };
        if best.is_none_or(|(_, other)| zone.label_count() > other.label_count()) {
            best = Some((provider, zone));
        }
    }
    let (provider, zone) = best.ok_or_else(|| Refusal::NoProvider(name.clone()))?;
    if allowed(&provider.allow, tenant, reverse) {
        Ok(Home {
            provider: provider.name.clone(),
            zone: zone.clone(),
        })
    } else {
        Err(Refusal::NotAllowed {
            provider: provider.name.clone(),
            name: name.clone(),
        })
    }
}

/// Whether the name is the tenant's to declare, whoever writes it: at or below the domain and in no deeper claim of
/// another namespace, or in the reverse tree, where providers decide.
pub fn belongs(tenant: &Tenant<'_>, name: &Name) -> Result<(), Refusal> {
    if address_of(name).is_some() {
        return Ok(());
    }
    if !name.is_within(tenant.domain) {
        return Err(Refusal::OutsideDomain(name.clone()));
    }
    match name.longest_match(tenant.foreign_claims) {
        Some(claim) => Err(Refusal::NameConflict {
            name: name.clone(),
            claim: claim.clone(),
        }),
        None => Ok(()),
    }
}

/// Default deny: some entry must select the namespace and list the domain, or for a reverse name its address.
fn allowed(allow: &[Allow], tenant: &Tenant<'_>, reverse: Option<IpAddr>) -> bool {
    allow.iter().any(
        |Allow {
             namespace_selector,
             domains,
             reverse: ranges,
         }| {
            selects(namespace_selector, tenant.labels)
                && match reverse {
                    Some(address) => ranges
                        .iter()
                        .any(|r| r.parse::<Cidr>().is_ok_and(|range| range.contains(address))),
                    None => domains.iter().any(|pattern| matches(pattern, tenant.domain)),
                }
        },
    )
}

/// `example.com`: that MailDomain; `*.example.com`: every one below it; `*`: every one.
fn matches(pattern: &str, domain: &Name) -> bool {
    if pattern == "*" {
        return true;
    }
    match pattern.strip_prefix("*.") {
        Some(parent) => {
            Name::parse(parent).is_ok_and(|parent| domain != &parent && domain.is_within(&parent))
        }
        None => Name::parse(pattern).is_ok_and(|exact| domain == &exact),
    }
}

/// The address whose reverse name this is (RFC 1035 section 3.5, RFC 3596 section 2.5).
pub fn address_of(name: &Name) -> Option<IpAddr> {
    let labels: Vec<&str> = name.labels().collect();
    match labels.as_slice() {
        [a, b, c, d, "in-addr", "arpa"] => format!("{d}.{c}.{b}.{a}").parse().ok(),
        [nibbles @ .., "ip6", "arpa"] if nibbles.len() == 32 => {
            let digits: String = nibbles.iter().rev().copied().collect();
            (digits.len() == 32).then_some(())?;
            u128::from_str_radix(&digits, 16)
                .ok()
                .map(|bits| IpAddr::from(bits.to_be_bytes()))
        }
        _ => None,
    }
}

/// Whether labels match a selector, by the rules of Kubernetes. An empty selector matches everything; an unknown
/// operator matches nothing.
pub fn selects(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    let LabelSelector {
        match_labels,
        match_expressions,
    } = selector;
    let exact = match_labels
        .iter()
        .flatten()
        .all(|(key, value)| labels.get(key) == Some(value));
    exact
        && match_expressions.iter().flatten().all(|requirement| {
            let value = labels.get(&requirement.key);
            let listed = value.is_some_and(|v| requirement.values.iter().flatten().any(|x| x == v));
            match requirement.operator.as_str() {
                "In" => listed,
                "NotIn" => !listed,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                _ => false,
            }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn provider(
        text: &str,
        zones: &[&str],
        domains: &[&str],
        reverse: &[&str],
        team: Option<&str>,
    ) -> Provider {
        let match_labels = team.map(|team| BTreeMap::from([("team".to_owned(), team.to_owned())]));
        Provider {
            name: text.to_owned(),
            zones: zones.iter().map(|z| name(z)).collect(),
            allow: vec![Allow {
                namespace_selector: LabelSelector {
                    match_labels,
                    match_expressions: None,
                },
                domains: domains.iter().map(|d| (*d).to_owned()).collect(),
                reverse: reverse.iter().map(|r| (*r).to_owned()).collect(),
            }],
        }
    }

    fn ask(
        providers: &[Provider],
        team: &str,
        domain: &str,
        claims: &[&str],
        target: &str,
    ) -> Result<Home, Refusal> {
        let labels = BTreeMap::from([("team".to_owned(), team.to_owned())]);
        let claims: Vec<Name> = claims.iter().map(|c| name(c)).collect();
        let domain = name(domain);
        place(
            &Tenant {
                labels: &labels,
                domain: &domain,
                foreign_claims: &claims,
            },
            providers,
            &name(target),
        )
    }

    #[test]
    fn nothing_is_allowed_by_default() {
        let mut closed = provider("p", &["example.com"], &[], &[], None);
        assert_eq!(
            ask(&[closed.clone()], "a", "example.com", &[], "example.com")
                .unwrap_err()
                .reason(),
            "NotAllowed"
        );
        closed.allow.clear();
        assert_eq!(
            ask(&[closed], "a", "example.com", &[], "example.com")
                .unwrap_err()
                .reason(),
            "NotAllowed"
        );
    }

    #[test]
    fn namespaces_and_domains_must_both_match() {
        let providers = [provider(
            "p",
            &["example.com"],
            &["*.example.com"],
            &[],
            Some("mail"),
        )];
        assert!(
            ask(
                &providers,
                "mail",
                "news.example.com",
                &[],
                "x._domainkey.news.example.com"
            )
            .is_ok()
        );
        assert!(ask(&providers, "mail", "example.com", &[], "example.com").is_err());
        assert!(ask(&providers, "web", "news.example.com", &[], "news.example.com").is_err());
    }

    #[test]
    fn the_longest_zone_wins_across_providers() {
        let providers = [
            provider("a", &["example.com"], &["*"], &[], None),
            provider("b", &["bounce.example.com"], &["*"], &[], None),
        ];
        assert_eq!(
            ask(&providers, "", "example.com", &[], "bounce.example.com")
                .unwrap()
                .provider,
            "b"
        );
        assert_eq!(
            ask(&providers, "", "example.com", &[], "example.com")
                .unwrap()
                .provider,
            "a"
        );
    }

    #[test]
    fn a_refusal_is_not_escaped_by_a_shorter_zone_elsewhere() {
        let providers = [
            provider("open", &["example.com"], &["*"], &[], None),
            provider("closed", &["mail.example.com"], &[], &[], None),
        ];
        assert_eq!(
            ask(&providers, "", "example.com", &[], "mail.example.com")
                .unwrap_err()
                .reason(),
            "NotAllowed"
        );
    }

    #[test]
    fn reverse_names_go_by_address() {
        let providers = [provider(
            "p",
            &["113.0.203.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa"],
            &["*"],
            &["203.0.113.0/28"],
            None,
        )];
        assert!(ask(&providers, "", "example.com", &[], "4.113.0.203.in-addr.arpa").is_ok());
        assert!(ask(&providers, "", "example.com", &[], "99.113.0.203.in-addr.arpa").is_err());
        let v6 = Name::reverse("2001:db8::4".parse().unwrap());
        assert_eq!(
            ask(&providers, "", "example.com", &[], v6.as_str())
                .unwrap_err()
                .reason(),
            "NotAllowed"
        );
    }

    #[test]
    fn names_outside_or_of_deeper_claims_are_refused() {
        let providers = [provider("p", &["com"], &["*"], &[], None)];
        assert_eq!(
            ask(&providers, "", "example.com", &[], "example.org")
                .unwrap_err()
                .reason(),
            "OutsideDomain"
        );
        let claims = ["news.example.com"];
        assert_eq!(
            ask(&providers, "", "example.com", &claims, "a.news.example.com")
                .unwrap_err()
                .reason(),
            "NameConflict"
        );
        assert!(ask(&providers, "", "example.com", &claims, "_dmarc.example.com").is_ok());
    }

    #[test]
    fn reverse_names_are_read_back_to_addresses() {
        for text in ["203.0.113.4", "2001:db8::4"] {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(address_of(&Name::reverse(address)), Some(address));
        }
        assert_eq!(address_of(&name("113.0.203.in-addr.arpa")), None);
    }
}
