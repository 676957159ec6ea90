//! Appends the origins of deliveries: submitted events, and replays of earlier events.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::step::{Append, Appended, Redelivery, Replay};
use super::writer::{BYTES_MAX, ROWS_MAX, Writer};
use crate::model::delivery::{Delivery, Progress};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId};
use crate::model::replay::ReplayJob;
use crate::store::error::StoreError;
use crate::store::memory::shared::{ProgressKind, RowlessDelivery, WasTried};
use crate::store::rows::key::{self, Table, delivery_of};
use crate::store::rows::record;
use crate::store::rows::segment;

impl Writer {
    /// Adds one whole event to the batch.
    pub(in crate::store) fn append(&mut self, append: Append) -> Result<Appended, StoreError> {
        let now = self.now;
        let hash = super::dedup::hash(&append.content);
        if let Some(hash) = hash
            && let Some(found) = self.dedup.find(&self.reader.tables, &self.batch, now, hash)?
        {
            return self.duplicate(found, append);
        }
        let targets: Vec<_> = append.targets.iter().map(|target| target.subscription).collect();
        let record = record::event(&append.content, &targets);
        if self.batch.bytes() + record.len() > BYTES_MAX {
            self.write_batch()?;
        }
        let event = EventId::from_bits(self.ids.block(now, 1 + targets.len() as u64));
        let deliveries: Vec<_> = (0..targets.len()).map(|index| delivery_of(event.bits(), index)).collect();
        self.last_id = deliveries.last().map_or(event.bits(), |id| id.bits());
        self.batch.put_long(Table::Events, event.bits(), &record, 0);
        let terms = segment::of_event(&append.content);
        self.reader.shared.index.state().tail.add_event(event, terms, &targets);
        self.reader.shared.seen.state().add(event, &append.content);
        if let Some(hash) = hash {
            self.dedup.add(&mut self.batch, event, hash);
        }
        let targets = append.targets.iter().zip(&deliveries);
        self.add_deliveries(targets.map(|(target, id)| {
            (RowlessDelivery { id: *id, event, subscription: target.subscription }, target.queued)
        }));
        self.events_in_batch += 1;
        self.reader.shared.events.fetch_add(1, Ordering::Relaxed);
        let event = Arc::new(Event { id: event, content: append.content });
        Ok(Appended { event, duplicate: false, deliveries, earlier: false })
    }

    /// Records the new deliveries, each with whether it is queued in its lane. Returns those that wait.
    fn add_deliveries(&mut self, new: impl Iterator<Item = (RowlessDelivery, bool)>) -> Vec<RowlessDelivery> {
        let mut waiting = Vec::new();
        let mut state = self.reader.shared.state();
        for (fresh, queued) in new {
            let RowlessDelivery { id, event, subscription } = fresh;
            if !state.is_live(subscription) {
                // Written explicitly, so that a later opening does not take the delivery for fresh.
                let progress = Progress::Cancelled;
                let delivery = Delivery { progress, ..Delivery::new(id, event, subscription) };
                self.batch.put_long(Table::Cancelled, id.bits(), &record::delivery(&delivery), 0);
                state.add(subscription, ProgressKind::Cancelled);
                continue;
            }
            state.add(subscription, ProgressKind::Waiting);
            if queued {
                self.batch.put(Table::Due, &key::due(subscription, id.time(), id), Vec::new());
                state.add_due_row(subscription, WasTried::No);
            } else {
                state.add_rowless(fresh);
            }
            waiting.push(fresh);
        }
        waiting
    }

    /// Returns the earlier event. If retention has removed it, returns the submitted one.
    fn duplicate(&mut self, found: EventId, append: Append) -> Result<Appended, StoreError> {
        self.write_batch()?;
        let (event, targets) = self
            .reader
            .event_with_targets(found)?
            .unwrap_or_else(|| (Event { id: found, content: append.content }, Vec::new()));
        let deliveries = (0..targets.len()).map(|index| delivery_of(found.bits(), index)).collect();
        Ok(Appended { event: Arc::new(event), duplicate: true, deliveries, earlier: false })
    }

    /// Adds a whole replay with its job to the batch.
    pub(in crate::store) fn replay(&mut self, replay: Replay) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let Replay { deliveries: wanted, mut job, skipped: _ } = replay;
        if self.batch.len() + wanted.len() > ROWS_MAX {
            self.write_batch()?;
        }
        let is_known = self.known_events(&wanted)?;
        let known = || wanted.iter().zip(&is_known).filter(|(_, known)| **known).map(|(one, _)| one);
        let count = known().count();
        if let Some(job) = &mut job {
            let gone = (wanted.len() - count) as u64;
            job.made = job.made.saturating_sub(gone);
            job.skipped = job.skipped.saturating_add(gone);
            self.put_job(job);
        }
        if count == 0 {
            return Ok(vec![None; wanted.len()]);
        }
        let origin = self.ids.block(self.now, 1 + count as u64);
        self.last_id = delivery_of(origin, count - 1).bits();
        let pairs: Vec<_> = known().map(|one| (one.event, one.subscription)).collect();
        self.batch.put_long(Table::Events, origin, &record::replay(&pairs), 0);
        self.reader.shared.index.state().tail.add_replay(origin, &pairs);
        let waiting = self.add_deliveries(known().enumerate().map(|(index, one)| {
            let id = delivery_of(origin, index);
            (RowlessDelivery { id, event: one.event, subscription: one.subscription }, one.queued)
        }));
        let mut state = self.reader.shared.state();
        for fresh in &waiting {
            state.begin_replay(fresh.event, fresh.id);
        }
        drop(state);
        self.events_in_batch += 1;
        let mut ids = (0..).map(|index| delivery_of(origin, index));
        Ok(is_known.into_iter().map(|known| if known { ids.next() } else { None }).collect())
    }

    /// Returns, for each redelivery of the list, whether the log has its event.
    fn known_events(&self, wanted: &[Redelivery]) -> Result<Vec<bool>, StoreError> {
        let mut last = None;
        let mut known = Vec::with_capacity(wanted.len());
        for Redelivery { event, .. } in wanted {
            let is_known = match last {
                Some((id, is_known)) if id == *event => is_known,
                _ => self.is_listed(*event)?,
            };
            last = Some((*event, is_known));
            known.push(is_known);
        }
        Ok(known)
    }

    /// Returns whether the log has the event.
    pub(in crate::store) fn is_listed(&self, event: EventId) -> Result<bool, StoreError> {
        let first = self.reader.tables.get_after(&self.batch, Table::Events, &key::chunk(event.bits(), 0))?;
        Ok(first.is_some_and(|first| !record::is_replay(&first)))
    }

    pub(in crate::store) fn put_job(&mut self, job: &ReplayJob) {
        self.batch.put(Table::Jobs, &job.id.to_bytes(), record::job(job));
    }
}
