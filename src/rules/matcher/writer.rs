//! The writer of the index: compiles subscriptions to postings and publishes snapshots.

use std::collections::VecDeque;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::block::{
    ANY_PATTERN, ANY_TERM, BROAD, BlockBuilder, Certainty, Key, POSTED_PATTERNS_MAX, PatternId, PostedId,
    Posting, Slot, TermId,
};
use super::check::{Check, SideTable};
use super::compile::{ProjectSet, Projects, TypeSet, Types};
use super::counted_filter::CountedFilter;
use super::intern::{Interner, Kind};
use super::pending::PendingChanges;
use super::presence::Presence;
use super::snapshot::{Entry, Snapshot};
use crate::model::id::SubscriptionId;
use crate::model::subscription::SubscriptionSpec;
use crate::rules::bitset::Edit;

/// The most runs that a subscription is posted in. A subscription that needs more is broad.
const NARROW_RUNS_MAX: usize = 64;

/// Changes the index. There is exactly one writer per index.
///
/// Changes become visible together, with [`commit`](Self::commit).
pub struct IndexWriter {
    current: Arc<ArcSwap<Snapshot>>,
    next: Snapshot,
    interner: Interner,
    free_slots: Vec<Slot>,
    slots_end: Slot,
    /// Pending changes of postings, by term.
    postings: PendingChanges,
    /// Pending changes of each side table, by number.
    sides: [PendingChanges; SideTable::ALL.len()],
    is_changed: bool,
    /// Replaced snapshots that a reader may still hold. The writer drops them, so that no reader pays for it.
    retired: VecDeque<Arc<Snapshot>>,
}

impl IndexWriter {
    pub(super) fn new(current: Arc<ArcSwap<Snapshot>>) -> Self {
        Self {
            current,
            next: Snapshot::default(),
            interner: Interner::new(),
            free_slots: Vec::new(),
            slots_end: 0,
            postings: PendingChanges::default(),
            sides: Default::default(),
            is_changed: false,
            retired: VecDeque::new(),
        }
    }

    /// Adds or replaces a subscription.
    ///
    /// If the filter does not compile, it never matches, and each evaluation counts as an error. Reject such
    /// a filter first, with [`Filter::compile`](crate::rules::filter::Filter::compile). An unchanged filter
    /// keeps its error count.
    pub fn put(&mut self, id: SubscriptionId, spec: &SubscriptionSpec, presence: Presence) {
        let old = self.next.slot(id);
        let filter = filter_for(spec.filter.as_deref(), old.and_then(|slot| self.next.check(slot)));
        let (entry, check) = self.compile(spec, presence, filter);
        if let Some(slot) = old {
            self.withdraw(slot);
        }
        let slot = old.unwrap_or_else(|| self.new_slot(id));
        if check.is_some() || self.next.check(slot).is_some() {
            *self.next.checks.get_mut(slot) = check;
        }
        self.post(slot, &entry, true);
        *self.next.entries.get_mut(slot) = Some(entry);
        self.is_changed = true;
    }

    /// Removes a subscription. Does nothing if the index does not contain it.
    pub fn remove(&mut self, id: SubscriptionId) {
        let Some(slot) = self.next.slot(id) else { return };
        self.withdraw(slot);
        self.next.forget_slot(id, slot);
        self.free_slots.push(slot);
        self.is_changed = true;
    }

    /// Publishes all changes since the last commit at once, and returns the version of the published
    /// snapshot.
    ///
    /// A match that takes its snapshot after this call returns sees the changes.
    pub fn commit(&mut self) -> u64 {
        if self.is_changed {
            self.apply_pending();
            self.next.version += 1;
            self.retired.push_back(self.current.swap(Arc::new(self.next.clone())));
            self.is_changed = false;
        }
        self.retired.retain(|snapshot| Arc::strong_count(snapshot) > 1);
        self.next.version
    }

    /// Makes room for `count` more subscriptions.
    pub(super) fn reserve(&mut self, count: usize) {
        self.next.slots.reserve(u64::from(self.slots_end) + count as u64);
    }

