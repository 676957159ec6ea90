//! Tests of the store as a whole.

mod backup;
mod idempotency;
mod migration;
mod model;
mod sealing;
mod steps;
mod sweep;
pub(super) mod test_store;
