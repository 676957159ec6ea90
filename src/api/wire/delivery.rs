//! Deliveries and their attempts.

use serde::Serialize;
use utoipa::ToSchema;

use crate::flow::view::DeliveryView;
use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::{Delivery, Progress};
use crate::model::time::{Timestamp, millis};

/// One request that was made for a delivery.
#[derive(Debug, Serialize, ToSchema)]
pub struct AttemptBody {
    /// 1 for the first.
    number: u32,
    /// When the request began.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// How long the whole exchange took.
    duration_ms: u64,
    /// The HTTP status, if there was an answer.
    status: Option<u16>,
    /// The kind of failure, if there was none: `dns`, `forbidden_address`, `connect`, `tls`, `timeout`, `protocol`, `internal`.
    error: Option<&'static str>,
    /// What happened, in a few words.
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
pub struct DeliveryBody {
    /// Its id.
    id: String,
    /// The event's id.
    event: String,
    /// The subscription's id.
    subscription: String,
    /// `pending`, `in_flight`, `succeeded`, `exhausted`, `held` or `cancelled`.
    state: &'static str,
    /// Why it is where it is, in words.
    reason: Option<String>,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When the next attempt is due, while it waits.
    #[schema(value_type = Option<String>, format = DateTime)]
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
            reason: view.reason,
            created_at: delivery.id.time(),
            due_at,
            attempts: delivery.attempts.iter().map(AttemptBody::from).collect(),
        }
    }
}
