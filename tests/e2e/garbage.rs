//! Garbage in every field. Admission refuses it with the field and what to write; what admission cannot see is
//! accepted, changes nothing, is said in the condition, and is nobody else's trouble.

use crate::harness::{Site, USUAL, apply, kubectl, try_apply};

/// A kind and its spec; `@` stands for the garbage.
const SPEC: &str = "MailDomain {@}";
const DOMAIN: &str = "MailDomain {domain: g.example, @}";
const HOST: &str = "MailDomain {domain: g.example, hosts: [{name: a.g.example, @}]}";
const SENDER: &str = "MailDomain {domain: g.example, senders: [{name: mta, @}]}";
const KEY: &str = "MailDomain {domain: g.example, senders: [{name: mta, dkim: {keys: [{name: a, @}]}}]}";
const PROVIDER: &str = "ClusterDNSProvider {@}";
const ALLOW: &str = "ClusterDNSProvider {zones: [g.example], externalDNS: {}, allow: [{@}]}";
const BACKEND: &str = "ClusterDNSProvider {zones: [g.example], @}";
const SIGNER: &str = "DKIMSigner {mailDomainSelector: {}, secretName: mta, @}";
const SIGNER_SPEC: &str = "DKIMSigner {@}";

const WRITE_NAME: &str = "write a full name in lower case without the final dot, like mail.example.com";
const WRITE_RECORD_NAME: &str =
    "write only a domain name in lower case without the final dot, like _spf.example.com";
const WRITE_LABEL: &str = "write a name of lower-case letters, digits and hyphens";
const WRITE_ADDRESS: &str = "write an IPv4 or IPv6 address, like 203.0.113.4 or 2001:db8::4";
const WRITE_RANGE: &str = "write an address or a range by its first address, like 203.0.113.16/29";
const WRITE_REPORTS: &str = "write one address as mailto:user@host";
const WRITE_HTTPS: &str = "write one https:// address without blanks, commas and semicolons";
const WRITE_ZONE: &str = "write a zone in lower case without the final dot";
const ONE_SOURCE: &str = "each of dkim.keys[] needs exactly one of generate, import, publicKey, delegate";
const ONE_BACKEND: &str = "spec needs exactly one of powerDNS, externalDNS";
const ONE_PLACE: &str = "give spec.hosts[] either addresses or target, not both and not none";
const ONE_RETURN_PATH: &str = "give returnPath either a domain or vendor: true";

