//! Reads the log while the committer writes it.
//!
//! A single look-up takes microseconds and may run on an async task. Lists, and the bodies of large events,
//! may take milliseconds: run them with `spawn_blocking`. A list is not a snapshot: each row is read at a
//! slightly different time. A reader may see changes that are not durable yet.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use crate::store::rows::engine::RowBytes;

use crate::model::delivery::{Delivery, Progress};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, ReplayId, SubscriptionId};
use crate::model::metrics::Histogram;
use crate::model::replay::ReplayJob;
use crate::model::subscription::{HealthState, Subscription};
use crate::model::time::Timestamp;
use crate::store::disk::files::Files;
use crate::store::disk::fsync;
use crate::store::disk::secret_cipher::SecretCipher;
use crate::store::error::StoreError;
use crate::store::memory::shared::{CommitCounts, ProgressCounts, SharedState};
use crate::store::rows::key::{self, Table, delivery_of};
use crate::store::rows::origin::{Origin, OriginKind, bad_event, head, index_of};
use crate::store::rows::record::{self, EventHead};
use crate::store::rows::tables::{Tables, corrupt};

/// The most rows of a lane that are examined for its oldest delivery.
const OLDEST_SCAN_MAX: usize = 1024;

/// A handle that reads the log. Cloning is cheap. It keeps the files open but does not keep the committer
/// running.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(in crate::store) tables: Tables,
    pub(in crate::store) shared: Arc<SharedState>,
    pub(in crate::store) cipher: SecretCipher,
    /// Holds the lock of the directory until the last reader and writer are gone.
    pub(in crate::store) files: Arc<Files>,
}

impl Reader {
    fn flush(&self) -> Result<(), StoreError> {
        self.tables.flush()
    }

    /// Returns a function that flushes the log, and keeps the store locked while it exists.
    pub(in crate::store) fn flusher(&self) -> Arc<dyn Fn() + Send + Sync> {
        // The closure must own the lock of the directory too, so it captures the whole reader.
        let reader = self.clone();
        Arc::new(move || drop(reader.flush()))
    }

    /// Returns the size of all rows with their keys, in bytes. The files take more.
    pub fn bytes(&self) -> u64 {
        self.tables.bytes()
    }

    /// Returns how many bytes of the log's disk are free for this user.
    pub fn disk_free(&self) -> Result<u64, StoreError> {
        let path = &self.files.root;
        let stat = rustix::fs::statvfs(path)
            .map_err(|error| StoreError::DiskSpace { path: path.clone(), error: Arc::new(error.into()) })?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// Returns an event with its data.
    pub fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        Ok(self.event_with_targets(id)?.map(|(event, _)| event))
    }

    /// Returns an event and the subscriptions that it was delivered to. The n-th delivery (from 0) has the
    /// event's id plus `n + 1`.
    pub(in crate::store) fn event_with_targets(
        &self,
        id: EventId,
    ) -> Result<Option<(Event, Vec<SubscriptionId>)>, StoreError> {
        let Some(first) = self.event_row(id)? else { return Ok(None) };
        let record = self.tables.assemble(Table::Events, id.bits(), first)?;
        let (content, targets) = record::read_event(id, &record).map_err(|p| bad_event(id, p))?;
        Ok(Some((Event { id, content }, targets)))
    }

    /// Returns the first chunk of an event, or `None` if the id belongs to a replay.
    fn event_row(&self, id: EventId) -> Result<Option<RowBytes>, StoreError> {
        let first = self.tables.tree(Table::Events).get(key::chunk(id.bits(), 0))?;
        Ok(first.filter(|first| !record::is_replay(first)))
    }

    /// Returns an event without its data. Reads one row.
    pub fn event_head(&self, id: EventId) -> Result<Option<EventHead>, StoreError> {
        self.event_row(id)?.map(|first| head(id, &first)).transpose()
    }

