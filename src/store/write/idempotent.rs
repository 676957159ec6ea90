//! Steps with an idempotency key. A step is done once, however often it is requested: its result is recorded
//! in the transaction of the step.
//!
//! A list of events may take several transactions. Each records how much of the list is done, so that after a
//! crash the rest is added and nothing is added twice.

use super::idempotency_keys::{RecordPlace, UnfinishedList, put};
use super::step::{Append, Appended, Replay};
use super::writer::Writer;
use crate::model::event::Event;
use crate::model::id::DeliveryId;
use crate::model::replay::ReplayJob;
use crate::model::subscription::{HealthState, Subscription};
use crate::store::error::StoreError;
use crate::store::rows::idempotency::{Idempotent, IdempotentRequest, RecordedEvent, RecordedResult};
use crate::store::rows::key;
use crate::store::rows::record::IdempotencyRecord;

/// Returns an event that was added before a crash interrupted its list.
fn resumed(append: Append, one: RecordedEvent) -> Appended {
    let deliveries = (0..one.matched as usize).map(|index| key::delivery_of(one.id.bits(), index)).collect();
    let event = Event { id: one.id, content: append.content };
    Appended { event: event.into(), duplicate: one.duplicate, deliveries, earlier: true }
}

impl Writer {
    /// Does a step of one transaction, unless its key has a recorded result.
    fn once<T>(
        &mut self,
        once: IdempotentRequest,
        make: impl FnOnce(&mut Self) -> Result<(T, RecordedResult), StoreError>,
    ) -> Result<Idempotent<T>, StoreError> {
        let now = self.now;
        match self.keys.find(&self.reader.tables, &self.batch, now, once.key)? {
            Some((_, found)) if found.fingerprint != once.fingerprint => return Ok(Idempotent::Mismatch),
            Some((_, found)) => return Ok(Idempotent::Repeated(found.earlier)),
            None => {}
        }
        let (done, earlier) = make(self)?;
        let place = RecordPlace { bucket: self.keys.buckets.enter(now), at: now, length_was: 0 };
        put(&mut self.batch, once, place, true, earlier);
        Ok(Idempotent::Made(done))
    }

    pub(in crate::store) fn put_subscription_idempotent(
        &mut self,
        once: IdempotentRequest,
        subscription: &Subscription,
        health: Option<&HealthState>,
    ) -> Result<Idempotent<()>, StoreError> {
        self.once(once, |writer| {
            writer.put_subscription(subscription, health)?;
            Ok(((), RecordedResult::Subscription(subscription.id)))
        })
    }

    pub(in crate::store) fn put_job_idempotent(
        &mut self,
        once: IdempotentRequest,
        job: &ReplayJob,
    ) -> Result<Idempotent<()>, StoreError> {
        self.once(once, |writer| {
            writer.put_job(job);
            Ok(((), RecordedResult::Job(job.id)))
        })
    }

    pub(in crate::store) fn replay_idempotent(
        &mut self,
        once: IdempotentRequest,
        replay: Replay,
    ) -> Result<Idempotent<Vec<Option<DeliveryId>>>, StoreError> {
        let skipped = replay.skipped.clone();
        self.once(once, |writer| {
            let made = writer.replay(replay)?;
            let deliveries = made.iter().flatten().copied().collect();
            Ok((made, RecordedResult::Replayed { deliveries, skipped }))
        })
    }

    pub(in crate::store) fn append_idempotent(
        &mut self,
        once: IdempotentRequest,
        list: Vec<Append>,
    ) -> Result<Idempotent<Vec<Appended>>, StoreError> {
        let now = self.now;
        let (place, events) = match self.keys.find(&self.reader.tables, &self.batch, now, once.key)? {
            Some((_, found)) if found.fingerprint != once.fingerprint => return Ok(Idempotent::Mismatch),
            Some((
                place,
                IdempotencyRecord { is_whole: false, earlier: RecordedResult::Events(events), .. },
            )) => (place, events),
            Some((_, found)) => return Ok(Idempotent::Repeated(found.earlier)),
            None => {
                (RecordPlace { bucket: self.keys.buckets.enter(now), at: now, length_was: 0 }, Vec::new())
            }
        };
        let mut list = list.into_iter();
        let before = events.iter().copied().zip(list.by_ref());
        let mut appended: Vec<Appended> = before.map(|(one, append)| resumed(append, one)).collect();
        self.keys.unfinished = Some(UnfinishedList { once, place, events });
        for append in list {
            let added = self.append(append)?;
            let matched = if added.duplicate { 0 } else { added.deliveries.len() };
            let matched = u32::try_from(matched).unwrap_or(u32::MAX);
            if let Some(unfinished) = &mut self.keys.unfinished {
                unfinished.events.push(RecordedEvent {
                    id: added.event.id,
                    matched,
                    duplicate: added.duplicate,
                });
            }
            appended.push(added);
            self.write_batch_if_full()?;
        }
        if let Some(UnfinishedList { once, place, events }) = self.keys.unfinished.take() {
            put(&mut self.batch, once, place, true, RecordedResult::Events(events));
        }
        Ok(Idempotent::Made(appended))
    }

    /// Records in the batch how much of the current list is done.
    pub(in crate::store) fn record_unfinished(&mut self) {
        if let Some(UnfinishedList { once, place, events }) = &mut self.keys.unfinished {
            place.length_was =
                put(&mut self.batch, *once, *place, false, RecordedResult::Events(events.clone()));
        }
    }
}
