//! Arrivals: the ways in which new deliveries reach a lane.

use super::LaneState;
use super::item::{LaneDelivery, Route};
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;

impl LaneState {
    /// Decides how the delivery of an event that is being accepted reaches the lane.
    ///
    /// [`Route::Memory`] reserves a place in the buffer. The place is used by [`add_fresh`](Self::add_fresh) or given
    /// back by [`release_place`](Self::release_place).
    pub(in crate::flow) fn reserve(&mut self, now: Timestamp) -> Route {
        // A fresh delivery must not overtake rows that are due and still on disk.
        let is_open = self.closed.is_none() && self.health.disabled.is_none() && !self.is_probing();
        if is_open && !self.is_fifo() && self.disk.cursor().0 > now && self.make_room(now) {
            self.reserved += 1;
            Route::Memory
        } else if self.is_fifo() || self.health.disabled.is_some() {
            // Rows that are written later could be out of order. A held delivery can be cancelled at once.
            Route::Disk
        } else {
            Route::DiskLater
        }
    }

    /// Makes room in the buffer for one more delivery. Returns false if there is none.
    ///
    /// A full buffer gives up its last delivery if that has a row on disk and is not due yet.
    fn make_room(&mut self, now: Timestamp) -> bool {
        if self.buffered.len() + self.reserved < self.limits.page {
            return true;
        }
        match self.buffered.last_key_value() {
            Some((key, delivery)) if delivery.has_row && key.0 > now => {
                let key = *key;
                self.buffered.remove(&key);
                self.disk.leave(key);
                true
            }
            _ => false,
        }
    }

    /// Gives back a reserved place that is not used.
    pub(in crate::flow) fn release_place(&mut self) {
        self.reserved = self.reserved.saturating_sub(1);
    }

    /// Takes a fresh delivery for which a place was reserved.
    ///
    /// Returns false if the lane has been suspended meanwhile. The delivery is then busy: the caller has to write its
    /// row, or to cancel it if the lane is deleted.
    #[must_use]
    pub(in crate::flow) fn add_fresh(&mut self, delivery: LaneDelivery) -> bool {
        self.release_place();
        if self.busy.contains(&delivery.id) {
            // A manual retry or cancel has claimed the delivery, and releases it when that change is durable.
            return true;
        }
        if self.is_suspended() {
            return !self.await_row(delivery.id);
        }
        self.buffered.insert(delivery.key(), delivery);
        true
    }

    /// Marks a delivery as busy until its row on disk is written. Returns false if it was busy already.
    pub(in crate::flow) fn await_row(&mut self, id: DeliveryId) -> bool {
        let is_new = self.busy.insert(id);
        if is_new {
            self.awaiting_row.insert(id);
        }
        is_new
    }

    /// Takes a delivery whose row on disk has just been written: buffers it, or leaves it on disk.
    pub(in crate::flow) fn add_row(&mut self, id: DeliveryId, due: Timestamp) {
        let key = (due, id);
        if self.busy.contains(&id) {
            return;
        }
        let is_probe = self.is_probing() && self.health.probe == Some(id);
        let is_next = key <= self.disk.cursor() && !self.is_suspended();
        if self.health.disabled.is_some() || !(is_probe || is_next) {
            self.disk.leave(key);
            return;
        }
        self.buffered.insert(key, LaneDelivery::queued(id, due));
        self.shrink();
    }

    /// Drops the last deliveries from a buffer that holds more than a page. They stay on disk.
    pub(super) fn shrink(&mut self) {
        while self.buffered.len() + self.reserved > self.limits.page {
            match self.buffered.last_key_value() {
                Some((key, delivery)) if delivery.has_row => {
                    let key = *key;
                    self.buffered.remove(&key);
                    self.disk.leave(key);
                }
                _ => return,
            }
        }
    }
}
