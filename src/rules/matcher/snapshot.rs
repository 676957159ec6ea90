//! Snapshots: the immutable states of the index that readers match against.

use std::sync::Arc;

use super::block::{ANY_PATTERN, ANY_TERM, BROAD, PostedId, Slot, TermId, TermTable};
use super::candidate::{Candidate, MatchOutcome};
use super::check::{Check, ResolvedNames, SideTable, SideTables};
use super::counted_filter::FilterErrors;
use super::footprint::{Footprint, heap_bytes, shared_bytes};
use super::names::{NameTable, pair_name};
use super::presence::Presence;
use super::radix::Radix;
use super::slots::SlotTable;
use crate::model::event::EventContent;
use crate::model::id::SubscriptionId;
use crate::rules::bitset::{Mask, retain_from};
use crate::rules::filter::FilterInput;

/// The compiled postings of one subscription, in one allocation of words.
///
/// The first word is twice the number of patterns, plus 1 if the subscription is active. Then follow the
/// patterns and the terms that it is posted under, each as sorted words of [`PostedId`].
#[derive(Clone, Debug)]
pub(super) struct Entry(Arc<[u32]>);

impl Entry {
    pub(super) fn new(presence: Presence, patterns: &[PostedId], terms: &[PostedId]) -> Self {
        let first = patterns.len() << 1 | usize::from(presence == Presence::Active);
        let mut words = Vec::with_capacity(1 + patterns.len() + terms.len());
        words.push(u32::try_from(first).unwrap_or(u32::MAX));
        words.extend(patterns.iter().chain(terms).map(|posted| posted.word()));
        Self(words.into())
    }

    fn parts(&self) -> (u32, &[u32]) {
        self.0.split_first().map_or((0, &[]), |(first, numbers)| (*first, numbers))
    }

    pub(super) fn is_active(&self) -> bool {
        self.parts().0 & 1 == 1
    }

    /// Returns the patterns and the terms, each sorted.
    pub(super) fn postings(&self) -> (&[u32], &[u32]) {
        let (first, words) = self.parts();
        words.split_at_checked(first as usize >> 1).unwrap_or((&[], &[]))
    }
}

/// An immutable state of the index. All answers of one snapshot are about the same set of subscriptions.
#[derive(Clone, Default)]
pub struct Snapshot {
    pub(super) version: u64,
    pub(super) types: NameTable,
    pub(super) prefixes: NameTable,
    /// Bit `n - 1` is set if any prefix has `n` bytes.
    pub(super) prefix_lengths: u128,
    pub(super) projects: NameTable,
    pub(super) companies: NameTable,
    pub(super) pairs: NameTable,
    pub(super) terms: TermTable,
    pub(super) sides: SideTables,
    /// The id of each slot.
    pub(super) ids: Radix<u128>,
    /// The slot of each id.
    pub(super) slots: SlotTable,
    /// The conditions of each slot besides its postings, if it has any.
    pub(super) checks: Radix<Option<Arc<Check>>>,
    /// The compiled postings of each slot.
    pub(super) entries: Radix<Option<Entry>>,
}

/// The kind of term that a posting was found under.
#[derive(Clone, Copy)]
enum TermKind {
    Any,
    Project,
    Company,
    Pair,
}

/// A buffer for the matches of one event. Reuse it for the next event, so that matching does not allocate.
#[derive(Debug, Default)]
pub struct Matches {
    slots: Vec<Slot>,
    names: ResolvedNames,
}

/// The subscriptions that match one event. Their order depends only on the snapshot.
#[derive(Clone, Copy)]
pub struct Matched<'a> {
    snapshot: &'a Snapshot,
    slots: &'a [Slot],
}

impl<'a> Matched<'a> {
    /// Returns the number of matches.
    pub const fn len(self) -> usize {
        self.slots.len()
    }

    /// Returns whether no subscription matches.
    pub const fn is_empty(self) -> bool {
        self.slots.is_empty()
    }

    /// Returns the ids of the subscriptions, each once.
    pub fn iter(self) -> impl Iterator<Item = SubscriptionId> + 'a {
        self.slots.iter().filter_map(move |slot| self.snapshot.id(*slot))
    }
}

impl Snapshot {
    /// Returns the version, which grows with every commit that changed something.
    pub const fn version(&self) -> u64 {
        self.version
    }

