//! The ids of senders that were used within the deduplication window.

use std::collections::BTreeSet;
use std::time::Duration;

use ring::digest::{Context, SHA256};

use super::buckets::Buckets;
use crate::model::event::EventContent;
use crate::model::id::EventId;
use crate::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::rows::key::{self, Table};
use crate::store::rows::tables::Tables;
use crate::store::rows::write_batch::WriteBatch;

/// Returns the identity of a sender's event: the first 128 bits of the SHA-256 of company, project and id.
pub(in crate::store) fn hash(content: &EventContent) -> Option<[u8; 16]> {
    let sender_id = content.sender_id.as_ref()?;
    let company = content.company.as_ref().map_or("", |company| company.as_str());
    let mut digest = Context::new(&SHA256);
    for part in [company, content.project.as_str(), sender_id.as_str()] {
        // Names contain no NUL, so no other three texts give the same input to the hash.
        digest.update(part.as_bytes());
        digest.update(&[0]);
    }
    digest.finish().as_ref().first_chunk().copied()
}

/// The buckets of the deduplication window.
#[derive(Debug)]
pub(in crate::store) struct Dedup(Buckets);

impl Dedup {
    pub(in crate::store) fn new(window: Duration, buckets: BTreeSet<u32>) -> Self {
        Self(Buckets::new(Table::Dedup, window, buckets))
    }

    /// Returns the event with this hash that was accepted within the window before `now`.
    pub(in crate::store) fn find(
        &self,
        tables: &Tables,
        batch: &WriteBatch,
        now: Timestamp,
        hash: [u8; 16],
    ) -> Result<Option<EventId>, StoreError> {
        for bucket in self.0.probed(now) {
            let key = key::dedup(bucket, hash);
            if let Some(row) = tables.get_after(batch, Table::Dedup, &key)? {
                let found = EventId::from_bits(key::read_id(Table::Dedup, &key, &row)?);
                // The newest row decides, because the others are older.
                return Ok(self.0.is_within(now, found.time()).then_some(found));
            }
        }
        Ok(None)
    }

    pub(in crate::store) fn add(&mut self, batch: &mut WriteBatch, event: EventId, hash: [u8; 16]) {
        let bucket = self.0.enter(event.time());
        batch.put(Table::Dedup, &key::dedup(bucket, hash), event.to_bytes().to_vec());
    }

    /// Removes at most `limit` expired rows, oldest first. Returns whether more may be left.
    pub(in crate::store) fn expire(
        &mut self,
        tables: &Tables,
        batch: &mut WriteBatch,
        now: Timestamp,
        limit: usize,
    ) -> Result<bool, StoreError> {
        let written = |key: &[u8], value: &[u8]| {
            key::read_id(Table::Dedup, key, value).map(|id| EventId::from_bits(id).time())
        };
        self.0.expire(tables, batch, (now, limit), written)
    }
}
