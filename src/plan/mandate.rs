//! Whose word a plan follows, and what that word explains.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use crate::name::Name;

/// The declaration behind a plan.
#[derive(Debug, Clone, Copy)]
pub struct Mandate<'a> {
    /// `metadata.generation` of the MailDomain.
    pub generation: i64,
    /// Which removals follow from a decision.
    pub explains: Explains,
    /// Hash of held removals that a person has let go, see [`super::HeldBack::hash`].
    pub acknowledged: Option<&'a str>,
    /// How long MX, SPF terms and mail hosts stay after nobody declares them any more. Zero: not at all.
    pub retire_after: SignedDuration,
    /// Names whose SPF record would not bear the lookups of its retiring terms, see [`super::to_weigh`].
    pub too_heavy: &'a BTreeSet<Name>,
}

/// Which removals a declaration explains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explains {
    /// None: it was planned for before, or nobody knows.
    Nothing,
    /// Those that begin now: its generation is newer than the last one that was planned for this object.
    New,
    /// All of them: the object is being deleted.
    Everything,
}

static NOTHING: BTreeSet<Name> = BTreeSet::new();

impl Mandate<'_> {
    /// The end of a MailDomain, or a plan without a cluster: every removal is meant, and nothing retires.
    pub const END: Mandate<'static> = Mandate {
        generation: 0,
        explains: Explains::Everything,
        acknowledged: None,
        retire_after: SignedDuration::ZERO,
        too_heavy: &NOTHING,
    };
}
