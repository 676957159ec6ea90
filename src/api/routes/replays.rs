//! Delivering again from the log: an event, or a subscription's past as a job.

use std::time::Duration;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri, header};

use crate::api::openapi::responses::{BadBody, Common, InConflict, NotNow, NotThere};
use crate::api::problem::ApiError;
use crate::api::request::actor::By;
use crate::api::request::body;
use crate::api::request::idempotency::{Keyed, replayed};
use crate::api::request::json_members::Members;
use crate::api::request::query::Params;
use crate::api::state::Api;
use crate::api::wire::list::List;
use crate::api::wire::replay::{
    EventReplayInputBody, RedeliveredBody, ReplayBody, ReplayCountBody, ReplayInputBody,
};
use crate::api::wire::schema::{EventIdText, IdempotencyKeyText, ReplayIdText, SubscriptionIdText};
use crate::flow::replay::{REPLAYED_STATES, ReplayAsk};
use crate::model::delivery::DeliveryState;
use crate::model::id::{EventId, ReplayId, SubscriptionId};
use crate::model::time::Timestamp;

/// The most subscriptions that one call names.
const SUBSCRIPTIONS_MAX: usize = 1000;

/// Delivers an event again: to the subscriptions named, or to all that match it now.
///
/// Each gets a new delivery with a whole retry schedule; earlier ones stay as they are. A subscription that the event
/// is on its way to already is passed over.
#[utoipa::path(
    post, path = "/v1/events/{id}/replay", tag = "replays", operation_id = "replay_event",
    params(
        ("id" = inline(EventIdText), Path, description = "The event's id"),
        ("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header, description = "The same call again within 24 h gets the same answer"),
    ),
    request_body = Option<EventReplayInputBody>,
    responses(
        (status = 202, description = "The new deliveries, on stable storage", body = RedeliveredBody,
            headers(("Idempotency-Replayed" = String, description = "`true` if this is the answer to an earlier call"))),
        Common, BadBody, NotThere, InConflict, NotNow,
    ),
)]
pub async fn replay_event(
    State(api): State<Api>,
    Path(text): Path<String>,
    By(actor): By,
    keyed: Keyed,
    request: Request,
) -> Result<Response, ApiError> {
    Params::new(request.uri(), &[]).finish()?;
    let id: EventId = text.parse().map_err(|_| ApiError::no_such("event", &text))?;
    let bytes = body::read_optional_json(request, &api.flow).await?;
    let once = keyed.once(&bytes);
    let mut members = Members::of(&bytes, &["subscriptions"])?;
    let subscriptions = members.texts::<SubscriptionId>("subscriptions", SUBSCRIPTIONS_MAX);
    members.finish()?;
    let flow = api.flow.clone();
    let change = async move {
        let redelivered = flow.replay_event(actor, id, subscriptions, once).await?;
        Ok(redelivered)
    };
    let redelivered = api.carry_out(change).await?;
    let answer = (StatusCode::ACCEPTED, Json(RedeliveredBody::from(&redelivered))).into_response();
    Ok(replayed(answer, redelivered.is_repeat))
}

/// Delivers a subscription's past again, as a job; with `dry_run` it only counts.
///
/// Without `states`: every event of the span that the subscription matches now, filter included, also from before it
/// existed. With `states`: the events whose newest delivery to it stands so. Events on their way to it are passed over.
/// Each gets a new delivery with a whole retry schedule; earlier ones stay as they are. The job goes on over restarts,
/// and waits while `api.replay_backlog_max` deliveries of the subscription are waiting.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/replay", tag = "replays", operation_id = "replay_subscription",
    params(
        ("id" = inline(SubscriptionIdText), Path, description = "The subscription's id"),
        ("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header, description = "The same call again within 24 h gets the same answer"),
    ),
    request_body = Option<ReplayInputBody>,
    responses(
        (status = 200, description = "With `dry_run`: how many events", body = ReplayCountBody),
        (status = 202, description = "The job, on stable storage", body = ReplayBody,
            headers(
                ("Location" = String, description = "Where it is"),
                ("Idempotency-Replayed" = String, description = "`true` if this is the answer to an earlier call"),
            )),
        Common, BadBody, NotThere, InConflict, NotNow,
    ),
)]
pub async fn replay_subscription(
    State(api): State<Api>,
    Path(text): Path<String>,
    By(actor): By,
    keyed: Keyed,
    request: Request,
) -> Result<Response, ApiError> {
    Params::new(request.uri(), &[]).finish()?;
    let subscription: SubscriptionId = text.parse().map_err(|_| ApiError::no_such("subscription", &text))?;
    let bytes = body::read_optional_json(request, &api.flow).await?;
    let once = keyed.once(&bytes);
    let (ask, is_dry_run) = read_ask(subscription, &bytes)?;
    if is_dry_run {
        let matching = api.flow.count_replay(ask, Duration::MAX).await?.matching;
        return Ok(Json(ReplayCountBody { matching }).into_response());
    }
    let flow = api.flow.clone();
    let change = async move {
        let (job, is_repeat) = flow.start_replay(actor, ask, once).await?;
        Ok((job, is_repeat))
    };
    let (job, is_repeat) = api.carry_out(change).await?;
    let location = [(header::LOCATION, format!("/v1/replays/{}", job.id))];
    let answer = (StatusCode::ACCEPTED, location, Json(ReplayBody::from(&job))).into_response();
    Ok(replayed(answer, is_repeat))
}

