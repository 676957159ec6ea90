//! Migrates a log from format 1 to format 2 at opening. Each transaction is short and leaves a log that the
//! next start can continue with.
//!
//! Format 1 kept every delivery in one tree, left the unfinished deliveries of a deleted subscription in
//! place, and had no index. The migration moves the row of each delivery to the tree of its state, writes a
//! cancelled row for each delivery left over, and writes the segments. The last transaction sets the format
//! to 2.

use crate::model::delivery::{Delivery, Progress};
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::store::error::StoreError;
use crate::store::memory::index::{SegmentList, Tail};
use crate::store::read::reader::Reader;
use crate::store::rows::key::{self, Table, delivery_of};
use crate::store::rows::origin::Origin;
use crate::store::rows::record::{self, Meta};
use crate::store::rows::segment;
use crate::store::rows::tables::corrupt;
use crate::store::rows::write_batch::WriteBatch;

/// The most rows of one transaction, unless one record has more.
const ROWS_MAX: usize = if cfg!(test) { 10 } else { 100 };
/// The number of transactions between two reports of progress.
const PROGRESS_EVERY: u64 = 5_000;

/// A migration in progress.
pub(in crate::store) struct Migration<'a> {
    reader: &'a Reader,
    meta: Meta,
    batch: WriteBatch,
    progress: &'a mut dyn FnMut(&str),
    writes: u64,
    #[cfg(test)]
    pub(in crate::store) fail_write_after: Option<u64>,
}

impl<'a> Migration<'a> {
    pub(in crate::store) fn new(reader: &'a Reader, meta: Meta, progress: &'a mut dyn FnMut(&str)) -> Self {
        Self {
            reader,
            meta,
            batch: WriteBatch::default(),
            progress,
            writes: 0,
            #[cfg(test)]
            fail_write_after: None,
        }
    }

    /// Does the remaining work and returns the new meta row of the log.
    pub(in crate::store) fn run(mut self) -> Result<Meta, StoreError> {
        self.move_deliveries()?;
        self.cancel_left_over()?;
        self.write_segments()?;
        self.meta.format = record::FORMAT;
        self.write()?;
        Ok(self.meta)
    }

    fn write(&mut self) -> Result<(), StoreError> {
        #[cfg(test)]
        crate::store::rows::engine::injected(&mut self.fail_write_after)?;
        self.meta = self.reader.tables.apply(&self.batch, &self.meta)?;
        self.batch = WriteBatch::default();
        self.writes += 1;
        if self.writes.is_multiple_of(PROGRESS_EVERY) {
            (self.progress)(&format!("rewriting the log in format 2: {} transactions so far", self.writes));
        }
        Ok(())
    }

    fn write_if_full(&mut self) -> Result<(), StoreError> {
        if self.batch.len() >= ROWS_MAX { self.write() } else { Ok(()) }
    }

    /// Moves the row of every delivery to the tree of its state.
    fn move_deliveries(&mut self) -> Result<(), StoreError> {
        let tables = &self.reader.tables;
        for row in tables.tree(Table::Deliveries).iter() {
            let (row_key, first) = row?;
            let (bits, number) = key::read_chunk(Table::Deliveries, &row_key)?;
            if number > 0 {
                continue;
            }
            let problem = |problem| corrupt(Table::Deliveries, bits, problem);
            let record = tables.assemble(Table::Deliveries, bits, first)?;
            let mut delivery =
                record::read_delivery(DeliveryId::from_bits(bits), &record).map_err(problem)?;
            if !delivery.progress.is_final() && !self.is_in_lane(&delivery)? {
                delivery.progress = Progress::Cancelled;
            }
            let table = Table::of(delivery.progress);
            self.batch.remove_long(Table::Deliveries, bits, record.len());
            self.batch.put_long(table, bits, &record::delivery(&delivery), 0);
            self.write_if_full()?;
        }
        self.write()
    }

    /// Returns whether a waiting delivery has a due row: at the time in its own row, or where a release put
    /// it.
    fn is_in_lane(&self, delivery: &Delivery) -> Result<bool, StoreError> {
        let Progress::Waiting { due } = delivery.progress else { return Ok(false) };
        for at in [due, delivery.id.time()] {
            let key = key::due(delivery.subscription, at, delivery.id);
            if self.reader.tables.tree(Table::Due).contains_key(key)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes a cancelled row for each delivery of a deleted subscription that has no row.
    fn cancel_left_over(&mut self) -> Result<(), StoreError> {
        let floor = u128::from_be_bytes(self.meta.fresh_floor);
        for row in self.reader.tables.tree(Table::Events).iter() {
            let (row_key, first) = row?;
            let (bits, number) = key::read_chunk(Table::Events, &row_key)?;
            if number > 0 {
                continue;
            }
            let origin = Origin::read(bits, first)?;
            for (index, (event, subscription)) in self.reader.members(&origin)?.into_iter().enumerate() {
                let delivery = Delivery::new(delivery_of(bits, index), event, subscription);
                let is_fresh = bits >= floor && self.is_living(subscription)?;
                if !is_fresh && !self.has_row(delivery.id)? && !self.is_in_lane(&delivery)? {
                    let delivery = Delivery { progress: Progress::Cancelled, ..delivery };
                    let record = record::delivery(&delivery);
                    self.batch.put_long(Table::Cancelled, delivery.id.bits(), &record, 0);
                    self.write_if_full()?;
                }
            }
        }
        self.write()
    }

    fn is_living(&self, id: SubscriptionId) -> Result<bool, StoreError> {
        Ok(self.reader.subscription(id)?.is_some_and(|subscription| subscription.deleted_at.is_none()))
    }

    fn has_row(&self, id: DeliveryId) -> Result<bool, StoreError> {
        // The trees are ordered by how likely they hold the delivery: most deliveries have succeeded.
        for table in [Table::Succeeded, Table::Cancelled, Table::Exhausted, Table::Retrying] {
            if self.reader.tables.tree(table).contains_key(key::chunk(id.bits(), 0))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Writes the index, one segment in each transaction. The events after the last segment remain for the
    /// tail in memory.
    fn write_segments(&mut self) -> Result<(), StoreError> {
        let tables = &self.reader.tables;
        let mut segments_found = SegmentList::default();
        for row in tables.tree(Table::Segments).iter() {
            let (row_key, row) = row?;
            segments_found.add(&row_key, &row)?;
        }
        let from = segments_found.into_segments().last().map_or(0, |segment| segment.last.saturating_add(1));
        let mut tail = Tail::default();
        for row in tables.tree(Table::Events).range(key::chunk(from, 0)..) {
            let (row_key, first) = row?;
            let (bits, number) = key::read_chunk(Table::Events, &row_key)?;
            if number > 0 {
                continue;
            }
            let origin = Origin::read(bits, first)?;
            tail.add_origin(&origin, &self.reader.members(&origin)?);
            if tail.is_full() {
                let (ids, postings) = tail.sorted();
                segment::write(&mut self.batch, &ids, &postings);
                self.write()?;
                tail = Tail::default();
            }
        }
        Ok(())
    }
}
