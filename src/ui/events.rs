//! The list of events, with its search, and the page of one event.

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;

use super::deliveries::DeliveryRow;
use super::page_error::PageError;
use super::preview::project_path;
use super::query::{PAGE_ITEMS, Query};
use super::render;
use super::state::Ui;
use super::viewer::Viewer;
use crate::flow::query::status::Explanation;
use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::time::Timestamp;
use crate::rules::matcher::MatchOutcome;
use crate::store::{EventQuery, Page};

struct EventRow {
    id: EventId,
    event_type: String,
    project_path: String,
    sender_id: String,
    at: Timestamp,
}

#[derive(askama::Template)]
#[template(path = "events.html")]
struct EventList<'a> {
    v: &'a Viewer,
    query: &'a Query,
    heads: Vec<EventRow>,
    next: String,
}

impl EventList<'_> {
    /// Returns the text filters, with their labels.
    fn filters(&self) -> [(&'static str, String); 4] {
        let v = self.v;
        [
            ("type", v.t("filter-type")),
            ("project", v.t("filter-project")),
            ("company", v.t("filter-company")),
            ("sender_id", v.t("filter-sender-id")),
        ]
    }

    /// Returns whether a filter is set that the page hides under "More filters".
    fn has_more_filters(&self) -> bool {
        self.query.is_filtered(&["company", "sender_id", "since", "until"])
    }

    /// Returns the link to redeliver all events that match the search.
    fn redeliver_link(&self) -> String {
        self.v.link(&self.query.on("/events/redeliver_link"))
    }

    fn is_filtered(&self) -> bool {
        self.query.is_filtered(&["type", "project", "company", "sender_id", "since", "until"])
    }
}

/// Converts the query of a page to a query of the log.
pub(super) fn search(query: &mut Query) -> EventQuery {
    EventQuery {
        event_type: query.read("type"),
        project: query.read("project"),
        company: query.read("company"),
        sender_id: query.read("sender_id"),
        since: query.time("since"),
        until: query.time("until"),
        before: query.read("cursor"),
        limit: PAGE_ITEMS,
    }
}

/// Shows the list of events that match the search.
pub(super) async fn list(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, PageError> {
    let mut query = Query::new(&uri);
    let wanted = search(&mut query);
    let page = if query.has_problems() {
        Page { items: Vec::new(), next: None }
    } else {
        ui.query(move |flow| flow.reader().events(&wanted)).await?
    };
    let next = page.next.map(|id| viewer.link(&query.next("/events", id))).unwrap_or_default();
    let heads = page.items.into_iter().map(|head| EventRow {
        id: head.id,
        event_type: head.content.event_type.to_string(),
        project_path: project_path(&head.content),
        sender_id: head.content.sender_id.as_ref().map(ToString::to_string).unwrap_or_default(),
        at: head.id.time(),
    });
    Ok(render::html(&EventList { v: &viewer, query: &query, heads: heads.collect(), next }))
}

/// The maximum number of an event's deliveries that are listed.
const DELIVERIES_MAX: usize = 200;
/// The maximum number of subscriptions without a delivery that are listed with the reason.
const OTHERS_MAX: usize = 100;

#[derive(askama::Template)]
#[template(path = "event.html")]
struct EventPage<'a> {
    v: &'a Viewer,
    event: &'a Event,
    project_path: String,
    rows: Vec<DeliveryRow>,
    others: Vec<Explanation>,
    /// The number of subscriptions without a delivery that are not listed.
    unlisted_others: usize,
    raw: String,
    pretty: String,
}

impl EventPage<'_> {
    fn why(&self, verdict: MatchOutcome) -> String {
        match verdict {
            MatchOutcome::Matches => self.v.t("reason-matches-now"),
            MatchOutcome::Events => self.v.t("reason-events"),
            MatchOutcome::Projects => self.v.t("reason-projects"),
            MatchOutcome::Filter => self.v.t("reason-filter"),
            MatchOutcome::Disabled => self.v.t("reason-disabled"),
        }
    }
}

/// Shows one event with its payload and its deliveries.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
) -> Result<Response, PageError> {
    let id: EventId = text.parse().map_err(|_| PageError::not_found("event", &text))?;
    let found = ui.query(move |flow| {
        let Some(event) = flow.reader().event(id)? else { return Ok(None) };
        let deliveries = flow.reader().deliveries_after(id, None, DELIVERIES_MAX)?;
        let rows = deliveries.into_iter().map(|delivery| DeliveryRow::of(flow, delivery));
        let rows: Vec<DeliveryRow> = rows.collect::<Result<_, _>>()?;
        let mut others = flow.explain(&event.content);
        // If not all deliveries are listed, a subscription that matches may have an unlisted delivery.
        let is_complete = rows.len() < DELIVERIES_MAX;
        others.retain(|other| {
            !rows.iter().any(|row| row.delivery.subscription == other.subscription)
                && (is_complete || other.verdict != MatchOutcome::Matches)
        });
        Ok(Some((event, rows, others)))
    });
    let (event, rows, mut others) = found.await?.ok_or_else(|| PageError::not_found("event", id))?;
    let unlisted_others = others.len().saturating_sub(OTHERS_MAX);
    others.truncate(OTHERS_MAX);
    let raw = event.content.data.as_ref().map(|data| String::from_utf8_lossy(data).into_owned());
    let raw = raw.unwrap_or_default();
    let (project_path, pretty) = (project_path(&event.content), pretty(&raw));
    Ok(render::html(&EventPage {
        v: &viewer,
        event: &event,
        project_path,
        rows,
        others,
        unlisted_others,
        raw,
        pretty,
    }))
}

/// Formats JSON with one member per line. Numbers and strings stay as they were written.
fn pretty(json: &str) -> String {
    let (mut out, mut depth, mut in_text, mut escaped) =
        (String::with_capacity(json.len() * 2), 0, false, false);
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", depth));
    };
    let mut rest = json.chars().peekable();
    while let Some(character) = rest.next() {
        if in_text {
            out.push(character);
            (in_text, escaped) = (escaped || character != '"', character == '\\' && !escaped);
            continue;
        }
        match character {
            '"' => {
                in_text = true;
                out.push(character);
            }
            '{' | '[' => {
                out.push(character);
                while rest.next_if(char::is_ascii_whitespace).is_some() {}
                if let Some(end) = rest.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth = usize::saturating_sub(depth, 1);
                line(&mut out, depth);
                out.push(character);
            }
            ',' => {
                out.push(character);
                line(&mut out, depth);
            }
            ':' => out.push_str(": "),
            space if space.is_ascii_whitespace() => {}
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formatted_json_keeps_its_values() {
        let json =
            r#"{"a": [1.50,  -0,12345678901234567890],"b":{},"c":[ ],"d":"x, {y}: \"z\" \\","e":null}"#;
        let expected = "{\n  \"a\": [\n    1.50,\n    -0,\n    12345678901234567890\n  ],\n  \"b\": {},\n  \"c\": [],\n  \
                        \"d\": \"x, {y}: \\\"z\\\" \\\\\",\n  \"e\": null\n}";
        assert_eq!(pretty(json), expected);
        let same = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(same(&pretty(json)), same(json));
        assert_eq!((pretty("7"), pretty(""), pretty("[]")), ("7".to_owned(), String::new(), "[]".to_owned()));
    }
}
