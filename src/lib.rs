//! Postrider: webhooks from one self-contained binary.

pub mod api;
pub mod app;
pub mod cli;
pub mod config;
pub mod flow;
pub mod model;
pub mod net;
pub mod rules;
pub mod store;