    /// Returns the events from `first` on that were accepted before `until`, oldest first, with their data.
    pub fn events_from(
        &self,
        first: EventId,
        until: Option<Timestamp>,
        limit: usize,
    ) -> Result<Vec<Event>, StoreError> {
        let end = until.map_or(u128::MAX, key::first_bits);
        let mut events = Vec::new();
        for row in self.tables.tree(Table::Events).range(key::chunk(first.bits(), 0)..key::chunk(end, 0)) {
            let (row_key, value) = row?;
            let (bits, number) = key::read_chunk(Table::Events, &row_key)?;
            if number > 0 || record::is_replay(&value) {
                continue;
            }
            let id = EventId::from_bits(bits);
            let record = self.tables.assemble(Table::Events, bits, value)?;
            let (content, _) = record::read_event(id, &record).map_err(|p| bad_event(id, p))?;
            events.push(Event { id, content });
            if events.len() >= limit {
                break;
            }
        }
        Ok(events)
    }

    /// Returns a delivery with all of its attempts.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        if let Some(delivery) = self.delivery_row(id)? {
            return Ok(Some(delivery));
        }
        let Some(origin) = self.origin_at_or_before(id.bits())? else { return Ok(None) };
        let Some(index) = index_of(origin.id, id).filter(|index| *index < origin.count()) else {
            return Ok(None);
        };
        let members = self.members(&origin)?;
        let known = |(event, subscription): &(EventId, SubscriptionId)| self.known(id, *event, *subscription);
        members.get(index).map(known).transpose()
    }

    /// Returns an event as the origin of its deliveries.
    pub(in crate::store) fn origin_at(&self, event: EventId) -> Result<Option<Origin>, StoreError> {
        self.event_row(event)?.map(|first| Origin::read(event.bits(), first)).transpose()
    }

    /// Returns whether a delivery of the event to the subscription is unfinished, counting replays.
    pub fn is_under_way(&self, event: EventId, subscription: SubscriptionId) -> Result<bool, StoreError> {
        let replayed: Vec<DeliveryId> = self.shared.state().replaying(event).collect();
        for id in replayed {
            let of = self.delivery(id)?.filter(|delivery| delivery.subscription == subscription);
            if of.is_some_and(|delivery| !delivery.progress.is_final()) {
                return Ok(true);
            }
        }
        let Some(origin) = self.origin_at(event)? else { return Ok(false) };
        for (index, (event, of)) in self.members(&origin)?.into_iter().enumerate() {
            if of == subscription
                && !self.known(delivery_of(origin.id, index), event, of)?.progress.is_final()
            {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Returns a delivery that its origin lists.
    pub(in crate::store) fn known(
        &self,
        id: DeliveryId,
        event: EventId,
        subscription: SubscriptionId,
    ) -> Result<Delivery, StoreError> {
        // The second look finds a delivery that was reopened between the reads of two trees.
        for _ in 0..2 {
            if let Some(delivery) = self.delivery_row(id)? {
                return Ok(delivery);
            }
        }
        Ok(Delivery::new(id, event, subscription))
    }

    fn delivery_row(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        self.delivery_in(&Table::STATES, id)
    }

    /// Returns the delivery if one of these trees has it.
    pub(in crate::store) fn delivery_in(
        &self,
        tables: &[Table],
        id: DeliveryId,
    ) -> Result<Option<Delivery>, StoreError> {
        for table in tables.iter().copied() {
            if let Some(first) = self.tables.tree(table).get(key::chunk(id.bits(), 0))? {
                return self.read_delivery(table, id, first);
            }
        }
        Ok(None)
    }

    /// Reads the delivery whose record begins with this chunk. Returns `None` if it has just left that tree.
    pub(in crate::store) fn read_delivery(
        &self,
        table: Table,
        id: DeliveryId,
        first: RowBytes,
    ) -> Result<Option<Delivery>, StoreError> {
        let record = match self.tables.assemble(table, id.bits(), first) {
            Ok(record) => record,
            // The later chunks have moved to another tree since the first was read.
            Err(_) if !self.tables.tree(table).contains_key(key::chunk(id.bits(), 0))? => {
                return self.delivery_row(id);
            }
            Err(error) => return Err(error),
        };
        let mut delivery =
            record::read_delivery(id, &record).map_err(|problem| corrupt(table, id.bits(), problem))?;
        self.show_release(&mut delivery)?;
        Ok(Some(delivery))
    }

    /// Takes the due time from the due row. A release changes the due row only, so the delivery's own row may
    /// be out of date.
    fn show_release(&self, delivery: &mut Delivery) -> Result<(), StoreError> {
        let made = delivery.id.time();
        if let Progress::Waiting { due } = &mut delivery.progress
            && *due > made
            && self.tables.tree(Table::Due).contains_key(key::due(
                delivery.subscription,
                made,
                delivery.id,
            ))?
        {
            *due = made;
        }
        Ok(())
    }

    /// Returns the newest event or replay whose id is at most `bits`.
    pub(in crate::store) fn origin_at_or_before(&self, bits: u128) -> Result<Option<Origin>, StoreError> {
        let tree = self.tables.tree(Table::Events);
        let mut end = bits;
        loop {
            let Some(row) = tree.range(..=key::chunk(end, u16::MAX)).next_back() else { return Ok(None) };
            let (row_key, value) = row?;
            let (id, number) = key::read_chunk(Table::Events, &row_key)?;
            let first = if number == 0 { Some(value) } else { tree.get(key::chunk(id, 0))? };
            if let Some(first) = first {
                return Origin::read(id, first).map(Some);
            }
            // The event was deleted after its later chunk was found.
            let Some(before) = id.checked_sub(1) else { return Ok(None) };
            end = before;
        }
    }

    /// Returns the event and subscription of each delivery that an origin began, in order.
    pub(in crate::store) fn members(
        &self,
        origin: &Origin,
    ) -> Result<Vec<(EventId, SubscriptionId)>, StoreError> {
        match &origin.kind {
            OriginKind::Replay(_) => {
                let record = self.tables.assemble(Table::Events, origin.id, origin.first.clone())?;
                record::read_replay(&record).map_err(|problem| corrupt(Table::Events, origin.id, problem))
            }
            OriginKind::Event(head) => {
                let targets = self.targets(head, origin.first.clone())?;
                Ok(targets.into_iter().map(|subscription| (head.id, subscription)).collect())
            }
        }
    }

    /// Reads the targets of an event, from its first chunk if that has all of them.
    fn targets(&self, head: &EventHead, first: RowBytes) -> Result<Vec<SubscriptionId>, StoreError> {
        let problem = |p| bad_event(head.id, p);
        let (_, rest) = record::read_event_head(head.id, &first).map_err(problem)?;
        if let Ok((targets, _)) = record::read_targets(head, rest) {
            return Ok(targets);
        }
        let record = self.tables.assemble(Table::Events, head.id.bits(), first)?;
        let (_, rest) = record::read_event_head(head.id, &record).map_err(problem)?;
        Ok(record::read_targets(head, rest).map_err(problem)?.0)
    }

    /// Returns a replay job.
    pub fn job(&self, id: ReplayId) -> Result<Option<ReplayJob>, StoreError> {
        self.tables.tree(Table::Jobs).get(id.to_bytes())?.map(|row| read_job(id, &row)).transpose()
    }

    /// Returns at most `limit` replay jobs of the log before one of them, newest first.
    pub fn jobs(&self, before: Option<ReplayId>, limit: usize) -> Result<Vec<ReplayJob>, StoreError> {
        let end = before.map_or([u8::MAX; 16], ReplayId::to_bytes);
        let rows = self.tables.tree(Table::Jobs).range(..end).rev().take(limit);
        let read = |row: Result<(RowBytes, RowBytes), StoreError>| {
            let (row_key, row) = row?;
            read_job(ReplayId::from_bits(key::read_id(Table::Jobs, &row_key, &row_key)?), &row)
        };
        rows.map(read).collect()
    }

    /// Returns the next rows of a lane after a position, earliest due first.
    ///
    /// Deliveries that are not durable yet are left out, so that no request is sent that a crash could undo.
    /// Their lane is notified when they are durable.
    pub fn due_page(
        &self,
        subscription: SubscriptionId,
        after: Option<(Timestamp, DeliveryId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, DeliveryId)>, StoreError> {
        let (first, last) = key::lane(subscription);
        let from = match after {
            Some((at, id)) => Bound::Excluded(key::due(subscription, at, id)),
            None => Bound::Included(first),
        };
        // Read before the rows: a delivery that becomes durable meanwhile is left out this time.
        let durable = self.shared.state().durable;
        let rows = self.tables.tree(Table::Due).range((from, Bound::Included(last))).keys();
        let read = |row: Result<RowBytes, StoreError>| key::read_due(&row?).map(|(_, at, id)| (at, id));
        let is_durable = |row: &Result<(Timestamp, DeliveryId), StoreError>| {
            row.as_ref().map_or(true, |(_, id)| id.bits() <= durable)
        };
        rows.map(read).filter(is_durable).take(limit).collect()
    }

    /// Returns how many deliveries of the subscription wait, fresh ones included.
    pub fn waiting(&self, subscription: SubscriptionId) -> u64 {
        self.tally(subscription).waiting
    }

    /// Returns the subscriptions with waiting deliveries.
    pub fn waiting_subscriptions(&self) -> Vec<SubscriptionId> {
        let state = self.shared.state();
        state.tallies.iter().filter(|(_, tally)| tally.waiting > 0).map(|(id, _)| *id).collect()
    }

    /// Returns the sums over all subscriptions.
    pub fn total(&self) -> ProgressCounts {
        self.shared.state().total
    }

    /// Returns the subscription's counts, over the deliveries that the log still has.
    pub fn tally(&self, subscription: SubscriptionId) -> ProgressCounts {
        self.shared.state().tallies.get(&subscription).copied().unwrap_or_default()
    }

    /// Returns the counts of every subscription with deliveries in the log.
    pub fn tallies(&self) -> BTreeMap<SubscriptionId, ProgressCounts> {
        self.shared.state().tallies.iter().map(|(id, tally)| (*id, *tally)).collect()
    }

    /// Returns when the oldest waiting delivery of the subscription was created.
    ///
    /// The result is exact if at most 1,024 deliveries wait in the lane. Otherwise it is the oldest of the
    /// 1,024 that are due first.
    pub fn oldest_waiting(&self, subscription: SubscriptionId) -> Result<Option<Timestamp>, StoreError> {
        self.oldest_waiting_within(subscription, OLDEST_SCAN_MAX)
    }

    /// Returns the same as [`oldest_waiting`](Self::oldest_waiting), but examines at most `rows_max` rows.
    pub fn oldest_waiting_within(
        &self,
        subscription: SubscriptionId,
        rows_max: usize,
    ) -> Result<Option<Timestamp>, StoreError> {
        let fresh = self.shared.state().rowless_of(subscription).next();
        let page = self.due_page(subscription, None, rows_max)?;
        Ok(page.into_iter().map(|(_, id)| id).chain(fresh).min().map(DeliveryId::time))
    }

    /// Returns a stored subscription, even if it was deleted.
    pub fn subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>, StoreError> {
        let record = self.tables.long(Table::Subscriptions, id.bits())?;
        let read = |record: RowBytes| {
            let problem = |p| corrupt(Table::Subscriptions, id.bits(), p);
            record::read_subscription(id, &record, &self.cipher).map_err(problem)
        };
        record.map(read).transpose()
    }

    /// Returns the health of a subscription, or the default if none was written.
    pub fn health(&self, id: SubscriptionId) -> Result<HealthState, StoreError> {
        match self.tables.tree(Table::HealthStates).get(id.to_bytes())? {
            Some(row) => record::read_health(&row).map_err(|p| corrupt(Table::HealthStates, id.bits(), p)),
            None => Ok(HealthState::default()),
        }
    }

    /// Returns how many times this process has forced a log to the disk.
    pub fn syncs(&self) -> u64 {
        fsync::syncs()
    }

    /// Returns the work of the committer since the store was opened.
    pub fn counts(&self) -> CommitCounts {
        self.shared.counts()
    }

    /// Returns the durations of commits. A commit is a number of transactions and the flush that makes them
    /// durable.
    pub fn commit_seconds(&self) -> &Histogram {
        &self.shared.commit_seconds
    }

    /// Returns the number of rows of each tree.
    pub fn rows(&self) -> Result<Vec<(&'static str, u64)>, StoreError> {
        let counts = self.tables.meta()?.unwrap_or_default().tables;
        Ok(Table::ALL.iter().zip(counts).map(|(table, (rows, _))| (table.name(), rows)).collect())
    }

    /// Returns the size of the log's files, in bytes.
    pub fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.tables.size_on_disk()
    }
}

pub(in crate::store) fn read_job(id: ReplayId, row: &[u8]) -> Result<ReplayJob, StoreError> {
    record::read_job(id, row).map_err(|problem| corrupt(Table::Jobs, id.bits(), problem))
}