    fn new_slot(&mut self, id: SubscriptionId) -> Slot {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.slots_end += 1;
            self.slots_end - 1
        });
        self.next.bind_slot(id, slot);
        slot
    }

    /// Removes a slot's postings and the uses of its names.
    fn withdraw(&mut self, slot: Slot) {
        let Some(Some(entry)) = self.next.entries.get(slot).cloned() else { return };
        self.post(slot, &entry, false);
        let check = self.next.checks.get(slot).cloned().flatten();
        let none: &[u32] = &[];
        let (patterns, terms) =
            check.as_ref().map_or((none, none), |check| (&*check.excluded_patterns, &*check.excluded_terms));
        let (posted_patterns, posted_terms) = entry.postings();
        for pattern in numbers(posted_patterns).chain(patterns.iter().copied()) {
            self.interner.release_pattern(pattern, &mut self.next);
        }
        for term in numbers(posted_terms).chain(terms.iter().copied()) {
            self.interner.release_term(term, &mut self.next);
        }
    }

    /// Adds or removes an active entry's postings at the next commit.
    fn post(&mut self, slot: Slot, entry: &Entry, present: bool) {
        if !entry.is_active() {
            return;
        }
        let edit = Edit { member: slot, present };
        let check = self.next.check(slot);
        let filtered = Certainty::unless(check.is_some_and(|check| check.filter.is_some()));
        for (side, number) in check.into_iter().flat_map(Check::sides) {
            push_side(&mut self.sides, side, number, edit);
        }
        let (patterns, terms) = entry.postings();
        let is_narrow = entry.is_narrow();
        let all = patterns.iter().fold(filtered, |all, word| all.and(PostedId::from_word(*word).certainty()));
        for term in terms.iter().map(|word| PostedId::from_word(*word)) {
            let mut push = |pattern: PatternId, certainty: Certainty| {
                let key = Key::of(pattern, certainty.and(term.certainty()));
                self.postings.push(term.number(), Posting::new(key, edit));
            };
            if !is_narrow {
                push(BROAD, all);
                continue;
            }
            for pattern in patterns.iter().map(|word| PostedId::from_word(*word)) {
                push(pattern.number(), filtered.and(pattern.certainty()));
            }
        }
        if !is_narrow {
            for pattern in numbers(patterns) {
                push_side(&mut self.sides, SideTable::Broad, pattern, edit);
            }
        }
    }

    fn apply_pending(&mut self) {
        let Snapshot { terms, sides, .. } = &mut self.next;
        let mut builder = BlockBuilder::default();
        self.postings.drain_rows(|term, postings: &[Posting]| terms.edit(term, postings, &mut builder));
        for (side, pending) in SideTable::ALL.into_iter().zip(&mut self.sides) {
            pending.drain_rows(|number, edits: &[Edit]| sides.get_mut(side, number).edit(edits));
        }
    }

    fn compile(
        &mut self,
        spec: &SubscriptionSpec,
        presence: Presence,
        filter: Option<Arc<CountedFilter>>,
    ) -> (Entry, Option<Arc<Check>>) {
        let (types, projects) = (Types::of(&spec.events), Projects::of(&spec.projects));
        let patterns = self.patterns(&types);
        let (terms, also_by_company) = self.terms(&projects);
        let check = Check {
            excluded_patterns: self.type_set(&types.excluded),
            excluded_terms: self.project_set(&projects.excluded),
            also_by_company,
            filter,
        };
        let check = (!check.is_trivial()).then(|| Arc::new(check));
        (Entry::new(presence, &patterns, &terms), check)
    }

    fn patterns(&mut self, types: &Types<'_>) -> Vec<PostedId> {
        let (interner, next) = (&mut self.interner, &mut self.next);
        let mut patterns = Vec::with_capacity(types.prefixes.len() + types.exact.len() + 1);
        patterns.extend(types.all.map(|certainty| PostedId::new(ANY_PATTERN, certainty)));
        patterns.extend(types.prefixes.iter().map(|(prefix, certainty)| {
            PostedId::new(interner.pattern(Kind::Prefix, prefix, next), *certainty)
        }));
        patterns.extend(types.exact.iter().map(|name| {
            PostedId::new(interner.pattern(Kind::Type, name.as_str(), next), Certainty::Certain)
        }));
        for pattern in in_order(&mut patterns) {
            interner.release_pattern(pattern, next);
        }
        patterns
    }

    /// Returns the terms to post under. If there are companies among them, also returns the projects among
    /// them.
    fn terms(&mut self, wanted: &Projects<'_>) -> (Vec<PostedId>, Box<[TermId]>) {
        let (interner, next) = (&mut self.interner, &mut self.next);
        let Projects { projects, companies, pairs, .. } = wanted;
        let mut terms = Vec::with_capacity(projects.len() + companies.len() + pairs.len() + 1);
        terms.extend(wanted.all.map(|certainty| PostedId::new(ANY_TERM, certainty)));
        terms.extend(projects.iter().map(|(project, certainty)| {
            PostedId::new(interner.term(Kind::Project, project.as_str(), next), *certainty)
        }));
        let also_by_company = !companies.is_empty();
        let also_by_company =
            if also_by_company { sorted(terms.iter().map(|term| term.number())) } else { [].into() };
        terms.extend(companies.iter().map(|(company, certainty)| {
            PostedId::new(interner.term(Kind::Company, company.as_str(), next), *certainty)
        }));
        terms.extend(pairs.iter().map(|(company, project)| {
            PostedId::new(interner.pair(company.as_str(), project.as_str(), next), Certainty::Certain)
        }));
        for term in in_order(&mut terms) {
            interner.release_term(term, next);
        }
        (terms, also_by_company)
    }

    fn type_set(&mut self, types: &TypeSet<'_>) -> Box<[PatternId]> {
        let (interner, next) = (&mut self.interner, &mut self.next);
        let prefixes = types.prefixes.iter().map(|name| (Kind::Prefix, *name));
        let exact = types.exact.iter().map(|name| (Kind::Type, name.as_str()));
        sorted(prefixes.chain(exact).map(|(kind, name)| interner.pattern(kind, name, next)))
    }

    fn project_set(&mut self, set: &ProjectSet<'_>) -> Box<[TermId]> {
        let (interner, next) = (&mut self.interner, &mut self.next);
        let projects = set.projects.iter().map(|name| (Kind::Project, name.as_str()));
        let companies = set.companies.iter().map(|name| (Kind::Company, name.as_str()));
        let mut terms: Vec<TermId> =
            projects.chain(companies).map(|(kind, name)| interner.term(kind, name, next)).collect();
        terms.extend(
            set.pairs
                .iter()
                .map(|(company, project)| interner.pair(company.as_str(), project.as_str(), next)),
        );
        sorted(terms.into_iter())
    }
}

