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

/// For how long a key stands for what it was first used for.
const WINDOW: Duration = Duration::from_hours(24);

/// The keys of the last day.
#[derive(Debug)]
pub(in crate::store) struct Keys {
    pub(in crate::store) buckets: Buckets,
    /// A list of events that is being appended: every transaction says how far it is.
    pub(in crate::store) unfinished: Option<UnfinishedList>,
}

/// A list of events, as far as it is in the draft.
#[derive(Debug)]
pub(in crate::store) struct UnfinishedList {
    pub(in crate::store) once: IdempotentRequest,
    pub(in crate::store) place: RecordPlace,
    pub(in crate::store) events: Vec<RecordedEvent>,
}

/// Where the record of a key is, and since when.
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

    /// Removes what is older than a day, at most `limit` rows; answers whether there may be more.
    pub(in crate::store) fn expire(
        &mut self,
        tables: &Tables,
        batch: &mut WriteBatch,
        now: Timestamp,
        limit: usize,
    ) -> Result<bool, StoreError> {
        // Chunks after the first tell no time: the bucket, of which all are that old, is enough.
        let written = |key: &[u8], _: &[u8]| {
            let bucket = key::read_bucket(Table::Idempotency, key)?;
            Ok(Timestamp::from_millis(u64::from(bucket).saturating_mul(1000)))
        };
        self.buckets.expire(tables, batch, (now, limit), written)
    }

    /// What a key stands for, in which bucket, and the length of its record.
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
