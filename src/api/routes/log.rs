//! What the log says: events and deliveries, newest first.

use axum::Json;
use axum::extract::{Path, State};
use http::Uri;

use crate::api::openapi::responses::{Common, NotThere};
use crate::api::problem::ApiError;
use crate::api::request::query::Params;
use crate::api::state::{Api, blocking};
use crate::api::wire::delivery::DeliveryBody;
use crate::api::wire::event::EventBody;
use crate::api::wire::list::List;
use crate::api::wire::schema::{
    CompanyText, DeliveryIdText, DeliveryState as StateWord, EventIdText, EventTypeText, GivenTime,
    ProjectText, SenderIdText, SubscriptionIdText,
};
use crate::flow::Flow;
use crate::flow::list::Narrowing;
use crate::model::delivery::Delivery;
use crate::model::id::{DeliveryId, EventId};
use crate::store::{DeliveryQuery, EventQuery};

/// Accepted events without their data, newest first.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "list_events",
    params(
        ("type" = inline(Option<EventTypeText>), Query), ("project" = inline(Option<ProjectText>), Query),
        ("company" = inline(Option<CompanyText>), Query), ("sender_id" = inline(Option<SenderIdText>), Query),
        ("since" = inline(Option<GivenTime>), Query, description = "Accepted then or later"),
        ("until" = inline(Option<GivenTime>), Query, description = "Accepted before then"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many items; 50 if left out"),
        ("cursor" = inline(Option<EventIdText>), Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = List<EventBody>), Common),
)]
pub async fn events(State(api): State<Api>, uri: Uri) -> Result<Json<List<EventBody>>, ApiError> {
    const KNOWN: [&str; 8] = ["type", "project", "company", "sender_id", "since", "until", "limit", "cursor"];
    let mut params = Params::new(&uri, &KNOWN);
    let query = EventQuery {
        event_type: params.get("type"),
        project: params.get("project"),
        company: params.get("company"),
        sender_id: params.get("sender_id"),
        since: params.get("since"),
        until: params.get("until"),
        before: params.get("cursor"),
        limit: params.limit(),
    };
    params.finish()?;
    blocking(move || {
        let page = api.flow.reader().events(&query).map_err(|error| ApiError::internal(&error))?;
        let items = page.items.iter().map(|head| EventBody::head(head.id, &head.content)).collect();
        Ok(Json(List { items, next_cursor: page.next.map(|id| id.to_string()) }))
    })
    .await
}

/// One event with its data as it was submitted.
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "events", operation_id = "get_event",
    params(("id" = inline(EventIdText), Path, description = "The event's id")),
    responses((status = 200, description = "The event", body = EventBody), Common, NotThere),
)]
pub async fn event(
    State(api): State<Api>,
    Path(text): Path<String>,
    uri: Uri,
) -> Result<Json<EventBody>, ApiError> {
    Params::new(&uri, &[]).finish()?;
    let id: EventId = text.parse().map_err(|_| ApiError::no_such("event", &text))?;
    blocking(move || {
        let event = api.flow.reader().event(id).map_err(|error| ApiError::internal(&error))?;
        let event = event.ok_or_else(|| ApiError::no_such("event", id))?;
        Ok(Json(EventBody::whole(&event)))
    })
    .await
}

