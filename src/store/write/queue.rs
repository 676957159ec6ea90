//! The bounded queue before the committer: a place is reserved first, so that a step never waits with work in hand.

use std::sync::Arc;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{OwnedPermit, Sender};

use super::step::{Append, Appended, Done, Poison, Replay, Settlement, Step, Sweep, SweepResult};
use crate::model::delivery::Delivery;
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::replay::ReplayJob;
use crate::model::subscription::{HealthState, Subscription};
use crate::store::error::{QueueFull, StoreError};
use crate::store::read::backup::Backup;
use crate::store::rows::idempotency::{Idempotent, IdempotentRequest};

/// The way in. Cheap to clone; when the last one and the last [`WriteSlot`] are gone, the committer ends.
#[derive(Clone, Debug)]
pub struct Store {
    pub(in crate::store) queue: Sender<Step>,
    pub(in crate::store) poison: Poison,
}

impl Store {
    /// A place in the queue, if one is free now.
    pub fn try_reserve(&self) -> Result<WriteSlot, QueueFull> {
        match self.queue.clone().try_reserve_owned() {
            Ok(permit) => Ok(WriteSlot { permit, poison: self.poison.clone() }),
            Err(TrySendError::Full(_)) => Err(QueueFull::Full),
            Err(TrySendError::Closed(_)) => Err(QueueFull::Closed),
        }
    }

    /// How many steps wait or have a place, and how many may.
    pub fn queued(&self) -> (usize, usize) {
        let most = self.queue.max_capacity();
        (most.saturating_sub(self.queue.capacity()), most)
    }

    /// Whether the committer has ended, so that nothing more can be written.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// A place in the queue, as soon as one is free; those who wait are served in turn.
    ///
    /// Cancel safe: dropping the future gives up the turn.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] once a write has failed, [`StoreError::Closed`] if the committer is gone otherwise.
    pub async fn reserve(&self) -> Result<WriteSlot, StoreError> {
        match self.queue.clone().reserve_owned().await {
            Ok(permit) => Ok(WriteSlot { permit, poison: self.poison.clone() }),
            Err(_) => Err(self.poison.error()),
        }
    }
}

/// A place in the queue, for one step.
///
/// Steps are done in the order in which they were handed in. None of the methods blocks or waits: `done` is
/// called later, once, on the committer's task, when the step is durable; it must be short and must not block.
/// It gets an error instead if the store stopped before that; then the step may or may not be in the log.
#[derive(Debug)]
pub struct WriteSlot {
    permit: OwnedPermit<Step>,
    poison: Poison,
}

impl WriteSlot {
    fn send<T>(
        self,
        done: impl FnOnce(Result<T, StoreError>) + Send + 'static,
        step: impl FnOnce(Done<T>) -> Step,
    ) {
        let step = step(Done::new(&self.poison, done));
        self.permit.send(step);
    }

    /// Adds events with their deliveries, each event whole or not at all; ids are given in the order of the list.
    pub fn append(
        self,
        events: Vec<Append>,
        done: impl FnOnce(Result<Vec<Appended>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::Append(events, done));
    }

    /// The same, unless the key says that it was done before. A list that a crash cut short is gone on with.
    pub fn append_idempotent(
        self,
        once: IdempotentRequest,
        events: Vec<Append>,
        done: impl FnOnce(Result<Idempotent<Vec<Appended>>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::AppendOnce(once, events, done));
    }

    /// Delivers events of the log once more, with new deliveries, and writes down the job that asks for it, at
    /// once. Answers the new ids in the order of the list; none where the event is gone.
    pub fn replay(
        self,
        replay: Replay,
        done: impl FnOnce(Result<Vec<Option<DeliveryId>>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::Replay(replay, done));
    }

    /// The same, unless the key says that it was done before.
    pub fn replay_idempotent(
        self,
        once: IdempotentRequest,
        replay: Replay,
        done: impl FnOnce(Result<Idempotent<Vec<Option<DeliveryId>>>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::ReplayOnce(once, replay, done));
    }

    /// Writes down a replay job. Once it is finished and older than the log, a sweep removes it.
    pub fn put_job(self, job: ReplayJob, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.send(done, |done| Step::PutJob(Box::new(job), done));
    }

    /// The same for a new job, unless the key says that it was made before.
    pub fn put_job_idempotent(
        self,
        once: IdempotentRequest,
        job: ReplayJob,
        done: impl FnOnce(Result<Idempotent<()>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::PutJobOnce(once, Box::new(job), done));
    }

    /// Writes down what became of a delivery: its row, its due row if it still waits, and the health, at once.
    ///
    /// A waiting delivery of a deleted subscription is written as cancelled, and nothing of one whose event is gone.
    pub fn settle(self, settlement: Settlement, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.send(done, |done| Step::Settle(Box::new(settlement), done));
    }

    /// Gives fresh deliveries a place in their lanes, due when they were made; others are left as they are.
    pub fn enqueue(
        self,
        deliveries: Vec<Delivery>,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::Enqueue(deliveries, done));
    }

    /// Writes a subscription, and its health if given.
    ///
    /// With `deleted_at` set, its fresh deliveries are cancelled; [`clear_lane`](Self::clear_lane) does the same for
    /// the others.
    pub fn put_subscription(
        self,
        subscription: Subscription,
        health: Option<HealthState>,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::PutSubscription(Box::new(subscription), health, done));
    }

    /// Writes a new subscription, unless the key says that it was made before.
    pub fn put_subscription_idempotent(
        self,
        once: IdempotentRequest,
        subscription: Subscription,
        health: Option<HealthState>,
        done: impl FnOnce(Result<Idempotent<()>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::PutSubscriptionOnce(once, Box::new(subscription), health, done));
    }

    /// Writes a subscription's health.
    pub fn put_health(
        self,
        subscription: SubscriptionId,
        health: HealthState,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::PutHealth(subscription, health, done));
    }

    /// Makes what waits in a lane due when it was made, so that it goes out oldest first.
    ///
    /// Looks at no more than `limit` rows; answers whether there are more to look at, from where it stopped.
    pub fn release(
        self,
        subscription: SubscriptionId,
        limit: usize,
        done: impl FnOnce(Result<bool, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::Release(subscription, limit, done));
    }

    /// Cancels what waits in the lane of a deleted subscription, at most `limit` of it; answers whether there is
    /// more.
    pub fn clear_lane(
        self,
        subscription: SubscriptionId,
        limit: usize,
        done: impl FnOnce(Result<bool, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::ClearLane(subscription, limit, done));
    }

    /// From the acknowledgement on, the backup gets a copy of each transaction; false if another one does already.
    pub fn begin_backup(self, backup: &Backup, done: impl FnOnce(Result<bool, StoreError>) + Send + 'static) {
        let capture = Arc::clone(&backup.capture);
        self.send(done, |done| Step::BeginBackup(capture, done));
    }

    /// The backup gets no more copies: the answer is what [`Backup::finish`] needs.
    pub fn end_backup(self, done: impl FnOnce(Result<Vec<u8>, StoreError>) + Send + 'static) {
        self.send(done, Step::EndBackup);
    }

    /// Changes nothing, and is done when it and all before it is durable: a sign of life.
    pub fn beat(self, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.send(done, Step::Beat);
    }

    /// Forgets the oldest part of the log; see [`Sweep`].
    pub fn sweep(self, sweep: Sweep, done: impl FnOnce(Result<SweepResult, StoreError>) + Send + 'static) {
        self.send(done, |done| Step::Sweep(sweep, done));
    }
}
