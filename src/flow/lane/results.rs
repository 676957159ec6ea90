//! Results: the effects of attempts, other changes and reads from disk on a lane.

use tokio::time::Instant;

use super::disk_queue::{Page, ReadNumber};
use super::item::{LaneDelivery, QueueKey};
use super::{AttemptEffect, LaneState};
use crate::model::attempt::Attempt;
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;

impl LaneState {
    /// Ends the request of an attempt. The delivery stays busy until its result is durable.
    ///
    /// Returns the fresh deliveries that need a row because the lane is now suspended. They are busy.
    #[must_use]
    pub(in crate::flow) fn end_attempt(&mut self, id: DeliveryId, effect: AttemptEffect) -> Vec<DeliveryId> {
        self.in_flight.remove(&id);
        let AttemptEffect { health, paused_until, is_final } = effect;
        let was_suspended = self.is_suspended();
        let probe = self.health.probe;
        self.health = health;
        self.paused_until = self.paused_until.max(paused_until);
        if self.health.failing_since.is_none() {
            self.failures = 0;
            self.health.probe = None;
            return Vec::new();
        }
        self.failures = (self.failures + 1).min(2);
        self.health.probe = match probe {
            Some(probe) if probe == id && is_final => None,
            None if !is_final => Some(id),
            probe => probe,
        };
        let must_suspend = self.is_suspended() && (!was_suspended || self.health.disabled.is_some());
        if must_suspend { self.suspend() } else { Vec::new() }
    }

    /// Logs the outcome of an attempt if a line is due.
    pub(in crate::flow) fn log_attempt(&mut self, attempt: &Attempt, now: Instant) {
        self.failure_log.log(&self.subscription, attempt, now);
    }

    /// Releases a delivery whose change is durable. `due` is its next due time, if it goes on waiting.
    pub(in crate::flow) fn release(&mut self, id: DeliveryId, due: Option<Timestamp>) {
        self.busy.remove(&id);
        self.awaiting_row.remove(&id);
        self.released.notify_waiters();
        self.disk.mark_changed(id);
        match due {
            Some(due) => self.add_row(id, due),
            None if self.health.probe == Some(id) => self.health.probe = None,
            None => {}
        }
    }

    /// Puts back a delivery that was started but could not be read, and pauses the lane until then.
    pub(in crate::flow) fn put_back(&mut self, delivery: LaneDelivery, until: Timestamp) {
        self.in_flight.remove(&delivery.id);
        self.busy.remove(&delivery.id);
        self.paused_until = self.paused_until.max(Some(until));
        self.buffered.insert(delivery.key(), delivery);
    }

    /// Drops a delivery that was started but had already ended.
    pub(in crate::flow) fn drop_ended(&mut self, id: DeliveryId) {
        self.in_flight.remove(&id);
        self.release(id, None);
    }

    /// Claims a delivery for a change other than an attempt. Returns false if it is busy.
    #[must_use]
    pub(in crate::flow) fn claim(&mut self, id: DeliveryId) -> bool {
        self.buffered.retain(|key, _| key.1 != id);
        self.busy.insert(id)
    }

    /// Takes the rows of a page, in order.
    pub(in crate::flow) fn page_read(&mut self, page: Page, rows: &[QueueKey]) {
        let Some(read) = self.disk.end_read(page.read) else { return };
        if self.is_suspended() {
            return;
        }
        let Some(rows) = self.disk.advance(page, rows, &read) else { return };
        for (due, id) in rows.into_iter().filter(|(_, id)| !self.busy.contains(id)) {
            self.buffered.entry((due, id)).or_insert_with(|| LaneDelivery::queued(id, due));
        }
        self.shrink();
    }

    /// Takes the due time of the probe, or none if the probe no longer waits.
    pub(in crate::flow) fn probe_read(
        &mut self,
        number: ReadNumber,
        probe: DeliveryId,
        due: Option<Timestamp>,
    ) {
        let Some(read) = self.disk.end_read(number) else { return };
        if !read.has_changed(probe) && !self.busy.contains(&probe) {
            self.release(probe, due);
        }
    }

    /// Ends a read that failed. The following [`next`](Self::next) asks for it again.
    pub(in crate::flow) fn read_failed(&mut self, number: ReadNumber) {
        self.disk.end_read(number);
    }
}
