//! Replays: a subscription's past, delivered again as a job that survives restarts.
//!
//! A job walks over the log, oldest event first, and makes a new delivery of each event that it wants. How far it is is
//! written down in the transaction of the deliveries, so that a crash at any moment neither loses nor repeats one. It
//! goes in small steps, rests as long as it works, and waits while `api.replay_backlog_max` deliveries of its
//! subscription are waiting, so that live events, of this subscription and others, are not kept from their turn.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::model::delivery::DeliveryState;
use crate::model::event::Event;
use crate::model::id::{ReplayId, SubscriptionId};
use crate::model::problem::{Localized, Message};
use crate::model::replay::{JobState, ReplayJob};
use crate::model::time::Timestamp;
use crate::store::{
    Idempotent, IdempotentRequest, REPLAY_DELIVERIES_MAX, Reader, RecordedResult, StoreError,
};

use super::Flow;
use super::audit::{Action, Actor};
use super::change_error::ChangeError;
use super::conflict::Conflict;
use super::lane::Lane;
use super::walk::{Found, Walk};

/// How many jobs are looked at in one go when a start looks for those that go on.
const RESUME_PAGE: usize = 100;

/// The states that a replay can ask for: those that a delivery ends in.
pub const REPLAYED_STATES: [DeliveryState; 3] =
    [DeliveryState::Succeeded, DeliveryState::Exhausted, DeliveryState::Cancelled];

/// What a replay is to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayRequest {
    /// To whom.
    pub subscription: SubscriptionId,
    /// Events accepted then or later.
    pub since: Option<Timestamp>,
    /// Events accepted before then.
    pub until: Option<Timestamp>,
    /// Only events whose newest delivery to it stands so; empty for every event that it matches.
    pub states: Vec<DeliveryState>,
}

impl ReplayRequest {
    /// What is wrong with the end of its span, if something is.
    pub fn problem(&self) -> Option<EmptySpan> {
        let is_empty = self.since.zip(self.until).is_some_and(|(since, until)| until <= since);
        is_empty.then_some(EmptySpan)
    }
}

/// A span that ends before it has begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not after since: nothing would be delivered")]
pub struct EmptySpan;

impl Localized for EmptySpan {
    fn message(&self) -> Message {
        Message::new("problem-span")
    }
}

/// What a count has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counted {
    /// How many events would be delivered.
    pub matching: u64,
    /// False if the time for counting was up before the end of the span.
    pub is_whole: bool,
}

/// How many looks into the log replays make at once; the others wait for their turn.
const LOOKS_AT_ONCE: usize = 2;

/// The jobs that are running.
#[derive(Debug)]
pub(super) struct Replays {
    count: AtomicUsize,
    running: Mutex<BTreeMap<ReplayId, Arc<Running>>>,
    turns: Semaphore,
}

impl Default for Replays {
    fn default() -> Self {
        let turns = Semaphore::new(LOOKS_AT_ONCE);
        Self { count: AtomicUsize::new(0), running: Mutex::default(), turns }
    }
}

/// A job that is running.
#[derive(Debug)]
pub(super) struct Running {
    job: watch::Sender<ReplayJob>,
    cancelled: CancellationToken,
    /// Something of its subscription has changed: there may be room now.
    nudged: Notify,
}

impl Replays {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<ReplayId, Arc<Running>>> {
        // What is in there is whole at any moment.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a job, unless there are as many as may be.
    fn add(&self, job: ReplayJob, most: usize) -> Option<Arc<Running>> {
        let mut running = self.lock();
        if running.len() >= most {
            return None;
        }
        let id = job.id;
        let (cancelled, nudged) = (CancellationToken::new(), Notify::new());
        let one = Arc::new(Running { job: watch::Sender::new(job), cancelled, nudged });
        running.insert(id, Arc::clone(&one));
        self.count.store(running.len(), Ordering::Release);
        Some(one)
    }

    fn remove(&self, id: ReplayId) {
        let mut running = self.lock();
        running.remove(&id);
        self.count.store(running.len(), Ordering::Release);
    }

    fn get(&self, id: ReplayId) -> Option<Arc<Running>> {
        self.lock().get(&id).cloned()
    }

