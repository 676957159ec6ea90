//! Replays: events of the log delivered again, one event at once or a subscription's past as a job.

pub mod event;
pub mod job;
pub mod request;
pub(super) mod running;
mod scan;
