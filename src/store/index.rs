//! The index of the log: the segments on disk, and what came after them in memory.
//!
//! The committer adds to it and seals a segment when there is enough; readers ask it. Built by the scan at opening.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::apply::Applier;
use super::error::StoreError;
use super::key::{Table, delivery_of};
use super::reader::{Origin, OriginKind};
use super::segment::{self, ENTRIES_FULL, EVENT_TERMS, ORIGINS_FULL, Position, Term};
use crate::model::id::{EventId, SubscriptionId};

/// A segment on disk, as the directory knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    /// The first event or replay in it, which names it.
    pub(super) first: u128,
    /// The last one.
    pub(super) last: u128,
    /// Whether any of it is a replay.
    pub(super) has_replays: bool,
}

/// What came after the last segment.
#[derive(Clone, Debug, Default)]
pub(super) struct Tail {
    ids: Vec<u128>,
    /// Whether the log still has it.
    alive: Vec<bool>,
    /// For each kind of an event's terms that of every event.
    terms: [Vec<Term>; EVENT_TERMS],
    /// Subscriptions, and events that are replayed.
    deliveries: Vec<(Term, Position)>,
    entries: usize,
    has_replays: bool,
}

impl Tail {
    /// Adds an event.
    pub(super) fn add_event(&mut self, id: EventId, terms: [Term; EVENT_TERMS], to: &[SubscriptionId]) {
        self.add(id.bits(), terms, to.len());
        for (member, subscription) in to.iter().enumerate() {
            self.add_delivery(segment::of_subscription(*subscription), member);
        }
    }

    /// Adds a replay.
    pub(super) fn add_replay(&mut self, id: u128, deliveries: &[(EventId, SubscriptionId)]) {
        self.add(id, [0; EVENT_TERMS], deliveries.len());
        self.has_replays = true;
        for (member, (event, subscription)) in deliveries.iter().enumerate() {
            self.add_delivery(segment::of_subscription(*subscription), member);
            self.add_delivery(segment::of_replayed(*event), member);
        }
    }

    /// Adds what the log has.
    pub(super) fn add_origin(&mut self, origin: &Origin, members: &[(EventId, SubscriptionId)]) {
        match &origin.kind {
            OriginKind::Replay(_) => self.add_replay(origin.id, members),
            OriginKind::Event(head) => {
                let to: Vec<SubscriptionId> = members.iter().map(|(_, to)| *to).collect();
                self.add_event(head.id, segment::of_event(&head.content), &to);
            }
        }
    }

    fn add(&mut self, id: u128, terms: [Term; EVENT_TERMS], deliveries: usize) {
        debug_assert!(self.ids.last().is_none_or(|last| *last < id), "ids only grow");
        self.ids.push(id);
        self.alive.push(true);
        for (all, term) in self.terms.iter_mut().zip(terms) {
            all.push(term);
        }
        self.entries += 1 + deliveries;
    }

    fn add_delivery(&mut self, term: Term, member: usize) {
        if let Some(position) = segment::position(self.ids.len().saturating_sub(1), member) {
            self.deliveries.push((term, position));
        }
    }

    /// Whether it is to become a segment.
    pub(super) fn is_full(&self) -> bool {
        self.ids.len() >= ORIGINS_FULL || self.entries >= ENTRIES_FULL
    }

    /// The events with all of these terms (0 for any) from `first` on and before `end`, oldest first.
    pub(super) fn events(&self, wanted: [Term; EVENT_TERMS], (first, end): (u128, u128)) -> Vec<u128> {
        let from = self.ids.partition_point(|id| *id < first);
        let to = self.ids.partition_point(|id| *id < end);
        let has = |index: &usize| {
            let mut pairs = self.terms.iter().zip(wanted);
            pairs.all(|(all, wanted)| wanted == 0 || all.get(*index) == Some(&wanted))
        };
        (from..to).filter(has).filter_map(|index| self.ids.get(index).copied()).collect()
    }

    /// The deliveries with this term from `first` on and before `end`, oldest first.
    pub(super) fn deliveries(&self, wanted: Term, (first, end): (u128, u128)) -> Vec<u128> {
        let hits = self.deliveries.iter().filter(|(term, _)| *term == wanted);
        let ids = hits.filter_map(|(_, position)| {
            let (index, member) = segment::parts(*position);
            self.ids.get(index).map(|id| delivery_of(*id, member).bits())
        });
        ids.filter(|id| (first..end).contains(id)).collect()
    }

    /// The ids that the log still has, and all their terms in order.
    pub(super) fn sorted(&self) -> (Vec<u128>, Vec<(Term, Position)>) {
        let mut ids = Vec::with_capacity(self.ids.len());
        let mut numbers = Vec::with_capacity(self.ids.len());
        for (id, alive) in self.ids.iter().zip(&self.alive) {
            numbers.push(alive.then_some(ids.len()));
            if *alive {
                ids.push(*id);
            }
        }
        let number = |index: usize| numbers.get(index).copied().flatten();
        let mut postings = Vec::with_capacity(self.entries + EVENT_TERMS * ids.len());
        for terms in &self.terms {
            let known = terms.iter().enumerate().filter(|(_, term)| **term != 0);
            postings.extend(
                known.filter_map(|(index, term)| Some((*term, segment::position(number(index)?, 0)?))),
            );
        }
        postings.extend(self.deliveries.iter().filter_map(|(term, position)| {
            let (index, member) = segment::parts(*position);
            Some((*term, segment::position(number(index)?, member)?))
        }));
        postings.sort_unstable();
        (ids, postings)
    }
}