    /// How many are running.
    pub(super) fn running(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    /// Has the jobs of a subscription look again. Cheap while there are none.
    pub(super) fn nudge(&self, subscription: SubscriptionId) {
        if self.running() == 0 {
            return;
        }
        for running in self.lock().values().filter(|one| one.job.borrow().subscription == subscription) {
            running.nudged.notify_one();
        }
    }

    /// Has every job look again.
    pub(super) fn nudge_all(&self) {
        for running in self.lock().values() {
            running.nudged.notify_one();
        }
    }
}

/// The jobs that the last run left unfinished, and the newest of all.
pub(super) fn unfinished(reader: &Reader) -> Result<(Vec<ReplayJob>, Option<ReplayId>), StoreError> {
    let (mut unfinished, mut before, mut newest) = (Vec::new(), None, None);
    loop {
        let page = reader.jobs(before, RESUME_PAGE)?;
        newest = newest.or(page.first().map(|job| job.id));
        let Some(last) = page.last() else { return Ok((unfinished, newest)) };
        before = Some(last.id);
        unfinished.extend(page.into_iter().filter(|job| job.state == JobState::Running));
    }
}

impl Flow {
    /// How many events a replay would deliver again now, as far as that can be counted in the time given.
    ///
    /// Cancel safe. Reads all of the span, with rests.
    pub async fn count_replay(&self, ask: ReplayRequest, most: Duration) -> Result<Counted, ChangeError> {
        let started = self.clock.instant();
        let subscription = ask.subscription;
        let mut walk = Walk::new(&self.new_job(ask));
        let mut matching = 0;
        loop {
            let lane =
                self.lanes.get(subscription).ok_or_else(|| ChangeError::no_subscription(subscription))?;
            let began = self.clock.instant();
            let found = self.look(&mut walk, &lane, usize::MAX).await?;
            matching += found.wanted.len() as u64;
            if found.is_end || started.elapsed() >= most {
                return Ok(Counted { matching, is_whole: found.is_end });
            }
            tokio::time::sleep(began.elapsed()).await;
        }
    }

    /// Starts a replay; answers once it is on stable storage. True if that had been done before, with the same
    /// idempotency key.
    pub async fn start_replay(
        &self,
        actor: Actor,
        ask: ReplayRequest,
        once: Option<IdempotentRequest>,
    ) -> Result<(ReplayJob, bool), ChangeError> {
        let change = |flow: Self| async move {
            let (job, is_repeat) = flow.start_job(ask, once).await?;
            if !is_repeat {
                let detail = format_args!("subscription={}", job.subscription);
                actor.note(Action::ReplayStarted, job.id, detail);
            }
            Ok((job, is_repeat))
        };
        self.complete(change).await
    }

    async fn start_job(
        &self,
        ask: ReplayRequest,
        once: Option<IdempotentRequest>,
    ) -> Result<(ReplayJob, bool), ChangeError> {
        let subscription = ask.subscription;
        self.lanes.get(subscription).ok_or_else(|| ChangeError::no_subscription(subscription))?;
        let job = self.new_job(ask);
        let id = job.id;
        let most = self.config.load().api.replays_running_max;
        let running = self.replays.add(job.clone(), most).ok_or(ChangeError::TooMany {
            detail: "api.replays_running_max replays are running: wait for one, or cancel it",
        })?;
        let put = self.put_new_job(job.clone(), once).await;
        if !matches!(put, Ok(Idempotent::Made(()))) {
            self.replays.remove(id);
        }
        match put? {
            Idempotent::Made(()) => {
                self.spawn(self.clone().run_replay(running));
                Ok((job, false))
            }
            Idempotent::Repeated(RecordedResult::Job(id)) => Ok((self.replay(id).await?, true)),
            Idempotent::Repeated(_) | Idempotent::Mismatch => Err(ChangeError::KeyReused),
        }
    }

    async fn put_new_job(
        &self,
        job: ReplayJob,
        once: Option<IdempotentRequest>,
    ) -> Result<Idempotent<()>, StoreError> {
        match once {
            Some(once) => self.commit(|place, done| place.put_job_idempotent(once, job, done)).await,
            None => self.commit(|place, done| place.put_job(job, done)).await.map(Idempotent::Made),
        }
    }

