//! What is left to verify of a candidate that the posting lists let through.

use std::sync::Arc;

use super::block::{PatternId, TermId};
use super::footprint::heap_bytes;
use super::counted_filter::CountedFilter;
use super::radix::Radix;
use crate::model::event::EventContent;
use crate::model::time::Timestamp;
use crate::rules::bitset::Mask;

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

/// An event's names as the numbers of one snapshot; names that no subscription uses are left out.
#[derive(Debug, Default)]
pub(super) struct ResolvedNames {
    /// The exact type and every prefix of it, in no order; then `ANY_PATTERN`.
    pub(super) patterns: Vec<PatternId>,
    /// The exact type among them.
    pub(super) exact: Option<PatternId>,
    /// The project in any company.
    pub(super) project: Option<TermId>,
    /// The company.
    pub(super) company: Option<TermId>,
    /// That project of that company.
    pub(super) pair: Option<TermId>,
}

impl ResolvedNames {
    /// The terms that the event's postings stand under.
    pub(super) fn terms(&self) -> impl Iterator<Item = TermId> {
        [self.project, self.company, self.pair].into_iter().flatten()
    }
}

/// What must hold of an event beside the postings of one subscription. Readers find it turned over: for each
/// pattern and term, the [`Sides`] that name it.
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
    pub(super) filter: Option<Arc<CountedFilter>>,
}

impl Check {
    /// Whether there is nothing to verify.
    pub(super) fn is_trivial(&self) -> bool {
        self.except_patterns.is_empty()
            && self.except_terms.is_empty()
            && self.beside_companies.is_empty()
            && self.filter.is_none()
    }

    /// The entries of the side tables that this makes.
    pub(super) fn sides(&self) -> impl Iterator<Item = (Side, u32)> + '_ {
        let of = |side: Side, numbers: &'_ [u32]| {
            numbers.iter().map(move |number| (side, *number)).collect::<Vec<_>>()
        };
        of(Side::ExceptPatterns, &self.except_patterns)
            .into_iter()
            .chain(of(Side::ExceptTerms, &self.except_terms))
            .chain(of(Side::BesideCompanies, &self.beside_companies))
            .chain(self.filter.iter().map(|_| (Side::Filtered, 0)))
    }
}

/// A table of subscriptions beside the postings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    /// By pattern: the broad subscriptions that want it.
    Wide,
    /// By pattern: those that take it out.
    ExceptPatterns,
    /// By term: those that take it out.
    ExceptTerms,
    /// By project: those that want it and some companies.
    BesideCompanies,
    /// Under 0: those that have a filter.
    Filtered,
}

impl Side {
    /// All of them, in their order.
    pub(super) const ALL: [Self; 5] =
        [Self::Wide, Self::ExceptPatterns, Self::ExceptTerms, Self::BesideCompanies, Self::Filtered];
}

/// The tables beside the postings.
#[derive(Clone, Default)]
pub(super) struct Sides {
    wide: Radix<Mask>,
    except_patterns: Radix<Mask>,
    except_terms: Radix<Mask>,
    beside_companies: Radix<Mask>,
    filtered: Radix<Mask>,
}

impl Sides {
    fn table(&self, side: Side) -> &Radix<Mask> {
        match side {
            Side::Wide => &self.wide,
            Side::ExceptPatterns => &self.except_patterns,
            Side::ExceptTerms => &self.except_terms,
            Side::BesideCompanies => &self.beside_companies,
            Side::Filtered => &self.filtered,
        }
    }

    /// The subscriptions that a table has under a number, if there are any.
    pub(super) fn get(&self, side: Side, number: u32) -> Option<&Mask> {
        self.table(side).get(number).filter(|set| !set.is_empty())
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, side: Side, number: u32) -> &mut Mask {
        let table = match side {
            Side::Wide => &mut self.wide,
            Side::ExceptPatterns => &mut self.except_patterns,
            Side::ExceptTerms => &mut self.except_terms,
            Side::BesideCompanies => &mut self.beside_companies,
            Side::Filtered => &mut self.filtered,
        };
        table.get_mut(number)
    }

    /// The subscriptions that take the event's type out.
    pub(super) fn excepting_type<'a>(&'a self, names: &'a ResolvedNames) -> impl Iterator<Item = &'a Mask> {
        names.patterns.iter().filter_map(|pattern| self.get(Side::ExceptPatterns, *pattern))
    }

    /// The subscriptions that take the event's project out.
    pub(super) fn excepting_project<'a>(&'a self, names: &'a ResolvedNames) -> impl Iterator<Item = &'a Mask> {
        names.terms().filter_map(|term| self.get(Side::ExceptTerms, term))
    }

    /// The bytes they take.
    pub(super) fn footprint(&self) -> usize {
        Side::ALL
            .into_iter()
            .map(|side| {
                self.table(side)
                    .footprint(|set| if set.is_empty() { 0 } else { heap_bytes(set.heap_bytes()) })
            })
            .sum()
    }
}
