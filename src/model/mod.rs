//! The types of the domain: events, subscriptions, deliveries, and the values that they consist of.
//!
//! Nothing in this folder does I/O, or knows how a value is stored or sent. Values are parsed at the boundary
//! ([`name`], [`selector`], [`input`]), so that inner code cannot hold an invalid one. An event starts as an
//! [`event::EventContent`] that a client submits. Each of its [`delivery::Delivery`]s ends in a final state.
//!
//! # Words for errors
//! The whole crate uses these words:
//!
//! - **Error**: a Rust error type, named after what failed, such as [`id::IdError`]. A function returns it as
//!   `Err`.
//! - **Problem**: one mistake in a caller's input, with the member and the remedy ([`problem::Problem`]). All
//!   problems of an input are reported together.
//! - **Failure**: an unsuccessful attempt of a delivery. Failures are data ([`attempt::Outcome`]), not errors
//!   of the daemon.
//! - **Conflict**: a valid request that the current state does not allow (`flow::conflict`).

pub mod attempt;
pub mod delivery;
pub mod email;
pub mod event;
pub mod id;
pub mod input;
pub mod member_error;
pub mod metrics;
pub mod name;
pub mod notice;
pub mod pointer;
pub mod problem;
pub mod proxy;
pub mod replay;
pub mod secret;
pub mod selector;
pub mod setting;
pub mod span;
pub mod string_enum;
pub mod subscription;
pub mod time;
pub mod tls;
pub mod trace;
