//! Subscriptions: list, create, show, change, delete, switch on and off.

use axum::Json;
use axum::extract::{Extension, Path, Request, State};
use axum::response::{IntoResponse, Response};
use http::{StatusCode, Uri, header};
use serde_json::{Map, Value};

use super::access::Caller;
use super::page::Params;
use super::problem::Failure;
use super::refusals::{BadBody, Common, InConflict, NotNow, NotThere};
use super::wire::List;
use super::wire::delivery::AttemptBody;
use super::wire::schema::SubscriptionIdText;
use super::wire::subscription::{ChangeBody, EnabledBody, NewSubscription, SubscriptionBody};
use super::{Api, blocking, body};
use crate::flow::Flow;
use crate::flow::enable::Enabled;
use crate::flow::subscriptions::Entry;
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
pub async fn list(State(api): State<Api>, uri: Uri) -> Result<Json<List<SubscriptionBody>>, Failure> {
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
    request_body = NewSubscription,
    responses(
        (
            status = 201, description = "Made, with its secret", body = SubscriptionBody,
            headers(("location" = String, description = "Its path")),
        ),
        Common, BadBody, NotNow,
    ),
)]
pub async fn create(
    State(api): State<Api>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Failure> {
    Params::new(request.uri(), &[]).finish()?;
    let members = body::read_members(request, api.flow.config().server.body_bytes_max).await?;
    let input = SubscriptionInput::read(&members).map_err(Failure::Invalid)?;
    let flow = api.flow.clone();
    let change = async move {
        let entry = flow.create(input).await?;
        let Entry { subscription, .. } = &entry;
        tracing::info!(by = caller.name(), id = %subscription.id, name = %subscription.spec.name, "subscription created");
        Ok(entry)
    };
    let entry = api.carry_out(change).await?;
    let id = entry.subscription.id;
    let shown = blocking(move || Ok(show(&api.flow, &entry)?.revealing(&entry))).await?;
    let location = [(header::LOCATION, format!("/v1/subscriptions/{id}"))];
    Ok((StatusCode::CREATED, location, Json(shown)).into_response())
}

/// One subscription.
#[utoipa::path(
    get, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "get_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id")),
    responses((status = 200, description = "The subscription", body = SubscriptionBody), Common, NotThere),
)]
pub async fn get(
    State(api): State<Api>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Json<SubscriptionBody>, Failure> {
    Params::new(&uri, &[]).finish()?;
    let entry = api.flow.subscription(read_id(&id)?).ok_or_else(|| Failure::no_such("subscription", id))?;
    answer(api, move |flow| show(flow, &entry)).await
}

/// Changes a subscription: a member given replaces, null goes back to the default (RFC 7396).
///
/// `enabled` switches it on or off after the other members have changed, as `/enable` and `/disable` do.
#[utoipa::path(
    patch, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "change_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id")),
    request_body = ChangeBody,
    responses((status = 200, description = "As it is now", body = SubscriptionBody), Common, BadBody, NotThere, InConflict, NotNow),
)]
pub async fn change(
    State(api): State<Api>,
    Path(text): Path<String>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<SubscriptionBody>, Failure> {
    Params::new(request.uri(), &[]).finish()?;
    let id = read_id(&text)?;
    let mut members = body::read_members(request, api.flow.config().server.body_bytes_max).await?;
    let present = api.flow.subscription(id).ok_or_else(|| Failure::no_such("subscription", id))?;
    SubscriptionInput::read_change(&present.subscription.spec, &members).map_err(Failure::Invalid)?;
    let enabled = members.remove("enabled").and_then(|value| value.as_bool());
    let mut entry = present;
    if !members.is_empty() {
        let (flow, caller) = (api.flow.clone(), caller.clone());
        let change = async move {
            let entry = flow.change(id, &members).await?;
            tracing::info!(by = caller.name(), %id, members = %names(&members), "subscription changed");
            Ok(entry)
        };
        entry = api.carry_out(change).await?;
    }
    let is_enabled = entry.standing.disabled.is_none();
    if enabled.is_some_and(|enabled| enabled != is_enabled) {
        entry = if is_enabled {
            switch_off(&api, caller, id).await?
        } else {
            switch_on(&api, caller, id).await?.entry
        };
    }
    answer(api, move |flow| show(flow, &entry)).await
}

/// Deletes a subscription. What was unfinished is cancelled; what was delivered stays in the log.
#[utoipa::path(
    delete, path = "/v1/subscriptions/{id}", tag = "subscriptions", operation_id = "delete_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id")),
    responses((status = 204, description = "Deleted"), Common, NotThere, InConflict, NotNow),
)]
pub async fn delete(
    State(api): State<Api>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<StatusCode, Failure> {
    Params::new(&uri, &[]).finish()?;
    let id = read_id(&id)?;
    let flow = api.flow.clone();
    let change = async move {
        flow.delete(id).await?;
        tracing::info!(by = caller.name(), %id, "subscription deleted");
        Ok(StatusCode::NO_CONTENT)
    };
    api.carry_out(change).await
}

/// Switches a subscription on. After bad health a signed health check goes first and must be answered with 2xx.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/enable", tag = "subscriptions", operation_id = "enable_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id")),
    responses((status = 200, description = "Switched on, with the health check if one was sent", body = EnabledBody), Common, NotThere, InConflict, NotNow),
)]
pub async fn enable(
    State(api): State<Api>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<EnabledBody>, Failure> {
    Params::new(&uri, &[]).finish()?;
    let Enabled { entry, check, .. } = switch_on(&api, caller, read_id(&id)?).await?;
    let health_check = check.as_ref().map(AttemptBody::from);
    answer(api, move |flow| Ok(EnabledBody { subscription: show(flow, &entry)?, health_check })).await
}

/// Switches a subscription off: it matches nothing until it is switched on again.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/disable", tag = "subscriptions", operation_id = "disable_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id")),
    responses((status = 200, description = "Switched off", body = SubscriptionBody), Common, NotThere, NotNow),
)]
pub async fn disable(
    State(api): State<Api>,
    Path(id): Path<String>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<SubscriptionBody>, Failure> {
    Params::new(&uri, &[]).finish()?;
    let entry = switch_off(&api, caller, read_id(&id)?).await?;
    answer(api, move |flow| show(flow, &entry)).await
}

async fn switch_on(api: &Api, caller: Caller, id: SubscriptionId) -> Result<Enabled, Failure> {
    let flow = api.flow.clone();
    let change = async move {
        let enabled = flow.enable(id).await?;
        tracing::info!(by = caller.name(), %id, "subscription enabled");
        Ok(enabled)
    };
    api.carry_out(change).await
}

async fn switch_off(api: &Api, caller: Caller, id: SubscriptionId) -> Result<Entry, Failure> {
    let flow = api.flow.clone();
    let change = async move {
        let entry = flow.disable(id).await?;
        tracing::info!(by = caller.name(), %id, "subscription disabled");
        Ok(entry)
    };
    api.carry_out(change).await
}

/// An id that cannot be one names nothing.
fn read_id(text: &str) -> Result<SubscriptionId, Failure> {
    text.parse().map_err(|_| Failure::no_such("subscription", text))
}

fn names(members: &Map<String, Value>) -> String {
    members.keys().map(String::as_str).collect::<Vec<_>>().join(",")
}

/// Its statistics come from the log, so this is for where blocking is allowed.
fn show(flow: &Flow, entry: &Entry) -> Result<SubscriptionBody, Failure> {
    let stats = flow.stats(entry.subscription.id).map_err(|error| Failure::internal(&error))?;
    Ok(SubscriptionBody::new(entry, stats))
}

async fn answer<T: Send + 'static>(
    api: Api,
    show: impl FnOnce(&Flow) -> Result<T, Failure> + Send + 'static,
) -> Result<Json<T>, Failure> {
    blocking(move || Ok(Json(show(&api.flow)?))).await
}
