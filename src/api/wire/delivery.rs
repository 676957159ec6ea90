//! Deliveries and their attempts.

use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{AttemptError, DeliveryIdText, DeliveryState, EventIdText, SubscriptionIdText, Time};
use crate::flow::query::status::DeliveryView;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::{Delivery, Progress};
use crate::model::time::{Timestamp, millis};

/// One request that was made for a delivery.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Attempt, examples(json!({
    "number": 1, "started_at": "2026-01-31T08:00:00.004Z", "duration_ms": 12, "status": 503, "error": null,
    "error_detail": null, "response_excerpt": "down for maintenance",
})))]
pub struct AttemptBody {
    /// 1 for the first.
    #[schema(minimum = 1)]
    number: u32,
    /// When the request began.
    #[schema(value_type = Time)]
    started_at: Timestamp,
    /// How long the whole exchange took.
    duration_ms: u64,
    /// The HTTP status, if there was an answer.
    #[schema(required, minimum = 100, maximum = 999)]
    status: Option<u16>,
    /// Why there was none.
    #[schema(value_type = Option<AttemptError>, required)]
    error: Option<&'static str>,
    /// What happened, in a few words.
    #[schema(required)]
    error_detail: Option<String>,
    /// The beginning of the answer's body; what is not UTF-8 shows as U+FFFD.
    response_excerpt: String,
}

impl AttemptBody {
    /// `503`, or `timeout: no answer within 7s`.
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

/// One event on its way to one subscription.
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
    /// Its id.
    #[schema(value_type = DeliveryIdText)]
    id: String,
    /// The event's id.
    #[schema(value_type = EventIdText)]
    event: String,
    /// The subscription's id.
    #[schema(value_type = SubscriptionIdText)]
    subscription: String,
    /// Where it stands.
    #[schema(value_type = DeliveryState)]
    state: &'static str,
    /// Why it is where it is, in words.
    #[schema(required)]
    reason: Option<String>,
    /// When it was made.
    #[schema(value_type = Time)]
    created_at: Timestamp,
    /// When the next attempt is due, while it waits.
    #[schema(value_type = Option<Time>, required)]
    due_at: Option<Timestamp>,
    /// Every request made for it, in order.
    attempts: Vec<AttemptBody>,
}

impl DeliveryBody {
    /// The delivery as it shows now.
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
