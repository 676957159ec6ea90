//! Changes that people ask for: of subscriptions, their secrets, and single deliveries.

mod backup;
mod complete;
mod deliveries;
pub mod enable;
pub mod reconcile;
mod sample;
pub mod secrets;
mod subscriptions;
