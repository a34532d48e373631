//! The MailDomain operator.
#![allow(missing_docs, reason = "being written")]
pub mod api;
pub mod cidr;
pub mod finding;
pub mod intent;
pub mod key;
pub mod lookup;
pub mod name;
pub mod protocol;
pub mod publish;
pub mod record;
