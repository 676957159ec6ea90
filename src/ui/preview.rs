//! Which of the newest events a draft would have matched, and why not the others.

use super::viewer::Viewer;
use crate::flow::Flow;
use crate::model::event::EventContent;
use crate::model::id::EventId;
use crate::model::selector::{EventSelector, ProjectSelector};
use crate::model::time::Timestamp;
use crate::rules::filter::{Filter, FilterInput};
use crate::store::{EventHead, EventQuery, StoreError};

/// How many of the newest events are looked at.
const EVENTS_MAX: usize = 100;

/// What of a draft can be read: a part that cannot lets nothing be said.
pub(super) struct Wanted {
    pub(super) events: EventSelector,
    pub(super) projects: ProjectSelector,
    pub(super) filter: Option<Filter>,
}

/// One event that was looked at.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) id: EventId,
    pub(super) event_type: String,
    /// `company/project`, or the project alone.
    pub(super) place: String,
    pub(super) at: Timestamp,
    /// Why it would not have matched; none if it would.
    pub(super) reason: Option<Reason>,
}

/// Why an event does not match.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reason {
    Events,
    Projects,
    Filter,
    /// The filter failed on it, in these words.
    FilterFailed(String),
}

impl Looked {
    /// The reason in words; empty for a match.
    pub(super) fn why(&self, v: &Viewer) -> String {
        match &self.reason {
            None => String::new(),
            Some(Reason::Events) => v.t("reason-events"),
            Some(Reason::Projects) => v.t("reason-projects"),
            Some(Reason::Filter) => v.t("reason-filter"),
            Some(Reason::FilterFailed(detail)) => v.t1("reason-filter-failed", "detail", detail.clone()),
        }
    }
}

/// The newest events, newest first. Blocks.
pub(super) fn preview(flow: &Flow, wanted: &Wanted) -> Result<Vec<Looked>, StoreError> {
    let page = flow.reader().events(&EventQuery { limit: EVENTS_MAX, ..EventQuery::default() })?;
    look(flow, Some(wanted), page.items)
}

/// Why each of these events is wanted or not; where nothing is said of what is wanted, all are. Blocks.
pub(super) fn look(
    flow: &Flow,
    wanted: Option<&Wanted>,
    heads: Vec<EventHead>,
) -> Result<Vec<Looked>, StoreError> {
    let mut looked = Vec::with_capacity(heads.len());
    for head in heads {
        let mut reason = wanted.and_then(|wanted| refused_by_name(wanted, &head.content));
        if let Some(wanted) = wanted.filter(|wanted| reason.is_none() && wanted.filter.is_some()) {
            // Only the filter needs the data.
            let Some(event) = flow.reader().event(head.id)? else { continue };
            reason = refused_by_filter(wanted, &event.content, head.id.time());
        }
        looked.push(Looked {
            id: head.id,
            event_type: head.content.event_type.to_string(),
            place: place(&head.content),
            at: head.id.time(),
            reason,
        });
    }
    Ok(looked)
}

/// Where an event happened, as a term would name it.
pub(super) fn place(content: &EventContent) -> String {
    match &content.company {
        Some(company) => format!("{company}/{}", content.project),
        None => content.project.to_string(),
    }
}

fn refused_by_name(wanted: &Wanted, content: &EventContent) -> Option<Reason> {
    if !wanted.events.contains(&content.event_type) {
        return Some(Reason::Events);
    }
    let is_inside = wanted.projects.contains(&content.project, content.company.as_ref());
    (!is_inside).then_some(Reason::Projects)
}

fn refused_by_filter(wanted: &Wanted, content: &EventContent, arrived_at: Timestamp) -> Option<Reason> {
    match wanted.filter.as_ref()?.evaluate(&FilterInput::new(content, arrived_at)) {
        Ok(true) => None,
        Ok(false) => Some(Reason::Filter),
        Err(failure) => Some(Reason::FilterFailed(failure.to_string())),
    }
}
