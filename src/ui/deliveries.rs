//! The list of deliveries, with its search, and the page of one delivery.

use std::borrow::Borrow;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderName, HeaderValue, Uri};

use super::notice::Notice;
use super::page_error::PageError;
use super::preview::project_path;
use super::query::{PAGE_ITEMS, Query};
use super::render;
use super::state::Ui;
use super::subscriptions;
use super::viewer::Viewer;
use crate::flow::Flow;
use crate::flow::query::deliveries::DeliveryFilter;
use crate::flow::query::status::{DeliveryView, Reason};
use crate::model::attempt::Attempt;
use crate::model::delivery::{Delivery, DeliveryState, Progress};
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::rules::headers::{SigningInput, WEBHOOK_SIGNATURE, X_SIGNATURE, headers};
use crate::store::{DeliveryQuery, Page, StoreError};

/// A delivery in a list.
pub(super) struct DeliveryRow {
    pub(super) delivery: Delivery,
    pub(super) view: DeliveryView,
    /// The name of the subscription, or its ID if it is deleted.
    pub(super) name: String,
    pub(super) event_type: String,
    pub(super) project_path: String,
}

impl DeliveryRow {
    /// Adds the event's type and project and the subscription's name to a delivery. Blocks: reads one row.
    pub(super) fn of(flow: &Flow, delivery: Delivery) -> Result<Self, StoreError> {
        let view = flow.view(&delivery);
        let head = flow.reader().event_head(delivery.event)?;
        let (event_type, project_path) = head
            .map(|head| (head.content.event_type.to_string(), project_path(&head.content)))
            .unwrap_or_default();
        let entry = flow.subscription(delivery.subscription);
        let name = entry
            .map_or_else(|| delivery.subscription.to_string(), |entry| entry.subscription.spec.name.clone());
        Ok(Self { delivery, view, name, event_type, project_path })
    }

    /// Returns the state as the API names it.
    pub(super) fn state(&self) -> &'static str {
        self.view.state.as_str()
    }

    /// Returns the outcome of the last attempt; empty if there was no attempt.
    pub(super) fn answer(&self, v: &Viewer) -> String {
        self.delivery.attempts.last().map(|attempt| v.answer(&attempt.outcome)).unwrap_or_default()
    }

    /// Returns the duration of the last attempt; empty if there was no attempt.
    pub(super) fn length(&self, v: &Viewer) -> String {
        self.delivery.attempts.last().map(|attempt| v.duration(attempt.duration)).unwrap_or_default()
    }

    /// Returns why the delivery is in its state; empty if the state needs no reason.
    pub(super) fn why(&self, v: &Viewer) -> String {
        self.view.reason.as_ref().map(|reason| why(v, reason)).unwrap_or_default()
    }
}

fn why(v: &Viewer, reason: &Reason) -> String {
    match reason {
        Reason::CancelledManually => v.t("why-cancelled-manually"),
        Reason::Deleted { name, at } => v.t2("why-deleted", "name", name.clone(), "at", v.date_time(at)),
        Reason::DeletedLongAgo => v.t("why-deleted-long-ago"),
        Reason::DisabledManually { since } => v.t1("why-disabled-manually", "at", v.date_time(since)),
        Reason::Unhealthy { since, detail, .. } => {
            v.t2("why-disabled-failing", "at", v.date_time(since), "detail", detail.clone())
        }
        Reason::Paused { until } => v.t1("why-retry-after", "at", v.date_time(until)),
        Reason::WaitsForProbe { probe } => v.t1("why-probe", "probe", probe.to_string()),
        Reason::Due { attempt, at } => v.t2("why-due", "n", *attempt, "at", v.date_time(at)),
        Reason::WaitsForTurn { in_flight } => v.t1("why-queued", "n", *in_flight),
    }
}

/// Reads one page of rows. Blocks.
pub(super) fn rows(
    flow: &Flow,
    query: DeliveryQuery,
    narrowing: &DeliveryFilter,
) -> Result<Page<DeliveryRow, DeliveryId>, StoreError> {
    let page = flow.deliveries(query, narrowing)?;
    let rows = page.items.into_iter().map(|delivery| DeliveryRow::of(flow, delivery));
    Ok(Page { items: rows.collect::<Result<_, _>>()?, next: page.next })
}

#[derive(askama::Template)]
#[template(path = "deliveries.html")]
struct DeliveryList<'a> {
    v: &'a Viewer,
    query: &'a Query,
    rows: Vec<DeliveryRow>,
    next: String,
    states: [DeliveryState; 6],
    /// The value of the search field for the subscription.
    subscription: String,
    names: Vec<String>,
    notice: Option<Notice>,
}

impl DeliveryList<'_> {
    fn is_filtered(&self) -> bool {
        let names = ["state", "subscription", "type", "project", "company", "event", "since", "until"];
        self.query.is_filtered(&names)
    }

    /// Returns the text filters on the event's properties, with their labels.
    fn filters(&self) -> [(&'static str, String); 4] {
        let v = self.v;
        [
            ("type", v.t("filter-type")),
            ("project", v.t("filter-project")),
            ("company", v.t("filter-company")),
            ("event", v.t("filter-event-id")),
        ]
    }

    /// Returns whether a filter is set that the page hides under "More filters".
    fn has_more_filters(&self) -> bool {
        self.query.is_filtered(&["company", "event", "since", "until"])
    }
}

