//! Applies steps: decides which rows each step changes, and writes them in short transactions.
//!
//! The committer is the only writer, so the rows that it reads before a transaction do not change until the
//! transaction.

use std::collections::{BTreeSet, HashMap};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

use tokio::time::Instant;

use super::dedup::Dedup;
use super::idempotency_keys::Keys;
use super::step::{Append, Appended, Done, Poison, Step};
use super::watchdog::CommitWatchdog;
use crate::model::id::{DeliveryId, IdSequence, SubscriptionId};
use crate::model::time::{Clock, Timestamp};
use crate::store::error::StoreError;
use crate::store::read::backup::ChangeCapture;
use crate::store::read::reader::Reader;
use crate::store::rows::change_feed::ChangeFeed;
use crate::store::rows::key;
use crate::store::rows::write_batch::WriteBatch;

/// The most events in one transaction. A transaction holds a lock that readers wait for.
const EVENTS_MAX: usize = 64;
/// The most bytes of rows in one transaction, unless a single event has more.
pub(in crate::store) const BYTES_MAX: usize = 256 * 1024;
/// The most rows changed in one transaction, unless a single event or step changes more.
pub(in crate::store) const ROWS_MAX: usize = 192;

/// Acknowledges a step that has become durable.
pub(in crate::store) type Ack = Box<dyn FnOnce() + Send>;

fn ack<T: Send + 'static>(
    poison: &Poison,
    done: Done<T>,
    result: Result<T, StoreError>,
) -> Result<Ack, StoreError> {
    match result {
        Ok(value) => Ok(Box::new(move || done.ok(value))),
        Err(error) => {
            poison.set(&error);
            Err(error)
        }
    }
}

/// The writing half of an open log.
#[derive(Debug)]
pub(in crate::store) struct Writer {
    /// Applies the batches. Nothing else writes to the log.
    ///
    /// It is declared before `reader`, which holds the directory's lock: the engine is closed before the lock
    /// is released.
    pub(in crate::store) feed: ChangeFeed,
    pub(in crate::store) reader: Reader,
    pub(in crate::store) ids: IdSequence,
    pub(in crate::store) last_id: u128,
    pub(in crate::store) clock: Clock,
    /// The time of the commit, read once before its first step. Every decision in the commit uses it.
    pub(in crate::store) now: Timestamp,
    pub(in crate::store) dedup: Dedup,
    pub(in crate::store) keys: Keys,
    pub(in crate::store) batch: WriteBatch,
    pub(in crate::store) events_in_batch: usize,
    /// The position at which the release of each lane stopped.
    pub(in crate::store) releases: HashMap<SubscriptionId, key::DueKey>,
    /// The position of the sweep for ended events: every event before these id bits was examined.
    pub(in crate::store) swept_to: u128,
    /// The position of the sweep for events that are too old in any case.
    pub(in crate::store) held_to: u128,
    /// Examined events and replays of which a delivery has ended since.
    pub(in crate::store) revisit: BTreeSet<u128>,
    /// The subscriber of the backup in progress, if there is one.
    pub(in crate::store) backup: Weak<ChangeCapture>,
    pub(in crate::store) watchdog: Arc<CommitWatchdog>,
    pub(in crate::store) poison: Poison,
    /// The time at which the last flush began, and the transactions before it had ended.
    pub(in crate::store) flushing_since: Instant,
    #[cfg(test)]
    pub(in crate::store) fail_flush_after: Option<u64>,
    #[cfg(test)]
    pub(in crate::store) fail_write_after: Option<u64>,
}

impl Writer {
    /// Applies the steps and makes them durable. The caller must call the acknowledgements in order.
    ///
    /// After an error nothing more may be written.
    pub(in crate::store) fn commit(&mut self, steps: Vec<Step>) -> Result<Vec<Ack>, StoreError> {
        let mut acks = Vec::with_capacity(steps.len());
        let mut steps = steps.into_iter();
        let done = self.commit_steps(&mut steps, &mut acks);
        // Set before the rest is dropped and thereby answered: every caller must get this failure.
        done.inspect_err(|error| self.poison.set(error)).map(|()| acks)
    }

