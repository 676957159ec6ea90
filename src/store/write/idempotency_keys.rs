//! The idempotency keys of the last day, and the list of events that is being appended.

use std::collections::BTreeSet;
use std::time::Duration;

use super::buckets::Buckets;
use crate::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::rows::idempotency::{IdempotentRequest, RecordedEvent, RecordedResult};
use crate::store::rows::key::{self, Table};
use crate::store::rows::record::{self, CHUNK_BYTES, IdempotencyRecord};
use crate::store::rows::tables::Tables;
use crate::store::rows::write_batch::WriteBatch;

/// The time for which the result of an idempotency key is kept.
const WINDOW: Duration = Duration::from_hours(24);

/// The keys of the last day.
#[derive(Debug)]
pub(in crate::store) struct Keys {
    pub(in crate::store) buckets: Buckets,
    /// A list of events that is being appended. Every transaction records its progress.
    pub(in crate::store) unfinished: Option<UnfinishedList>,
}

/// A list of events that is being appended, with the events that are in the batch so far.
#[derive(Debug)]
pub(in crate::store) struct UnfinishedList {
    pub(in crate::store) once: IdempotentRequest,
    pub(in crate::store) place: RecordPlace,
    pub(in crate::store) events: Vec<RecordedEvent>,
}

/// The place of a key's record, and the time since which it exists.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct RecordPlace {
    pub(in crate::store) bucket: u32,
    pub(in crate::store) at: Timestamp,
    pub(in crate::store) length_was: usize,
}

impl Keys {
    pub(in crate::store) fn new(buckets: BTreeSet<u32>) -> Self {
        Self { buckets: Buckets::new(Table::Idempotency, WINDOW, buckets), unfinished: None }
    }

    /// Removes at most `limit` rows that are older than a day. Returns whether more may be left.
    pub(in crate::store) fn expire(
        &mut self,
        tables: &Tables,
        batch: &mut WriteBatch,
        now: Timestamp,
        limit: usize,
    ) -> Result<bool, StoreError> {
        // Only the first chunk has a time. The bucket suffices for the others: all of its rows are expired.
        let written = |key: &[u8], _: &[u8]| {
            let bucket = key::read_bucket(Table::Idempotency, key)?;
            Ok(Timestamp::from_millis(u64::from(bucket).saturating_mul(1000)))
        };
        self.buckets.expire(tables, batch, (now, limit), written)
    }

    /// Returns the result recorded for a key, its bucket, and the length of its record.
    pub(in crate::store) fn find(
        &self,
        tables: &Tables,
        batch: &WriteBatch,
        now: Timestamp,
        key: [u8; 16],
    ) -> Result<Option<(RecordPlace, IdempotencyRecord)>, StoreError> {
        for bucket in self.buckets.probed(now) {
            let row = |number| tables.get_after(batch, Table::Idempotency, &key::once(bucket, key, number));
            let Some(first) = row(0)? else { continue };
            let first_key = key::once(bucket, key, 0);
            let corrupt = |problem| StoreError::corrupt(Table::Idempotency.name(), &first_key, problem);
            let length = record::length(&first).map_err(corrupt)?;
            let mut bytes = first.to_vec();
            for number in 1..record::chunk_count(length) {
                bytes.extend_from_slice(
                    &row(number)?.ok_or_else(|| corrupt("a chunk is missing".to_owned()))?,
                );
            }
            let found = record::read_idempotency(&bytes).map_err(corrupt)?;
            let place = RecordPlace { bucket, at: found.at, length_was: length };
            return Ok(self.buckets.is_within(now, found.at).then_some((place, found)));
        }
        Ok(None)
    }
}

pub(in crate::store) fn put(
    batch: &mut WriteBatch,
    once: IdempotentRequest,
    place: RecordPlace,
    is_whole: bool,
    earlier: RecordedResult,
) -> usize {
    let record = IdempotencyRecord { fingerprint: once.fingerprint, at: place.at, is_whole, earlier };
    let record = record::once(&record);
    for (number, part) in (0u16..).zip(record.chunks(CHUNK_BYTES)) {
        batch.put(Table::Idempotency, &key::once(place.bucket, once.key, number), part.to_vec());
    }
    for number in record::chunk_count(record.len())..record::chunk_count(place.length_was) {
        batch.remove(Table::Idempotency, &key::once(place.bucket, once.key, number));
    }
    record.len()
}
