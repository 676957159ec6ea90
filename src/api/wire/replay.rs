//! Replays: asked for, counted, shown.

use serde::Serialize;
use utoipa::ToSchema;

use crate::flow::redeliver::Redelivered;
use crate::model::delivery::DeliveryState;
use crate::model::replay::{JobState, ReplayJob};
use crate::model::time::Timestamp;

/// What `POST /v1/subscriptions/{id}/replay` takes; the body may be left out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what api::replays reads member by member")]
pub struct ReplayInputBody {
    /// Only events accepted then or later.
    #[schema(format = DateTime)]
    since: Option<String>,
    /// Only events accepted before then; those accepted until now if left out.
    #[schema(format = DateTime)]
    until: Option<String>,
    /// Only events whose newest delivery to the subscription stands so: `exhausted`, `succeeded` or `cancelled`. If left
    /// out, every event that the subscription matches now, also from before it existed.
    #[schema(min_items = 1, max_items = 3)]
    states: Option<Vec<String>>,
    /// Only count.
    dry_run: Option<bool>,
}

/// What `POST /v1/events/{id}/replay` takes; the body may be left out.
#[derive(ToSchema)]
#[expect(dead_code, reason = "the schema of what api::replays reads member by member")]
pub struct EventReplayInputBody {
    /// The ids of the subscriptions to deliver to; all that match the event now if left out.
    #[schema(min_items = 1, max_items = 1000)]
    subscriptions: Option<Vec<String>>,
}

/// What a replay would do.
#[derive(Serialize, ToSchema)]
pub struct ReplayCountBody {
    /// How many events would be delivered again.
    pub matching: u64,
}

/// What came of replaying an event.
#[derive(Serialize, ToSchema)]
pub struct RedeliveredBody {
    /// The ids of the new deliveries.
    deliveries: Vec<String>,
    /// The ids of subscriptions that the event is on its way to anyway.
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
pub struct ReplayBody {
    /// Its id.
    id: String,
    /// The subscription's id.
    subscription: String,
    /// `running`, `done`, `cancelled` or `failed`.
    state: &'static str,
    /// Why it failed.
    failure: Option<String>,
    /// How many events there are to look at; null until they have been counted.
    total: Option<u64>,
    /// How many have been looked at.
    looked_at: u64,
    /// How many deliveries have been made.
    made: u64,
    /// How many events were passed over because they were on their way already, or had left the log.
    skipped: u64,
    /// Only events accepted then or later.
    #[schema(value_type = Option<String>, format = DateTime)]
    since: Option<Timestamp>,
    /// Only events accepted before then.
    #[schema(value_type = Option<String>, format = DateTime)]
    until: Option<Timestamp>,
    /// Only events whose newest delivery stood so; empty for every event that the subscription matches.
    states: Vec<&'static str>,
    /// When it was asked for.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it ended.
    #[schema(value_type = Option<String>, format = DateTime)]
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
