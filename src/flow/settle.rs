//! Settling: what follows an attempt, decided and made durable in one step.

use std::sync::Arc;

use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::{Delivery, Progress};
use crate::model::subscription::{Disabled, HealthState};
use crate::model::time::{Interval, Timestamp};
use crate::rules::health;
use crate::rules::retry::{self, RetryDecision, RetryPolicy};
use crate::store::Settlement;

use super::Flow;
use super::entry::Entry;
use super::lane::{Answer, Item, Lane, LaneState};
use super::notices::{Source, after_attempt};
use super::stream::{Change, Happening};
use super::trouble;

impl Flow {
    /// Writes down an attempt, what becomes of its delivery, and what it says of the receiver.
    ///
    /// The decision and its place in the queue are taken under the lane's lock, so that two answers of one
    /// receiver are written in the order in which they were judged.
    pub(super) async fn settle(
        &self,
        lane: &Arc<Lane>,
        item: &Item,
        mut delivery: Delivery,
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
        let waited = (attempt.number == 1).then(|| attempt.started_at.since(delivery.id.time()));
        self.meter.attempted(self.clock.instant(), &attempt.outcome, attempt.duration, waited);
        self.timings.attempted(&delivery, &attempt, item.due);
        let (flow, to) = (self.clone(), Arc::clone(lane));
        let id = delivery.id;
        let mut state = lane.lock();
        delivery.progress = self.progress(&state, &delivery, &attempt);
        let (answer, must_persist) = self.judge(&state.health, &delivery, &attempt);
        trouble::log(&mut state, &attempt, self.clock.instant());
        let before = state.health.clone();
        let unfolded = state.answered(id, answer);
        let notice = after_attempt(&mut state, &before, source, &attempt);
        let is_news = state.health.summary() != before.summary();
        let happenings = happenings(&delivery, &attempt, is_news.then(|| state.entry()));
        delivery.attempts.push(attempt);
        let health = must_persist.then(|| state.health.clone());
        let due = match delivery.progress {
            Progress::Waiting { due } => Some(due),
            _ => None,
        };
        let settlement = Settlement { delivery, due_was: item.has_row.then_some(item.due), health };
        place.settle(settlement, move |result| {
            // A failed step poisons the store and ends the daemon, which finds the delivery waiting at its start.
            if result.is_ok() {
                to.lock().settled(id, due);
                flow.stream.tell(happenings.into_iter().flatten());
                if let Some(notice) = notice {
                    flow.raise(notice);
                }
                flow.pump(&to);
                flow.replays.nudge(to.id);
            }
        });
        drop(state);
        self.park_by_id(lane, unfolded);
    }

    /// Gives fresh deliveries that a lane let go their row.
    pub(super) fn park_by_id(&self, lane: &Arc<Lane>, fresh: Vec<crate::model::id::DeliveryId>) {
        if fresh.is_empty() {
            return;
        }
        let (flow, lane) = (self.clone(), Arc::clone(lane));
        self.spawn(async move {
            let read = flow.read_in_turn(move |reader| {
                fresh
                    .into_iter()
                    .filter_map(|id| reader.delivery(id).transpose())
                    .collect::<Result<Vec<_>, _>>()
            });
            match read.await {
                Ok(deliveries) => {
                    let rowless = deliveries.into_iter().map(|delivery| (Arc::clone(&lane), delivery));
                    flow.put_down(rowless.collect(), None);
                }
                Err(error) => {
                    tracing::error!(subscription = %lane.id, %error, "failed to read fresh deliveries");
                }
            }
        });
    }

    /// Where the attempt leaves its delivery.
    fn progress(&self, state: &LaneState, delivery: &Delivery, attempt: &Attempt) -> Progress {
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

    /// What the attempt says of the receiver, and whether that has to be written down.
    fn judge(&self, before: &HealthState, delivery: &Delivery, attempt: &Attempt) -> (Answer, bool) {
        let before_schedule = usize::try_from(delivery.attempts_before).unwrap_or(usize::MAX);
        let first = delivery.attempts.get(before_schedule).unwrap_or(attempt).started_at;
        let policy = self.config.load().health.disable;
        let is_exhausted = delivery.progress == Progress::Exhausted;
        let verdict = health::after_attempt(before, policy, attempt, is_exhausted, first);
        log_disabled(delivery, before, verdict.health.disabled.as_ref());
        let answer = Answer {
            rest_until: rest(attempt),
            is_final: delivery.progress.is_final(),
            health: verdict.health,
        };
        (answer, verdict.must_persist)
    }
}

/// What is told of an attempt: that it is over, the end of its delivery, and the health if that has changed.
fn happenings(delivery: &Delivery, attempt: &Attempt, changed: Option<Entry>) -> [Option<Happening>; 3] {
    let at = attempt.ended_at();
    let changed = changed.map(|entry| Happening::changed(&entry, Change::Health, at));
    [Some(Happening::attempted(delivery, attempt)), Happening::settled(delivery, at), changed]
}

/// Until when the receiver asked to be left alone.
fn rest(attempt: &Attempt) -> Option<Timestamp> {
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
        tracing::warn!(%subscription, %reason, detail, "switched a subscription off; its deliveries are held");
    }
}
