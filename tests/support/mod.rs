//! Support shared by the tests of the whole daemon.
//!
//! It has receivers, a client of the API, the ledger with its laws, and the daemon itself, in process or as
//! the real executable.

pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod laws;
pub(crate) mod ledger;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod stream_reader;
pub(crate) mod trace;

use std::str::FromStr;
use std::time::Duration;

use tempfile::TempDir;

/// Returns the value of an environment variable, or `default` if it is not set.
pub(crate) fn variable<T: FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}='{text}' cannot be read")),
        Err(_) => default,
    }
}

/// Creates a temporary data directory in memory, if the machine has one. Use it for tests that never cut the
/// power and whose speed should not depend on the disk.
pub(crate) fn memory_dir() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Repeats `ask` until it returns a value.
///
/// # Panics
/// After `limit`, with what it waited for.
pub(crate) async fn eventually<T>(
    what: &str,
    limit: Duration,
    pause: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = tokio::time::Instant::now() + limit;
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(tokio::time::Instant::now() < deadline, "waited {limit:?} in vain until {what}");
        passes(pause).await;
    }
}

/// Lets time pass, which is virtual on a paused clock. It stands for the time that a receiver or a person
/// takes. Never use it to wait for a result: see [`eventually`].
pub(crate) async fn passes(time: Duration) {
    tokio::time::sleep_until(tokio::time::Instant::now() + time).await;
}
