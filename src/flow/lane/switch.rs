//! Suspending, disabling, enabling and ending a lane.

use super::{Closed, LaneState};
use crate::model::id::DeliveryId;
use crate::model::subscription::HealthState;

impl LaneState {
    /// Empties the buffer but for the probe. Returns the fresh deliveries, now busy, which need a row.
    pub(super) fn suspend(&mut self) -> Vec<DeliveryId> {
        let probe = if self.health.disabled.is_some() { None } else { self.health.probe };
        let mut fresh = Vec::new();
        for (key, delivery) in std::mem::take(&mut self.buffered) {
            if Some(delivery.id) == probe && delivery.has_row {
                self.buffered.insert(key, delivery);
            } else if !delivery.has_row {
                self.await_row(delivery.id);
                fresh.push(delivery.id);
            }
        }
        self.disk.rewind();
        fresh
    }

    /// Disables the lane. Returns the fresh deliveries that need a row.
    #[must_use]
    pub(in crate::flow) fn disable(&mut self, health: HealthState) -> Vec<DeliveryId> {
        self.health = health;
        self.suspend()
    }

    /// Enables the lane, which then reads its queue from the beginning.
    pub(in crate::flow) fn enable(&mut self, health: HealthState) {
        self.health = health;
        self.failures = 0;
        self.paused_until = None;
        self.buffered.retain(|_, delivery| !delivery.has_row);
        self.disk.rewind();
        // The read under way may show due times from before the held deliveries were made due.
        self.disk.abandon_read();
    }

    /// Ends the lane. Returns the fresh deliveries that have to be cancelled.
    #[must_use]
    pub(in crate::flow) fn delete(&mut self) -> Vec<DeliveryId> {
        self.closed = Some(Closed::Deleted);
        self.suspend()
    }

    /// Starts no more attempts. Requests that are in flight go on.
    pub(in crate::flow) fn stop(&mut self) {
        self.closed.get_or_insert(Closed::Stopping);
    }
}
