//! The command line of the real executable.

mod bench;
mod cli;
mod demo;
mod manage;
mod settings;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "every test binary shares the support and uses its own part")]
mod support;