fn push_side(sides: &mut [PendingChanges], side: SideTable, number: u32, edit: Edit) {
    if let Some(pending) = sides.get_mut(side as usize) {
        pending.push(number, edit);
    }
}

/// Returns the numbers of an entry's words.
fn numbers(words: &[u32]) -> impl Iterator<Item = u32> {
    words.iter().map(|word| PostedId::from_word(*word).number())
}

impl Entry {
    /// Returns whether the subscription has a posting for each pattern and term, rather than being broad.
    fn is_narrow(&self) -> bool {
        let (patterns, terms) = self.postings();
        patterns.len() * terms.len() <= NARROW_RUNS_MAX
            && numbers(patterns).last().is_none_or(|pattern| pattern < POSTED_PATTERNS_MAX)
    }
}

/// Sorts the ids and removes repeated ones. Returns the removed numbers.
fn in_order(posted: &mut Vec<PostedId>) -> Vec<u32> {
    let mut repeated = Vec::new();
    posted.sort_unstable();
    posted.dedup_by(|later, first| {
        let is_same = later.number() == first.number();
        repeated.extend(is_same.then_some(later.number()));
        is_same
    });
    repeated
}

fn sorted(numbers: impl Iterator<Item = u32>) -> Box<[u32]> {
    let mut numbers: Vec<u32> = numbers.collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers.into()
}

/// Compiles the filter. Reuses the old one, with its error count, if the text is the same.
fn filter_for(text: Option<&str>, old: Option<&Check>) -> Option<Arc<CountedFilter>> {
    let text = text?;
    Some(match old.and_then(|check| check.filter.as_ref()) {
        Some(filter) if filter.text() == text => Arc::clone(filter),
        _ => Arc::new(CountedFilter::new(text)),
    })
}
