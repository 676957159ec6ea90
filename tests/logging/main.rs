//! The daemon's log and its audit lines.
//!
//! These tests have a binary of their own. They read the log through a subscriber of one thread, and a test without
//! a subscriber in the same process can switch the log statements off.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod audit;
mod logs;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "every test binary shares the support and uses its own part")]
mod support;
