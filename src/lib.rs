//! Postrider: webhooks from one self-contained binary.
//!
//! # The journey of an event
//! A program submits it over HTTP ([`api::routes::submit`]). [`flow::accept`] asks the matching index
//! ([`rules::matcher`]) which subscriptions want it and has it made durable ([`store`]) together with a delivery for
//! each; only then is it answered. Each delivery waits in its subscription's lane until [`flow`]'s dispatch gives it
//! a turn; the attempt signs it ([`rules::signature`]) and sends it ([`net`]); settling decides what follows
//! ([`rules::retry`], [`rules::health`]) and makes that durable too. After a restart [`flow::recover`] re-enters the
//! journey from the log.
//!
//! Modules are layers: each names only those below it. See `docs/ARCHITECTURE.md`.

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
