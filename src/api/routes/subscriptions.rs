//! Subscriptions: list, create, show, change, delete, switch on and off.

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode, Uri, header};

use crate::api::openapi::responses::{BadBody, Common, InConflict, NotNow, NotThere, Outdated};
use crate::api::problem::ApiError;
use crate::api::request::actor::By;
use crate::api::request::body;
use crate::api::request::idempotency::{Keyed, replayed};
use crate::api::request::if_match::{etag, if_match};
use crate::api::request::query::Params;
use crate::api::state::{Api, blocking};
use crate::api::wire::delivery::AttemptBody;
use crate::api::wire::list::List;
use crate::api::wire::schema::{EntityTagText, IdempotencyKeyText, IfMatchText, SubscriptionIdText};
use crate::api::wire::subscription::{ChangeBody, EnabledBody, NewSubscription, SubscriptionBody};
use crate::flow::audit::Actor;
use crate::flow::enable::Enabled;
use crate::flow::version::Expected;
use crate::flow::{Entry, Flow};
use crate::model::id::SubscriptionId;
use crate::model::input::SubscriptionInput;

/// The subscriptions, in the order of their ids.
#[utoipa::path(
    get, path = "/v1/subscriptions", tag = "subscriptions", operation_id = "list_subscriptions",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many items; 50 if left out"),
        ("cursor" = inline(Option<SubscriptionIdText>), Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = List<SubscriptionBody>), Common),
)]
pub async fn list(State(api): State<Api>, uri: Uri) -> Result<Json<List<SubscriptionBody>>, ApiError> {
    let mut params = Params::new(&uri, &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<SubscriptionId>("cursor"));
    params.finish()?;
    blocking(move || {
        let all = api.flow.subscriptions();
        let first = after.map_or(0, |after| all.partition_point(|entry| entry.subscription.id <= after));
        let rest = all.get(first..).unwrap_or_default();
        let shown = rest.get(..limit).unwrap_or(rest);
        let has_more = shown.len() < rest.len();
        let next_cursor = shown.last().filter(|_| has_more).map(|entry| entry.subscription.id.to_string());
        let items = shown.iter().map(|entry| show(&api.flow, entry)).collect::<Result<_, _>>()?;
        Ok(Json(List { items, next_cursor }))
    })
    .await
}

/// Makes a subscription. Its secret is shown in this answer and never again.
#[utoipa::path(
    post, path = "/v1/subscriptions", tag = "subscriptions", operation_id = "create_subscription",
    params(("Idempotency-Key" = inline(Option<IdempotencyKeyText>), Header, description = "The same call again within 24 h gets the same answer")),
    request_body = NewSubscription,
    responses(
        (
            status = 201, description = "Made, with its secret", body = SubscriptionBody,
            headers(
                ("Location" = String, description = "Its path"),
                ("ETag" = inline(EntityTagText), description = "Its version"),
                ("Idempotency-Replayed" = String, description = "`true` if this is the answer to an earlier call"),
            ),
        ),
        Common, BadBody, InConflict, NotNow,
    ),
)]
pub async fn create(
    State(api): State<Api>,
    By(actor): By,
    keyed: Keyed,
    request: Request,
) -> Result<Response, ApiError> {
    Params::new(request.uri(), &[]).finish()?;
    let bytes = body::read_json(request, &api.flow).await?;
    let once = keyed.once(&bytes);
    let input = SubscriptionInput::read(&body::members(&bytes)?).map_err(ApiError::Invalid)?;
    let flow = api.flow.clone();
    let change = async move {
        let (entry, is_repeat) = flow.create(actor, input, once).await?;
        Ok((entry, is_repeat))
    };
    let (entry, is_repeat) = api.carry_out(change).await?;
    let location = format!("/v1/subscriptions/{}", entry.subscription.id);
    let headers = [(header::LOCATION, location.as_str()), (header::CACHE_CONTROL, "no-store")];
    let made = entry.clone();
    // Once it has been changed, its secret may be another than the one that this key's first call was told.
    let shown = answer(api, entry, move |flow| {
        let shown = show(flow, &made)?;
        Ok(if made.is_as_made() { shown.revealing(&made) } else { shown })
    });
    Ok(replayed((StatusCode::CREATED, headers, shown.await?).into_response(), is_repeat))
}

/// One subscription.
#[utoipa::path(
    get, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "get_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id")),
    responses((status = 200, description = "The subscription", body = SubscriptionBody, headers(("ETag" = inline(EntityTagText), description = "Its version"))), Common, NotThere),
)]
pub async fn get(State(api): State<Api>, Path(id): Path<String>, uri: Uri) -> Result<Response, ApiError> {
    Params::new(&uri, &[]).finish()?;
    let entry = api.flow.subscription(read_id(&id)?).ok_or_else(|| ApiError::no_such("subscription", id))?;
    let shown = entry.clone();
    answer(api, entry, move |flow| show(flow, &shown)).await
}

