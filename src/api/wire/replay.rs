//! The JSON forms of replays.

use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{
    DeliveryIdText, FinalState, GivenTime, ReplayIdText, ReplayState, SubscriptionIdText, Time,
};
use crate::flow::replay::event::Redelivered;
use crate::model::delivery::DeliveryState;
use crate::model::replay::{JobState, ReplayJob};
use crate::model::time::Timestamp;

/// The body of `POST /v1/subscriptions/{id}/replay`. You may leave out any member, and the body as a whole.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReplayOrder, examples(json!({ "since": "2026-01-31T00:00:00Z", "states": ["exhausted"], "dry_run": false })))]
pub struct ReplayInputBody {
    /// Only events accepted at this time or later.
    #[schema(value_type = Option<GivenTime>)]
    since: Option<String>,
    /// Only events accepted before this time. The default is now.
    #[schema(value_type = Option<GivenTime>)]
    until: Option<String>,
    /// Only events whose newest delivery to the subscription is in one of these states. If left out, every event that the
    /// subscription matches now, even from before it existed.
    #[schema(value_type = Option<Vec<FinalState>>, min_items = 1, max_items = 3)]
    states: Option<Vec<String>>,
    /// Whether to count the events without replaying them. The default is false.
    dry_run: Option<bool>,
}

/// The body of `POST /v1/events/{id}/replay`. You may leave it out.
#[derive(Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = EventReplayOrder, examples(json!({ "subscriptions": ["sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7"] })))]
pub struct EventReplayInputBody {
    /// The ids of the subscriptions to deliver to. If left out, all subscriptions that match the event now.
    #[schema(value_type = Option<Vec<SubscriptionIdText>>, min_items = 1, max_items = 1000)]
    subscriptions: Option<Vec<String>>,
}

/// The result of a dry run.
#[derive(Serialize, ToSchema)]
#[schema(as = ReplayCount, examples(json!({ "matching": 1024 })))]
pub struct ReplayCountBody {
    /// The number of events that the replay would deliver.
    pub matching: u64,
}

/// The result of replaying an event.
#[derive(Serialize, ToSchema)]
#[schema(as = Redelivered, examples(json!({ "deliveries": ["dlv_01K3Z9QJ5M8W2R4T6Y8A0C2E4H"], "skipped": [] })))]
pub struct RedeliveredBody {
    /// The ids of the new deliveries.
    #[schema(value_type = Vec<DeliveryIdText>)]
    deliveries: Vec<String>,
    /// The ids of the subscriptions that were skipped because they still have an unfinished delivery of the event.
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

/// A replay of a subscription's past events.
#[derive(Serialize, ToSchema)]
#[schema(as = Replay, examples(json!({
    "id": "rpl_01K3Z9R0A1C3E5G7J9N1Q3S5V7", "subscription": "sub_01K3Z9Q0B1D3F5H7K9M1P3R5T7", "state": "running",
    "failure": null, "total": 1024, "looked_at": 360, "made": 358, "skipped": 2, "since": "2026-01-31T00:00:00.000Z",
    "until": "2026-02-01T00:00:00.000Z", "states": ["exhausted"], "created_at": "2026-02-01T08:00:00.000Z",
    "finished_at": null
})))]
pub struct ReplayBody {
    /// The replay's id.
    #[schema(value_type = ReplayIdText)]
    id: String,
    /// The subscription's id.
    #[schema(value_type = SubscriptionIdText)]
    subscription: String,
    /// The state of the replay.
    #[schema(value_type = ReplayState)]
    state: &'static str,
    /// The reason that the replay failed; null if it did not.
    #[schema(required)]
    failure: Option<String>,
    /// The number of events to check; null until they have been counted.
    #[schema(required)]
    total: Option<u64>,
    /// The number of events checked so far.
    looked_at: u64,
    /// The number of deliveries created so far.
    made: u64,
    /// The number of events skipped because they still had an unfinished delivery, or were no longer in the log.
    skipped: u64,
    /// The replay selects only events accepted at this time or later.
    #[schema(value_type = Option<Time>, required)]
    since: Option<Timestamp>,
    /// The replay selects only events accepted before this time.
    #[schema(value_type = Option<Time>, required)]
    until: Option<Timestamp>,
    /// The replay selects only events whose newest delivery is in one of these states. Empty if it selects every event
    /// that the subscription matches.
    #[schema(value_type = Vec<FinalState>)]
    states: Vec<&'static str>,
    /// The time when the replay was created.
    #[schema(value_type = Time)]
    created_at: Timestamp,
    /// The time when the replay finished, failed or was cancelled; null while it runs.
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
