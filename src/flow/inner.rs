//! [`Flow`], the handle through which everything else uses the journey, and the state that its steps share.

use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use rand::rngs::StdRng;
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::change::entry::Entry;
use super::event_cache::EventCache;
use super::intake::Intake;
use super::measure::meter::Meter;
use super::measure::timings::Timings;
use super::measure::traces::Traces;
use super::notices::queue::Notices;
use super::replay::running::RunningReplays;
use super::schedule::deleted::DeletedSubscriptions;
use super::schedule::lanes::Lanes;
use super::schedule::slots::Scheduler;
use super::schedule::timers::Timers;
use super::stream::{Change, Gap, Listener, Stream, StreamEvent};
use crate::config::Config;
use crate::model::id::IdSequence;
use crate::model::time::{Clock, Timestamp};
use crate::net::Client;
use crate::rules::matcher::{Index, IndexWriter};
use crate::store::{EventCursor, Reader, Store, StoreError, WriteSlot};

/// A handle to the journey. Clones are cheap and refer to the same journey.
#[derive(Clone)]
pub struct Flow(pub(super) Arc<FlowInner>);

/// The state that the steps of the journey share.
pub struct FlowInner {
    pub(super) config: ArcSwap<Config>,
    pub(super) clock: Clock,
    pub(super) started_at: Timestamp,
    pub(super) meter: Meter,
    pub(super) notices: Notices,
    /// Notified when there may be notices to mail, or the mail settings have changed.
    pub(super) mail_wake: Notify,
    /// The last notice that was mailed.
    pub(super) bookmark: EventCursor,
    pub(super) timings: Timings,
    pub(super) traces: Traces,
    pub(super) stream: Arc<Stream>,
    pub(super) replays: RunningReplays,
    pub(super) rng: Mutex<StdRng>,
    /// The ids of everything that the log does not number itself. They increase, so that lists sorted by id are in the
    /// order of creation.
    pub(super) ids: Mutex<IdSequence>,
    pub(super) store: Store,
    pub(super) reader: Reader,
    pub(super) client: Client,
    pub(super) index: Index,
    /// Locked during a change of subscriptions, from the decision until it is in force.
    pub(super) changes: tokio::sync::Mutex<IndexWriter>,
    pub(super) lanes: Lanes,
    pub(super) scheduler: Arc<Scheduler>,
    pub(super) timers: Timers,
    pub(super) event_cache: Arc<EventCache>,
    /// Limits how many lanes read from the log at once.
    pub(super) read_turns: Semaphore,
    pub(super) intake: Intake,
    pub(super) deleted: DeletedSubscriptions,
    pub(super) tracker: TaskTracker,
    /// Cancelled when every step has to end at once.
    pub(super) killed: CancellationToken,
    /// Cancelled when a step has panicked.
    pub(super) broken: CancellationToken,
    /// Cancelled when no step may begin any more.
    pub(super) stopping: CancellationToken,
}

impl Deref for Flow {
    type Target = FlowInner;

    fn deref(&self) -> &FlowInner {
        &self.0
    }
}

impl Flow {
    /// Returns the settings in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Returns a reader of the log. Its calls block; [`read`](Self::read) moves them to a thread where blocking is
    /// allowed.
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Returns whether events are accepted.
    pub fn is_ready(&self) -> bool {
        !self.stopping.is_cancelled() && !self.store.is_closed()
    }

