//! The steps: their inputs and results.

use std::sync::{Arc, OnceLock};

use crate::model::delivery::Delivery;
use crate::model::event::{Event, EventContent};
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::replay::ReplayJob;
use crate::model::subscription::{HealthState, Subscription};
use crate::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::read::backup::ChangeCapture;
use crate::store::rows::idempotency::{Idempotent, IdempotentRequest};

/// A subscription that an event matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The matched subscription.
    pub subscription: SubscriptionId,
    /// Whether its delivery is queued in the lane with a due row from the beginning. Otherwise it is fresh.
    pub queued: bool,
}

/// An event to append to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// The submitted event.
    pub content: EventContent,
    /// The matching subscriptions. If one is deleted or unknown at the time of the commit, its delivery is
    /// cancelled.
    pub targets: Vec<Target>,
}

/// The result of an [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The event. For a duplicate, the earlier event.
    pub event: Arc<Event>,
    /// Whether the sender's id was used within the deduplication window. Nothing was added then.
    pub duplicate: bool,
    /// The ids of the deliveries, in the order of the targets. For a duplicate, those of the earlier event.
    pub deliveries: Vec<DeliveryId>,
    /// Whether the event was added before a crash that interrupted its list. Its deliveries have begun
    /// already. Only steps with an idempotency key set it.
    pub earlier: bool,
}

/// The most deliveries that one [`Replay`] should have, so that its transaction stays short.
pub const REPLAY_DELIVERIES_MAX: usize = 120;

/// An event to deliver again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redelivery {
    /// The event. All of its deliveries may have ended long ago.
    pub event: EventId,
    /// The subscription that gets it.
    pub subscription: SubscriptionId,
    /// The same as in [`Target`].
    pub queued: bool,
}

/// Deliveries of events in the log, to be created in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// The deliveries to create, in this order. An event that is gone from the log gets none. If the
    /// subscription is deleted at the time of the commit, the delivery is cancelled.
    pub deliveries: Vec<Redelivery>,
    /// The job of these deliveries, in its state after this step. Deliveries whose events are gone move from
    /// its `made` to its `skipped`.
    pub job: Option<ReplayJob>,
    /// The skipped subscriptions. They are only recorded for the answer to a repeated request.
    pub skipped: Vec<SubscriptionId>,
}

/// The result of a delivery, and its effect on the subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The delivery in its new state.
    pub delivery: Delivery,
    /// The due time in the row that it was read from. `None` for a fresh delivery.
    pub due_was: Option<Timestamp>,
    /// The new health of the subscription, if it changed.
    pub health: Option<HealthState>,
}

/// The limits of the log, for one sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Events older than this are removed when all their deliveries, replays included, have ended.
    pub events_before: Timestamp,
    /// Events older than this are removed with their unfinished deliveries, unless a younger replay still
    /// delivers them.
    pub held_before: Timestamp,
    /// While the rows have more bytes than this, the oldest events are removed as soon as all their
    /// deliveries have ended.
    pub bytes_max: u64,
    /// The most events that this step examines.
    pub limit: usize,
}

/// The number of items that a [`Sweep`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepResult {
    /// The number of events and replays.
    pub events: u64,
    /// The number of deliveries, with or without a row.
    pub deliveries: u64,
    /// Whether more can be removed now.
    pub more: bool,
}

/// The failure that stopped the store, if any.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Poison(Arc<OnceLock<Arc<str>>>);

impl Poison {
    /// Records a failure. The first one is kept.
    pub(in crate::store) fn set(&self, error: &StoreError) {
        let _ = self.0.set(error.to_string().into());
    }

    /// Returns the error for a step that will not be done.
    pub(in crate::store) fn error(&self) -> StoreError {
        match self.0.get() {
            Some(cause) => StoreError::Poisoned { cause: cause.clone() },
            None if std::thread::panicking() => StoreError::Poisoned { cause: "it panicked".into() },
            None => StoreError::Closed,
        }
    }
}

type Answer<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// Answers a step once: with its result, or with an error if it is dropped before.
pub(in crate::store) struct Done<T> {
    answer: Option<Answer<T>>,
    poison: Poison,
}

impl<T> Done<T> {
    pub(in crate::store) fn new(
        poison: &Poison,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Self {
        Self { answer: Some(Box::new(answer)), poison: poison.clone() }
    }

    pub(in crate::store) fn ok(mut self, value: T) {
        if let Some(answer) = self.answer.take() {
            answer(Ok(value));
        }
    }
}

impl<T> Drop for Done<T> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            answer(Err(self.poison.error()));
        }
    }
}

/// A step that was submitted to the committer.
pub(in crate::store) enum Step {
    Append(Vec<Append>, Done<Vec<Appended>>),
    AppendOnce(IdempotentRequest, Vec<Append>, Done<Idempotent<Vec<Appended>>>),
    Replay(Replay, Done<Vec<Option<DeliveryId>>>),
    ReplayOnce(IdempotentRequest, Replay, Done<Idempotent<Vec<Option<DeliveryId>>>>),
    PutJob(Box<ReplayJob>, Done<()>),
    PutJobOnce(IdempotentRequest, Box<ReplayJob>, Done<Idempotent<()>>),
    Settle(Box<Settlement>, Done<()>),
    Enqueue(Vec<Delivery>, Done<()>),
    PutSubscription(Box<Subscription>, Option<HealthState>, Done<()>),
    PutSubscriptionOnce(IdempotentRequest, Box<Subscription>, Option<HealthState>, Done<Idempotent<()>>),
    PutHealth(SubscriptionId, HealthState, Done<()>),
    Release(SubscriptionId, usize, Done<bool>),
    ClearLane(SubscriptionId, usize, Done<bool>),
    Sweep(Sweep, Done<SweepResult>),
    BeginBackup(Arc<ChangeCapture>, Done<bool>),
    EndBackup(Done<Vec<u8>>),
    Beat(Done<()>),
}

impl Step {
    /// Returns the approximate work of the step, counted in events.
    pub(in crate::store) fn weight(&self) -> usize {
        match self {
            Self::Append(list, _) | Self::AppendOnce(_, list, _) => list.len(),
            Self::Replay(replay, _) | Self::ReplayOnce(_, replay, _) => replay.deliveries.len(),
            Self::Enqueue(list, _) => list.len(),
            Self::Release(_, limit, _) | Self::ClearLane(_, limit, _) => *limit,
            Self::Sweep(sweep, _) => sweep.limit,
            Self::Settle(..)
            | Self::PutSubscription(..)
            | Self::PutSubscriptionOnce(..)
            | Self::PutHealth(..)
            | Self::PutJob(..)
            | Self::PutJobOnce(..)
            | Self::BeginBackup(..)
            | Self::EndBackup(..)
            | Self::Beat(..) => 1,
        }
    }
}
