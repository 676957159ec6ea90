//! Settling: what follows from an attempt is decided, and made durable in one step.
//!
//! An attempt has three consequences: the next state of its delivery (ended, or due again later), the health of its
//! subscription, and what the lane may send next. All three depend on the health before the attempt, and several
//! attempts of one lane can end at the same time. So [`Flow::settle`] decides under the lane's lock, and hands the step
//! to the committer before it unlocks. Two attempts of a lane are therefore written in the order in which they were
//! judged, and the stored health never goes back. The lock is not held while the step is written: the place in the
//! committer's queue is reserved before, and the delivery stays busy until the step is durable.

use std::sync::Arc;

use super::change::entry::Entry;
use super::inner::Flow;
use super::lane::{AttemptEffect, Lane, LaneDelivery, LaneState};
use super::notices::raise::{Source, after_attempt};
use super::stream::{Change, StreamEvent};
use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::{Delivery, Progress};
use crate::model::id::DeliveryId;
use crate::model::notice::Notice;
use crate::model::subscription::{Disabled, HealthState};
use crate::model::time::{Interval, Timestamp};
use crate::rules::health;
use crate::rules::retry::{self, RetryDecision, RetryPolicy};
use crate::store::Settlement;

/// The consequences of an attempt, to apply once its settlement is durable.
struct Consequences {
    delivery: DeliveryId,
    /// When the delivery is due again, if it goes on.
    due: Option<Timestamp>,
    events: [Option<StreamEvent>; 3],
    notice: Option<Notice>,
}

impl Flow {
    /// Writes an attempt, the new state of its delivery and the health of its subscription.
    ///
    /// Returns once the step is in the committer's queue. The module explains the locking.
    pub(super) async fn settle(
        &self,
        lane: &Arc<Lane>,
        attempted: &LaneDelivery,
        delivery: Delivery,
        attempt: Attempt,
        source: Source,
    ) {
        let place = match self.store.reserve().await {
            Ok(place) => place,
            Err(error) => {
                return tracing::error!(delivery = %delivery.id, %error, "failed to settle an attempt");
            }
        };
        log_attempt(lane, &delivery, &attempt);
        self.measure(attempted, &delivery, &attempt);
        let (flow, settled_lane) = (self.clone(), Arc::clone(lane));
        let mut state = lane.lock();
        let (settlement, consequences, unbuffered) =
            self.decide(&mut state, attempted, delivery, attempt, source);
        place.settle(settlement, move |result| {
            // A failed step ends the daemon. The next start finds the delivery waiting.
            if result.is_ok() {
                flow.apply_consequences(&settled_lane, consequences);
            }
        });
        drop(state);
        self.persist_fresh(lane, unbuffered);
    }

    fn measure(&self, attempted: &LaneDelivery, delivery: &Delivery, attempt: &Attempt) {
        let waited = (attempt.number == 1).then(|| attempt.started_at.since(delivery.id.time()));
        self.meter.attempted(self.clock.instant(), &attempt.outcome, attempt.duration, waited);
        self.timings.attempted(delivery, attempt, attempted.due);
    }

    /// Decides what follows from an attempt, and changes the lane accordingly.
    ///
    /// Returns the step to write, what to do once it is durable, and the fresh deliveries that need a row because the
    /// lane is now suspended.
    fn decide(
        &self,
        state: &mut LaneState,
        attempted: &LaneDelivery,
        mut delivery: Delivery,
        attempt: Attempt,
        source: Source,
    ) -> (Settlement, Consequences, Vec<DeliveryId>) {
        delivery.progress = self.next_progress(state, &delivery, &attempt);
        let (effect, must_persist) = self.judge(&state.health, &delivery, &attempt);
        state.log_attempt(&attempt, self.clock.instant());
        let before = state.health.clone();
        let unbuffered = state.end_attempt(delivery.id, effect);
        let notice = after_attempt(state, &before, source, &attempt);
        let has_changed = state.health.summary() != before.summary();
        let events = stream_events(&delivery, &attempt, has_changed.then(|| state.entry()));
        delivery.attempts.push(attempt);
        let health = must_persist.then(|| state.health.clone());
        let due = delivery.progress.due();
        let consequences = Consequences { delivery: delivery.id, due, events, notice };
        let settlement = Settlement { delivery, due_was: attempted.has_row.then_some(attempted.due), health };
        (settlement, consequences, unbuffered)
    }

