//! The MailDomain operator: makes mail from your own domain work, and proves it.
//!
//! # One pass
//!
//! ```text
//! MailDomain -> parse -> admit -> keys -> desired -> read -> plan -> ledger -> apply -> look -> judge -> status
//!               pure     client   client  pure       I/O     pure    client    I/O      I/O     pure     client
//! ```
//!
//! [`controller::domain::reconcile`] reads as this line; read it first. Facts go into pure functions, values come out,
//! and the shell in [`controller`] carries them between the API server, the DNS providers ([`publish`]) and DNS itself
//! ([`lookup`]).
//!
//! # Invariants
//!
//! * Pure modules hold no `async`, no client, no clock, no randomness and no log: `now` and the random source are
//!   arguments. `tests/tidy.rs` names them and fails otherwise.
//! * `protocol` imports neither `publish` nor `controller`, and of `lookup` only the facts.
//! * Unknown is not absent: a failed read ([`publish::PublishError`], [`lookup::Failure`]) is never an empty one, and no
//!   plan made from it removes anything.
//! * A key Secret is there before a record names the key; the ledger is written before a provider is called; a signer's
//!   output gets a key after its proof, and loses it before its record changes.
//! * Passes over one domain take turns, in whichever controller, and a provider is called only by who leads.
//! * What is not in the ledger is foreign. Foreign values are kept by adding them to what is wanted.
//! * A domain is written only while the owner text in its zone is the one that this ledger wrote last (`plan::owner`).
//! * What stands at a home that a name has left stays until the world asks elsewhere and caches have forgotten (`plan::moving`).
//! * A removal has a reason that stands in the ledger before it is made; those without one are few (`plan::breaker`).
//! * Every call to a provider goes through its gate: addresses, size, time, rate, rest after failures ([`publish::gate`]).
//! * `Ready=True` means that an independent receiver would authenticate mail sent as declared.
//! * The status is computed whole, compared, and written once. Nothing reads it back to decide what to do, with one
//!   exception that only ever recognises values again (a ledger that was deleted by hand, or that is not written because
//!   the domain is only observed: `controller::publish`, `controller::keys`).
//! * Modes Manual and Observe, and `suspend`: no provider is called. Observe leaves no trace but the status.
//! * Nothing of a provider's or name server's text steers anything or reaches a log, event or condition unquoted.
//!
//! # Where things are
//!
//! ```text
//! main.rs            the binary: controller, crd, plan
//! cli/               on a user's own machine, without a cluster: the plan of a file, the check of a domain
//! config.rs          the configuration file
//! admin.rs           probes and metrics over HTTP
//! metrics.rs         everything that is measured
//! lead.rs            whether this process may write
//! lease.rs           leader election
//! api/               the resources: types, schemas, admission rules
//! name.rs            names and selectors, parsed once
//! record.rs          records as values, presentation format
//! cidr.rs            address ranges
//! key.rs             key pairs: made, read, encoded
//! intent/            spec -> Intent, or problems
//! keyring.rs         which key each declared one is now; proof
//! tenancy.rs         who may publish what, where
//! finding.rs         what a check says
//! protocol/          each mail protocol: wanted records and checks
//! plan/              wanted, live, written -> what to write
//! verify.rs          does every authoritative server answer that
//! status/            conditions, rows, reasons
//! output.rs          the layouts of a signer's Secret
//! message/           a received message: envelope, signatures, what a receiver makes of it
//! lookup/            DNS facts; asking: delegations, servers, resolvers
//! publish/           the seam to providers; PowerDNS, ExternalDNS, RFC 2136, HTTP; the gate that calls go through
//! controller/        the shell: watches, passes, writes
//! ```
//!
//! # Where a new thing goes
//!
//! | new | touch |
//! |---|---|
//! | check | one function and one line in that protocol's `CHECKS` |
//! | mail protocol | one file in `protocol/`, two lines in `protocol/mod.rs` |
//! | provider | one file in `publish/`, one arm in `publish/connect.rs`, one field of `ClusterDNSProviderSpec`, one line in `tests/contract` |
//! | record type | one variant of [`record::Value`]; the compiler names the encoders |
//! | signer format | one function and one arm in `output.rs`, one variant of [`api::SignerFormat`] |
//! | condition | `status/conditions.rs` |
//! | reason | one line in `status/reasons.rs` |

pub mod admin;
pub mod api;
pub mod cidr;
pub mod cli;
pub mod config;
pub mod controller;
pub mod finding;
pub mod intent;
pub mod key;
pub mod keyring;
pub mod lead;
pub mod lease;
pub mod lookup;
pub mod message;
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
