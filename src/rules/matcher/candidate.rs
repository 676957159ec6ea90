//! The question that matching answers, and its answers.

use crate::model::event::EventContent;
use crate::model::time::Timestamp;

/// An event as matching sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What was submitted.
    pub content: &'a EventContent,
    /// When it arrived: a filter's `event.occurred_at` if the sender gave none.
    pub arrived_at: Timestamp,
}

/// Whether a subscription would receive an event and, if not, the first reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MatchOutcome {
    /// It receives it.
    Matches,
    /// Its set of event types does not contain the event's.
    Events,
    /// Its set of projects does not contain the event's.
    Projects,
    /// Its filter is not true, or failed.
    Filter,
    /// A person switched it off, or it does not exist.
    Disabled,
}

impl MatchOutcome {
    /// The word that the API gives as the reason; none for a match.
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
