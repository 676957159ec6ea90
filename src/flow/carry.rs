//! Events carried in memory from their acceptance to their first attempts, up to a budget.
//!
//! Beyond the budget a delivery goes without its event and reads it back when its turn comes, so that what
//! waits costs disk, not memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::event::Event;

/// What an event costs beside its data: its names and the bookkeeping around it.
const OVERHEAD_BYTES: u64 = 512;

/// How many bytes of events may be carried at once.
#[derive(Debug)]
pub(super) struct Budget {
    bytes_max: u64,
    bytes: AtomicU64,
}

/// An event in memory, charged to a budget until the last delivery that carries it lets go.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) event: Arc<Event>,
    bytes: u64,
    budget: Arc<Budget>,
}

impl Budget {
    pub(super) fn new(bytes_max: u64) -> Arc<Self> {
        Arc::new(Self { bytes_max, bytes: AtomicU64::new(0) })
    }

    /// How many bytes are carried, and how many may be.
    pub(super) fn load(&self) -> (u64, u64) {
        (self.bytes.load(Ordering::Relaxed), self.bytes_max)
    }

    /// The event to carry, or none if the budget is spent.
    pub(super) fn carry(self: &Arc<Self>, event: &Arc<Event>) -> Option<Arc<Carried>> {
        let data_bytes = event.content.data.as_ref().map_or(0, bytes::Bytes::len);
        let bytes = u64::try_from(data_bytes).unwrap_or(u64::MAX).saturating_add(OVERHEAD_BYTES);
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let carried = Carried { event: Arc::clone(event), bytes, budget: Arc::clone(self) };
        // On refusal `carried` is dropped, which gives the charge back.
        (before.saturating_add(bytes) <= self.bytes_max).then(|| Arc::new(carried))
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.budget.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::EventContent;
    use crate::model::id::EventId;

    #[test]
    fn what_is_let_go_can_be_carried_again() {
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
        let budget = Budget::new(2 * (OVERHEAD_BYTES + 3));
        let first = budget.carry(&event).unwrap();
        let second = budget.carry(&event).unwrap();
        assert!(budget.carry(&event).is_none());
        drop(first);
        assert!(budget.carry(&event).is_some());
        drop(second);
        assert_eq!(budget.bytes.load(Ordering::Relaxed), 0);
    }
}
