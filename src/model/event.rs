//! Events, as they are submitted and as they are accepted.

use std::sync::Arc;

use bytes::Bytes;

use super::id::EventId;
use super::name::{CompanyId, EventType, ProjectId, SenderId};
use super::time::Timestamp;
use super::trace::TraceContext;

/// The content of a submitted event. All members are valid. It has no id yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventContent {
    /// The type of the event: what happened.
    pub event_type: EventType,
    /// The project that the event belongs to.
    pub project: ProjectId,
    /// The company that the project belongs to.
    pub company: Option<CompanyId>,
    /// The sender's own id, used for deduplication.
    pub sender_id: Option<SenderId>,
    /// When the event happened, if the sender gave a time.
    pub occurred_at: Option<Timestamp>,
    /// The payload: JSON text, exactly as submitted.
    pub data: Option<Bytes>,
    /// The trace that the event was submitted in.
    pub trace: Option<Arc<TraceContext>>,
}

/// An accepted event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event's id, which contains the time of its arrival.
    pub id: EventId,
    /// The submitted content.
    pub content: EventContent,
}

impl Event {
    /// Returns when the event happened: the sender's time, or else the time of arrival.
    pub fn occurred_at(&self) -> Timestamp {
        self.content.occurred_at.unwrap_or_else(|| self.id.time())
    }
}
