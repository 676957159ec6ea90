//! What `/v1/stream` tells: the data of each server-sent event.

use serde::Serialize;
use utoipa::ToSchema;

use crate::flow::stream::{Gap, Happening};
use crate::model::attempt::ErrorClass;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::subscription::DisabledReason;
use crate::model::time::{Timestamp, millis};

/// The data of a server-sent event, by its `event` field.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub enum HappeningBody {
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

/// `event.accepted`: an event and its deliveries are on stable storage.
#[derive(Serialize, ToSchema)]
pub struct EventAcceptedBody {
    /// The event's id.
    #[schema(value_type = String)]
    event: EventId,
    /// What happened.
    r#type: String,
    /// Where it happened.
    project: String,
    /// Whose project that is.
    company: Option<String>,
    /// How many subscriptions it goes to.
    matched: u32,
    /// When it arrived.
    #[schema(value_type = String, format = DateTime)]
    accepted_at: Timestamp,
}

/// `attempt.finished`: an attempt is over and written down.
#[derive(Serialize, ToSchema)]
pub struct AttemptFinishedBody {
    /// The delivery's id.
    #[schema(value_type = String)]
    delivery: DeliveryId,
    /// The event's id.
    #[schema(value_type = String)]
    event: EventId,
    /// The subscription's id.
    #[schema(value_type = String)]
    subscription: SubscriptionId,
    /// 1 for the first.
    number: u32,
    /// When the request began.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// How long the whole exchange took.
    duration_ms: u64,
    /// The HTTP status, if there was an answer.
    status: Option<u16>,
    /// The kind of failure, if there was none.
    error: Option<&'static str>,
}

/// `delivery.settled`: a delivery has come to its end.
#[derive(Serialize, ToSchema)]
pub struct DeliverySettledBody {
    /// The delivery's id.
    #[schema(value_type = String)]
    delivery: DeliveryId,
    /// The event's id.
    #[schema(value_type = String)]
    event: EventId,
    /// The subscription's id.
    #[schema(value_type = String)]
    subscription: SubscriptionId,
    /// `succeeded`, `exhausted` or `cancelled`.
    state: &'static str,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// `subscription.changed`: a subscription was made, changed or deleted, or its health changed.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionChangedBody {
    /// The subscription's id.
    #[schema(value_type = String)]
    subscription: SubscriptionId,
    /// `created`, `settings`, `health` or `deleted`.
    change: &'static str,
    /// `healthy`, `failing` or `disabled`.
    health: &'static str,
    /// Why it is switched off: `exhausted`, `gone` or `manual`.
    disabled_reason: Option<&'static str>,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

/// `stream.gap`: what followed `Last-Event-ID` is not known any more.
#[derive(Serialize, ToSchema)]
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

impl From<&Happening> for HappeningBody {
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
                    disabled_reason: disabled_reason.map(DisabledReason::as_str),
                    at: *at,
                })
            }
        }
    }
}
