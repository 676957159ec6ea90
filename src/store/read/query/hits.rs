//! Searches the index for ids with given terms, newest first.

use std::sync::Arc;

use super::bounds::{LOOK_UP, Span, Work};
use crate::store::error::StoreError;
use crate::store::memory::index::Segment;
use crate::store::read::reader::Reader;
use crate::store::rows::key::delivery_of;
use crate::store::rows::segment::{self, EVENT_TERMS, Ids, Position, Term};

/// The terms of a search.
enum Wanted {
    /// Events that have all of these terms.
    Events(Vec<Term>),
    /// Deliveries that have this term.
    Deliveries(Term),
}

/// A search of the index, newest first. The caller must verify each hit: the log may no longer have it, and
/// two terms may have the same hash.
pub(super) struct IndexSearch<'a> {
    reader: &'a Reader,
    wanted: Wanted,
    span: Span,
    /// The hits that were found and not returned yet, the newest last.
    found: Vec<u128>,
    segments: Arc<Vec<Segment>>,
    /// The segments from this one on have been searched.
    passed: usize,
    /// The position at which the work limit stopped the search.
    stopped_at: Option<u128>,
}

impl<'a> IndexSearch<'a> {
    /// Searches for events with these terms. A term of 0 matches every event; at least one term is not 0.
    pub(super) fn events(reader: &'a Reader, terms: [Term; EVENT_TERMS], span: Span) -> Self {
        let state = reader.shared.index.state();
        let found = state.tail.events(terms, (span.first, span.end));
        let segments = Arc::clone(&state.segments);
        drop(state);
        let wanted = Wanted::Events(terms.into_iter().filter(|term| *term != 0).collect());
        Self::new(reader, wanted, span, (found, segments))
    }

    /// Searches for deliveries with this term.
    pub(super) fn deliveries(reader: &'a Reader, term: Term, span: Span) -> Self {
        let state = reader.shared.index.state();
        let found = state.tail.deliveries(term, (span.first, span.end));
        let segments = Arc::clone(&state.segments);
        drop(state);
        Self::new(reader, Wanted::Deliveries(term), span, (found, segments))
    }

    /// Searches for replayed deliveries of an event. They are newer than the event.
    pub(super) fn replayed(reader: &'a Reader, event: u128, span: Span) -> Self {
        let span = Span { first: span.first.max(event), ..span };
        let event = crate::model::id::EventId::from_bits(event);
        let mut hits = Self::deliveries(reader, segment::of_replayed(event), span);
        if hits.segments.iter().any(|segment| !segment.has_replays) {
            let with_replays = hits.segments.iter().filter(|segment| segment.has_replays);
            hits.segments = Arc::new(with_replays.copied().collect());
            hits.passed = hits.segments.partition_point(|segment| segment.first < span.end);
        }
        hits
    }

    fn new(
        reader: &'a Reader,
        wanted: Wanted,
        span: Span,
        (found, segments): (Vec<u128>, Arc<Vec<Segment>>),
    ) -> Self {
        let passed = segments.partition_point(|segment| segment.first < span.end);
        Self { reader, wanted, span, found, segments, passed, stopped_at: None }
    }

    /// Returns the next hit, or `None` at the end or when the work is spent.
    pub(super) fn next(&mut self, work: &mut Work) -> Result<Option<u128>, StoreError> {
        loop {
            if let Some(id) = self.found.pop() {
                return Ok(Some(id));
            }
            let Some(number) = self.passed.checked_sub(1) else { return Ok(None) };
            let Some(segment) = self.segments.get(number).copied() else { return Ok(None) };
            // Deliveries of a segment's last event have ids after it and before the next segment.
            if self.segments.get(number + 1).is_some_and(|next| next.first <= self.span.first) {
                return Ok(None);
            }
            if work.is_spent() {
                self.stopped_at =
                    self.segments.get(number + 1).map(|next| next.first).or(Some(self.span.end));
                return Ok(None);
            }
            self.passed = number;
            self.found = self.search(segment, work)?;
        }
    }

    /// Returns the deliveries with this term, oldest first.
    pub(super) fn forwards(
        reader: &'a Reader,
        term: Term,
        span: Span,
    ) -> impl Iterator<Item = Result<u128, StoreError>> {
        let mut hits = Self::deliveries(reader, term, span);
        let last = std::mem::take(&mut hits.found);
        let segments = Arc::clone(&hits.segments);
        // A segment ends at the start of the next one.
        let from = segments.partition_point(|segment| segment.first <= span.first).saturating_sub(1);
        let found = (from..hits.passed).flat_map(move |number| {
            let segment = segments.get(number).copied();
            let found = segment.map_or(Ok(Vec::new()), |segment| hits.search(segment, &mut Work::new()));
            match found {
                Ok(found) => found.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            }
        });
        found.chain(last.into_iter().map(Ok))
    }

    /// Returns where the work limit stopped the search. Everything from there on has been found.
    pub(super) fn stopped_at(&self) -> Option<u128> {
        self.stopped_at
    }

    /// Returns the hits in a segment, oldest first.
    fn search(&self, segment: Segment, work: &mut Work) -> Result<Vec<u128>, StoreError> {
        let tables = &self.reader.tables;
        let positions = match &self.wanted {
            Wanted::Deliveries(term) => {
                work.spend(LOOK_UP);
                segment::positions(tables, segment.first, *term)?
            }
            Wanted::Events(terms) => {
                let mut lists = Vec::with_capacity(terms.len());
                for term in terms {
                    work.spend(LOOK_UP);
                    let list = segment::positions(tables, segment.first, *term)?;
                    if list.is_empty() {
                        return Ok(Vec::new());
                    }
                    lists.push(list);
                }
                intersection(lists)
            }
        };
        let mut ids = Ids::new(tables, segment.first);
        let mut found = Vec::with_capacity(positions.len());
        for position in positions {
            let (index, member) = segment::parts(position);
            let Some(id) = ids.get(index)? else { break };
            let id = match self.wanted {
                Wanted::Events(_) => id,
                Wanted::Deliveries(_) => delivery_of(id, member).bits(),
            };
            if (self.span.first..self.span.end).contains(&id) {
                found.push(id);
            }
        }
        Ok(found)
    }
}

/// Returns the positions that all of the sorted lists contain.
fn intersection(mut lists: Vec<Vec<Position>>) -> Vec<Position> {
    lists.sort_unstable_by_key(Vec::len);
    let mut lists = lists.into_iter();
    let mut common = lists.next().unwrap_or_default();
    for list in lists {
        common.retain(|position| list.binary_search(position).is_ok());
    }
    common
}
