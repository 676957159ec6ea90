//! Decisions, pure: nothing here waits, does I/O, asks the time or asks for chance.

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
