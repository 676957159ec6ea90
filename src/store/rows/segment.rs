//! Segments: index rows that list, for a part of the log, where each term occurs.
//!
//! A *term* is the hash of an event's type, project, company or sender's id, of a delivery's subscription, or
//! of a replayed event. A *position* is the number of an event or replay within the segment; for a delivery,
//! also its number among those of its origin. A segment has blocks of ids, and rows of postings ordered by
//! term. Each row of postings has its first term as its key, so one look-up finds a term. The rows are read
//! in place.
//!
//! A hit means only that a row with that hash existed. The caller must read the row itself.

use super::engine::RowBytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::key::{self, Table};
use super::record::CHUNK_BYTES;
use super::tables::Tables;
use super::write_batch::WriteBatch;
use crate::model::event::EventContent;
use crate::model::id::{EventId, SubscriptionId};
use crate::store::error::StoreError;

/// The version of the rows. It is their first byte.
const VERSION: u8 = 1;
/// The bits of a position that number the deliveries of an origin.
const MEMBER_BITS: u32 = 20;
/// The most events and replays that a segment can number.
const ORIGINS_MAX: u32 = 1 << (u32::BITS - MEMBER_BITS);
/// A segment is written when it has this many events and replays. It is less than the maximum because those
/// of a whole transaction are added together.
pub(in crate::store) const ORIGINS_FULL: usize = ORIGINS_MAX as usize - 128;
/// A segment is also written when it has this many events, replays and deliveries together. The tests of the
/// store use a small number, so that they have many segments.
pub(in crate::store) const ENTRIES_FULL: usize = if cfg!(test) { 48 } else { 8192 };

/// The hash of a term. It is never 0.
pub(in crate::store) type Term = u64;
/// A position in a segment.
pub(in crate::store) type Position = u32;

fn term(kind: u64, name: &[u8]) -> Term {
    xxh3_64_with_seed(name, kind).max(1)
}

pub(in crate::store) fn of_type(name: &str) -> Term {
    term(1, name.as_bytes())
}

pub(in crate::store) fn of_project(name: &str) -> Term {
    term(2, name.as_bytes())
}

pub(in crate::store) fn of_company(name: &str) -> Term {
    term(3, name.as_bytes())
}

pub(in crate::store) fn of_sender(id: &str) -> Term {
    term(4, id.as_bytes())
}

pub(in crate::store) fn of_subscription(id: SubscriptionId) -> Term {
    term(5, &id.to_bytes())
}

pub(in crate::store) fn of_replayed(event: EventId) -> Term {
    term(6, &event.to_bytes())
}

/// The number of terms of an event: type, project, company, sender's id.
pub(in crate::store) const EVENT_TERMS: usize = 4;

/// Returns the terms of an event. A missing member has the term 0.
pub(in crate::store) fn of_event(content: &EventContent) -> [Term; EVENT_TERMS] {
    [
        of_type(content.event_type.as_str()),
        of_project(content.project.as_str()),
        content.company.as_ref().map_or(0, |company| of_company(company.as_str())),
        content.sender_id.as_ref().map_or(0, |id| of_sender(id.as_str())),
    ]
}

/// Returns the position of the delivery at `member` of the origin at `index`, or `None` if a position cannot
/// express it.
pub(in crate::store) fn position(index: usize, member: usize) -> Option<Position> {
    let (index, member) = (u32::try_from(index).ok()?, u32::try_from(member).ok()?);
    (index < ORIGINS_MAX && member >> MEMBER_BITS == 0).then_some(index << MEMBER_BITS | member)
}

/// Splits a position into the number of the origin and the number of the delivery within it.
pub(in crate::store) fn parts(position: Position) -> (usize, usize) {
    ((position >> MEMBER_BITS) as usize, (position & ((1 << MEMBER_BITS) - 1)) as usize)
}

const IDS: u8 = 0;
const POSTINGS: u8 = 1;
/// The number of ids in a block.
const BLOCK_IDS: usize = (CHUNK_BYTES - 1) / 16;
/// The size of a row's head: the version and the number of terms.
const HEAD_BYTES: usize = 3;
/// The size of an entry: a term, and the end of its positions, counted in positions.
const ENTRY_BYTES: usize = 10;
const POSITION_BYTES: usize = 4;
/// The most positions of one term in a row.
const POSITIONS_MAX: usize = (CHUNK_BYTES - HEAD_BYTES - ENTRY_BYTES) / POSITION_BYTES;

