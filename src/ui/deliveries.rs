//! Deliveries: the search, and one with its time line.

use std::borrow::Borrow;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::{HeaderName, HeaderValue, Uri};

use super::notice::{self, Notice};
use super::page_error::PageError;
use super::preview::place;
use super::query::{PAGE_ITEMS, Query};
use super::viewer::Viewer;
use super::{Ui, guard, subscriptions};
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
pub(super) struct Row {
    pub(super) delivery: Delivery,
    pub(super) view: DeliveryView,
    /// The subscription's name, or its id if it is deleted.
    pub(super) name: String,
    pub(super) event_type: String,
    pub(super) place: String,
}

impl Row {
    /// Adds what a person wants to know beside the ids. Blocks: reads one row.
    pub(super) fn of(flow: &Flow, delivery: Delivery) -> Result<Self, StoreError> {
        let view = flow.view(&delivery);
        let head = flow.reader().event_head(delivery.event)?;
        let (event_type, place) =
            head.map(|head| (head.content.event_type.to_string(), place(&head.content))).unwrap_or_default();
        let entry = flow.subscription(delivery.subscription);
        let name = entry
            .map_or_else(|| delivery.subscription.to_string(), |entry| entry.subscription.spec.name.clone());
        Ok(Self { delivery, view, name, event_type, place })
    }

    /// The word of its state.
    pub(super) fn state(&self) -> &'static str {
        self.view.state.as_str()
    }

    /// What the receiver last answered; empty if it was not asked yet.
    pub(super) fn answer(&self, v: &Viewer) -> String {
        self.delivery.attempts.last().map(|attempt| v.answer(&attempt.outcome)).unwrap_or_default()
    }

    /// How long the last attempt took.
    pub(super) fn length(&self, v: &Viewer) -> String {
        self.delivery.attempts.last().map(|attempt| v.length(attempt.duration)).unwrap_or_default()
    }

    /// Why it is where it is; empty where that goes without saying.
    pub(super) fn why(&self, v: &Viewer) -> String {
        self.view.reason.as_ref().map(|reason| why(v, reason)).unwrap_or_default()
    }
}

fn why(v: &Viewer, reason: &Reason) -> String {
    match reason {
        Reason::CancelledManually => v.t("why-by-hand"),
        Reason::Deleted { name, at } => v.t2("why-deleted", "name", name.clone(), "at", v.clock(at)),
        Reason::DeletedLongAgo => v.t("why-deleted-long-ago"),
        Reason::DisabledManually { since } => v.t1("why-switched-off", "at", v.clock(since)),
        Reason::Unhealthy { since, detail, .. } => {
            v.t2("why-ill", "at", v.clock(since), "detail", detail.clone())
        }
        Reason::Paused { until } => v.t1("why-resting", "at", v.clock(until)),
        Reason::WaitsForProbe { probe } => v.t1("why-probed", "probe", probe.to_string()),
        Reason::Due { attempt, at } => v.t2("why-due", "n", *attempt, "at", v.clock(at)),
        Reason::WaitsForTurn { in_flight } => v.t1("why-turn", "n", *in_flight),
    }
}

/// One page of rows. Blocks.
pub(super) fn rows(
    flow: &Flow,
    query: DeliveryQuery,
    narrowing: &DeliveryFilter,
) -> Result<Page<Row, DeliveryId>, StoreError> {
    let page = flow.deliveries(query, narrowing)?;
    let rows = page.items.into_iter().map(|delivery| Row::of(flow, delivery));
    Ok(Page { items: rows.collect::<Result<_, _>>()?, next: page.next })
}

#[derive(askama::Template)]
#[template(path = "deliveries.html")]
struct List<'a> {
    v: &'a Viewer,
    query: &'a Query,
    rows: Vec<Row>,
    next: String,
    states: [DeliveryState; 6],
    /// What the field of the subscription shows.
    subscription: String,
    names: Vec<String>,
    notice: Option<Notice>,
}

