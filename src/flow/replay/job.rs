//! Replay jobs: past events are delivered to a subscription again, by a job that survives restarts.
//!
//! A job scans the log, oldest event first, and creates a new delivery of each selected event. The progress
//! of the job is written in the same transaction as its deliveries, so a crash neither loses nor repeats one.
//!
//! A job must not delay live events. It works in small steps and pauses after each for as long as the step
//! took. It also waits while `api.replay_backlog_max` deliveries of its subscription are waiting.

use std::sync::Arc;
use std::time::Duration;

use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::conflict::Conflict;
use crate::flow::change::error::ChangeError;
use crate::flow::inner::Flow;
use crate::flow::lane::Lane;
use crate::flow::replay::request::{ReplayCount, ReplayRequest};
use crate::flow::replay::running::RunningReplay;
use crate::flow::replay::scan::{LogScan, ScanPage};
use crate::model::event::Event;
use crate::model::id::ReplayId;
use crate::model::replay::{JobState, ReplayJob};
use crate::store::{Idempotent, IdempotentRequest, REPLAY_DELIVERIES_MAX, RecordedResult, StoreError};

impl Flow {
    /// Counts the events that a replay would deliver now. Stops after the time `most` and returns the count
    /// so far.
    ///
    /// Reads the whole span, with pauses. Cancel safe.
    pub async fn count_replay(
        &self,
        request: ReplayRequest,
        most: Duration,
    ) -> Result<ReplayCount, ChangeError> {
        let started = self.clock.instant();
        let subscription = request.subscription;
        let mut scan = LogScan::new(&self.new_job(request));
        let mut matching = 0;
        loop {
            let lane =
                self.lanes.get(subscription).ok_or_else(|| ChangeError::no_subscription(subscription))?;
            let began = self.clock.instant();
            let found = self.scan_page(&mut scan, &lane, usize::MAX).await?;
            matching += found.wanted.len() as u64;
            if found.is_end || started.elapsed() >= most {
                return Ok(ReplayCount { matching, is_complete: found.is_end });
            }
            tokio::time::sleep(began.elapsed()).await;
        }
    }

    /// Starts a replay job. Returns once the job is durable.
    ///
    /// With an idempotency key, repeated calls return the job that the first call started, and true.
    ///
    /// # Errors
    /// [`ChangeError::TooMany`] if `api.replays_running_max` jobs are running; and the errors of every
    /// change.
    pub async fn start_replay(
        &self,
        actor: Actor,
        request: ReplayRequest,
        once: Option<IdempotentRequest>,
    ) -> Result<(ReplayJob, bool), ChangeError> {
        let change = |flow: Self| async move {
            let (job, is_repeat) = flow.start_job(request, once).await?;
            if !is_repeat {
                let detail = format_args!("subscription={}", job.subscription);
                actor.record(Action::ReplayStarted, job.id, detail);
            }
            Ok((job, is_repeat))
        };
        self.complete(change).await
    }

