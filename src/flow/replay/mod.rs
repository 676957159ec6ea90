//! Replays: past events are delivered again, one event at once or a whole span by a job.

pub mod event;
pub mod job;
pub mod request;
pub(super) mod running;
mod scan;
