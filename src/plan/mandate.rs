//! Whose word a plan follows, and what that word explains.

use std::collections::BTreeMap;

use jiff::SignedDuration;

use crate::name::Name;
use crate::protocol::spf::Burden;

/// The declaration behind a plan.
#[derive(Debug, Clone, Copy)]
pub struct Mandate<'a> {
    /// `metadata.generation` of the MailDomain.
    pub generation: i64,
    /// Which removals follow from a decision.
    pub explains: Explains,
    /// Hash of held removals that a person has let go, see [`super::HeldBack::hash`].
    pub acknowledged: Option<&'a str>,
    /// The provider whose copies a person wants to be left alone, after a move away from it.
    pub left_alone: Option<&'a str>,
    /// How long MX, SPF terms and mail hosts stay after nobody declares them any more. Zero: not at all.
    pub retire_after: SignedDuration,
    /// What the SPF records of [`super::to_weigh`] cost receivers.
    pub burdens: &'a BTreeMap<Name, Burden>,
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

static NOTHING: BTreeMap<Name, Burden> = BTreeMap::new();

impl Mandate<'_> {
    /// The end of a MailDomain, or a plan without a cluster: every removal is meant, and nothing retires.
    pub const END: Mandate<'static> = Mandate {
        generation: 0,
        explains: Explains::Everything,
        acknowledged: None,
        left_alone: None,
        retire_after: SignedDuration::ZERO,
        burdens: &NOTHING,
    };
}
