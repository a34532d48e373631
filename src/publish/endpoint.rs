//! The DNSEndpoint of a domain: its name, and its exact forms.
//!
//! ExternalDNS compares targets as text with what the service behind it returns; any other form is written again at
//! every sync, or dropped without a word. Names are lower case without dots, `10 host` for MX, TXT in quotes or
//! raw, one endpoint for each name and type, never without targets.
//!
//! Nothing provider-specific is set: a property that the service does not return (`cloudflare-proxied` at PowerDNS)
//! is an update at every sync. Cloudflare does not proxy unless ExternalDNS is started with `--cloudflare-proxied`.

use std::collections::BTreeMap;

use kube::core::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta};
use serde_json::{Value as Json, json};
use sha2::{Digest as _, Sha256};

use super::PublishError;
use crate::api::{MANAGED_BY, TxtFormat};
use crate::name::Name;
use crate::record::{self, Key, RecordType, Records, Value, Values, character_strings};

/// The annotation with the domain. Annotations, since a label takes 63 characters only.
pub const DOMAIN_ANNOTATION: &str = "maildomain.dev/domain";
/// The annotation with the provider object.
pub const PROVIDER_ANNOTATION: &str = "maildomain.dev/provider";

/// How much of the domain stands in the object's name; with the hash that stays below 253 characters.
const READABLE: usize = 200;

/// `dnsendpoints.externaldns.k8s.io`.
pub fn resource() -> ApiResource {
    ApiResource::from_gvk_with_plural(
        &GroupVersionKind::gvk("externaldns.k8s.io", "v1alpha1", "DNSEndpoint"),
        "dnsendpoints",
    )
}

/// The object's name: readable, valid (RFC 1123), and another one for each provider.
pub fn object_name(domain: &Name, provider: &str) -> String {
    let hash = Sha256::digest(format!("{domain}\n{provider}"));
    let hash = hash
        .iter()
        .take(5)
        .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
    // Names are ASCII, so any index is a character border.
    let text = domain.as_str();
    let readable = text[..text.len().min(READABLE)].replace('_', "-");
    let readable = readable.trim_matches(['-', '.']);
    format!("{readable}-{hash:010x}")
}

/// The spec that says this state; `None` when there is nothing to say.
pub fn spec(state: &BTreeMap<Key, (u32, Values)>, format: TxtFormat) -> Result<Option<Json>, PublishError> {
    let mut endpoints = Vec::new();
    for (key, (ttl, values)) in state {
        // An endpoint without targets is created again at every sync.
        if values.is_empty() {
            continue;
        }
        endpoints.push(json!({
            "dnsName": key.name.as_str(),
            "recordType": key.record_type.as_str(),
            "recordTTL": ttl,
            "targets": targets(key, values, format)?,
        }));
    }
    Ok((!endpoints.is_empty()).then(|| json!({ "endpoints": endpoints })))
}

fn targets(key: &Key, values: &Values, format: TxtFormat) -> Result<Vec<String>, PublishError> {
    let unsupported = |why| PublishError::Unsupported(key.clone(), why);
    match (key.record_type, format) {
        (RecordType::Ptr, _) if key.name.labels().next_back() != Some("arpa") => {
            return Err(unsupported("ExternalDNS drops PTR records outside arpa"));
        }
        (RecordType::Cname, _) if values.len() > 1 => {
            return Err(unsupported("a name has one CNAME at most"));
        }
        (RecordType::Txt, TxtFormat::Raw) if values.len() > 1 => {
            return Err(unsupported(
                "with txtFormat Raw (Azure) only the first TXT value of a name is stored",
            ));
        }
        _ => {}
    }
    values
        .iter()
        .map(|value| {
            target(value, format)
                .ok_or_else(|| unsupported("with txtFormat Raw a value is one text of at most 255 octets"))
        })
        .collect()
}

fn target(value: &Value, format: TxtFormat) -> Option<String> {
    Some(match value {
        Value::A(address) => address.to_string(),
        Value::Aaaa(address) => address.to_string(),
        Value::Cname(name) | Value::Ptr(name) => name.to_string(),
        Value::Mx {
            preference,
            exchange: Some(host),
        } => format!("{preference} {host}"),
        Value::Mx {
            preference,
            exchange: None,
        } => format!("{preference} ."),
        Value::Txt(text) => match format {
            TxtFormat::Quoted => record::quoted(text),
            TxtFormat::Raw => raw(text)?,
        },
    })
}

/// The text as it is, if it is one character-string and UTF-8, which is what the API can carry.
fn raw(text: &str) -> Option<String> {
    let mut strings = character_strings(text);
    if strings.len() != 1 {
        return None;
    }
    String::from_utf8(strings.pop()?).ok()
}

