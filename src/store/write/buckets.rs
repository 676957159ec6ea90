//! Rows that are good for a window of time, in buckets, so that they are removed in the order of their keys.
//!
//! A bucket is named by the second it starts at, which its rows' keys begin with, and is a quarter of the window
//! wide.

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
    /// The newest bucket of an earlier run, whose window may have been another.
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

    /// Whether what was written at `at` is still good.
    pub(in crate::store) fn is_within(&self, now: Timestamp, at: Timestamp) -> bool {
        now.since(at) < self.window
    }

    /// The buckets in which something still good may be, newest first.
    pub(in crate::store) fn probed(&self, now: Timestamp) -> impl Iterator<Item = u32> {
        let oldest = self.of(now.before(self.window));
        let is_probed = move |bucket: &u32| *bucket >= oldest || Some(*bucket) <= self.adopted;
        self.live.iter().rev().copied().filter(is_probed)
    }

    /// The bucket for what is written at `at`.
    pub(in crate::store) fn enter(&mut self, at: Timestamp) -> u32 {
        let bucket = self.of(at);
        self.live.insert(bucket);
        bucket
    }

    /// Removes rows beyond the window, oldest first, at most `limit`; answers whether there may be more.
    /// `written` tells when a row was.
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
                // Written when the window was wider.
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
