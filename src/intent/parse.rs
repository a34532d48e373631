//! From text to types: every field of the spec, each mistake with the field's path and the fix.

use std::collections::BTreeSet;
use std::net::IpAddr;

use jiff::SignedDuration;

use super::{
    Bimi, Conduct, Dmarc, Host, HostAt, Intent, Key, KeyAlgorithm, KeySource, Mx, Problem, ReturnPath, Sender,
};
use crate::api::{self, DmarcPolicy, HostPurpose, MailDomainSpec};
use crate::cidr::Cidr;
use crate::name::{Name, NameError, Selector};

/// The names of records below the domain need room too: a generated selector has up to 25 characters, `._domainkey.` 12
/// more, and 253 is the end (RFC 1035 section 2.3.4).
const LONGEST_DOMAIN: usize = 215;

/// Parses a spec. All problems are reported, not the first one.
pub fn parse(spec: &MailDomainSpec) -> Result<Intent, Vec<Problem>> {
    let MailDomainSpec {
        domain,
        suspend: _,
        publishing,
        hosts,
        receiving,
        senders,
        spf,
        dmarc,
        bimi,
        legacy_records,
    } = spec;
    let mut problems = Problems::default();
    let Some(domain) = problems.host("spec.domain", domain) else {
        return Err(problems.0);
    };
    if domain.as_str().len() > LONGEST_DOMAIN {
        let message = format!(
            "is longer than {LONGEST_DOMAIN} characters, which leaves no room for the names below it"
        );
        problems.add("spec.domain", message);
        return Err(problems.0);
    }
    let retire_after = parse_retire_after(&mut problems, &publishing.retire_after);
    let hosts: Vec<Host> = hosts
        .iter()
        .enumerate()
        .filter_map(|(i, host)| parse_host(&mut problems, i, host))
        .collect();
    let receiving = receiving
        .as_ref()
        .map(|r| parse_mx(&mut problems, "spec.receiving.mx", &r.mx));
    let senders = senders
        .iter()
        .enumerate()
        .filter_map(|(i, sender)| parse_sender(&mut problems, i, sender, &domain, &hosts))
        .collect();
    let bimi = bimi
        .as_ref()
        .and_then(|bimi| parse_bimi(&mut problems, bimi, &domain));
    let intent = Intent {
        ttl: u32::try_from(publishing.ttl_seconds.clamp(30, 86_400)).unwrap_or(3600),
        conduct: Conduct::of(spec),
        retire_after,
        deletion: publishing.deletion_policy,
        providers: publishing.provider_refs.iter().map(|r| r.name.clone()).collect(),
        hosts,
        receiving,
        senders,
        spf_all: spf.all,
        dmarc: dmarc
            .as_ref()
            .inspect(|dmarc| check_reports(&mut problems, dmarc))
            .cloned(),
        bimi,
        legacy: legacy_records.clone(),
        domain,
    };
    check_uniqueness(&mut problems, &intent);
    if problems.0.is_empty() {
        Ok(intent)
    } else {
        Err(problems.0)
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn add(&mut self, field: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            field: field.into(),
            message: message.into(),
        });
    }

    fn keep<T>(&mut self, field: &str, text: &str, parsed: Result<T, NameError>) -> Option<T> {
        parsed
            .map_err(|error| self.add(field, format!("{} {error}", shown(text))))
            .ok()
    }

    fn host(&mut self, field: &str, text: &str) -> Option<Name> {
        self.keep(field, text, Name::parse_host(text))
    }
}

/// A value of the spec as it may stand in a message: quoted, short, without control characters.
fn shown(text: &str) -> String {
    let short: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    format!("\"{short}\"")
}