    /// Finds every active subscription that matches the event, each once.
    ///
    /// Clears `matches` first. Never waits. Does not allocate once `matches` has grown, except to evaluate
    /// filters. Parses the event's `data` at most once, and only if a subscription that matches otherwise has
    /// a filter.
    pub fn match_into<'a>(&'a self, candidate: &Candidate<'_>, matches: &'a mut Matches) -> Matched<'a> {
        let input = FilterInput::new(candidate.content, candidate.arrived_at);
        matches.slots.clear();
        self.resolve(candidate.content, &mut matches.names);
        self.collect(ANY_TERM, TermKind::Any, &input, matches);
        let ResolvedNames { project, company, pair, .. } = matches.names;
        for (term, kind) in
            [(project, TermKind::Project), (company, TermKind::Company), (pair, TermKind::Pair)]
        {
            if let Some(term) = term {
                self.collect(term, kind, &input, matches);
            }
        }
        Matched { snapshot: self, slots: &matches.slots }
    }

    /// Appends the slots that are posted under a term for the event's patterns.
    fn collect(&self, term: TermId, kind: TermKind, input: &FilterInput<'_>, matches: &mut Matches) {
        let Some(block) = self.terms.block(term) else { return };
        let Matches { slots, names } = matches;
        let project_exclusions = |visit: &mut dyn FnMut(&Mask)| {
            let ResolvedNames { project, company, pair, .. } = *names;
            let met = match kind {
                TermKind::Any => [project, company, pair],
                TermKind::Project => [company, pair, None],
                TermKind::Company => [project, pair, None],
                TermKind::Pair => [None; 3],
            };
            let sets =
                met.into_iter().flatten().filter_map(|term| self.sides.get(SideTable::ExcludedTerms, term));
            sets.chain(self.repeated(kind, names)).for_each(visit);
        };
        let broad = block.runs(BROAD);
        for pattern in &names.patterns {
            // Excluded types and projects are not posted. So only a wider pattern or term can meet an
            // exclusion.
            let exclusions = |visit: &mut dyn FnMut(&Mask)| {
                if names.exact != Some(*pattern) {
                    self.sides.excluding_type(names).for_each(&mut *visit);
                }
                project_exclusions(visit);
            };
            let runs = block.runs(*pattern);
            runs.certain.append_to(slots);
            let wanting = if broad.is_empty() { None } else { self.sides.get(SideTable::Broad, *pattern) };
            if let Some(wanting) = wanting {
                broad.certain.append_intersection(wanting, slots);
            }
            let start = slots.len();
            if !runs.unchecked.is_empty() {
                runs.unchecked.append_difference(exclusions, slots);
            }
            if let Some(wanting) = wanting.filter(|_| !broad.unchecked.is_empty()) {
                let start = slots.len();
                broad.unchecked.append_intersection(wanting, slots);
                exclusions(&mut |set| set.remove_members_from(slots, start));
            }
            if slots.len() > start {
                self.drop_refused(start, input, slots);
            }
        }
    }

    /// Returns the subscriptions that are posted under both the event's company and its project.
    fn repeated(&self, kind: TermKind, names: &ResolvedNames) -> Option<&Mask> {
        match kind {
            TermKind::Company => self.sides.get(SideTable::AlsoByCompany, names.project?),
            TermKind::Any | TermKind::Project | TermKind::Pair => None,
        }
    }

    /// Removes the slots, from `start` on, whose filters reject the event.
    fn drop_refused(&self, start: usize, input: &FilterInput<'_>, slots: &mut Vec<Slot>) {
        let Some(filtered) = self.sides.get(SideTable::Filtered, 0) else { return };
        retain_from(slots, start, |slot| !filtered.contains(slot) || self.admits(slot, input));
    }

    /// Returns whether a slot's filter, if any, accepts the event.
    fn admits(&self, slot: Slot, input: &FilterInput<'_>) -> bool {
        let filter = self.check(slot).and_then(|check| check.filter.as_ref());
        filter.is_none_or(|filter| filter.admits(input))
    }

    /// Returns whether the subscription matches the event and, if not, the first reason.
    ///
    /// The answer agrees with [`match_into`](Self::match_into): both use the same compiled selectors and the
    /// same checks.
    pub fn explain(&self, id: SubscriptionId, candidate: &Candidate<'_>) -> MatchOutcome {
        let Some((slot, entry)) = self.entry(id).filter(|(_, entry)| entry.is_active()) else {
            return MatchOutcome::Disabled;
        };
        let mut names = ResolvedNames::default();
        self.resolve(candidate.content, &mut names);
        let holds = |sorted: &[u32], number: u32| {
            sorted.binary_search_by_key(&number, |word| PostedId::from_word(*word).number()).is_ok()
        };
        let (patterns, terms) = entry.postings();
        let wanted = names.patterns.iter().any(|pattern| holds(patterns, *pattern));
        if !wanted || self.sides.excluding_type(&names).any(|set| set.contains(slot)) {
            return MatchOutcome::Events;
        }
        let wanted = names.terms().chain([ANY_TERM]).any(|term| holds(terms, term));
        if !wanted || self.sides.excluding_project(&names).any(|set| set.contains(slot)) {
            return MatchOutcome::Projects;
        }
        let input = FilterInput::new(candidate.content, candidate.arrived_at);
        if self.admits(slot, &input) { MatchOutcome::Matches } else { MatchOutcome::Filter }
    }

    /// Returns the memory use of this snapshot, as if it shared nothing with others. Walks the whole
    /// snapshot.
    pub fn footprint(&self) -> Footprint {
        let words = |numbers: &[u32]| if numbers.is_empty() { 0 } else { heap_bytes(size_of_val(numbers)) };
        let check = |check: &Option<Arc<Check>>| {
            check.as_ref().map_or(0, |check| {
                let numbers = words(&check.excluded_patterns) + words(&check.excluded_terms);
                shared_bytes(size_of::<Check>()) + numbers + words(&check.also_by_company)
            })
        };
        let entry =
            |entry: &Option<Entry>| entry.as_ref().map_or(0, |entry| shared_bytes(size_of_val(&*entry.0)));
        let tables = [&self.types, &self.prefixes, &self.projects, &self.companies, &self.pairs];
        Footprint {
            postings: self.terms.footprint() + self.sides.footprint(),
            names: tables.into_iter().map(NameTable::footprint).sum(),
            ids: self.ids.footprint(|_| 0),
            catalog: self.slots.footprint() + self.entries.footprint(entry) + self.checks.footprint(check),
        }
    }

    /// Returns the evaluation errors of a subscription's filter, if there were any.
    pub fn filter_errors(&self, id: SubscriptionId) -> Option<FilterErrors> {
        self.check(self.slot(id)?)?.filter.as_ref()?.errors()
    }

    /// Looks up the numbers of the event's names.
    fn resolve(&self, event: &EventContent, names: &mut ResolvedNames) {
        let text = event.event_type.as_str().as_bytes();
        names.patterns.clear();
        names.exact = self.types.find(text);
        names.patterns.extend(names.exact);
        let mut lengths = self.prefix_lengths;
        while lengths != 0 {
            let length = lengths.trailing_zeros() as usize + 1;
            let Some(start) = text.get(..length) else { break };
            names.patterns.extend(self.prefixes.find(start));
            lengths &= lengths - 1;
        }
        names.patterns.push(ANY_PATTERN);
        names.project = self.projects.find(event.project.as_str().as_bytes());
        names.company =
            event.company.as_ref().and_then(|company| self.companies.find(company.as_str().as_bytes()));
        names.pair = match (names.company, names.project) {
            (Some(company), Some(project)) => self.pairs.find(&pair_name(company, project)),
            _ => None,
        };
    }

    fn id(&self, slot: Slot) -> Option<SubscriptionId> {
        self.ids.get(slot).map(|bits| SubscriptionId::from_bits(*bits))
    }

    /// Returns the slot of a subscription.
    pub(super) fn slot(&self, id: SubscriptionId) -> Option<Slot> {
        self.slots.find(id, &self.ids)
    }

    /// Returns a subscription's slot and postings.
    pub(super) fn entry(&self, id: SubscriptionId) -> Option<(Slot, &Entry)> {
        let slot = self.slot(id)?;
        Some((slot, self.entries.get(slot)?.as_ref()?))
    }

    /// Returns the conditions of a slot besides its postings.
    pub(super) fn check(&self, slot: Slot) -> Option<&Check> {
        self.checks.get(slot)?.as_deref()
    }
}

impl Snapshot {
    /// Binds a subscription to a slot.
    pub(super) fn bind_slot(&mut self, id: SubscriptionId, slot: Slot) {
        *self.ids.get_mut(slot) = id.bits();
        self.slots.insert(id, slot);
    }

    /// Unbinds a subscription from its slot.
    pub(super) fn forget_slot(&mut self, id: SubscriptionId, slot: Slot) {
        self.slots.remove(id, &self.ids);
        *self.entries.get_mut(slot) = None;
        if self.checks.get(slot).is_some_and(Option::is_some) {
            *self.checks.get_mut(slot) = None;
        }
    }
}
