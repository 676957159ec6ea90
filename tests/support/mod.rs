//! What the tests of the whole daemon share: receivers, a client of the API, the ledger with its laws, and the
//! daemon itself, in process or as the real executable.

pub(crate) mod client;
pub(crate) mod daemon;
pub(crate) mod laws;
pub(crate) mod ledger;
pub(crate) mod listener;
pub(crate) mod process;
pub(crate) mod receiver;
pub(crate) mod trace;

use std::str::FromStr;
use std::time::Duration;

use tempfile::TempDir;

/// The value of an environment variable, or `default` if it is not set.
pub(crate) fn variable<T: FromStr>(name: &str, default: T) -> T {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}='{text}' cannot be read")),
        Err(_) => default,
    }
}

/// A data directory in memory where the machine has such a place: for tests that never cut the power, and
/// whose speed should not hang on the disk.
pub(crate) fn memory_dir() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Asks again and again until the answer is there.
///
/// # Panics
/// After `limit`, with what was waited for.
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

/// Lets time pass, which is virtual on a paused clock: how long a receiver takes, or a person until the next act.
/// Never to wait for a result: see [`eventually`].
pub(crate) async fn passes(time: Duration) {
    tokio::time::sleep_until(tokio::time::Instant::now() + time).await;
}