/// A year at most: what stays longer is meant to stay, and can be declared.
fn parse_retire_after(problems: &mut Problems, text: &str) -> SignedDuration {
    const LONGEST: SignedDuration = SignedDuration::from_hours(8760);
    let parsed = crate::config::parse_duration(text).and_then(|time| SignedDuration::try_from(time).ok());
    match parsed.filter(|time| *time <= LONGEST) {
        Some(time) => time,
        None => {
            let message = format!(
                "{} is not a duration of 8760h at most; write it as 168h, or 0s",
                shown(text)
            );
            problems.add("spec.publishing.retireAfter", message);
            SignedDuration::ZERO
        }
    }
}

fn parse_host(problems: &mut Problems, index: usize, host: &api::Host) -> Option<Host> {
    let api::Host {
        name,
        purpose,
        addresses,
        target,
        reverse,
    } = host;
    let field = format!("spec.hosts[{index}]");
    let name = problems.host(&format!("{field}.name"), name)?;
    let mut parsed = Vec::new();
    for (i, text) in addresses.iter().enumerate() {
        match text.parse::<IpAddr>() {
            Ok(address) if !parsed.contains(&address) => parsed.push(address),
            Ok(_) => problems.add(
                format!("{field}.addresses[{i}]"),
                format!("{} is listed twice; drop one", shown(text)),
            ),
            Err(_) => problems.add(
                format!("{field}.addresses[{i}]"),
                format!(
                    "{} is not an IPv4 or IPv6 address; write it as 203.0.113.4 or 2001:db8::4",
                    shown(text)
                ),
            ),
        }
    }
    let at = match (target, addresses.is_empty()) {
        (Some(target), true) => HostAt::Alias(problems.host(&format!("{field}.target"), target)?),
        (None, false) => HostAt::Addresses(parsed),
        (Some(_), false) | (None, true) => {
            problems.add(&field, "needs either addresses or target");
            return None;
        }
    };
    if *purpose == HostPurpose::Mail && matches!(at, HostAt::Alias(_)) {
        problems.add(&field, "has purpose Mail and so needs addresses: MX, PTR and HELO names may not be aliases (RFC 2181 section 10.3)");
    }
    Some(Host {
        name,
        purpose: *purpose,
        at,
        reverse: reverse.unwrap_or_default(),
    })
}

fn parse_mx(problems: &mut Problems, field: &str, mx: &[api::MailExchange]) -> Vec<Mx> {
    let mut parsed = Vec::new();
    for (i, api::MailExchange { host, preference }) in mx.iter().enumerate() {
        let Some(host) = problems.host(&format!("{field}[{i}].host"), host) else {
            continue;
        };
        match u16::try_from(*preference) {
            Ok(preference) => parsed.push(Mx { host, preference }),
            Err(_) => problems.add(format!("{field}[{i}].preference"), "must be between 0 and 65535"),
        }
    }
    parsed
}

fn parse_sender(
    problems: &mut Problems,
    index: usize,
    sender: &api::Sender,
    domain: &Name,
    declared: &[Host],
) -> Option<Sender> {
    let api::Sender {
        name,
        hosts,
        egress,
        return_path,
        spf,
        dkim,
    } = sender;
    let field = format!("spec.senders[{index}]");
    let mut host_names = Vec::new();
    for (i, text) in hosts.iter().enumerate() {
        let Some(host) = problems.host(&format!("{field}.hosts[{i}]"), text) else {
            continue;
        };
        if declared
            .iter()
            .any(|d| d.name == host && !d.addresses().is_empty())
        {
            host_names.push(host);
        } else {
            problems.add(
                format!("{field}.hosts[{i}]"),
                format!("{host} is not declared with addresses in spec.hosts; declare it there"),
            );
        }
    }
    let mut ranges = Vec::new();
    for (i, text) in egress.iter().enumerate() {
        match text.parse::<Cidr>() {
            Ok(range) => ranges.push(range),
            Err(error) => problems.add(format!("{field}.egress[{i}]"), format!("{} {error}", shown(text))),
        }
    }
    let return_path = parse_return_path(problems, &field, return_path.as_ref(), domain)?;
    let mut includes = Vec::new();
    for (i, text) in spf.iter().flat_map(|spf| &spf.includes).enumerate() {
        let path = format!("{field}.spf.includes[{i}]");
        includes.extend(problems.keep(&path, text, Name::parse(text)));
    }
    let keys = dkim
        .iter()
        .flat_map(|d| &d.keys)
        .enumerate()
        .filter_map(|(i, key)| parse_key(problems, &format!("{field}.dkim.keys[{i}]"), key, domain))
        .collect();
    let selector_prefix = dkim
        .as_ref()
        .and_then(|d| d.selector_prefix.clone())
        .unwrap_or_else(|| "md".to_owned());
    if let Err(error) = Selector::parse(&selector_prefix) {
        problems.add(
            format!("{field}.dkim.selectorPrefix"),
            format!("{} {error}", shown(&selector_prefix)),
        );
    }
    Some(Sender {
        name: name.clone(),
        hosts: host_names,
        egress: ranges,
        return_path,
        includes,
        keys,
        selector_prefix,
    })
}