/// What an object asks for, read back from its spec; entries that do not parse are left out.
pub fn expected(object: &DynamicObject, format: TxtFormat) -> Records {
    let mut records = Records::new();
    let endpoints = object.data["spec"]["endpoints"].as_array();
    for endpoint in endpoints.into_iter().flatten() {
        let name = endpoint["dnsName"].as_str().and_then(|t| Name::parse(t).ok());
        let record_type = endpoint["recordType"].as_str().and_then(RecordType::parse);
        let (Some(name), Some(record_type)) = (name, record_type) else {
            continue;
        };
        let targets = endpoint["targets"].as_array().into_iter().flatten();
        let values = targets
            .filter_map(Json::as_str)
            .filter_map(|text| from_target(record_type, text, format));
        records
            .entry(Key::new(name, record_type))
            .or_default()
            .extend(values);
    }
    records
}

fn from_target(record_type: RecordType, text: &str, format: TxtFormat) -> Option<Value> {
    match record_type {
        RecordType::A => text.parse().ok().map(Value::A),
        RecordType::Aaaa => text.parse().ok().map(Value::Aaaa),
        RecordType::Cname => Name::parse(text).ok().map(Value::Cname),
        RecordType::Ptr => Name::parse(text).ok().map(Value::Ptr),
        RecordType::Mx => {
            let (preference, host) = text.split_once(' ')?;
            Some(Value::Mx {
                preference: preference.parse().ok()?,
                exchange: match host {
                    "." => None,
                    host => Some(Name::parse(host).ok()?),
                },
            })
        }
        RecordType::Spf => None,
        RecordType::Txt => Some(Value::Txt(match format {
            TxtFormat::Quoted => record::unquoted(text)?,
            TxtFormat::Raw => text.bytes().map(char::from).collect(),
        })),
    }
}

/// The whole object. It has no owner and no finalizer: records outlive the MailDomain when it says so.
pub fn object(domain: &Name, provider: &str, namespace: &str, spec: &Json) -> DynamicObject {
    let mut object = DynamicObject::new(&object_name(domain, provider), &resource());
    let (label, value) = MANAGED_BY;
    object.metadata = ObjectMeta {
        name: object.metadata.name,
        namespace: Some(namespace.to_owned()),
        labels: Some(BTreeMap::from([(label.to_owned(), value.to_owned())])),
        annotations: Some(BTreeMap::from([
            (DOMAIN_ANNOTATION.to_owned(), domain.to_string()),
            (PROVIDER_ANNOTATION.to_owned(), provider.to_owned()),
        ])),
        ..ObjectMeta::default()
    };
    object.data(json!({ "spec": spec }))
}

/// Whether the operator made this object. Any other of the same name is left alone.
pub fn is_ours(object: &DynamicObject) -> bool {
    let (label, value) = MANAGED_BY;
    let labels = object.metadata.labels.as_ref();
    labels.and_then(|l| l.get(label)).is_some_and(|v| v == value)
}

