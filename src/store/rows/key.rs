//! The keys of rows. Numbers are big-endian, so that keys sort like the values that they encode.

use crate::model::delivery::Progress;
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::time::Timestamp;
use crate::store::error::StoreError;

/// The trees whose rows are counted, in the order of the counts in the meta row. The number of a tree is part
/// of its rows' hashes, so it never changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(in crate::store) enum Table {
    /// The origins of deliveries: submitted events, and replays.
    Events,
    /// Every delivery with a row in format 1. Empty in format 2.
    Deliveries,
    Due,
    Dedup,
    Subscriptions,
    HealthStates,
    /// Deliveries that were tried and wait for a retry.
    Retrying,
    Succeeded,
    Exhausted,
    Cancelled,
    Segments,
    Jobs,
    Idempotency,
}

pub(in crate::store) const TABLES: usize = 13;
/// The number of trees in format 1. They are the first in the order of the trees.
pub(in crate::store) const TABLES_V1: usize = 6;

impl Table {
    pub(in crate::store) const ALL: [Self; TABLES] = [
        Self::Events,
        Self::Deliveries,
        Self::Due,
        Self::Dedup,
        Self::Subscriptions,
        Self::HealthStates,
        Self::Retrying,
        Self::Succeeded,
        Self::Exhausted,
        Self::Cancelled,
        Self::Segments,
        Self::Jobs,
        Self::Idempotency,
    ];

    /// The trees in which a delivery may have its row. A look-up in this order finds a delivery that moves
    /// meanwhile, unless it is reopened, which moves it back.
    pub(in crate::store) const STATES: [Self; 4] =
        [Self::Retrying, Self::Succeeded, Self::Exhausted, Self::Cancelled];

    /// Returns the tree for a delivery with this progress.
    pub(in crate::store) const fn of(progress: Progress) -> Self {
        match progress {
            Progress::Waiting { .. } => Self::Retrying,
            Progress::Succeeded => Self::Succeeded,
            Progress::Exhausted => Self::Exhausted,
            Progress::Cancelled => Self::Cancelled,
        }
    }

    pub(in crate::store) const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Deliveries => "deliveries",
            Self::Due => "due",
            Self::Dedup => "dedup",
            Self::Subscriptions => "subscriptions",
            Self::HealthStates => "standings",
            Self::Retrying => "retrying",
            Self::Succeeded => "succeeded",
            Self::Exhausted => "exhausted",
            Self::Cancelled => "cancelled",
            Self::Segments => "segments",
            Self::Jobs => "jobs",
            Self::Idempotency => "idempotency",
        }
    }

    pub(in crate::store) const fn index(self) -> usize {
        self as usize
    }
}

/// The key of a chunk: the id of the record and the number of the chunk.
pub(in crate::store) type ChunkKey = [u8; 18];

/// The key of a due row: subscription, due time, delivery.
pub(in crate::store) type DueKey = [u8; 40];

/// The key of a row of `dedup`: bucket, and hash of a sender's id.
pub(in crate::store) type DedupKey = [u8; 20];

/// Splits off the first `N` bytes.
fn take<const N: usize>(bytes: &[u8]) -> Option<([u8; N], &[u8])> {
    bytes.split_first_chunk::<N>().map(|(head, rest)| (*head, rest))
}

pub(in crate::store) fn chunk(id: u128, number: u16) -> ChunkKey {
    let mut key = [0; 18];
    let (head, tail) = key.split_at_mut(16);
    head.copy_from_slice(&id.to_be_bytes());
    tail.copy_from_slice(&number.to_be_bytes());
    key
}

pub(in crate::store) fn read_chunk(table: Table, key: &[u8]) -> Result<(u128, u16), StoreError> {
    take::<16>(key)
        .and_then(|(id, rest)| Some((u128::from_be_bytes(id), u16::from_be_bytes(rest.try_into().ok()?))))
        .ok_or_else(|| StoreError::corrupt(table.name(), key, "the key is not 18 bytes long"))
}

pub(in crate::store) fn due(subscription: SubscriptionId, at: Timestamp, delivery: DeliveryId) -> DueKey {
    let mut key = [0; 40];
    let (lane, rest) = key.split_at_mut(16);
    let (time, id) = rest.split_at_mut(8);
    lane.copy_from_slice(&subscription.to_bytes());
    time.copy_from_slice(&at.as_millis().to_be_bytes());
    id.copy_from_slice(&delivery.to_bytes());
    key
}

pub(in crate::store) fn read_due(key: &[u8]) -> Result<(SubscriptionId, Timestamp, DeliveryId), StoreError> {
    let parts = || {
        let (lane, rest) = take::<16>(key)?;
        let (time, id) = take::<8>(rest)?;
        let at = Timestamp::from_millis(u64::from_be_bytes(time));
        Some((SubscriptionId::from_bytes(lane), at, DeliveryId::from_bytes(id.try_into().ok()?)))
    };
    parts().ok_or_else(|| StoreError::corrupt(Table::Due.name(), key, "the key is not 40 bytes long"))
}

