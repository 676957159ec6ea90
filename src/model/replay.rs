//! Replays: the work of delivering a part of the log to one subscription again.

use super::delivery::DeliveryState;
use super::id::{EventId, ReplayId, SubscriptionId};
use super::time::Timestamp;

/// How far the work is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum JobState {
    /// It goes on, also after a restart.
    Running,
    /// All that was asked for has been made.
    Done,
    /// A person stopped it; what it had made goes on.
    Cancelled,
    /// It could not go on.
    Failed,
}

impl JobState {
    /// Every state.
    pub const ALL: [Self; 4] = [Self::Running, Self::Done, Self::Cancelled, Self::Failed];

    /// The word that API and logs use.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        }
    }
}

/// A replay as the log has it: what was asked for, and how far it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayJob {
    /// Its id.
    pub id: ReplayId,
    /// The subscription that is delivered to.
    pub subscription: SubscriptionId,
    /// Events accepted then or later; none for those from the beginning of the log.
    pub since: Option<Timestamp>,
    /// Events accepted before then; none for those up to its creation.
    pub until: Option<Timestamp>,
    /// Only events whose delivery stands so; empty for every event that the subscription matches.
    pub states: Vec<DeliveryState>,
    /// How far it is.
    pub state: JobState,
    /// Why it failed.
    pub failure: Option<String>,
    /// How many events are to be looked at, as far as that is known.
    pub total: u64,
    /// How many have been.
    pub looked_at: u64,
    /// How many deliveries were made.
    pub made: u64,
    /// How many events were passed over although they were asked for.
    pub skipped: u64,
    /// The last event that was looked at; none at the beginning.
    pub cursor: Option<EventId>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
}
