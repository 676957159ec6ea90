//! Events: submitted, accepted, matched, shown.
//!
//! [`EventInput`], [`Submitted`] and [`Answered`] are for the OpenAPI document alone: `submission` reads without
//! building them, and `events` writes its answers by hand.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::ToSchema;

use crate::flow::accept::Accepted;
use crate::flow::view::Explanation;
use crate::model::event::{Event, EventContent};
use crate::model::id::EventId;
use crate::model::time::Timestamp;
use crate::rules::matcher::Verdict;

/// One event to submit.
#[derive(Serialize, ToSchema)]
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

/// What `POST /v1/events` takes: one event, or a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Submitted {
    /// One.
    One(EventInput),
    /// All of them or none.
    List(Vec<EventInput>),
}

/// What `POST /v1/events` answers: to one event, or to a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum Answered {
    /// To one.
    One(AcceptedBody),
    /// To a list, in its order.
    List(AcceptedList),
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
    pub fn head(id: EventId, content: &EventContent) -> Self {
        Self {
            id: id.to_string(),
            r#type: content.event_type.to_string(),
            project: content.project.to_string(),
            company: content.company.as_ref().map(ToString::to_string),
            sender_id: content.sender_id.as_ref().map(ToString::to_string),
            occurred_at: content.occurred_at.unwrap_or_else(|| id.time()),
            accepted_at: id.time(),
            data: None,
        }
    }

    /// The event with its data as it was submitted.
    pub fn whole(event: &Event) -> Self {
        let text = event.content.data.as_ref().map(|data| String::from_utf8_lossy(data).into_owned());
        Self {
            data: text.and_then(|text| RawValue::from_string(text).ok()),
            ..Self::head(event.id, &event.content)
        }
    }
}
