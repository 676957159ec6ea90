//! Retention: removes the oldest events with everything that belongs to them.
//!
//! Everything older than `held_before` is at the start of the log, because all of it is removed. A second
//! walk finds events that have ended and are older than `events_before`, or exceed the size limit. It passes
//! each event once. An event that must stay is examined again only when one of its deliveries ends, when it
//! becomes older than `held_before`, or after a restart. A replay is stored among the events and is removed
//! by the same rules. Its events stay until its deliveries have ended.

use super::settle::read_row;
use super::step::{Sweep, SweepResult};
use super::writer::Writer;
use crate::model::delivery::Progress;
use crate::model::id::{DeliveryId, EventId, ReplayId, SubscriptionId};
use crate::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::memory::shared::{ProgressKind, WasTried};
use crate::store::read::reader::read_job;
use crate::store::rows::engine::RowBytes;
use crate::store::rows::key::{self, Table, delivery_of};
use crate::store::rows::origin::{Origin, OriginKind, index_of};
use crate::store::rows::record::{self, chunk_count};
use crate::store::rows::tables::corrupt;

/// A delivery of an event or replay that may be removed.
struct Member {
    id: DeliveryId,
    event: EventId,
    subscription: SubscriptionId,
    kind: ProgressKind,
    /// The tree and the length of its record, if it has one.
    row: Option<(Table, usize)>,
    due: Option<key::DueKey>,
}

impl Writer {
    pub(in crate::store) fn sweep(&mut self, sweep: Sweep) -> Result<SweepResult, StoreError> {
        self.write_batch()?;
        let mut swept = SweepResult::default();
        let mut left = sweep.limit;
        self.sweep_held(sweep.held_before, &mut left, &mut swept)?;
        self.sweep_revisited(sweep, &mut left, &mut swept)?;
        self.sweep_finished(sweep.events_before, 0, &mut left, &mut swept)?;
        self.sweep_finished(self.now, sweep.bytes_max, &mut left, &mut swept)?;
        let (tables, now) = (&self.reader.tables, self.now);
        let mut expiring = self.dedup.expire(tables, &mut self.batch, now, sweep.limit)?;
        expiring |= self.keys.expire(tables, &mut self.batch, now, sweep.limit)?;
        self.write_batch()?;
        self.remove_dead_segments()?;
        self.forget_jobs(sweep.events_before)?;
        self.forget_subscriptions(sweep.events_before.min(sweep.held_before))?;
        swept.more = left == 0 || expiring;
        Ok(swept)
    }

    /// Removes events older than `before`, ended or not, unless a replay still delivers them.
    fn sweep_held(
        &mut self,
        before: Timestamp,
        left: &mut usize,
        swept: &mut SweepResult,
    ) -> Result<(), StoreError> {
        while *left > 0 {
            let Some(origin) = self.origin_from(self.held_to, before)? else { break };
            *left -= 1;
            self.held_to = end_of(&origin);
            if !self.is_replayed(&origin) {
                let members = self.members_of(&origin)?;
                self.forget(&origin, &members, swept)?;
                self.write_batch_if_full()?;
            }
        }
        self.write_batch()
    }

    fn sweep_revisited(
        &mut self,
        sweep: Sweep,
        left: &mut usize,
        swept: &mut SweepResult,
    ) -> Result<(), StoreError> {
        while *left > 0 {
            let Some(id) = self.revisit.first().copied() else { break };
            let is_over = self.reader.tables.bytes() > sweep.bytes_max;
            let before = if is_over { self.now } else { sweep.events_before.max(sweep.held_before) };
            if id >= key::first_bits(before) {
                break;
            }
            self.revisit.pop_first();
            *left -= 1;
            let Some(first) = self.reader.tables.tree(Table::Events).get(key::chunk(id, 0))? else {
                continue;
            };
            let origin = Origin::read(id, first)?;
            if id < key::first_bits(sweep.held_before) && !self.is_replayed(&origin) {
                let members = self.members_of(&origin)?;
                self.forget(&origin, &members, swept)?;
            } else {
                self.forget_if_finished(&origin, swept)?;
            }
            self.write_batch_if_full()?;
        }
        self.write_batch()
    }

    /// Continues the walk over ended events older than `before`, while the rows exceed the size limit.
    fn sweep_finished(
        &mut self,
        before: Timestamp,
        bytes_max: u64,
        left: &mut usize,
        swept: &mut SweepResult,
    ) -> Result<(), StoreError> {
        while *left > 0 && self.reader.tables.bytes() > bytes_max {
            let Some(origin) = self.origin_from(self.swept_to, before)? else { break };
            *left -= 1;
            self.swept_to = end_of(&origin);
            self.forget_if_finished(&origin, swept)?;
            self.write_batch_if_full()?;
        }
        self.write_batch()
    }

    /// Returns the first event or replay at or after these id bits, if it is older than `before`.
    fn origin_from(&self, bits: u128, before: Timestamp) -> Result<Option<Origin>, StoreError> {
        let range = key::chunk(bits, 0)..key::chunk(key::first_bits(before), 0);
        if range.start >= range.end {
            return Ok(None);
        }
        let Some(row) = self.reader.tables.tree(Table::Events).range(range).next() else { return Ok(None) };
        let (row_key, first) = row?;
        let (id, number) = key::read_chunk(Table::Events, &row_key)?;
        if number > 0 {
            return Err(corrupt(Table::Events, id, "its head is missing"));
        }
        Origin::read(id, first).map(Some)
    }

