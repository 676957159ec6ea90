//! Deliveries: list, get, retry and cancel.

use axum::Json;
use axum::extract::State;
use http::Uri;

use crate::api::error::ApiError;
use crate::api::openapi::parameters::Paging;
use crate::api::openapi::responses::{CommonErrors, ConflictError, NotFoundError, UnavailableError};
use crate::api::request::actor::AuditActor;
use crate::api::request::path::PathId;
use crate::api::request::query::{NoQuery, QueryParams};
use crate::api::state::{ApiState, run_blocking};
use crate::api::wire::delivery::DeliveryBody;
use crate::api::wire::list::ListBody;
use crate::api::wire::schema::{
    CompanyText, DeliveryIdText, DeliveryState as StateText, EventIdText, EventTypeText, GivenTime,
    ProjectText, SubscriptionIdText,
};
use crate::flow::Flow;
use crate::flow::query::deliveries::DeliveryFilter;
use crate::model::delivery::Delivery;
use crate::model::id::{DeliveryId, EventId};
use crate::store::DeliveryQuery;

/// Returns a list of an event's deliveries, oldest first.
///
/// There is one delivery for each subscription that the event matched. Deliveries of replays follow them.
#[utoipa::path(
    get, path = "/v1/events/{id}/deliveries", tag = "deliveries", operation_id = "list_event_deliveries",
    params(("id" = inline(EventIdText), Path, description = "The event's id."), Paging::<DeliveryIdText>),
    responses(
        (status = 200, description = "A page of deliveries.", body = ListBody<DeliveryBody>),
        CommonErrors, NotFoundError,
    ),
)]
pub async fn list_of_event(
    State(api): State<ApiState>,
    uri: Uri,
    PathId(id): PathId<EventId>,
) -> Result<Json<ListBody<DeliveryBody>>, ApiError> {
    let mut params = QueryParams::new(&uri, &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<DeliveryId>("cursor"));
    params.finish()?;
    run_blocking(move || {
        let reader = api.flow.reader();
        let event = reader.event_head(id).map_err(|error| ApiError::internal(&error))?;
        event.ok_or_else(|| ApiError::not_found("event", id))?;
        // One more than the page holds shows whether there is a next page.
        let page = reader.deliveries_after(id, after, limit + 1);
        let mut page = page.map_err(|error| ApiError::internal(&error))?;
        let has_more = page.len() > limit;
        page.truncate(limit);
        let next_cursor = page.last().filter(|_| has_more).map(|last| last.id.to_string());
        let items = page.iter().map(|delivery| show(&api.flow, delivery)).collect();
        Ok(Json(ListBody { items, next_cursor }))
    })
    .await
}

/// Returns a list of deliveries, newest first.
#[utoipa::path(
    get, path = "/v1/deliveries", tag = "deliveries", operation_id = "list_deliveries",
    params(
        ("subscription" = inline(Option<SubscriptionIdText>), Query, description = "Only deliveries of this subscription."),
        ("event" = inline(Option<EventIdText>), Query, description = "Only deliveries of this event."),
        ("type" = inline(Option<EventTypeText>), Query, description = "Only deliveries of events of this type."),
        ("project" = inline(Option<ProjectText>), Query, description = "Only deliveries of events of this project."),
        ("company" = inline(Option<CompanyText>), Query, description = "Only deliveries of events of this company."),
        ("state" = Option<Vec<StateText>>, Query, style = Form, explode = false, min_items = 1, description = "Only deliveries in one of these states."),
        ("since" = inline(Option<GivenTime>), Query, description = "Only deliveries created at this time or later."),
        ("until" = inline(Option<GivenTime>), Query, description = "Only deliveries created before this time."),
        Paging::<DeliveryIdText>,
    ),
    responses((status = 200, description = "A page of deliveries.", body = ListBody<DeliveryBody>), CommonErrors),
)]
pub async fn list(State(api): State<ApiState>, uri: Uri) -> Result<Json<ListBody<DeliveryBody>>, ApiError> {
    const KNOWN: [&str; 10] =
        ["subscription", "event", "type", "project", "company", "state", "since", "until", "limit", "cursor"];
    let mut params = QueryParams::new(&uri, &KNOWN);
    let narrowing = DeliveryFilter {
        states: params.get_list("state"),
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
    run_blocking(move || {
        let page = api.flow.deliveries(query, &narrowing).map_err(|error| ApiError::internal(&error))?;
        let items = page.items.iter().map(|delivery| show(&api.flow, delivery)).collect();
        Ok(Json(ListBody { items, next_cursor: page.next.map(|id| id.to_string()) }))
    })
    .await
}

/// Returns a delivery with all its attempts.
#[utoipa::path(
    get, path = "/v1/deliveries/{id}", tag = "deliveries", operation_id = "get_delivery",
    params(("id" = inline(DeliveryIdText), Path, description = "The delivery's id.")),
    responses((status = 200, description = "The delivery.", body = DeliveryBody), CommonErrors, NotFoundError),
)]
pub async fn get(
    State(api): State<ApiState>,
    _: NoQuery,
    PathId(id): PathId<DeliveryId>,
) -> Result<Json<DeliveryBody>, ApiError> {
    run_blocking(move || {
        let delivery = api.flow.reader().delivery(id).map_err(|error| ApiError::internal(&error))?;
        let delivery = delivery.ok_or_else(|| ApiError::not_found("delivery", id))?;
        Ok(Json(show(&api.flow, &delivery)))
    })
    .await
}

/// Retries a delivery now, whatever its state.
///
/// The delivery starts its whole retry schedule anew, so that no scheduled attempt is lost. The numbers of its attempts
/// continue. If the subscription is disabled, the delivery is held until you enable the subscription.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/retry", tag = "deliveries", operation_id = "retry_delivery",
    params(("id" = inline(DeliveryIdText), Path, description = "The delivery's id.")),
    responses(
        (status = 200, description = "The delivery, due now.", body = DeliveryBody),
        CommonErrors, NotFoundError, ConflictError, UnavailableError,
    ),
)]
pub async fn retry(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    _: NoQuery,
    PathId(id): PathId<DeliveryId>,
) -> Result<Json<DeliveryBody>, ApiError> {
    let delivery = api.flow.retry(actor, id).await?;
    Ok(Json(show(&api.flow, &delivery)))
}

/// Cancels a delivery that is pending or held. You can retry it later.
///
/// A delivery in flight cannot be cancelled, because its receiver may be accepting it: wait until the attempt ends. A
/// delivery in a final state cannot be cancelled either.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/cancel", tag = "deliveries", operation_id = "cancel_delivery",
    params(("id" = inline(DeliveryIdText), Path, description = "The delivery's id.")),
    responses(
        (status = 200, description = "The cancelled delivery.", body = DeliveryBody),
        CommonErrors, NotFoundError, ConflictError, UnavailableError,
    ),
)]
pub async fn cancel(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    _: NoQuery,
    PathId(id): PathId<DeliveryId>,
) -> Result<Json<DeliveryBody>, ApiError> {
    let delivery = api.flow.cancel(actor, id).await?;
    Ok(Json(show(&api.flow, &delivery)))
}

fn show(flow: &Flow, delivery: &Delivery) -> DeliveryBody {
    DeliveryBody::new(delivery, flow.view(delivery))
}
