//! Notices that a commit is stuck.
//!
//! A timer of the runtime would not do: a test's paused clock may jump over it while a commit is under way.
//! A thread of its own measures real time against the progress that the commit itself reports.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::store::read::reader::Reader;

/// How long a commit may go without finishing a transaction or a flush.
pub(in crate::store) const PATIENCE: Duration = Duration::from_secs(10);
/// Into how many parts that time is divided: after one of them sled is nudged.
const PARTS: u32 = 10;

#[derive(Debug, Default)]
struct Beat {
    working: bool,
    ended: bool,
    /// Whether the watching thread sleeps until it is told of work.
    parked: bool,
    count: u64,
    /// What is nudged; it holds the store's lock as every reader does.
    log: Option<Reader>,
}

/// The committer's pulse.
#[derive(Debug, Default)]
pub(in crate::store) struct Pulse {
    beat: Mutex<Beat>,
    changed: Condvar,
    /// Told when no progress was made for too long.
    pub(in crate::store) stuck: Notify,
}

impl Pulse {
    fn lock(&self) -> MutexGuard<'_, Beat> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something was finished.
    pub(in crate::store) fn beat(&self) {
        self.lock().count += 1;
    }

    /// A commit begins.
    pub(in crate::store) fn begin(&self) {
        let mut beat = self.lock();
        beat.working = true;
        if beat.parked {
            self.changed.notify_all();
        }
    }

    /// The commit is over.
    pub(in crate::store) fn rest(&self) {
        self.lock().working = false;
    }

    /// Watches until the guard is dropped.
    pub(in crate::store) fn watch(
        self: &Arc<Self>,
        patience: Duration,
        log: Option<Reader>,
    ) -> std::io::Result<Watch> {
        let pulse = self.clone();
        *self.lock() = Beat { log, ..Beat::default() };
        std::thread::Builder::new().name("store-watchdog".to_owned()).spawn(move || pulse.run(patience))?;
        Ok(Watch(self.clone()))
    }

    fn run(&self, patience: Duration) {
        let mut beat = self.lock();
        while !beat.ended {
            if !beat.working {
                beat.parked = true;
                beat = self.changed.wait(beat).unwrap_or_else(PoisonError::into_inner);
                beat.parked = false;
                continue;
            }
            let (count, mut parts) = (beat.count, 0);
            while beat.working && !beat.ended && beat.count == count {
                let waited = self.changed.wait_timeout(beat, patience / PARTS);
                let (guard, timed_out) = waited.unwrap_or_else(PoisonError::into_inner);
                beat = guard;
                parts += u32::from(timed_out.timed_out());
                if parts == 1 {
                    nudge(beat.log.clone());
                } else if parts > PARTS && beat.working && beat.count == count {
                    self.stuck.notify_one();
                    return;
                }
            }
        }
    }
}

/// Flushes on a thread of its own. sled does not wake who waits for a write that fails at that very moment; a flush
/// that finds the failure does.
fn nudge(log: Option<Reader>) {
    let Some(log) = log else { return };
    let flush = move || drop(log.tables.db().flush());
    let begun = std::thread::Builder::new().name("store-nudge".to_owned()).spawn(flush);
    begun.map_or_else(|error| tracing::warn!(%error, "failed to look after a commit that is slow"), drop);
}

/// Ends the watching thread when it is dropped.
#[derive(Debug)]
pub(in crate::store) struct Watch(Arc<Pulse>);

impl Drop for Watch {
    fn drop(&mut self) {
        let mut beat = self.0.lock();
        beat.ended = true;
        drop(beat.log.take());
        drop(beat);
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_work_without_progress_is_stuck() {
        let pulse = Arc::new(Pulse::default());
        let watch = pulse.watch(Duration::from_millis(20), None).unwrap();
        pulse.begin();
        pulse.stuck.notified().await;
        drop(watch);
        assert!(pulse.lock().ended);
    }
}
