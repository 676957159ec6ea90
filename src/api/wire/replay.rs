//! Replays: asked for, counted, shown.

use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{
    DeliveryIdText, FinalState, GivenTime, ReplayIdText, ReplayState, SubscriptionIdText, Time,
};
use crate::flow::replay::event::Redelivered;
use crate::model::delivery::DeliveryState;
use crate::model::replay::{JobState, ReplayJob};
use crate::model::time::Timestamp;

/// What `POST /v1/subscriptions/{id}/replay` takes; the body may be left out.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayOrder, examples(json!({ "since": "2026-01-31T00:00:00Z", "states": ["exhausted"], "dry_run": false })))]
pub struct ReplayInputBody {
    /// Only events accepted then or later.
    #[schema(value_type = Option<GivenTime>)]
    since: Option<String>,
    /// Only events accepted before then; those accepted until now if left out.
    #[schema(value_type = Option<GivenTime>)]
    until: Option<String>,
    /// Only events whose newest delivery to the subscription stands so: `exhausted`, `succeeded` or `cancelled`. If left
    /// out, every event that the subscription matches now, also from before it existed.
    #[schema(value_type = Option<Vec<FinalState>>, min_items = 1, max_items = 3)]
    states: Option<Vec<String>>,
    /// Only count.
    dry_run: Option<bool>,
}

/// What `POST /v1/events/{id}/replay` takes; the body may be left out.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EventReplayOrder, examples(json!({ "subscriptions": ["sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7"] })))]
pub struct EventReplayInputBody {
    /// The ids of the subscriptions to deliver to; all that match the event now if left out.
    #[schema(value_type = Option<Vec<SubscriptionIdText>>, min_items = 1, max_items = 1000)]
    subscriptions: Option<Vec<String>>,
}

/// What a replay would do.
#[derive(Serialize, ToSchema)]
#[schema(as = ReplayCount, examples(json!({ "matching": 1024 })))]
pub struct ReplayCountBody {
    /// How many events would be delivered again.
    pub matching: u64,
}

/// What came of replaying an event.
#[derive(Serialize, ToSchema)]
#[schema(as = Redelivered, examples(json!({ "deliveries": ["dlv_01K3Z9QJ5M8W2R4T6Y8A0C2E4H"], "skipped": [] })))]
pub struct RedeliveredBody {
    /// The ids of the new deliveries.
    #[schema(value_type = Vec<DeliveryIdText>)]
    deliveries: Vec<String>,
    /// The ids of subscriptions that the event is on its way to anyway.
    #[schema(value_type = Vec<SubscriptionIdText>)]
    skipped: Vec<String>,
}

impl From<&Redelivered> for RedeliveredBody {
    fn from(redelivered: &Redelivered) -> Self {
        Self {
            deliveries: redelivered.deliveries.iter().map(ToString::to_string).collect(),
            skipped: redelivered.skipped.iter().map(ToString::to_string).collect(),
        }
    }
}

/// A replay of a subscription's past.
#[derive(Serialize, ToSchema)]
#[schema(as = Replay, examples(json!({
    "id": "rpl_01K3Z9R0A1C3E5G7J9N1Q3S5V7", "subscription": "sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7", "state": "running",
    "failure": null, "total": 1024, "looked_at": 360, "made": 358, "skipped": 2, "since": "2026-01-31T00:00:00.000Z",
    "until": "2026-02-01T00:00:00.000Z", "states": ["exhausted"], "created_at": "2026-02-01T08:00:00.000Z",
    "finished_at": null
})))]
pub struct ReplayBody {
    /// Its id.
    #[schema(value_type = ReplayIdText)]
    id: String,
    /// The subscription's id.
    #[schema(value_type = SubscriptionIdText)]
    subscription: String,
    /// How far it is.
    #[schema(value_type = ReplayState)]
    state: &'static str,
    /// Why it failed.
    #[schema(required)]
    failure: Option<String>,
    /// How many events there are to look at; null until they have been counted.
    #[schema(required)]
    total: Option<u64>,
    /// How many have been looked at.
    looked_at: u64,
    /// How many deliveries have been made.
    made: u64,
    /// How many events were passed over because they were on their way already, or had left the log.
    skipped: u64,
    /// Only events accepted then or later.
    #[schema(value_type = Option<Time>, required)]
    since: Option<Timestamp>,
    /// Only events accepted before then.
    #[schema(value_type = Option<Time>, required)]
    until: Option<Timestamp>,
    /// Only events whose newest delivery stood so; empty for every event that the subscription matches.
    #[schema(value_type = Vec<FinalState>)]
    states: Vec<&'static str>,
    /// When it was asked for.
    #[schema(value_type = Time)]
    created_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<Time>, required)]
    finished_at: Option<Timestamp>,
}

impl From<&ReplayJob> for ReplayBody {
    fn from(job: &ReplayJob) -> Self {
        let is_counted = job.total > 0 || job.state != JobState::Running;
        Self {
            id: job.id.to_string(),
            subscription: job.subscription.to_string(),
            state: job.state.as_str(),
            failure: job.failure.clone(),
            total: is_counted.then_some(job.total),
            looked_at: job.looked_at,
            made: job.made,
            skipped: job.skipped,
            since: job.since,
            until: job.until,
            states: job.states.iter().copied().map(DeliveryState::as_str).collect(),
            created_at: job.created_at,
            finished_at: job.finished_at,
        }
    }
}
