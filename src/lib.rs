//! The MailDomain operator.
#![allow(missing_docs, reason = "being written")]
pub mod admin;
pub mod api;
pub mod cidr;
pub mod config;
pub mod controller;
pub mod finding;
pub mod intent;
pub mod key;
pub mod keyring;
pub mod lease;
pub mod lookup;
pub mod metrics;
pub mod name;
pub mod output;
pub mod plan;
pub mod protocol;
pub mod publish;
pub mod record;
pub mod status;
pub mod tenancy;
pub mod verify;