/// Whether `existing` already says what `desired` says.
pub fn is_current(existing: &DynamicObject, desired: &DynamicObject) -> bool {
    let annotations = |object: &DynamicObject, name: &str| {
        let all = object.metadata.annotations.as_ref();
        all.and_then(|a| a.get(name)).cloned()
    };
    existing.data["spec"] == desired.data["spec"]
        && [DOMAIN_ANNOTATION, PROVIDER_ANNOTATION]
            .into_iter()
            .all(|name| annotations(existing, name) == annotations(desired, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).unwrap()
    }

    fn state(entries: &[(&str, RecordType, &[Value])]) -> BTreeMap<Key, (u32, Values)> {
        entries
            .iter()
            .map(|(owner, record_type, values)| {
                let key = Key::new(name(owner), *record_type);
                (key, (3600, values.iter().cloned().collect()))
            })
            .collect()
    }

    fn txt(text: &str) -> Value {
        Value::Txt(text.to_owned())
    }

    fn mx(preference: u16, exchange: Option<&str>) -> Value {
        Value::Mx {
            preference,
            exchange: exchange.map(name),
        }
    }

    #[test]
    fn every_type_has_the_form_that_external_dns_keeps() {
        let long = "k".repeat(260);
        let state = state(&[
            (
                "4.2.0.192.in-addr.arpa",
                RecordType::Ptr,
                &[Value::Ptr(name("mail.example.com"))],
            ),
            (
                "example.com",
                RecordType::Mx,
                &[mx(10, Some("mail.example.com")), mx(20, Some("b.example.com"))],
            ),
            (
                "example.com",
                RecordType::Txt,
                &[txt("google-site-verification=x"), txt("v=spf1 \"\\ -all")],
            ),
            (
                "mail.example.com",
                RecordType::A,
                &[Value::A("192.0.2.4".parse().unwrap())],
            ),
            (
                "mail.example.com",
                RecordType::Aaaa,
                &[Value::Aaaa("2001:db8::4".parse().unwrap())],
            ),
            ("md1._domainkey.example.com", RecordType::Txt, &[txt(&long)]),
            ("null.example.com", RecordType::Mx, &[mx(0, None)]),
            ("void.example.com", RecordType::Txt, &[]),
            (
                "www.example.com",
                RecordType::Cname,
                &[Value::Cname(name("x.example.net"))],
            ),
        ]);
        let spec = spec(&state, TxtFormat::Quoted).unwrap().unwrap();
        let long_target = format!("\"{}\" \"kkkkk\"", "k".repeat(255));
        assert_eq!(
            spec,
            json!({"endpoints": [
                {"dnsName": "4.2.0.192.in-addr.arpa", "recordType": "PTR", "recordTTL": 3600, "targets": ["mail.example.com"]},
                {"dnsName": "example.com", "recordType": "MX", "recordTTL": 3600,
                 "targets": ["10 mail.example.com", "20 b.example.com"]},
                {"dnsName": "example.com", "recordType": "TXT", "recordTTL": 3600,
                 "targets": ["\"google-site-verification=x\"", "\"v=spf1 \\\"\\\\ -all\""]},
                {"dnsName": "md1._domainkey.example.com", "recordType": "TXT", "recordTTL": 3600, "targets": [long_target]},
                {"dnsName": "mail.example.com", "recordType": "A", "recordTTL": 3600, "targets": ["192.0.2.4"]},
                {"dnsName": "mail.example.com", "recordType": "AAAA", "recordTTL": 3600, "targets": ["2001:db8::4"]},
                {"dnsName": "null.example.com", "recordType": "MX", "recordTTL": 3600, "targets": ["0 ."]},
                {"dnsName": "www.example.com", "recordType": "CNAME", "recordTTL": 3600, "targets": ["x.example.net"]},
            ]})
        );
        let object = object(&name("example.com"), "edns", "maildomain", &spec);
        let read_back = expected(&object, TxtFormat::Quoted);
        let wanted: Records = state
            .into_iter()
            .filter(|(_, (_, values))| !values.is_empty())
            .map(|(key, (_, values))| (key, values))
            .collect();
        assert_eq!(read_back, wanted);
    }

    #[test]
    fn raw_text_is_one_short_string_and_alone() {
        let at = |values: &[Value]| {
            spec(
                &state(&[("example.com", RecordType::Txt, values)]),
                TxtFormat::Raw,
            )
        };
        let target = |values: &[Value]| at(values).unwrap().unwrap()["endpoints"][0]["targets"].clone();
        assert_eq!(target(&[txt("v=spf1 -all")]), json!(["v=spf1 -all"]));
        assert_eq!(target(&[txt("caf\u{c3}\u{a9}")]), json!(["café"]));
        for values in [
            vec![txt(&"k".repeat(256))],
            vec![txt("a"), txt("b")],
            vec![txt("\u{ff}")],
        ] {
            assert!(
                matches!(at(&values), Err(PublishError::Unsupported(..))),
                "{values:?}"
            );
        }
    }

    #[test]
    fn nothing_to_say_is_no_object() {
        assert_eq!(spec(&BTreeMap::new(), TxtFormat::Quoted), Ok(None));
        let void = state(&[("example.com", RecordType::Txt, &[])]);
        assert_eq!(spec(&void, TxtFormat::Quoted), Ok(None));
    }

    #[test]
    fn a_ptr_outside_arpa_is_refused() {
        let state = state(&[("example.com", RecordType::Ptr, &[Value::Ptr(name("a.example"))])]);
        assert!(matches!(
            spec(&state, TxtFormat::Quoted),
            Err(PublishError::Unsupported(..))
        ));
    }

    #[test]
    fn the_object_is_labelled_and_owned_by_nobody() {
        let spec = json!({"endpoints": []});
        let object = object(&name("example.com"), "edns", "maildomain", &spec);
        let object_name = object_name(&name("example.com"), "edns");
        assert_eq!(
            serde_json::to_value(&object).unwrap(),
            json!({
                "apiVersion": "externaldns.k8s.io/v1alpha1",
                "kind": "DNSEndpoint",
                "metadata": {
                    "name": object_name,
                    "namespace": "maildomain",
                    "labels": {"app.kubernetes.io/managed-by": "maildomain"},
                    "annotations": {"maildomain.dev/domain": "example.com", "maildomain.dev/provider": "edns"},
                },
                "spec": {"endpoints": []},
            })
        );
        assert!(is_ours(&object));
        assert!(is_current(&object, &object));
        let mut foreign = object.clone();
        foreign.metadata.labels = None;
        assert!(!is_ours(&foreign));
        foreign.data = json!({"spec": {"endpoints": [1]}});
        assert!(!is_current(&foreign, &object));
    }

    #[test]
    fn object_names_are_valid_and_differ_by_domain_and_provider() {
        let long = name(&format!("{0}.{0}.{0}.example.com", "a".repeat(63)));
        for domain in [name("example.com"), name("a_b.example"), long] {
            let object_name = object_name(&domain, "edns");
            assert!(object_name.len() <= 253);
            assert!(Name::parse_host(&object_name).is_ok(), "{object_name}");
        }
        let example = name("example.com");
        assert!(object_name(&example, "edns").starts_with("example.com-"));
        assert_ne!(object_name(&example, "edns"), object_name(&example, "other"));
        assert_ne!(
            object_name(&name("a_b.example"), "p"),
            object_name(&name("a-b.example"), "p")
        );
    }
}
