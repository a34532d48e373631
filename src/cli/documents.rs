//! The MailDomains of a file, or every mistake with its document, field and fix. Pure.

use std::fmt;

use serde_json::Value as Json;

use super::schema;
use crate::api::{GROUP, MailDomainSpec, definitions};
use crate::intent::{self, Intent, Problem};

/// The version of the resources that this program knows.
const VERSION: &str = "v1alpha1";

/// One MailDomain of a file.
#[derive(Debug)]
pub(super) struct Declared {
    /// The file, as it was named.
    pub(super) file: String,
    /// `metadata.name`.
    pub(super) name: String,
    /// `metadata.namespace`.
    pub(super) namespace: Option<String>,
    /// What is declared.
    pub(super) intent: Intent,
}

/// Why a document cannot be planned.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mistake {
    file: String,
    /// Which document, if not the file as a whole; from 1.
    document: Option<(usize, String)>,
    what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, document, what } = self;
        match document {
            Some((number, called)) => write!(f, "{file}, document {number} ({called}): {what}"),
            None => write!(f, "{file}: {what}"),
        }
    }
}

/// Reads every document of a text.
pub(super) fn read(file: &str, text: &str) -> Result<Vec<Declared>, Vec<Mistake>> {
    let whole = |what: String| {
        vec![Mistake {
            file: file.to_owned(),
            document: None,
            what,
        }]
    };
    let documents: Vec<Json> = serde_saphyr::from_multiple(text).map_err(|error| {
        // The first line says where and what; the others draw it.
        let text = error.to_string();
        let first = text.lines().next().unwrap_or_default();
        whole(format!(
            "is not YAML: {}",
            first.strip_prefix("error: ").unwrap_or(first)
        ))
    })?;
    let mut declared = Vec::new();
    let mut mistakes = Vec::new();
    for (index, document) in documents.iter().enumerate().filter(|(_, d)| !d.is_null()) {
        match declare(file, document) {
            Ok(found) => declared.extend(found),
            Err(problems) => mistakes.extend(problems.into_iter().map(|what| Mistake {
                file: file.to_owned(),
                document: Some((index + 1, called(document))),
                what,
            })),
        }
    }
    match (declared.is_empty(), mistakes.is_empty()) {
        (_, false) => Err(mistakes),
        (true, true) => Err(whole(format!(
            "holds no MailDomain; write apiVersion: {GROUP}/{VERSION} and kind: MailDomain"
        ))),
        (false, true) => Ok(declared),
    }
}

/// How a document is named in messages.
fn called(document: &Json) -> String {
    let text = |value: &Json| {
        let plain = value.as_str().unwrap_or_default().chars();
        plain.filter(|c| !c.is_control()).take(80).collect::<String>()
    };
    let (kind, name) = (text(&document["kind"]), text(&document["metadata"]["name"]));
    match (kind.is_empty(), name.is_empty()) {
        (true, _) => "no kind".to_owned(),
        (false, true) => kind,
        (false, false) => format!("{kind} {name}"),
    }
}

/// `None`: a document of another kind, which is passed over.
fn declare(file: &str, document: &Json) -> Result<Option<Declared>, Vec<String>> {
    let version = document["apiVersion"].as_str().unwrap_or_default();
    let kind = document["kind"].as_str().unwrap_or_default();
    let ours = version.split('/').next() == Some(GROUP);
    if kind != "MailDomain" && !kind.eq_ignore_ascii_case("MailDomain") {
        let known = |(_, definition): &(
            _,
            k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
        )| { definition.spec.names.kind == kind };
        if kind.is_empty() || ours && !definitions().iter().any(known) {
            return Err(vec!["kind is not known; write kind: MailDomain".to_owned()]);
        }
        return Ok(None);
    }
    let mut problems = Vec::new();
    if kind != "MailDomain" {
        problems.push("kind must be written MailDomain".to_owned());
    }
    if version != format!("{GROUP}/{VERSION}") {
        problems.push(format!("apiVersion must be {GROUP}/{VERSION}"));
    }
    let Some(name) = document["metadata"]["name"].as_str() else {
        problems.push("metadata.name is missing; give the object a name".to_owned());
        return Err(problems);
    };
    problems.extend(spec_mistakes(&document["spec"]));
    if !problems.is_empty() {
        return Err(problems);
    }
    let spec: MailDomainSpec =
        serde_json::from_value(document["spec"].clone()).map_err(|error| vec![format!("spec: {error}")])?;
    let intent = intent::parse(&spec).map_err(told)?;
    Ok(Some(Declared {
        file: file.to_owned(),
        name: name.to_owned(),
        namespace: document["metadata"]["namespace"].as_str().map(str::to_owned),
        intent,
    }))
}

fn told(problems: Vec<Problem>) -> Vec<String> {
    problems.iter().map(ToString::to_string).collect()
}

/// What the schema of the definition does not allow.
fn spec_mistakes(spec: &Json) -> Vec<String> {
    if spec.is_null() {
        return vec!["spec is missing; declare at least spec.domain".to_owned()];
    }
    let definition = definitions().into_iter().next().map(|(_, definition)| definition);
    let schema = serde_json::to_value(definition).unwrap_or_default();
    let schema = &schema["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
    told(schema::check(schema, spec, "spec"))
}
