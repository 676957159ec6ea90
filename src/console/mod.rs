//! The parts that all commands share: the HTTP client of a daemon's API, and the output.
//!
//! The command line, the demo and the benchmark stand on it. Commands that manage a daemon use nothing but its API.

pub(crate) mod client;
mod output;

pub(crate) use output::{Output, UsageError};
