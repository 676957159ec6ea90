//! The journey of an event, one file a step.
//!
//! [`accept`] matches an event and appends it with its deliveries; once that is durable each goes to its
//! subscription's [`lane`]. [`dispatch`] says which lane's turn it is, [`attempt`] makes the request, [`settle`]
//! decides what follows and makes it durable, and so back to dispatch or to the end. [`recover`] re-enters the
//! journey from the log after a restart; [`sweep`] ends it by age. People step in through [`subscriptions`],
//! [`enable`], [`secrets`], [`reconcile`], [`sample`] and [`intervene`], and send the log out again through
//! [`redeliver`] and [`replay`]; [`view`], [`list`], [`numbers`], [`gauges`] and [`timings`] tell them where things stand, [`stream`] what
//! happens, [`audit`] who changed what. [`backup`] hands out the log whole. What the daemon has to say of itself goes
//! the same way (`notices`), and to people by mail (`mail`); a collector of traces is told of each step (`traces`).
//!
//! Nothing here knows HTTP's server side, and which store it has. No lock is held over an await but the one
//! that puts changes of subscriptions one after the other.

pub mod accept;
pub mod attempt;
pub mod audit;
pub mod backup;
mod carry;
mod change_error;
mod changes;
pub mod conflict;
mod deleted;
pub mod dispatch;
pub mod enable;
mod entry;
pub mod gauges;
pub mod history;
pub mod intake;
pub mod intervene;
pub mod lane;
pub mod list;
mod mail;
pub mod meter;
mod notices;
pub mod numbers;
pub mod reconcile;
pub mod recover;
pub mod redeliver;
pub mod replay;
pub mod sample;
pub mod secrets;
pub mod settle;
pub mod stream;
pub mod subscriptions;
pub mod sweep;
pub mod timings;
mod traces;
mod trouble;
pub mod version;
pub mod view;
mod walk;

pub use change_error::ChangeError;
pub use entry::Entry;

use std::future::Future;
use std::ops::Deref;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::model::id::IdSequence;
use crate::model::time::{Clock, Timestamp};
use crate::net::Client;
use crate::rules::matcher::{Index, IndexWriter};
use crate::store::{EventCursor, Reader, Store, StoreError, WriteSlot};

/// The journey and all that it needs. A cheap handle: clones are the same journey.
#[derive(Clone)]
pub struct Flow(Arc<Parts>);

/// What the steps share.
pub struct Parts {
    config: ArcSwap<Config>,
    clock: Clock,
    started_at: Timestamp,
    meter: meter::Meter,
    notices: notices::Notices,
    /// There is something to be mailed, or mail is configured otherwise.
    mail_wake: tokio::sync::Notify,
    bookmark: EventCursor,
    timings: timings::Timings,
    traces: traces::Traces,
    stream: Arc<stream::Stream>,
    replays: replay::Replays,
    rng: Mutex<StdRng>,
    /// Ids of what the log does not number itself: they grow, so that lists are in the order of making.
    ids: Mutex<IdSequence>,
    store: Store,
    reader: Reader,
    client: Client,
    index: Index,
    /// Held over a change of subscriptions from its decision until it is published.
    changes: tokio::sync::Mutex<IndexWriter>,
    lanes: dispatch::Lanes,
    round: Arc<dispatch::Round>,
    timers: dispatch::Timers,
    budget: Arc<carry::Budget>,
    /// Turns of lanes that read what waits for them on disk.
    readings: tokio::sync::Semaphore,
    intake: intake::Intake,
    deleted: deleted::Deleted,
    tracker: TaskTracker,
    /// Everything is dropped where it stands.
    killed: CancellationToken,
    /// A step panicked.
    broken: CancellationToken,
    /// Nothing new is begun.
    stopping: CancellationToken,
}

impl Deref for Flow {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Flow {
    /// The settings in force.
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The log, to read from. Its calls block: see [`read`](Self::read).
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Whether events are taken.
    pub fn is_ready(&self) -> bool {
        !self.stopping.is_cancelled() && !self.store.is_closed()
    }

    /// Asks the log where blocking is no harm.
    pub async fn read<T: Send + 'static>(&self, question: impl FnOnce(&Reader) -> T + Send + 'static) -> T {
        let reader = self.reader.clone();
        match tokio::task::spawn_blocking(move || question(&reader)).await {
            Ok(answer) => answer,
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }

    /// As [`read`](Self::read), for the lanes: some at a time, since ten thousand of them may ask at once, and a thread
    /// for each would take memory that is not given back.
    async fn read_in_turn<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Reader) -> T + Send + 'static,
    ) -> T {
        // Never closed: without a turn it would read all the same.
        let _turn = self.readings.acquire().await;
        self.read(question).await
    }

    /// Returns once a step of the journey has panicked: the daemon must not go on without it.
    pub async fn broken(&self) {
        self.broken.cancelled().await;
    }

    /// Runs a step of the journey beside the others, until it ends or the daemon is killed.
    fn spawn(&self, step: impl Future<Output = ()> + Send + 'static) {
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
    async fn until_stopping(self, endless: impl Future<Output = ()>) {
        self.stopping.run_until_cancelled(endless).await;
    }

    /// Makes one durable step and waits for it.
    ///
    /// Cancel safe in this sense: once the step has its place it is made, whether or not anybody waits.
    async fn commit<T: Send + 'static>(
        &self,
        step: impl FnOnce(WriteSlot, Box<dyn FnOnce(Result<T, StoreError>) + Send>),
    ) -> Result<T, StoreError> {
        let place = self.store.reserve().await?;
        let (answer, answered) = oneshot::channel();
        // The answer may find nobody waiting any more: then it is of no interest.
        step(place, Box::new(move |result| drop(answer.send(result))));
        answered.await.unwrap_or(Err(StoreError::Closed))
    }

    fn with_rng<T>(&self, draw: impl FnOnce(&mut StdRng) -> T) -> T {
        // A panic while it was held leaves a generator that is as random as before.
        draw(&mut self.rng.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The bits of a new id, made now.
    fn new_bits(&self, now: Timestamp) -> u128 {
        // As with chance: a panic while it was held leaves a sequence that goes on.
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).block(now, 1)
    }

    /// Begins no more attempts and waits for those that are out. Events are still taken; what they bring waits in
    /// the log for the next start. Cancel safe.
    pub async fn rest(&self) {
        for lane in self.lanes.all() {
            lane.lock().stop();
        }
        self.round.quiet().await;
    }

    /// Returns once the log has made a step durable and the timers have gone round: both are alive. Of no use after
    /// [`stop`](Self::stop). Cancel safe.
    ///
    /// # Errors
    /// When the log has failed.
    pub async fn beat(&self) -> Result<(), StoreError> {
        self.commit(WriteSlot::beat).await?;
        self.timers.go_round().await;
        Ok(())
    }

    /// Starts nothing new, waits for the requests that are out, and has their results durable.
    pub async fn stop(&self) {
        self.stopping.cancel();
        for lane in self.lanes.all() {
            lane.lock().stop();
        }
        self.tracker.close();
        self.tracker.wait().await;
    }

    /// Drops every step where it stands, as the end of the process would.
    pub async fn kill(&self) {
        self.stopping.cancel();
        self.killed.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}
