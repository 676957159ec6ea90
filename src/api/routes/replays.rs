//! Replays: deliver an event again, or the past events of a subscription.

use std::time::Duration;

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri, header};

use crate::api::error::ApiError;
use crate::api::openapi::parameters::{IdempotencyKey, Paging};
use crate::api::openapi::responses::{
    BodyErrors, CommonErrors, ConflictError, NotFoundError, UnavailableError,
};
use crate::api::request::actor::AuditActor;
use crate::api::request::body;
use crate::api::request::idempotency::{IdempotencyKeyHeader, mark_replayed};
use crate::api::request::json_members::JsonMembers;
use crate::api::request::path::PathId;
use crate::api::request::query::{NoQuery, QueryParams};
use crate::api::state::ApiState;
use crate::api::wire::list::ListBody;
use crate::api::wire::replay::{
    EventReplayInputBody, RedeliveredBody, ReplayBody, ReplayCountBody, ReplayInputBody,
};
use crate::api::wire::schema::{EventIdText, ReplayIdText, SubscriptionIdText};
use crate::flow::replay::request::{REPLAYED_STATES, ReplayRequest};
use crate::model::delivery::DeliveryState;
use crate::model::id::{EventId, ReplayId, SubscriptionId};
use crate::model::time::Timestamp;

/// The most subscriptions that one request can name.
const SUBSCRIPTIONS_MAX: usize = 1000;

/// Replays an event.
///
/// The event gets a new delivery to each subscription that you name, or to each that matches it now. A new delivery has
/// a retry schedule of its own. Earlier deliveries stay unchanged. A subscription that still has an unfinished delivery of
/// the event is skipped.
#[utoipa::path(
    post, path = "/v1/events/{id}/replay", tag = "replays", operation_id = "replay_event",
    params(("id" = inline(EventIdText), Path, description = "The event's id."), IdempotencyKey),
    request_body = Option<EventReplayInputBody>,
    responses(
        (
            status = 202, description = "The new deliveries are on stable storage.", body = RedeliveredBody,
            headers(("Idempotency-Replayed" = String, description = "`true` if this is the response to an earlier request with the same key.")),
        ),
        CommonErrors, BodyErrors, NotFoundError, ConflictError, UnavailableError,
    ),
)]
pub async fn replay_event(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    key: IdempotencyKeyHeader,
    _: NoQuery,
    PathId(id): PathId<EventId>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read_optional_json(request, &api.flow).await?;
    let once = key.with_body(&bytes);
    let mut members = JsonMembers::from_bytes(&bytes, &["subscriptions"])?;
    let subscriptions = members.get_list::<SubscriptionId>("subscriptions", SUBSCRIPTIONS_MAX);
    members.finish()?;
    let redelivered = api.flow.replay_event(actor, id, subscriptions, once).await?;
    let response = (StatusCode::ACCEPTED, Json(RedeliveredBody::from(&redelivered))).into_response();
    Ok(mark_replayed(response, redelivered.is_repeat))
}

/// Starts a replay of a subscription's past events.
///
/// A replay is a job that creates a new delivery for each selected event. Each has a retry schedule of its own, and
/// earlier deliveries stay unchanged. Without `states`, the replay selects every event of the time range that the
/// subscription matches now, including its filter, even events from before the subscription existed. With `states`, it
/// selects the events whose newest delivery to the subscription is in one of these states. Events that still have an
/// unfinished delivery to the subscription are skipped.
///
/// A replay continues after a restart. It pauses while `api.replay_backlog_max` deliveries of the subscription wait. With
/// `dry_run`, the request only counts the events.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/replay", tag = "replays", operation_id = "replay_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id."), IdempotencyKey),
    request_body = Option<ReplayInputBody>,
    responses(
        (status = 200, description = "The number of events, for `dry_run`.", body = ReplayCountBody),
        (
            status = 202, description = "The replay is on stable storage.", body = ReplayBody,
            headers(
                ("Location" = String, description = "The path of the replay."),
                ("Idempotency-Replayed" = String, description = "`true` if this is the response to an earlier request with the same key."),
            ),
        ),
        CommonErrors, BodyErrors, NotFoundError, ConflictError, UnavailableError,
    ),
)]
pub async fn replay_subscription(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    key: IdempotencyKeyHeader,
    _: NoQuery,
    PathId(subscription): PathId<SubscriptionId>,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read_optional_json(request, &api.flow).await?;
    let once = key.with_body(&bytes);
    let (ask, is_dry_run) = read_ask(subscription, &bytes)?;
    if is_dry_run {
        let matching = api.flow.count_replay(ask, Duration::MAX).await?.matching;
        return Ok(Json(ReplayCountBody { matching }).into_response());
    }
    let (job, is_repeat) = api.flow.start_replay(actor, ask, once).await?;
    let location = [(header::LOCATION, format!("/v1/replays/{}", job.id))];
    let response = (StatusCode::ACCEPTED, location, Json(ReplayBody::from(&job))).into_response();
    Ok(mark_replayed(response, is_repeat))
}

