//! A lane's view of its queue on disk: how far the queue has been read, and the read under way.
//!
//! Rows are read in the order of their keys. The *cursor* says how far: every row up to the cursor is buffered in
//! memory or busy, and every row behind it is on disk alone. While a page is being read, rows are written and
//! deliveries change. The read remembers both, so that its result can be corrected when it arrives.

use std::collections::BTreeSet;

use super::item::{KEY_MAX, KEY_MIN, QueueKey};
use crate::model::id::DeliveryId;

/// The number of a read. A result with an old number is ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) struct ReadNumber(u64);

/// A page of the queue that is to be read.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct Page {
    /// The number of the read.
    pub(in crate::flow) read: ReadNumber,
    /// The page holds rows behind this key.
    pub(in crate::flow) after: QueueKey,
    /// The most rows that the page may hold.
    pub(in crate::flow) rows_max: usize,
}

/// Whether a lane starts with rows on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::flow) enum InitialQueue {
    /// The queue on disk is empty.
    Empty,
    /// The queue on disk has rows, none of which has been read.
    Unread,
}

/// A read under way, and the changes since it began.
#[derive(Debug)]
pub(super) struct ReadUnderWay {
    number: ReadNumber,
    /// The first row that was left on disk since the read began.
    first_left: Option<QueueKey>,
    /// The deliveries that changed since the read began: what was read of them may be outdated.
    changed: BTreeSet<DeliveryId>,
}

impl ReadUnderWay {
    /// Returns whether the delivery changed since the read began.
    pub(super) fn has_changed(&self, id: DeliveryId) -> bool {
        self.changed.contains(&id)
    }
}

/// The read state of a lane's queue on disk.
#[derive(Debug)]
pub(super) struct DiskQueue {
    /// Every row up to this key is buffered or busy.
    cursor: QueueKey,
    reading: Option<ReadUnderWay>,
    /// The number of reads that have begun.
    reads: u64,
}

impl DiskQueue {
    pub(super) const fn new(initial: InitialQueue) -> Self {
        let cursor = match initial {
            InitialQueue::Empty => KEY_MAX,
            InitialQueue::Unread => KEY_MIN,
        };
        Self { cursor, reading: None, reads: 0 }
    }

    /// Returns the key up to which every row is buffered or busy.
    pub(super) const fn cursor(&self) -> QueueKey {
        self.cursor
    }

    /// Returns whether a read may begin: rows may be left on disk, and no read is under way.
    pub(super) fn can_read(&self) -> bool {
        self.cursor < KEY_MAX && self.reading.is_none()
    }

    pub(super) const fn is_reading(&self) -> bool {
        self.reading.is_some()
    }

    /// Leaves a row on disk: the cursor moves to just before it.
    pub(super) fn leave(&mut self, key: QueueKey) {
        let before = (key.0, DeliveryId::from_bits(key.1.bits().saturating_sub(1)));
        self.cursor = self.cursor.min(before);
        if let Some(reading) = &mut self.reading {
            reading.first_left = Some(reading.first_left.map_or(key, |first| first.min(key)));
        }
    }

    /// Moves the cursor to the beginning: nothing on disk is buffered any more.
    pub(super) const fn rewind(&mut self) {
        self.cursor = KEY_MIN;
    }

    /// Makes the read under way void: its result will be ignored.
    pub(super) fn abandon_read(&mut self) {
        self.reading = None;
    }

    /// Records that a delivery has changed.
    pub(super) fn mark_changed(&mut self, id: DeliveryId) {
        if let Some(reading) = &mut self.reading {
            reading.changed.insert(id);
        }
    }

    /// Begins a read and returns its number.
    pub(super) fn begin_read(&mut self) -> ReadNumber {
        self.reads += 1;
        let number = ReadNumber(self.reads);
        self.reading = Some(ReadUnderWay { number, first_left: None, changed: BTreeSet::new() });
        number
    }

    /// Begins to read the next page.
    pub(super) fn begin_page(&mut self, rows_max: usize) -> Page {
        Page { after: self.cursor, rows_max, read: self.begin_read() }
    }

    /// Ends a read and returns what happened during it, or none if the result of that read is void.
    pub(super) fn end_read(&mut self, number: ReadNumber) -> Option<ReadUnderWay> {
        self.reading.take_if(|reading| reading.number == number)
    }

    /// Moves the cursor over a page that was read, and returns the rows to buffer.
    ///
    /// Returns none if the page no longer follows the cursor. Fewer rows than were asked for mean that the queue has
    /// no more. The page is cut before the first row that was left on disk during the read: the cursor would
    /// otherwise pass over that row.
    pub(super) fn advance(
        &mut self,
        page: Page,
        rows: &[QueueKey],
        read: &ReadUnderWay,
    ) -> Option<Vec<QueueKey>> {
        let Page { after, rows_max, .. } = page;
        if self.cursor < after {
            return None;
        }
        let end = read.first_left.unwrap_or(KEY_MAX);
        let passed = rows.get(..rows.partition_point(|key| *key < end)).unwrap_or_default();
        let is_end = rows.len() < rows_max && read.first_left.is_none();
        self.cursor = if is_end { KEY_MAX } else { passed.last().copied().unwrap_or(after) };
        Some(passed.iter().copied().filter(|(_, id)| !read.has_changed(*id)).collect())
    }
}
