//! Errors of a pass: one variant for each kind of step, the cause as source, never repeated in the text.

use crate::key::KeyError;
use crate::publish::PublishError;

/// Why a pass did not reach its end.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server did not give something.
    #[error("failed to read {what}")]
    Read {
        /// What was read.
        what: &'static str,
        /// The cause.
        #[source]
        source: kube::Error,
    },
    /// The API server did not take something.
    #[error("failed to write {what}")]
    Write {
        /// What was written.
        what: &'static str,
        /// The cause.
        #[source]
        source: kube::Error,
    },
    /// A key could not be made.
    #[error("failed to make a key")]
    MakeKey(#[source] KeyError),
    /// The provider did not do it; the status says so already.
    #[error("failed to publish")]
    Publish(#[source] PublishError),
    /// The pass took too long and was given up; nothing is half done that the next one does not see.
    #[error("the pass took longer than {0} s")]
    Deadline(u64),
    /// The object lacks what the API server always gives.
    #[error("the object has no {0}")]
    Incomplete(&'static str),
}

impl Error {
    /// One word for metrics.
    pub fn category(&self) -> &'static str {
        match self {
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::MakeKey(_) => "key",
            Self::Publish(_) => "publish",
            Self::Deadline(_) => "deadline",
            Self::Incomplete(_) => "incomplete",
        }
    }

    /// For `map_err`: the API server did not give `what`.
    pub fn read(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Read { what, source }
    }

    /// For `map_err`: the API server did not take `what`.
    pub fn write(what: &'static str) -> impl FnOnce(kube::Error) -> Self {
        move |source| Self::Write { what, source }
    }
}

/// The whole chain of causes in one line, for the log. Printed once, at the boundary.
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    std::iter::once(error.to_string())
        .chain(causes.map(ToString::to_string))
        .collect::<Vec<_>>()
        .join(": ")
}
