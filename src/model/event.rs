//! Events: what was submitted, and what it became once it was accepted.

use std::sync::Arc;

use bytes::Bytes;

use super::id::EventId;
use super::name::{CompanyId, EventType, ProjectId, SenderId};
use super::time::Timestamp;
use super::trace::TraceContext;

/// An event as it was submitted: every member valid, no id yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventContent {
    /// What happened.
    pub event_type: EventType,
    /// Where it happened.
    pub project: ProjectId,
    /// Whose project that is.
    pub company: Option<CompanyId>,
    /// The sender's own id, for deduplication.
    pub sender_id: Option<SenderId>,
    /// When it happened, if the sender said so.
    pub occurred_at: Option<Timestamp>,
    /// JSON text exactly as it was submitted.
    pub data: Option<Bytes>,
    /// The trace that it was submitted in.
    pub trace: Option<Arc<TraceContext>>,
}

/// An accepted event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its id, which says when it arrived.
    pub id: EventId,
    /// What was submitted.
    pub content: EventContent,
}

impl Event {
    /// When it happened: the sender's word, else the time of arrival.
    pub fn occurred_at(&self) -> Timestamp {
        self.content.occurred_at.unwrap_or_else(|| self.id.time())
    }
}
