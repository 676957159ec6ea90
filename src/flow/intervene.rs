//! A person steps in: one delivery is tried again, or given up on.

use std::pin::pin;
use std::sync::Arc;

use crate::model::delivery::{Delivery, Progress};
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;
use crate::store::{Settlement, StoreError};

use super::Flow;
use super::audit::{Action, Actor};
use super::change_error::ChangeError;
use super::conflict::Conflict;
use super::lane::Lane;
use super::stream::Happening;

impl Flow {
    /// Makes a delivery due now, whatever became of it, with the whole retry schedule ahead of it.
    ///
    /// If its subscription is switched off it is held. Attempts already made stay on record and their numbers go
    /// on.
    pub async fn retry(&self, actor: Actor, id: DeliveryId) -> Result<Delivery, ChangeError> {
        let change = |flow: Self| async move {
            let (lane, delivery) = flow.seize(id).await?;
            let outcome = match delivery {
                Ok(delivery) => flow.make_due(delivery).await.map_err(ChangeError::from),
                Err(error) => Err(error),
            };
            let delivery = flow.let_go(&lane, id, outcome)?;
            actor.note(Action::DeliveryRetried, id, "");
            Ok(delivery)
        };
        self.complete(change).await
    }

    /// Gives a delivery up that waits or is held. One that has ended, or is being attempted, stays as it is.
    pub async fn cancel(&self, actor: Actor, id: DeliveryId) -> Result<Delivery, ChangeError> {
        let change = |flow: Self| async move {
            let (lane, delivery) = flow.seize(id).await?;
            let outcome = match delivery {
                Ok(delivery) => flow.cancel_waiting(delivery).await,
                Err(error) => Err(error),
            };
            let delivery = flow.let_go(&lane, id, outcome)?;
            actor.note(Action::DeliveryCancelled, id, "");
            Ok(delivery)
        };
        self.complete(change).await
    }

    /// Takes a delivery out of its lane's hand, so that nothing else happens to it until it is let go.
    async fn seize(&self, id: DeliveryId) -> Result<(Arc<Lane>, Result<Delivery, ChangeError>), ChangeError> {
        let not_found = || ChangeError::NotFound { what: "delivery", id: id.to_string() };
        let found = self.read(move |reader| reader.delivery(id)).await?.ok_or_else(not_found)?;
        let lane = self
            .lanes
            .get(found.subscription)
            .ok_or_else(|| ChangeError::from(Conflict::NoSubscription(found.subscription)))?;
        take_hold(&lane, id).await?;
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

    fn let_go(
        &self,
        lane: &Arc<Lane>,
        id: DeliveryId,
        outcome: Result<Delivery, ChangeError>,
    ) -> Result<Delivery, ChangeError> {
        lane.lock().settled(id, outcome.as_ref().ok().and_then(|delivery| due(delivery.progress)));
        self.pump(lane);
        self.replays.nudge(lane.id);
        outcome
    }

    async fn make_due(&self, mut delivery: Delivery) -> Result<Delivery, StoreError> {
        let due_was = due(delivery.progress);
        delivery.progress = Progress::Waiting { due: self.clock.now() };
        delivery.attempts_before = delivery.next_attempt() - 1;
        let settlement = Settlement { delivery: delivery.clone(), due_was, health: None };
        self.commit(|place, done| place.settle(settlement, done)).await?;
        Ok(delivery)
    }

    async fn cancel_waiting(&self, mut delivery: Delivery) -> Result<Delivery, ChangeError> {
        let Some(due) = due(delivery.progress) else {
            let state = self.view(&delivery).state.as_str();
            return Err(Conflict::Ended { id: delivery.id.to_string(), state }.into());
        };
        delivery.progress = Progress::Cancelled;
        let settlement = Settlement { delivery: delivery.clone(), due_was: Some(due), health: None };
        self.commit(|place, done| place.settle(settlement, done)).await?;
        let settled = Happening::settled(&delivery, self.clock.now());
        self.stream.tell(settled);
        Ok(delivery)
    }
}

/// Marks a delivery as being changed, once what is being written of it is durable.
async fn take_hold(lane: &Lane, id: DeliveryId) -> Result<(), Conflict> {
    let let_go = Arc::clone(&lane.lock().let_go);
    loop {
        // Listens before it looks, so that nothing comes in between.
        let mut written = pin!(let_go.notified());
        written.as_mut().enable();
        {
            let mut state = lane.lock();
            if state.is_out(id) {
                return Err(Conflict::InFlight(id));
            }
            if state.seize(id) {
                return Ok(());
            }
        }
        written.await;
    }
}

fn due(progress: Progress) -> Option<Timestamp> {
    match progress {
        Progress::Waiting { due } => Some(due),
        Progress::Succeeded | Progress::Exhausted | Progress::Cancelled => None,
    }
}
