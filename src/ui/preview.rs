//! The preview of a draft: which recent events it matches, and why it does not match the others.

use super::viewer::Viewer;
use crate::flow::Flow;
use crate::model::event::EventContent;
use crate::model::id::EventId;
use crate::model::selector::{EventSelector, ProjectSelector};
use crate::model::time::Timestamp;
use crate::rules::filter::{Filter, FilterInput};
use crate::store::{EventHead, EventQuery, StoreError};

/// The number of recent events in a preview.
const EVENTS_MAX: usize = 100;

/// The valid selectors and filter that events are tested against.
pub(super) struct Criteria {
    pub(super) events: EventSelector,
    pub(super) projects: ProjectSelector,
    pub(super) filter: Option<Filter>,
}

/// An event that was tested.
#[derive(Debug)]
pub(super) struct PreviewedEvent {
    pub(super) id: EventId,
    pub(super) event_type: String,
    /// `company/project`, or `project` without a company.
    pub(super) project_path: String,
    pub(super) at: Timestamp,
    /// The reason if the event does not match.
    pub(super) reason: Option<Mismatch>,
}

/// The reason why an event does not match.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Mismatch {
    Events,
    Projects,
    Filter,
    /// The filter failed with this error.
    FilterFailed(String),
}

impl PreviewedEvent {
    /// Returns the reason in the viewer's language; empty for a match.
    pub(super) fn why(&self, v: &Viewer) -> String {
        match &self.reason {
            None => String::new(),
            Some(Mismatch::Events) => v.t("reason-events"),
            Some(Mismatch::Projects) => v.t("reason-projects"),
            Some(Mismatch::Filter) => v.t("reason-filter"),
            Some(Mismatch::FilterFailed(detail)) => v.t1("reason-filter-failed", "detail", detail.clone()),
        }
    }
}

/// Tests the most recent events, newest first. Blocks.
pub(super) fn preview(flow: &Flow, criteria: &Criteria) -> Result<Vec<PreviewedEvent>, StoreError> {
    let page = flow.reader().events(&EventQuery { limit: EVENTS_MAX, ..EventQuery::default() })?;
    evaluate(flow, Some(criteria), page.items)
}

/// Tests each event against the criteria. Without criteria, all events match. Blocks.
pub(super) fn evaluate(
    flow: &Flow,
    criteria: Option<&Criteria>,
    heads: Vec<EventHead>,
) -> Result<Vec<PreviewedEvent>, StoreError> {
    let mut previewed = Vec::with_capacity(heads.len());
    for head in heads {
        let mut reason = criteria.and_then(|criteria| name_mismatch(criteria, &head.content));
        if let Some(criteria) = criteria.filter(|criteria| reason.is_none() && criteria.filter.is_some()) {
            // The data of an event is read only if there is a filter.
            let Some(event) = flow.reader().event(head.id)? else { continue };
            reason = filter_mismatch(criteria, &event.content, head.id.time());
        }
        previewed.push(PreviewedEvent {
            id: head.id,
            event_type: head.content.event_type.to_string(),
            project_path: project_path(&head.content),
            at: head.id.time(),
            reason,
        });
    }
    Ok(previewed)
}

/// Returns the project of an event, as a term of a selector names it.
pub(super) fn project_path(content: &EventContent) -> String {
    match &content.company {
        Some(company) => format!("{company}/{}", content.project),
        None => content.project.to_string(),
    }
}

fn name_mismatch(criteria: &Criteria, content: &EventContent) -> Option<Mismatch> {
    if !criteria.events.contains(&content.event_type) {
        return Some(Mismatch::Events);
    }
    let is_inside = criteria.projects.contains(&content.project, content.company.as_ref());
    (!is_inside).then_some(Mismatch::Projects)
}

fn filter_mismatch(criteria: &Criteria, content: &EventContent, arrived_at: Timestamp) -> Option<Mismatch> {
    match criteria.filter.as_ref()?.evaluate(&FilterInput::new(content, arrived_at)) {
        Ok(true) => None,
        Ok(false) => Some(Mismatch::Filter),
        Err(failure) => Some(Mismatch::FilterFailed(failure.to_string())),
    }
}
