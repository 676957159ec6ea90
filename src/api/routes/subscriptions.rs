//! Subscriptions: list, create, get, change, delete, enable and disable.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri, header};

use crate::api::error::ApiError;
use crate::api::openapi::parameters::{IdempotencyKey, IfMatch, Paging};
use crate::api::openapi::responses::{
    BodyErrors, CommonErrors, ConflictError, NotFoundError, PreconditionError, UnavailableError,
};
use crate::api::request::actor::AuditActor;
use crate::api::request::body;
use crate::api::request::idempotency::{IdempotencyKeyHeader, mark_replayed};
use crate::api::request::if_match::{IfMatchHeader, etag};
use crate::api::request::path::PathId;
use crate::api::request::query::{NoQuery, QueryParams};
use crate::api::state::{ApiState, run_blocking};
use crate::api::wire::delivery::AttemptBody;
use crate::api::wire::list::ListBody;
use crate::api::wire::schema::{EntityTagText, SubscriptionIdText};
use crate::api::wire::subscription::{ChangeBody, EnabledBody, NewSubscription, SubscriptionBody};
use crate::flow::manage::enable::Enabled;
use crate::flow::{Entry, Flow};
use crate::model::id::SubscriptionId;
use crate::model::input::SubscriptionInput;

/// Returns a list of subscriptions, oldest first.
#[utoipa::path(
    get, path = "/v1/subscriptions", tag = "subscriptions", operation_id = "list_subscriptions",
    params(Paging::<SubscriptionIdText>),
    responses((status = 200, description = "A page of subscriptions.", body = ListBody<SubscriptionBody>), CommonErrors),
)]
pub async fn list(
    State(api): State<ApiState>,
    uri: Uri,
) -> Result<Json<ListBody<SubscriptionBody>>, ApiError> {
    let mut params = QueryParams::new(&uri, &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<SubscriptionId>("cursor"));
    params.finish()?;
    run_blocking(move || {
        let all = api.flow.subscriptions();
        let first = after.map_or(0, |after| all.partition_point(|entry| entry.subscription.id <= after));
        let rest = all.get(first..).unwrap_or_default();
        let page = rest.get(..limit).unwrap_or(rest);
        let has_more = page.len() < rest.len();
        let next_cursor = page.last().filter(|_| has_more).map(|entry| entry.subscription.id.to_string());
        let items = page.iter().map(|entry| show(&api.flow, entry)).collect::<Result<_, _>>()?;
        Ok(Json(ListBody { items, next_cursor }))
    })
    .await
}

/// Creates a subscription.
///
/// The response contains the signing secret, which is never shown again. Store it now.
#[utoipa::path(
    post, path = "/v1/subscriptions", tag = "subscriptions", operation_id = "create_subscription",
    params(IdempotencyKey),
    request_body = NewSubscription,
    responses(
        (
            status = 201, description = "The new subscription, with its secret.", body = SubscriptionBody,
            headers(
                ("Location" = String, description = "The path of the subscription."),
                ("ETag" = inline(EntityTagText), description = "The version of the subscription, for `If-Match`."),
                ("Idempotency-Replayed" = String, description = "`true` if this is the response to an earlier request with the same key."),
            ),
        ),
        CommonErrors, BodyErrors, ConflictError, UnavailableError,
    ),
)]
pub async fn create(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    key: IdempotencyKeyHeader,
    _: NoQuery,
    request: Request,
) -> Result<Response, ApiError> {
    let bytes = body::read_json(request, &api.flow).await?;
    let once = key.with_body(&bytes);
    let input = SubscriptionInput::read(&body::members(&bytes)?).map_err(ApiError::Invalid)?;
    let (entry, is_repeat) = api.flow.create(actor, input, once).await?;
    let location = format!("/v1/subscriptions/{}", entry.subscription.id);
    let headers = [(header::LOCATION, location.as_str()), (header::CACHE_CONTROL, "no-store")];
    // A repeated request shows the secret only if the subscription has not changed since: its secret may be another
    // one by now.
    let response =
        respond(api, entry, |body, entry| if entry.is_unchanged() { body.revealing(entry) } else { body });
    Ok(mark_replayed((StatusCode::CREATED, headers, response.await?).into_response(), is_repeat))
}

/// Returns a subscription.
#[utoipa::path(
    get, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "get_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id.")),
    responses(
        (
            status = 200, description = "The subscription.", body = SubscriptionBody,
            headers(("ETag" = inline(EntityTagText), description = "The version of the subscription, for `If-Match`.")),
        ),
        CommonErrors, NotFoundError,
    ),
)]
pub async fn get(
    State(api): State<ApiState>,
    _: NoQuery,
    PathId(id): PathId<SubscriptionId>,
) -> Result<Response, ApiError> {
    let entry = api.flow.subscription(id).ok_or_else(|| ApiError::not_found("subscription", id))?;
    respond(api, entry, |body, _| body).await
}