    fn new_job(&self, ask: ReplayRequest) -> ReplayJob {
        let ReplayRequest { subscription, since, until, states } = ask;
        let created_at = self.clock.now();
        ReplayJob {
            id: ReplayId::from_bits(self.new_bits(created_at)),
            subscription,
            since,
            until,
            states,
            state: JobState::Running,
            failure: None,
            total: 0,
            looked_at: 0,
            made: 0,
            skipped: 0,
            cursor: None,
            created_at,
            finished_at: None,
        }
    }

    /// A replay as it is now.
    pub async fn replay(&self, id: ReplayId) -> Result<ReplayJob, ChangeError> {
        if let Some(running) = self.replays.get(id) {
            return Ok(running.job.borrow().clone());
        }
        let not_found = || ChangeError::NotFound { what: "replay", id: id.to_string() };
        self.read(move |reader| reader.job(id)).await?.ok_or_else(not_found)
    }

    /// Replays as they are now, newest first, before one of them.
    pub async fn replays(
        &self,
        before: Option<ReplayId>,
        limit: usize,
    ) -> Result<Vec<ReplayJob>, StoreError> {
        let mut jobs = self.read(move |reader| reader.jobs(before, limit)).await?;
        for job in jobs.iter_mut().filter(|job| job.state == JobState::Running) {
            if let Some(running) = self.replays.get(job.id) {
                job.clone_from(&running.job.borrow());
            }
        }
        Ok(jobs)
    }

    /// Stops a replay from making more deliveries; those that it has made go on.
    pub async fn cancel_replay(&self, actor: Actor, id: ReplayId) -> Result<ReplayJob, ChangeError> {
        let change = |flow: Self| async move {
            let job = flow.cancel_job(id).await?;
            actor.note(Action::ReplayCancelled, id, format_args!("made={}", job.made));
            Ok(job)
        };
        self.complete(change).await
    }

    async fn cancel_job(&self, id: ReplayId) -> Result<ReplayJob, ChangeError> {
        if let Some(running) = self.replays.get(id) {
            let mut watched = running.job.subscribe();
            running.cancelled.cancel();
            drop(running);
            // Its end is told, unless the daemon stops; then it goes on after the start.
            let ended = watched.wait_for(|job| job.state != JobState::Running).await;
            return match ended.map(|job| job.clone()) {
                Ok(job) if job.state == JobState::Cancelled => Ok(job),
                Ok(job) => Err(has_ended(&job)),
                Err(_) => Err(ChangeError::Stopping),
            };
        }
        Err(has_ended(&self.replay(id).await?))
    }

    /// Goes on with what the last run left.
    pub(super) fn resume_replays(&self, jobs: Vec<ReplayJob>) {
        for job in jobs {
            if let Some(running) = self.replays.add(job, usize::MAX) {
                self.spawn(self.clone().run_replay(running));
            }
        }
    }

    async fn run_replay(self, running: Arc<Running>) {
        let id = running.job.borrow().id;
        let end = match self.work(&running).await {
            Ok(end) => end,
            Err(error) => {
                tracing::error!(replay = %id, %error, "a replay failed");
                End::Failed(error.to_string())
            }
        };
        let (state, failure) = match end {
            // It goes on at the next start.
            End::Stopped => return self.replays.remove(id),
            End::Done => {
                // What was counted before may have been more than the span has.
                running.job.send_modify(|job| job.total = job.looked_at);
                (JobState::Done, None)
            }
            End::Cancelled => (JobState::Cancelled, None),
            End::Failed(failure) => (JobState::Failed, Some(failure)),
        };
        let finished_at = Some(self.clock.now());
        let job = ReplayJob { state, failure, finished_at, ..running.job.borrow().clone() };
        let written = job.clone();
        if let Err(error) = self.commit(|place, done| place.put_job(written, done)).await {
            tracing::error!(replay = %id, %error, "failed to write down the end of a replay");
            return self.replays.remove(id);
        }
        let (made, skipped) = (job.made, job.skipped);
        tracing::info!(replay = %id, state = state.as_str(), made, skipped, "a replay has ended");
        running.job.send_replace(job);
        self.replays.remove(id);
    }

