//! The reason why the present state does not allow a change.

use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::problem::{Localized, Message};
use crate::model::time::Timestamp;
use crate::rules::rotation::ACTIVE_SECRETS_MAX;

/// The reason why the present state does not allow a change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The subscription of the delivery was deleted.
    #[error("the subscription {0} of this delivery is deleted")]
    NoSubscription(SubscriptionId),
    /// A request of the delivery is in flight.
    #[error("a request of {0} is in flight: wait until it ends")]
    InFlight(DeliveryId),
    /// Retention has removed the event of the delivery.
    #[error("the event {0} of this delivery is no longer in the log")]
    NoEvent(EventId),
    /// The delivery or replay has ended.
    #[error("{id} has already ended: it is {state}")]
    Ended {
        /// The id of the delivery or replay.
        id: String,
        /// The final state.
        state: &'static str,
    },
    /// The subscription was disabled again during its health check.
    #[error("{0} was disabled again during the health check: read it again, then enable it")]
    DisabledAgain(SubscriptionId),
    /// The subscription that an earlier call with the same key created was deleted.
    #[error("{0}, which was created with this idempotency key, has been deleted")]
    CreatedThenDeleted(SubscriptionId),
    /// More secrets would sign side by side than are allowed.
    #[error(
        "{count} secrets would sign side by side, more than the {ACTIVE_SECRETS_MAX} that are allowed: {}, or rotate with a \
         grace of \"0ms\" to revoke all earlier secrets immediately",
        .first_end.map_or_else(|| "wait".to_owned(), |end| format!("wait until {end}, when the first of them expires"))
    )]
    TooManySecrets {
        /// The number of secrets that would sign.
        count: usize,
        /// When the first of the earlier secrets expires.
        first_end: Option<Timestamp>,
    },
}

impl Localized for Conflict {
    fn message(&self) -> Message {
        let new = Message::new;
        match self {
            Self::NoSubscription(id) => new("problem-no-subscription").with("id", id),
            Self::InFlight(id) => new("problem-delivery-in-flight").with("id", id),
            Self::NoEvent(id) => new("problem-no-event").with("id", id),
            Self::Ended { id, state } => new("problem-ended").with("id", id).with_phrase("state", state),
            Self::DisabledAgain(id) => new("problem-disabled-again").with("id", id),
            Self::CreatedThenDeleted(id) => new("problem-created-then-deleted").with("id", id),
            Self::TooManySecrets { count, first_end } => {
                let message = match first_end {
                    None => new("problem-secrets"),
                    Some(end) => new("problem-secrets-until").with("end", end),
                };
                message.with("count", count).with("most", ACTIVE_SECRETS_MAX)
            }
        }
    }
}
