//! Manual retry and cancellation of a delivery.
//!
//! Both have to keep attempts away from the delivery while it changes. So they claim it: the delivery becomes
//! busy in its lane, without a request in flight. It is released when the change is durable or has failed.

use std::pin::pin;
use std::sync::Arc;

use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::conflict::Conflict;
use crate::flow::change::error::ChangeError;
use crate::flow::inner::Flow;
use crate::flow::lane::Lane;
use crate::flow::stream::StreamEvent;
use crate::model::delivery::{Delivery, Progress};
use crate::model::id::DeliveryId;
use crate::store::{Settlement, StoreError};

impl Flow {
    /// Makes a delivery due now, whatever its state, with a new retry schedule.
    ///
    /// Earlier attempts stay on record, and new ones continue their numbers. If the subscription is disabled,
    /// the delivery is held.
    ///
    /// # Errors
    /// [`Conflict::InFlight`] if a request of the delivery is in flight; and the errors of every change.
    pub async fn retry(&self, actor: Actor, id: DeliveryId) -> Result<Delivery, ChangeError> {
        let change = |flow: Self| async move {
            let (lane, delivery) = flow.claim(id).await?;
            let outcome = match delivery {
                Ok(delivery) => flow.make_due(delivery).await.map_err(ChangeError::from),
                Err(error) => Err(error),
            };
            let delivery = flow.release(&lane, id, outcome)?;
            actor.record(Action::DeliveryRetried, id, "");
            Ok(delivery)
        };
        self.complete(change).await
    }

    /// Cancels a delivery that is pending or held.
    ///
    /// # Errors
    /// [`Conflict::Ended`] if the delivery has ended, [`Conflict::InFlight`] if a request of it is in flight;
    /// and the errors of every change.
    pub async fn cancel(&self, actor: Actor, id: DeliveryId) -> Result<Delivery, ChangeError> {
        let change = |flow: Self| async move {
            let (lane, delivery) = flow.claim(id).await?;
            let outcome = match delivery {
                Ok(delivery) => flow.cancel_waiting(delivery).await,
                Err(error) => Err(error),
            };
            let delivery = flow.release(&lane, id, outcome)?;
            actor.record(Action::DeliveryCancelled, id, "");
            Ok(delivery)
        };
        self.complete(change).await
    }

    /// Claims a delivery in its lane and returns both. The caller has to release the delivery.
    async fn claim(&self, id: DeliveryId) -> Result<(Arc<Lane>, Result<Delivery, ChangeError>), ChangeError> {
        let not_found = || ChangeError::NotFound { what: "delivery", id: id.to_string() };
        let found = self.read(move |reader| reader.delivery(id)).await?.ok_or_else(not_found)?;
        let lane = self
            .lanes
            .get(found.subscription)
            .ok_or_else(|| ChangeError::from(Conflict::NoSubscription(found.subscription)))?;
        claim_in_lane(&lane, id).await?;
        // Read again: an attempt may have been settled before the claim.
        let reread = self.read(move |reader| {
            let Some(delivery) = reader.delivery(id)? else { return Ok(None) };
            let has_event = reader.event_head(delivery.event)?.is_some();
            Ok::<_, StoreError>(Some((delivery, has_event)))
        });
        let delivery = match reread.await {
            Ok(Some((delivery, true))) => Ok(delivery),
            Ok(Some((delivery, false))) => Err(Conflict::NoEvent(delivery.event).into()),
            Ok(None) => Err(not_found()),
            Err(error) => Err(error.into()),
        };
        Ok((lane, delivery))
    }

    fn release(
        &self,
        lane: &Arc<Lane>,
        id: DeliveryId,
        outcome: Result<Delivery, ChangeError>,
    ) -> Result<Delivery, ChangeError> {
        lane.lock().release(id, outcome.as_ref().ok().and_then(|delivery| delivery.progress.due()));
        self.pump(lane);
        self.replays.wake(lane.id);
        outcome
    }

    async fn make_due(&self, mut delivery: Delivery) -> Result<Delivery, StoreError> {
        let due_was = delivery.progress.due();
        delivery.progress = Progress::Waiting { due: self.clock.now() };
        delivery.attempts_before = delivery.next_attempt() - 1;
        let settlement = Settlement { delivery: delivery.clone(), due_was, health: None };
        self.commit(|place, done| place.settle(settlement, done)).await?;
        Ok(delivery)
    }

    async fn cancel_waiting(&self, mut delivery: Delivery) -> Result<Delivery, ChangeError> {
        let Some(due) = delivery.progress.due() else {
            let state = self.view(&delivery).state.as_str();
            return Err(Conflict::Ended { id: delivery.id.to_string(), state }.into());
        };
        delivery.progress = Progress::Cancelled;
        let settlement = Settlement { delivery: delivery.clone(), due_was: Some(due), health: None };
        self.commit(|place, done| place.settle(settlement, done)).await?;
        let settled = StreamEvent::settled(&delivery, self.clock.now());
        self.stream.publish(settled);
        Ok(delivery)
    }
}

/// Claims a delivery. Waits while the delivery is busy without a request in flight.
async fn claim_in_lane(lane: &Lane, id: DeliveryId) -> Result<(), Conflict> {
    let released = Arc::clone(&lane.lock().released);
    loop {
        // Listen before looking, so that no release is missed.
        let mut written = pin!(released.notified());
        written.as_mut().enable();
        {
            let mut state = lane.lock();
            if state.has_request(id) {
                return Err(Conflict::InFlight(id));
            }
            if state.claim(id) {
                return Ok(());
            }
        }
        written.await;
    }
}
