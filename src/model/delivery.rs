//! Deliveries: one event on its way to one subscription.
//!
//! ```text
//!                ┌──────────── failed, attempts left ───────────┐
//!                ▼                                              │
//! accepted ─► waiting ──────────► (in flight) ──2xx──────► succeeded
//!                │                      └──attempts used up► exhausted
//!                └── subscription deleted or a person said so ► cancelled
//! ```
//! `pending`, `in_flight` and `held` are how a waiting delivery shows: in flight while a request is out, held
//! while its subscription is switched off. They follow from those facts and are not stored.

use super::attempt::Attempt;
use super::id::{DeliveryId, EventId, SubscriptionId};
use super::problem::{Localized, Message};
use super::time::Timestamp;

/// What the log says of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Not finished: due at that time, unless its subscription is switched off.
    Waiting {
        /// When the next attempt is due.
        due: Timestamp,
    },
    /// The receiver took it.
    Succeeded,
    /// Every attempt failed.
    Exhausted,
    /// It will not be attempted again: its subscription was deleted, or a person cancelled it.
    Cancelled,
}

impl Progress {
    /// Whether nothing more will happen by itself.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Waiting { .. })
    }
}

/// A delivery as the log has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its id; consecutive to its event's for the deliveries that the event began with.
    pub id: DeliveryId,
    /// The event delivered.
    pub event: EventId,
    /// The subscription delivered to.
    pub subscription: SubscriptionId,
    /// Where it stands.
    pub progress: Progress,
    /// Every request made so far, in order.
    pub attempts: Vec<Attempt>,
    /// How many of `attempts` were made before the current retry schedule began (by a manual retry).
    pub attempts_before: u32,
}

impl Delivery {
    /// A delivery that nothing has happened to yet: due when it was made.
    pub fn new(id: DeliveryId, event: EventId, subscription: SubscriptionId) -> Self {
        let progress = Progress::Waiting { due: id.time() };
        Self { id, event, subscription, progress, attempts: Vec::new(), attempts_before: 0 }
    }

    /// The number of the next attempt, 1 for the first.
    pub fn next_attempt(&self) -> u32 {
        self.attempts.last().map_or(1, |attempt| attempt.number + 1)
    }
}

/// How a delivery shows in the API, in logs and on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryState {
    /// Never tried, or waiting for a retry.
    Pending,
    /// A request is out.
    InFlight,
    /// Taken by the receiver.
    Succeeded,
    /// Its attempts are used up.
    Exhausted,
    /// Kept while its subscription is switched off.
    Held,
    /// Given up on.
    Cancelled,
}

impl DeliveryState {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Pending, Self::InFlight, Self::Succeeded, Self::Exhausted, Self::Held, Self::Cancelled];

    /// The word that API and logs use.
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

/// A text that is no state's word.
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