#[derive(Debug, Default)]
pub(super) struct IndexState {
    pub(super) tail: Tail,
    /// Oldest first.
    pub(super) segments: Arc<Vec<Segment>>,
    /// How many of its events and replays the log still has, for each segment.
    pub(super) live: BTreeMap<u128, usize>,
}

impl IndexState {
    /// The segment in which an event or replay is, if it is in one.
    fn segment_of(&self, id: u128) -> Option<Segment> {
        let index = self.segments.partition_point(|segment| segment.first <= id).checked_sub(1)?;
        self.segments.get(index).copied().filter(|segment| id <= segment.last)
    }

    /// Notes that one of the segments has a replay.
    pub(super) fn note_replay(&mut self, id: u128) {
        let Some(of) = self.segment_of(id).filter(|segment| !segment.has_replays) else { return };
        let all = Arc::make_mut(&mut self.segments).iter_mut();
        all.filter(|segment| segment.first == of.first).for_each(|segment| segment.has_replays = true);
    }

    /// Counts an event or replay that the log has; false if it is in no segment.
    pub(super) fn count(&mut self, id: u128) -> bool {
        let segment = self.segment_of(id);
        if let Some(segment) = segment {
            *self.live.entry(segment.first).or_default() += 1;
        }
        segment.is_some()
    }

    /// Takes note that the log no longer has it.
    pub(super) fn forget(&mut self, id: u128) {
        if let Some(segment) = self.segment_of(id) {
            if let Some(live) = self.live.get_mut(&segment.first) {
                *live = live.saturating_sub(1);
            }
        } else if let Ok(index) = self.tail.ids.binary_search(&id)
            && let Some(alive) = self.tail.alive.get_mut(index)
        {
            *alive = false;
        }
    }

    /// The segments of which the log has nothing more.
    fn dead(&self) -> Vec<u128> {
        let is_dead = |segment: &&Segment| self.live.get(&segment.first).is_none_or(|live| *live == 0);
        self.segments.iter().filter(is_dead).map(|segment| segment.first).collect()
    }
}

/// What committer and readers share of the index.
#[derive(Debug, Default)]
pub(super) struct Index(Mutex<IndexState>);

impl Index {
    pub(super) fn new(state: IndexState) -> Self {
        Self(Mutex::new(state))
    }

    pub(super) fn state(&self) -> MutexGuard<'_, IndexState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Applier {
    /// Writes what is in memory as a segment once it is enough, in a transaction of its own. What it speaks of
    /// has to be written already.
    pub(super) fn seal_if_full(&mut self) -> Result<(), StoreError> {
        let tail = {
            let state = self.reader.ledger.index.state();
            if !state.tail.is_full() {
                return Ok(());
            }
            state.tail.clone()
        };
        let (ids, postings) = tail.sorted();
        segment::write(&mut self.draft, &ids, &postings);
        if !ids.is_empty() {
            self.write()?;
        }
        let mut state = self.reader.ledger.index.state();
        if let (Some(first), Some(last)) = (ids.first().copied(), ids.last().copied()) {
            Arc::make_mut(&mut state.segments).push(Segment { first, last, has_replays: tail.has_replays });
            state.live.insert(first, ids.len());
        }
        state.tail = Tail::default();
        Ok(())
    }

    /// Removes the segments of which the log has nothing more, oldest first.
    pub(super) fn drop_segments(&mut self) -> Result<(), StoreError> {
        let dead = self.reader.ledger.index.state().dead();
        for first in dead {
            for row in self.reader.tables.tree(Table::Segments).scan_prefix(first.to_be_bytes()).keys() {
                self.draft.remove(Table::Segments, &row?);
            }
            self.cut()?;
            let mut state = self.reader.ledger.index.state();
            Arc::make_mut(&mut state.segments).retain(|segment| segment.first != first);
            state.live.remove(&first);
        }
        Ok(())
    }
}

/// The segments of a log, from their rows in order.
#[derive(Debug, Default)]
pub(super) struct Directory(Vec<Segment>);

impl Directory {
    /// Takes the next row.
    pub(super) fn add(&mut self, row_key: &[u8], row: &[u8]) -> Result<(), StoreError> {
        let (first, ids) = segment::read_ids(row_key, row)?;
        let Some(last) = ids.last().copied() else { return Ok(()) };
        match self.0.last_mut() {
            Some(segment) if segment.first == first => segment.last = last,
            _ => self.0.push(Segment { first, last, has_replays: false }),
        }
        Ok(())
    }

    pub(super) fn into_segments(self) -> Vec<Segment> {
        self.0
    }
}
