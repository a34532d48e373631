//! Tests of SPF: data, and the small world that they are asked of.

mod grammar;
mod suite;
mod vectors;
mod wanted;
mod zone;

use crate::api::MailDomainSpec;
use crate::intent::{self, Intent};

/// A declaration in YAML, through the real validation.
fn intent(yaml: &str) -> Intent {
    let spec: MailDomainSpec = serde_saphyr::from_str(yaml).unwrap();
    intent::parse(&spec).unwrap()
}