    /// Reads from the log on a thread where blocking is allowed.
    pub async fn read<T: Send + 'static>(&self, query: impl FnOnce(&Reader) -> T + Send + 'static) -> T {
        let reader = self.reader.clone();
        match tokio::task::spawn_blocking(move || query(&reader)).await {
            Ok(answer) => answer,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// Reads from the log for a lane, as [`read`](Self::read) does, but only a few lanes at once.
    ///
    /// Ten thousand lanes may want to read at the same time. A thread for each would take memory that the allocator
    /// does not give back.
    pub(super) async fn read_in_turn<T: Send + 'static>(
        &self,
        query: impl FnOnce(&Reader) -> T + Send + 'static,
    ) -> T {
        // The semaphore is never closed. If it were, the read would go on without a permit.
        let _turn = self.read_turns.acquire().await;
        self.read(query).await
    }

    /// Waits until a step of the journey has panicked. The daemon must not go on after that.
    pub async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Runs a step of the journey as a task of its own, until it ends or the daemon is killed.
    pub(super) fn spawn(&self, step: impl Future<Output = ()> + Send + 'static) {
        let (killed, broken) = (self.killed.clone(), self.broken.clone());
        self.tracker.spawn(async move {
            let step = AssertUnwindSafe(step).catch_unwind();
            if let Some(Err(_)) = killed.run_until_cancelled(step).await {
                tracing::error!("a step of the journey panicked");
                broken.cancel();
            }
        });
    }

    /// Runs a loop until the daemon stops.
    pub(super) async fn until_stopping(self, endless: impl Future<Output = ()>) {
        self.stopping.run_until_cancelled(endless).await;
    }

    /// Makes one durable step and waits for it.
    ///
    /// A step that has its place in the committer's queue is made even if this future is dropped.
    pub(super) async fn commit<T: Send + 'static>(
        &self,
        step: impl FnOnce(WriteSlot, Box<dyn FnOnce(Result<T, StoreError>) + Send>),
    ) -> Result<T, StoreError> {
        let place = self.store.reserve().await?;
        let (answer, answered) = oneshot::channel();
        // The caller may be gone. Then nobody needs the answer.
        step(place, Box::new(move |result| drop(answer.send(result))));
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    /// Draws from the daemon's random generator.
    pub(super) fn with_rng<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        // A panic under the lock leaves a generator that is as random as before.
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Returns the bits of a new id that carries the time `now`.
    pub(super) fn new_bits(&self, now: Timestamp) -> u128 {
        // A panic under the lock leaves a sequence that is as good as before.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).block(now, 1)
    }

    /// Starts no more attempts and waits for those in flight. Cancel safe.
    ///
    /// Events are still accepted. Their deliveries wait in the log for the next start.
    pub async fn quiesce(&self) {
        for lane in self.lanes.all() {
            lane.lock().stop();
        }
        self.scheduler.idle().await;
    }

    /// Proves that the daemon is alive: returns once the log has made a step durable and the timer loop has run a
    /// round. Cancel safe. Never returns after [`stop`](Self::stop).
    ///
    /// # Errors
    /// The log has failed.
    pub async fn heartbeat(&self) -> Result<(), StoreError> {
        self.commit(WriteSlot::beat).await?;
        self.timers.request_round().await;
        Ok(())
    }

    /// Starts nothing new, and waits until the requests in flight have ended and their results are durable.
    pub async fn stop(&self) {
        self.stopping.cancel();
        for lane in self.lanes.all() {
            lane.lock().stop();
        }
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Aborts every step, as the end of the process would.
    pub async fn kill(&self) {
        self.stopping.cancel();
        self.killed.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Returns the histograms and counters of the journey.
    pub fn timings(&self) -> &Timings {
        &self.timings
    }

    /// Subscribes to the stream of events, from now on or after the event with number `after`.
    ///
    /// Returns none if `api.stream_readers_max` listeners are subscribed already. Returns a [`Gap`] with the listener
    /// if events after that number are no longer known.
    pub fn listen(&self, after: Option<u64>) -> Option<(Listener, Option<Gap>)> {
        self.stream.listen(after)
    }

    /// Returns how many listeners are subscribed to the stream, and how many may be.
    pub fn listeners(&self) -> (usize, usize) {
        self.stream.listeners()
    }

    /// Disconnects every listener of the stream for good, so that none delays the daemon's stop.
    pub fn close_stream(&self) {
        self.stream.close();
    }

    /// Publishes a change of a subscription on the stream.
    pub(super) fn publish_change(&self, entry: &Entry, change: Change) {
        self.stream.publish([StreamEvent::changed(entry, change, self.clock.now())]);
    }
}
