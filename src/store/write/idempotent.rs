//! Steps that are done once however often they are asked for: what an idempotency key stood for is written in the
//! transaction of its step.
//!
//! A list of events may take several transactions: each says how far the list is, so that after a crash the rest
//! of it is added and nothing twice.

use super::idempotency_keys::{RecordPlace, UnderWay, put};
use super::step::{Append, Appended, Replay};
use super::writer::Applier;
use crate::model::event::Event;
use crate::model::id::DeliveryId;
use crate::model::replay::ReplayJob;
use crate::model::subscription::{HealthState, Subscription};
use crate::store::error::StoreError;
use crate::store::rows::idempotency::{RecordedResult, RecordedEvent, Idempotent, IdempotentRequest};
use crate::store::rows::key;
use crate::store::rows::record::OnceRecord;

/// An event of before the crash that cut its list short.
fn resumed(append: Append, one: RecordedEvent) -> Appended {
    let deliveries = (0..one.matched as usize).map(|index| key::delivery_of(one.id.bits(), index)).collect();
    let event = Event { id: one.id, content: append.content };
    Appended { event: event.into(), duplicate: one.duplicate, deliveries, earlier: true }
}

impl Applier {
    /// Does a step of one transaction, unless its key says that it was done before.
    fn once<T>(
        &mut self,
        once: IdempotentRequest,
        make: impl FnOnce(&mut Self) -> Result<(T, RecordedResult), StoreError>,
    ) -> Result<Idempotent<T>, StoreError> {
        let now = self.clock.now();
        match self.keys.find(&self.reader.tables, &self.draft, now, once.key)? {
            Some((_, found)) if found.fingerprint != once.fingerprint => return Ok(Idempotent::Mismatch),
            Some((_, found)) => return Ok(Idempotent::Repeated(found.earlier)),
            None => {}
        }
        let (done, earlier) = make(self)?;
        let place = RecordPlace { bucket: self.keys.buckets.enter(now), at: now, length_was: 0 };
        put(&mut self.draft, once, place, true, earlier);
        Ok(Idempotent::Made(done))
    }

    pub(in crate::store) fn put_subscription_idempotent(
        &mut self,
        once: IdempotentRequest,
        subscription: &Subscription,
        health: Option<&HealthState>,
    ) -> Result<Idempotent<()>, StoreError> {
        self.once(once, |applier| {
            applier.put_subscription(subscription, health)?;
            Ok(((), RecordedResult::Subscription(subscription.id)))
        })
    }

    pub(in crate::store) fn put_job_idempotent(
        &mut self,
        once: IdempotentRequest,
        job: &ReplayJob,
    ) -> Result<Idempotent<()>, StoreError> {
        self.once(once, |applier| {
            applier.put_job(job);
            Ok(((), RecordedResult::Job(job.id)))
        })
    }

    pub(in crate::store) fn replay_idempotent(
        &mut self,
        once: IdempotentRequest,
        replay: Replay,
    ) -> Result<Idempotent<Vec<Option<DeliveryId>>>, StoreError> {
        let skipped = replay.skipped.clone();
        self.once(once, |applier| {
            let made = applier.replay(replay)?;
            let deliveries = made.iter().flatten().copied().collect();
            Ok((made, RecordedResult::Replayed { deliveries, skipped }))
        })
    }

    pub(in crate::store) fn append_idempotent(
        &mut self,
        once: IdempotentRequest,
        list: Vec<Append>,
    ) -> Result<Idempotent<Vec<Appended>>, StoreError> {
        let now = self.clock.now();
        let (place, events) = match self.keys.find(&self.reader.tables, &self.draft, now, once.key)? {
            Some((_, found)) if found.fingerprint != once.fingerprint => return Ok(Idempotent::Mismatch),
            Some((place, OnceRecord { is_whole: false, earlier: RecordedResult::Events(events), .. })) => {
                (place, events)
            }
            Some((_, found)) => return Ok(Idempotent::Repeated(found.earlier)),
            None => (RecordPlace { bucket: self.keys.buckets.enter(now), at: now, length_was: 0 }, Vec::new()),
        };
        let mut list = list.into_iter();
        let before = events.iter().copied().zip(list.by_ref());
        let mut appended: Vec<Appended> = before.map(|(one, append)| resumed(append, one)).collect();
        self.keys.under_way = Some(UnderWay { once, place, events });
        for append in list {
            let added = self.append(append)?;
            let matched = if added.duplicate { 0 } else { added.deliveries.len() };
            let matched = u32::try_from(matched).unwrap_or(u32::MAX);
            if let Some(under_way) = &mut self.keys.under_way {
                under_way.events.push(RecordedEvent {
                    id: added.event.id,
                    matched,
                    duplicate: added.duplicate,
                });
            }
            appended.push(added);
            self.cut_if_full()?;
        }
        if let Some(UnderWay { once, place, events }) = self.keys.under_way.take() {
            put(&mut self.draft, once, place, true, RecordedResult::Events(events));
        }
        Ok(Idempotent::Made(appended))
    }

    /// Says in the draft how far the list is that is under way.
    pub(in crate::store) fn note_under_way(&mut self) {
        if let Some(UnderWay { once, place, events }) = &mut self.keys.under_way {
            place.length_was = put(&mut self.draft, *once, *place, false, RecordedResult::Events(events.clone()));
        }
    }
}