fn read_ask(subscription: SubscriptionId, body: &[u8]) -> Result<(ReplayAsk, bool), ApiError> {
    let mut members = Members::of(body, &["since", "until", "states", "dry_run"])?;
    let since: Option<Timestamp> = members.text("since");
    let until: Option<Timestamp> = members.text("until");
    let mut states: Vec<DeliveryState> = members.texts("states", REPLAYED_STATES.len()).unwrap_or_default();
    let is_dry_run = members.flag("dry_run").unwrap_or(false);
    for (index, state) in states.iter().enumerate().filter(|(_, state)| !REPLAYED_STATES.contains(state)) {
        let detail = format!("'{}' is no end: expected succeeded, exhausted or cancelled", state.as_str());
        members.refuse(&format!("states/{index}"), detail);
    }
    states.dedup();
    let ask = ReplayAsk { subscription, since, until, states };
    if let Some(problem) = ask.problem() {
        members.refuse("until", problem);
    }
    members.finish()?;
    Ok((ask, is_dry_run))
}

/// The replays that the log still has, newest first.
#[utoipa::path(
    get, path = "/v1/replays", tag = "replays", operation_id = "list_replays",
    params(
        ("limit" = Option<u32>, Query, description = "1 to 500, 50 if left out", minimum = 1, maximum = 500),
        ("cursor" = inline(Option<ReplayIdText>), Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = List<ReplayBody>), Common),
)]
pub async fn list(State(api): State<Api>, uri: Uri) -> Result<Json<List<ReplayBody>>, ApiError> {
    let mut params = Params::new(&uri, &["limit", "cursor"]);
    let (limit, before) = (params.limit(), params.get::<ReplayId>("cursor"));
    params.finish()?;
    let jobs = api.flow.replays(before, limit + 1).await.map_err(|error| ApiError::internal(&error))?;
    let shown = jobs.get(..limit).unwrap_or(&jobs);
    let next_cursor = shown.last().filter(|_| shown.len() < jobs.len()).map(|job| job.id.to_string());
    Ok(Json(List { items: shown.iter().map(ReplayBody::from).collect(), next_cursor }))
}

/// One replay, as far as it is.
#[utoipa::path(
    get, path = "/v1/replays/{id}", tag = "replays", operation_id = "get_replay",
    params(("id" = inline(ReplayIdText), Path, description = "The replay's id")),
    responses((status = 200, description = "The replay", body = ReplayBody), Common, NotThere),
)]
pub async fn get(
    State(api): State<Api>,
    Path(text): Path<String>,
    uri: Uri,
) -> Result<Json<ReplayBody>, ApiError> {
    Params::new(&uri, &[]).finish()?;
    Ok(Json(ReplayBody::from(&api.flow.replay(read_id(&text)?).await?)))
}

/// Stops a replay from making more deliveries. Those that it has made go on.
#[utoipa::path(
    post, path = "/v1/replays/{id}/cancel", tag = "replays", operation_id = "cancel_replay",
    params(("id" = inline(ReplayIdText), Path, description = "The replay's id")),
    responses((status = 200, description = "Cancelled", body = ReplayBody), Common, NotThere, InConflict, NotNow),
)]
pub async fn cancel(
    State(api): State<Api>,
    Path(text): Path<String>,
    By(actor): By,
    uri: Uri,
) -> Result<Json<ReplayBody>, ApiError> {
    Params::new(&uri, &[]).finish()?;
    let id = read_id(&text)?;
    let flow = api.flow.clone();
    let change = async move {
        let job = flow.cancel_replay(actor, id).await?;
        Ok(job)
    };
    Ok(Json(ReplayBody::from(&api.carry_out(change).await?)))
}

fn read_id(text: &str) -> Result<ReplayId, ApiError> {
    text.parse().map_err(|_| ApiError::no_such("replay", text))
}
