//! What a step with an idempotency key answers.

use crate::model::id::{DeliveryId, EventId, ReplayId, SubscriptionId};

/// A caller's idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// A hash of the caller, the route and the key.
    pub key: [u8; 16],
    /// A hash of the request's body.
    pub fingerprint: [u8; 16],
}

/// What came of a step with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotent<T> {
    /// It was done.
    Made(T),
    /// It had been done before, as this says; nothing was done now.
    Repeated(RecordedResult),
    /// The key stands for another body; nothing was done.
    Mismatch,
}

/// What a step with an idempotency key made when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordedResult {
    /// Events, in the order of the list.
    Events(Vec<RecordedEvent>),
    /// A subscription.
    Subscription(SubscriptionId),
    /// Replayed deliveries, and the subscriptions that were passed over.
    Replayed {
        /// Those that were made.
        deliveries: Vec<DeliveryId>,
        /// As the step was given them.
        skipped: Vec<SubscriptionId>,
    },
    /// A replay job.
    Job(ReplayId),
}

/// What became of one event of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordedEvent {
    /// Its id; of a duplicate, the first one's.
    pub id: EventId,
    /// How many deliveries it has.
    pub matched: u32,
    /// Whether its sender's id had been seen.
    pub duplicate: bool,
}
