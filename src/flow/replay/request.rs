//! The request for a replay.

use crate::model::delivery::DeliveryState;
use crate::model::id::SubscriptionId;
use crate::model::problem::{Localized, Message};
use crate::model::time::Timestamp;

/// The states by which a replay can select deliveries: the final ones.
pub const REPLAYED_STATES: [DeliveryState; 3] =
    [DeliveryState::Succeeded, DeliveryState::Exhausted, DeliveryState::Cancelled];

/// A request to deliver past events to a subscription again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    /// The subscription that gets the events.
    pub subscription: SubscriptionId,
    /// Selects events accepted at this time or later.
    pub since: Option<Timestamp>,
    /// Selects events accepted before this time.
    pub until: Option<Timestamp>,
    /// Selects events whose newest delivery to the subscription is in one of these states. If empty, every event that
    /// the subscription matches is selected.
    pub states: Vec<DeliveryState>,
}

impl ReplayRequest {
    /// Returns an error if the span between `since` and `until` is empty.
    pub fn check_span(&self) -> Result<(), EmptySpan> {
        let is_empty = self.since.zip(self.until).is_some_and(|(since, until)| until <= since);
        if is_empty { Err(EmptySpan) } else { Ok(()) }
    }
}

/// The span of a replay ends before it begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not after since: nothing would be delivered")]
pub struct EmptySpan;

impl Localized for EmptySpan {
    fn message(&self) -> Message {
        Message::new("problem-empty-span")
    }
}

/// The result of counting the events of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplayCount {
    /// The number of events that would be delivered.
    pub matching: u64,
    /// Whether the whole span was counted. False if the time limit was reached first.
    pub is_complete: bool,
}