    fn commit_steps(
        &mut self,
        steps: &mut impl Iterator<Item = Step>,
        acks: &mut Vec<Ack>,
    ) -> Result<(), StoreError> {
        let began = self.clock.instant();
        self.now = self.clock.now();
        for step in steps {
            acks.push(self.step(step)?);
            self.write_batch_if_full()?;
        }
        self.write_batch()?;
        self.flush()?;
        let took = self.clock.instant().duration_since(began);
        self.reader.shared.commit_seconds.observe(took.as_secs_f64());
        Ok(())
    }

    fn append_all(&mut self, list: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        let mut appended = Vec::with_capacity(list.len());
        for append in list {
            appended.push(self.append(append)?);
            self.write_batch_if_full()?;
        }
        Ok(appended)
    }

    fn step(&mut self, step: Step) -> Result<Ack, StoreError> {
        let poison = self.poison.clone();
        match step {
            Step::Append(list, done) => ack(&poison, done, self.append_all(list)),
            Step::AppendOnce(once, list, done) => ack(&poison, done, self.append_idempotent(once, list)),
            Step::Replay(replay, done) => ack(&poison, done, self.replay(replay)),
            Step::ReplayOnce(once, replay, done) => ack(&poison, done, self.replay_idempotent(once, replay)),
            Step::PutJob(job, done) => {
                self.put_job(&job);
                ack(&poison, done, Ok(()))
            }
            Step::PutJobOnce(once, job, done) => ack(&poison, done, self.put_job_idempotent(once, &job)),
            Step::Settle(settlement, done) => ack(&poison, done, self.settle(&settlement)),
            Step::Enqueue(deliveries, done) => {
                self.enqueue(&deliveries);
                ack(&poison, done, Ok(()))
            }
            Step::PutSubscription(subscription, health, done) => {
                ack(&poison, done, self.put_subscription(&subscription, health.as_ref()))
            }
            Step::PutSubscriptionOnce(once, subscription, health, done) => {
                let put = self.put_subscription_idempotent(once, &subscription, health.as_ref());
                ack(&poison, done, put)
            }
            Step::PutHealth(id, health, done) => {
                self.put_health(id, &health);
                ack(&poison, done, Ok(()))
            }
            Step::Release(id, limit, done) => ack(&poison, done, self.release(id, limit)),
            Step::ClearLane(id, limit, done) => ack(&poison, done, self.clear_lane(id, limit)),
            Step::BeginBackup(capture, done) => ack(&poison, done, self.begin_backup(&capture)),
            Step::EndBackup(done) => ack(&poison, done, self.end_backup()),
            Step::Sweep(sweep, done) => ack(&poison, done, self.sweep(sweep)),
            Step::Beat(done) => ack(&poison, done, Ok(())),
        }
    }

    /// Writes the batch in one transaction, and then a segment if the tail is full.
    pub(in crate::store) fn write_batch(&mut self) -> Result<(), StoreError> {
        if self.batch.len() == 0 {
            return Ok(());
        }
        self.write()?;
        self.write_segment_if_full()
    }

    pub(in crate::store) fn write_batch_if_full(&mut self) -> Result<(), StoreError> {
        let full = self.events_in_batch >= EVENTS_MAX
            || self.batch.len() >= ROWS_MAX
            || self.batch.bytes() >= BYTES_MAX;
        if full { self.write_batch() } else { Ok(()) }
    }

    /// Writes the batch even if it is empty; then only the meta row changes.
    pub(in crate::store) fn write(&mut self) -> Result<(), StoreError> {
        #[cfg(test)]
        crate::store::rows::engine::injected(&mut self.fail_write_after)?;
        self.record_unfinished();
        let floor = self.reader.shared.state().floor();
        let floor = floor.map_or(self.last_id.saturating_add(1), DeliveryId::bits);
        self.feed.apply(&self.batch, floor)?;
        self.batch = WriteBatch::default();
        self.events_in_batch = 0;
        self.reader.shared.state().written();
        self.reader.shared.commits.fetch_add(1, Ordering::Relaxed);
        self.watchdog.report_progress();
        Ok(())
    }

    /// Makes every transaction so far durable.
    pub(in crate::store) fn flush(&mut self) -> Result<(), StoreError> {
        #[cfg(test)]
        crate::store::rows::engine::injected(&mut self.fail_flush_after)?;
        self.flushing_since = self.clock.instant();
        self.reader.tables.flush()?;
        self.reader.shared.flushes.fetch_add(1, Ordering::Relaxed);
        self.reader.shared.state().durable = self.last_id;
        self.watchdog.report_progress();
        Ok(())
    }
}
