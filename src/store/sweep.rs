//! Retention: forgets the oldest events, with everything that belongs to them.
//!
//! What is older than `held_before` always lies at the very beginning, since all of it goes. What is finished
//! and older than `events_before` is found by a walk that passes each event once: an event that has to stay is
//! looked at again only when one of its deliveries is finished, when a subscription is deleted, when it becomes
//! older than `held_before`, or after a restart.

use super::apply::{Applier, read_row};
use super::error::StoreError;
use super::key::{self, Table, delivery_of};
use super::ledger::ProgressKind;
use super::reader::{head, index_of};
use super::record::{EventHead, chunk_count};
use super::step::{Sweep, Swept};
use super::table::corrupt;
use crate::model::delivery::Progress;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::time::Timestamp;
use sled::IVec;

/// One delivery of an event that may be forgotten.
struct Member {
    id: DeliveryId,
    subscription: SubscriptionId,
    kind: ProgressKind,
    /// The length of its record, 0 without one.
    length: usize,
    due: Option<key::DueKey>,
}

impl Applier {
    pub(super) fn sweep(&mut self, sweep: Sweep) -> Result<Swept, StoreError> {
        self.cut()?;
        let mut swept = Swept::default();
        let mut left = sweep.limit;
        self.sweep_held(sweep.held_before, &mut left, &mut swept)?;
        self.sweep_revisited(sweep.events_before, &mut left, &mut swept)?;
        self.sweep_finished(sweep.events_before, &mut left, &mut swept)?;
        let now = self.clock.now();
        let expiring = self.dedup.expire(&self.reader.tables, &mut self.draft, now, sweep.limit)?;
        self.cut()?;
        self.forget_subscriptions(sweep.events_before.min(sweep.held_before))?;
        swept.more = left == 0 || expiring;
        Ok(swept)
    }

    /// Forgets whatever is older than `before`, finished or not.
    fn sweep_held(
        &mut self,
        before: Timestamp,
        left: &mut usize,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let mut from = 0;
        while *left > 0 {
            let Some((head, first)) = self.event_from(from, before)? else { break };
            *left -= 1;
            from = head.id.bits() + 1;
            let members = self.members(&head, first.clone())?;
            self.forget(&head, &first, &members, swept)?;
            self.cut_if_full()?;
        }
        self.cut()
    }

    fn sweep_revisited(
        &mut self,
        before: Timestamp,
        left: &mut usize,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        while *left > 0 {
            let Some(id) = self.revisit.first().copied().filter(|id| id.time() < before) else { break };
            self.revisit.pop_first();
            *left -= 1;
            let first = self.reader.tables.tree(Table::Events).get(key::chunk(id.bits(), 0))?;
            if let Some(first) = first {
                self.forget_if_finished(&head(id, &first)?, &first, swept)?;
            }
        }
        self.cut()
    }

    fn sweep_finished(
        &mut self,
        before: Timestamp,
        left: &mut usize,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        while *left > 0 {
            let Some((head, first)) = self.event_from(self.swept_to, before)? else { break };
            *left -= 1;
            self.swept_to = head.id.bits() + 1;
            self.forget_if_finished(&head, &first, swept)?;
            self.cut_if_full()?;
        }
        self.cut()
    }

    /// The first event at or after these id bits, if it is older than `before`.
    fn event_from(&self, bits: u128, before: Timestamp) -> Result<Option<(EventHead, IVec)>, StoreError> {
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
        Ok(Some((head(EventId::from_bits(id), &first)?, first)))
    }

    fn forget_if_finished(
        &mut self,
        head: &EventHead,
        first: &IVec,
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let members = self.members(head, first.clone())?;
        let keeps = {
            let state = self.reader.ledger.state();
            members.iter().any(|m| m.kind == ProgressKind::Waiting && state.is_live(m.subscription))
        };
        if keeps { Ok(()) } else { self.forget(head, first, &members, swept) }
    }

