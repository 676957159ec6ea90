//! The meta row. Each transaction writes it, and it tells what the log contains, so that a loss is detected.

use bincode::{Decode, Encode};

use super::{Read, decode_all, decode_body, encode};
use crate::store::rows::key::{TABLES, TABLES_V1};

/// The version of the row that has a count for every tree of format 2.
const VERSION: u8 = 2;

/// The format of the log as a whole.
pub(in crate::store) const FORMAT: u32 = 2;

/// The content of the log, in numbers.
#[derive(Clone, Debug, PartialEq, Eq, Default, Encode, Decode)]
pub(in crate::store) struct Meta {
    /// The format of the whole log.
    pub(in crate::store) format: u32,
    /// The number of transactions since the log was created.
    pub(in crate::store) commit_seq: u64,
    /// For each tree, the number of its rows and the sum of their hashes.
    pub(in crate::store) tables: [(u64, u64); TABLES],
    /// The fresh floor: no delivery before this id is fresh.
    pub(in crate::store) fresh_floor: [u8; 16],
}

#[derive(Encode, Decode)]
struct MetaV1 {
    format: u32,
    commit_seq: u64,
    tables: [(u64, u64); TABLES_V1],
    fresh_floor: [u8; 16],
}

/// Encodes the meta row.
pub(in crate::store) fn meta(meta: &Meta) -> Vec<u8> {
    let mut bytes = encode(1, meta);
    if let Some(version) = bytes.first_mut() {
        *version = VERSION;
    }
    bytes
}

/// Decodes the meta row. A row of format 1 has no rows in the trees that were added later.
pub(in crate::store) fn read_meta(record: &[u8]) -> Read<Meta> {
    if record.first() != Some(&VERSION) {
        let MetaV1 { format, commit_seq, tables: counts, fresh_floor } = decode_all(1, record)?;
        let mut tables = [(0, 0); TABLES];
        tables.iter_mut().zip(counts).for_each(|(count, known)| *count = known);
        return Ok(Meta { format, commit_seq, tables, fresh_floor });
    }
    match decode_body(1, record)? {
        (meta, []) => Ok(meta),
        (_, rest) => Err(format!("{} bytes are left over", rest.len())),
    }
}

/// Decodes the format of a meta row, even if a later version wrote it.
pub(in crate::store) fn read_format(record: &[u8]) -> Read<u32> {
    decode_body(1, record).map(|(format, _)| format)
}
