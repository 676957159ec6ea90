//! The writing side: compiles subscriptions into postings and publishes snapshots.

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

/// The most runs that a subscription is posted in; one that would need more is posted as a broad one.
const NARROW_RUNS_MAX: usize = 64;

/// Changes the index. There is exactly one; what it did becomes visible, all at once, with
/// [`commit`](Self::commit).
pub struct IndexWriter {
    current: Arc<ArcSwap<Snapshot>>,
    next: Snapshot,
    interner: Interner,
    free_slots: Vec<Slot>,
    slots_end: Slot,
    /// By term.
    postings: PendingChanges,
    /// By number, for each side.
    sides: [PendingChanges; SideTable::ALL.len()],
    is_changed: bool,
    /// Replaced snapshots that a reader may still hold: dropped here, so that no reader pays for it.
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

    /// Adds a subscription, or changes it to this.
    ///
    /// A filter that does not compile never matches and is counted among its failures: refuse it before, with
    /// [`Filter::compile`](crate::rules::filter::Filter::compile). An unchanged filter keeps its failures.
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

    /// Takes a subscription out; nothing happens if there is none of that id.
    pub fn remove(&mut self, id: SubscriptionId) {
        let Some(slot) = self.next.slot(id) else { return };
        self.withdraw(slot);
        self.next.forget_slot(id, slot);
        self.free_slots.push(slot);
        self.is_changed = true;
    }

    /// Publishes everything since the last commit at once; returns the version that shows it.
    ///
    /// Every match that takes its snapshot after this returns sees the change.
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

    /// Makes room for so many more subscriptions.
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

    /// Takes a slot's postings out and gives its names back.
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

    /// PendingChanges an active entry's postings for the next commit.
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
        self.postings.for_each_place(|term, postings: &[Posting]| terms.edit(term, postings, &mut builder));
        for (side, pending) in SideTable::ALL.into_iter().zip(&mut self.sides) {
            pending.for_each_place(|number, edits: &[Edit]| sides.get_mut(side, number).edit(edits));
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

    /// The terms to post under, and the projects among them if there are companies also_by_company.
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

/// The numbers that an entry's words mean.
fn numbers(words: &[u32]) -> impl Iterator<Item = u32> {
    words.iter().map(|word| PostedId::from_word(*word).number())
}

impl Entry {
    /// Whether it is posted in a run for each pattern and term, rather than as a broad one.
    fn is_narrow(&self) -> bool {
        let (patterns, terms) = self.postings();
        patterns.len() * terms.len() <= NARROW_RUNS_MAX
            && numbers(patterns).last().is_none_or(|pattern| pattern < POSTED_PATTERNS_MAX)
    }
}

/// Sorts, and takes out those that stand there twice.
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

/// The compiled filter: the old one, with its failures, if the text is the same.
fn filter_for(text: Option<&str>, old: Option<&Check>) -> Option<Arc<CountedFilter>> {
    let text = text?;
    Some(match old.and_then(|check| check.filter.as_ref()) {
        Some(filter) if filter.text() == text => Arc::clone(filter),
        _ => Arc::new(CountedFilter::new(text)),
    })
}
