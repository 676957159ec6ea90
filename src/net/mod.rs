//! Outbound connections: the HTTP client and its resolver, mail by SMTP, and traces by OTLP.
//!
//! The HTTP client makes one request and reports its outcome. Failures of receivers are data, not errors of
//! the daemon. The client never calls a forbidden address, follows no redirect, and reads no more of a
//! response than it needs. It does not decide what follows an outcome, and keeps no state except idle
//! connections. The `flow` folder makes those decisions.

mod client;
mod client_pool;
mod crypto;
mod failure;
pub mod mail;
#[cfg(feature = "otel")]
pub mod otlp;
#[cfg(test)]
mod proxy_tests;
mod resolve;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod tls_tests;

pub use client::{Client, ClientError, ClientOptions, Exchange, Request};
pub use resolve::{Resolution, Resolver, SystemResolver};
