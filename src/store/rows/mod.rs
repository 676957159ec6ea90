//! The rows of the log: their keys, their records, and the trees that hold them.

pub(super) mod change_feed;
pub(super) mod engine;
pub(super) mod idempotency;
pub(super) mod key;
pub(super) mod origin;
pub(super) mod record;
pub(super) mod segment;
pub(super) mod tables;
pub(super) mod write_batch;
