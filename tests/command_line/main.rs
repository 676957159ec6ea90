//! The command line of the real executable.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[cfg(feature = "bench")]
mod bench;
mod cli;
#[cfg(feature = "demo")]
mod demo;
mod manage;
mod settings;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "every test binary shares the support and uses its own part")]
mod support;
