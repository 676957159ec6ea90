//! A replay's row among the events: which events are delivered again, and to whom.

use super::{PREFIX, Read, set_length};
use crate::model::id::{EventId, SubscriptionId};

/// The version of a replay's row. That of an event's never has the high bit.
const VERSION: u8 = 0x81;
/// An event and a subscription.
const ENTRY_BYTES: usize = 32;

/// Whether a row of `events` is a replay, from its first chunk.
pub(in crate::store) fn is_replay(chunk: &[u8]) -> bool {
    chunk.first().is_some_and(|version| version & 0x80 != 0)
}

/// A replay as a long record: its k-th delivery is the k-th event for the k-th subscription.
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

/// How many deliveries the replay has whose record starts with `chunk`.
pub(in crate::store) fn replay_count(chunk: &[u8]) -> Read<usize> {
    Ok(super::length(chunk)?.saturating_sub(PREFIX) / ENTRY_BYTES)
}

/// A whole replay.
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
        Some((&[other, ..], _)) => Err(format!("version {other} is not known")),
        _ => Err("it is too short".to_owned()),
    }
}
