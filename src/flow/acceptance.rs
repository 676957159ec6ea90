//! The result of accepting events.

use std::time::Duration;

use crate::model::id::EventId;
use crate::store::{RecordedEvent, StoreError};

/// The result of submitting an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The id of the event, or of the event that it duplicates.
    pub id: EventId,
    /// The number of subscriptions that get the event; 0 for a duplicate.
    pub matched: usize,
    /// Whether an event with the same sender's id was accepted within the deduplication window.
    pub duplicate: bool,
}

impl From<RecordedEvent> for Accepted {
    fn from(RecordedEvent { id, matched, duplicate }: RecordedEvent) -> Self {
        let matched = if duplicate { 0 } else { usize::try_from(matched).unwrap_or(usize::MAX) };
        Self { id, matched, duplicate }
    }
}

/// The reason for refusing events. No event of the call was accepted.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The queue of events has reached `server.queue_events_max`, or their bodies `server.queue_bytes_max`.
    #[error("the queue of events is full: try again in {}s", .retry_after.as_secs())]
    QueueFull {
        /// The time to wait before the next attempt.
        retry_after: Duration,
    },
    /// The data disk is nearly full.
    #[error(
        "only {free} bytes are free on the data disk, and storage.disk_reserve keeps {reserve}: free some space or lower \
         the reserve"
    )]
    DiskFull {
        /// The free bytes.
        free: u64,
        /// The bytes that have to stay free.
        reserve: u64,
    },
    /// The idempotency key was used with another request.
    #[error("this idempotency key was used with another body: use a new key for a new request")]
    KeyReused,
    /// The daemon is stopping.
    #[error("the daemon is stopping: try again after it has restarted")]
    Stopping,
    /// The log failed.
    #[error("failed to make the events durable: {0}")]
    Store(#[from] StoreError),
}
