//! Which ids of senders were seen lately.
//!
//! Rows lie in buckets by time, so that they are removed in the order of their keys. A bucket is named by the
//! second it starts at, and is a quarter of the window wide.

use std::collections::BTreeSet;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use super::error::StoreError;
use super::key::{self, Table};
use super::table::{Draft, Tables};
use crate::model::event::EventContent;
use crate::model::id::EventId;
use crate::model::time::Timestamp;

/// What identifies a sender's event: the first 128 bits of the SHA-256 of company, project and id.
pub(super) fn hash(content: &EventContent) -> Option<[u8; 16]> {
    let sender_id = content.sender_id.as_ref()?;
    let company = content.company.as_ref().map_or("", |company| company.as_str());
    let mut digest = Context::new(&SHA256);
    for part in [company, content.project.as_str(), sender_id.as_str()] {
        // No name has a NUL, so that three texts are hashed as no other three are.
        digest.update(part.as_bytes());
        digest.update(&[0]);
    }
    digest.finish().as_ref().first_chunk().copied()
}

/// The buckets of the window.
#[derive(Debug)]
pub(super) struct Dedup {
    window: Duration,
    width_secs: u64,
    buckets: BTreeSet<u32>,
    /// The newest bucket of an earlier run, whose window may have been another.
    adopted: Option<u32>,
}

impl Dedup {
    pub(super) fn new(window: Duration, buckets: BTreeSet<u32>) -> Self {
        let width_secs = (window.as_secs() / 4).max(1);
        let adopted = buckets.last().copied();
        Self { window, width_secs, buckets, adopted }
    }

    fn bucket(&self, at: Timestamp) -> u32 {
        u32::try_from(at.as_secs() / self.width_secs * self.width_secs).unwrap_or(u32::MAX)
    }

    fn is_within(&self, now: Timestamp, event: EventId) -> bool {
        now.since(event.time()) < self.window
    }

    /// The event that had this hash within the window before `now`.
    pub(super) fn find(
        &self,
        tables: &Tables,
        draft: &Draft,
        now: Timestamp,
        hash: [u8; 16],
    ) -> Result<Option<EventId>, StoreError> {
        let oldest = self.bucket(now.before(self.window));
        let is_probed = |bucket: &&u32| **bucket >= oldest || Some(**bucket) <= self.adopted;
        for bucket in self.buckets.iter().rev().filter(is_probed) {
            let key = key::dedup(*bucket, hash);
            if let Some(row) = draft.get(tables, Table::Dedup, &key)? {
                let found = EventId::from_bits(key::read_id(Table::Dedup, &key, &row)?);
                // The newest one decides: those before it are older.
                return Ok(self.is_within(now, found).then_some(found));
            }
        }
        Ok(None)
    }

    pub(super) fn add(&mut self, draft: &mut Draft, event: EventId, hash: [u8; 16]) {
        let bucket = self.bucket(event.time());
        self.buckets.insert(bucket);
        draft.put(Table::Dedup, &key::dedup(bucket, hash), event.to_bytes().to_vec());
    }

    /// Removes rows beyond the window, oldest first, at most `limit`; answers whether there may be more.
    pub(super) fn expire(
        &mut self,
        tables: &Tables,
        draft: &mut Draft,
        now: Timestamp,
        limit: usize,
    ) -> Result<bool, StoreError> {
        let mut left = limit;
        while let Some(bucket) = self.buckets.first().copied() {
            let age = Duration::from_secs(now.as_secs().saturating_sub(u64::from(bucket)));
            if age < self.window.saturating_add(Duration::from_secs(self.width_secs)) {
                return Ok(false);
            }
            for row in
                tables.tree(Table::Dedup).range(key::dedup(bucket, [0; 16])..=key::dedup(bucket, [255; 16]))
            {
                let (key, value) = row?;
                let event = EventId::from_bits(key::read_id(Table::Dedup, &key, &value)?);
                // Written when the window was wider.
                if self.is_within(now, event) {
                    return Ok(false);
                }
                if left == 0 {
                    return Ok(true);
                }
                left -= 1;
                draft.remove(Table::Dedup, &key);
            }
            self.buckets.pop_first();
        }
        Ok(false)
    }
}
