//! Being written.
use super::{Declaration, Protocol, Wanted};

/// Being written.
pub const PROTOCOL: Protocol = Protocol {
    name: "dmarc",
    desired,
    checks: &[],
};

fn desired(_declaration: &Declaration<'_>) -> Vec<Wanted> {
    Vec::new()
}
