//! Lists of deliveries by their visible state. Which deliveries are in flight or held, only the lanes know.

use crate::flow::inner::Flow;
use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::event::EventContent;
use crate::model::id::DeliveryId;
use crate::model::name::{CompanyId, EventType, ProjectId};
use crate::store::{DeliveryQuery, Page, ProgressKind, StoreError};

/// A filter of deliveries in addition to a [`DeliveryQuery`]. An empty or missing member matches everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Matches deliveries in one of these states.
    pub states: Vec<DeliveryState>,
    /// Matches deliveries of events of this type.
    pub event_type: Option<EventType>,
    /// Matches deliveries of events of this project.
    pub project: Option<ProjectId>,
    /// Matches deliveries of events of this company.
    pub company: Option<CompanyId>,
}

impl DeliveryFilter {
    fn needs_event(&self) -> bool {
        self.event_type.is_some() || self.project.is_some() || self.company.is_some()
    }

    fn matches(&self, content: &EventContent) -> bool {
        self.event_type.as_ref().is_none_or(|wanted| *wanted == content.event_type)
            && self.project.as_ref().is_none_or(|wanted| *wanted == content.project)
            && self.company.as_ref().is_none_or(|wanted| Some(wanted) == content.company.as_ref())
    }
}

impl Flow {
    /// Returns the deliveries that match `query` and `filter`, newest first.
    ///
    /// Blocks for a few milliseconds; for tens of milliseconds if the filter needs the events.
    pub fn deliveries(
        &self,
        mut query: DeliveryQuery,
        filter: &DeliveryFilter,
    ) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        if !filter.states.is_empty() {
            query.progress = kinds(&filter.states);
            self.narrow_lanes(&mut query, &filter.states);
        }
        let mut failure = None;
        let page = self.reader.deliveries(&query, |delivery| {
            let shows = filter.states.is_empty() || filter.states.contains(&self.view(delivery).state);
            shows
                && self
                    .matches_event(delivery, filter)
                    .unwrap_or_else(|error| failure.replace(error).is_some())
        })?;
        failure.map_or(Ok(page), Err)
    }

    /// Returns whether the event of a delivery matches the filter.
    fn matches_event(&self, delivery: &Delivery, filter: &DeliveryFilter) -> Result<bool, StoreError> {
        if !filter.needs_event() {
            return Ok(true);
        }
        let head = self.reader.event_head(delivery.event)?;
        Ok(head.is_some_and(|head| filter.matches(&head.content)))
    }

    /// Restricts the query to lanes that can have deliveries in these states.
    fn narrow_lanes(&self, query: &mut DeliveryQuery, states: &[DeliveryState]) {
        let wants = |state| states.contains(&state);
        let (pending, held) = (wants(DeliveryState::Pending), wants(DeliveryState::Held));
        if (pending && held) || !query.progress.contains(&ProgressKind::Waiting) {
            return;
        }
        let (mut of, mut also) = (Vec::new(), Vec::new());
        for id in self.reader.waiting_subscriptions() {
            let Some(lane) = self.lanes.get(id) else { continue };
            let state = lane.lock();
            let is_off = state.health.disabled.is_some();
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

/// Returns the stored states of deliveries that are in these visible states.
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
