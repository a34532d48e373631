//! What is generated is what the code says, and what people copy from us is what the code takes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test that cannot go on shall say so"
)]

#[path = "support/helm.rs"]
mod helm;
#[path = "support/source.rs"]
#[expect(dead_code, reason = "the rest is for tests/tidy.rs")]
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use maildomain::api::{ClusterDNSProvider, DKIMSigner, MailDomain, MailDomainClaim};
use maildomain::cidr::Cidr;
use maildomain::intent;
use maildomain::tenancy::Provider;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use source::{files, files_with, root, text};

/// File names below a directory of the checkout, with their texts.
fn directory(path: impl AsRef<Path>) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(root().join(path)).unwrap();
    let files = entries.filter_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (!name.starts_with('.')).then(|| (name, std::fs::read_to_string(path).unwrap()))
    });
    files.collect()
}

/// Equal, or says which file and which line; a whole definition on the screen helps nobody.
fn same(there: &BTreeMap<String, String>, made: &BTreeMap<String, String>, place: &str) {
    let names: (BTreeSet<_>, BTreeSet<_>) = (there.keys().collect(), made.keys().collect());
    assert_eq!(names.0, names.1, "{place} holds other files: run `make generate`");
    for (name, text) in made {
        assert!(
            &there[name] == text,
            "{place}/{name} is stale at {}: run `make generate`",
            first_difference(&there[name], text)
        );
    }
}

fn first_difference(old: &str, new: &str) -> String {
    let same = old
        .lines()
        .zip(new.lines())
        .take_while(|(old, new)| old == new)
        .count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(end)").to_owned();
    format!("line {} ({:?}, not {:?})", same + 1, line(new), line(old))
}

#[test]
fn definitions_are_what_the_program_prints() {
    let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join("crds");
    drop(std::fs::remove_dir_all(&out));
    std::fs::create_dir_all(&out).unwrap();
    let program = env!("CARGO_BIN_EXE_maildomain");
    let status = Command::new(program)
        .arg("crd")
        .arg("--out")
        .arg(&out)
        .status()
        .unwrap();
    assert!(status.success());
    let printed = directory(&out);
    assert_eq!(printed.len(), maildomain::api::definitions().len());
    same(&directory("crds"), &printed, "crds");
}

#[test]
fn the_chart_installs_the_same_definitions() {
    same(
        &directory("charts/maildomain/files/crds"),
        &directory("crds"),
        "charts/maildomain/files/crds",
    );
}

#[test]
fn the_table_of_the_contract_is_that_of_the_suite() {
    let made = Command::new("/usr/bin/python3")
        .args(["-B", "tests/generate/contract.py"])
        .current_dir(root())
        .output()
        .expect("python3 is there");
    let complaint = String::from_utf8_lossy(&made.stderr);
    assert!(made.status.success(), "{complaint}");
    let wanted = String::from_utf8(made.stdout).unwrap();
    let there = text("docs/providers/contract.md");
    assert!(
        there == wanted,
        "docs/providers/contract.md is stale at {}: run `make generate`",
        first_difference(&there, &wanted)
    );
}

#[test]
fn install_yaml_is_the_chart_with_its_defaults() {
    let Some(rendered) = helm::template(&[]) else {
        return;
    };
    let head = "# Made by `make generate` from charts/maildomain with its default values; do not edit.\n";
    let wanted = format!("{head}{}{rendered}", text("deploy/namespace.yaml"));
    let path = root().join("deploy/install.yaml");
    let there = std::fs::read_to_string(path).expect("deploy/install.yaml is missing: run `make generate`");
    let difference = first_difference(&there, &wanted);
    assert!(
        there == wanted,
        "deploy/install.yaml is stale at {difference}: run `make generate`"
    );
}

/// The YAML documents of a text.
fn documents(yaml: &str, place: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(yaml).unwrap_or_else(|error| panic!("{place}: {error}"))
}

/// Every object of ours that people may copy: samples, the demo, and YAML in the documentation. With its place.
fn offered() -> Vec<(String, Value)> {
    let mut found = Vec::new();
    for path in files("deploy/samples")
        .into_iter()
        .chain(files_with("tests/demo", "yaml"))
    {
        let place = path.display().to_string();
        found.extend(
            documents(&text(&path), &place)
                .into_iter()
                .map(|document| (place.clone(), document)),
        );
    }
    for path in files_with("docs", "md").into_iter().chain(files("README.md")) {
        let text = text(&path);
        for fence in text.split("```yaml\n").skip(1) {
            let place = path.display().to_string();
            let yaml = fence.split("```").next().unwrap();
            found.extend(
                documents(yaml, &place)
                    .into_iter()
                    .map(|document| (place.clone(), document)),
            );
        }
    }
    found.retain(|(_, document)| document["apiVersion"] == "maildomain.dev/v1alpha1");
    found
}

