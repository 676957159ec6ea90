//! Rows that are valid for a window of time. They are grouped in buckets, so that expired rows are removed in
//! the order of their keys.
//!
//! The name of a bucket is the second at which it starts. The keys of its rows begin with it. A bucket covers
//! a quarter of the window.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::rows::key::Table;
use crate::store::rows::tables::Tables;
use crate::store::rows::write_batch::WriteBatch;

/// The buckets of a tree.
#[derive(Debug)]
pub(in crate::store) struct Buckets {
    table: Table,
    window: Duration,
    width_secs: u64,
    live: BTreeSet<u32>,
    /// The newest bucket of an earlier run, which may have used another window.
    adopted: Option<u32>,
}

impl Buckets {
    pub(in crate::store) fn new(table: Table, window: Duration, buckets: BTreeSet<u32>) -> Self {
        let width_secs = (window.as_secs() / 4).max(1);
        let adopted = buckets.last().copied();
        Self { table, window, width_secs, live: buckets, adopted }
    }

    fn of(&self, at: Timestamp) -> u32 {
        u32::try_from(at.as_secs() / self.width_secs * self.width_secs).unwrap_or(u32::MAX)
    }

    /// Returns whether a row that was written at `at` is still valid.
    pub(in crate::store) fn is_within(&self, now: Timestamp, at: Timestamp) -> bool {
        now.since(at) < self.window
    }

    /// Returns the buckets that may have valid rows, newest first.
    pub(in crate::store) fn probed(&self, now: Timestamp) -> impl Iterator<Item = u32> {
        let oldest = self.of(now.before(self.window));
        let is_probed = move |bucket: &u32| *bucket >= oldest || Some(*bucket) <= self.adopted;
        self.live.iter().rev().copied().filter(is_probed)
    }

    /// Returns the bucket of a row that is written at `at`.
    pub(in crate::store) fn enter(&mut self, at: Timestamp) -> u32 {
        let bucket = self.of(at);
        self.live.insert(bucket);
        bucket
    }

    /// Removes at most `limit` expired rows, oldest first. Returns whether more may be left. `written`
    /// returns the time at which a row was written.
    pub(in crate::store) fn expire(
        &mut self,
        tables: &Tables,
        batch: &mut WriteBatch,
        (now, limit): (Timestamp, usize),
        written: impl Fn(&[u8], &[u8]) -> Result<Timestamp, StoreError>,
    ) -> Result<bool, StoreError> {
        let mut left = limit;
        while let Some(bucket) = self.live.first().copied() {
            let age = Duration::from_secs(now.as_secs().saturating_sub(u64::from(bucket)));
            if age < self.window.saturating_add(Duration::from_secs(self.width_secs)) {
                return Ok(false);
            }
            for row in tables.tree(self.table).scan_prefix(bucket.to_be_bytes()) {
                let (key, value) = row?;
                // The row was written when the window was longer.
                if self.is_within(now, written(&key, &value)?) {
                    return Ok(false);
                }
                if left == 0 {
                    return Ok(true);
                }
                left -= 1;
                batch.remove(self.table, &key);
            }
            self.live.pop_first();
        }
        Ok(false)
    }
}
