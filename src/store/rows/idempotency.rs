//! The results of steps with an idempotency key.

use crate::model::id::{DeliveryId, EventId, ReplayId, SubscriptionId};

/// The idempotency key of a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// A hash of the caller, the route and the key.
    pub key: [u8; 16],
    /// A hash of the request's body.
    pub fingerprint: [u8; 16],
}

/// The outcome of a step with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotent<T> {
    /// The step was done.
    Made(T),
    /// The step was done earlier, with this result. Nothing was done now.
    Repeated(RecordedResult),
    /// The key was used with another body. Nothing was done.
    Mismatch,
}

/// The result that is recorded for an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedResult {
    /// Events, in the order of the list.
    Events(Vec<RecordedEvent>),
    /// A created subscription.
    Subscription(SubscriptionId),
    /// Replayed deliveries, and the subscriptions that were passed over.
    Replayed {
        /// The new deliveries.
        deliveries: Vec<DeliveryId>,
        /// The subscriptions that were skipped, as the caller of the step named them.
        skipped: Vec<SubscriptionId>,
    },
    /// A replay job.
    Job(ReplayId),
}

/// The result for one event of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// The id of the event. For a duplicate, the id of the first event.
    pub id: EventId,
    /// The number of its deliveries.
    pub matched: u32,
    /// Whether the sender's id had been used before.
    pub duplicate: bool,
}
