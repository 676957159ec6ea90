//! Writes the results of deliveries, and changes of lanes and subscriptions.

use std::borrow::Cow;

use super::step::Settlement;
use super::writer::Writer;
use crate::model::delivery::{Delivery, Progress};
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::subscription::{HealthState, Subscription};
use crate::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::memory::shared::{ProgressKind, WasTried};
use crate::store::rows::engine::RowBytes;
use crate::store::rows::key::{self, Table};
use crate::store::rows::origin::OriginKind;
use crate::store::rows::record;
use crate::store::rows::tables::corrupt;

/// The state of a delivery before a change: its progress, and the tree and length of its record if it has
/// one.
struct Before {
    kind: ProgressKind,
    row: Option<(Table, usize)>,
}

impl Writer {
    pub(in crate::store) fn settle(&mut self, settlement: &Settlement) -> Result<(), StoreError> {
        let delivery = &settlement.delivery;
        if let Some(health) = &settlement.health {
            self.put_health(delivery.subscription, health);
        }
        let Some(before) = self.remove_from_lane(delivery, settlement.due_was)? else {
            // Retention removed the event while the request was in flight, so there is nothing to write to.
            return Ok(());
        };
        let mut delivery = Cow::Borrowed(delivery);
        let is_live = self.reader.shared.state().is_live(delivery.subscription);
        if !is_live && !delivery.progress.is_final() {
            delivery.to_mut().progress = Progress::Cancelled;
        }
        if let Progress::Waiting { due } = delivery.progress {
            self.batch.put(Table::Due, &key::due(delivery.subscription, due, delivery.id), Vec::new());
            self.reader.shared.state().add_due_row(delivery.subscription, WasTried::Yes);
        }
        self.move_row(&delivery, &before)?;
        Ok(())
    }

    /// Writes the row of a delivery into the tree of its state, and updates the counts.
    fn move_row(&mut self, delivery: &Delivery, before: &Before) -> Result<(), StoreError> {
        let (bits, table) = (delivery.id.bits(), Table::of(delivery.progress));
        let length_was = match before.row {
            Some((was, length)) if was != table => {
                self.batch.remove_long(was, bits, length);
                0
            }
            row => row.map_or(0, |(_, length)| length),
        };
        self.batch.put_long(table, bits, &record::delivery(delivery), length_was);
        let after = ProgressKind::from(delivery.progress);
        self.reader.shared.state().shift(delivery.subscription, before.kind, after);
        match (before.kind, after) {
            (ProgressKind::Waiting, ProgressKind::Waiting) => {}
            (ProgressKind::Waiting, _) => self.finished(delivery.id, delivery.event)?,
            (_, ProgressKind::Waiting) => self.reopened(delivery.id, delivery.event)?,
            _ => {}
        }
        Ok(())
    }

    /// Records that a delivery no longer waits, so that a sweep may remove what it kept in the log.
    pub(in crate::store) fn finished(&mut self, id: DeliveryId, event: EventId) -> Result<(), StoreError> {
        let was_replayed = self.end_replay(id, event);
        if id.bits() < self.swept_to {
            let origin = if was_replayed {
                self.reader.origin_at_or_before(id.bits())?.map(|origin| origin.id)
            } else {
                None
            };
            self.revisit.insert(origin.unwrap_or(event.bits()));
        }
        Ok(())
    }

    /// Returns whether this was a replayed delivery, which kept its event in the log. If it was the last of
    /// the event, the sweep looks at the event again.
    pub(in crate::store) fn end_replay(&mut self, id: DeliveryId, event: EventId) -> bool {
        let mut state = self.reader.shared.state();
        let was_replayed = state.end_replay(event, id);
        let was_last = was_replayed && state.replaying(event).next().is_none();
        drop(state);
        if was_last && event.bits() < self.swept_to.max(self.held_to) {
            self.revisit.insert(event.bits());
        }
        was_replayed
    }

    fn reopened(&mut self, id: DeliveryId, event: EventId) -> Result<(), StoreError> {
        let origin = self.reader.origin_at_or_before(id.bits())?;
        if origin.is_some_and(|origin| matches!(origin.kind, OriginKind::Replay(_))) {
            self.reader.shared.state().begin_replay(event, id);
        }
        Ok(())
    }

    /// Returns the tree of a delivery's row, and its first chunk.
    fn find_row(&self, bits: u128) -> Result<Option<(Table, RowBytes)>, StoreError> {
        for table in Table::STATES {
            if let Some(first) = self.reader.tables.get_after(&self.batch, table, &key::chunk(bits, 0))? {
                return Ok(Some((table, first)));
            }
        }
        Ok(None)
    }

    /// Removes a delivery from the place where it waits. Returns its earlier state, or `None` if nothing must
    /// be written: the delivery is gone, or it is to wait again and its event is gone.
    fn remove_from_lane(
        &mut self,
        delivery: &Delivery,
        due_was: Option<Timestamp>,
    ) -> Result<Option<Before>, StoreError> {
        let Delivery { id, subscription, .. } = *delivery;
        if self.reader.shared.state().take_rowless(id).is_some() {
            return Ok(Some(Before { kind: ProgressKind::Waiting, row: None }));
        }
        let found = self.find_row(id.bits())?;
        let (due_is, was_tried, before) = match &found {
            Some((table, first)) => {
                let (length, progress) = read_row(*table, id.bits(), first)?;
                let before = Before { kind: progress.into(), row: Some((*table, length)) };
                match progress {
                    Progress::Waiting { due } => (Some(due), WasTried::Yes, before),
                    _ if delivery.progress.is_final() || self.is_listed(delivery.event)? => {
                        return Ok(Some(before));
                    }
                    _ => return Ok(None),
                }
            }
            None => (None, WasTried::No, Before { kind: ProgressKind::Waiting, row: None }),
        };
        let mut waited = false;
        for at in [due_was, due_is, Some(id.time())].into_iter().flatten() {
            let key = key::due(subscription, at, id);
            if self.reader.tables.get_after(&self.batch, Table::Due, &key)?.is_some() {
                self.batch.remove(Table::Due, &key);
                waited = true;
            }
        }
        if waited {
            self.reader.shared.state().remove_due_row_later(subscription, was_tried);
        }
        Ok((waited || before.row.is_some()).then_some(before))
    }

