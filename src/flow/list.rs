//! Lists of deliveries by how they show: in flight and held are facts of the lanes, not of the log.

use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::id::DeliveryId;
use crate::store::{DeliveryQuery, Page, ProgressKind, StoreError};

use super::Flow;

impl Flow {
    /// The deliveries that `query` asks for and that show as one of `states` (any, if empty), newest first.
    ///
    /// Blocks, some milliseconds at most.
    pub fn deliveries(
        &self,
        mut query: DeliveryQuery,
        states: &[DeliveryState],
    ) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        if states.is_empty() {
            return self.reader.deliveries(&query, |_| true);
        }
        query.progress = kinds(states);
        self.tell_lanes_apart(&mut query, states);
        self.reader.deliveries(&query, |delivery| states.contains(&self.view(delivery).state))
    }

    /// Has the query pass only the lanes in which deliveries in these states can be.
    fn tell_lanes_apart(&self, query: &mut DeliveryQuery, states: &[DeliveryState]) {
        let wants = |state| states.contains(&state);
        let (pending, held) = (wants(DeliveryState::Pending), wants(DeliveryState::Held));
        if (pending && held) || !query.progress.contains(&ProgressKind::Waiting) {
            return;
        }
        let (mut of, mut also) = (Vec::new(), Vec::new());
        for id in self.reader.waiting_subscriptions() {
            let Some(lane) = self.lanes.get(id) else { continue };
            let state = lane.lock();
            let is_off = state.standing.disabled.is_some();
            if (is_off && held) || (!is_off && pending) {
                of.push(id);
            }
            if wants(DeliveryState::InFlight) {
                also.extend(state.busy());
            }
        }
        (query.waiting_of, query.waiting_also) = (Some(of), also);
    }
}

/// How deliveries in these states stand in the log.
fn kinds(states: &[DeliveryState]) -> Vec<ProgressKind> {
    let mut kinds = Vec::new();
    for state in states {
        let kind = match state {
            DeliveryState::Pending | DeliveryState::InFlight | DeliveryState::Held => ProgressKind::Waiting,
            DeliveryState::Succeeded => ProgressKind::Succeeded,
            DeliveryState::Exhausted => ProgressKind::Exhausted,
            DeliveryState::Cancelled => ProgressKind::Cancelled,
        };
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}