pub(in crate::store) fn dedup(bucket: u32, hash: [u8; 16]) -> DedupKey {
    let mut key = [0; 20];
    let (head, tail) = key.split_at_mut(4);
    head.copy_from_slice(&bucket.to_be_bytes());
    tail.copy_from_slice(&hash);
    key
}

/// Returns the bucket of a row of `dedup` or `idempotency`.
pub(in crate::store) fn read_bucket(table: Table, key: &[u8]) -> Result<u32, StoreError> {
    match take::<4>(key) {
        Some((bucket, rest)) if matches!(rest.len(), 16 | 18) => Ok(u32::from_be_bytes(bucket)),
        _ => Err(StoreError::corrupt(table.name(), key, "the key is not 20 or 22 bytes long")),
    }
}

/// The key of a row of `idempotency`: bucket, hash of a caller's key, and the number of a chunk of the
/// record.
pub(in crate::store) type IdempotencyRowKey = [u8; 22];

pub(in crate::store) fn once(bucket: u32, hash: [u8; 16], number: u16) -> IdempotencyRowKey {
    let mut key = [0; 22];
    let (head, rest) = key.split_at_mut(4);
    let (middle, tail) = rest.split_at_mut(16);
    head.copy_from_slice(&bucket.to_be_bytes());
    middle.copy_from_slice(&hash);
    tail.copy_from_slice(&number.to_be_bytes());
    key
}

/// The key of a row of a segment: first id of the segment, kind of row, first term or number of the block,
/// part.
pub(in crate::store) type SegmentKey = [u8; 27];

pub(in crate::store) fn segment(first: u128, kind: u8, of: u64, part: u16) -> SegmentKey {
    let mut key = [kind; 27];
    let (head, rest) = key.split_at_mut(16);
    let (_, rest) = rest.split_at_mut(1);
    let (middle, tail) = rest.split_at_mut(8);
    head.copy_from_slice(&first.to_be_bytes());
    middle.copy_from_slice(&of.to_be_bytes());
    tail.copy_from_slice(&part.to_be_bytes());
    key
}

pub(in crate::store) fn read_segment(key: &[u8]) -> Result<(u128, u8, u64, u16), StoreError> {
    let parts = || {
        let (first, rest) = take::<16>(key)?;
        let ([kind], rest) = take::<1>(rest)?;
        let (of, part) = take::<8>(rest)?;
        let part = u16::from_be_bytes(part.try_into().ok()?);
        Some((u128::from_be_bytes(first), kind, u64::from_be_bytes(of), part))
    };
    parts().ok_or_else(|| StoreError::corrupt(Table::Segments.name(), key, "the key is not 27 bytes long"))
}

/// Returns the id in a row of `dedup`, or in a key of `subscriptions` or `standings`.
pub(in crate::store) fn read_id(table: Table, key: &[u8], bytes: &[u8]) -> Result<u128, StoreError> {
    bytes
        .try_into()
        .map(u128::from_be_bytes)
        .map_err(|_| StoreError::corrupt(table.name(), key, "an id is not 16 bytes long"))
}

/// Returns the smallest id, as bits, of the millisecond `at`.
pub(in crate::store) fn first_bits(at: Timestamp) -> u128 {
    u128::from(at.as_millis()) << 80
}

/// Returns the id of the delivery at `index` of an origin with these id bits.
pub(in crate::store) fn delivery_of(origin: u128, index: usize) -> DeliveryId {
    DeliveryId::from_bits(origin.saturating_add(1).saturating_add(index as u128))
}

/// Returns the first and the last possible key of a lane.
pub(in crate::store) fn lane(subscription: SubscriptionId) -> (DueKey, DueKey) {
    let last = Timestamp::from_millis(u64::MAX);
    (
        due(subscription, Timestamp::default(), DeliveryId::from_bits(0)),
        due(subscription, last, DeliveryId::from_bits(u128::MAX)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_back_and_sort_as_what_they_name() {
        let (sub, id) = (SubscriptionId::from_bits(7), DeliveryId::from_bits(u128::MAX - 3));
        let at = Timestamp::from_millis(1_700_000_000_000);
        assert_eq!(read_due(&due(sub, at, id)).unwrap(), (sub, at, id));
        assert_eq!(read_chunk(Table::Events, &chunk(5, 300)).unwrap(), (5, 300));
        assert_eq!(read_bucket(Table::Dedup, &dedup(9, [1; 16])).unwrap(), 9);
        assert!(chunk(1, u16::MAX) < chunk(2, 0) && chunk(1, 255) < chunk(1, 256));
        assert!(
            due(sub, at, id)
                < due(sub, at.after(std::time::Duration::from_millis(1)), DeliveryId::from_bits(0))
        );
        for bad in [&[][..], &[0; 17], &[0; 19], &[0; 39], &[0; 41]] {
            assert!(
                read_due(bad).is_err()
                    && read_chunk(Table::Events, bad).is_err()
                    && read_bucket(Table::Dedup, bad).is_err()
            );
        }
    }
}
