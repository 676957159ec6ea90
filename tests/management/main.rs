//! The management API, access to it, its metrics, and the daemon as a service.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod access;
mod api;
mod interventions;
mod metrics;
mod secrets;
mod service;
mod standard_webhooks;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "every test binary shares the support and uses its own part")]
mod support;
mod tls;
