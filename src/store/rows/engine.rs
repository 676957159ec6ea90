//! The storage engine, sled: opens it and converts its errors. Nothing above this folder names its types.

use std::io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
use std::path::Path;
use std::time::Duration;

use sled::Db;

use crate::store::error::{EngineError, StoreError};

/// The bytes of a key or a row.
pub(in crate::store) type RowBytes = sled::IVec;

/// The interval of sled's garbage collection, in milliseconds. With sled's default the file grows without end
/// under load.
const GARBAGE_COLLECTION_MS: u64 = 20;

/// The approximate memory that sled takes for each byte of cached rows. sled counts rows as they are on disk;
/// short rows, such as due rows, take about this many times as much in memory.
const CACHE_OVERHEAD: u64 = 4;

/// The number of times that [`Engine::open`] tries to get sled's own lock, and the wait between two tries.
const LOCK_ATTEMPTS: u32 = 200;
const LOCK_WAIT: Duration = Duration::from_millis(10);

/// An open sled database. Cheap to clone; the files are closed with the last clone.
#[derive(Clone, Debug)]
pub(in crate::store) struct Engine(pub(super) Db);

impl Engine {
    /// Opens the database in this directory, or creates it.
    pub(in crate::store) fn open(path: &Path, cache_bytes: u64) -> Result<Self, StoreError> {
        let config = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes / CACHE_OVERHEAD)
            .flush_every_ms(Some(GARBAGE_COLLECTION_MS));
        // The store's own lock excludes other processes. sled's lock is held by an instance of this process
        // that is about to close.
        for _ in 0..LOCK_ATTEMPTS {
            match config.open() {
                Err(sled::Error::Io(error)) if error.to_string().contains("lock") => {
                    std::thread::sleep(LOCK_WAIT);
                }
                opened => return opened.map(Self).map_err(engine_error),
            }
        }
        config.open().map(Self).map_err(engine_error)
    }
}

#[cfg(test)]
impl From<Db> for Engine {
    fn from(db: Db) -> Self {
        Self(db)
    }
}

/// Converts an error of sled, and tells whether damaged files are its cause.
#[expect(clippy::needless_pass_by_value, reason = "the function is passed to map_err")]
pub(super) fn engine_error(error: sled::Error) -> StoreError {
    use sled::Error::{Corruption, Io, ReportableBug, Unsupported};
    let damage = match &error {
        Corruption { at, .. } => {
            let place = at.map(|at| format!(" at {at:?}")).unwrap_or_default();
            Some(format!("a page{place} does not match its checksum"))
        }
        ReportableBug(problem) | Unsupported(problem) => Some(problem.clone()),
        Io(error) if matches!(error.kind(), UnexpectedEof | InvalidData | InvalidInput) => {
            Some(error.to_string())
        }
        _ => None,
    };
    StoreError::Engine(EngineError::new(&error.to_string(), damage.as_deref()))
}

/// Counts down to a failure that a test asked for, and fails when the count is used up.
#[cfg(test)]
pub(in crate::store) fn injected(left: &mut Option<u64>) -> Result<(), StoreError> {
    if let Some(left) = left {
        *left = left.checked_sub(1).ok_or_else(|| StoreError::Engine(EngineError::new("injected", None)))?;
    }
    Ok(())
}