/// Adds a segment to the batch: its ids, and the positions of each term, in order. The first id is the name
/// of the segment.
pub(in crate::store) fn write(batch: &mut WriteBatch, ids: &[u128], postings: &[(Term, Position)]) {
    let Some(segment) = ids.first().copied() else { return };
    for (number, block) in (0u64..).zip(ids.chunks(BLOCK_IDS)) {
        let mut row = vec![VERSION];
        row.extend(block.iter().flat_map(|id| id.to_be_bytes()));
        batch.put(Table::Segments, &key::segment(segment, IDS, number, 0), row);
    }
    let mut packed = Packed::default();
    for list in postings.chunk_by(|a, b| a.0 == b.0) {
        if list.len() > POSITIONS_MAX {
            packed.flush(batch, segment, 0);
            for (part, list) in (0u16..).zip(list.chunks(POSITIONS_MAX)) {
                packed.add(list);
                packed.flush(batch, segment, part);
            }
            continue;
        }
        if packed.bytes_with(list.len()) > CHUNK_BYTES {
            packed.flush(batch, segment, 0);
        }
        packed.add(list);
    }
    packed.flush(batch, segment, 0);
}

/// A row of postings that is being filled.
#[derive(Default)]
struct Packed {
    terms: Vec<(Term, u16)>,
    positions: Vec<Position>,
}

impl Packed {
    fn bytes_with(&self, more: usize) -> usize {
        HEAD_BYTES + (self.terms.len() + 1) * ENTRY_BYTES + (self.positions.len() + more) * POSITION_BYTES
    }

    fn add(&mut self, list: &[(Term, Position)]) {
        let Some((term, _)) = list.first() else { return };
        self.positions.extend(list.iter().map(|(_, position)| position));
        self.terms.push((*term, u16::try_from(self.positions.len()).unwrap_or(u16::MAX)));
    }

    fn flush(&mut self, batch: &mut WriteBatch, segment: u128, part: u16) {
        let Some((first, _)) = self.terms.first().copied() else { return };
        let mut row = vec![VERSION];
        row.extend(u16::try_from(self.terms.len()).unwrap_or(u16::MAX).to_be_bytes());
        for (term, end) in self.terms.drain(..) {
            row.extend(term.to_be_bytes());
            row.extend(end.to_be_bytes());
        }
        row.extend(self.positions.drain(..).flat_map(u32::to_be_bytes));
        batch.put(Table::Segments, &key::segment(segment, POSTINGS, first, part), row);
    }
}

fn corrupt(row_key: &[u8]) -> StoreError {
    StoreError::corrupt(Table::Segments.name(), row_key, "it is not a row of a segment")
}

/// Returns the bytes after the version.
fn body<'a>(row_key: &[u8], row: &'a [u8]) -> Result<&'a [u8], StoreError> {
    match row.split_first() {
        Some((&VERSION, body)) => Ok(body),
        _ => Err(corrupt(row_key)),
    }
}

/// Returns the ids in a row of a segment and the name of the segment. A row of postings has no ids.
pub(in crate::store) fn read_ids(row_key: &[u8], row: &[u8]) -> Result<(u128, Vec<u128>), StoreError> {
    let (segment, kind, ..) = key::read_segment(row_key)?;
    let ids = if kind == IDS { body(row_key, row)? } else { &[] };
    Ok((segment, ids.as_chunks().0.iter().copied().map(u128::from_be_bytes).collect()))
}

/// Looks up the ids of a segment by their numbers.
#[derive(Debug)]
pub(in crate::store) struct Ids<'a> {
    tables: &'a Tables,
    segment: u128,
    /// The block that was read last.
    block: Option<(usize, RowBytes)>,
}

impl<'a> Ids<'a> {
    pub(in crate::store) fn new(tables: &'a Tables, segment: u128) -> Self {
        Self { tables, segment, block: None }
    }

    /// Returns the id at `index`, or `None` if the segment has been removed meanwhile.
    pub(in crate::store) fn get(&mut self, index: usize) -> Result<Option<u128>, StoreError> {
        let number = index / BLOCK_IDS;
        let row_key = key::segment(self.segment, IDS, number as u64, 0);
        if self.block.as_ref().is_none_or(|(read, _)| *read != number) {
            let row = self.tables.tree(Table::Segments).get(row_key)?;
            self.block = row.map(|row| (number, row));
        }
        let Some((_, row)) = &self.block else { return Ok(None) };
        let ids = body(&row_key, row)?.as_chunks().0;
        ids.get(index % BLOCK_IDS).map(|id| Some(u128::from_be_bytes(*id))).ok_or_else(|| corrupt(&row_key))
    }
}

/// Returns the positions of a term in a segment, in order.
pub(in crate::store) fn positions(
    tables: &Tables,
    segment: u128,
    term: Term,
) -> Result<Vec<Position>, StoreError> {
    let tree = tables.tree(Table::Segments);
    let span = key::segment(segment, POSTINGS, 0, 0)..=key::segment(segment, POSTINGS, term, u16::MAX);
    let Some(row) = tree.range(span).next_back() else { return Ok(Vec::new()) };
    let (row_key, row) = row?;
    let (.., first, last_part) = key::read_segment(&row_key)?;
    let mut found = Vec::new();
    if first == term {
        for part in 0..last_part {
            let row_key = key::segment(segment, POSTINGS, term, part);
            let Some(row) = tree.get(row_key)? else { return Ok(Vec::new()) };
            add_positions(&row_key, &row, term, &mut found)?;
        }
    }
    add_positions(&row_key, &row, term, &mut found)?;
    Ok(found)
}

