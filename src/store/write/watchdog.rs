//! Notices that a commit is stuck.
//!
//! A timer of the runtime would not do: a test's paused clock may jump over it while a commit is under way.
//! A thread of its own measures real time against the progress that the commit itself reports.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Flushes the log. Holds the store's lock while it exists.
pub(in crate::store) type Flush = Arc<dyn Fn() + Send + Sync>;

/// How long a commit may go without finishing a transaction or a flush.
pub(in crate::store) const STUCK_AFTER: Duration = Duration::from_secs(10);
/// Into how many parts that time is divided: after one of them sled is nudged.
const STUCK_PARTS: u32 = 10;

#[derive(Default)]
struct WatchdogState {
    is_working: bool,
    has_ended: bool,
    /// Whether the watching thread sleeps until it is told of work.
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
    /// Told when no progress was made for too long.
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

    /// Something was finished.
    pub(in crate::store) fn report_progress(&self) {
        self.lock().count += 1;
    }

    /// A commit begins.
    pub(in crate::store) fn commit_began(&self) {
        let mut state = self.lock();
        state.is_working = true;
        if state.is_parked {
            self.changed.notify_all();
        }
    }

    /// The commit is over.
    pub(in crate::store) fn commit_ended(&self) {
        self.lock().is_working = false;
    }

    /// Watches until the guard is dropped.
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

/// Flushes on a thread of its own. sled does not wake who waits for a write that fails at that very moment; a flush
/// that finds the failure does.
fn flush_in_background(flush: Option<Flush>) {
    let Some(flush) = flush else { return };
    let begun = std::thread::Builder::new().name("store-nudge".to_owned()).spawn(move || flush());
    begun.map_or_else(|error| tracing::warn!(%error, "failed to look after a commit that is slow"), drop);
}

/// Ends the watching thread when it is dropped.
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
