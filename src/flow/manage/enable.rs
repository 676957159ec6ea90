//! Enabling and disabling subscriptions by hand.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::conflict::Conflict;
use crate::flow::change::entry::Entry;
use crate::flow::change::error::ChangeError;
use crate::flow::change::version::Expected;
use crate::flow::inner::Flow;
use crate::flow::lane::Lane;
use crate::flow::notices::raise::after_enabling;
use crate::flow::stream::Change;
use crate::model::attempt::Attempt;
use crate::model::id::SubscriptionId;
use crate::model::subscription::{Disabled, DisabledReason, HealthState};
use crate::model::time::Timestamp;
use crate::rules::matcher::Presence;
use crate::store::StoreError;

/// The most held deliveries that one durable step makes due.
const RELEASE_ROWS_MAX: usize = 256;

/// The result of enabling a subscription.
#[derive(Debug)]
pub struct Enabled {
    /// The subscription after the change.
    pub entry: Entry,
    /// The health check, if one was needed.
    pub check: Option<Attempt>,
}

/// Returns the health of a subscription that is manually disabled at `at`.
pub(in crate::flow) fn manually_disabled(health: &HealthState, at: Timestamp) -> HealthState {
    let disabled = Disabled { reason: DisabledReason::Manual, at, detail: String::new() };
    HealthState { disabled: Some(disabled), ..health.clone() }
}

impl Flow {
    /// Enables a subscription. Its held deliveries become due, oldest first.
    ///
    /// A subscription that was failing, or was disabled for its health, has to pass a health check first.
    ///
    /// # Errors
    /// [`ChangeError::CheckFailed`] if the health check failed; and the errors of every change.
    pub async fn enable(
        &self,
        actor: Actor,
        id: SubscriptionId,
        expected: Expected,
    ) -> Result<Enabled, ChangeError> {
        self.complete(|flow| async move { flow.enable_audited(&actor, id, &expected).await }).await
    }

    pub(in crate::flow) async fn enable_audited(
        &self,
        actor: &Actor,
        id: SubscriptionId,
        expected: &Expected,
    ) -> Result<Enabled, ChangeError> {
        let enabled = self.enable_managed(id, expected).await?;
        actor.record(Action::SubscriptionEnabled, id, "");
        Ok(enabled)
    }

    /// Enables a subscription as [`enable`](Self::enable) does, without an audit line.
    pub(in crate::flow) async fn enable_managed(
        &self,
        id: SubscriptionId,
        expected: &Expected,
    ) -> Result<Enabled, ChangeError> {
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let present = lane.entry();
        expected.check(&present)?;
        let Entry { subscription, health } = present;
        let Some(disabled) = &health.disabled else {
            return Ok(Enabled { entry: lane.entry(), check: None });
        };
        let is_trusted = disabled.reason == DisabledReason::Manual && health.failing_since.is_none();
        let check =
            if is_trusted { None } else { Some(self.send_health_check(&subscription, &health).await) };
        if let Some(attempt) = check.as_ref().filter(|attempt| !attempt.outcome.is_success()) {
            return Err(ChangeError::CheckFailed { attempt: Box::new(attempt.clone()) });
        }
        // The held deliveries become due before the lane is enabled, so that they start in order. The lock of
        // all changes is not held, because there may be many of them.
        while self.commit(|place, done| place.release(id, RELEASE_ROWS_MAX, done)).await? {}
        self.publish_enabled(&lane, expected, disabled).await?;
        tracing::debug!(subscription = %id, name = subscription.spec.name, "enabled a subscription");
        Ok(Enabled { entry: lane.entry(), check })
    }

    /// Enables a subscription if it is still disabled for the reason `was`. It may have been changed during
    /// the health check.
    async fn publish_enabled(
        &self,
        lane: &Arc<Lane>,
        expected: &Expected,
        was: &Disabled,
    ) -> Result<(), ChangeError> {
        let mut index = self.changes.lock().await;
        let id = lane.id;
        let place = self.store.reserve().await?;
        let (answer, answered) = oneshot::channel();
        let (subscription, notice) = {
            let mut state = lane.lock();
            match &state.health.disabled {
                _ if state.is_deleted() => return Err(ChangeError::no_subscription(id)),
                None => return Ok(()),
                Some(is) if is != was => {
                    return Err(Conflict::DisabledAgain(id).into());
                }
                Some(_) => expected.check(&state.entry())?,
            }
            let HealthState { last_success_at, last_failure_at, .. } = state.health;
            let health = HealthState { last_success_at, last_failure_at, ..HealthState::default() };
            // The step is queued under the lane's lock: the result of an attempt that ends later is written
            // later.
            place.put_health(id, health.clone(), move |result| drop(answer.send(result)));
            state.enable(health);
            (Arc::clone(&state.subscription), after_enabling(&mut state, self.clock.now()))
        };
        answered.await.unwrap_or(Err(StoreError::Closed))?;
        if let Some(notice) = notice {
            self.raise(notice);
        }
        index.put(id, &subscription.spec, Presence::Active);
        index.commit();
        self.publish_change(&lane.entry(), Change::Health);
        self.pump(lane);
        Ok(())
    }

    /// Disables a subscription: it matches nothing, and its unfinished deliveries are held until it is
    /// enabled.
    pub async fn disable(
        &self,
        actor: Actor,
        id: SubscriptionId,
        expected: Expected,
    ) -> Result<Entry, ChangeError> {
        self.complete(|flow| async move { flow.disable_audited(&actor, id, &expected).await }).await
    }

    pub(in crate::flow) async fn disable_audited(
        &self,
        actor: &Actor,
        id: SubscriptionId,
        expected: &Expected,
    ) -> Result<Entry, ChangeError> {
        let entry = self.disable_managed(id, expected).await?;
        actor.record(Action::SubscriptionDisabled, id, "");
        Ok(entry)
    }

    /// Disables a subscription as [`disable`](Self::disable) does, without an audit line.
    pub(in crate::flow) async fn disable_managed(
        &self,
        id: SubscriptionId,
        expected: &Expected,
    ) -> Result<Entry, ChangeError> {
        let mut index = self.changes.lock().await;
        let lane = self.lanes.get(id).ok_or_else(|| ChangeError::no_subscription(id))?;
        let place = self.store.reserve().await?;
        let (answer, answered) = oneshot::channel();
        let fresh = {
            let mut state = lane.lock();
            expected.check(&state.entry())?;
            let health = manually_disabled(&state.health, self.clock.now());
            place.put_health(id, health.clone(), move |result| drop(answer.send(result)));
            state.disable(health)
        };
        self.persist_fresh(&lane, fresh);
        answered.await.unwrap_or(Err(StoreError::Closed))?;
        let entry = lane.entry();
        index.put(id, &entry.subscription.spec, Presence::Disabled);
        index.commit();
        self.publish_change(&entry, Change::Health);
        tracing::debug!(subscription = %id, name = entry.subscription.spec.name, "disabled a subscription");
        Ok(entry)
    }
}
