//! Pure decisions: matching, filters, retries, health, signatures, payloads and address checks.
//!
//! Nothing in this folder waits, does I/O, reads the clock or draws random numbers. The current time and the
//! random number generator are arguments. The `flow` folder calls these functions and acts on their results.

pub mod bitset;
pub mod filter;
pub mod headers;
pub mod health;
pub mod matcher;
pub mod payload;
pub mod retry;
pub mod rotation;
#[cfg(test)]
mod samples;
pub mod signature;
pub mod target;