    async fn work(&self, running: &Running) -> Result<End, StoreError> {
        let job = running.job.borrow().clone();
        let subscription = job.subscription;
        let mut walk = Walk::new(&job);
        if job.cursor.is_none()
            && let Some(end) = self.count_span(running, &job).await?
        {
            return Ok(end);
        }
        let mut is_full = false;
        loop {
            let Some(lane) = self.lanes.get(subscription) else {
                return Ok(End::Failed("the subscription was deleted".to_owned()));
            };
            let waiting = usize::try_from(self.reader.waiting(subscription)).unwrap_or(usize::MAX);
            let backlog_max = self.config.load().api.replay_backlog_max;
            let room = backlog_max.saturating_sub(waiting);
            // Once it is full it has to be half empty before more are made, so that steps are not of one delivery.
            is_full = room == 0 || (is_full && waiting > backlog_max / 2);
            if is_full {
                if let Some(end) = self.interrupted(running, running.nudged.notified()).await {
                    return Ok(end);
                }
                continue;
            }
            let began = self.clock.instant();
            let found = self.look(&mut walk, &lane, room.min(REPLAY_DELIVERIES_MAX)).await?;
            let is_end = found.is_end;
            self.take_step(running, found, &lane).await?;
            if is_end {
                return Ok(End::Done);
            }
            if let Some(end) = self.interrupted(running, tokio::time::sleep(began.elapsed())).await {
                return Ok(end);
            }
        }
    }

    /// Writes down how many there are to look at. With the end, if it comes before.
    async fn count_span(&self, running: &Running, job: &ReplayJob) -> Result<Option<End>, StoreError> {
        let mut walk = Walk::new(job);
        let mut total = walk.total(&self.reader, job.subscription);
        let (mut counted, mut is_counted) = (0, total.is_some());
        while !is_counted {
            let began = self.clock.instant();
            let turn = self.replays.turns.acquire().await;
            let mut chunk = walk;
            let (read, chunk) = self.read(move |reader| (chunk.read(reader), chunk)).await;
            drop(turn);
            walk = chunk;
            let count = read?.len() as u64;
            counted += count;
            is_counted = count == 0;
            if let Some(end) = self.interrupted(running, tokio::time::sleep(began.elapsed())).await {
                return Ok(Some(end));
            }
        }
        let counted = ReplayJob { total: *total.get_or_insert(counted), ..job.clone() };
        running.job.send_replace(counted.clone());
        self.commit(|place, done| place.put_job(counted, done)).await?;
        Ok(None)
    }

    /// Looks at the next events of a walk for those that the lane is to get, at most so many.
    async fn look(&self, walk: &mut Walk, lane: &Lane, most: usize) -> Result<Found, StoreError> {
        // The turns are never closed.
        let _turn = self.replays.turns.acquire().await;
        let subscription = Arc::clone(&lane.lock().subscription);
        let mut next = walk.clone();
        let (found, next) = self.read(move |reader| (next.look(reader, &subscription, most), next)).await;
        *walk = next;
        found
    }

    async fn take_step(&self, running: &Running, found: Found, lane: &Arc<Lane>) -> Result<(), StoreError> {
        let mut job = running.job.borrow().clone();
        job.looked_at += found.looked_at;
        job.skipped += found.skipped;
        job.made += found.wanted.len() as u64;
        job.cursor = found.cursor.or(job.cursor);
        // More may have come meanwhile, or less be left.
        job.total = job.total.max(job.looked_at);
        if !found.wanted.is_empty() {
            let wanted: Vec<(Arc<Event>, Arc<Lane>)> =
                found.wanted.into_iter().map(|event| (Arc::new(event), Arc::clone(lane))).collect();
            let made = self.step_replay(job.clone(), wanted).await?;
            let gone = made.iter().filter(|id| id.is_none()).count() as u64;
            job.made -= gone;
            job.skipped += gone;
        }
        running.job.send_replace(job);
        Ok(())
    }

    /// Waits, unless the job has to end before.
    async fn interrupted(&self, running: &Running, wait: impl Future<Output = ()>) -> Option<End> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Some(End::Stopped),
            () = running.cancelled.cancelled() => Some(End::Cancelled),
            () = wait => None,
        }
    }
}

/// How a run of a job ends.
enum End {
    Done,
    Cancelled,
    Failed(String),
    /// The daemon stops.
    Stopped,
}

fn has_ended(job: &ReplayJob) -> ChangeError {
    Conflict::Ended { id: job.id.to_string(), state: job.state.as_str() }.into()
}
