//! A person steps in: a delivery tried again or given up on, a sample sent.

use axum::Json;
use axum::extract::{Path, Request, State};
use http::Uri;

use crate::api::openapi::responses::{BadBody, Common, InConflict, NotNow, NotThere};
use crate::api::problem::ApiError;
use crate::api::request::actor::By;
use crate::api::request::json_members::Members;
use crate::api::request::query::Params;
use crate::api::state::Api;
use crate::api::wire::delivery::{AttemptBody, DeliveryBody};
use crate::api::wire::sample::{SampleInputBody, TestedBody};
use crate::api::wire::schema::{DeliveryIdText, SubscriptionIdText};
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::name::EventType;

/// Tries a delivery again now, whatever became of it.
///
/// It never takes a scheduled attempt away: the whole retry schedule is ahead of it again, and its attempts
/// are counted on. If its subscription is switched off, it is held.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/retry", tag = "deliveries", operation_id = "retry_delivery",
    params(("id" = inline(DeliveryIdText), Path, description = "The delivery's id")),
    responses((status = 200, description = "As it is now", body = DeliveryBody), Common, NotThere, InConflict, NotNow),
)]
pub async fn retry(
    State(api): State<Api>,
    Path(text): Path<String>,
    By(actor): By,
    uri: Uri,
) -> Result<Json<DeliveryBody>, ApiError> {
    Params::new(&uri, &[]).finish()?;
    let id = read_id(&text)?;
    let flow = api.flow.clone();
    let change = async move {
        let delivery = flow.retry(actor, id).await?;
        Ok(delivery)
    };
    let delivery = api.carry_out(change).await?;
    Ok(Json(DeliveryBody::new(&delivery, api.flow.view(&delivery))))
}

/// Gives a delivery up that is pending or held. `retry` takes it up again.
///
/// One that has ended cannot be cancelled any more; nor can one in flight, whose receiver may be taking it: wait
/// for its answer, then cancel what is left of it.
#[utoipa::path(
    post, path = "/v1/deliveries/{id}/cancel", tag = "deliveries", operation_id = "cancel_delivery",
    params(("id" = inline(DeliveryIdText), Path, description = "The delivery's id")),
    responses((status = 200, description = "Cancelled", body = DeliveryBody), Common, NotThere, InConflict, NotNow),
)]
pub async fn cancel(
    State(api): State<Api>,
    Path(text): Path<String>,
    By(actor): By,
    uri: Uri,
) -> Result<Json<DeliveryBody>, ApiError> {
    Params::new(&uri, &[]).finish()?;
    let id = read_id(&text)?;
    let flow = api.flow.clone();
    let change = async move {
        let delivery = flow.cancel(actor, id).await?;
        Ok(delivery)
    };
    let delivery = api.carry_out(change).await?;
    Ok(Json(DeliveryBody::new(&delivery, api.flow.view(&delivery))))
}

/// Sends one signed sample now, also to a subscription that is switched off, and answers with the attempt.
///
/// The sample has the type `webhook.test` (`WEBHOOK_TEST` in `blue` format) unless `type` names another. It is no
/// delivery: it is not stored, not tried again, and changes nothing about the subscription's health. The answer
/// is 200 whether or not the receiver took it.
#[utoipa::path(
    post, path = "/v1/subscriptions/{id}/test", tag = "subscriptions", operation_id = "test_subscription",
    params(("id" = inline(SubscriptionIdText), Path, description = "The subscription's id")),
    request_body(content = Option<SampleInputBody>),
    responses((status = 200, description = "What came of it", body = TestedBody), Common, BadBody, NotThere, NotNow),
)]
pub async fn test(
    State(api): State<Api>,
    Path(text): Path<String>,
    By(actor): By,
    request: Request,
) -> Result<Json<TestedBody>, ApiError> {
    Params::new(request.uri(), &[]).finish()?;
    let id: SubscriptionId = text.parse().map_err(|_| ApiError::no_such("subscription", &text))?;
    let mut members = Members::read(request, &api.flow, &["type"]).await?;
    let event_type: Option<EventType> = members.text("type");
    members.finish()?;
    let flow = api.flow.clone();
    let change = async move {
        let attempt = flow.send_sample(actor, id, event_type).await?;
        Ok(attempt)
    };
    let attempt = AttemptBody::from(&api.carry_out(change).await?);
    Ok(Json(TestedBody { attempt }))
}

fn read_id(text: &str) -> Result<DeliveryId, ApiError> {
    text.parse().map_err(|_| ApiError::no_such("delivery", text))
}
