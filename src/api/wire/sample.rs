//! The JSON forms of test deliveries.

use serde::Serialize;
use utoipa::ToSchema;

use super::delivery::AttemptBody;
use super::schema::EventTypeText;

/// The body of `POST /v1/subscriptions/{id}/test`. You may leave it out.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Sample, examples(json!({ "type": "TODO_CREATED" })))]
pub struct SampleInputBody {
    /// The type of the sample event. The default is `webhook.test`, or `WEBHOOK_TEST` in `blue` format.
    #[schema(value_type = Option<EventTypeText>)]
    r#type: Option<String>,
}

/// The result of a test delivery.
#[derive(Serialize, ToSchema)]
#[schema(as = Tested)]
pub struct SampleResultBody {
    /// The attempt to deliver the sample.
    pub attempt: AttemptBody,
}
