//! Changes on request: subscriptions, their secrets, single deliveries, samples and backups.

mod backup;
mod complete;
mod deliveries;
pub mod enable;
pub mod reconcile;
mod sample;
pub mod secrets;
mod subscriptions;
