//! Opens sled.

use std::path::Path;
use std::time::Duration;

use sled::Db;

/// How often sled collects garbage, in milliseconds: with its default the file grows without end under load.
const COLLECT_EVERY_MS: u64 = 20;

/// sled counts rows as they are on disk; short ones, such as those of waiting lines, take about this many times that in
/// memory.
const CACHE_OVERHEAD: u64 = 4;

pub(in crate::store) fn open_sled(path: &Path, cache_bytes: u64) -> sled::Result<Db> {
    let config = sled::Config::new()
        .path(path)
        .cache_capacity(cache_bytes / CACHE_OVERHEAD)
        .flush_every_ms(Some(COLLECT_EVERY_MS));
    // Our own lock says that no other process has it: then it is this one's, about to close.
    for _ in 0..200 {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().contains("lock") => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
    config.open()
}
