//! The index of the log: the segments on disk, and the tail of newer entries in memory.
//!
//! The committer adds entries and seals a segment when the tail is full. Readers query it. The scan at
//! opening rebuilds it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::model::id::{EventId, SubscriptionId};
use crate::store::error::StoreError;
use crate::store::rows::key::delivery_of;
use crate::store::rows::origin::{Origin, OriginKind};
use crate::store::rows::segment::{self, ENTRIES_FULL, EVENT_TERMS, ORIGINS_FULL, Position, Term};

/// The position and properties of a segment on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Segment {
    /// The id of the first event or replay in the segment, which is also the key of the segment.
    pub(in crate::store) first: u128,
    /// The id of the last event or replay in the segment.
    pub(in crate::store) last: u128,
    /// Whether the segment contains a replay.
    pub(in crate::store) has_replays: bool,
}

/// The entries after the last segment.
#[derive(Clone, Debug, Default)]
pub(in crate::store) struct Tail {
    ids: Vec<u128>,
    /// Whether the log still has each entry.
    alive: Vec<bool>,
    /// For each kind of an event's terms, the terms of every event.
    terms: [Vec<Term>; EVENT_TERMS],
    /// The terms of the deliveries: subscriptions, and replayed events.
    deliveries: Vec<(Term, Position)>,
    entries: usize,
    pub(in crate::store) has_replays: bool,
}

impl Tail {
    /// Adds an event.
    pub(in crate::store) fn add_event(
        &mut self,
        id: EventId,
        terms: [Term; EVENT_TERMS],
        to: &[SubscriptionId],
    ) {
        self.add(id.bits(), terms, to.len());
        for (member, subscription) in to.iter().enumerate() {
            self.add_delivery(segment::of_subscription(*subscription), member);
        }
    }

    /// Adds a replay.
    pub(in crate::store) fn add_replay(&mut self, id: u128, deliveries: &[(EventId, SubscriptionId)]) {
        self.add(id, [0; EVENT_TERMS], deliveries.len());
        self.has_replays = true;
        for (member, (event, subscription)) in deliveries.iter().enumerate() {
            self.add_delivery(segment::of_subscription(*subscription), member);
            self.add_delivery(segment::of_replayed(*event), member);
        }
    }

    /// Adds an event or replay that the scan found in the log.
    pub(in crate::store) fn add_origin(&mut self, origin: &Origin, members: &[(EventId, SubscriptionId)]) {
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

    /// Returns whether the tail has enough entries for a segment.
    pub(in crate::store) fn is_full(&self) -> bool {
        self.ids.len() >= ORIGINS_FULL || self.entries >= ENTRIES_FULL
    }

    /// Returns the events with all of these terms from `first` (inclusive) to `end` (exclusive), oldest
    /// first. A term of 0 matches every event.
    pub(in crate::store) fn events(
        &self,
        wanted: [Term; EVENT_TERMS],
        (first, end): (u128, u128),
    ) -> Vec<u128> {
        let from = self.ids.partition_point(|id| *id < first);
        let to = self.ids.partition_point(|id| *id < end);
        let has = |index: &usize| {
            let mut pairs = self.terms.iter().zip(wanted);
            pairs.all(|(all, wanted)| wanted == 0 || all.get(*index) == Some(&wanted))
        };
        (from..to).filter(has).filter_map(|index| self.ids.get(index).copied()).collect()
    }

    /// Returns the deliveries with this term from `first` (inclusive) to `end` (exclusive), oldest first.
    pub(in crate::store) fn deliveries(&self, wanted: Term, (first, end): (u128, u128)) -> Vec<u128> {
        let hits = self.deliveries.iter().filter(|(term, _)| *term == wanted);
        let ids = hits.filter_map(|(_, position)| {
            let (index, member) = segment::parts(*position);
            self.ids.get(index).map(|id| delivery_of(*id, member).bits())
        });
        ids.filter(|id| (first..end).contains(id)).collect()
    }

    /// Returns the ids that the log still has, and all of their terms in order.
    pub(in crate::store) fn sorted(&self) -> (Vec<u128>, Vec<(Term, Position)>) {
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
pub(in crate::store) struct IndexState {
    pub(in crate::store) tail: Tail,
    /// The segments, oldest first.
    pub(in crate::store) segments: Arc<Vec<Segment>>,
    /// The number of events and replays of each segment that the log still has.
    pub(in crate::store) live: BTreeMap<u128, usize>,
}

impl IndexState {
    /// Returns the segment that contains an event or replay.
    fn segment_of(&self, id: u128) -> Option<Segment> {
        let index = self.segments.partition_point(|segment| segment.first <= id).checked_sub(1)?;
        self.segments.get(index).copied().filter(|segment| id <= segment.last)
    }

    /// Records that the segment of this id contains a replay.
    pub(in crate::store) fn note_replay(&mut self, id: u128) {
        let Some(of) = self.segment_of(id).filter(|segment| !segment.has_replays) else { return };
        let all = Arc::make_mut(&mut self.segments).iter_mut();
        all.filter(|segment| segment.first == of.first).for_each(|segment| segment.has_replays = true);
    }

    /// Counts an event or replay of the log. Returns false if no segment contains it.
    pub(in crate::store) fn count(&mut self, id: u128) -> bool {
        let segment = self.segment_of(id);
        if let Some(segment) = segment {
            *self.live.entry(segment.first).or_default() += 1;
        }
        segment.is_some()
    }

    /// Records that the log no longer has this event or replay.
    pub(in crate::store) fn forget(&mut self, id: u128) {
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

    /// Returns the segments of which the log has no entry any more.
    pub(in crate::store) fn dead(&self) -> Vec<u128> {
        let is_dead = |segment: &&Segment| self.live.get(&segment.first).is_none_or(|live| *live == 0);
        self.segments.iter().filter(is_dead).map(|segment| segment.first).collect()
    }
}

/// The index, shared by the committer and the readers.
#[derive(Debug, Default)]
pub(in crate::store) struct Index(Mutex<IndexState>);

impl Index {
    pub(in crate::store) fn new(state: IndexState) -> Self {
        Self(Mutex::new(state))
    }

    pub(in crate::store) fn state(&self) -> MutexGuard<'_, IndexState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Collects the segments of a log from their rows, in order.
#[derive(Debug, Default)]
pub(in crate::store) struct SegmentList(Vec<Segment>);

impl SegmentList {
    /// Adds the next row.
    pub(in crate::store) fn add(&mut self, row_key: &[u8], row: &[u8]) -> Result<(), StoreError> {
        let (first, ids) = segment::read_ids(row_key, row)?;
        let Some(last) = ids.last().copied() else { return Ok(()) };
        match self.0.last_mut() {
            Some(segment) if segment.first == first => segment.last = last,
            _ => self.0.push(Segment { first, last, has_replays: false }),
        }
        Ok(())
    }

    pub(in crate::store) fn into_segments(self) -> Vec<Segment> {
        self.0
    }
}
