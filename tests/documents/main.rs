//! The documentation: its links, includes and code blocks.

mod book;
mod guide;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "every test binary shares the support and uses its own part")]
mod support;
