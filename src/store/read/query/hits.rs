//! Ids that the index says have a term, newest first.

use std::sync::Arc;

use super::bounds::{LOOK_UP, Span, Work};
use crate::store::error::StoreError;
use crate::store::memory::index::Segment;
use crate::store::read::reader::Reader;
use crate::store::rows::key::delivery_of;
use crate::store::rows::segment::{self, EVENT_TERMS, Ids, Position, Term};

/// What is looked for.
enum Wanted {
    /// Events that have all of these.
    Events(Vec<Term>),
    /// Deliveries that have this.
    Deliveries(Term),
}

/// A walk through the index from the newest on. What it finds has to be looked at: the log may have it no longer,
/// and another term may have the same hash.
pub(super) struct IndexSearch<'a> {
    reader: &'a Reader,
    wanted: Wanted,
    span: Span,
    /// Found and not yet returned, the newest last.
    found: Vec<u128>,
    segments: Arc<Vec<Segment>>,
    /// Segments from this one on have been passed.
    passed: usize,
    /// Where it stopped because the work was spent.
    stopped_at: Option<u128>,
}

impl<'a> IndexSearch<'a> {
    /// Events with these terms, 0 for any; at least one is not 0.
    pub(super) fn events(reader: &'a Reader, terms: [Term; EVENT_TERMS], span: Span) -> Self {
        let state = reader.shared.index.state();
        let found = state.tail.events(terms, (span.first, span.end));
        let segments = Arc::clone(&state.segments);
        drop(state);
        let wanted = Wanted::Events(terms.into_iter().filter(|term| *term != 0).collect());
        Self::new(reader, wanted, span, (found, segments))
    }

    /// Deliveries with this term.
    pub(super) fn deliveries(reader: &'a Reader, term: Term, span: Span) -> Self {
        let state = reader.shared.index.state();
        let found = state.tail.deliveries(term, (span.first, span.end));
        let segments = Arc::clone(&state.segments);
        drop(state);
        Self::new(reader, Wanted::Deliveries(term), span, (found, segments))
    }

    /// Replayed deliveries of an event, which are newer than it.
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

    /// The next hit; none at the end, or once the work is spent.
    pub(super) fn next(&mut self, work: &mut Work) -> Result<Option<u128>, StoreError> {
        loop {
            if let Some(id) = self.found.pop() {
                return Ok(Some(id));
            }
            let Some(number) = self.passed.checked_sub(1) else { return Ok(None) };
            let Some(segment) = self.segments.get(number).copied() else { return Ok(None) };
            // Deliveries of the last event of a segment come after it, but before the next one.
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

    /// Deliveries with this term, oldest first.
    pub(super) fn forwards(
        reader: &'a Reader,
        term: Term,
        span: Span,
    ) -> impl Iterator<Item = Result<u128, StoreError>> {
        let mut hits = Self::deliveries(reader, term, span);
        let last = std::mem::take(&mut hits.found);
        let segments = Arc::clone(&hits.segments);
        // A segment ends where the next one begins.
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

    /// Where the walk stopped because the work was spent: everything from there on has been found.
    pub(super) fn stopped_at(&self) -> Option<u128> {
        self.stopped_at
    }

    /// The hits in a segment, oldest first.
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

/// What is in all of the sorted lists.
fn intersection(mut lists: Vec<Vec<Position>>) -> Vec<Position> {
    lists.sort_unstable_by_key(Vec::len);
    let mut lists = lists.into_iter();
    let mut common = lists.next().unwrap_or_default();
    for list in lists {
        common.retain(|position| list.binary_search(position).is_ok());
    }
    common
}
