//! Postrider: webhooks from one self-contained binary.
//!
//! # The journey of an event
//! A program submits an event over HTTP ([`api::routes::submit`]). `flow::accept` asks the matching index
//! ([`rules::matcher`]) for the matching subscriptions. The event and a delivery for each of them become durable
//! ([`store`]) before the request is answered. Each delivery waits in the lane of its subscription until the dispatch of
//! [`flow`] starts an attempt. The attempt signs the delivery ([`rules::signature`]) and sends it ([`net`]). Settling
//! decides the next state ([`rules::retry`], [`rules::health`]) and makes it durable. After a restart,
//! [`flow::recover`] continues the unfinished deliveries from the log.
//!
//! Modules are layers: each imports only the layers below it. See `docs/ARCHITECTURE.md`.

pub mod api;
pub mod app;
#[cfg(feature = "bench")]
mod bench;
pub mod cli;
pub mod config;
mod console;
#[cfg(feature = "demo")]
mod demo;
pub mod flow;
pub mod model;
pub mod net;
pub mod rules;
pub mod store;
pub mod ui;
