//! Spans: the steps of an event's processing that are exported to a trace collector.

use std::fmt;
use std::time::Duration;

use super::id::{DeliveryId, EventId, SubscriptionId};
use super::name::{CompanyId, EventType, ProjectId};
use super::trace::{SpanId, TraceContext};

/// A finished step of an event's processing.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace and the id of this span, which becomes the parent of spans that it causes.
    pub context: TraceContext,
    /// The span that caused this one, if any.
    pub parent: Option<SpanId>,
    /// When the step began, as the time since the Unix epoch.
    pub start: Duration,
    /// The duration of the step.
    pub took: Duration,
    /// The event that was processed.
    pub event: EventId,
    /// The kind of step, with its details.
    pub operation: SpanOperation,
}

/// The kind of step that a span describes.
#[derive(Clone, Debug, PartialEq)]
pub enum SpanOperation {
    /// The event was accepted and made durable.
    Acceptance {
        /// The event's type.
        event_type: EventType,
        /// The event's project.
        project: ProjectId,
        /// The company that the project belongs to.
        company: Option<CompanyId>,
        /// The number of deliveries that the event created.
        matched: usize,
    },
    /// A request was made to a receiver.
    Attempt {
        /// The delivery's id.
        delivery: DeliveryId,
        /// The delivery's subscription.
        subscription: SubscriptionId,
        /// The subscription's name.
        name: String,
        /// The receiver's host.
        host: String,
        /// The receiver's port, if the URL has one.
        port: Option<u16>,
        /// The number of the attempt, starting at 1.
        number: u32,
        /// The HTTP status, if the receiver answered.
        status: Option<u16>,
        /// The failure, if the attempt failed.
        error: Option<AttemptFailure>,
    },
}

/// The failure of an attempt, as spans describe it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptFailure {
    /// A value from a fixed set: the error class or the HTTP status.
    pub kind: String,
    /// A description for people.
    pub detail: String,
}

/// A destination of spans. Exporting never blocks the caller.
pub trait SpanExporter: fmt::Debug + Send + Sync {
    /// Enqueues a finished span for export.
    fn export(&self, span: Span);

    /// Exports the enqueued spans and accepts no more. Blocks for a few seconds at most.
    fn shut_down(&self);
}
