//! The JSON forms of what the API shows. Secrets have no form here but in the answer that made them.

use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::flow::accept::Accepted;
use crate::flow::subscriptions::Entry;
use crate::flow::view::{DeliveryView, Explanation, Stats};
use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::{Delivery, Progress};
use crate::model::event::Event;
use crate::model::time::{Timestamp, millis};
use crate::rules::matcher::Verdict;

/// One page of a list.
#[derive(Serialize, ToSchema)]
pub struct List<T> {
    /// The page; it may be shorter than `limit`, even empty, and still have a next one.
    pub items: Vec<T>,
    /// Give it as `cursor` for the next page; null on the last.
    pub next_cursor: Option<String>,
}

/// One event to submit.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what submission.rs reads without building it")]
pub struct EventInput {
    /// What happened: 1 to 128 of `A-Z a-z 0-9 _ . - :`.
    #[schema(example = "TODO_CREATED", max_length = 128)]
    r#type: String,
    /// Where it happened.
    #[schema(example = "website", max_length = 128)]
    project: String,
    /// Whose project that is.
    #[schema(example = "acme", max_length = 128)]
    company: Option<String>,
    /// Any JSON, passed through byte for byte.
    data: Option<Value>,
    /// The sender's own id: the same one again within the dedup window is the same event.
    #[schema(max_length = 128)]
    id: Option<String>,
    /// When it happened (RFC 3339); the time of arrival if left out.
    #[schema(format = DateTime)]
    occurred_at: Option<String>,
}

/// What became of one submitted event.
#[derive(Serialize, ToSchema)]
pub struct AcceptedBody {
    /// The event's id; of a duplicate, the first one's.
    id: String,
    /// How many subscriptions it is on its way to.
    matched: usize,
    /// Whether it was submitted before; then nothing is delivered again.
    duplicate: bool,
}

impl From<&Accepted> for AcceptedBody {
    fn from(accepted: &Accepted) -> Self {
        Self { id: accepted.id.to_string(), matched: accepted.matched, duplicate: accepted.duplicate }
    }
}

/// What became of a list of submitted events, in its order.
#[derive(Serialize, ToSchema)]
pub struct AcceptedList {
    /// One for each event.
    pub results: Vec<AcceptedBody>,
}

/// Whether a subscription would match an event.
#[derive(Serialize, ToSchema)]
pub struct MatchBody {
    /// Its id.
    subscription: String,
    /// Its name.
    name: String,
    /// Whether it would match.
    matches: bool,
    /// The first reason why not: `events`, `projects`, `filter` or `disabled`.
    reason: Option<&'static str>,
}

impl From<Explanation> for MatchBody {
    fn from(explanation: Explanation) -> Self {
        let reason = match explanation.verdict {
            Verdict::Matches => None,
            Verdict::Events => Some("events"),
            Verdict::Projects => Some("projects"),
            Verdict::Filter => Some("filter"),
            Verdict::Disabled => Some("disabled"),
        };
        let subscription = explanation.subscription.to_string();
        Self { subscription, name: explanation.name, matches: reason.is_none(), reason }
    }
}

/// A subscription's settings, as they are given and shown.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what model::input reads member by member")]
pub struct SubscriptionInputBody {
    /// A name for people; the URL's host if left out.
    name: Option<String>,
    /// Where deliveries go: http or https. Required to create.
    #[schema(example = "https://crm.internal/hooks")]
    url: Option<String>,
    /// Which event types; everything if left out.
    #[schema(example = json!(["TODO_*", "!TODO_DELETED"]))]
    events: Option<Vec<String>>,
    /// Which projects; everything if left out.
    #[schema(example = json!(["acme/*", "globex/website"]))]
    projects: Option<Vec<String>>,
    /// A CEL expression over `event` that must also be true.
    filter: Option<String>,
    /// `standard`, `blue`, `raw` or `cloudevents`.
    format: Option<String>,
    /// Headers added to each request.
    headers: Option<std::collections::BTreeMap<String, String>>,
    /// The deadline of a whole exchange, such as `"7s"`.
    timeout: Option<String>,
    /// Waits before attempts 2, 3, …
    retry_schedule: Option<Vec<String>>,
    /// Requests out at once.
    max_in_flight: Option<u32>,
    /// Attempts in a span of time, such as `"50/s"`.
    rate_limit: Option<String>,
    /// `none` or `fifo`.
    ordering: Option<String>,
    /// Whether it is switched on.
    enabled: Option<bool>,
    /// `whsec_` and base64; made if left out.
    secret: Option<String>,
}

