//! What the program does on a user's own machine, without a cluster.

pub mod check;
mod documents;
mod findings;
pub mod inputs;
mod memory;
mod message;
mod moving;
mod observed;
mod past;
pub mod plan;
mod preview;
mod report;
mod schema;
mod show;
mod subject;