/// Where, what, the field that the refusal names, and what it says about it.
const REFUSED: &[(&str, &str, &str, &str)] = &[
    (SPEC, "spf: {all: Fail}", "spec.domain", "Required value"),
    (SPEC, "domain: 7", "spec.domain", "must be of type string"),
    (SPEC, "domain: G.Example", "spec.domain", WRITE_NAME),
    (SPEC, "domain: g.example.", "spec.domain", WRITE_NAME),
    (SPEC, "domain: example", "spec.domain", WRITE_NAME),
    (SPEC, "domain: _dmarc.g.example", "spec.domain", WRITE_NAME),
    (SPEC, "domain: grün.example", "spec.domain", WRITE_NAME),
    (SPEC, "domain: 203.0.113.4", "spec.domain", WRITE_NAME),
    (DOMAIN, "sender: []", "unknown field", "spec.sender"),
    (
        DOMAIN,
        "publishing: {ttlSeconds: 5}",
        "spec.publishing.ttlSeconds",
        "greater than or equal to 30",
    ),
    (
        DOMAIN,
        "publishing: {ttlSeconds: 1h}",
        "spec.publishing.ttlSeconds",
        "must be of type integer",
    ),
    (
        DOMAIN,
        "publishing: {deletionPolicy: Orphan}",
        "spec.publishing.deletionPolicy",
        r#""Retain", "Delete""#,
    ),
    (
        DOMAIN,
        "publishing: {providerRefs: [{kind: Secret, name: x}]}",
        "spec.publishing.providerRefs[0].kind",
        r#"supported values: "ClusterDNSProvider""#,
    ),
    (
        DOMAIN,
        "publishing: {providerRefs: [{kind: ClusterDNSProvider}]}",
        "spec.publishing.providerRefs[0].name",
        "Required value",
    ),
    (
        HOST,
        "purpose: Fun, addresses: [203.0.113.4]",
        "spec.hosts[0].purpose",
        r#""Web", "MessageTracking""#,
    ),
    (HOST, "purpose: Web", "spec.hosts[0]", ONE_PLACE),
    (
        HOST,
        "purpose: Web, addresses: [203.0.113.4], target: b.g.example",
        "spec.hosts[0]",
        ONE_PLACE,
    ),
    (
        HOST,
        "purpose: Mail, target: b.g.example",
        "spec.hosts[0]",
        "a host of purpose Mail needs addresses",
    ),
    (
        HOST,
        "purpose: Web, addresses: [b.g.example]",
        "spec.hosts[0].addresses[0]",
        WRITE_ADDRESS,
    ),
    (
        HOST,
        "purpose: Web, addresses: [203.0.113.400]",
        "spec.hosts[0].addresses[0]",
        WRITE_ADDRESS,
    ),
    (
        HOST,
        "purpose: Web, addresses: [203.0.113.0/24]",
        "spec.hosts[0].addresses[0]",
        WRITE_ADDRESS,
    ),
    (
        HOST,
        r#"purpose: Web, addresses: [""]"#,
        "spec.hosts[0].addresses[0]",
        WRITE_ADDRESS,
    ),
    (
        HOST,
        "purpose: Web, addresses: [203.0.113.4, 203.0.113.4]",
        "spec.hosts[0].addresses[1]",
        "Duplicate value",
    ),
    (
        HOST,
        "purpose: Web, target: https://b.g.example/",
        "spec.hosts[0].target",
        WRITE_NAME,
    ),
    (
        HOST,
        "purpose: Mail, addresses: [203.0.113.4], reverse: Maybe",
        "spec.hosts[0].reverse",
        r#""Publish", "Check""#,
    ),
    (
        HOST,
        "purpose: Web, address: 203.0.113.4",
        "unknown field",
        "spec.hosts[0].address",
    ),
    (
        DOMAIN,
        "hosts: [{purpose: Web, addresses: [203.0.113.4]}]",
        "spec.hosts[0].name",
        "Required value",
    ),
    (
        DOMAIN,
        "hosts: [{name: a.g.example, purpose: Web, addresses: [203.0.113.4]}, {name: a.g.example, purpose: Mail, addresses: [203.0.113.5]}]",
        "spec.hosts[1]",
        r#"Duplicate value: {"name":"a.g.example"}"#,
    ),
    (
        DOMAIN,
        "receiving: {mx: []}",
        "spec.receiving.mx",
        "should have at least 1 item",
    ),
    (
        DOMAIN,
        "receiving: {mx: [{host: a.g.example}]}",
        "spec.receiving.mx[0].preference",
        "Required value",
    ),
    (
        DOMAIN,
        "receiving: {mx: [{host: a.g.example, preference: 70000}]}",
        "spec.receiving.mx[0].preference",
        "less than or equal to 65535",
    ),
    (
        DOMAIN,
        "receiving: {mx: [{host: 203.0.113.4, preference: 10}]}",
        "spec.receiving.mx[0].host",
        WRITE_NAME,
    ),
    (
        DOMAIN,
        "senders: [{name: My MTA}]",
        "spec.senders[0].name",
        WRITE_LABEL,
    ),
    (
        DOMAIN,
        "senders: [{name: a}, {name: a}]",
        "spec.senders[1]",
        "Duplicate value",
    ),
    (
        SENDER,
        "hosts: [mail.g.example]",
        "spec.senders[].hosts",
        "declare the host there first",
    ),
    (
        SENDER,
        "egress: [everything]",
        "spec.senders[0].egress[0]",
        WRITE_RANGE,
    ),
    (
        SENDER,
        "egress: [203.0.113.0/33]",
        "spec.senders[0].egress[0]",
        WRITE_RANGE,
    ),
    (
        SENDER,
        "egress: [203.0.113.17/29]",
        "spec.senders[0].egress[0]",
        WRITE_RANGE,
    ),
    (
        SENDER,
        "returnPath: {}",
        "spec.senders[0].returnPath",
        ONE_RETURN_PATH,
    ),
    (
        SENDER,
        "returnPath: {vendor: true, domain: b.g.example}",
        "spec.senders[0].returnPath",
        ONE_RETURN_PATH,
    ),
    (
        SENDER,
        "returnPath: {domain: '@b'}",
        "spec.senders[0].returnPath.domain",
        WRITE_NAME,
    ),
    (
        SENDER,
        "returnPath: {domain: b.g.example, target: v.example, mx: [{host: a.g.example, preference: 1}]}",
        "spec.senders[0].returnPath",
        "give that domain, and no mx beside it",
    ),
    (
        SENDER,
        "spf: {includes: ['include:_spf.v.example']}",
        "spec.senders[0].spf.includes[0]",
        WRITE_RECORD_NAME,
    ),
    (
        SENDER,
        "spf: {includes: [a.aa, b.aa, c.aa, d.aa, e.aa, f.aa, g.aa, h.aa, i.aa, j.aa, k.aa]}",
        "spec.senders[0].spf.includes",
        "must have at most 10 items",
    ),
    (
        SENDER,
        "dkim: {keys: []}",
        "spec.senders[0].dkim.keys",
        "should have at least 1 item",
    ),
    (
        SENDER,
        "dkim: {selectorPrefix: MD_, keys: [{name: a, generate: {algorithm: RSA}}]}",
        "spec.senders[0].dkim.selectorPrefix",
        "write lower-case letters, digits and hyphens",
    ),
    (
        SENDER,
        "dkim: {keys: [{name: a, generate: {algorithm: RSA}}, {name: a, generate: {algorithm: RSA}}]}",
        "spec.senders[0].dkim.keys[1]",
        "Duplicate value",
    ),
    (
        SENDER,
        "dkim: {keys: [{name: A_b, generate: {algorithm: RSA}}]}",
        "spec.senders[0].dkim.keys[0].name",
        WRITE_LABEL,
    ),
    (KEY, "generate: null", "spec.senders[0].dkim.keys[0]", ONE_SOURCE),
    (
        KEY,
        "generate: {algorithm: RSA}, delegate: {selector: s, target: s.v.example}",
        "spec.senders[0].dkim.keys[0]",
        ONE_SOURCE,
    ),
    (
        KEY,
        "generate: {algorithm: DSA}",
        "spec.senders[0].dkim.keys[0].generate.algorithm",
        r#""RSA", "Ed25519""#,
    ),
    (
        KEY,
        "generate: {algorithm: RSA, bits: 512}",
        "spec.senders[0].dkim.keys[0].generate",
        "bits must be 2048, 3072 or 4096",
    ),
    (
        KEY,
        "generate: {algorithm: Ed25519, bits: 2048}",
        "spec.senders[0].dkim.keys[0].generate",
        "for algorithm RSA only; drop it",
    ),
    (
        KEY,
        "import: {selector: a b, secretRef: {name: x, key: k}}",
        "spec.senders[0].dkim.keys[0].import.selector",
        "write a selector of lower-case letters, digits, hyphens and dots",
    ),
    (
        KEY,
        "import: {selector: s}",
        "spec.senders[0].dkim.keys[0].import.secretRef",
        "Required value",
    ),
    (
        KEY,
        "import: {selector: s, secretRef: {name: x}}",
        "spec.senders[0].dkim.keys[0].import.secretRef.key",
        "Required value",
    ),
    (
        KEY,
        "publicKey: {selector: s, value: 'v=DKIM1; p=MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA'}",
        "spec.senders[0].dkim.keys[0].publicKey.value",
        "write only what stands after p= in the record",
    ),
    (
        KEY,
        "delegate: {selector: s, target: 'v.example:25'}",
        "spec.senders[0].dkim.keys[0].delegate.target",
        WRITE_RECORD_NAME,
    ),
    (
        DOMAIN,
        "spf: {all: Pass}",
        "spec.spf.all",
        r#""SoftFail", "Fail", "Neutral""#,
    ),
    (DOMAIN, "dmarc: {}", "spec.dmarc.policy", "Required value"),
    (
        DOMAIN,
        "dmarc: {policy: reject}",
        "spec.dmarc.policy",
        r#""None", "Quarantine", "Reject""#,
    ),
    (
        DOMAIN,
        "dmarc: {policy: Reject}",
        "spec.dmarc.aggregateReports",
        "is needed with policy Quarantine or Reject",
    ),
    (
        DOMAIN,
        "dmarc: {policy: None, aggregateReports: [r@g.example]}",
        "spec.dmarc.aggregateReports[0]",
        WRITE_REPORTS,
    ),
    (
        DOMAIN,
        "dmarc: {policy: None, aggregateReports: ['mailto:a@g.example,mailto:b@g.example']}",
        "spec.dmarc.aggregateReports[0]",
        WRITE_REPORTS,
    ),
    (
        DOMAIN,
        "dmarc: {policy: None, failureReports: ['mailto:a@-.-']}",
        "spec.dmarc.failureReports[0]",
        WRITE_REPORTS,
    ),
    (
        DOMAIN,
        "dmarc: {policy: None, dkimAlignment: s}",
        "spec.dmarc.dkimAlignment",
        r#""Relaxed", "Strict""#,
    ),
    (DOMAIN, "bimi: {selector: x}", "spec.bimi.logo", "Required value"),
    (
        DOMAIN,
        "bimi: {logo: 'http://g.example/l.svg'}",
        "spec.bimi.logo",
        WRITE_HTTPS,
    ),
    (
        DOMAIN,
        "bimi: {logo: 'https://g.example/l.svg; a=x'}",
        "spec.bimi.logo",
        WRITE_HTTPS,
    ),
    (
        DOMAIN,
        "bimi: {logo: 'https://g.example/l.svg', certificate: vmc.pem}",
        "spec.bimi.certificate",
        WRITE_HTTPS,
    ),
    (
        DOMAIN,
        "bimi: {selector: '*', logo: 'https://g.example/l.svg'}",
        "spec.bimi.selector",
        WRITE_LABEL,
    ),
    (
        DOMAIN,
        "legacyRecords: [ADSP]",
        "spec.legacyRecords[0]",
        r#""SenderID", "DomainKeysPolicy""#,
    ),
    (
        DOMAIN,
        "legacyRecords: [SenderID, SenderID]",
        "spec.legacyRecords[1]",
        "Duplicate value",
    ),
    (PROVIDER, "externalDNS: {}", "spec.zones", "Required value"),
    (
        PROVIDER,
        "zones: [], externalDNS: {}",
        "spec.zones",
        "should have at least 1 item",
    ),
    (
        PROVIDER,
        "zones: [g.example.], externalDNS: {}",
        "spec.zones[0]",
        WRITE_ZONE,
    ),
    (
        PROVIDER,
        "zones: [203.0.113], externalDNS: {}",
        "spec.zones[0]",
        WRITE_ZONE,
    ),
    (BACKEND, "allow: []", "spec", ONE_BACKEND),
    (
        BACKEND,
        "externalDNS: {}, powerDNS: {url: 'http://p:8081', apiKeySecretRef: {name: a, key: b}}",
        "spec",
        ONE_BACKEND,
    ),
    (
        ALLOW,
        "domains: [g.example]",
        "spec.allow[0].namespaceSelector",
        "Required value",
    ),
    (
        ALLOW,
        "namespaceSelector: {matchExpressions: [{key: a, operator: Is, values: [b]}]}",
        "spec.allow[0].namespaceSelector.matchExpressions[0].operator",
        r#""In", "NotIn""#,
    ),
    (
        ALLOW,
        "namespaceSelector: {}, domains: ['a.*.example']",
        "spec.allow[0].domains[0]",
        "or * for every domain",
    ),
    (
        ALLOW,
        "namespaceSelector: {}, reverse: [203.0.113]",
        "spec.allow[0].reverse[0]",
        WRITE_RANGE,
    ),
    (
        BACKEND,
        "powerDNS: {url: pdns.corp, apiKeySecretRef: {name: a, key: b}}",
        "spec.powerDNS.url",
        "write scheme, host and port only",
    ),
    (
        BACKEND,
        "powerDNS: {url: 'http://p:8081/api/v1', apiKeySecretRef: {name: a, key: b}}",
        "spec.powerDNS.url",
        "write scheme, host and port only",
    ),
    (
        BACKEND,
        "powerDNS: {url: 'http://p:8081'}",
        "spec.powerDNS.apiKeySecretRef",
        "Required value",
    ),
    (
        BACKEND,
        "powerDNS: {url: 'http://p:8081', apiKey: s3cret}",
        "unknown field",
        "spec.powerDNS.apiKey",
    ),
    (
        BACKEND,
        "powerDNS: {url: 'http://p:8081', serverID: a/b, apiKeySecretRef: {name: a, key: b}}",
        "spec.powerDNS.serverID",
        "as the API names it, like localhost",
    ),
    (
        BACKEND,
        "externalDNS: {syncTimeout: soon}",
        "spec.externalDNS.syncTimeout",
        "write a duration like 90s or 5m",
    ),
    (
        BACKEND,
        "externalDNS: {syncTimeout: '5'}",
        "spec.externalDNS.syncTimeout",
        "write a duration like 90s or 5m",
    ),
    (
        BACKEND,
        "externalDNS: {txtFormat: quoted}",
        "spec.externalDNS.txtFormat",
        r#""Quoted", "Raw""#,
    ),
    (
        SIGNER_SPEC,
        "secretName: mta",
        "spec.mailDomainSelector",
        "Required value",
    ),
    (
        SIGNER_SPEC,
        "mailDomainSelector: {}",
        "spec.secretName",
        "Required value",
    ),
    (
        SIGNER_SPEC,
        "mailDomainSelector: {}, secretName: Mta_Keys",
        "spec.secretName",
        "write the name of a Secret",
    ),
    (
        SIGNER_SPEC,
        "mailDomainSelector: {matchExpressions: [{key: a, operator: '='}]}, secretName: mta",
        "spec.mailDomainSelector.matchExpressions[0].operator",
        r#""In", "NotIn""#,
    ),
    (
        SIGNER,
        "formats: []",
        "spec.formats",
        "should have at least 1 item",
    ),
    (
        SIGNER,
        "formats: [Exim]",
        "spec.formats[0]",
        r#""Plain", "OpenDKIM""#,
    ),
    (
        SIGNER,
        "formats: [Plain, Plain]",
        "spec.formats[1]",
        "Duplicate value",
    ),
    (
        SIGNER,
        "mountPath: etc/dkim",
        "spec.mountPath",
        "write an absolute path without a final slash",
    ),
    (SIGNER, "senderName: M T A", "spec.senderName", WRITE_LABEL),
];

