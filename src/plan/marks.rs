//! What the ledger remembers of an entry besides its values, so that neither a crash nor a restart changes a decision.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::record::Values;

/// Decisions about the values of one entry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// Values that a generation, or a person's acknowledgement, has given up. They may go whenever that becomes possible.
    pub released: Values,
    /// Values that nobody declares any more without a reason for it. They stay until somebody acknowledges it.
    pub held: Values,
    /// What stays for a while: a value in presentation format, or a term of an SPF record, and until when.
    pub retiring: BTreeMap<String, Timestamp>,
    /// How often another hand changed it lately.
    pub war: War,
}

/// The times at which a change of another hand was undone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct War {
    /// The generation that was defended. Another one is another declaration, and counts anew.
    pub generation: i64,
    /// At most [`super::war::MOST`], all within an hour of the last, oldest first.
    pub reverts: Vec<Timestamp>,
}
