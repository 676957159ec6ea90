//! Encodes and decodes the result that is recorded for an idempotency key.

use bincode::{Decode, Encode};

use super::{PREFIX, Read, decode_all, encode, set_length};
use crate::model::id::{DeliveryId, EventId, ReplayId, SubscriptionId};
use crate::model::time::Timestamp;
use crate::store::rows::idempotency::{RecordedEvent, RecordedResult};

#[derive(Encode, Decode)]
enum RecordedResultV1 {
    Events(Vec<(u128, u32, bool)>),
    Subscription(u128),
    Replayed(Vec<u128>, Vec<u128>),
    Job(u128),
}

#[derive(Encode, Decode)]
struct IdempotencyV1 {
    fingerprint: [u8; 16],
    at: u64,
    is_whole: bool,
    earlier: RecordedResultV1,
}

/// The recorded result of a request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct IdempotencyRecord {
    /// The hash of the request's body.
    pub(in crate::store) fingerprint: [u8; 16],
    /// The time of the request.
    pub(in crate::store) at: Timestamp,
    /// Whether the list of events is complete. False if a crash interrupted it.
    pub(in crate::store) is_whole: bool,
    /// The result of the request.
    pub(in crate::store) earlier: RecordedResult,
}

/// Encodes the record.
pub(in crate::store) fn once(record: &IdempotencyRecord) -> Vec<u8> {
    let earlier = match &record.earlier {
        RecordedResult::Events(list) => RecordedResultV1::Events(
            list.iter().map(|one| (one.id.bits(), one.matched, one.duplicate)).collect(),
        ),
        RecordedResult::Subscription(id) => RecordedResultV1::Subscription(id.bits()),
        RecordedResult::Replayed { deliveries, skipped } => RecordedResultV1::Replayed(
            deliveries.iter().map(|id| id.bits()).collect(),
            skipped.iter().map(|id| id.bits()).collect(),
        ),
        RecordedResult::Job(id) => RecordedResultV1::Job(id.bits()),
    };
    let IdempotencyRecord { fingerprint, at, is_whole, .. } = *record;
    let mut bytes = encode(PREFIX, IdempotencyV1 { fingerprint, at: at.as_millis(), is_whole, earlier });
    set_length(&mut bytes);
    bytes
}

/// Decodes the record.
pub(in crate::store) fn read_idempotency(record: &[u8]) -> Read<IdempotencyRecord> {
    let IdempotencyV1 { fingerprint, at, is_whole, earlier } = decode_all(PREFIX, record)?;
    let event = |(id, matched, duplicate)| RecordedEvent { id: EventId::from_bits(id), matched, duplicate };
    let earlier = match earlier {
        RecordedResultV1::Events(list) => RecordedResult::Events(list.into_iter().map(event).collect()),
        RecordedResultV1::Subscription(id) => RecordedResult::Subscription(SubscriptionId::from_bits(id)),
        RecordedResultV1::Replayed(deliveries, skipped) => RecordedResult::Replayed {
            deliveries: deliveries.into_iter().map(DeliveryId::from_bits).collect(),
            skipped: skipped.into_iter().map(SubscriptionId::from_bits).collect(),
        },
        RecordedResultV1::Job(id) => RecordedResult::Job(ReplayId::from_bits(id)),
    };
    Ok(IdempotencyRecord { fingerprint, at: Timestamp::from_millis(at), is_whole, earlier })
}
