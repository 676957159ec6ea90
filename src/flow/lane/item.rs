//! The deliveries that a lane buffers, and their routes to it.

use std::sync::Arc;
use std::time::Duration;

use crate::flow::event_cache::CachedEvent;
use crate::model::id::DeliveryId;
use crate::model::time::Timestamp;

/// The position of a delivery in its lane's queue: its due time, then its id.
pub(in crate::flow) type QueueKey = (Timestamp, DeliveryId);

/// The key before all others.
pub(super) const KEY_MIN: QueueKey = (Timestamp::from_millis(0), DeliveryId::from_bits(0));
/// The key after all others.
pub(super) const KEY_MAX: QueueKey = (Timestamp::from_millis(u64::MAX), DeliveryId::from_bits(u128::MAX));

/// Returns whether a delivery is due at `now`.
///
/// Two rules keep a delivery from waiting for as long as the clock was set back. A delivery that was due when it was
/// created is always due: its id carries the time of creation. A delivery whose due time is further away than
/// `wait_max`, the longest possible wait, is due as well.
pub(super) fn is_due((due, id): QueueKey, now: Timestamp, wait_max: Duration) -> bool {
    due <= now || due == id.time() || due > now.after(wait_max)
}

/// A delivery as its lane knows it.
#[derive(Clone, Debug)]
pub(in crate::flow) struct LaneDelivery {
    /// The delivery's id.
    pub(in crate::flow) id: DeliveryId,
    /// When the delivery is, or was, due.
    pub(in crate::flow) due: Timestamp,
    /// Whether the delivery has a row in the queue on disk.
    pub(in crate::flow) has_row: bool,
    /// The event, or none if it has to be read from the log.
    pub(in crate::flow) event: Option<Arc<CachedEvent>>,
}

impl LaneDelivery {
    /// Returns a delivery that has a row in the queue on disk.
    pub(in crate::flow) const fn queued(id: DeliveryId, due: Timestamp) -> Self {
        Self { id, due, has_row: true, event: None }
    }

    /// Returns a *fresh* delivery, which goes from its acceptance to its first attempt without a row on disk.
    pub(in crate::flow) fn fresh(id: DeliveryId, event: Option<Arc<CachedEvent>>) -> Self {
        Self { id, due: id.time(), has_row: false, event }
    }

    pub(super) const fn key(&self) -> QueueKey {
        (self.due, self.id)
    }
}

/// The route of a new delivery to its lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum Route {
    /// In memory, without a row on disk. The lane keeps a place in its buffer for the delivery.
    Memory,
    /// By a row in the queue on disk, written in the step that makes the event durable.
    Disk,
    /// By a row in the queue on disk, written after the event is durable so that the sender does not wait for it.
    DiskLater,
}
