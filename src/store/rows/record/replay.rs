//! Encodes and decodes replays. A replay is a row of `events` that names the events and their receivers.

use super::{PREFIX, Read, set_length};
use crate::model::id::{EventId, SubscriptionId};

/// The version of a replay's row. The version of an event's row never has the high bit set.
const VERSION: u8 = 0x81;
/// The size of an entry: an event and a subscription.
const ENTRY_BYTES: usize = 32;

/// Returns whether a row of `events` is a replay, by its first chunk.
pub(in crate::store) fn is_replay(chunk: &[u8]) -> bool {
    chunk.first().is_some_and(|version| version & 0x80 != 0)
}

/// Encodes a replay as a long record. Its k-th delivery delivers the k-th event to the k-th subscription.
pub(in crate::store) fn replay(deliveries: &[(EventId, SubscriptionId)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(PREFIX + deliveries.len() * ENTRY_BYTES);
    bytes.push(VERSION);
    bytes.resize(PREFIX, 0);
    for (event, subscription) in deliveries {
        bytes.extend(event.to_bytes());
        bytes.extend(subscription.to_bytes());
    }
    set_length(&mut bytes);
    bytes
}

/// Returns the number of deliveries of the replay whose record begins with `chunk`.
pub(in crate::store) fn replay_count(chunk: &[u8]) -> Read<usize> {
    Ok(super::length(chunk)?.saturating_sub(PREFIX) / ENTRY_BYTES)
}

/// Decodes a whole replay.
pub(in crate::store) fn read_replay(record: &[u8]) -> Read<Vec<(EventId, SubscriptionId)>> {
    match record.split_at_checked(PREFIX) {
        Some((&[VERSION, ..], body)) if body.len().is_multiple_of(ENTRY_BYTES) => {
            let ids = body.as_chunks::<16>().0;
            let pairs = ids.as_chunks::<2>().0.iter();
            let read =
                |[event, to]: &[[u8; 16]; 2]| (EventId::from_bytes(*event), SubscriptionId::from_bytes(*to));
            Ok(pairs.map(read).collect())
        }
        Some((&[VERSION, ..], _)) => Err("its entries are cut off".to_owned()),
        Some((&[other, ..], _)) => Err(format!("unknown version {other}")),
        _ => Err("it is too short".to_owned()),
    }
}
