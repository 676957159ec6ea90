//! `POST /v1/subscriptions/{id}/test`: test deliveries.

use axum::Json;
use axum::extract::{Request, State};

use crate::api::error::ApiError;
use crate::api::openapi::responses::{BodyErrors, CommonErrors, NotFoundError, UnavailableError};
use crate::api::request::actor::AuditActor;
use crate::api::request::json_members::JsonMembers;
use crate::api::request::path::PathId;
use crate::api::request::query::NoQuery;
use crate::api::state::ApiState;
use crate::api::wire::delivery::AttemptBody;
use crate::api::wire::sample::{SampleInputBody, SampleResultBody};
use crate::api::wire::schema::SubscriptionIdText;
use crate::model::id::SubscriptionId;
use crate::model::name::EventType;

/// Sends one signed sample event to a subscription now, and returns the attempt.
///
/// The sample has the type `webhook.test` (`WEBHOOK_TEST` in `blue` format) unless you give another `type`. It is sent
/// even if the subscription is disabled. It is not stored, not retried, and does not affect the subscription's health.
/// The status is 200 whether or not the receiver accepts the sample.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/test", tag = "subscriptions", operation_id = "test_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id.")),
    request_body(content = Option<SampleInputBody>),
    responses(
        (status = 200, description = "The attempt, successful or not.", body = SampleResultBody),
        CommonErrors, BodyErrors, NotFoundError, UnavailableError,
    ),
)]
pub async fn test(
    State(api): State<ApiState>,
    AuditActor(actor): AuditActor,
    _: NoQuery,
    PathId(id): PathId<SubscriptionId>,
    request: Request,
) -> Result<Json<SampleResultBody>, ApiError> {
    let mut members = JsonMembers::read(request, &api.flow, &["type"]).await?;
    let event_type: Option<EventType> = members.get("type");
    members.finish()?;
    let attempt = AttemptBody::from(&api.flow.send_sample(actor, id, event_type).await?);
    Ok(Json(SampleResultBody { attempt }))
}
