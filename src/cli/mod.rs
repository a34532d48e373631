//! What the program does on a user's own machine, without a cluster.

mod documents;
mod memory;
mod moving;
mod past;
pub mod plan;
mod preview;
mod schema;
mod show;
mod subject;