/// Reads an object and loses nothing: no field that we do not know, no value that we read as another.
fn strictly<T: DeserializeOwned + Serialize>(place: &str, document: &Value) -> T {
    let object: T =
        serde_json::from_value(document.clone()).unwrap_or_else(|error| panic!("{place}: {error}"));
    let kept = serde_json::to_value(&object).unwrap();
    let mut lost = Vec::new();
    compare(document, &kept, "", &mut lost);
    assert!(lost.is_empty(), "{place}: not of our types: {}", lost.join(", "));
    object
}

fn compare(given: &Value, kept: &Value, path: &str, lost: &mut Vec<String>) {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (key, value) in given {
                compare(
                    value,
                    kept.get(key).unwrap_or(&Value::Null),
                    &format!("{path}.{key}"),
                    lost,
                );
            }
        }
        (Value::Array(given), Value::Array(kept)) if given.len() == kept.len() => {
            for (index, (given, kept)) in given.iter().zip(kept).enumerate() {
                compare(given, kept, &format!("{path}[{index}]"), lost);
            }
        }
        _ if given == kept => {}
        _ => lost.push(path.to_owned()),
    }
}

#[test]
fn the_strict_reader_is_strict() {
    let good = "apiVersion: maildomain.dev/v1alpha1\nkind: MailDomain\nmetadata: {name: a}\nspec: {domain: a.example}";
    let document = documents(good, "good").remove(0);
    let _: MailDomain = strictly("good", &document);
    for (from, to, place) in [
        ("spec: {", "spec: {bogus: 1, ", ".spec.bogus"),
        ("a.example}", "a.example, spf: {every: Fail}}", ".spec.spf.every"),
    ] {
        let document = documents(&good.replace(from, to), "bad").remove(0);
        let kept: MailDomain = serde_json::from_value(document.clone()).unwrap();
        let mut lost = Vec::new();
        compare(&document, &serde_json::to_value(kept).unwrap(), "", &mut lost);
        assert_eq!(lost, [place]);
    }
}

#[test]
fn whatever_people_copy_is_accepted() {
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for (place, document) in offered() {
        let kind = document["kind"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "MailDomain" => {
                let object: MailDomain = strictly(&place, &document);
                intent::parse(&object.spec).unwrap_or_else(|problems| panic!("{place}: {problems:?}"));
            }
            "ClusterDNSProvider" => check_provider(&place, &strictly(&place, &document)),
            "DKIMSigner" => drop(strictly::<DKIMSigner>(&place, &document)),
            "MailDomainClaim" => drop(strictly::<MailDomainClaim>(&place, &document)),
            _ => panic!("{place}: nobody may copy a {kind}"),
        }
        *kinds.entry(kind).or_default() += 1;
    }
    for (kind, least) in [
        ("MailDomain", 4),
        ("ClusterDNSProvider", 3),
        ("DKIMSigner", 3),
        ("MailDomainClaim", 1),
    ] {
        assert!(
            kinds.get(kind).is_some_and(|count| *count >= least),
            "{kind} is offered in fewer places: {kinds:?}"
        );
    }
}

fn check_provider(place: &str, object: &ClusterDNSProvider) {
    let spec = &object.spec;
    assert_eq!(
        Provider::new("p", spec).zones.len(),
        spec.zones.len(),
        "{place}: every zone is a name"
    );
    let backends = [
        spec.power_dns.is_some(),
        spec.external_dns.is_some(),
        spec.rfc2136.is_some(),
    ];
    assert_eq!(
        backends.iter().filter(|backend| **backend).count(),
        1,
        "{place}: exactly one backend"
    );
    assert!(
        !spec.allow.is_empty(),
        "{place}: without allow nobody may publish anything"
    );
    for range in spec.allow.iter().flat_map(|allow| &allow.reverse) {
        range
            .parse::<Cidr>()
            .unwrap_or_else(|error| panic!("{place}: {range} {error}"));
    }
}
