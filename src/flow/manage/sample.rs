//! Sample events that show how a receiver answers.

use crate::flow::attempt::Message;
use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::entry::Entry;
use crate::flow::change::error::ChangeError;
use crate::flow::inner::Flow;
use crate::model::attempt::Attempt;
use crate::model::id::{EventId, SubscriptionId};
use crate::model::name::EventType;
use crate::rules::payload;

impl Flow {
    /// Sends a signed sample event, of type `event_type` if given, even to a disabled subscription.
    ///
    /// A sample is not a delivery: it is not stored, not retried, and does not change the subscription's
    /// health.
    pub async fn send_sample(
        &self,
        actor: Actor,
        id: SubscriptionId,
        event_type: Option<EventType>,
    ) -> Result<Attempt, ChangeError> {
        let change = |flow: Self| async move {
            let attempt = flow.attempt_sample(id, event_type).await?;
            actor.record(Action::SubscriptionTested, id, &attempt.outcome);
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
