//! Events kept in memory from their acceptance to their first attempts.
//!
//! The cache has a budget of bytes. Beyond the budget, a delivery is enqueued without its event and reads the event
//! from the log when its turn comes. A backlog thus costs disk, not memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::event::Event;

/// The memory that an event takes in addition to its data: its names and the bookkeeping.
const OVERHEAD_BYTES: u64 = 512;

/// Limits the bytes of events that are kept in memory.
#[derive(Debug)]
pub(super) struct EventCache {
    bytes_max: u64,
    bytes: AtomicU64,
}

/// An event in memory. Its bytes count towards the budget until the last delivery drops it.
#[derive(Debug)]
pub(super) struct CachedEvent {
    pub(super) event: Arc<Event>,
    bytes: u64,
    cache: Arc<EventCache>,
}

impl EventCache {
    /// Returns an empty cache with a budget of `bytes_max`.
    pub(super) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, bytes: AtomicU64::new(0) })
    }

    /// Returns how many bytes are kept, and how many may be.
    pub(super) fn usage(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.bytes_max)
    }

    /// Keeps an event in memory, or returns none if the budget is used up.
    pub(super) fn keep(self: &Arc<Self>, event: &Arc<Event>) -> Option<Arc<CachedEvent>> {
        let data_bytes = event.content.data.as_ref().map_or(0, bytes::Bytes::len);
        let bytes = u64::try_from(data_bytes).unwrap_or(u64::MAX).saturating_add(OVERHEAD_BYTES);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let cached = CachedEvent { event: Arc::clone(event), bytes, cache: Arc::clone(self) };
        // If the budget is exceeded, dropping `cached` gives the bytes back.
        (before.saturating_add(bytes) <= self.bytes_max).then(|| Arc::new(cached))
    }
}

impl Drop for CachedEvent {
    fn drop(&mut self) {
        self.cache.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::EventContent;
    use crate::model::id::EventId;

    #[test]
    fn a_dropped_event_makes_room_for_another() {
        let content = EventContent {
            event_type: "A".parse().unwrap(),
            project: "p".parse().unwrap(),
            company: None,
            sender_id: None,
            occurred_at: None,
            data: Some(bytes::Bytes::from_static(b"[1]")),
            trace: None,
        };
        let event = Arc::new(Event { id: EventId::from_bits(1), content });
        let cache = EventCache::new(2 * (OVERHEAD_BYTES + 3));
        let first = cache.keep(&event).unwrap();
        let second = cache.keep(&event).unwrap();
        assert!(cache.keep(&event).is_none());
        drop(first);
        assert!(cache.keep(&event).is_some());
        drop(second);
        assert_eq!(cache.bytes.load(Ordering::Relaxed), 0);
    }
}
