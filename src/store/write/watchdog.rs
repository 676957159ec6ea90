//! Detects a commit that is stuck.
//!
//! A timer of the runtime is not suitable: the paused clock of a test may jump over it while a commit is in
//! progress. So a separate thread compares real time with the progress that the commit reports.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// A function that flushes the log. It holds the store's lock while it exists.
pub(in crate::store) type Flush = Arc<dyn Fn() + Send + Sync>;

/// The time that a commit may take without finishing a transaction or a flush.
pub(in crate::store) const STUCK_AFTER: Duration = Duration::from_secs(10);
/// The number of parts of that time. After the first part, sled is flushed from another thread.
const STUCK_PARTS: u32 = 10;

#[derive(Default)]
struct WatchdogState {
    is_working: bool,
    has_ended: bool,
    /// Whether the watching thread sleeps until a commit begins.
    is_parked: bool,
    count: u64,
    /// Flushes the log when a commit is slow.
    flush: Option<Flush>,
}

/// The committer's watchdog.
#[derive(Default)]
pub(in crate::store) struct CommitWatchdog {
    state: Mutex<WatchdogState>,
    changed: Condvar,
    /// Notified when a commit is stuck.
    pub(in crate::store) stuck: Notify,
}

impl fmt::Debug for CommitWatchdog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CommitWatchdog(…)")
    }
}

impl CommitWatchdog {
    fn lock(&self) -> MutexGuard<'_, WatchdogState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records progress of the current commit.
    pub(in crate::store) fn report_progress(&self) {
        self.lock().count += 1;
    }

    /// Records that a commit has begun.
    pub(in crate::store) fn commit_began(&self) {
        let mut state = self.lock();
        state.is_working = true;
        if state.is_parked {
            self.changed.notify_all();
        }
    }

    /// Records that the commit has ended.
    pub(in crate::store) fn commit_ended(&self) {
        self.lock().is_working = false;
    }

    /// Watches commits until the guard is dropped.
    pub(in crate::store) fn watch(
        self: &Arc<Self>,
        stuck_after: Duration,
        flush: Option<Flush>,
    ) -> std::io::Result<WatchGuard> {
        let watchdog = self.clone();
        *self.lock() = WatchdogState { flush, ..WatchdogState::default() };
        std::thread::Builder::new()
            .name("store-watchdog".to_owned())
            .spawn(move || watchdog.run(stuck_after))?;
        Ok(WatchGuard(self.clone()))
    }

    fn run(&self, stuck_after: Duration) {
        let mut state = self.lock();
        while !state.has_ended {
            if !state.is_working {
                state.is_parked = true;
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.is_parked = false;
                continue;
            }
            let (count, mut parts) = (state.count, 0);
            while state.is_working && !state.has_ended && state.count == count {
                let waited = self.changed.wait_timeout(state, stuck_after / STUCK_PARTS);
                let (guard, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
                state = guard;
                parts += u32::from(timed_out.timed_out());
                if parts == 1 {
                    flush_in_background(state.flush.clone());
                } else if parts > STUCK_PARTS && state.is_working && state.count == count {
                    self.stuck.notify_one();
                    return;
                }
            }
        }
    }
}

/// Flushes on another thread. sled does not wake a waiter if a write fails at that very moment; a second
/// flush finds the failure and wakes it.
fn flush_in_background(flush: Option<Flush>) {
    let Some(flush) = flush else { return };
    let begun = std::thread::Builder::new().name("store-nudge".to_owned()).spawn(move || flush());
    begun.map_or_else(|error| tracing::warn!(%error, "failed to check a slow commit"), drop);
}

/// Stops the watching thread when it is dropped.
#[derive(Debug)]
pub(in crate::store) struct WatchGuard(Arc<CommitWatchdog>);

impl Drop for WatchGuard {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.has_ended = true;
        drop(state.flush.take());
        drop(state);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_work_without_progress_is_stuck() {
        let watchdog = Arc::new(CommitWatchdog::default());
        let watch = watchdog.watch(Duration::from_millis(20), None).unwrap();
        watchdog.commit_began();
        watchdog.stuck.notified().await;
        drop(watch);
        assert!(watchdog.lock().has_ended);
    }
}
