//! What keeps a change from being made in the present state.

use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::problem::{Localized, Message};
use crate::model::time::Timestamp;
use crate::rules::rotation::ACTIVE_SECRETS_MAX;

/// Why something does not fit the present state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// Nobody is there to deliver to.
    #[error("the subscription {0} of this delivery is deleted")]
    NoSubscription(SubscriptionId),
    /// A request of it is out.
    #[error("{0} is being attempted right now: wait for its answer")]
    InFlight(DeliveryId),
    /// Retention has taken what would be sent.
    #[error("the event {0} of this delivery is no longer in the log")]
    NoEvent(EventId),
    /// It is over.
    #[error("{id} has ended already: it is {state}")]
    Ended {
        /// The delivery or replay.
        id: String,
        /// The word of its state.
        state: &'static str,
    },
    /// It was switched off again while it was checked.
    #[error("{0} has been switched off anew: look again, then enable it")]
    SwitchedOff(SubscriptionId),
    /// What the same call made before is gone.
    #[error("{0}, which was made with this idempotency key, has been deleted")]
    MadeAndDeleted(SubscriptionId),
    /// More secrets than may sign side by side.
    #[error(
        "{count} secrets would sign side by side, more than {ACTIVE_SECRETS_MAX}: {}wait, or rotate with a grace of \"0ms\", which ends \
         all before at once",
        .first_end.map(|end| format!("the first of them ends at {end}: ")).unwrap_or_default()
    )]
    Secrets {
        /// How many they would be.
        count: usize,
        /// When the first of those before ends.
        first_end: Option<Timestamp>,
    },
}

impl Localized for Conflict {
    fn message(&self) -> Message {
        let new = Message::new;
        match self {
            Self::NoSubscription(id) => new("problem-no-subscription").with("id", id),
            Self::InFlight(id) => new("problem-is-attempted").with("id", id),
            Self::NoEvent(id) => new("problem-no-event").with("id", id),
            Self::Ended { id, state } => new("problem-ended").with("id", id).with_phrase("state", state),
            Self::SwitchedOff(id) => new("problem-switched-off").with("id", id),
            Self::MadeAndDeleted(id) => new("problem-made-and-deleted").with("id", id),
            Self::Secrets { count, first_end } => {
                let message = match first_end {
                    None => new("problem-secrets"),
                    Some(end) => new("problem-secrets-until").with("end", end),
                };
                message.with("count", count).with("most", ACTIVE_SECRETS_MAX)
            }
        }
    }
}
