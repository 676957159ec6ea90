//! Spans: what a collector of traces is told of an event's journey.

use std::fmt;
use std::time::Duration;

use super::id::{DeliveryId, EventId, SubscriptionId};
use super::name::{CompanyId, EventType, ProjectId};
use super::trace::{SpanId, TraceContext};

/// Something that was done for an event, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// The trace, with this span as what comes next is caused by.
    pub context: TraceContext,
    /// The span that caused this one, if one did.
    pub parent: Option<SpanId>,
    /// When it began, since the Unix epoch.
    pub start: Duration,
    /// How long it took.
    pub took: Duration,
    /// The event that it was done for.
    pub event: EventId,
    /// What was done.
    pub kind: SpanKind,
}

/// What a span was spent on.
#[derive(Clone, Debug, PartialEq)]
pub enum SpanKind {
    /// An event was taken in and made durable.
    Acceptance {
        /// What happened.
        event_type: EventType,
        /// Where.
        project: ProjectId,
        /// Whose project that is.
        company: Option<CompanyId>,
        /// How many deliveries it began.
        matched: usize,
    },
    /// A receiver was called.
    Attempt {
        /// The delivery.
        delivery: DeliveryId,
        /// Whose it is.
        subscription: SubscriptionId,
        /// What people call it.
        name: String,
        /// The receiver's host.
        host: String,
        /// Its port.
        port: Option<u16>,
        /// 1 for the first.
        number: u32,
        /// What the receiver answered, if it did.
        status: Option<u16>,
        /// Why it failed, if it did.
        error: Option<AttemptFailure>,
    },
}

/// Why an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptFailure {
    /// A word of few: a class of errors, or the status.
    pub kind: String,
    /// For people.
    pub detail: String,
}

/// Who is told of spans. It never holds up those who tell it.
pub trait SpanExporter: fmt::Debug + Send + Sync {
    /// Takes a span that is over.
    fn export(&self, span: Span);

    /// Passes on what it has, waiting a few seconds at most, and takes no more. Blocks.
    fn shut_down(&self);
}