    async fn start_job(
        &self,
        request: ReplayRequest,
        once: Option<IdempotentRequest>,
    ) -> Result<(ReplayJob, bool), ChangeError> {
        let subscription = request.subscription;
        self.lanes.get(subscription).ok_or_else(|| ChangeError::no_subscription(subscription))?;
        let job = self.new_job(request);
        let id = job.id;
        let most = self.config.load().api.replays_running_max;
        let running = self.replays.add(job.clone(), most).ok_or(ChangeError::TooMany {
            detail: "api.replays_running_max replays are running: wait until one ends, or cancel one",
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

    fn new_job(&self, request: ReplayRequest) -> ReplayJob {
        let ReplayRequest { subscription, since, until, states } = request;
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

    /// Returns a replay job and its progress.
    pub async fn replay(&self, id: ReplayId) -> Result<ReplayJob, ChangeError> {
        if let Some(running) = self.replays.get(id) {
            return Ok(running.job.borrow().clone());
        }
        let not_found = || ChangeError::NotFound { what: "replay", id: id.to_string() };
        self.read(move |reader| reader.job(id)).await?.ok_or_else(not_found)
    }

    /// Returns replay jobs and their progress, newest first, created before the job `before`.
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

    /// Cancels a replay job. The deliveries that it has already created are not affected.
    pub async fn cancel_replay(&self, actor: Actor, id: ReplayId) -> Result<ReplayJob, ChangeError> {
        let change = |flow: Self| async move {
            let job = flow.cancel_job(id).await?;
            actor.record(Action::ReplayCancelled, id, format_args!("made={}", job.made));
            Ok(job)
        };
        self.complete(change).await
    }

    async fn cancel_job(&self, id: ReplayId) -> Result<ReplayJob, ChangeError> {
        if let Some(running) = self.replays.get(id) {
            let mut watched = running.job.subscribe();
            running.cancelled.cancel();
            drop(running);
            // The job publishes its end, unless the daemon stops. It then continues after the next start.
            let ended = watched.wait_for(|job| job.state != JobState::Running).await;
            return match ended.map(|job| job.clone()) {
                Ok(job) if job.state == JobState::Cancelled => Ok(job),
                Ok(job) => Err(has_ended(&job)),
                Err(_) => Err(ChangeError::Stopping),
            };
        }
        Err(has_ended(&self.replay(id).await?))
    }

    /// Resumes the jobs that the last run left unfinished.
    pub(in crate::flow) fn resume_replays(&self, jobs: Vec<ReplayJob>) {
        for job in jobs {
            if let Some(running) = self.replays.add(job, usize::MAX) {
                self.spawn(self.clone().run_replay(running));
            }
        }
    }

    async fn run_replay(self, running: Arc<RunningReplay>) {
        let id = running.job.borrow().id;
        let end = match self.work(&running).await {
            Ok(end) => end,
            Err(error) => {
                tracing::error!(replay = %id, %error, "a replay job failed");
                End::Failed(error.to_string())
            }
        };
        let (state, failure) = match end {
            // The job continues after the next start.
            End::Stopped => return self.replays.remove(id),
            End::Done => {
                // The estimate may have been greater than the number of events.
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
            tracing::error!(replay = %id, %error, "failed to write the end of a replay");
            return self.replays.remove(id);
        }
        let (made, skipped) = (job.made, job.skipped);
        tracing::info!(replay = %id, state = state.as_str(), made, skipped, "a replay job has ended");
        running.job.send_replace(job);
        self.replays.remove(id);
    }

    async fn work(&self, running: &RunningReplay) -> Result<End, StoreError> {
        let job = running.job.borrow().clone();
        let subscription = job.subscription;
        let mut scan = LogScan::new(&job);
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
            // A full backlog has to shrink to half before the job goes on, so that each step creates more
            // than one delivery.
            is_full = room == 0 || (is_full && waiting > backlog_max / 2);
            if is_full {
                if let Some(end) = self.interrupted(running, running.wake.notified()).await {
                    return Ok(end);
                }
                continue;
            }
            let began = self.clock.instant();
            let found = self.scan_page(&mut scan, &lane, room.min(REPLAY_DELIVERIES_MAX)).await?;
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

    /// Counts the events or deliveries to scan, and writes the number. Returns the end of the job if it ends
    /// meanwhile.
    async fn count_span(&self, running: &RunningReplay, job: &ReplayJob) -> Result<Option<End>, StoreError> {
        let mut scan = LogScan::new(job);
        let mut total = scan.total(&self.reader, job.subscription);
        let (mut counted, mut is_counted) = (0, total.is_some());
        while !is_counted {
            let began = self.clock.instant();
            let turn = self.replays.scans.acquire().await;
            let mut chunk = scan;
            let (read, chunk) = self.read(move |reader| (chunk.read(reader), chunk)).await;
            drop(turn);
            scan = chunk;
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

    /// Scans the next page of the log for at most `most` events to deliver.
    async fn scan_page(&self, scan: &mut LogScan, lane: &Lane, most: usize) -> Result<ScanPage, StoreError> {
        // The semaphore is never closed.
        let _turn = self.replays.scans.acquire().await;
        let subscription = Arc::clone(&lane.lock().subscription);
        let mut next = scan.clone();
        let (found, next) =
            self.read(move |reader| (next.next_page(reader, &subscription, most), next)).await;
        *scan = next;
        found
    }

    async fn take_step(
        &self,
        running: &RunningReplay,
        found: ScanPage,
        lane: &Arc<Lane>,
    ) -> Result<(), StoreError> {
        let mut job = running.job.borrow().clone();
        job.looked_at += found.looked_at;
        job.skipped += found.skipped;
        job.made += found.wanted.len() as u64;
        job.cursor = found.cursor.or(job.cursor);
        // Events may have arrived since the count, or been removed.
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

    /// Waits, unless the job has to end first.
    async fn interrupted(&self, running: &RunningReplay, wait: impl Future<Output = ()>) -> Option<End> {
        tokio::select! {
            biased;
            () = self.stopping.cancelled() => Some(End::Stopped),
            () = running.cancelled.cancelled() => Some(End::Cancelled),
            () = wait => None,
        }
    }
}

/// The end of a job, or of its run.
enum End {
    Done,
    Cancelled,
    Failed(String),
    /// The daemon is stopping.
    Stopped,
}

fn has_ended(job: &ReplayJob) -> ChangeError {
    Conflict::Ended { id: job.id.to_string(), state: job.state.as_str() }.into()
}
