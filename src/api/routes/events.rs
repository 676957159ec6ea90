//! The accepted events: list and get.

use axum::Json;
use axum::extract::State;
use http::Uri;

use crate::api::error::ApiError;
use crate::api::openapi::parameters::Paging;
use crate::api::openapi::responses::{CommonErrors, NotFoundError};
use crate::api::request::path::PathId;
use crate::api::request::query::{NoQuery, QueryParams};
use crate::api::state::{ApiState, run_blocking};
use crate::api::wire::event::EventBody;
use crate::api::wire::list::ListBody;
use crate::api::wire::schema::{
    CompanyText, EventIdText, EventTypeText, GivenTime, ProjectText, SenderIdText,
};
use crate::model::id::EventId;
use crate::store::EventQuery;

/// Returns a list of accepted events, newest first.
///
/// The list does not contain the data of the events.
#[utoipa::path(
    get, path = "/v1/events", tag = "events", operation_id = "list_events",
    params(
        ("type" = inline(Option<EventTypeText>), Query, description = "Only events of this type."),
        ("project" = inline(Option<ProjectText>), Query, description = "Only events of this project."),
        ("company" = inline(Option<CompanyText>), Query, description = "Only events of this company."),
        ("sender_id" = inline(Option<SenderIdText>), Query, description = "Only events with this id of their sender."),
        ("since" = inline(Option<GivenTime>), Query, description = "Only events accepted at this time or later."),
        ("until" = inline(Option<GivenTime>), Query, description = "Only events accepted before this time."),
        Paging::<EventIdText>,
    ),
    responses((status = 200, description = "A page of events.", body = ListBody<EventBody>), CommonErrors),
)]
pub async fn list(State(api): State<ApiState>, uri: Uri) -> Result<Json<ListBody<EventBody>>, ApiError> {
    const KNOWN: [&str; 8] = ["type", "project", "company", "sender_id", "since", "until", "limit", "cursor"];
    let mut params = QueryParams::new(&uri, &KNOWN);
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
    run_blocking(move || {
        let page = api.flow.reader().events(&query).map_err(|error| ApiError::internal(&error))?;
        let items = page.items.iter().map(|head| EventBody::head(head.id, &head.content)).collect();
        Ok(Json(ListBody { items, next_cursor: page.next.map(|id| id.to_string()) }))
    })
    .await
}

/// Returns an event with its data.
///
/// The data is byte for byte as it was submitted.
#[utoipa::path(
    get, path = "/v1/events/{id}", tag = "events", operation_id = "get_event",
    params(("id" = inline(EventIdText), Path, description = "The event's id.")),
    responses((status = 200, description = "The event.", body = EventBody), CommonErrors, NotFoundError),
)]
pub async fn get(
    State(api): State<ApiState>,
    _: NoQuery,
    PathId(id): PathId<EventId>,
) -> Result<Json<EventBody>, ApiError> {
    run_blocking(move || {
        let event = api.flow.reader().event(id).map_err(|error| ApiError::internal(&error))?;
        let event = event.ok_or_else(|| ApiError::not_found("event", id))?;
        Ok(Json(EventBody::whole(&event)))
    })
    .await
}
