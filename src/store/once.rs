//! Steps that are done once however often they are asked for: what an idempotency key stood for is written in the
//! transaction of its step.
//!
//! A list of events may take several transactions: each says how far the list is, so that after a crash the rest
//! of it is added and nothing twice.

use std::collections::BTreeSet;
use std::time::Duration;

use super::apply::Applier;
use super::buckets::Buckets;
use super::error::StoreError;
use super::key::{self, Table};
use super::record::{self, CHUNK_BYTES, OnceRecord};
use super::step::{Append, Appended, Replay};
use super::table::{Draft, Tables};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, ReplayId, SubscriptionId};
use crate::model::replay::ReplayJob;
use crate::model::subscription::{HealthState, Subscription};
use crate::model::time::Timestamp;

/// For how long a key stands for what it was first used for.
const WINDOW: Duration = Duration::from_hours(24);

/// A caller's idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnceKey {
    /// A hash of the caller, the route and the key.
    pub key: [u8; 16],
    /// A hash of the request's body.
    pub fingerprint: [u8; 16],
}

/// What came of a step with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Once<T> {
    /// It was done.
    Made(T),
    /// It had been done before, as this says; nothing was done now.
    Repeated(Earlier),
    /// The key stands for another body; nothing was done.
    Mismatch,
}

/// What a step with an idempotency key made when it was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Earlier {
    /// Events, in the order of the list.
    Events(Vec<EarlierEvent>),
    /// A subscription.
    Subscription(SubscriptionId),
    /// Replayed deliveries, and the subscriptions that were passed over.
    Replayed {
        /// Those that were made.
        deliveries: Vec<DeliveryId>,
        /// As the step was given them.
        skipped: Vec<SubscriptionId>,
    },
    /// A replay job.
    Job(ReplayId),
}

/// What became of one event of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EarlierEvent {
    /// Its id; of a duplicate, the first one's.
    pub id: EventId,
    /// How many deliveries it has.
    pub matched: u32,
    /// Whether its sender's id had been seen.
    pub duplicate: bool,
}

/// The keys of the last day.
#[derive(Debug)]
pub(super) struct Keys {
    buckets: Buckets,
    /// A list of events that is being appended: every transaction says how far it is.
    pub(super) under_way: Option<UnderWay>,
}

/// A list of events, as far as it is in the draft.
#[derive(Debug)]
pub(super) struct UnderWay {
    once: OnceKey,
    place: Place,
    events: Vec<EarlierEvent>,
}

/// Where the record of a key is, and since when.
#[derive(Clone, Copy, Debug)]
struct Place {
    bucket: u32,
    at: Timestamp,
    length_was: usize,
}

impl Keys {
    pub(super) fn new(buckets: BTreeSet<u32>) -> Self {
        Self { buckets: Buckets::new(Table::Idempotency, WINDOW, buckets), under_way: None }
    }

    /// Removes what is older than a day, at most `limit` rows; answers whether there may be more.
    pub(super) fn expire(
        &mut self,
        tables: &Tables,
        draft: &mut Draft,
        now: Timestamp,
        limit: usize,
    ) -> Result<bool, StoreError> {
        // Chunks after the first tell no time: the bucket, of which all are that old, is enough.
        let written = |key: &[u8], _: &[u8]| {
            let bucket = key::read_bucket(Table::Idempotency, key)?;
            Ok(Timestamp::from_millis(u64::from(bucket).saturating_mul(1000)))
        };
        self.buckets.expire(tables, draft, (now, limit), written)
    }

    /// What a key stands for, in which bucket, and the length of its record.
    fn find(
        &self,
        tables: &Tables,
        draft: &Draft,
        now: Timestamp,
        key: [u8; 16],
    ) -> Result<Option<(Place, OnceRecord)>, StoreError> {
        for bucket in self.buckets.probed(now) {
            let row = |number| draft.get(tables, Table::Idempotency, &key::once(bucket, key, number));
            let Some(first) = row(0)? else { continue };
            let first_key = key::once(bucket, key, 0);
            let corrupt = |problem| StoreError::corrupt(Table::Idempotency.name(), &first_key, problem);
            let length = record::length(&first).map_err(corrupt)?;
            let mut bytes = first.to_vec();
            for number in 1..record::chunk_count(length) {
                bytes.extend_from_slice(
                    &row(number)?.ok_or_else(|| corrupt("a chunk is missing".to_owned()))?,
                );
            }
            let found = record::read_once(&bytes).map_err(corrupt)?;
            let place = Place { bucket, at: found.at, length_was: length };
            return Ok(self.buckets.is_within(now, found.at).then_some((place, found)));
        }
        Ok(None)
    }
}