/// Changes a subscription.
///
/// The change is a JSON Merge Patch (RFC 7396): members that you give replace the current values, null restores the
/// default, and members that you leave out stay unchanged. `enabled` enables or disables the subscription after all
/// other members have changed, in the same way as `/enable` and `/disable`.
#[utoipa::path(
    patch, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "change_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id."), IfMatch),
    request_body = ChangeBody,
    responses(
        (
            status = 200, description = "The changed subscription.", body = SubscriptionBody,
            headers(("ETag" = inline(EntityTagText), description = "The version of the subscription, for `If-Match`.")),
        ),
        CommonErrors, PreconditionError, BodyErrors, NotFoundError, ConflictError, UnavailableError,
    ),
)]
pub async fn change(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    _: NoQuery,
    IfMatchHeader(expected): IfMatchHeader,
    PathId(id): PathId<SubscriptionId>,
    request: Request,
) -> Result<Response, ApiError> {
    let members = body::read_members(request, &api.flow).await?;
    let entry = api.flow.change(actor, id, expected, members).await?;
    respond(api, entry, |body, _| body).await
}

/// Deletes a subscription.
///
/// Its unfinished deliveries are cancelled. Its finished deliveries stay in the log.
#[utoipa::path(
    delete, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "delete_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id."), IfMatch),
    responses(
        (status = 204, description = "The subscription is deleted."),
        CommonErrors, PreconditionError, NotFoundError, ConflictError, UnavailableError,
    ),
)]
pub async fn delete(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    _: NoQuery,
    IfMatchHeader(expected): IfMatchHeader,
    PathId(id): PathId<SubscriptionId>,
) -> Result<StatusCode, ApiError> {
    api.flow.delete(actor, id, expected).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Enables a subscription.
///
/// Held deliveries become due. If the receiver was failing, or the daemon disabled the subscription because of it, the
/// daemon first sends a signed health check. The receiver must answer it with 2xx, or the subscription stays disabled.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/enable", tag = "subscriptions", operation_id = "enable_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id."), IfMatch),
    responses(
        (
            status = 200, description = "The enabled subscription, with its health check if one was sent.", body = EnabledBody,
            headers(("ETag" = inline(EntityTagText), description = "The version of the subscription, for `If-Match`.")),
        ),
        CommonErrors, PreconditionError, NotFoundError, ConflictError, UnavailableError,
    ),
)]
pub async fn enable(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    _: NoQuery,
    IfMatchHeader(expected): IfMatchHeader,
    PathId(id): PathId<SubscriptionId>,
) -> Result<Response, ApiError> {
    let Enabled { entry, check, .. } = api.flow.enable(actor, id, expected).await?;
    let health_check = check.as_ref().map(AttemptBody::from);
    respond(api, entry, |subscription, _| EnabledBody { subscription, health_check }).await
}

/// Disables a subscription.
///
/// A subscription that you disable matches no new events. Its unfinished deliveries are held until you enable it again.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/disable", tag = "subscriptions", operation_id = "disable_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id."), IfMatch),
    responses(
        (
            status = 200, description = "The disabled subscription.", body = SubscriptionBody,
            headers(("ETag" = inline(EntityTagText), description = "The version of the subscription, for `If-Match`.")),
        ),
        CommonErrors, PreconditionError, NotFoundError, UnavailableError,
    ),
)]
pub async fn disable(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    _: NoQuery,
    IfMatchHeader(expected): IfMatchHeader,
    PathId(id): PathId<SubscriptionId>,
) -> Result<Response, ApiError> {
    let entry = api.flow.disable(actor, id, expected).await?;
    respond(api, entry, |body, _| body).await
}

/// Returns the JSON form of a subscription. Reads its statistics from the log, so it must run where blocking is allowed.
fn show(flow: &Flow, entry: &Entry) -> Result<SubscriptionBody, ApiError> {
    let stats = flow.stats(entry.subscription.id).map_err(|error| ApiError::internal(&error))?;
    Ok(SubscriptionBody::new(entry, stats, flow.now()))
}

/// Returns the response that shows a subscription, in the form that `finish` gives it, with its `ETag`.
///
/// # Errors
/// `internal`, if the statistics of the subscription cannot be read.
pub async fn respond<T: serde::Serialize + Send + 'static>(
    api: ApiState,
    entry: Entry,
    finish: impl FnOnce(SubscriptionBody, &Entry) -> T + Send + 'static,
) -> Result<Response, ApiError> {
    let etag = etag(&entry);
    let body = run_blocking(move || Ok(finish(show(&api.flow, &entry)?, &entry))).await?;
    let mut response = Json(body).into_response();
    response.headers_mut().extend(etag.map(|etag| (header::ETAG, etag)));
    Ok(response)
}
