//! Writes the log: the queue, the committer, and one file for each kind of step.

pub(super) mod append;
pub(super) mod backup;
pub(super) mod buckets;
pub(super) mod committer;
pub(super) mod dedup;
pub(super) mod idempotency_keys;
pub(super) mod idempotent;
pub(super) mod queue;
pub(super) mod segments;
pub(super) mod settle;
pub(super) mod step;
pub(super) mod sweep;
pub(super) mod watchdog;
pub(super) mod writer;
