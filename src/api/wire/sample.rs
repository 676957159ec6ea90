//! Samples: what one is asked for with, and what came of it.

use serde::Serialize;
use utoipa::ToSchema;

use super::delivery::AttemptBody;

/// What `POST /v1/subscriptions/{id}/test` takes; the body may be left out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what api::intervene reads member by member")]
pub struct SampleInputBody {
    /// The event type that the sample shows; `webhook.test`, or `WEBHOOK_TEST` in `blue` format, if left out.
    #[schema(example = "TODO_CREATED", min_length = 1, max_length = 128, pattern = "^[A-Za-z0-9_.:-]+$")]
    r#type: Option<String>,
}

/// What came of a sample.
#[derive(Serialize, ToSchema)]
pub struct TestedBody {
    /// The one request that was made.
    pub attempt: AttemptBody,
}