impl List<'_> {
    fn is_filtered(&self) -> bool {
        let names = ["state", "subscription", "type", "project", "company", "event", "since", "until"];
        self.query.is_filtered(&names)
    }

    /// The filters that are names of the event's, with their labels.
    fn filters(&self) -> [(&'static str, String); 4] {
        let v = self.v;
        [
            ("type", v.t("filter-type")),
            ("project", v.t("filter-project")),
            ("company", v.t("filter-company")),
            ("event", v.t("filter-event-id")),
        ]
    }

    /// Whether the filters are in use that are folded away else.
    fn is_narrowed(&self) -> bool {
        self.query.is_filtered(&["company", "event", "since", "until"])
    }
}

/// The search.
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
    let (subscription, shown) = of_subscription(&ui.flow, &mut query);
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
        ui.ask(move |flow| rows(flow, wanted, &narrowing)).await?
    };
    let next = page.next.map(|id| viewer.at(&query.next("/deliveries", id))).unwrap_or_default();
    let names = subscriptions::names(&ui.flow);
    let notice = notice::take(&ui, &query);
    let states = DeliveryState::ALL;
    Ok(guard::html(&List {
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

/// Whose deliveries are asked for, and how the field shows that: by name, where that says it.
fn of_subscription(flow: &Flow, query: &mut Query) -> (Option<SubscriptionId>, String) {
    let given = query.get("subscription").to_owned();
    if let Ok(id) = given.parse::<SubscriptionId>() {
        // A deleted one is only known by its id.
        let name = flow.subscription(id).map(|entry| entry.subscription.spec.name.clone());
        let shown = name.filter(|name| flow.subscriptions_named(name).len() == 1);
        return (Some(id), shown.unwrap_or(given));
    }
    let found = subscriptions::named(flow, query, "subscription");
    (found.map(|entry| entry.subscription.id), given)
}

#[derive(askama::Template)]
#[template(path = "delivery.html")]
struct One<'a> {
    v: &'a Viewer,
    row: &'a Row,
    notice: Option<Notice>,
    due: Option<Timestamp>,
    format: &'static str,
    /// None if it is deleted.
    subscription: Option<Arc<Subscription>>,
}

impl One<'_> {
    /// The headers that an attempt was sent with, but for its signature, which is not kept.
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

    /// Why the next attempt comes when it does; empty if none has been made.
    fn why_then(&self, due: impl Borrow<Timestamp>) -> String {
        let Some(last) = self.row.delivery.attempts.last() else { return String::new() };
        let wait = due.borrow().since(last.started_at.after(last.duration));
        self.v.t2("due-why", "wait", self.v.length(wait), "n", last.number)
    }

    /// Whether it waits for nothing but its time, which is told by itself.
    fn is_due(&self) -> bool {
        self.due.is_some() && matches!(self.row.view.reason, Some(Reason::Due { .. }))
    }

    fn is_final(&self) -> bool {
        self.row.delivery.progress.is_final()
    }
}

/// What an answer began with, as text.
pub(super) fn excerpt(attempt: &Attempt) -> String {
    String::from_utf8_lossy(&attempt.excerpt).into_owned()
}

/// One delivery.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(text): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let id: DeliveryId = text.parse().map_err(|_| PageError::not_found("delivery", &text))?;
    let found = ui.ask(move |flow| {
        let Some(delivery) = flow.reader().delivery(id)? else { return Ok(None) };
        Row::of(flow, delivery).map(Some)
    });
    let row = found.await?.ok_or_else(|| PageError::not_found("delivery", id))?;
    let due = match row.delivery.progress {
        Progress::Waiting { due } if row.view.state == DeliveryState::Pending => Some(due),
        _ => None,
    };
    let entry = ui.flow.subscription(row.delivery.subscription);
    let format = entry.as_ref().map_or("", |entry| entry.subscription.spec.format.as_str());
    let subscription = entry.map(|entry| entry.subscription);
    let notice = notice::take(&ui, &Query::new(&uri));
    Ok(guard::html(&One { v: &viewer, row: &row, notice, due, format, subscription }))
}
