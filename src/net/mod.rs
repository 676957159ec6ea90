//! The outbound HTTP client and its resolver; mail by SMTP; traces by OTLP.
//!
//! It makes one request and says what came of it: failures of receivers are data, never errors of ours. It
//! never calls an address that is not allowed, follows no redirect, and reads no more of an answer than it must.
//! It decides nothing about what follows, and keeps nothing but idle connections.

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
