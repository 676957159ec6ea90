//! What is left to verify of a candidate that the posting lists let through.

use std::sync::Arc;

use super::block::{PatternId, TermId};
use super::counted_filter::CountedFilter;
use super::footprint::heap_bytes;
use super::radix::Radix;
use crate::rules::bitset::Mask;

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
/// pattern and term, the [`SideTables`] that name it.
#[derive(Debug, Default)]
pub(super) struct Check {
    /// Patterns taken out, sorted.
    pub(super) excluded_patterns: Box<[PatternId]>,
    /// Projects, companies and pairs taken out, sorted.
    pub(super) excluded_terms: Box<[TermId]>,
    /// The projects of a subscription that also names companies, sorted: it is posted under both, and the
    /// posting under the company must give way.
    pub(super) also_by_company: Box<[TermId]>,
    /// The compiled filter.
    pub(super) filter: Option<Arc<CountedFilter>>,
}

impl Check {
    /// Whether there is nothing to verify.
    pub(super) fn is_trivial(&self) -> bool {
        self.excluded_patterns.is_empty()
            && self.excluded_terms.is_empty()
            && self.also_by_company.is_empty()
            && self.filter.is_none()
    }

    /// The entries of the side tables that this makes.
    pub(super) fn sides(&self) -> impl Iterator<Item = (SideTable, u32)> + '_ {
        let of = |side: SideTable, numbers: &'_ [u32]| {
            numbers.iter().map(move |number| (side, *number)).collect::<Vec<_>>()
        };
        of(SideTable::ExcludedPatterns, &self.excluded_patterns)
            .into_iter()
            .chain(of(SideTable::ExcludedTerms, &self.excluded_terms))
            .chain(of(SideTable::AlsoByCompany, &self.also_by_company))
            .chain(self.filter.iter().map(|_| (SideTable::Filtered, 0)))
    }
}

/// A table of subscriptions beside the postings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SideTable {
    /// By pattern: the broad subscriptions that want it.
    Broad,
    /// By pattern: those that take it out.
    ExcludedPatterns,
    /// By term: those that take it out.
    ExcludedTerms,
    /// By project: those that want it and some companies.
    AlsoByCompany,
    /// Under 0: those that have a filter.
    Filtered,
}

impl SideTable {
    /// All of them, in their order.
    pub(super) const ALL: [Self; 5] =
        [Self::Broad, Self::ExcludedPatterns, Self::ExcludedTerms, Self::AlsoByCompany, Self::Filtered];
}

/// The tables beside the postings.
#[derive(Clone, Default)]
pub(super) struct SideTables {
    broad: Radix<Mask>,
    excluded_patterns: Radix<Mask>,
    excluded_terms: Radix<Mask>,
    also_by_company: Radix<Mask>,
    filtered: Radix<Mask>,
}

impl SideTables {
    fn table(&self, side: SideTable) -> &Radix<Mask> {
        match side {
            SideTable::Broad => &self.broad,
            SideTable::ExcludedPatterns => &self.excluded_patterns,
            SideTable::ExcludedTerms => &self.excluded_terms,
            SideTable::AlsoByCompany => &self.also_by_company,
            SideTable::Filtered => &self.filtered,
        }
    }

    /// The subscriptions that a table has under a number, if there are any.
    pub(super) fn get(&self, side: SideTable, number: u32) -> Option<&Mask> {
        self.table(side).get(number).filter(|set| !set.is_empty())
    }

    /// The same, to be changed.
    pub(super) fn get_mut(&mut self, side: SideTable, number: u32) -> &mut Mask {
        let table = match side {
            SideTable::Broad => &mut self.broad,
            SideTable::ExcludedPatterns => &mut self.excluded_patterns,
            SideTable::ExcludedTerms => &mut self.excluded_terms,
            SideTable::AlsoByCompany => &mut self.also_by_company,
            SideTable::Filtered => &mut self.filtered,
        };
        table.get_mut(number)
    }

    /// The subscriptions that take the event's type out.
    pub(super) fn excluding_type<'a>(&'a self, names: &'a ResolvedNames) -> impl Iterator<Item = &'a Mask> {
        names.patterns.iter().filter_map(|pattern| self.get(SideTable::ExcludedPatterns, *pattern))
    }

    /// The subscriptions that take the event's project out.
    pub(super) fn excluding_project<'a>(
        &'a self,
        names: &'a ResolvedNames,
    ) -> impl Iterator<Item = &'a Mask> {
        names.terms().filter_map(|term| self.get(SideTable::ExcludedTerms, term))
    }

    /// The bytes they take.
    pub(super) fn footprint(&self) -> usize {
        SideTable::ALL
            .into_iter()
            .map(|side| {
                self.table(side)
                    .footprint(|set| if set.is_empty() { 0 } else { heap_bytes(set.heap_bytes()) })
            })
            .sum()
    }
}
