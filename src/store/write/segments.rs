//! Writes and removes segments of the index.

use std::sync::Arc;

use super::writer::Writer;
use crate::store::error::StoreError;
use crate::store::memory::index::{Segment, Tail};
use crate::store::rows::key::Table;
use crate::store::rows::segment;

impl Writer {
    /// Writes the tail as a segment if it is full, in a transaction of its own. The rows that it refers to
    /// must have been written.
    pub(in crate::store) fn write_segment_if_full(&mut self) -> Result<(), StoreError> {
        let tail = {
            let state = self.reader.shared.index.state();
            if !state.tail.is_full() {
                return Ok(());
            }
            state.tail.clone()
        };
        let (ids, postings) = tail.sorted();
        segment::write(&mut self.batch, &ids, &postings);
        if !ids.is_empty() {
            self.write()?;
        }
        let mut state = self.reader.shared.index.state();
        if let (Some(first), Some(last)) = (ids.first().copied(), ids.last().copied()) {
            Arc::make_mut(&mut state.segments).push(Segment { first, last, has_replays: tail.has_replays });
            state.live.insert(first, ids.len());
        }
        state.tail = Tail::default();
        Ok(())
    }

    /// Removes the segments whose entries are all gone from the log, oldest first.
    pub(in crate::store) fn remove_dead_segments(&mut self) -> Result<(), StoreError> {
        let dead = self.reader.shared.index.state().dead();
        for first in dead {
            for row in self.reader.tables.tree(Table::Segments).scan_prefix(first.to_be_bytes()).keys() {
                self.batch.remove(Table::Segments, &row?);
            }
            self.write_batch()?;
            let mut state = self.reader.shared.index.state();
            Arc::make_mut(&mut state.segments).retain(|segment| segment.first != first);
            state.live.remove(&first);
        }
        Ok(())
    }
}
