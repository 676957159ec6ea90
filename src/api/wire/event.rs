//! Events: submitted, accepted, matched, shown.
//!
//! [`EventInput`], [`SubmitRequest`] and [`SubmitResponse`] are for the OpenAPI document alone: `submission` reads without
//! building them, and `events` writes its answers by hand.

use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use utoipa::openapi::schema::{Object, Schema, SchemaFormat, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::schema::{
    CompanyText, EventIdText, EventTypeText, GivenTime, Json, ProjectText, SenderIdText, SubscriptionIdText,
    Time,
};
use crate::flow::accept::Accepted;
use crate::flow::view::Explanation;
use crate::model::event::{Event, EventContent};
use crate::model::id::EventId;
use crate::model::time::Timestamp;
use crate::rules::matcher::MatchOutcome;

/// One event to submit.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "type": "TODO_CREATED", "project": "website", "company": "acme", "data": { "title": "Hello" },
    "id": "order-4711", "occurred_at": "2026-01-31T08:00:00.000Z",
})))]
pub struct EventInput {
    /// What happened.
    #[schema(value_type = EventTypeText)]
    r#type: String,
    /// Where it happened.
    #[schema(value_type = ProjectText)]
    project: String,
    /// Whose project that is.
    #[schema(value_type = Option<CompanyText>)]
    company: Option<String>,
    /// What it is about.
    #[schema(value_type = Json, required = false)]
    data: Option<Value>,
    /// The sender's own id: the same one again within the dedup window is the same event.
    #[schema(value_type = Option<SenderIdText>)]
    id: Option<String>,
    /// When it happened; the time of arrival if left out.
    #[schema(value_type = Option<GivenTime>)]
    occurred_at: Option<String>,
}

/// What `POST /v1/events` takes: one event, or a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Submitted, examples(json!({
    "type": "TODO_CREATED", "project": "website", "company": "acme", "data": { "title": "Hello" },
    "id": "order-4711", "occurred_at": "2026-01-31T08:00:00.000Z",
})))]
pub enum SubmitRequest {
    /// One.
    One(EventInput),
    /// All of them or none; at most `server.batch_events_max`.
    List(Vec<EventInput>),
}

/// Events in `application/x-ndjson`: one a line, blank lines passed over.
pub struct Lines;

impl PartialSchema for Lines {
    fn schema() -> RefOr<Schema> {
        Object::builder()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("ndjson".to_owned())))
            .description(Some("One event a line; blank lines are passed over."))
            .content_schema(Some(Ref::from_schema_name("EventInput")))
            .examples([LINES])
            .into()
    }
}

impl ToSchema for Lines {}

const LINES: &str =
    "{\"type\":\"TODO_CREATED\",\"project\":\"website\"}\n{\"type\":\"TODO_DONE\",\"project\":\"website\"}\n";

/// What `POST /v1/events` answers: to one event, or to a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Answered, examples(json!({ "id": "evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G", "matched": 2, "duplicate": false })))]
pub enum SubmitResponse {
    /// To one.
    One(AcceptedBody),
    /// To a list, in its order.
    List(AcceptedList),
}

/// What became of one submitted event.
#[derive(Serialize, ToSchema)]
#[schema(as = Accepted, examples(json!({ "id": "evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G", "matched": 2, "duplicate": false })))]
pub struct AcceptedBody {
    /// The event's id; of a duplicate, the first one's.
    #[schema(value_type = EventIdText)]
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
#[schema(as = Match, examples(json!({
    "subscription": "sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7", "name": "crm", "matches": false, "reason": "events",
})))]
pub struct MatchBody {
    /// Its id.
    #[schema(value_type = SubscriptionIdText)]
    subscription: String,
    /// Its name.
    name: String,
    /// Whether it would match.
    matches: bool,
    /// The first reason why not.
    #[schema(value_type = Option<MismatchReason>, required)]
    reason: Option<&'static str>,
}

/// Why a subscription does not match an event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MismatchReason {
    /// Not of its event types.
    Events,
    /// Not of its projects.
    Projects,
    /// Its filter is not true.
    Filter,
    /// A person has switched it off.
    Disabled,
}

impl From<Explanation> for MatchBody {
    fn from(explanation: Explanation) -> Self {
        let reason = match explanation.verdict {
            MatchOutcome::Matches => None,
            MatchOutcome::Events => Some("events"),
            MatchOutcome::Projects => Some("projects"),
            MatchOutcome::Filter => Some("filter"),
            MatchOutcome::Disabled => Some("disabled"),
        };
        let subscription = explanation.subscription.to_string();
        Self { subscription, name: explanation.name, matches: reason.is_none(), reason }
    }
}

/// An accepted event.
#[derive(Serialize, ToSchema)]
#[schema(as = Event, examples(json!({
    "id": "evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G", "type": "TODO_CREATED", "project": "website", "company": "acme",
    "sender_id": "order-4711", "occurred_at": "2026-01-31T08:00:00.000Z",
    "accepted_at": "2026-01-31T08:00:00.001Z", "data": { "title": "Hello" },
})))]
pub struct EventBody {
    /// Its id.
    #[schema(value_type = EventIdText)]
    id: String,
    /// What happened.
    #[schema(value_type = EventTypeText)]
    r#type: String,
    /// Where it happened.
    #[schema(value_type = ProjectText)]
    project: String,
    /// Whose project that is.
    #[schema(value_type = Option<CompanyText>, required)]
    company: Option<String>,
    /// The sender's own id.
    #[schema(value_type = Option<SenderIdText>, required)]
    sender_id: Option<String>,
    /// When it happened.
    #[schema(value_type = Time)]
    occurred_at: Timestamp,
    /// When it arrived.
    #[schema(value_type = Time)]
    accepted_at: Timestamp,
    /// What was submitted, byte for byte; left out in lists and where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Json, required = false)]
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