/// A subscription.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionBody {
    /// Its id.
    id: String,
    /// `name url events projects filter format headers timeout retry_schedule max_in_flight rate_limit ordering`.
    #[serde(flatten)]
    #[schema(value_type = SubscriptionInputBody, inline)]
    spec: Map<String, Value>,
    /// Whether it is switched on.
    enabled: bool,
    /// `healthy`, `failing` or `disabled`.
    health: &'static str,
    /// Why it is switched off: `exhausted`, `gone` or `manual`.
    disabled_reason: Option<&'static str>,
    /// Since when it is switched off.
    #[schema(value_type = Option<String>, format = DateTime)]
    disabled_at: Option<Timestamp>,
    /// The answer that led to it, in a few words.
    disabled_detail: Option<String>,
    /// Who changes it: `api` or `config`.
    managed_by: &'static str,
    /// When it was made.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When its settings last changed.
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
    /// Its deliveries by state, over the retained log.
    stats: StatsBody,
    /// The signing secret: only in the answer that made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl SubscriptionBody {
    /// The subscription without its secret.
    pub fn new(entry: &Entry, stats: Stats) -> Self {
        let Entry { subscription, standing, .. } = entry;
        let disabled = standing.disabled.as_ref();
        Self {
            id: subscription.id.to_string(),
            spec: subscription.spec.to_members(),
            enabled: disabled.is_none(),
            health: standing.health().as_str(),
            disabled_reason: disabled.map(|disabled| disabled.reason.as_str()),
            disabled_at: disabled.map(|disabled| disabled.at),
            disabled_detail: disabled.map(|disabled| disabled.detail.clone()).filter(|text| !text.is_empty()),
            managed_by: subscription.managed_by.as_str(),
            created_at: subscription.created_at,
            updated_at: subscription.updated_at,
            stats: stats.into(),
            secret: None,
        }
    }

    /// The same with its current secret, for the answer that made it.
    #[must_use]
    pub fn revealing(mut self, entry: &Entry) -> Self {
        let current = entry.subscription.secrets.first();
        self.secret = current.map(|signing| signing.secret.reveal().to_owned());
        self
    }
}

/// A subscription that was switched on, with the health check if one was sent.
#[derive(Serialize, ToSchema)]
pub struct EnabledBody {
    /// The subscription.
    #[serde(flatten)]
    pub subscription: SubscriptionBody,
    /// The health check; null if none was needed.
    pub health_check: Option<AttemptBody>,
}

/// A subscription's deliveries by state, and its filter's failures.
#[derive(Serialize, ToSchema)]
pub struct StatsBody {
    pending: u64,
    held: u64,
    in_flight: u64,
    succeeded: u64,
    exhausted: u64,
    cancelled: u64,
    /// When the oldest delivery that still waits was made.
    #[schema(value_type = Option<String>, format = DateTime)]
    oldest_waiting_at: Option<Timestamp>,
    /// How often `filter` failed while running, which counts as not matching.
    filter_errors: u64,
    /// The last such failure.
    last_filter_error: Option<String>,
}

impl From<Stats> for StatsBody {
    fn from(stats: Stats) -> Self {
        Self {
            pending: stats.pending,
            held: stats.held,
            in_flight: stats.in_flight,
            succeeded: stats.succeeded,
            exhausted: stats.exhausted,
            cancelled: stats.cancelled,
            oldest_waiting_at: stats.oldest_waiting_at,
            filter_errors: stats.filter_errors,
            last_filter_error: stats.last_filter_error,
        }
    }
}

/// An accepted event.
#[derive(Serialize, ToSchema)]
pub struct EventBody {
    /// Its id.
    id: String,
    /// What happened.
    r#type: String,
    /// Where it happened.
    project: String,
    /// Whose project that is.
    company: Option<String>,
    /// The sender's own id.
    sender_id: Option<String>,
    /// When it happened.
    #[schema(value_type = String, format = DateTime)]
    occurred_at: Timestamp,
    /// When it arrived.
    #[schema(value_type = String, format = DateTime)]
    accepted_at: Timestamp,
    /// What was submitted, byte for byte; left out in lists and where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Value>)]
    data: Option<Box<RawValue>>,
}

impl EventBody {
    /// The event without its data, as lists show it.
    pub fn head(event: &Event) -> Self {
        let content = &event.content;
        Self {
            id: event.id.to_string(),
            r#type: content.event_type.to_string(),
            project: content.project.to_string(),
            company: content.company.as_ref().map(ToString::to_string),
            sender_id: content.sender_id.as_ref().map(ToString::to_string),
            occurred_at: event.occurred_at(),
            accepted_at: event.id.time(),
            data: None,
        }
    }

    /// The event with its data as it was submitted.
    pub fn whole(event: &Event) -> Self {
        let text = event.content.data.as_ref().map(|data| String::from_utf8_lossy(data).into_owned());
        Self { data: text.and_then(|text| RawValue::from_string(text).ok()), ..Self::head(event) }
    }
}

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
