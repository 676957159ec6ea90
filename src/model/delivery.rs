//! Deliveries: one event for one subscription.
//!
//! ```text
//!                ┌──────────── failed, attempts left ───────────┐
//!                ▼                                              │
//! accepted ─► waiting ──────────► (in flight) ──2xx──────► succeeded
//!                │                      └──attempts used up► exhausted
//!                └── subscription deleted, or manual cancel ─► cancelled
//! ```
//! A waiting delivery is shown as `in_flight` while its request runs, as `held` while its subscription is
//! disabled, and as `pending` otherwise. These three states are derived and not stored.

use super::attempt::Attempt;
use super::id::{DeliveryId, EventId, SubscriptionId};
use super::problem::{Localized, Message};
use super::time::Timestamp;

/// The stored state of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// The delivery is not finished. It is attempted when it is due, unless its subscription is disabled.
    Waiting {
        /// When the next attempt is due.
        due: Timestamp,
    },
    /// The receiver accepted the delivery.
    Succeeded,
    /// Every attempt failed.
    Exhausted,
    /// The delivery was cancelled by a person, or because its subscription was deleted.
    Cancelled,
}

impl Progress {
    /// Returns whether the delivery is finished. Only a manual retry can change a final state.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Waiting { .. })
    }

    /// Returns when the next attempt is due, or none if the delivery has ended.
    pub const fn due(self) -> Option<Timestamp> {
        match self {
            Self::Waiting { due } => Some(due),
            Self::Succeeded | Self::Exhausted | Self::Cancelled => None,
        }
    }
}

/// A delivery as the store keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The delivery's id. For the deliveries that an event starts with, it follows the event's id directly.
    pub id: DeliveryId,
    /// The event to deliver.
    pub event: EventId,
    /// The subscription to deliver to.
    pub subscription: SubscriptionId,
    /// The stored state.
    pub progress: Progress,
    /// Every attempt so far, in order.
    pub attempts: Vec<Attempt>,
    /// The number of attempts before the current retry schedule began. A manual retry begins a new schedule.
    pub attempts_before: u32,
}

impl Delivery {
    /// Creates a delivery without attempts, due at the time of its id.
    pub fn new(id: DeliveryId, event: EventId, subscription: SubscriptionId) -> Self {
        let progress = Progress::Waiting { due: id.time() };
        Self { id, event, subscription, progress, attempts: Vec::new(), attempts_before: 0 }
    }

    /// Returns the number of the next attempt, starting at 1.
    pub fn next_attempt(&self) -> u32 {
        self.attempts.last().map_or(1, |attempt| attempt.number + 1)
    }
}

/// The state of a delivery as the API, logs and the web page show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// The delivery was never attempted, or waits for a retry.
    Pending,
    /// A request of the delivery is running.
    InFlight,
    /// The receiver accepted the delivery.
    Succeeded,
    /// Every attempt failed.
    Exhausted,
    /// The delivery waits until its subscription is enabled.
    Held,
    /// The delivery was cancelled.
    Cancelled,
}

impl DeliveryState {
    /// The states, in the order of their definition.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::InFlight, Self::Succeeded, Self::Exhausted, Self::Held, Self::Cancelled];

    /// Returns the state as the API and logs spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::InFlight => "in_flight",
            Self::Succeeded => "succeeded",
            Self::Exhausted => "exhausted",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A text that is not the name of a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not a state of a delivery: expected one of {words}", words = DeliveryState::ALL.map(DeliveryState::as_str).join(", "))]
pub struct StateError(String);

impl Localized for StateError {
    fn message(&self) -> Message {
        let words = DeliveryState::ALL.map(DeliveryState::as_str).join(", ");
        Message::new("problem-state").with("text", &self.0).with("words", words)
    }
}

impl std::str::FromStr for DeliveryState {
    type Err = StateError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let state = Self::ALL.into_iter().find(|state| state.as_str() == text);
        state.ok_or_else(|| StateError(text.to_owned()))
    }
}
