//! The only writer of the log. It collects the waiting steps, makes them durable with one flush, and
//! acknowledges them.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinHandle, spawn_blocking, yield_now};
use tokio::time::Instant;

use super::step::Step;
use super::watchdog::{CommitWatchdog, STUCK_AFTER, WatchGuard};
use super::writer::{Ack, Writer};
use crate::store::disk::fsync;
use crate::store::error::StoreError;

/// The most work that one flush makes durable, counted in events.
const WEIGHT_MAX: usize = 1024;

/// The most times in a row that all other tasks get a turn, without a new step, before a commit begins.
const IDLE_YIELDS_MAX: u32 = 64;

/// The shortest and the longest pause for sled's garbage collection, which cannot run while transactions hold
/// the lock. A millisecond is the resolution of the timer.
const GAP_MIN: Duration = Duration::from_millis(1);
const GAP_MAX: Duration = Duration::from_millis(3);

/// The interval between two writes of the witness file while there are commits.
const WITNESS_EVERY: Duration = Duration::from_secs(1);

/// Applies the steps. Nothing is acknowledged unless [`run`](Self::run) is running.
#[derive(Debug)]
pub struct Committer {
    pub(in crate::store) queue: Receiver<Step>,
    pub(in crate::store) writer: Writer,
    pub(in crate::store) witness: PathBuf,
}

impl Committer {
    /// Applies steps until every `Store` and `WriteSlot` has been dropped and all steps are durable.
    ///
    /// Not cancel safe: if the future is dropped, the waiting steps are answered with an error.
    ///
    /// # Errors
    /// The first failure of a write, a flush or the witness file; a panic in one of them; or 10 s of a commit
    /// without progress. Nothing is acknowledged after it, and the log must be opened again.
    pub async fn run(self) -> Result<(), StoreError> {
        let watchdog = self.writer.watchdog.clone();
        let poison = self.writer.poison.clone();
        let flush = self.writer.reader.flusher();
        let watch =
            watchdog.watch(STUCK_AFTER, Some(flush)).map_err(|error| witness_error(&self.witness, error));
        let done = match watch {
            Ok(watch) => Loop::new(self, watchdog, watch).run().await,
            Err(error) => Err(error),
        };
        done.inspect_err(|error| poison.set(error))
    }
}

struct Loop {
    queue: Receiver<Step>,
    /// Absent while a commit is in progress, and for good after a commit has failed.
    writer: Option<Box<Writer>>,
    waiting: VecDeque<Step>,
    /// The number of steps that the last commit acknowledged.
    acknowledged: usize,
    lock: LockBalance,
    watchdog: Arc<CommitWatchdog>,
    witness: CommitMarker,
    _watch: WatchGuard,
}

impl Loop {
    fn new(committer: Committer, watchdog: Arc<CommitWatchdog>, watch: WatchGuard) -> Self {
        let now = committer.writer.clock.instant();
        Self {
            queue: committer.queue,
            writer: Some(Box::new(committer.writer)),
            waiting: VecDeque::new(),
            acknowledged: 0,
            lock: LockBalance { excess: Duration::ZERO, free_since: now },
            watchdog,
            witness: CommitMarker { path: committer.witness, written: now, writing: None },
            _watch: watch,
        }
    }

    async fn run(mut self) -> Result<(), StoreError> {
        while self.gather().await {
            let steps = self.take_steps();
            let Some(writer) = self.writer.take() else { return Err(StoreError::Closed) };
            let (writer, acks) = self.commit(writer, steps).await?;
            let (seq, now) = (writer.feed.meta().commit_seq, writer.clock.instant());
            self.writer = Some(writer);
            self.acknowledged = acks.len();
            for ack in acks {
                ack();
            }
            self.witness.note(seq, now).await?;
            self.leave_gap().await;
        }
        match self.writer {
            Some(writer) => self.witness.finish(writer.feed.meta().commit_seq).await,
            None => Err(StoreError::Closed),
        }
    }

    /// Waits for steps. Returns false when no more can come.
    ///
    /// A commit of fifty steps costs little more than a commit of one, and a caller that was just
    /// acknowledged is likely to send its next step at once. So the steps in the queue wait while others
    /// arrive. The wait has no fixed time: it lasts as long as the turns of the other tasks bring new steps.
    /// A single step does not wait.
    async fn gather(&mut self) -> bool {
        self.drain();
        let expected = (self.acknowledged + self.waiting.len()).min(WEIGHT_MAX);
        if self.waiting.is_empty() {
            let Some(step) = self.queue.recv().await else { return false };
            self.waiting.push_back(step);
            self.drain();
        }
        let mut idle_yields = 0;
        while self.waiting.len() < expected && idle_yields < IDLE_YIELDS_MAX {
            yield_now().await;
            idle_yields = if self.drain() { 0 } else { idle_yields + 1 };
        }
        true
    }

    /// Takes steps from the queue, up to the work of one flush. Returns whether there were any.
    fn drain(&mut self) -> bool {
        let before = self.waiting.len();
        while self.waiting.len() < WEIGHT_MAX {
            let Ok(step) = self.queue.try_recv() else { break };
            self.waiting.push_back(step);
        }
        self.waiting.len() > before
    }

