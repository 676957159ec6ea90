//! `POST /v1/match`: test which subscriptions match an event.

use axum::Json;
use axum::extract::{Request, State};

use super::submit::to_api_error;
use crate::api::error::ApiError;
use crate::api::openapi::parameters::Paging;
use crate::api::openapi::responses::{BodyErrors, CommonErrors};
use crate::api::request::query::QueryParams;
use crate::api::request::{body, submission};
use crate::api::state::{ApiState, run_blocking};
use crate::api::wire::event::{EventInput, MatchBody};
use crate::api::wire::list::ListBody;
use crate::api::wire::schema::SubscriptionIdText;
use crate::model::event::EventContent;
use crate::model::id::SubscriptionId;

/// Tests which subscriptions match an event, without delivering it.
///
/// The list contains every subscription. For each that does not match, it names the first reason.
#[utoipa::path(
    post, path = "/v1/match", tag = "events", operation_id = "match_event",
    request_body = EventInput,
    params(Paging::<SubscriptionIdText>),
    responses(
        (status = 200, description = "A page of results, in the order of subscription ids.", body = ListBody<MatchBody>),
        CommonErrors, BodyErrors,
    ),
)]
pub async fn match_event(
    State(api): State<ApiState>,
    request: Request,
) -> Result<Json<ListBody<MatchBody>>, ApiError> {
    let mut params = QueryParams::new(request.uri(), &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<SubscriptionId>("cursor"));
    params.finish()?;
    let body = body::read_json(request, &api.flow).await?;
    let event = submission::read_one(&body).map_err(|error| to_api_error(error, 1))?;
    run_blocking(move || Ok(Json(page(&api, &event, after, limit)))).await
}

/// Returns the results for the first `limit` subscriptions after `after`.
fn page(
    api: &ApiState,
    event: &EventContent,
    after: Option<SubscriptionId>,
    limit: usize,
) -> ListBody<MatchBody> {
    let explanations = api.flow.explain(event).into_iter();
    let mut rest = explanations.filter(|one| after.is_none_or(|after| one.subscription > after)).peekable();
    let mut last = None;
    let items = rest.by_ref().take(limit).inspect(|one| last = Some(one.subscription)).map(MatchBody::from);
    let items = items.collect();
    let next_cursor = rest.peek().and(last).map(|id| id.to_string());
    ListBody { items, next_cursor }
}
