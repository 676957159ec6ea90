//! What is left to verify of a candidate that the posting lists let through.

use super::block::{PatternId, TermId};
use super::gate::Gate;
use crate::model::event::EventContent;
use crate::model::time::Timestamp;
use crate::rules::filter::FilterInput;
use std::sync::Arc;

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
pub enum Verdict {
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

impl Verdict {
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

/// An event's names as the numbers of one snapshot; names that no subscription uses are left out.
#[derive(Debug, Default)]
pub(super) struct Names {
    /// The exact type and every prefix of it, in no order; then `ANY_PATTERN`.
    pub(super) patterns: Vec<PatternId>,
    /// The project in any company.
    pub(super) project: Option<TermId>,
    /// The company.
    pub(super) company: Option<TermId>,
    /// That project of that company.
    pub(super) pair: Option<TermId>,
}

impl Names {
    /// The terms that the event's postings stand under.
    pub(super) fn terms(&self) -> impl Iterator<Item = TermId> {
        [self.project, self.company, self.pair].into_iter().flatten()
    }
}

/// What must hold of an event beside the postings of one subscription.
#[derive(Debug, Default)]
pub(super) struct Check {
    /// Patterns taken out, sorted.
    pub(super) except_patterns: Box<[PatternId]>,
    /// Projects, companies and pairs taken out, sorted.
    pub(super) except_terms: Box<[TermId]>,
    /// The projects of a subscription that also names companies, sorted: it is posted under both, and the
    /// posting under the company must give way.
    pub(super) beside_companies: Box<[TermId]>,
    /// The compiled filter.
    pub(super) gate: Option<Arc<Gate>>,
}

impl Check {
    /// Whether every posting is a match without looking.
    pub(super) fn is_trivial(&self) -> bool {
        self.except_patterns.is_empty()
            && self.except_terms.is_empty()
            && self.beside_companies.is_empty()
            && self.gate.is_none()
    }

    /// Whether a posting under the event's company repeats one under its project.
    pub(super) fn repeats(&self, names: &Names) -> bool {
        names.project.is_some_and(|project| self.beside_companies.binary_search(&project).is_ok())
    }

    /// Whether the event's type is taken out.
    pub(super) fn excepts_type(&self, names: &Names) -> bool {
        names.patterns.iter().any(|pattern| self.except_patterns.binary_search(pattern).is_ok())
    }

    /// Decides on an event whose postings include the subscription.
    pub(super) fn decide(&self, names: &Names, input: &FilterInput<'_>) -> Verdict {
        if self.excepts_type(names) {
            return Verdict::Events;
        }
        if names.terms().any(|term| self.except_terms.binary_search(&term).is_ok()) {
            return Verdict::Projects;
        }
        match &self.gate {
            Some(gate) if !gate.admits(input) => Verdict::Filter,
            _ => Verdict::Matches,
        }
    }
}