    pub(in crate::store) fn enqueue(&mut self, deliveries: &[Delivery]) {
        let mut state = self.reader.shared.state();
        for delivery in deliveries {
            let Some(fresh) = state.take_rowless(delivery.id) else { continue };
            self.batch.put(Table::Due, &key::due(fresh.subscription, fresh.id.time(), fresh.id), Vec::new());
            state.add_due_row(fresh.subscription, WasTried::No);
        }
    }

    pub(in crate::store) fn put_subscription(
        &mut self,
        subscription: &Subscription,
        health: Option<&HealthState>,
    ) -> Result<(), StoreError> {
        let bits = subscription.id.bits();
        let old = self.reader.tables.get_after(&self.batch, Table::Subscriptions, &key::chunk(bits, 0))?;
        let length = |first: RowBytes| record::length(&first);
        let length_was = old.map(length).transpose().map_err(|p| corrupt(Table::Subscriptions, bits, p))?;
        let record = record::subscription(subscription, &self.reader.cipher)?;
        self.batch.put_long(Table::Subscriptions, bits, &record, length_was.unwrap_or(0));
        if let Some(health) = health {
            self.put_health(subscription.id, health);
        }
        self.reader.shared.state().subscriptions.insert(subscription.id, subscription.deleted_at);
        if subscription.deleted_at.is_some() { self.cancel_rowless(subscription.id) } else { Ok(()) }
    }

    /// Cancels the fresh deliveries of a deleted subscription.
    fn cancel_rowless(&mut self, subscription: SubscriptionId) -> Result<(), StoreError> {
        let ids: Vec<DeliveryId> = self.reader.shared.state().rowless_of(subscription).collect();
        for id in ids {
            let Some(fresh) = self.reader.shared.state().take_rowless(id) else { continue };
            let progress = Progress::Cancelled;
            let delivery = Delivery { progress, ..Delivery::new(id, fresh.event, subscription) };
            self.move_row(&delivery, &Before { kind: ProgressKind::Waiting, row: None })?;
            self.write_batch_if_full()?;
        }
        Ok(())
    }

    pub(in crate::store) fn put_health(&mut self, id: SubscriptionId, health: &HealthState) {
        self.batch.put(Table::HealthStates, &id.to_bytes(), record::health(health));
        // If the subscription was disabled during a release, the next release starts from the beginning.
        self.releases.remove(&id);
    }

    pub(in crate::store) fn release(&mut self, id: SubscriptionId, limit: usize) -> Result<bool, StoreError> {
        self.write_batch()?;
        let (first, last) = key::lane(id);
        let from = self.releases.remove(&id).unwrap_or(first);
        let rows = self.reader.tables.tree(Table::Due).range(from..=last).keys();
        let mut rows = rows.take(limit.saturating_add(1)).collect::<Result<Vec<_>, StoreError>>()?;
        let next = if rows.len() > limit { rows.pop() } else { None };
        for row in rows {
            let (_, at, delivery) = key::read_due(&row)?;
            if at > delivery.time() {
                self.batch.remove(Table::Due, &row);
                self.batch.put(Table::Due, &key::due(id, delivery.time(), delivery), Vec::new());
            }
            self.write_batch_if_full()?;
        }
        if let Some(next) = &next {
            let (_, at, delivery) = key::read_due(next)?;
            self.releases.insert(id, key::due(id, at, delivery));
        }
        Ok(next.is_some())
    }

    pub(in crate::store) fn clear_lane(
        &mut self,
        id: SubscriptionId,
        limit: usize,
    ) -> Result<bool, StoreError> {
        self.write_batch()?;
        let (first, last) = key::lane(id);
        let rows = self.reader.tables.tree(Table::Due).range(first..=last).keys();
        let rows = rows.take(limit.saturating_add(1)).collect::<Result<Vec<_>, StoreError>>()?;
        for row in rows.iter().take(limit) {
            let (_, at, delivery) = key::read_due(row)?;
            let delivery = self
                .reader
                .delivery(delivery)?
                .ok_or_else(|| StoreError::corrupt(Table::Due.name(), row, "there is no such delivery"))?;
            if let Some(before) = self.remove_from_lane(&delivery, Some(at))? {
                self.move_row(&Delivery { progress: Progress::Cancelled, ..delivery }, &before)?;
            }
            self.write_batch_if_full()?;
        }
        Ok(rows.len() > limit)
    }
}

/// Decodes the length and the progress of a delivery from its first chunk.
pub(in crate::store) fn read_row(
    table: Table,
    bits: u128,
    first: &[u8],
) -> Result<(usize, Progress), StoreError> {
    let read = || Ok::<_, record::RecordError>((record::length(first)?, record::read_progress(first)?.1));
    read().map_err(|problem| corrupt(table, bits, problem))
}
