//! The rows of `events`: submitted events and replays. They are the origins of deliveries.

use super::engine::RowBytes;

use super::key::Table;
use super::record::{self, EventHead};
use super::tables::corrupt;
use crate::model::id::{DeliveryId, EventId};
use crate::store::error::StoreError;

/// The origin of deliveries: a row of `events`.
#[derive(Clone, Debug)]
pub(in crate::store) struct Origin {
    /// The id of the origin, as bits. The ids of its deliveries follow it.
    pub(in crate::store) id: u128,
    pub(in crate::store) kind: OriginKind,
    /// The first chunk of the row.
    pub(in crate::store) first: RowBytes,
}

#[derive(Clone, Debug)]
pub(in crate::store) enum OriginKind {
    /// A submitted event.
    Event(EventHead),
    /// A replay, with the number of its deliveries.
    Replay(usize),
}

impl Origin {
    pub(in crate::store) fn read(id: u128, first: RowBytes) -> Result<Self, StoreError> {
        let problem = |problem| corrupt(Table::Events, id, problem);
        let kind = if record::is_replay(&first) {
            OriginKind::Replay(record::replay_count(&first).map_err(problem)?)
        } else {
            OriginKind::Event(head(EventId::from_bits(id), &first)?)
        };
        Ok(Self { id, kind, first })
    }

    /// Returns the number of deliveries that the origin began.
    pub(in crate::store) fn count(&self) -> usize {
        match &self.kind {
            OriginKind::Event(head) => head.targets as usize,
            OriginKind::Replay(count) => *count,
        }
    }
}

/// Returns the position of the delivery among those of the origin, or `None` if it has another origin.
pub(in crate::store) fn index_of(origin: u128, delivery: DeliveryId) -> Option<usize> {
    usize::try_from(delivery.bits().checked_sub(origin)?.checked_sub(1)?).ok()
}

pub(in crate::store) fn head(id: EventId, first: &[u8]) -> Result<EventHead, StoreError> {
    record::read_event_head(id, first).map(|(head, _)| head).map_err(|p| bad_event(id, p))
}

pub(in crate::store) fn bad_event(id: EventId, problem: record::RecordError) -> StoreError {
    corrupt(Table::Events, id.bits(), problem)
}
