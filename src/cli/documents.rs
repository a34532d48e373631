//! The MailDomains of a file and the ledgers beside them, or every mistake with its document, field and fix. Pure.

use std::fmt;

use serde_json::Value as Json;

use super::schema;
use crate::api::{DeletionPolicy, GROUP, MailDomainSpec, RecordLedgerSpec, definitions};
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
    /// `metadata.uid`, where the object came from a cluster.
    pub(super) uid: Option<String>,
    /// What its deletion does.
    pub(super) deletion_policy: DeletionPolicy,
    /// What is declared.
    pub(super) intent: Intent,
}

/// What a file holds.
#[derive(Debug, Default)]
pub(super) struct Documents {
    /// Its MailDomains.
    pub(super) declared: Vec<Declared>,
    /// Its RecordLedgers.
    pub(super) ledgers: Vec<RecordLedgerSpec>,
}

enum Document {
    Declared(Box<Declared>),
    Ledger(Box<RecordLedgerSpec>),
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
pub(super) fn read(file: &str, text: &str) -> Result<Documents, Vec<Mistake>> {
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
    let mut read = Documents::default();
    let mut mistakes = Vec::new();
    let documents = documents.iter().flat_map(items);
    for (index, document) in documents.enumerate().filter(|(_, d)| !d.is_null()) {
        match one(file, document) {
            Ok(Some(Document::Declared(found))) => read.declared.push(*found),
            Ok(Some(Document::Ledger(found))) => read.ledgers.push(*found),
            Ok(None) => {}
            Err(problems) => mistakes.extend(problems.into_iter().map(|what| Mistake {
                file: file.to_owned(),
                document: Some((index + 1, called(document))),
                what,
            })),
        }
    }
    match (
        read.declared.is_empty() && read.ledgers.is_empty(),
        mistakes.is_empty(),
    ) {
        (_, false) => Err(mistakes),
        (true, true) => Err(whole(format!(
            "holds no MailDomain; write apiVersion: {GROUP}/{VERSION} and kind: MailDomain"
        ))),
        (false, true) => Ok(read),
    }
}

/// The objects of a document: of a `List`, as kubectl prints several, its items.
fn items(document: &Json) -> Vec<&Json> {
    let is_list = document["kind"].as_str() == Some("List");
    match document["items"].as_array().filter(|_| is_list) {
        Some(items) => items.iter().collect(),
        None => vec![document],
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
fn one(file: &str, document: &Json) -> Result<Option<Document>, Vec<String>> {
    let version = document["apiVersion"].as_str().unwrap_or_default();
    let kind = document["kind"].as_str().unwrap_or_default();
    let ours = version.split('/').next() == Some(GROUP);
    if ours && kind == "RecordLedger" {
        let ledger = serde_json::from_value(document["spec"].clone());
        let ledger = ledger.map_err(|error| vec![format!("spec: {error}")])?;
        return Ok(Some(Document::Ledger(Box::new(ledger))));
    }
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
    let text = |field: &str| document["metadata"][field].as_str().map(str::to_owned);
    Ok(Some(Document::Declared(Box::new(Declared {
        file: file.to_owned(),
        name: name.to_owned(),
        namespace: text("namespace"),
        uid: text("uid"),
        deletion_policy: spec.publishing.deletion_policy,
        intent,
    }))))
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
