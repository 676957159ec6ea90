//! What `/v1/stream` tells: the data of each server-sent event.

use serde::Serialize;
use utoipa::openapi::schema::{Object, Schema, Type};
use utoipa::openapi::{Ref, RefOr};
use utoipa::{PartialSchema, ToSchema};

use super::schema::{
    AttemptError, CompanyText, DeliveryIdText, DisabledReason, EventIdText, EventTypeText, FinalState,
    Health, ProjectText, SubscriptionChangeKind, SubscriptionIdText, Time,
};

use crate::flow::stream::{Gap, Happening};
use crate::model::attempt::ErrorClass;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::subscription;
use crate::model::time::{Timestamp, millis};

/// The data of a server-sent event, by its `event` field.
#[derive(Serialize, ToSchema)]
#[schema(as = Happening)]
#[serde(untagged)]
pub enum StreamEventBody {
    /// `event.accepted`
    EventAccepted(EventAcceptedBody),
    /// `attempt.finished`
    AttemptFinished(AttemptFinishedBody),
    /// `delivery.settled`
    DeliverySettled(DeliverySettledBody),
    /// `subscription.changed`
    SubscriptionChanged(SubscriptionChangedBody),
    /// `stream.gap`
    Gap(GapBody),
}

/// In the document: server-sent events, each with a [`StreamEventBody`] for its data.
pub struct Happenings;

const EXAMPLE: &str = concat!(
    "id: 1853283172581376\nevent: delivery.settled\n",
    "data: {\"delivery\":\"dlv_01K3Z9QJ5M8W2R4T6Y8A0C2E4H\",\"event\":\"evt_01K3Z9QJ5M8W2R4T6Y8A0C2E4G\",",
    "\"subscription\":\"sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7\",\"state\":\"succeeded\",\"at\":\"2026-01-31T08:00:00.000Z\"}\n\n"
);

impl PartialSchema for Happenings {
    fn schema() -> RefOr<Schema> {
        Object::builder()
            .schema_type(Type::String)
            .description(Some("Server-sent events; the data of each is JSON in one line."))
            .content_schema(Some(Ref::from_schema_name(StreamEventBody::name())))
            .examples([EXAMPLE])
            .into()
    }
}

impl ToSchema for Happenings {
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
    /// What happened.
    #[schema(value_type = EventTypeText)]
    r#type: String,
    /// Where it happened.
    #[schema(value_type = ProjectText)]
    project: String,
    /// Whose project that is.
    #[schema(value_type = Option<CompanyText>, required)]
    company: Option<String>,
    /// How many subscriptions it goes to.
    matched: u32,
    /// When it arrived.
    #[schema(value_type = Time)]
    accepted_at: Timestamp,
}

/// `attempt.finished`: an attempt is over and written down.
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
    /// The kind of failure, if there was none.
    #[schema(value_type = Option<AttemptError>, required)]
    error: Option<&'static str>,
}

/// `delivery.settled`: a delivery has come to its end.
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
    /// How it ended.
    #[schema(value_type = FinalState)]
    state: &'static str,
    /// When.
    #[schema(value_type = Time)]
    at: Timestamp,
}

/// `subscription.changed`: a subscription was made, changed or deleted, or its health changed.
#[derive(Serialize, ToSchema)]
#[schema(as = SubscriptionChanged)]
pub struct SubscriptionChangedBody {
    /// The subscription's id.
    #[schema(value_type = SubscriptionIdText)]
    subscription: SubscriptionId,
    /// What changed.
    #[schema(value_type = SubscriptionChangeKind)]
    change: &'static str,
    /// How its receiver is doing.
    #[schema(value_type = Health)]
    health: &'static str,
    /// Why it is switched off.
    #[schema(value_type = Option<DisabledReason>, required)]
    disabled_reason: Option<&'static str>,
    /// When.
    #[schema(value_type = Time)]
    at: Timestamp,
}

/// `stream.gap`: what followed `Last-Event-ID` is not known any more.
#[derive(Serialize, ToSchema)]
#[schema(as = StreamGap)]
pub struct GapBody {
    /// The `Last-Event-ID` that was given.
    after: String,
    /// The id that the stream goes on with; what lies between was missed.
    resumes_at: String,
}

impl From<Gap> for GapBody {
    fn from(Gap { after, resumes_at }: Gap) -> Self {
        Self { after: after.to_string(), resumes_at: resumes_at.to_string() }
    }
}

impl From<&Happening> for StreamEventBody {
    fn from(happening: &Happening) -> Self {
        match happening {
            Happening::EventAccepted { event, event_type, project, company, matched } => {
                Self::EventAccepted(EventAcceptedBody {
                    event: *event,
                    r#type: event_type.to_string(),
                    project: project.to_string(),
                    company: company.as_ref().map(ToString::to_string),
                    matched: *matched,
                    accepted_at: event.time(),
                })
            }
            Happening::AttemptFinished {
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
            Happening::DeliverySettled { delivery, event, subscription, state, at } => {
                Self::DeliverySettled(DeliverySettledBody {
                    delivery: *delivery,
                    event: *event,
                    subscription: *subscription,
                    state: state.as_str(),
                    at: *at,
                })
            }
            Happening::SubscriptionChanged { subscription, change, health, disabled_reason, at } => {
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