    fn apply_consequences(&self, lane: &Arc<Lane>, consequences: Consequences) {
        let Consequences { delivery, due, events, notice } = consequences;
        lane.lock().release(delivery, due);
        self.stream.publish(events.into_iter().flatten());
        if let Some(notice) = notice {
            self.raise(notice);
        }
        self.pump(lane);
        self.replays.wake(lane.id);
    }

    /// Returns the state of a delivery after an attempt.
    fn next_progress(&self, state: &LaneState, delivery: &Delivery, attempt: &Attempt) -> Progress {
        if attempt.outcome.is_success() {
            return Progress::Succeeded;
        }
        let config = self.config.load();
        let waits: &[Interval] =
            state.subscription.spec.retry_schedule.as_deref().unwrap_or(&config.delivery.retry_schedule);
        let policy = RetryPolicy { waits, jitter: config.delivery.jitter };
        let made = attempt.number.saturating_sub(delivery.attempts_before);
        match self
            .with_rng(|rng| retry::after_failure(&policy, made, &attempt.outcome, attempt.ended_at(), rng))
        {
            RetryDecision::Retry { .. } if state.is_deleted() => Progress::Cancelled,
            RetryDecision::Retry { due } => Progress::Waiting { due },
            RetryDecision::Exhausted => Progress::Exhausted,
        }
    }

    /// Returns what an attempt means for its lane, and whether the health has to be written.
    fn judge(&self, before: &HealthState, delivery: &Delivery, attempt: &Attempt) -> (AttemptEffect, bool) {
        let before_schedule = usize::try_from(delivery.attempts_before).unwrap_or(usize::MAX);
        let first = delivery.attempts.get(before_schedule).unwrap_or(attempt).started_at;
        let policy = self.config.load().health.disable;
        let is_exhausted = delivery.progress == Progress::Exhausted;
        let verdict = health::after_attempt(before, policy, attempt, is_exhausted, first);
        log_disabled(delivery, before, verdict.health.disabled.as_ref());
        let effect = AttemptEffect {
            paused_until: pause(attempt),
            is_final: delivery.progress.is_final(),
            health: verdict.health,
        };
        (effect, verdict.must_persist)
    }
}

/// Returns the stream's events about an attempt: its end, the end of its delivery, and a change of health.
fn stream_events(delivery: &Delivery, attempt: &Attempt, changed: Option<Entry>) -> [Option<StreamEvent>; 3] {
    let at = attempt.ended_at();
    let changed = changed.map(|entry| StreamEvent::changed(&entry, Change::Health, at));
    [Some(StreamEvent::attempted(delivery, attempt)), StreamEvent::settled(delivery, at), changed]
}

/// Returns the end of the pause that the receiver asked for with `Retry-After`.
fn pause(attempt: &Attempt) -> Option<Timestamp> {
    match attempt.outcome {
        Outcome::Rejected { retry_after: Some(wait), .. } => {
            Some(attempt.ended_at().after(wait.min(retry::RETRY_AFTER_MAX)))
        }
        _ => None,
    }
}

fn log_attempt(lane: &Lane, delivery: &Delivery, attempt: &Attempt) {
    tracing::debug!(
        delivery = %delivery.id,
        event = %delivery.event,
        subscription = %lane.id,
        attempt = attempt.number,
        outcome = %attempt.outcome,
        duration_ms = crate::model::time::millis(attempt.duration),
        "attempted a delivery"
    );
}

fn log_disabled(delivery: &Delivery, before: &HealthState, disabled: Option<&Disabled>) {
    if let (None, Some(Disabled { reason, detail, .. })) = (&before.disabled, disabled) {
        let subscription = delivery.subscription;
        tracing::warn!(%subscription, %reason, detail, "disabled a subscription and holds its deliveries");
    }
}
