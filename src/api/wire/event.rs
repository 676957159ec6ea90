//! The JSON forms of events.
//!
//! [`EventInput`], [`SubmitRequest`] and [`SubmitResponse`] exist for the OpenAPI document only.
//! [`submission`](crate::api::request::submission) reads events without building these types, and
//! [`submit`](mod@crate::api::routes::submit) writes its responses by hand.

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
use crate::flow::Accepted;
use crate::flow::query::status::Explanation;
use crate::model::event::{Event, EventContent};
use crate::model::id::EventId;
use crate::model::time::Timestamp;
use crate::rules::matcher::MatchOutcome;

/// An event to submit.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({
    "type": "TODO_CREATED", "project": "website", "company": "acme", "data": { "title": "Hello" },
    "id": "order-4711", "occurred_at": "2026-01-31T08:00:00.000Z",
})))]
pub struct EventInput {
    /// The type of the event.
    #[schema(value_type = EventTypeText)]
    r#type: String,
    /// The project that the event belongs to.
    #[schema(value_type = ProjectText)]
    project: String,
    /// The company that the project belongs to.
    #[schema(value_type = Option<CompanyText>)]
    company: Option<String>,
    /// The payload of the event.
    #[schema(value_type = Json, required = false)]
    data: Option<Value>,
    /// Your own id of the event. Within the dedup window, another event with the same id is a duplicate and is not
    /// delivered again.
    #[schema(value_type = Option<SenderIdText>)]
    id: Option<String>,
    /// The time when the event happened. The default is the time when it is accepted.
    #[schema(value_type = Option<GivenTime>)]
    occurred_at: Option<String>,
}

/// The body of `POST /v1/events`: one event, or a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Submitted, examples(json!({
    "type": "TODO_CREATED", "project": "website", "company": "acme", "data": { "title": "Hello" },
    "id": "order-4711", "occurred_at": "2026-01-31T08:00:00.000Z",
})))]
pub enum SubmitRequest {
    /// A single event.
    One(EventInput),
    /// A list of at most `server.batch_events_max` events, which is accepted as a whole or not at all.
    List(Vec<EventInput>),
}

/// The body of `POST /v1/events` in `application/x-ndjson`.
pub struct EventLines;

impl PartialSchema for EventLines {
    fn schema() -> RefOr<Schema> {
        Object::builder()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("ndjson".to_owned())))
            .description(Some("One event per line. Blank lines are ignored."))
            .content_schema(Some(Ref::from_schema_name("EventInput")))
            .examples([LINES])
            .into()
    }
}

impl ToSchema for EventLines {
    fn name() -> std::borrow::Cow<'static, str> {
        "Lines".into()
    }
}

const LINES: &str =
    "{\"type\":\"TODO_CREATED\",\"project\":\"website\"}\n{\"type\":\"TODO_DONE\",\"project\":\"website\"}\n";

/// The response of `POST /v1/events`: for a single event, or for a list.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Answered, examples(json!({ "id": "evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G", "matched": 2, "duplicate": false })))]
pub enum SubmitResponse {
    /// The result of a single event.
    One(AcceptedBody),
    /// The results of a list.
    List(AcceptedList),
}

/// The result of one submitted event.
#[derive(Serialize, ToSchema)]
#[schema(as = Accepted, examples(json!({ "id": "evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G", "matched": 2, "duplicate": false })))]
pub struct AcceptedBody {
    /// The event's id. For a duplicate, it is the id of the first event.
    #[schema(value_type = EventIdText)]
    id: String,
    /// The number of subscriptions that the event is delivered to.
    matched: usize,
    /// Whether the event is a duplicate of an earlier one. Duplicates are not delivered again.
    duplicate: bool,
}

impl From<&Accepted> for AcceptedBody {
    fn from(accepted: &Accepted) -> Self {
        Self { id: accepted.id.to_string(), matched: accepted.matched, duplicate: accepted.duplicate }
    }
}

/// The results of a list of submitted events.
#[derive(Serialize, ToSchema)]
pub struct AcceptedList {
    /// The result of each event, in the order of the list.
    pub results: Vec<AcceptedBody>,
}

/// The result of matching one subscription with an event.
#[derive(Serialize, ToSchema)]
#[schema(as = Match, examples(json!({
    "subscription": "sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7", "name": "crm", "matches": false, "reason": "events",
})))]
pub struct MatchBody {
    /// The subscription's id.
    #[schema(value_type = SubscriptionIdText)]
    subscription: String,
    /// The subscription's name.
    name: String,
    /// Whether the subscription matches the event.
    matches: bool,
    /// The first reason that the subscription does not match; null if it matches.
    #[schema(value_type = Option<MismatchReason>, required)]
    reason: Option<&'static str>,
}

/// The reason that a subscription does not match an event.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum MismatchReason {
    /// `events` does not select the event's type.
    Events,
    /// `projects` does not select the event's project.
    Projects,
    /// `filter` is not true for the event.
    Filter,
    /// The subscription is disabled manually.
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
    /// The event's id.
    #[schema(value_type = EventIdText)]
    id: String,
    /// The type of the event.
    #[schema(value_type = EventTypeText)]
    r#type: String,
    /// The project that the event belongs to.
    #[schema(value_type = ProjectText)]
    project: String,
    /// The company that the project belongs to.
    #[schema(value_type = Option<CompanyText>, required)]
    company: Option<String>,
    /// The sender's own id of the event.
    #[schema(value_type = Option<SenderIdText>, required)]
    sender_id: Option<String>,
    /// The time when the event happened.
    #[schema(value_type = Time)]
    occurred_at: Timestamp,
    /// The time when the event was accepted.
    #[schema(value_type = Time)]
    accepted_at: Timestamp,
    /// The payload, byte for byte as it was submitted. It is missing in lists, and if the event has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Json, required = false)]
    data: Option<Box<RawValue>>,
}

impl EventBody {
    /// Returns the JSON form of an event without its data, for lists.
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

    /// Returns the JSON form of an event with its data.
    pub fn whole(event: &Event) -> Self {
        let text = event.content.data.as_ref().map(|data| String::from_utf8_lossy(data).into_owned());
        Self {
            data: text.and_then(|text| RawValue::from_string(text).ok()),
            ..Self::head(event.id, &event.content)
        }
    }
}
