//! Records under a fuzzer; compiled for it alone (`cfg(fuzzing)`).
//!
//! Whatever lies on the disk, reading it gives an error or a value; what that value is written as reads back as the
//! same; and no piece of it reads as a whole.

use std::fmt::Debug;

use super::disk::secret_cipher::SecretCipher;
use super::rows::record::{self, RecordError};
use crate::model::id::{DeliveryId, EventId, ReplayId, SubscriptionId};

/// How many kinds of records there are.
pub const KINDS: u8 = 8;

/// Reads `bytes` as a record of the kind, and holds what comes of it to what this module says.
///
/// # Panics
/// If it does not hold.
pub fn record(kind: u8, bytes: &[u8]) {
    let bits = 7;
    match kind % KINDS {
        0 => long(
            bytes,
            |bytes| record::read_event(EventId::from_bits(bits), bytes),
            |(event, targets)| record::event(event, targets),
        ),
        1 => long(bytes, |bytes| record::read_delivery(DeliveryId::from_bits(bits), bytes), record::delivery),
        2 => long(bytes, record::read_replay, |deliveries| record::replay(deliveries)),
        3 => long(bytes, record::read_idempotency, record::once),
        4 => short(bytes, record::read_health, record::health),
        5 => short(bytes, |bytes| record::read_job(ReplayId::from_bits(bits), bytes), record::job),
        6 => short(bytes, record::read_meta, record::meta),
        _ => subscription(bytes),
    }
    // The parts that are read by themselves.
    let _ = record::read_event_head(EventId::from_bits(bits), bytes).map(|(head, rest)| {
        let _ = record::read_targets(&head, rest);
    });
    let _ = record::read_progress(bytes);
    let _ = record::read_format(bytes);
    let _ = record::replay_count(bytes);
    let _ = record::sealed_by(bytes);
}

fn short<T: Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, RecordError>,
    write: impl Fn(&T) -> Vec<u8>,
) {
    let Ok(value) = read(bytes) else { return };
    let written = write(&value);
    match read(&written) {
        Ok(again) => assert_eq!(write(&again), written, "{value:?} came back as {again:?}"),
        Err(problem) => panic!("{value:?} does not come back: {problem}"),
    }
    for end in pieces(written.len()) {
        let torn = read(written.get(..end).unwrap_or_default());
        assert!(torn.is_err(), "the first {end} of {} bytes read as {torn:?}", written.len());
    }
}

/// As [`short`], of a record whose whole length is in it, as the store looks at it first.
fn long<T: Debug>(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<T, RecordError>,
    write: impl Fn(&T) -> Vec<u8>,
) {
    let read_whole = |bytes: &[u8]| {
        if record::length(bytes)? == bytes.len() { read(bytes) } else { Err("it is torn".to_owned()) }
    };
    short(&with_length(bytes), read_whole, write);
}

fn with_length(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut bytes = bytes.to_vec();
    if let Some(place) = bytes.get_mut(1..5) {
        place.copy_from_slice(&length);
    }
    bytes
}

/// Sealed anew each time, so that it is the values that are compared.
fn subscription(bytes: &[u8]) {
    let (id, cipher) = (SubscriptionId::from_bits(7), SecretCipher::new(&[7; 32]));
    let Ok(value) = record::read_subscription(id, &with_length(bytes), &cipher) else { return };
    // What is too long to be sealed is refused when it is written.
    let Ok(written) = record::subscription(&value, &cipher) else { return };
    assert_eq!(record::read_subscription(id, &written, &cipher).as_ref(), Ok(&value));
    for end in pieces(written.len()) {
        let torn = record::read_subscription(id, written.get(..end).unwrap_or_default(), &cipher);
        assert!(torn.is_err(), "the first {end} of {} bytes read as a whole", written.len());
    }
}

/// Where a record is cut: everywhere in a short one, at the ends of a long one.
fn pieces(length: usize) -> impl Iterator<Item = usize> {
    (0..length).filter(move |end| *end < 64 || length - end <= 64)
}
