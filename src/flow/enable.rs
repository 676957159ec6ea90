//! Switching subscriptions on and off by hand.

use std::sync::Arc;

use crate::model::attempt::Attempt;
use crate::model::id::SubscriptionId;
use crate::model::subscription::{DisabledReason, Standing};
use crate::rules::matcher::Presence;

use super::Flow;
use super::lane::Lane;
use super::subscriptions::{ChangeError, Entry, entry, manually_disabled};

/// How many held deliveries are made due in one durable step.
const RELEASE_ROWS_MAX: usize = 256;

/// A subscription that is switched on.
#[derive(Debug)]
pub struct Enabled {
    /// The subscription.
    pub entry: Entry,
    /// The health check that went before; none if it had been switched off by a person, or not at all.
    pub check: Option<Attempt>,
}

impl Flow {
    /// Switches a subscription on; everything held goes out, oldest first.
    ///
    /// One that was switched off for bad health has to pass a health check first.
    pub async fn enable(&self, id: SubscriptionId) -> Result<Enabled, ChangeError> {
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let Entry { subscription, standing } = entry(&lane);
        let check = match &standing.disabled {
            None => return Ok(Enabled { entry: entry(&lane), check: None }),
            Some(disabled) if disabled.reason == DisabledReason::Manual => None,
            Some(_) => Some(self.send_health_check(&subscription, &standing).await),
        };
        if let Some(attempt) = check.as_ref().filter(|attempt| !attempt.outcome.is_success()) {
            return Err(ChangeError::CheckFailed { attempt: Box::new(attempt.clone()) });
        }
        let now = self.clock.now();
        self.switch_on(
            &lane,
            Standing { last_success_at: check.as_ref().map(|_| now), ..Standing::default() },
        )
        .await?;
        tracing::debug!(subscription = %id, name = subscription.spec.name, "enabled a subscription");
        Ok(Enabled { entry: entry(&lane), check })
    }

    async fn switch_on(&self, lane: &Arc<Lane>, standing: Standing) -> Result<(), ChangeError> {
        let mut index = self.changes.lock().await;
        let id = lane.id;
        while self.commit(|place, done| place.release(id, RELEASE_ROWS_MAX, done)).await? {}
        let written = standing.clone();
        self.commit(|place, done| place.put_standing(id, written, done)).await?;
        let subscription = {
            let mut state = lane.lock();
            state.enable(standing);
            Arc::clone(&state.subscription)
        };
        index.put(subscription.id, &subscription.spec, Presence::Active);
        index.commit();
        self.pump(lane);
        Ok(())
    }

    /// Switches a subscription off: it matches nothing, and what it has not finished waits until it is enabled.
    pub async fn disable(&self, id: SubscriptionId) -> Result<Entry, ChangeError> {
        let mut index = self.changes.lock().await;
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let (fresh, standing) = {
            let mut state = lane.lock();
            let standing = manually_disabled(&state.standing, self.clock.now());
            (state.disable(standing.clone()), standing)
        };
        self.park_by_id(&lane, fresh);
        self.commit(|place, done| place.put_standing(id, standing, done)).await?;
        let entry = entry(&lane);
        index.put(id, &entry.subscription.spec, Presence::Disabled);
        index.commit();
        tracing::debug!(subscription = %id, name = entry.subscription.spec.name, "disabled a subscription");
        Ok(entry)
    }
}
