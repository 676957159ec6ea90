//! Checks of subscriptions that the postings alone do not decide: exclusions and filters.

use std::sync::Arc;

use super::block::{PatternId, TermId};
use super::counted_filter::CountedFilter;
use super::footprint::heap_bytes;
use super::radix::Radix;
use crate::rules::bitset::Mask;

/// The names of an event as numbers of one snapshot. Names that no subscription uses are left out.
#[derive(Debug, Default)]
pub(super) struct ResolvedNames {
    /// The patterns that contain the event's type: the exact type, its prefixes in no order, then
    /// `ANY_PATTERN`.
    pub(super) patterns: Vec<PatternId>,
    /// The exact type among the patterns.
    pub(super) exact: Option<PatternId>,
    /// The project, regardless of its company.
    pub(super) project: Option<TermId>,
    /// The company of the project.
    pub(super) company: Option<TermId>,
    /// The pair of the company and the project.
    pub(super) pair: Option<TermId>,
}

impl ResolvedNames {
    /// Returns the numbers of the project, the company and the pair.
    pub(super) fn terms(&self) -> impl Iterator<Item = TermId> {
        [self.project, self.company, self.pair].into_iter().flatten()
    }
}

/// The conditions that one subscription adds to its postings.
///
/// Readers use the same data the other way round: [`SideTables`] hold, for each pattern and term, the
/// subscriptions whose conditions name it.
#[derive(Debug, Default)]
pub(super) struct Check {
    /// Excluded patterns, sorted.
    pub(super) excluded_patterns: Box<[PatternId]>,
    /// Excluded projects, companies and pairs, sorted.
    pub(super) excluded_terms: Box<[TermId]>,
    /// The projects of a subscription that also names companies, sorted.
    ///
    /// Such a subscription is posted under its projects and under its companies. If an event has both, the
    /// posting under the company does not count, so that the subscription matches once.
    pub(super) also_by_company: Box<[TermId]>,
    /// The compiled filter.
    pub(super) filter: Option<Arc<CountedFilter>>,
}

impl Check {
    /// Returns whether there is nothing to check.
    pub(super) fn is_trivial(&self) -> bool {
        self.excluded_patterns.is_empty()
            && self.excluded_terms.is_empty()
            && self.also_by_company.is_empty()
            && self.filter.is_none()
    }

    /// Returns the entries of the side tables that these conditions need.
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

/// A table of subscriptions that is kept next to the postings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum SideTable {
    /// By pattern: broad subscriptions that want the pattern.
    Broad,
    /// By pattern: subscriptions that exclude the pattern.
    ExcludedPatterns,
    /// By term: subscriptions that exclude the term.
    ExcludedTerms,
    /// By project: subscriptions that want the project and some companies.
    AlsoByCompany,
    /// Under the number 0: subscriptions that have a filter.
    Filtered,
}

impl SideTable {
    /// Every table, in declaration order.
    pub(super) const ALL: [Self; 5] =
        [Self::Broad, Self::ExcludedPatterns, Self::ExcludedTerms, Self::AlsoByCompany, Self::Filtered];
}

/// All side tables.
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

    /// Returns the subscriptions in a table under a number, if there are any.
    pub(super) fn get(&self, side: SideTable, number: u32) -> Option<&Mask> {
        self.table(side).get(number).filter(|set| !set.is_empty())
    }

    /// Returns the subscriptions in a table under a number, for changes.
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

    /// Returns the sets of subscriptions that exclude the event's type.
    pub(super) fn excluding_type<'a>(&'a self, names: &'a ResolvedNames) -> impl Iterator<Item = &'a Mask> {
        names.patterns.iter().filter_map(|pattern| self.get(SideTable::ExcludedPatterns, *pattern))
    }

    /// Returns the sets of subscriptions that exclude the event's project.
    pub(super) fn excluding_project<'a>(
        &'a self,
        names: &'a ResolvedNames,
    ) -> impl Iterator<Item = &'a Mask> {
        names.terms().filter_map(|term| self.get(SideTable::ExcludedTerms, term))
    }

    /// Returns the bytes that the tables take.
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
