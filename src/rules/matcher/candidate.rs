//! The input and the outcome of a match.

use crate::model::event::EventContent;
use crate::model::time::Timestamp;

/// An event to match.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// The submitted event.
    pub content: &'a EventContent,
    /// When the event arrived. Filters see this as `event.occurred_at` if the sender gave no time.
    pub arrived_at: Timestamp,
}

/// Whether a subscription matches an event and, if not, the first reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOutcome {
    /// The subscription matches.
    Matches,
    /// The subscription's event types do not include the event's type.
    Events,
    /// The subscription's projects do not include the event's project.
    Projects,
    /// The subscription's filter is false for the event, or its evaluation failed.
    Filter,
    /// The subscription was disabled by a person, or does not exist.
    Disabled,
}

impl MatchOutcome {
    /// Returns the reason as the API spells it, or `None` for a match.
    pub const fn as_str(self) -> Option<&'static str> {
        match self {
            Self::Matches => None,
            Self::Events => Some("events"),
            Self::Projects => Some("projects"),
            Self::Filter => Some("filter"),
            Self::Disabled => Some("disabled"),
        }
    }
}
