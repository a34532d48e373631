//! Forms of text in a spec, and the sentence that says what to write.
//!
//! A schema's pattern is answered by the API server with the pattern itself. So each one that a field names becomes an
//! admission rule with a sentence; the field's path and value come from the API server.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSON, JSONSchemaProps, JSONSchemaPropsOrArray, ValidationRule,
};

/// A host or domain name: lower-case A-labels, at least two (RFC 1123 section 2.1, RFC 5890), the last one not a number
/// (RFC 3696 section 2).
pub(super) const HOST: &str = r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
/// A name that may hold underscores, as records of vendors do (RFC 8552).
pub(super) const RECORD_NAME: &str =
    r"^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
/// A zone, also a top-level or a reverse one.
pub(super) const ZONE: &str = r"^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
/// A domain, everything below one, or everything.
pub(super) const DOMAINS: &str =
    r"^(\*|(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?)$";
/// A list key: a DNS label.
pub(super) const LABEL: &str = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$";
/// What generated selectors begin with.
pub(super) const PREFIX: &str = r"^[a-z0-9]([a-z0-9-]*[a-z0-9])?$";
/// A DKIM selector (RFC 6376 section 3.1).
pub(super) const SELECTOR: &str =
    r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$";
/// An address.
pub(super) const ADDRESS: &str = r"^[0-9a-fA-F.:]+$";
/// An address or a range of them.
pub(super) const RANGE: &str = r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?$";
/// What stands after `p=` in a key record (RFC 6376 section 3.6.1).
pub(super) const PUBLIC_KEY: &str = r"^[A-Za-z0-9+/]{40,}={0,2}$";
/// Where reports go (RFC 9989 section 4.7).
pub(super) const REPORTS: &str =
    r"^mailto:[A-Za-z0-9.+_=~/-]+@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$";
/// A file on a web server.
pub(super) const HTTPS: &str = r"^https://[A-Za-z0-9.-]+/[A-Za-z0-9._~/%-]*$";
/// The base of an API.
pub(super) const API: &str = r"^https?://[A-Za-z0-9.:\[\]-]+/?$";
/// The id of a PowerDNS server.
pub(super) const SERVER_ID: &str = r"^[A-Za-z0-9.-]+$";
/// A host or an address with a port.
pub(super) const SERVER: &str = r"^([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?)*|\[[0-9A-Fa-f:.]+\]):[1-9][0-9]{0,4}$";
/// The name of a TSIG key (RFC 8945 section 4.2).
pub(super) const KEY_NAME: &str = r"^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*$";
/// A duration as Kubernetes writes it.
pub(super) const DURATION: &str = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$";
/// A Secret's name.
pub(super) const OBJECT: &str = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$";
/// A directory.
pub(super) const DIRECTORY: &str = r"^(/[A-Za-z0-9._-]+)+$";

/// What to write instead.
const SENTENCES: &[(&str, &str)] = &[
    (
        HOST,
        "write a full name in lower case without the final dot, like mail.example.com; an international name as its A-label (xn--...)",
    ),
    (
        RECORD_NAME,
        "write only a domain name in lower case without the final dot, like _spf.example.com",
    ),
    (
        ZONE,
        "write a zone in lower case without the final dot, like example.com or 113.0.203.in-addr.arpa",
    ),
    (
        DOMAINS,
        "write example.com for one domain, *.example.com for those below it, or * for every domain",
    ),
    (LABEL, "write a name of lower-case letters, digits and hyphens"),
    (PREFIX, "write lower-case letters, digits and hyphens"),
    (
        SELECTOR,
        "write a selector of lower-case letters, digits, hyphens and dots, like s1 or 2026.mail",
    ),
    (
        ADDRESS,
        "write an IPv4 or IPv6 address, like 203.0.113.4 or 2001:db8::4",
    ),
    (
        RANGE,
        "write an address or a range by its first address, like 203.0.113.16/29 or 2001:db8::/48",
    ),
    (
        PUBLIC_KEY,
        "write only what stands after p= in the record: base64 without blanks and quotes",
    ),
    (REPORTS, "write one address as mailto:user@host"),
    (
        HTTPS,
        "write one https:// address without blanks, commas and semicolons",
    ),
    (
        API,
        "write scheme, host and port only, like https://pdns.corp:8081",
    ),
    (
        SERVER_ID,
        "write the server's id as the API names it, like localhost",
    ),
    (
        SERVER,
        "write host and port, like 192.0.2.1:53, [2001:db8::53]:53 or ns1.corp:53",
    ),
    (
        KEY_NAME,
        "write the key's name as the server has it, without the final dot, like maildomain",
    ),
    (DURATION, "write a duration like 90s or 5m"),
    (
        OBJECT,
        "write the name of a Secret: lower-case letters, digits, hyphens and dots",
    ),
    (
        DIRECTORY,
        "write an absolute path without a final slash, like /etc/dkim",
    ),
];

/// The rule for a pattern, where it is more than the pattern.
fn rule(pattern: &str) -> String {
    let matches = format!("self.matches(r'{pattern}')");
    match pattern {
        ADDRESS => "isIP(self)".to_owned(),
        // Host bits are refused: whoever writes 203.0.113.17/29 may mean one address or eight.
        RANGE => "isIP(self) || isCIDR(self) && cidr(self).masked() == cidr(self)".to_owned(),
        DURATION => format!("self != '' && {matches}"),
        _ => matches,
    }
}

/// Turns the patterns of a definition into rules.
pub(super) fn explain(mut definition: CustomResourceDefinition) -> CustomResourceDefinition {
    for version in &mut definition.spec.versions {
        if let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        {
            walk(schema);
        }
    }
    definition
}

fn walk(schema: &mut JSONSchemaProps) {
    let sentence = |pattern: &String| SENTENCES.iter().find(|(known, _)| known == pattern);
    if let Some((pattern, sentence)) = schema.pattern.as_ref().and_then(sentence) {
        schema.pattern = None;
        // Too short is as wrong as any other form, and has no better words.
        schema.min_length = None;
        schema
            .x_kubernetes_validations
            .get_or_insert_default()
            .push(ValidationRule {
                rule: rule(pattern),
                message: Some((*sentence).to_owned()),
                ..ValidationRule::default()
            });
    }
    // The schema of Kubernetes' own label selector takes any operator; an unknown one would select nothing in silence.
    if let Some(operator) = schema.properties.as_mut().and_then(|p| p.get_mut("operator")) {
        let operators = ["In", "NotIn", "Exists", "DoesNotExist"];
        operator.enum_ = Some(operators.map(|text| JSON(serde_json::json!(text))).into());
    }
    schema
        .properties
        .iter_mut()
        .flat_map(|p| p.values_mut())
        .for_each(walk);
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        walk(items);
    }
}

#[cfg(test)]
mod tests {
    use crate::api::definitions;

    #[test]
    fn no_pattern_is_left_without_a_sentence() {
        for (file, definition) in definitions() {
            let text = serde_json::to_string(&definition).unwrap();
            assert!(!text.contains("\"pattern\":"), "{file}");
        }
    }
}
