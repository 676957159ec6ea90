//! The replay jobs that are running.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::model::id::{ReplayId, SubscriptionId};
use crate::model::replay::{JobState, ReplayJob};
use crate::store::{Reader, StoreError};

/// The most scans of the log that may run at once. Further scans wait.
const SCANS_MAX: usize = 2;

/// The number of jobs that a start reads at once to find the unfinished ones.
const RESUME_PAGE: usize = 100;

/// The replay jobs that are running.
#[derive(Debug)]
pub(in crate::flow) struct RunningReplays {
    /// The number of jobs, readable without a lock.
    count: AtomicUsize,
    jobs: Mutex<BTreeMap<ReplayId, Arc<RunningReplay>>>,
    /// Limits the scans of the log.
    pub(super) scans: Semaphore,
}

impl Default for RunningReplays {
    fn default() -> Self {
        let scans = Semaphore::new(SCANS_MAX);
        Self { count: AtomicUsize::new(0), jobs: Mutex::default(), scans }
    }
}

/// A replay job that is running.
#[derive(Debug)]
pub(super) struct RunningReplay {
    /// The job and its progress.
    pub(super) job: watch::Sender<ReplayJob>,
    /// Cancelled when the job is cancelled.
    pub(super) cancelled: CancellationToken,
    /// Notified when the backlog of the subscription may have shrunk.
    pub(super) wake: Notify,
}

impl RunningReplays {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ReplayId, Arc<RunningReplay>>> {
        // No code under the lock can panic and leave the map half changed.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job, or returns none if `jobs_max` jobs are running already.
    pub(super) fn add(&self, job: ReplayJob, jobs_max: usize) -> Option<Arc<RunningReplay>> {
        let mut jobs = self.lock();
        if jobs.len() >= jobs_max {
            return None;
        }
        let id = job.id;
        let (cancelled, wake) = (CancellationToken::new(), Notify::new());
        let running = Arc::new(RunningReplay { job: watch::Sender::new(job), cancelled, wake });
        jobs.insert(id, Arc::clone(&running));
        self.count.store(jobs.len(), Ordering::Release);
        Some(running)
    }

    /// Removes a job.
    pub(super) fn remove(&self, id: ReplayId) {
        let mut jobs = self.lock();
        jobs.remove(&id);
        self.count.store(jobs.len(), Ordering::Release);
    }

    /// Returns a running job.
    pub(super) fn get(&self, id: ReplayId) -> Option<Arc<RunningReplay>> {
        self.lock().get(&id).cloned()
    }

    /// Returns how many jobs are running.
    pub(in crate::flow) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Makes the jobs of a subscription check its backlog again. Cheap if no job is running.
    pub(in crate::flow) fn wake(&self, subscription: SubscriptionId) {
        if self.count() == 0 {
            return;
        }
        for running in self.lock().values().filter(|one| one.job.borrow().subscription == subscription) {
            running.wake.notify_one();
        }
    }

    /// Makes every job check the backlog of its subscription again.
    pub(in crate::flow) fn wake_all(&self) {
        for running in self.lock().values() {
            running.wake.notify_one();
        }
    }
}

/// Returns the jobs that the last run left unfinished, and the id of the newest job of all.
pub(in crate::flow) fn unfinished(reader: &Reader) -> Result<(Vec<ReplayJob>, Option<ReplayId>), StoreError> {
    let (mut unfinished, mut before, mut newest) = (Vec::new(), None, None);
    loop {
        let page = reader.jobs(before, RESUME_PAGE)?;
        newest = newest.or(page.first().map(|job| job.id));
        let Some(last) = page.last() else { return Ok((unfinished, newest)) };
        before = Some(last.id);
        unfinished.extend(page.into_iter().filter(|job| job.state == JobState::Running));
    }
}
