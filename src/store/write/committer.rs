//! The one writer: gathers what waits, makes it durable with one flush, and acknowledges all of it.

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

/// The most work that one flush makes durable, in events or what costs about as much.
const WEIGHT_MAX: usize = 1024;

/// How often in a row all other tasks may have their turn, none of them handing in a step, before a commit begins
/// that might have become larger.
const IDLE_YIELDS_MAX: u32 = 64;

/// The shortest and the longest gap left for sled's garbage collection, which waits while transactions hold the
/// lock. A timer knows nothing shorter.
const GAP_MIN: Duration = Duration::from_millis(1);
const GAP_MAX: Duration = Duration::from_millis(3);

/// How often the witness is rewritten while there are commits.
const WITNESS_EVERY: Duration = Duration::from_secs(1);

/// Does the steps; [`run`](Self::run) has to be running for anything to be acknowledged.
#[derive(Debug)]
pub struct Committer {
    pub(in crate::store) queue: Receiver<Step>,
    pub(in crate::store) writer: Writer,
    pub(in crate::store) witness: PathBuf,
}

impl Committer {
    /// Does steps until every `Store` and `WriteSlot` is gone and all is durable.
    ///
    /// Not cancel safe: what was handed in is answered with an error if the future is dropped.
    ///
    /// # Errors
    /// The first failure of a write, a flush or the witness, a panic in one of them, or 10 s of a commit without
    /// progress. Nothing is acknowledged after it, and the log must be opened again.
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
    /// Away while a commit is under way, and for good once one has failed.
    writer: Option<Box<Writer>>,
    waiting: VecDeque<Step>,
    /// How many steps the last commit acknowledged.
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

    /// Waits for work; false once there will be none.
    ///
    /// A commit of fifty steps costs little more than one of one, and whoever was just acknowledged is likely to
    /// come again at once. So what is there waits while others are on their way: not for a time, but for as long
    /// as the turns of the other tasks bring steps. A lone step does not wait.
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

    /// Takes what the queue has, up to as much as one flush is meant for; whether it had anything.
    fn drain(&mut self) -> bool {
        let before = self.waiting.len();
        while self.waiting.len() < WEIGHT_MAX {
            let Ok(step) = self.queue.try_recv() else { break };
            self.waiting.push_back(step);
        }
        self.waiting.len() > before
    }

    /// As many of the oldest steps as one flush is meant for, at least one.
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

/// For how long sled's lock was held by transactions and free again: free half of the time, its garbage collection
/// keeps up.
#[derive(Debug)]
struct LockBalance {
    /// How much longer it was held than free; idle time is not saved up.
    excess: Duration,
    /// Since when it is free, or else held.
    free_since: Instant,
}

impl LockBalance {
    fn begin(&mut self, now: Instant) {
        self.excess = self.excess.saturating_sub(now - self.free_since);
        self.free_since = now;
    }

    /// Transactions ended at `flushing_since`; what follows needs no lock.
    fn end(&mut self, flushing_since: Instant, now: Instant) {
        self.excess += flushing_since - self.free_since;
        self.excess = self.excess.saturating_sub(now - flushing_since);
        self.free_since = now;
    }
}

/// The file that says which commit was acknowledged last, about.
struct CommitMarker {
    path: PathBuf,
    written: Instant,
    writing: Option<JoinHandle<Result<(), StoreError>>>,
}

/// Whether the process or the machine has as many files open as it may.
fn is_out_of_files(error: &std::io::Error) -> bool {
    let error = error.raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    matches!(error, Some(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

fn witness_error(path: &std::path::Path, error: std::io::Error) -> StoreError {
    StoreError::CommitMarker { path: path.to_owned(), error: Arc::new(error) }
}

impl CommitMarker {
    /// Has it rewritten beside the next commits, if that was not done lately.
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
                // It says about where the log is, and may say it later; nothing is wrong with the disk.
                tracing::warn!(%error, "no file may be opened now: raise the bound of open files");
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
        // Time without work pays off, and no more than that.
        lock.begin(at(60));
        lock.end(at(61), at(61));
        assert_eq!(lock.excess, Duration::from_millis(1));
    }
}