/// An event's deliveries: one for each subscription that it matched, then those of its replays; oldest first.
#[utoipa::path(
    get, path = "/v1/events/{id}/deliveries", tag = "deliveries", operation_id = "list_event_deliveries",
    params(("id" = inline(EventIdText), Path, description = "The event's id")),
    responses((status = 200, description = "The deliveries", body = List<DeliveryBody>), Common, NotThere),
)]
pub async fn deliveries_of(
    State(api): State<Api>,
    Path(text): Path<String>,
    uri: Uri,
) -> Result<Json<List<DeliveryBody>>, ApiError> {
    let mut params = Params::new(&uri, &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<DeliveryId>("cursor"));
    params.finish()?;
    let id: EventId = text.parse().map_err(|_| ApiError::no_such("event", &text))?;
    blocking(move || {
        let reader = api.flow.reader();
        let event = reader.event_head(id).map_err(|error| ApiError::internal(&error))?;
        event.ok_or_else(|| ApiError::no_such("event", id))?;
        let page = reader.deliveries_after(id, after, limit + 1);
        let mut page = page.map_err(|error| ApiError::internal(&error))?;
        let has_more = page.len() > limit;
        page.truncate(limit);
        let next_cursor = page.last().filter(|_| has_more).map(|last| last.id.to_string());
        let items = page.iter().map(|one| show(&api.flow, one)).collect();
        Ok(Json(List { items, next_cursor }))
    })
    .await
}

/// Deliveries, newest first.
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "deliveries", operation_id = "list_deliveries",
    params(
        ("subscription" = inline(Option<SubscriptionIdText>), Query), ("event" = inline(Option<EventIdText>), Query),
        ("type" = inline(Option<EventTypeText>), Query, description = "Of events of this type"),
        ("project" = inline(Option<ProjectText>), Query, description = "Of events of this project"),
        ("company" = inline(Option<CompanyText>), Query, description = "Of events of this company"),
        ("state" = Option<Vec<StateWord>>, Query, style = Form, explode = false, min_items = 1, description = "Any of these"),
        ("since" = inline(Option<GivenTime>), Query, description = "Made then or later"),
        ("until" = inline(Option<GivenTime>), Query, description = "Made before then"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many items; 50 if left out"),
        ("cursor" = inline(Option<DeliveryIdText>), Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = List<DeliveryBody>), Common),
)]
pub async fn deliveries(State(api): State<Api>, uri: Uri) -> Result<Json<List<DeliveryBody>>, ApiError> {
    const KNOWN: [&str; 10] =
        ["subscription", "event", "type", "project", "company", "state", "since", "until", "limit", "cursor"];
    let mut params = Params::new(&uri, &KNOWN);
    let narrowing = Narrowing {
        states: params.all("state"),
        event_type: params.get("type"),
        project: params.get("project"),
        company: params.get("company"),
    };
    let query = DeliveryQuery {
        subscription: params.get("subscription"),
        event: params.get("event"),
        since: params.get("since"),
        until: params.get("until"),
        before: params.get("cursor"),
        limit: params.limit(),
        ..DeliveryQuery::default()
    };
    params.finish()?;
    blocking(move || {
        let page = api.flow.deliveries(query, &narrowing).map_err(|error| ApiError::internal(&error))?;
        let items = page.items.iter().map(|one| show(&api.flow, one)).collect();
        Ok(Json(List { items, next_cursor: page.next.map(|id| id.to_string()) }))
    })
    .await
}

/// One delivery with every attempt.
#[utoipa::path(
    get, path = "/v1/deliveries/{id}", tag = "deliveries", operation_id = "get_delivery",
    params(("id" = inline(DeliveryIdText), Path, description = "The delivery's id")),
    responses((status = 200, description = "The delivery", body = DeliveryBody), Common, NotThere),
)]
pub async fn delivery(
    State(api): State<Api>,
    Path(text): Path<String>,
    uri: Uri,
) -> Result<Json<DeliveryBody>, ApiError> {
    Params::new(&uri, &[]).finish()?;
    let id = read_id(&text)?;
    blocking(move || {
        let delivery = api.flow.reader().delivery(id).map_err(|error| ApiError::internal(&error))?;
        let delivery = delivery.ok_or_else(|| ApiError::no_such("delivery", id))?;
        Ok(Json(show(&api.flow, &delivery)))
    })
    .await
}

fn read_id(text: &str) -> Result<DeliveryId, ApiError> {
    text.parse().map_err(|_| ApiError::no_such("delivery", text))
}

fn show(flow: &Flow, delivery: &Delivery) -> DeliveryBody {
    DeliveryBody::new(delivery, flow.view(delivery))
}
