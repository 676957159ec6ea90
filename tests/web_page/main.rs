//! The web page: its forms, and the page in a real browser.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod browser;
#[path = "../support/browser.rs"]
mod driver;
mod forms;
mod page;
mod page_speed;
mod screens;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "every test binary shares the support and uses its own part")]
mod support;
