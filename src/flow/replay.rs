//! Delivering again, because a person asks for it.

use crate::model::delivery::{Delivery, Progress};
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;
use crate::store::{Settlement, StoreError};

use super::Flow;
use super::subscriptions::ChangeError;

impl Flow {
    /// Makes a delivery due now, whatever became of it, with the whole retry schedule ahead of it.
    ///
    /// If its subscription is switched off it is held. Attempts already made stay on record and their numbers go
    /// on.
    pub async fn retry(&self, id: DeliveryId) -> Result<Delivery, ChangeError> {
        let not_found = || ChangeError::NotFound { what: "delivery", id: id.to_string() };
        let found = self.read(move |reader| reader.delivery(id)).await?.ok_or_else(not_found)?;
        let lane = self.lanes.get(found.subscription).ok_or_else(|| {
            ChangeError::Conflict(format!(
                "the subscription {} of this delivery is deleted",
                found.subscription
            ))
        })?;
        if !lane.lock().seize(id) {
            return Err(ChangeError::Conflict(format!(
                "{id} is being attempted right now: wait for its answer"
            )));
        }
        // Read again: before it was seized an attempt may have been settled.
        let reread = self.read(move |reader| {
            let Some(delivery) = reader.delivery(id)? else { return Ok(None) };
            let has_event = reader.event_head(delivery.event)?.is_some();
            Ok::<_, StoreError>(Some((delivery, has_event)))
        });
        let outcome = match reread.await {
            Ok(Some((delivery, true))) => self.make_due(delivery).await.map_err(ChangeError::from),
            Ok(Some((delivery, false))) => Err(ChangeError::Conflict(format!(
                "the event {} of this delivery is no longer in the log",
                delivery.event
            ))),
            Ok(None) => Err(not_found()),
            Err(error) => Err(error.into()),
        };
        lane.lock().settled(id, outcome.as_ref().ok().map(|(_, due)| *due));
        self.pump(&lane);
        outcome.map(|(delivery, _)| delivery)
    }

    async fn make_due(&self, mut delivery: Delivery) -> Result<(Delivery, Timestamp), StoreError> {
        let due_was = match delivery.progress {
            Progress::Waiting { due } => Some(due),
            _ => None,
        };
        let due = self.clock.now();
        delivery.progress = Progress::Waiting { due };
        delivery.attempts_before = delivery.next_attempt() - 1;
        let settlement = Settlement { delivery: delivery.clone(), due_was, standing: None };
        self.commit(|place, done| place.settle(settlement, done)).await?;
        Ok((delivery, due))
    }
}
