//! A sample, sent now because a person wants to see what the receiver makes of it.

use crate::model::attempt::Attempt;
use crate::model::id::{EventId, SubscriptionId};
use crate::model::name::EventType;
use crate::rules::payload;

use crate::flow::attempt::Message;
use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::entry::Entry;
use crate::flow::change::error::ChangeError;
use crate::flow::inner::Flow;

impl Flow {
    /// Sends a signed sample, of this event type if one is given, whether or not the subscription is switched on.
    ///
    /// It is no delivery: nothing is written down, it is not tried again, and it says nothing of the receiver's
    /// health.
    pub async fn send_sample(
        &self,
        actor: Actor,
        id: SubscriptionId,
        event_type: Option<EventType>,
    ) -> Result<Attempt, ChangeError> {
        let change = |flow: Self| async move {
            let attempt = flow.attempt_sample(id, event_type).await?;
            actor.note(Action::SubscriptionTested, id, &attempt.outcome);
            Ok(attempt)
        };
        self.complete(change).await
    }

    async fn attempt_sample(
        &self,
        id: SubscriptionId,
        event_type: Option<EventType>,
    ) -> Result<Attempt, ChangeError> {
        if self.stopping.is_cancelled() {
            return Err(ChangeError::Stopping);
        }
        let entry = self.subscription(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let Entry { subscription, health } = entry;
        let event = EventId::from_bits(self.new_bits(self.clock.now()));
        let event = payload::sample(&subscription, event_type, event);
        let body = payload::body(&subscription, &health, &event);
        let message = Message { event: event.id, delivery: None, number: 1, body, trace: None };
        Ok(self.send(&subscription, message).await)
    }
}
