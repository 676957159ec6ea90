//! The durable steps: what each asks for and what it answers.

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

/// A subscription that an event goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Whether its delivery waits in the lane from the beginning, by a due row; else it is fresh.
    pub queued: bool,
}

/// An event to add to the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Append {
    /// What was submitted.
    pub content: EventContent,
    /// Where it goes. A target that is deleted or unknown by the time of the commit gets a delivery that
    /// is cancelled.
    pub targets: Vec<Target>,
}

/// What became of an [`Append`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The event; the one of before if this is a duplicate.
    pub event: Arc<Event>,
    /// Whether the sender's id was seen within the window before: then nothing was added.
    pub duplicate: bool,
    /// The ids of its deliveries in the order of their targets; the earlier ones if this is a duplicate.
    pub deliveries: Vec<DeliveryId>,
    /// Whether it was added before a crash that cut its list short, and not now: its deliveries are already on
    /// their way. Only with an idempotency key.
    pub earlier: bool,
}

/// The most deliveries that one [`Replay`] should have, so that its transaction stays short.
pub const REPLAY_DELIVERIES_MAX: usize = 120;

/// An event that is delivered once more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redelivery {
    /// Which; it may be long finished.
    pub event: EventId,
    /// To whom.
    pub subscription: SubscriptionId,
    /// As in [`Target`].
    pub queued: bool,
}

/// Deliveries to make of events that are in the log, all in one transaction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replay {
    /// What to deliver, in this order. None is made of an event that the log no longer has; one whose
    /// subscription is deleted by the time of the commit is cancelled.
    pub deliveries: Vec<Redelivery>,
    /// The job that this belongs to, as it is after this step. Deliveries that are not made because their events
    /// are gone move from its `made` to its `skipped`.
    pub job: Option<ReplayJob>,
    /// Kept for the answer to a repeat with the same idempotency key, and nothing else.
    pub skipped: Vec<SubscriptionId>,
}

/// What became of a delivery, with what that made of its subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The delivery as it is now.
    pub delivery: Delivery,
    /// The due time that it was read from a lane with; none for a fresh one.
    pub due_was: Option<Timestamp>,
    /// The subscription's new health, if it changed.
    pub health: Option<HealthState>,
}

/// How far back the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Events older than this go once all their deliveries, replayed ones included, are final.
    pub events_before: Timestamp,
    /// Events older than this go in any case, and what is unfinished with them; but not while a younger replay
    /// still delivers them.
    pub held_before: Timestamp,
    /// While the rows have more bytes than this, the oldest events go as soon as all their deliveries are final.
    pub bytes_max: u64,
    /// The most events to look at in this step.
    pub limit: usize,
}

/// What a [`Sweep`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SweepResult {
    /// How many events and replays.
    pub events: u64,
    /// How many deliveries, with or without a row.
    pub deliveries: u64,
    /// Whether there may be more to remove now.
    pub more: bool,
}

/// The failure that stopped the store, once there is one.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Poison(Arc<OnceLock<Arc<str>>>);

impl Poison {
    /// Sets it; the first failure stays.
    pub(in crate::store) fn set(&self, error: &StoreError) {
        let _ = self.0.set(error.to_string().into());
    }

    /// What to answer a step that will not be done.
    pub(in crate::store) fn error(&self) -> StoreError {
        match self.0.get() {
            Some(cause) => StoreError::Poisoned { cause: cause.clone() },
            None if std::thread::panicking() => StoreError::Poisoned { cause: "it panicked".into() },
            None => StoreError::Closed,
        }
    }
}

type Answer<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// Answers a step once: what was decided, or an error when it is dropped undecided.
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

/// A step on its way to the committer.
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
    /// How many events' worth of work it is, about.
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
