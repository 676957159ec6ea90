//! The bounded queue of the committer. A slot is reserved before the step is prepared, so that no prepared
//! step waits for room.

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

/// The sender of the queue. Cloning is cheap. When the last clone and the last [`WriteSlot`] are dropped, the
/// committer ends.
#[derive(Clone, Debug)]
pub struct Store {
    pub(in crate::store) queue: Sender<Step>,
    pub(in crate::store) poison: Poison,
}

impl Store {
    /// Returns a slot of the queue if one is free now.
    pub fn try_reserve(&self) -> Result<WriteSlot, QueueFull> {
        match self.queue.clone().try_reserve_owned() {
            Ok(permit) => Ok(WriteSlot { permit, poison: self.poison.clone() }),
            Err(TrySendError::Full(_)) => Err(QueueFull::Full),
            Err(TrySendError::Closed(_)) => Err(QueueFull::Closed),
        }
    }

    /// Returns the number of steps that wait or have a slot, and the limit.
    pub fn queued(&self) -> (usize, usize) {
        let most = self.queue.max_capacity();
        (most.saturating_sub(self.queue.capacity()), most)
    }

    /// Returns whether the committer has ended, so that nothing can be written any more.
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    /// Waits for a free slot. Waiting callers are served in the order of their calls.
    ///
    /// Cancel safe: dropping the future gives up the position in the order.
    ///
    /// # Errors
    /// [`StoreError::Poisoned`] if a write has failed, [`StoreError::Closed`] if the committer has ended
    /// otherwise.
    pub async fn reserve(&self) -> Result<WriteSlot, StoreError> {
        match self.queue.clone().reserve_owned().await {
            Ok(permit) => Ok(WriteSlot { permit, poison: self.poison.clone() }),
            Err(_) => Err(self.poison.error()),
        }
    }
}

/// A slot of the queue, for one step.
///
/// Steps are applied in the order in which they are submitted. No method blocks or waits. `done` is called
/// once, on the committer's task, when the step is durable. It must be short and must not block. If the store
/// stops first, `done` gets an error; the step may or may not be in the log then.
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

    /// Appends events with their deliveries. Each event is added whole or not at all. Ids are assigned in the
    /// order of the list.
    pub fn append(
        self,
        events: Vec<Append>,
        done: impl FnOnce(Result<Vec<Appended>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::Append(events, done));
    }

    /// Appends events like [`append`](Self::append), unless the key has a recorded result. A list that a
    /// crash interrupted is completed.
    pub fn append_idempotent(
        self,
        once: IdempotentRequest,
        events: Vec<Append>,
        done: impl FnOnce(Result<Idempotent<Vec<Appended>>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::AppendOnce(once, events, done));
    }

    /// Creates new deliveries of events in the log, and writes the job that asks for them, in one
    /// transaction. Returns the new ids in the order of the list; `None` where the log no longer has the
    /// event.
    pub fn replay(
        self,
        replay: Replay,
        done: impl FnOnce(Result<Vec<Option<DeliveryId>>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::Replay(replay, done));
    }

    /// Creates deliveries like [`replay`](Self::replay), unless the key has a recorded result.
    pub fn replay_idempotent(
        self,
        once: IdempotentRequest,
        replay: Replay,
        done: impl FnOnce(Result<Idempotent<Vec<Option<DeliveryId>>>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::ReplayOnce(once, replay, done));
    }

    /// Writes a replay job. A sweep removes it after it has ended and the log begins later than its end.
    pub fn put_job(self, job: ReplayJob, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.send(done, |done| Step::PutJob(Box::new(job), done));
    }

    /// Writes a new replay job, unless the key has a recorded result.
    pub fn put_job_idempotent(
        self,
        once: IdempotentRequest,
        job: ReplayJob,
        done: impl FnOnce(Result<Idempotent<()>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::PutJobOnce(once, Box::new(job), done));
    }

    /// Writes the result of a delivery in one transaction: its row, its due row if it still waits, and the
    /// health of the subscription.
    ///
    /// A waiting delivery of a deleted subscription is written as cancelled. Nothing is written if its event
    /// is gone.
    pub fn settle(self, settlement: Settlement, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.send(done, |done| Step::Settle(Box::new(settlement), done));
    }

    /// Enqueues fresh deliveries in their lanes, due at the time of their creation. Other deliveries stay as
    /// they are.
    pub fn enqueue(
        self,
        deliveries: Vec<Delivery>,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::Enqueue(deliveries, done));
    }

    /// Writes a subscription, and its health if given.
    ///
    /// If `deleted_at` is set, its fresh deliveries are cancelled. [`clear_lane`](Self::clear_lane) cancels
    /// the others.
    pub fn put_subscription(
        self,
        subscription: Subscription,
        health: Option<HealthState>,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::PutSubscription(Box::new(subscription), health, done));
    }

    /// Writes a new subscription, unless the key has a recorded result.
    pub fn put_subscription_idempotent(
        self,
        once: IdempotentRequest,
        subscription: Subscription,
        health: Option<HealthState>,
        done: impl FnOnce(Result<Idempotent<()>, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::PutSubscriptionOnce(once, Box::new(subscription), health, done));
    }

    /// Writes the health of a subscription.
    pub fn put_health(
        self,
        subscription: SubscriptionId,
        health: HealthState,
        done: impl FnOnce(Result<(), StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::PutHealth(subscription, health, done));
    }

    /// Makes the deliveries in a lane due at the time of their creation, so that they are sent oldest first.
    ///
    /// Examines at most `limit` rows. Returns whether more are left; the next call continues there.
    pub fn release(
        self,
        subscription: SubscriptionId,
        limit: usize,
        done: impl FnOnce(Result<bool, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::Release(subscription, limit, done));
    }

    /// Cancels at most `limit` waiting deliveries in the lane of a deleted subscription. Returns whether more
    /// are left.
    pub fn clear_lane(
        self,
        subscription: SubscriptionId,
        limit: usize,
        done: impl FnOnce(Result<bool, StoreError>) + Send + 'static,
    ) {
        self.send(done, |done| Step::ClearLane(subscription, limit, done));
    }

    /// Begins a backup: after the acknowledgement it gets a copy of each transaction. Returns false if
    /// another backup is in progress.
    pub fn begin_backup(self, backup: &Backup, done: impl FnOnce(Result<bool, StoreError>) + Send + 'static) {
        let capture = Arc::clone(&backup.capture);
        self.send(done, |done| Step::BeginBackup(capture, done));
    }

    /// Ends a backup. Returns the value for [`Backup::finish`].
    pub fn end_backup(self, done: impl FnOnce(Result<Vec<u8>, StoreError>) + Send + 'static) {
        self.send(done, Step::EndBackup);
    }

    /// Changes nothing. It is acknowledged when every step before it is durable, and shows that the committer
    /// works.
    pub fn beat(self, done: impl FnOnce(Result<(), StoreError>) + Send + 'static) {
        self.send(done, Step::Beat);
    }

    /// Removes the oldest part of the log; see [`Sweep`].
    pub fn sweep(self, sweep: Sweep, done: impl FnOnce(Result<SweepResult, StoreError>) + Send + 'static) {
        self.send(done, |done| Step::Sweep(sweep, done));
    }
}
