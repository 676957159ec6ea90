//! Fuzzes the records of the store. The first byte gives the kind of record, and the rest is the record.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((kind, record)) = bytes.split_first() {
        postrider::store::fuzz::record(*kind, record);
    }
});