fn parse_return_path(
    problems: &mut Problems,
    field: &str,
    spec: Option<&api::ReturnPath>,
    domain: &Name,
) -> Option<ReturnPath> {
    let Some(api::ReturnPath {
        domain: name,
        mx,
        target,
        vendor,
    }) = spec
    else {
        return Some(ReturnPath::Domain {
            name: domain.clone(),
            mx: Vec::new(),
        });
    };
    let field = format!("{field}.returnPath");
    match (name, target, vendor.unwrap_or(false)) {
        (None, None, true) if mx.is_empty() => Some(ReturnPath::Vendor),
        (Some(name), None, false) => {
            let name = problems.host(&format!("{field}.domain"), name)?;
            let mx = parse_mx(problems, &format!("{field}.mx"), mx);
            Some(ReturnPath::Domain { name, mx })
        }
        (Some(name), Some(target), false) if mx.is_empty() => {
            let name = problems.host(&format!("{field}.domain"), name)?;
            let target = problems.keep(&format!("{field}.target"), target, Name::parse(target))?;
            if &name == domain {
                problems.add(
                    format!("{field}.target"),
                    "would make the domain itself an alias; use a subdomain",
                );
            }
            Some(ReturnPath::Alias { name, target })
        }
        _ => {
            problems.add(&field, "needs either domain (with mx or target) or vendor: true");
            None
        }
    }
}

fn parse_key(problems: &mut Problems, field: &str, key: &api::DkimKey, domain: &Name) -> Option<Key> {
    let api::DkimKey {
        name,
        generate,
        import,
        public_key,
        delegate,
    } = key;
    let mut selector = |text: &str| {
        // A selector that is too long for a record below the domain would be left out without a word.
        let fits = Selector::parse(text).and_then(|selector| selector.record_name(domain).map(|_| selector));
        problems.keep(&format!("{field}.selector"), text, fits)
    };
    let source = match (generate, import, public_key, delegate) {
        (Some(generate), None, None, None) => {
            let bits = generate.bits.unwrap_or(2048);
            if !matches!(bits, 2048 | 3072 | 4096) {
                problems.add(
                    format!("{field}.generate.bits"),
                    "must be 2048, 3072 or 4096 (RFC 8301 section 3.2)",
                );
                return None;
            }
            KeySource::Generate {
                algorithm: generate.algorithm,
                bits: usize::try_from(bits).unwrap_or(2048),
            }
        }
        (None, Some(import), None, None) => KeySource::Import {
            selector: selector(&import.selector)?,
            secret: import.secret_ref.name.clone(),
            entry: import.secret_ref.key.clone(),
        },
        (None, None, Some(key), None) => KeySource::PublicKey {
            selector: selector(&key.selector)?,
            algorithm: key.algorithm.unwrap_or(KeyAlgorithm::RSA),
            value: key.value.clone(),
        },
        (None, None, None, Some(delegate)) => KeySource::Delegate {
            selector: selector(&delegate.selector)?,
            target: problems.keep(
                &format!("{field}.delegate.target"),
                &delegate.target,
                Name::parse(&delegate.target),
            )?,
        },
        _ => {
            problems.add(
                field,
                "needs exactly one of generate, import, publicKey, delegate",
            );
            return None;
        }
    };
    if let KeySource::PublicKey { algorithm, value, .. } = &source
        && let Err(error) = crate::key::check_public(*algorithm, value)
    {
        problems.add(format!("{field}.publicKey.value"), error.to_string());
        return None;
    }
    Some(Key {
        name: name.clone(),
        source,
    })
}