fn put(draft: &mut Draft, once: OnceKey, place: Place, is_whole: bool, earlier: Earlier) -> usize {
    let record = OnceRecord { fingerprint: once.fingerprint, at: place.at, is_whole, earlier };
    let record = record::once(&record);
    for (number, part) in (0u16..).zip(record.chunks(CHUNK_BYTES)) {
        draft.put(Table::Idempotency, &key::once(place.bucket, once.key, number), part.to_vec());
    }
    for number in record::chunk_count(record.len())..record::chunk_count(place.length_was) {
        draft.remove(Table::Idempotency, &key::once(place.bucket, once.key, number));
    }
    record.len()
}

/// An event of before the crash that cut its list short.
fn resumed(append: Append, one: EarlierEvent) -> Appended {
    let deliveries = (0..one.matched as usize).map(|index| key::delivery_of(one.id.bits(), index)).collect();
    let event = Event { id: one.id, content: append.content };
    Appended { event: event.into(), duplicate: one.duplicate, deliveries, earlier: true }
}

impl Applier {
    /// Does a step of one transaction, unless its key says that it was done before.
    fn once<T>(
        &mut self,
        once: OnceKey,
        make: impl FnOnce(&mut Self) -> Result<(T, Earlier), StoreError>,
    ) -> Result<Once<T>, StoreError> {
        let now = self.clock.now();
        match self.keys.find(&self.reader.tables, &self.draft, now, once.key)? {
            Some((_, found)) if found.fingerprint != once.fingerprint => return Ok(Once::Mismatch),
            Some((_, found)) => return Ok(Once::Repeated(found.earlier)),
            None => {}
        }
        let (done, earlier) = make(self)?;
        let place = Place { bucket: self.keys.buckets.enter(now), at: now, length_was: 0 };
        put(&mut self.draft, once, place, true, earlier);
        Ok(Once::Made(done))
    }

    pub(super) fn put_subscription_once(
        &mut self,
        once: OnceKey,
        subscription: &Subscription,
        health: Option<&HealthState>,
    ) -> Result<Once<()>, StoreError> {
        self.once(once, |applier| {
            applier.put_subscription(subscription, health)?;
            Ok(((), Earlier::Subscription(subscription.id)))
        })
    }

    pub(super) fn put_job_once(&mut self, once: OnceKey, job: &ReplayJob) -> Result<Once<()>, StoreError> {
        self.once(once, |applier| {
            applier.put_job(job);
            Ok(((), Earlier::Job(job.id)))
        })
    }

    pub(super) fn replay_once(
        &mut self,
        once: OnceKey,
        replay: Replay,
    ) -> Result<Once<Vec<Option<DeliveryId>>>, StoreError> {
        let skipped = replay.skipped.clone();
        self.once(once, |applier| {
            let made = applier.replay(replay)?;
            let deliveries = made.iter().flatten().copied().collect();
            Ok((made, Earlier::Replayed { deliveries, skipped }))
        })
    }

    pub(super) fn append_once(
        &mut self,
        once: OnceKey,
        list: Vec<Append>,
    ) -> Result<Once<Vec<Appended>>, StoreError> {
        let now = self.clock.now();
        let (place, events) = match self.keys.find(&self.reader.tables, &self.draft, now, once.key)? {
            Some((_, found)) if found.fingerprint != once.fingerprint => return Ok(Once::Mismatch),
            Some((place, OnceRecord { is_whole: false, earlier: Earlier::Events(events), .. })) => {
                (place, events)
            }
            Some((_, found)) => return Ok(Once::Repeated(found.earlier)),
            None => (Place { bucket: self.keys.buckets.enter(now), at: now, length_was: 0 }, Vec::new()),
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
                under_way.events.push(EarlierEvent {
                    id: added.event.id,
                    matched,
                    duplicate: added.duplicate,
                });
            }
            appended.push(added);
            self.cut_if_full()?;
        }
        if let Some(UnderWay { once, place, events }) = self.keys.under_way.take() {
            put(&mut self.draft, once, place, true, Earlier::Events(events));
        }
        Ok(Once::Made(appended))
    }

    /// Says in the draft how far the list is that is under way.
    pub(super) fn note_under_way(&mut self) {
        if let Some(UnderWay { once, place, events }) = &mut self.keys.under_way {
            place.length_was = put(&mut self.draft, *once, *place, false, Earlier::Events(events.clone()));
        }
    }
}
