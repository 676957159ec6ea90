//! The JSON forms of the events of `/v1/stream`.

use serde::Serialize;
use utoipa::openapi::schema::{Object, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::schema::{
    AttemptError, CompanyText, DeliveryIdText, DisabledReason, EventIdText, EventTypeText, FinalState,
    Health, ProjectText, SubscriptionChangeKind, SubscriptionIdText, Time,
};
use crate::flow::stream::{Gap, StreamEvent};
use crate::model::attempt::ErrorClass;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::subscription;
use crate::model::time::{Timestamp, millis};

/// The data of a stream event. Its form depends on the `event` field.
#[derive(Serialize, ToSchema)]
#[schema(as = StreamEvent)]
#[serde(untagged)]
pub enum StreamEventBody {
    /// The data of `event.accepted`.
    EventAccepted(EventAcceptedBody),
    /// The data of `attempt.finished`.
    AttemptFinished(AttemptFinishedBody),
    /// The data of `delivery.settled`.
    DeliverySettled(DeliverySettledBody),
    /// The data of `subscription.changed`.
    SubscriptionChanged(SubscriptionChangedBody),
    /// The data of `stream.gap`.
    Gap(StreamGapBody),
}

/// The schema of the response's body: server-sent events whose data is a [`StreamEventBody`].
pub struct EventStream;

const EXAMPLE: &str = concat!(
    "id: 1853283172581376\nevent: delivery.settled\n",
    "data: {\"delivery\":\"dlv_01K3Z9QJ5M8W2R4T6Y8A0C2E4H\",\"event\":\"evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G\",",
    "\"subscription\":\"sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7\",\"state\":\"succeeded\",\"at\":\"2026-01-31T08:00:00.000Z\"}\n\n"
);

impl PartialSchema for EventStream {
    fn schema() -> RefOr<Schema> {
        Object::builder()
            .schema_type(Type::String)
            .description(Some("Server-sent events. The data of each event is a JSON object on one line."))
            .content_schema(Some(Ref::from_schema_name(StreamEventBody::name())))
            .examples([EXAMPLE])
            .into()
    }
}

impl ToSchema for EventStream {
    fn name() -> std::borrow::Cow<'static, str> {
        "Happenings".into()
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        schemas.push((StreamEventBody::name().into_owned(), StreamEventBody::schema()));
        StreamEventBody::schemas(schemas);
    }
}

/// `event.accepted`: an event and its deliveries are on stable storage.
#[derive(Serialize, ToSchema)]
#[schema(as = EventAccepted)]
pub struct EventAcceptedBody {
    /// The event's id.
    #[schema(value_type = EventIdText)]
    event: EventId,
    /// The type of the event.
    #[schema(value_type = EventTypeText)]
    r#type: String,
    /// The project that the event belongs to.
    #[schema(value_type = ProjectText)]
    project: String,
    /// The company that the project belongs to.
    #[schema(value_type = Option<CompanyText>, required)]
    company: Option<String>,
    /// The number of subscriptions that the event is delivered to.
    matched: u32,
    /// The time when the event was accepted.
    #[schema(value_type = Time)]
    accepted_at: Timestamp,
}

/// `attempt.finished`: an attempt has finished, and its result is durable.
#[derive(Serialize, ToSchema)]
#[schema(as = AttemptFinished)]
pub struct AttemptFinishedBody {
    /// The delivery's id.
    #[schema(value_type = DeliveryIdText)]
    delivery: DeliveryId,
    /// The event's id.
    #[schema(value_type = EventIdText)]
    event: EventId,
    /// The subscription's id.
    #[schema(value_type = SubscriptionIdText)]
    subscription: SubscriptionId,
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
}

/// `delivery.settled`: a delivery has reached a final state.
#[derive(Serialize, ToSchema)]
#[schema(as = DeliverySettled)]
pub struct DeliverySettledBody {
    /// The delivery's id.
    #[schema(value_type = DeliveryIdText)]
    delivery: DeliveryId,
    /// The event's id.
    #[schema(value_type = EventIdText)]
    event: EventId,
    /// The subscription's id.
    #[schema(value_type = SubscriptionIdText)]
    subscription: SubscriptionId,
    /// The final state of the delivery.
    #[schema(value_type = FinalState)]
    state: &'static str,
    /// The time when the delivery reached the state.
    #[schema(value_type = Time)]
    at: Timestamp,
}

/// `subscription.changed`: a subscription was created, changed or deleted, or its health changed.
#[derive(Serialize, ToSchema)]
#[schema(as = SubscriptionChanged)]
pub struct SubscriptionChangedBody {
    /// The subscription's id.
    #[schema(value_type = SubscriptionIdText)]
    subscription: SubscriptionId,
    /// The kind of change.
    #[schema(value_type = SubscriptionChangeKind)]
    change: &'static str,
    /// The health of the receiver.
    #[schema(value_type = Health)]
    health: &'static str,
    /// The reason that the subscription is disabled; null if it is enabled.
    #[schema(value_type = Option<DisabledReason>, required)]
    disabled_reason: Option<&'static str>,
    /// The time of the change.
    #[schema(value_type = Time)]
    at: Timestamp,
}

/// `stream.gap`: the events after `Last-Event-ID` are no longer available.
#[derive(Serialize, ToSchema)]
#[schema(as = StreamGap)]
pub struct StreamGapBody {
    /// The `Last-Event-ID` of the request.
    after: String,
    /// The id that the stream resumes at. The events in between are lost to this reader.
    resumes_at: String,
}

impl From<Gap> for StreamGapBody {
    fn from(Gap { after, resumes_at }: Gap) -> Self {
        Self { after: after.to_string(), resumes_at: resumes_at.to_string() }
    }
}

impl From<&StreamEvent> for StreamEventBody {
    fn from(happening: &StreamEvent) -> Self {
        match happening {
            StreamEvent::EventAccepted { event, event_type, project, company, matched } => {
                Self::EventAccepted(EventAcceptedBody {
                    event: *event,
                    r#type: event_type.to_string(),
                    project: project.to_string(),
                    company: company.as_ref().map(ToString::to_string),
                    matched: *matched,
                    accepted_at: event.time(),
                })
            }
            StreamEvent::AttemptFinished {
                delivery,
                event,
                subscription,
                attempt,
                started_at,
                duration,
                outcome,
            } => Self::AttemptFinished(AttemptFinishedBody {
                delivery: *delivery,
                event: *event,
                subscription: *subscription,
                number: *attempt,
                started_at: *started_at,
                duration_ms: millis(*duration),
                status: outcome.ok(),
                error: outcome.err().map(ErrorClass::as_str),
            }),
            StreamEvent::DeliverySettled { delivery, event, subscription, state, at } => {
                Self::DeliverySettled(DeliverySettledBody {
                    delivery: *delivery,
                    event: *event,
                    subscription: *subscription,
                    state: state.as_str(),
                    at: *at,
                })
            }
            StreamEvent::SubscriptionChanged { subscription, change, health, disabled_reason, at } => {
                Self::SubscriptionChanged(SubscriptionChangedBody {
                    subscription: *subscription,
                    change: change.as_str(),
                    health: health.as_str(),
                    disabled_reason: disabled_reason.map(subscription::DisabledReason::as_str),
                    at: *at,
                })
            }
        }
    }
}