fn parse_bimi(problems: &mut Problems, bimi: &api::Bimi, domain: &Name) -> Option<Bimi> {
    let api::Bimi {
        selector,
        logo,
        certificate,
    } = bimi;
    let record_name = problems.keep(
        "spec.bimi.selector",
        selector,
        domain.child(&format!("{selector}._bimi")),
    )?;
    for (field, uri) in [
        ("spec.bimi.logo", Some(logo)),
        ("spec.bimi.certificate", certificate.as_ref()),
    ] {
        if uri.is_some_and(|uri| {
            !uri.starts_with("https://")
                || uri.contains([';', ',', '"', '\\'])
                || !uri.bytes().all(|b| b.is_ascii_graphic())
        }) {
            problems.add(
                field,
                "must be one https:// address without blanks, commas or semicolons",
            );
        }
    }
    Some(Bimi {
        record_name,
        logo: logo.clone(),
        certificate: certificate.clone(),
    })
}

/// RFC 9989 section 4.6 to 4.8: a comma or semicolon inside a report address would end it.
fn check_reports(problems: &mut Problems, dmarc: &Dmarc) {
    if dmarc.policy > DmarcPolicy::None && dmarc.aggregate_reports.is_empty() {
        problems.add(
            "spec.dmarc.aggregateReports",
            "is needed with policy Quarantine or Reject: without reports nobody sees what is refused",
        );
    }
    let fields = [
        ("aggregateReports", &dmarc.aggregate_reports),
        ("failureReports", &dmarc.failure_reports),
    ];
    for (field, index, uri) in fields
        .iter()
        .flat_map(|(f, uris)| uris.iter().enumerate().map(move |(i, u)| (f, i, u)))
    {
        let address = uri.strip_prefix("mailto:").and_then(|rest| rest.split_once('@'));
        let fine = address.is_some_and(|(local, host)| {
            !local.is_empty()
                && local
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b".+_=~/-".contains(&b))
                && Name::parse_host(host).is_ok()
        });
        if !fine {
            problems.add(
                format!("spec.dmarc.{field}[{index}]"),
                format!("{} is not a report address; write mailto:user@host", shown(uri)),
            );
        }
    }
}

/// Two declarations of one name, sender, key or selector would fight over one record.
fn check_uniqueness(problems: &mut Problems, intent: &Intent) {
    let mut seen = BTreeSet::new();
    let hosts = intent.hosts.iter().map(|h| ("spec.hosts", h.name.to_string()));
    let senders = intent.senders.iter().map(|s| ("spec.senders", s.name.clone()));
    let keys = intent.senders.iter().flat_map(|s| {
        s.keys
            .iter()
            .map(|k| ("spec.senders[].dkim.keys", format!("{}/{}", s.name, k.name)))
    });
    let selectors = intent
        .senders
        .iter()
        .flat_map(|s| &s.keys)
        .filter_map(|key| match &key.source {
            KeySource::Generate { .. } => None,
            KeySource::Import { selector, .. }
            | KeySource::PublicKey { selector, .. }
            | KeySource::Delegate { selector, .. } => {
                Some(("spec.senders[].dkim.keys[].selector", selector.to_string()))
            }
        });
    for item in hosts.chain(senders).chain(keys).chain(selectors) {
        if !seen.insert(item.clone()) {
            problems.add(item.0, format!("holds {} twice; keep one", shown(&item.1)));
        }
    }
}
