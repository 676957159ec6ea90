//! Lists of deliveries by how they show: in flight and held are facts of the lanes, not of the log.

use crate::model::delivery::{Delivery, DeliveryState};
use crate::model::event::EventContent;
use crate::model::id::DeliveryId;
use crate::model::name::{CompanyId, EventType, ProjectId};
use crate::store::{DeliveryQuery, Page, ProgressKind, StoreError};

use crate::flow::inner::Flow;

/// What narrows a list beside what the log's index knows of deliveries; what is none, or empty, lets all through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    /// Those that show as one of these.
    pub states: Vec<DeliveryState>,
    /// Those of events of this type.
    pub event_type: Option<EventType>,
    /// Those of events of this project.
    pub project: Option<ProjectId>,
    /// Those of events of this company.
    pub company: Option<CompanyId>,
}

impl DeliveryFilter {
    fn asks_for_events(&self) -> bool {
        self.event_type.is_some() || self.project.is_some() || self.company.is_some()
    }

    fn wants(&self, content: &EventContent) -> bool {
        self.event_type.as_ref().is_none_or(|wanted| *wanted == content.event_type)
            && self.project.as_ref().is_none_or(|wanted| *wanted == content.project)
            && self.company.as_ref().is_none_or(|wanted| Some(wanted) == content.company.as_ref())
    }
}

impl Flow {
    /// The deliveries that `query` asks for and that `narrowing` lets through, newest first.
    ///
    /// Blocks, some milliseconds at most; where events are asked for, some tens.
    pub fn deliveries(
        &self,
        mut query: DeliveryQuery,
        narrowing: &DeliveryFilter,
    ) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        if !narrowing.states.is_empty() {
            query.progress = kinds(&narrowing.states);
            self.tell_lanes_apart(&mut query, &narrowing.states);
        }
        let mut failure = None;
        let page = self.reader.deliveries(&query, |delivery| {
            let shows = narrowing.states.is_empty() || narrowing.states.contains(&self.view(delivery).state);
            shows && self.is_of(delivery, narrowing).unwrap_or_else(|error| failure.replace(error).is_some())
        })?;
        failure.map_or(Ok(page), Err)
    }

    /// Whether a delivery's event is one of those asked for.
    fn is_of(&self, delivery: &Delivery, narrowing: &DeliveryFilter) -> Result<bool, StoreError> {
        if !narrowing.asks_for_events() {
            return Ok(true);
        }
        let head = self.reader.event_head(delivery.event)?;
        Ok(head.is_some_and(|head| narrowing.wants(&head.content)))
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
