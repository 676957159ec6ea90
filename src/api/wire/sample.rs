//! Samples: what one is asked for with, and what came of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::delivery::AttemptBody;
use super::schema::EventTypeText;

/// What `POST /v1/subscriptions/{id}/test` takes; the body may be left out.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Sample, examples(json!({ "type": "TODO_CREATED" })))]
pub struct SampleInputBody {
    /// The event type that the sample shows; `webhook.test`, or `WEBHOOK_TEST` in `blue` format, if left out.
    #[schema(value_type = Option<EventTypeText>)]
    r#type: Option<String>,
}

/// What came of a sample.
#[derive(Serialize, ToSchema)]
#[schema(as = Tested)]
pub struct TestedBody {
    /// The one request that was made.
    pub attempt: AttemptBody,
}
