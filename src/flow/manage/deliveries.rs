//! A person steps in: one delivery is tried again, or given up on.

use std::pin::pin;
use std::sync::Arc;

use crate::model::delivery::{Delivery, Progress};
use crate::model::id::DeliveryId;
use crate::store::{Settlement, StoreError};

use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::conflict::Conflict;
use crate::flow::change::error::ChangeError;
use crate::flow::inner::Flow;
use crate::flow::lane::Lane;
use crate::flow::stream::StreamEvent;

impl Flow {
    /// Makes a delivery due now, whatever became of it, with the whole retry schedule ahead of it.
    ///
    /// If its subscription is switched off it is held. Attempts already made stay on record and their numbers go
    /// on.
    pub async fn retry(&self, actor: Actor, id: DeliveryId) -> Result<Delivery, ChangeError> {
        let change = |flow: Self| async move {
            let (lane, delivery) = flow.claim(id).await?;
            let outcome = match delivery {
                Ok(delivery) => flow.make_due(delivery).await.map_err(ChangeError::from),
                Err(error) => Err(error),
            };
            let delivery = flow.release(&lane, id, outcome)?;
            actor.note(Action::DeliveryRetried, id, "");
            Ok(delivery)
        };
        self.complete(change).await
    }

    /// Gives a delivery up that waits or is held. One that has ended, or is being attempted, stays as it is.
    pub async fn cancel(&self, actor: Actor, id: DeliveryId) -> Result<Delivery, ChangeError> {
        let change = |flow: Self| async move {
            let (lane, delivery) = flow.claim(id).await?;
            let outcome = match delivery {
                Ok(delivery) => flow.cancel_waiting(delivery).await,
                Err(error) => Err(error),
            };
            let delivery = flow.release(&lane, id, outcome)?;
            actor.note(Action::DeliveryCancelled, id, "");
            Ok(delivery)
        };
        self.complete(change).await
    }

    /// Takes a delivery out of its lane's hand, so that nothing else happens to it until it is let go.
    async fn claim(&self, id: DeliveryId) -> Result<(Arc<Lane>, Result<Delivery, ChangeError>), ChangeError> {
        let not_found = || ChangeError::NotFound { what: "delivery", id: id.to_string() };
        let found = self.read(move |reader| reader.delivery(id)).await?.ok_or_else(not_found)?;
        let lane = self
            .lanes
            .get(found.subscription)
            .ok_or_else(|| ChangeError::from(Conflict::NoSubscription(found.subscription)))?;
        claim_in_lane(&lane, id).await?;
        // Read again: before it was seized an attempt may have been settled.
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

/// Marks a delivery as being changed, once what is being written of it is durable.
async fn claim_in_lane(lane: &Lane, id: DeliveryId) -> Result<(), Conflict> {
    let released = Arc::clone(&lane.lock().released);
    loop {
        // Listens before it looks, so that nothing comes in between.
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