/// Shows the list of deliveries that match the search.
pub(super) async fn list(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, PageError> {
    let mut query = Query::new(&uri);
    let narrowing = DeliveryFilter {
        states: query.read("state").into_iter().collect(),
        event_type: query.read("type"),
        project: query.read("project"),
        company: query.read("company"),
    };
    let (subscription, shown) = subscription_filter(&ui.flow, &mut query);
    let wanted = DeliveryQuery {
        subscription,
        event: query.read::<EventId>("event"),
        since: query.time("since"),
        until: query.time("until"),
        before: query.read("cursor"),
        limit: PAGE_ITEMS,
        ..DeliveryQuery::default()
    };
    let page = if query.has_problems() {
        Page { items: Vec::new(), next: None }
    } else {
        ui.query(move |flow| rows(flow, wanted, &narrowing)).await?
    };
    let next = page.next.map(|id| viewer.link(&query.next("/deliveries", id))).unwrap_or_default();
    let names = subscriptions::names(&ui.flow);
    let notice = ui.notices.take(&query);
    let states = DeliveryState::ALL;
    Ok(render::html(&DeliveryList {
        v: &viewer,
        query: &query,
        rows: page.items,
        next,
        states,
        subscription: shown,
        names,
        notice,
    }))
}

/// Returns the subscription that the search names, and the text to show in the search field: its name, if the
/// name is unique.
fn subscription_filter(flow: &Flow, query: &mut Query) -> (Option<SubscriptionId>, String) {
    let given = query.get("subscription").to_owned();
    if let Ok(id) = given.parse::<SubscriptionId>() {
        // A deleted subscription has no name.
        let name = flow.subscription(id).map(|entry| entry.subscription.spec.name.clone());
        let shown = name.filter(|name| flow.subscriptions_named(name).len() == 1);
        return (Some(id), shown.unwrap_or(given));
    }
    let found = subscriptions::find_named(flow, query, "subscription");
    (found.map(|entry| entry.subscription.id), given)
}

#[derive(askama::Template)]
#[template(path = "delivery.html")]
struct DeliveryPage<'a> {
    v: &'a Viewer,
    row: &'a DeliveryRow,
    notice: Option<Notice>,
    due: Option<Timestamp>,
    format: &'static str,
    /// The subscription; `None` if it is deleted.
    subscription: Option<Arc<Subscription>>,
}

impl DeliveryPage<'_> {
    /// Returns the headers that an attempt was sent with, without the signature, which is not stored.
    fn headers(&self, attempt: &Attempt) -> String {
        let delivery = &self.row.delivery;
        let Some(subscription) = &self.subscription else { return String::new() };
        let signing = SigningInput {
            event: delivery.event,
            delivery: Some(delivery.id),
            attempt: attempt.number,
            at: attempt.started_at,
        };
        let mut headers = headers(subscription, &signing, &[]);
        headers.remove(WEBHOOK_SIGNATURE);
        headers.remove(X_SIGNATURE);
        let line = |(name, value): (&HeaderName, &HeaderValue)| {
            format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
        };
        let mut lines: Vec<String> = headers.iter().map(line).collect();
        lines.sort_unstable();
        lines.join("\n")
    }

    /// Returns why the next attempt is due at that time; empty before the first attempt.
    fn due_reason(&self, due: impl Borrow<Timestamp>) -> String {
        let Some(last) = self.row.delivery.attempts.last() else { return String::new() };
        let wait = due.borrow().since(last.started_at.after(last.duration));
        self.v.t2("due-reason", "wait", self.v.duration(wait), "n", last.number)
    }

    /// Returns whether the delivery only waits until it is due. The page shows the due time separately.
    fn is_due(&self) -> bool {
        self.due.is_some() && matches!(self.row.view.reason, Some(Reason::Due { .. }))
    }

    fn is_final(&self) -> bool {
        self.row.delivery.progress.is_final()
    }
}

/// Returns the stored beginning of a response body as text.
pub(super) fn excerpt(attempt: &Attempt) -> String {
    String::from_utf8_lossy(&attempt.excerpt).into_owned()
}

/// Shows one delivery.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let id: DeliveryId = text.parse().map_err(|_| PageError::not_found("delivery", &text))?;
    let found = ui.query(move |flow| {
        let Some(delivery) = flow.reader().delivery(id)? else { return Ok(None) };
        DeliveryRow::of(flow, delivery).map(Some)
    });
    let row = found.await?.ok_or_else(|| PageError::not_found("delivery", id))?;
    let due = match row.delivery.progress {
        Progress::Waiting { due } if row.view.state == DeliveryState::Pending => Some(due),
        _ => None,
    };
    let entry = ui.flow.subscription(row.delivery.subscription);
    let format = entry.as_ref().map_or("", |entry| entry.subscription.spec.format.as_str());
    let subscription = entry.map(|entry| entry.subscription);
    let notice = ui.notices.take(&Query::new(&uri));
    Ok(render::html(&DeliveryPage { v: &viewer, row: &row, notice, due, format, subscription }))
}
