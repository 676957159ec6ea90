//! Checks of the record decoders for the fuzzer. Compiled only with `cfg(fuzzing)`.
//!
//! Three properties hold for any bytes. Decoding returns an error or a value. Encoding that value and
//! decoding it again returns the same value. No prefix of an encoded record decodes as a whole record.

use std::fmt::Debug;

use super::disk::secret_cipher::SecretCipher;
use super::rows::record::{self, RecordError};
use crate::model::id::{DeliveryId, EventId, ReplayId, SubscriptionId};

/// The number of record kinds.
pub const KINDS: u8 = 8;

/// Decodes `bytes` as a record of the kind and checks the properties of this module.
///
/// # Panics
/// If a property does not hold.
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
    // The parts of an event that are decoded separately.
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

/// Checks a record that states its own length, like [`short`].
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

/// Compares subscriptions as values, because sealing gives other bytes each time.
fn subscription(bytes: &[u8]) {
    let (id, cipher) = (SubscriptionId::from_bits(7), SecretCipher::new(&[7; 32]));
    let Ok(value) = record::read_subscription(id, &with_length(bytes), &cipher) else { return };
    // A value that is too long to seal is refused when it is written.
    let Ok(written) = record::subscription(&value, &cipher) else { return };
    assert_eq!(record::read_subscription(id, &written, &cipher).as_ref(), Ok(&value));
    for end in pieces(written.len()) {
        let torn = record::read_subscription(id, written.get(..end).unwrap_or_default(), &cipher);
        assert!(torn.is_err(), "the first {end} of {} bytes read as a whole", written.len());
    }
}

/// Returns the lengths at which a record is cut: every length of a short record, and those near the ends of a
/// long one.
fn pieces(length: usize) -> impl Iterator<Item = usize> {
    (0..length).filter(move |end| *end < 64 || length - end <= 64)
}
