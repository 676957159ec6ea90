//! Replays: jobs that deliver a part of the log to one subscription again.

use super::delivery::DeliveryState;
use super::id::{EventId, ReplayId, SubscriptionId};
use super::time::Timestamp;

/// The state of a replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// The replay is running. It continues after a restart.
    Running,
    /// The replay has created all requested deliveries.
    Done,
    /// A person cancelled the replay. The deliveries that it created are not affected.
    Cancelled,
    /// The replay stopped because of an error.
    Failed,
}

impl JobState {
    /// The states, in the order of their definition.
    pub const ALL: [Self; 4] = [Self::Running, Self::Done, Self::Cancelled, Self::Failed];

    /// Returns the state as the API and logs spell it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// A replay as the store keeps it: the request, and the progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayJob {
    /// The replay's id.
    pub id: ReplayId,
    /// The subscription to deliver to.
    pub subscription: SubscriptionId,
    /// Only events accepted at this time or later. `None` means from the beginning of the log.
    pub since: Option<Timestamp>,
    /// Only events accepted before this time. `None` means up to the creation of the replay.
    pub until: Option<Timestamp>,
    /// Only events whose delivery is in one of these states. Empty means all events that the subscription
    /// matches.
    pub states: Vec<DeliveryState>,
    /// The state of the replay.
    pub state: JobState,
    /// The reason why the replay failed.
    pub failure: Option<String>,
    /// The number of events to examine, as far as it is known.
    pub total: u64,
    /// The number of events examined so far.
    pub looked_at: u64,
    /// The number of deliveries created.
    pub made: u64,
    /// The number of requested events that were skipped.
    pub skipped: u64,
    /// The last event examined, or `None` at the beginning.
    pub cursor: Option<EventId>,
    /// When the replay was requested.
    pub created_at: Timestamp,
    /// When the replay reached a final state.
    pub finished_at: Option<Timestamp>,
}
