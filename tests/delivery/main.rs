//! Events from acceptance to their receivers: order, retries, health, replays, notices, traces and hostile peers.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod connection_limits;
mod disk_reads;
mod hostile_receivers;
mod intake;
mod journey;
mod lanes;
mod notices;
mod receiver_tls;
mod replay;
mod rotation;
mod simulation;
mod stream;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "every test binary shares the support and uses its own part")]
mod support;
mod traces;
