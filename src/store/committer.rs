//! The one writer: gathers what waits, makes it durable with one flush, and acknowledges all of it.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::Instant;

use super::apply::{Ack, Applier};
use super::error::StoreError;
use super::fsync;
use super::pulse::{PATIENCE, Pulse, Watch};
use super::step::Step;

/// The most work that one flush makes durable, in events or what costs about as much.
const WEIGHT_MAX: usize = 1024;

/// How many commits in a row find more work waiting before gaps are left between them.
const SATURATED_AFTER: u32 = 8;

/// The longest gap left for sled's garbage collection, which waits while transactions hold the lock.
const GAP_MAX: Duration = Duration::from_millis(3);

/// How often the witness is rewritten while there are commits.
const WITNESS_EVERY: Duration = Duration::from_secs(1);

/// Does the steps; [`run`](Self::run) has to be running for anything to be acknowledged.
#[derive(Debug)]
pub struct Committer {
    pub(super) queue: Receiver<Step>,
    pub(super) applier: Applier,
    pub(super) witness: PathBuf,
}

impl Committer {
    /// Does steps until every [`Store`](super::Store) and [`Place`](super::Place) is gone and all is durable.
    ///
    /// Not cancel safe: what was handed in is answered with an error if the future is dropped.
    ///
    /// # Errors
    /// The first failure of a write, a flush or the witness, a panic in one of them, or 10 s of a commit without
    /// progress. Nothing is acknowledged after it, and the log must be opened again.
    pub async fn run(self) -> Result<(), StoreError> {
        let pulse = self.applier.pulse.clone();
        let poison = self.applier.poison.clone();
        let watch = pulse.watch(PATIENCE).map_err(|error| witness_error(&self.witness, error));
        let done = match watch {
            Ok(watch) => Loop::new(self, pulse, watch).run().await,
            Err(error) => Err(error),
        };
        done.inspect_err(|error| poison.set(error))
    }
}

struct Loop {
    queue: Receiver<Step>,
    /// Away while a commit is under way, and for good once one has failed.
    applier: Option<Box<Applier>>,
    waiting: VecDeque<Step>,
    saturated: u32,
    pulse: Arc<Pulse>,
    witness: Witness,
    _watch: Watch,
}

impl Loop {
    fn new(committer: Committer, pulse: Arc<Pulse>, watch: Watch) -> Self {
        let now = committer.applier.clock.instant();
        Self {
            queue: committer.queue,
            applier: Some(Box::new(committer.applier)),
            waiting: VecDeque::new(),
            saturated: 0,
            pulse,
            witness: Witness { path: committer.witness, written: now, writing: None },
            _watch: watch,
        }
    }

    async fn run(mut self) -> Result<(), StoreError> {
        while self.gather().await {
            let steps = self.take_steps();
            let Some(applier) = self.applier.take() else { return Err(StoreError::Closed) };
            let (applier, acks, took) = self.commit(applier, steps).await?;
            let (seq, now) = (applier.meta.commit_seq, applier.clock.instant());
            self.applier = Some(applier);
            for ack in acks {
                ack();
            }
            self.witness.note(seq, now).await?;
            self.leave_gap(took).await;
        }
        match self.applier {
            Some(applier) => self.witness.finish(applier.meta.commit_seq).await,
            None => Err(StoreError::Closed),
        }
    }

    /// Waits for work; false once there will be none.
    async fn gather(&mut self) -> bool {
        let mut steps = Vec::new();
        if self.waiting.is_empty() {
            self.queue.recv_many(&mut steps, WEIGHT_MAX).await;
        } else {
            while self.waiting.len() + steps.len() < WEIGHT_MAX {
                let Ok(step) = self.queue.try_recv() else { break };
                steps.push(step);
            }
        }
        self.waiting.extend(steps);
        !self.waiting.is_empty()
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
        mut applier: Box<Applier>,
        steps: Vec<Step>,
    ) -> Result<(Box<Applier>, Vec<Ack>, Duration), StoreError> {
        self.pulse.begin();
        let began = applier.clock.instant();
        let work = spawn_blocking(move || applier.commit(steps).map(|acks| (applier, acks)));
        let joined = tokio::select! {
            biased;
            joined = work => joined,
            () = self.pulse.stuck.notified() => return Err(StoreError::Stuck { secs: PATIENCE.as_secs() }),
        };
        self.pulse.rest();
        let (applier, acks) =
            joined.map_err(|error| StoreError::Poisoned { cause: error.to_string().into() })??;
        let took = applier.clock.instant() - began;
        Ok((applier, acks, took))
    }

    async fn leave_gap(&mut self, took: Duration) {
        let busy = !self.waiting.is_empty() || !self.queue.is_empty();
        self.saturated = if busy { self.saturated.saturating_add(1) } else { 0 };
        if self.saturated >= SATURATED_AFTER {
            tokio::time::sleep(took.min(GAP_MAX)).await;
        }
    }
}

/// The file that says which commit was acknowledged last, about.
struct Witness {
    path: PathBuf,
    written: Instant,
    writing: Option<JoinHandle<Result<(), StoreError>>>,
}

fn witness_error(path: &std::path::Path, error: std::io::Error) -> StoreError {
    StoreError::Witness { path: path.to_owned(), error: Arc::new(error) }
}

impl Witness {
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
        match self.writing.take() {
            Some(writing) => {
                writing.await.map_err(|error| StoreError::Poisoned { cause: error.to_string().into() })?
            }
            None => Ok(()),
        }
    }

    async fn finish(mut self, commit_seq: u64) -> Result<(), StoreError> {
        self.join().await?;
        self.begin(commit_seq);
        self.join().await
    }
}