    /// Every delivery of an event and where it is.
    fn members(&self, head: &EventHead, first: IVec) -> Result<Vec<Member>, StoreError> {
        let targets = self.reader.targets(head, first)?;
        let mut rows = vec![None; targets.len()];
        let from = key::chunk(head.id.bits(), 0);
        let to = key::chunk(head.id.bits() + targets.len() as u128, u16::MAX);
        for row in self.reader.tables.tree(Table::Deliveries).range(from..=to) {
            let (row_key, value) = row?;
            let (id, number) = key::read_chunk(Table::Deliveries, &row_key)?;
            let place = index_of(head.id, DeliveryId::from_bits(id)).and_then(|index| rows.get_mut(index));
            if let (0, Some(place)) = (number, place) {
                *place = Some(read_row(id, &value)?);
            }
        }
        let ids = (0..).map(|index| delivery_of(head.id, index));
        let known = ids.zip(targets).zip(rows);
        known.map(|((id, subscription), row)| self.member(id, subscription, row)).collect()
    }

    fn member(
        &self,
        id: DeliveryId,
        subscription: SubscriptionId,
        row: Option<(usize, Progress)>,
    ) -> Result<Member, StoreError> {
        let (length, progress) = row.unwrap_or((0, Progress::Waiting { due: id.time() }));
        let mut member = Member { id, subscription, kind: progress.into(), length, due: None };
        let Progress::Waiting { due } = progress else { return Ok(member) };
        for at in [due, id.time()] {
            let key = key::due(subscription, at, id);
            if self.reader.tables.tree(Table::Due).contains_key(key)? {
                member.due = Some(key);
            }
        }
        if member.due.is_none() && !self.reader.ledger.state().is_fresh(id) {
            member.kind = ProgressKind::Cancelled;
        }
        Ok(member)
    }

    fn forget(
        &mut self,
        head: &EventHead,
        first: &[u8],
        members: &[Member],
        swept: &mut Swept,
    ) -> Result<(), StoreError> {
        let length = super::record::length(first);
        let length = length.map_err(|problem| corrupt(Table::Events, head.id.bits(), problem))?;
        self.draft.remove_long(Table::Events, head.id.bits(), length);
        let mut state = self.reader.ledger.state();
        for member in members {
            if member.length > 0 {
                self.draft.remove_long(Table::Deliveries, member.id.bits(), member.length);
            }
            if let Some(due) = &member.due {
                self.draft.remove(Table::Due, due);
            }
            state.take_fresh(member.id);
            state.tally(member.subscription).take(member.kind);
        }
        drop(state);
        self.revisit.remove(&head.id);
        swept.events += 1;
        swept.deliveries += members.len() as u64;
        Ok(())
    }

    /// Removes the tombstones of subscriptions that were deleted before the log begins.
    fn forget_subscriptions(&mut self, before: Timestamp) -> Result<(), StoreError> {
        let gone: Vec<SubscriptionId> = {
            let state = self.reader.ledger.state();
            let waits = |id: &SubscriptionId| state.tallies.get(id).is_some_and(|tally| tally.waiting > 0);
            let is_gone = |(id, deleted): &(&SubscriptionId, &Option<Timestamp>)| {
                deleted.is_some_and(|at| at < before) && !waits(id)
            };
            state.subscriptions.iter().filter(is_gone).map(|(id, _)| *id).collect()
        };
        for id in gone {
            let first = self.reader.tables.tree(Table::Subscriptions).get(key::chunk(id.bits(), 0))?;
            let length = first.map_or(Ok(0), |first| super::record::length(&first));
            let length = length.map_err(|problem| corrupt(Table::Subscriptions, id.bits(), problem))?;
            for number in 0..chunk_count(length) {
                self.draft.remove(Table::Subscriptions, &key::chunk(id.bits(), number));
            }
            self.draft.remove(Table::Standings, &id.to_bytes());
            self.reader.ledger.state().subscriptions.remove(&id);
            self.cut_if_full()?;
        }
        self.cut()
    }
}