    /// Takes the oldest steps, up to the work of one flush and at least one.
    fn take_steps(&mut self) -> Vec<Step> {
        let mut weight = 0;
        let mut steps = Vec::new();
        while weight < WEIGHT_MAX {
            let Some(step) = self.waiting.pop_front() else { break };
            weight += step.weight().max(1);
            steps.push(step);
        }
        steps
    }

    async fn commit(
        &mut self,
        mut writer: Box<Writer>,
        steps: Vec<Step>,
    ) -> Result<(Box<Writer>, Vec<Ack>), StoreError> {
        self.watchdog.commit_began();
        self.lock.begin(writer.clock.instant());
        let work = spawn_blocking(move || writer.commit(steps).map(|acks| (writer, acks)));
        let joined = tokio::select! {
            biased;
            joined = work => joined,
            () = self.watchdog.stuck.notified() => return Err(StoreError::Stuck { secs: STUCK_AFTER.as_secs() }),
        };
        self.watchdog.commit_ended();
        let (writer, acks) =
            joined.map_err(|error| StoreError::Poisoned { cause: error.to_string().into() })??;
        self.lock.end(writer.flushing_since, writer.clock.instant());
        Ok((writer, acks))
    }

    async fn leave_gap(&mut self) {
        if self.lock.excess >= GAP_MIN {
            tokio::time::sleep(self.lock.excess.min(GAP_MAX)).await;
        }
    }
}

/// Balances the time for which transactions hold sled's lock with the time for which it is free. If it is
/// free half of the time, the garbage collection keeps up.
#[derive(Debug)]
struct LockBalance {
    /// The excess of held time over free time. Idle time is not saved up.
    excess: Duration,
    /// The time since which the lock is free, or held.
    free_since: Instant,
}

impl LockBalance {
    fn begin(&mut self, now: Instant) {
        self.excess = self.excess.saturating_sub(now - self.free_since);
        self.free_since = now;
    }

    /// Records that the transactions ended at `flushing_since`. The flush after them does not hold the lock.
    fn end(&mut self, flushing_since: Instant, now: Instant) {
        self.excess += flushing_since - self.free_since;
        self.excess = self.excess.saturating_sub(now - flushing_since);
        self.free_since = now;
    }
}

/// The file that records approximately which commit was acknowledged last (the witness).
struct CommitMarker {
    path: PathBuf,
    written: Instant,
    writing: Option<JoinHandle<Result<(), StoreError>>>,
}

/// Returns whether the process or the machine has reached its limit of open files.
fn is_out_of_files(error: &std::io::Error) -> bool {
    let error = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(error, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

fn witness_error(path: &std::path::Path, error: std::io::Error) -> StoreError {
    StoreError::CommitMarker { path: path.to_owned(), error: Arc::new(error) }
}

impl CommitMarker {
    /// Rewrites the file in the background of the next commits, unless it was rewritten recently.
    async fn note(&mut self, commit_seq: u64, now: Instant) -> Result<(), StoreError> {
        if now.duration_since(self.written) < WITNESS_EVERY {
            return Ok(());
        }
        self.join().await?;
        self.written = now;
        self.begin(commit_seq);
        Ok(())
    }

    fn begin(&mut self, commit_seq: u64) {
        let path = self.path.clone();
        self.writing = Some(spawn_blocking(move || {
            fsync::replace_file(&path, &format!("{commit_seq}\n"))
                .map_err(|error| witness_error(&path, error))
        }));
    }

    async fn join(&mut self) -> Result<(), StoreError> {
        let Some(writing) = self.writing.take() else { return Ok(()) };
        let written =
            writing.await.map_err(|error| StoreError::Poisoned { cause: error.to_string().into() })?;
        match written {
            Err(StoreError::CommitMarker { error, .. }) if is_out_of_files(&error) => {
                // The file is approximate and may be written later. The disk is not at fault.
                tracing::warn!(%error, "the limit of open files is reached: raise it");
                Ok(())
            }
            written => written,
        }
    }

    async fn finish(mut self, commit_seq: u64) -> Result<(), StoreError> {
        self.join().await?;
        self.begin(commit_seq);
        self.join().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Clock;

    #[test]
    fn a_gap_is_due_once_the_lock_was_held_longer_than_free() {
        let start = Clock::system().instant();
        let at = |ms| start + Duration::from_millis(ms);
        let mut lock = LockBalance { excess: Duration::ZERO, free_since: start };
        // Held for 4, free for 1 of the flush and 2 until the next.
        lock.begin(at(10));
        lock.end(at(14), at(15));
        assert_eq!(lock.excess, Duration::from_millis(3));
        lock.begin(at(17));
        assert_eq!(lock.excess, Duration::from_millis(1));
        lock.end(at(19), at(19));
        assert_eq!(lock.excess, Duration::from_millis(3));
        // Idle time reduces the excess to zero, not below.
        lock.begin(at(60));
        lock.end(at(61), at(61));
        assert_eq!(lock.excess, Duration::from_millis(1));
    }
}
