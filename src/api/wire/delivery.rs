//! The JSON forms of deliveries and their attempts.

use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{AttemptError, DeliveryIdText, DeliveryState, EventIdText, SubscriptionIdText, Time};
use crate::flow::query::status::DeliveryView;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::{Delivery, Progress};
use crate::model::time::{Timestamp, millis};

/// An attempt to deliver an event: one request to the receiver.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt, examples(json!({
    "number": 1, "started_at": "2026-01-31T08:00:00.004Z", "duration_ms": 12, "status": 503, "error": null,
    "error_detail": null, "response_excerpt": "down for maintenance",
})))]
pub struct AttemptBody {
    /// The number of the attempt. The first attempt of a delivery is 1.
    #[schema(minimum = 1)]
    number: u32,
    /// The time when the request started.
    #[schema(value_type = Time)]
    started_at: Timestamp,
    /// The duration from the start of the request to the end of the response, in milliseconds.
    duration_ms: u64,
    /// The HTTP status of the response; null if there was no complete response.
    #[schema(required, minimum = 100, maximum = 999)]
    status: Option<u16>,
    /// The reason that there was no complete response; null if there was one.
    #[schema(value_type = Option<AttemptError>, required)]
    error: Option<&'static str>,
    /// The description of the error; null if there was none.
    #[schema(required)]
    error_detail: Option<String>,
    /// The start of the response's body. Bytes that are not UTF-8 appear as U+FFFD.
    response_excerpt: String,
}

impl AttemptBody {
    /// Returns the outcome in a few words, such as `503` or `timeout: no answer within 7s`.
    pub fn summary(&self) -> String {
        match (self.status, self.error, &self.error_detail) {
            (Some(status), _, _) => status.to_string(),
            (None, error, detail) => {
                format!("{}: {}", error.unwrap_or_default(), detail.as_deref().unwrap_or_default())
            }
        }
    }
}

impl From<&Attempt> for AttemptBody {
    fn from(attempt: &Attempt) -> Self {
        let (error, error_detail) = match &attempt.outcome {
            Outcome::Failed { class, detail } => (Some(class.as_str()), Some(detail.clone())),
            Outcome::Success { .. } | Outcome::Rejected { .. } => (None, None),
        };
        Self {
            number: attempt.number,
            started_at: attempt.started_at,
            duration_ms: millis(attempt.duration),
            status: attempt.outcome.status(),
            error,
            error_detail,
            response_excerpt: String::from_utf8_lossy(&attempt.excerpt).into_owned(),
        }
    }
}

/// A delivery of one event to one subscription.
#[derive(Serialize, ToSchema)]
#[schema(as = Delivery, examples(json!({
    "id": "dlv_01K3Z9QJ5M8W2R4T6Y8A0C2E4H", "event": "evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G",
    "subscription": "sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7", "state": "pending",
    "reason": "waiting for attempt 2", "created_at": "2026-01-31T08:00:00.000Z",
    "due_at": "2026-01-31T08:00:05.310Z",
    "attempts": [{
        "number": 1, "started_at": "2026-01-31T08:00:00.004Z", "duration_ms": 12, "status": 503, "error": null,
        "error_detail": null, "response_excerpt": "down for maintenance",
    }],
})))]
pub struct DeliveryBody {
    /// The delivery's id.
    #[schema(value_type = DeliveryIdText)]
    id: String,
    /// The event's id.
    #[schema(value_type = EventIdText)]
    event: String,
    /// The subscription's id.
    #[schema(value_type = SubscriptionIdText)]
    subscription: String,
    /// The state of the delivery.
    #[schema(value_type = DeliveryState)]
    state: &'static str,
    /// The reason for the state, in words; null if the state says all.
    #[schema(required)]
    reason: Option<String>,
    /// The time when the delivery was created.
    #[schema(value_type = Time)]
    created_at: Timestamp,
    /// The time when the next attempt is due; null if the delivery is in a final state.
    #[schema(value_type = Option<Time>, required)]
    due_at: Option<Timestamp>,
    /// All attempts, in order.
    attempts: Vec<AttemptBody>,
}

impl DeliveryBody {
    /// Returns the JSON form of a delivery in its current state.
    pub fn new(delivery: &Delivery, view: DeliveryView) -> Self {
        let due_at = match delivery.progress {
            Progress::Waiting { due } => Some(due),
            Progress::Succeeded | Progress::Exhausted | Progress::Cancelled => None,
        };
        Self {
            id: delivery.id.to_string(),
            event: delivery.event.to_string(),
            subscription: delivery.subscription.to_string(),
            state: view.state.as_str(),
            reason: view.reason.map(|reason| reason.to_string()),
            created_at: delivery.id.time(),
            due_at,
            attempts: delivery.attempts.iter().map(AttemptBody::from).collect(),
        }
    }
}