    /// Returns whether a replayed delivery of this event is unfinished.
    fn is_replayed(&self, origin: &Origin) -> bool {
        let event = EventId::from_bits(origin.id);
        self.reader.shared.state().replaying(event).next().is_some()
    }

    fn forget_if_finished(&mut self, origin: &Origin, swept: &mut SweepResult) -> Result<(), StoreError> {
        if self.is_replayed(origin) {
            return Ok(());
        }
        let members = self.members_of(origin)?;
        let keeps = members.iter().any(|member| member.kind == ProgressKind::Waiting);
        if keeps { Ok(()) } else { self.forget(origin, &members, swept) }
    }

    /// Returns every delivery of an event or replay, and its place.
    fn members_of(&self, origin: &Origin) -> Result<Vec<Member>, StoreError> {
        let members = self.reader.members(origin)?;
        let mut rows = vec![None; members.len()];
        let from = key::chunk(origin.id, 0);
        let to = key::chunk(origin.id + members.len() as u128, u16::MAX);
        for table in Table::STATES {
            for row in self.reader.tables.tree(table).range(from..=to) {
                let (row_key, value) = row?;
                let (id, number) = key::read_chunk(table, &row_key)?;
                let place =
                    index_of(origin.id, DeliveryId::from_bits(id)).and_then(|index| rows.get_mut(index));
                if let (0, Some(place)) = (number, place) {
                    let (length, progress) = read_row(table, id, &value)?;
                    *place = Some((table, length, progress));
                }
            }
        }
        let ids = (0..).map(|index| delivery_of(origin.id, index));
        let known = ids.zip(members).zip(rows);
        known.map(|((id, of), row)| self.member(id, of, row)).collect()
    }

    fn member(
        &self,
        id: DeliveryId,
        (event, subscription): (EventId, SubscriptionId),
        row: Option<(Table, usize, Progress)>,
    ) -> Result<Member, StoreError> {
        let progress = row.map_or(Progress::Waiting { due: id.time() }, |(.., progress)| progress);
        let row = row.map(|(table, length, _)| (table, length));
        let mut member = Member { id, event, subscription, kind: progress.into(), row, due: None };
        let Progress::Waiting { due } = progress else { return Ok(member) };
        for at in [due, id.time()] {
            let key = key::due(subscription, at, id);
            if self.reader.tables.tree(Table::Due).contains_key(key)? {
                member.due = Some(key);
            }
        }
        Ok(member)
    }

    fn forget(
        &mut self,
        origin: &Origin,
        members: &[Member],
        swept: &mut SweepResult,
    ) -> Result<(), StoreError> {
        let length = record::length(&origin.first);
        let length = length.map_err(|problem| corrupt(Table::Events, origin.id, problem))?;
        self.batch.remove_long(Table::Events, origin.id, length);
        for member in members {
            if let Some((table, length)) = member.row {
                self.batch.remove_long(table, member.id.bits(), length);
            }
            let mut state = self.reader.shared.state();
            if let Some(due) = &member.due {
                self.batch.remove(Table::Due, due);
                let was_tried = if member.row.is_some() { WasTried::Yes } else { WasTried::No };
                state.remove_due_row_later(member.subscription, was_tried);
            }
            state.take_rowless(member.id);
            state.take(member.subscription, member.kind);
            drop(state);
            if matches!(origin.kind, OriginKind::Replay(_)) {
                self.end_replay(member.id, member.event);
            }
        }
        self.reader.shared.index.state().forget(origin.id);
        if let OriginKind::Event(head) = &origin.kind {
            self.reader.shared.seen.state().take(&head.content);
        }
        self.revisit.remove(&origin.id);
        swept.events += 1;
        swept.deliveries += members.len() as u64;
        Ok(())
    }

    /// Removes replay jobs that ended before the log begins.
    fn forget_jobs(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let end = key::first_bits(before).to_be_bytes();
        for row in self.reader.tables.tree(Table::Jobs).range(..end) {
            let (row_key, row) = row?;
            let id = ReplayId::from_bits(key::read_id(Table::Jobs, &row_key, &row_key)?);
            if read_job(id, &row)?.finished_at.is_some_and(|at| at < before) {
                self.batch.remove(Table::Jobs, &row_key);
            }
        }
        self.write_batch()
    }

    /// Removes the tombstones of subscriptions that were deleted before the log begins.
    fn forget_subscriptions(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let gone: Vec<SubscriptionId> = {
            let state = self.reader.shared.state();
            let waits = |id: &SubscriptionId| state.tallies.get(id).is_some_and(|tally| tally.waiting > 0);
            let is_gone = |(id, deleted): &(&SubscriptionId, &Option<Timestamp>)| {
                deleted.is_some_and(|at| at < before) && !waits(id)
            };
            state.subscriptions.iter().filter(is_gone).map(|(id, _)| *id).collect()
        };
        for id in gone {
            let first = self.reader.tables.tree(Table::Subscriptions).get(key::chunk(id.bits(), 0))?;
            let length = first.map_or(Ok(0), |first: RowBytes| record::length(&first));
            let length = length.map_err(|problem| corrupt(Table::Subscriptions, id.bits(), problem))?;
            for number in 0..chunk_count(length) {
                self.batch.remove(Table::Subscriptions, &key::chunk(id.bits(), number));
            }
            self.batch.remove(Table::HealthStates, &id.to_bytes());
            self.reader.shared.state().subscriptions.remove(&id);
            self.write_batch_if_full()?;
        }
        self.write_batch()
    }
}

/// Returns the id bits after an origin and its deliveries.
fn end_of(origin: &Origin) -> u128 {
    origin.id.saturating_add(1 + origin.count() as u128)
}