/// Changes a subscription: a member given replaces, null goes back to the default (RFC 7396).
///
/// `enabled` switches it on or off after the other members have changed, as `/enable` and `/disable` do.
#[utoipa::path(
    patch, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "change_subscription",
    params(
        ("id" = inline(SubscriptionIdText), Path, description = "The subscription's id"),
        ("If-Match" = inline(Option<IfMatchText>), Header, description = "Its `ETag` as it was read: refuses to change another version"),
    ),
    request_body = ChangeBody,
    responses((status = 200, description = "As it is now", body = SubscriptionBody, headers(("ETag" = inline(EntityTagText), description = "Its version"))), Common, Outdated, BadBody, NotThere, InConflict, NotNow),
)]
pub async fn change(
    State(api): State<Api>,
    Path(text): Path<String>,
    By(actor): By,
    request: Request,
) -> Result<Response, ApiError> {
    Params::new(request.uri(), &[]).finish()?;
    let id = read_id(&text)?;
    let expected = if_match(request.headers())?;
    let members = body::read_members(request, &api.flow).await?;
    let entry = api.flow.change(actor, id, expected, members).await?;
    let shown = entry.clone();
    answer(api, entry, move |flow| show(flow, &shown)).await
}

/// Deletes a subscription. What was unfinished is cancelled; what was delivered stays in the log.
#[utoipa::path(
    delete, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "delete_subscription",
    params(
        ("id" = inline(SubscriptionIdText), Path, description = "The subscription's id"),
        ("If-Match" = inline(Option<IfMatchText>), Header, description = "Its `ETag` as it was read: refuses to change another version"),
    ),
    responses((status = 204, description = "Deleted"), Common, Outdated, NotThere, InConflict, NotNow),
)]
pub async fn delete(
    State(api): State<Api>,
    Path(id): Path<String>,
    By(actor): By,
    headers: HeaderMap,
    uri: Uri,
) -> Result<StatusCode, ApiError> {
    Params::new(&uri, &[]).finish()?;
    let (id, expected) = (read_id(&id)?, if_match(&headers)?);
    let flow = api.flow.clone();
    let change = async move {
        flow.delete(actor, id, expected).await?;
        Ok(StatusCode::NO_CONTENT)
    };
    api.carry_out(change).await
}

/// Switches a subscription on. After bad health a signed health check goes first and must be answered with 2xx.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/enable", tag = "subscriptions", operation_id = "enable_subscription",
    params(
        ("id" = inline(SubscriptionIdText), Path, description = "The subscription's id"),
        ("If-Match" = inline(Option<IfMatchText>), Header, description = "Its `ETag` as it was read: refuses to change another version"),
    ),
    responses((status = 200, description = "Switched on, with the health check if one was sent", body = EnabledBody, headers(("ETag" = inline(EntityTagText), description = "Its version"))), Common, Outdated, NotThere, InConflict, NotNow),
)]
pub async fn enable(
    State(api): State<Api>,
    Path(id): Path<String>,
    By(actor): By,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    Params::new(&uri, &[]).finish()?;
    let expected = if_match(&headers)?;
    let Enabled { entry, check, .. } = switch_on(&api, actor, read_id(&id)?, expected).await?;
    let (shown, health_check) = (entry.clone(), check.as_ref().map(AttemptBody::from));
    answer(api, entry, move |flow| Ok(EnabledBody { subscription: show(flow, &shown)?, health_check })).await
}

/// Switches a subscription off: it matches nothing until it is switched on again.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/disable", tag = "subscriptions", operation_id = "disable_subscription",
    params(
        ("id" = inline(SubscriptionIdText), Path, description = "The subscription's id"),
        ("If-Match" = inline(Option<IfMatchText>), Header, description = "Its `ETag` as it was read: refuses to change another version"),
    ),
    responses((status = 200, description = "Switched off", body = SubscriptionBody, headers(("ETag" = inline(EntityTagText), description = "Its version"))), Common, Outdated, NotThere, NotNow),
)]
pub async fn disable(
    State(api): State<Api>,
    Path(id): Path<String>,
    By(actor): By,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, ApiError> {
    Params::new(&uri, &[]).finish()?;
    let expected = if_match(&headers)?;
    let entry = switch_off(&api, actor, read_id(&id)?, expected).await?;
    let shown = entry.clone();
    answer(api, entry, move |flow| show(flow, &shown)).await
}

async fn switch_on(
    api: &Api,
    actor: Actor,
    id: SubscriptionId,
    expected: Expected,
) -> Result<Enabled, ApiError> {
    let flow = api.flow.clone();
    let change = async move {
        let enabled = flow.enable(actor, id, expected).await?;
        Ok(enabled)
    };
    api.carry_out(change).await
}

async fn switch_off(
    api: &Api,
    actor: Actor,
    id: SubscriptionId,
    expected: Expected,
) -> Result<Entry, ApiError> {
    let flow = api.flow.clone();
    let change = async move {
        let entry = flow.disable(actor, id, expected).await?;
        Ok(entry)
    };
    api.carry_out(change).await
}

/// An id that cannot be one names nothing.
pub fn read_id(text: &str) -> Result<SubscriptionId, ApiError> {
    text.parse().map_err(|_| ApiError::no_such("subscription", text))
}

/// Its statistics come from the log, so this is for where blocking is allowed.
pub fn show(flow: &Flow, entry: &Entry) -> Result<SubscriptionBody, ApiError> {
    let stats = flow.stats(entry.subscription.id).map_err(|error| ApiError::internal(&error))?;
    Ok(SubscriptionBody::new(entry, stats, flow.now()))
}

/// What `show` makes of the subscription, with its `ETag`.
pub async fn answer<T: serde::Serialize + Send + 'static>(
    api: Api,
    entry: Entry,
    show: impl FnOnce(&Flow) -> Result<T, ApiError> + Send + 'static,
) -> Result<Response, ApiError> {
    let mut response = blocking(move || Ok(Json(show(&api.flow)?))).await?.into_response();
    response.headers_mut().extend(etag(&entry).map(|etag| (header::ETAG, etag)));
    Ok(response)
}
