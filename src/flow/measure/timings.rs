//! Histograms and counters since the start, for `/metrics`.
//!
//! The [`meter`](super::meter) shows the last minute. These only grow: whoever collects them computes rates.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::attempt::Attempt;
use crate::model::delivery::Delivery;
use crate::model::metrics::{Histogram, LONG, MEDIUM, SHORT, histogram};
use crate::model::time::Timestamp;

/// The histograms of the journey, and the counts of refused submissions.
#[derive(Debug)]
pub struct Timings {
    /// From the submission of events until they are durable.
    pub ingest: Histogram,
    /// The matching of one event.
    pub matching: Histogram,
    /// From the beginning of an attempt to its end.
    pub attempt: Histogram,
    /// From when an attempt is due until it begins.
    pub due_lag: Histogram,
    /// From the creation of a delivery until its receiver accepts it.
    pub delivery: Histogram,
    /// Submissions that were refused because a queue was full.
    queue_full: AtomicU64,
    /// Submissions that were refused because the disk was full.
    disk_full: AtomicU64,
}

impl Default for Timings {
    fn default() -> Self {
        let of =
            |name: &str, help: &str, bounds| histogram(&format!("postrider_{name}_seconds"), help, bounds);
        Self {
            ingest: of("ingest", "From the submission of events until they are durable.", MEDIUM),
            matching: of("match", "Matching one event against all subscriptions.", SHORT),
            attempt: of("attempt", "From the beginning of an attempt to its end.", MEDIUM),
            due_lag: of("due_lag", "From when an attempt is due until it begins.", LONG),
            delivery: of("delivery", "From the creation of a delivery until its receiver accepts it.", LONG),
            queue_full: AtomicU64::new(0),
            disk_full: AtomicU64::new(0),
        }
    }
}

impl Timings {
    /// Counts an attempt that has ended and was due at `due`.
    pub(in crate::flow) fn attempted(&self, delivery: &Delivery, attempt: &Attempt, due: Timestamp) {
        self.attempt.observe(attempt.duration.as_secs_f64());
        self.due_lag.observe(attempt.started_at.since(due).as_secs_f64());
        if attempt.outcome.is_success() {
            self.delivery.observe(attempt.ended_at().since(delivery.id.time()).as_secs_f64());
        }
    }

    pub(in crate::flow) fn count_queue_full(&self) {
        self.queue_full.fetch_add(1, Ordering::Relaxed);
    }

    pub(in crate::flow) fn count_disk_full(&self) {
        self.disk_full.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the number of refused submissions by reason.
    pub fn refused(&self) -> [(&'static str, u64); 2] {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        [("queue_full", read(&self.queue_full)), ("disk_full", read(&self.disk_full))]
    }
}