fn manifest(place: &str, garbage: &str, name: &str, namespace: &str) -> String {
    let (kind, spec) = place.split_once(' ').expect("a kind and a spec");
    let scope = if kind == "ClusterDNSProvider" {
        String::new()
    } else {
        format!(", namespace: {namespace}")
    };
    format!(
        "apiVersion: maildomain.dev/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}{scope}}}\nspec: {}\n",
        spec.replace('@', garbage)
    )
}

#[test]
fn admission_names_the_field_and_what_to_write() {
    let site = Site::new("refused");
    let mut wrong = Vec::new();
    for (place, garbage, field, sentence) in REFUSED {
        match try_apply(&manifest(
            place,
            garbage,
            &format!("{}-x", site.name),
            &site.namespace,
        )) {
            Ok(_) => wrong.push(format!("{garbage}\n  was accepted")),
            Err(said) if !said.contains(field) || !said.contains(sentence) => {
                wrong.push(format!("{garbage}\n  {}", said.trim()));
            }
            Err(_) => {}
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        REFUSED.len(),
        wrong.join("\n")
    );
    let left = kubectl(&[
        "-n",
        &site.namespace,
        "get",
        "maildomains,dkimsigners",
        "-o",
        "name",
    ]);
    assert_eq!(left, "");
}

/// What admission cannot see: the place, the garbage, the field and the sentence of the condition.
const ACCEPTED: &[(&str, &str, &str, &str)] = &[
    (
        KEY,
        "publicKey: {selector: s, value: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA}",
        "spec.senders[0].dkim.keys[0].publicKey.value",
        "is not an RSA public key in SubjectPublicKeyInfo form",
    ),
    (
        KEY,
        "publicKey: {selector: s, value: AAAAB3NzaC1yc2EAAAADAQABAAABAQDLWvAVr5k+4nneMRKhUeb/yGjRBlpGu9CLXx4LJJb1}",
        "spec.senders[0].dkim.keys[0].publicKey.value",
        "is an OpenSSH public key (ssh-rsa), which no mail receiver reads",
    ),
    (
        KEY,
        "publicKey: {selector: s, algorithm: Ed25519, value: MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=}",
        "spec.senders[0].dkim.keys[0].publicKey.value",
        "is an Ed25519 key in SPKI form",
    ),
    (
        KEY,
        "publicKey: {selector: s, value: MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAMMSSxgbhW0T4pfRlSlAYw+8bTzvehUwNcSMeugAEAvW7yluv0igyJI0suA9fuxMb8LzowvJi3L4nyoxlmuAhPsCAwEAAQ==}",
        "spec.senders[0].dkim.keys[0].publicKey.value",
        "is an RSA key of 512 bits",
    ),
    (
        SENDER,
        "dkim: {keys: [{name: a, delegate: {selector: s, target: a.v.example}}, {name: b, delegate: {selector: s, target: b.v.example}}]}",
        "spec.senders[].dkim.keys[].selector",
        r#"holds "s" twice; keep one"#,
    ),
    (
        SENDER,
        "returnPath: {domain: g.example, target: v.example}",
        "spec.senders[0].returnPath.target",
        "would make the domain itself an alias; use a subdomain",
    ),
    (
        HOST,
        "purpose: Web, addresses: ['2001:db8::4', '2001:DB8:0::4']",
        "spec.hosts[0].addresses[1]",
        "is listed twice; drop one",
    ),
    (
        DOMAIN,
        "hosts: [{name: a.g.example, purpose: Web, target: b.g.example}], senders: [{name: mta, hosts: [a.g.example]}]",
        "spec.senders[0].hosts[0]",
        "a.g.example is not declared with addresses in spec.hosts; declare it there",
    ),
];

#[test]
fn what_admission_cannot_see_changes_nothing_and_troubles_nobody() {
    let site = Site::new("accepted");
    let _operator = site.operator();
    let bad = |index: usize| {
        let (place, garbage, _, _) = ACCEPTED[index];
        let domain = format!("bad-{index}.{}", site.zone);
        let name = format!("bad-{index}");
        manifest(place, garbage, &name, &site.namespace).replace("g.example", &domain)
    };
    for index in 0..ACCEPTED.len() {
        apply(&bad(index));
    }
    let twice = USUAL.replace(
        "keys: [",
        "keys: [{name: a, delegate: {selector: s, target: a.v.example}}, {name: b, delegate: {selector: s, target: b.v.example}}, ",
    );
    apply(&site.manifest(&twice));
    for (index, (_, _, field, sentence)) in ACCEPTED.iter().enumerate() {
        let name = format!("bad-{index}");
        Site::wait_for_at(&site.namespace, &name, "Accepted", "False/SpecInvalid");
        let status = Site::domain_at(&site.namespace, &name).status.unwrap_or_default();
        let accepted = status.conditions.iter().find(|c| c.type_ == "Accepted");
        let message = accepted.map(|c| c.message.as_str()).unwrap_or_default();
        let sentence = sentence.replace("g.example", &format!("bad-{index}.{}", site.zone));
        assert!(
            message.contains(field) && message.contains(&sentence),
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