/// Reads the body of a replay; returns what it asks for, and whether it is a dry run.
fn read_ask(subscription: SubscriptionId, body: &[u8]) -> Result<(ReplayRequest, bool), ApiError> {
    let mut members = JsonMembers::from_bytes(body, &["since", "until", "states", "dry_run"])?;
    let since: Option<Timestamp> = members.get("since");
    let until: Option<Timestamp> = members.get("until");
    let mut states: Vec<DeliveryState> =
        members.get_list("states", REPLAYED_STATES.len()).unwrap_or_default();
    let is_dry_run = members.get_bool("dry_run").unwrap_or(false);
    for (index, state) in states.iter().enumerate().filter(|(_, state)| !REPLAYED_STATES.contains(state)) {
        let detail =
            format!("'{}' is not a final state: expected succeeded, exhausted or cancelled", state.as_str());
        members.add_problem(&format!("states/{index}"), detail);
    }
    states.dedup();
    let ask = ReplayRequest { subscription, since, until, states };
    if let Err(problem) = ask.check_span() {
        members.add_problem("until", problem);
    }
    members.finish()?;
    Ok((ask, is_dry_run))
}

/// Returns a list of the replays in the log, newest first.
#[utoipa::path(
    get, path = "/v1/replays", tag = "replays", operation_id = "list_replays",
    params(Paging::<ReplayIdText>),
    responses((status = 200, description = "A page of replays.", body = ListBody<ReplayBody>), CommonErrors),
)]
pub async fn list(State(api): State<ApiState>, uri: Uri) -> Result<Json<ListBody<ReplayBody>>, ApiError> {
    let mut params = QueryParams::new(&uri, &["limit", "cursor"]);
    let (limit, before) = (params.limit(), params.get::<ReplayId>("cursor"));
    params.finish()?;
    // One more than the page holds shows whether there is a next page.
    let jobs = api.flow.replays(before, limit + 1).await.map_err(|error| ApiError::internal(&error))?;
    let page = jobs.get(..limit).unwrap_or(&jobs);
    let next_cursor = page.last().filter(|_| page.len() < jobs.len()).map(|job| job.id.to_string());
    Ok(Json(ListBody { items: page.iter().map(ReplayBody::from).collect(), next_cursor }))
}

/// Returns a replay and its progress.
#[utoipa::path(
    get, path = "/v1/replays/{id}", tag = "replays", operation_id = "get_replay",
    params(("id" = inline(ReplayIdText), Path, description = "The replay's id.")),
    responses((status = 200, description = "The replay.", body = ReplayBody), CommonErrors, NotFoundError),
)]
pub async fn get(
    State(api): State<ApiState>,
    _: NoQuery,
    PathId(id): PathId<ReplayId>,
) -> Result<Json<ReplayBody>, ApiError> {
    Ok(Json(ReplayBody::from(&api.flow.replay(id).await?)))
}

/// Cancels a replay.
///
/// The replay creates no more deliveries. The deliveries that it has created continue.
#[utoipa::path(
    post, path = "/v1/replays/{id}/cancel", tag = "replays", operation_id = "cancel_replay",
    params(("id" = inline(ReplayIdText), Path, description = "The replay's id.")),
    responses(
        (status = 200, description = "The cancelled replay.", body = ReplayBody),
        CommonErrors, NotFoundError, ConflictError, UnavailableError,
    ),
)]
pub async fn cancel(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    _: NoQuery,
    PathId(id): PathId<ReplayId>,
) -> Result<Json<ReplayBody>, ApiError> {
    let job = api.flow.cancel_replay(actor, id).await?;
    Ok(Json(ReplayBody::from(&job)))
}