/// Appends the positions of a term from a row of postings.
fn add_positions(
    row_key: &[u8],
    row: &[u8],
    term: Term,
    found: &mut Vec<Position>,
) -> Result<(), StoreError> {
    let split = || {
        let (count, rest) = body(row_key, row).ok()?.split_first_chunk()?;
        let (entries, positions) =
            rest.split_at_checked(usize::from(u16::from_be_bytes(*count)) * ENTRY_BYTES)?;
        Some((entries.as_chunks::<ENTRY_BYTES>().0, positions.as_chunks::<POSITION_BYTES>().0))
    };
    let (entries, positions) = split().ok_or_else(|| corrupt(row_key))?;
    let read = |entry: &[u8; ENTRY_BYTES]| {
        let [term @ .., a, b] = entry;
        let mut bytes = [0; 8];
        bytes.copy_from_slice(term);
        (u64::from_be_bytes(bytes), usize::from(u16::from_be_bytes([*a, *b])))
    };
    let Ok(index) = entries.binary_search_by_key(&term, |entry| read(entry).0) else { return Ok(()) };
    let end = entries.get(index).map_or(0, |entry| read(entry).1);
    let start = index.checked_sub(1).and_then(|index| entries.get(index)).map_or(0, |entry| read(entry).1);
    let list = positions.get(start..end).ok_or_else(|| corrupt(row_key))?;
    found.extend(list.iter().map(|position| u32::from_be_bytes(*position)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::time::Clock;
    use crate::store::tests::test_store::{EPOCH, TestStore};

    /// Writes the rows of the batch into a tree without a transaction.
    fn put(tables: &Tables, batch: &WriteBatch) {
        for (row_key, row) in batch.puts(Table::Segments) {
            assert!(row.len() <= CHUNK_BYTES, "{} bytes", row.len());
            tables.sled_tree(Table::Segments).insert(row_key, row).unwrap();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn every_term_is_found_in_its_segment_alone() {
        let dir = tempfile::tempdir().unwrap();
        let (rig, _) = TestStore::open(dir.path(), &Clock::starting_at(EPOCH), 1);
        let tables = &rig.reader.tables;
        let ids: Vec<u128> = (0..3000).map(|n| 1000 + n * 7).collect();
        let mut lists: BTreeMap<Term, Vec<Position>> = BTreeMap::new();
        // Terms with one position, with some, with as many as fill a row, and with several rows, side by
        // side.
        for (term, count) in [(1, 3000), (2, 1), (3, POSITIONS_MAX), (u64::MAX, 2), (u64::MAX - 1, 5000)] {
            lists.insert(term, (0..u32::try_from(count).unwrap()).map(|n| n * 3).collect());
        }
        lists
            .extend((100..2000).map(|n| {
                (n * 1_000_003, vec![u32::try_from(n).unwrap(); 1 + usize::from(n % 50 == 0) * 40])
            }));
        let postings: Vec<_> =
            lists.iter().flat_map(|(term, list)| list.iter().map(|position| (*term, *position))).collect();
        let mut batch = WriteBatch::default();
        write(&mut batch, &ids, &postings);
        let other: Vec<u128> = (0..9).map(|n| 900_000 + n).collect();
        write(&mut batch, &other, &[(1, 5), (4, 6)]);
        put(tables, &batch);
        for (term, list) in &lists {
            assert_eq!(&positions(tables, ids[0], *term).unwrap(), list, "{term}");
        }
        for absent in [0, 4, 99, 1_000_003 * 100 + 1, u64::MAX - 2] {
            assert!(positions(tables, ids[0], absent).unwrap().is_empty(), "{absent}");
        }
        assert_eq!(positions(tables, other[0], 1).unwrap(), [5]);
        assert_eq!(positions(tables, other[0], 4).unwrap(), [6]);
        assert!(positions(tables, 77, 1).unwrap().is_empty(), "a segment that is gone");
        let mut known = Ids::new(tables, ids[0]);
        for index in [0, 382, 383, 2999, 1] {
            assert_eq!(known.get(index).unwrap(), Some(ids[index]));
        }
        assert!(known.get(3000).is_err());
        assert_eq!(Ids::new(tables, 77).get(0).unwrap(), None);
        for row in tables.tree(Table::Segments).iter().keys() {
            tables.sled_tree(Table::Segments).remove(row.unwrap()).unwrap();
        }
        rig.close().await.unwrap();
    }

    #[test]
    fn a_position_says_where_up_to_its_bounds() {
        let (index, member) = (ORIGINS_FULL, (1 << MEMBER_BITS) - 1);
        assert_eq!(parts(position(index, member).unwrap()), (index, member));
        assert_eq!(position(1 << (32 - MEMBER_BITS), 0), None);
        assert_eq!(position(0, 1 << MEMBER_BITS), None);
        assert!(of_type("a") != of_project("a") && of_company("a") != of_sender("a"));
    }
}
