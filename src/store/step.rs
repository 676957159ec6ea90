//! The durable steps: what each asks for and what it answers.

use std::sync::{Arc, OnceLock};

use super::error::StoreError;
use crate::model::delivery::Delivery;
use crate::model::event::{Event, EventContent};
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::subscription::{Standing, Subscription};
use crate::model::time::Timestamp;

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
}

/// What became of a delivery, with what that made of its subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// The delivery as it is now.
    pub delivery: Delivery,
    /// The due time that it was read from a lane with; none for a fresh one.
    pub due_was: Option<Timestamp>,
    /// The subscription's new standing, if it changed.
    pub standing: Option<Standing>,
}

/// How far back the log goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sweep {
    /// Events older than this go once all their deliveries are final.
    pub events_before: Timestamp,
    /// Events older than this go in any case, and what is unfinished with them.
    pub held_before: Timestamp,
    /// The most events to look at in this step.
    pub limit: usize,
}

/// What a [`Sweep`] removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many events.
    pub events: u64,
    /// How many deliveries, with or without a row.
    pub deliveries: u64,
    /// Whether there may be more to remove now.
    pub more: bool,
}

/// The failure that stopped the store, once there is one.
#[derive(Clone, Debug, Default)]
pub(super) struct Poison(Arc<OnceLock<Arc<str>>>);

impl Poison {
    /// Sets it; the first failure stays.
    pub(super) fn set(&self, error: &StoreError) {
        let _ = self.0.set(error.to_string().into());
    }

    /// What to answer a step that will not be done.
    pub(super) fn error(&self) -> StoreError {
        match self.0.get() {
            Some(cause) => StoreError::Poisoned { cause: cause.clone() },
            None if std::thread::panicking() => StoreError::Poisoned { cause: "it panicked".into() },
            None => StoreError::Closed,
        }
    }
}

type Answer<T> = Box<dyn FnOnce(Result<T, StoreError>) + Send>;

/// Answers a step once: what was decided, or an error when it is dropped undecided.
pub(super) struct Done<T> {
    answer: Option<Answer<T>>,
    poison: Poison,
}

impl<T> Done<T> {
    pub(super) fn new(poison: &Poison, answer: impl FnOnce(Result<T, StoreError>) + Send + 'static) -> Self {
        Self { answer: Some(Box::new(answer)), poison: poison.clone() }
    }

    pub(super) fn ok(mut self, value: T) {
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
pub(super) enum Step {
    Append(Vec<Append>, Done<Vec<Appended>>),
    Settle(Box<Settlement>, Done<()>),
    Park(Vec<Delivery>, Done<()>),
    PutSubscription(Box<Subscription>, Option<Standing>, Done<()>),
    PutStanding(SubscriptionId, Standing, Done<()>),
    Release(SubscriptionId, usize, Done<bool>),
    ClearLane(SubscriptionId, usize, Done<bool>),
    Sweep(Sweep, Done<Swept>),
}

impl Step {
    /// How many events' worth of work it is, about.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Append(list, _) => list.len(),
            Self::Park(list, _) => list.len(),
            Self::Release(_, limit, _) | Self::ClearLane(_, limit, _) => *limit,
            Self::Sweep(sweep, _) => sweep.limit,
            Self::Settle(..) | Self::PutSubscription(..) | Self::PutStanding(..) => 1,
        }
    }
}
