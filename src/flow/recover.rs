//! Recovery: the journey goes on where the last run ended.
//!
//! Nothing has to be repaired at a start: the log holds every delivery that has not ended, either as a row in a queue
//! or as a *fresh* delivery, which had no row because its lane buffered it. Recovery has two parts.
//!
//! [`Flow::recover`] builds the state in memory: a lane for each subscription, the index for matching, and the id
//! sequence, which continues after the greatest id in the log. Nothing runs yet.
//!
//! [`Flow::start`] starts the loops and resumes the work:
//!
//! - Fresh deliveries are offered to their lanes again. Those that a lane cannot buffer get a row.
//! - Each lane with rows on disk reads them when its turn comes. Overdue deliveries start at once, but only within
//!   the limits of their lane and of the scheduler.
//! - The queues of deleted subscriptions are cleared, and their fresh deliveries cancelled.
//! - Replay jobs continue after the last event that they have handled.
//!
//! A request that was in flight when the process ended has no recorded outcome. Its delivery is still waiting and is
//! attempted again with the same attempt number.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::change::entry::Entry;
use super::enqueue::RowlessDelivery;
use super::event_cache::EventCache;
use super::inner::{Flow, FlowInner};
use super::intake::Intake;
use super::lane::{InitialQueue, Lane, LaneDelivery, Limits, Route};
use super::measure::meter::Meter;
use super::measure::timings::Timings;
use super::measure::traces::Traces;
use super::notices::queue::{NoticeReceiver, Notices};
use super::replay::running::{RunningReplays, unfinished};
use super::schedule::deleted::DeletedSubscriptions;
use super::schedule::lanes::Lanes;
use super::schedule::slots::Scheduler;
use super::schedule::timers::Timers;
use super::stream::Stream;
use crate::config::Config;
use crate::model::delivery::Delivery;
use crate::model::id::{IdSequence, ReplayId, SubscriptionId};
use crate::model::replay::ReplayJob;
use crate::model::span::SpanExporter;
use crate::model::subscription::{HealthState, Subscription};
use crate::model::time::Clock;
use crate::net::Client;
use crate::rules::matcher::{Index, IndexWriter, Presence};
use crate::store::{Committer, Opened, StoreError};

/// The most lanes that may read from the log at once.
const LANE_READS_MAX: usize = 8;

/// The things that the journey needs from outside.
pub struct Dependencies {
    /// The settings of the daemon.
    pub config: Arc<Config>,
    /// The clock of the daemon.
    pub clock: Clock,
    /// The random generator.
    pub rng: StdRng,
    /// The HTTP client for requests to receivers.
    pub client: Client,
    /// The exporter of traces, if there is one.
    pub exporter: Option<Arc<dyn SpanExporter>>,
}

/// The unfinished work of the last run, apart from the queues on disk.
pub struct Recovered {
    fresh: Vec<Delivery>,
    /// The deleted subscriptions, whose queues may still have rows.
    deleted: Vec<SubscriptionId>,
    jobs: Result<Vec<ReplayJob>, StoreError>,
    notices: NoticeReceiver,
}

impl Flow {
    /// Builds the journey from an opened log. The caller runs the committer, then calls [`start`](Self::start).
    pub fn recover(dependencies: Dependencies, opened: Opened) -> (Self, Recovered, Committer) {
        let Dependencies { config, clock, mut rng, client, exporter } = dependencies;
        let Opened { store, reader, committer, subscriptions, fresh, lanes: queues, mailed, .. } = opened;
        let last = subscriptions.iter().map(|(subscription, _)| subscription.id.bits()).max().unwrap_or(0);
        let jobs = unfinished(&reader);
        let newest_job = jobs.as_ref().ok().and_then(|(_, newest)| newest.map(ReplayId::bits));
        let ids = IdSequence::after(last.max(newest_job.unwrap_or(0)), StdRng::from_rng(&mut rng));
        let queues: BTreeSet<SubscriptionId> = queues.into_iter().map(|(id, _)| id).collect();
        let (kept, gone): (Vec<_>, Vec<_>) =
            subscriptions.into_iter().partition(|(subscription, _)| subscription.deleted_at.is_none());
        let lanes = build_lanes(&config, kept, &queues);
        let (index, writer) = build_index(&lanes);
        let deleted = DeletedSubscriptions::default();
        for (subscription, _) in &gone {
            deleted.insert(subscription, subscription.deleted_at.unwrap_or_default());
        }
        let (notices, receiver) = Notices::new();
        let recovered = Recovered {
            fresh: fresh.into_iter().map(|one| Delivery::new(one.id, one.event, one.subscription)).collect(),
            deleted: gone.into_iter().map(|(subscription, _)| subscription.id).collect(),
            jobs: jobs.map(|(jobs, _)| jobs),
            notices: receiver,
        };
        let api = config.api;
        let inner = FlowInner {
            scheduler: Scheduler::new(config.delivery.max_in_flight),
            event_cache: EventCache::new(config.delivery.payload_cache),
            read_turns: Semaphore::new(LANE_READS_MAX),
            intake: Intake::new(config.server.queue_events_max, config.server.queue_bytes_max),
            started_at: clock.now(),
            meter: Meter::new(clock.instant()),
            timings: Timings::default(),
            traces: Traces::new(exporter, config.otlp.sample_ratio),
            config: ArcSwap::new(config),
            notices,
            mail_wake: Notify::new(),
            bookmark: mailed,
            replays: RunningReplays::default(),
            stream: Stream::new(clock.now(), api.stream_events_max, api.stream_readers_max),
            clock,
            rng: Mutex::new(rng),
            ids: Mutex::new(ids),
            store,
            reader,
            client,
            index,
            changes: tokio::sync::Mutex::new(writer),
            lanes,
            timers: Timers::default(),
            deleted,
            tracker: TaskTracker::new(),
            killed: CancellationToken::new(),
            broken: CancellationToken::new(),
            stopping: CancellationToken::new(),
        };
        (Self(Arc::new(inner)), recovered, committer)
    }

    /// Starts the loops of the journey and resumes the work that the last run left.
    pub fn start(&self, recovered: Recovered) {
        let Recovered { fresh, deleted, jobs, notices } = recovered;
        self.spawn(self.clone().until_stopping(self.clone().run_timers()));
        self.spawn(self.clone().until_stopping(self.clone().run_sweep()));
        self.spawn(self.clone().until_stopping(self.clone().run_notices(notices)));
        self.spawn(self.clone().until_stopping(self.clone().run_storage_watch()));
        self.spawn(self.clone().until_stopping(self.clone().run_mail()));
        self.raise_again();
        for id in deleted {
            self.spawn(self.clone().clear_queue(id));
        }
        let rowless = fresh.into_iter().filter_map(|delivery| self.enqueue_again(delivery)).collect();
        self.persist_rowless(rowless, None);
        for lane in self.lanes.all() {
            self.pump(&lane);
        }
        match jobs {
            Ok(jobs) => self.resume_replays(jobs),
            Err(error) => {
                tracing::error!(%error, "failed to read the replays that were running");
                self.broken.cancel();
            }
        }
    }

    /// Enqueues a fresh delivery of the last run. Returns the delivery if it needs a row.
    fn enqueue_again(&self, delivery: Delivery) -> Option<RowlessDelivery> {
        let Some(lane) = self.lanes.get(delivery.subscription) else {
            self.spawn(self.clone().cancel_fresh(vec![delivery]));
            return None;
        };
        let is_enqueued = {
            let mut state = lane.lock();
            match state.reserve(self.clock.now()) {
                Route::Memory => state.add_fresh(LaneDelivery::fresh(delivery.id, None)),
                Route::Disk | Route::DiskLater => !state.await_row(delivery.id),
            }
        };
        (!is_enqueued).then_some((lane, delivery))
    }
}

/// Returns a lane for each subscription. `queues` are the subscriptions that have rows in their queue on disk.
fn build_lanes(
    config: &Config,
    subscriptions: Vec<(Subscription, HealthState)>,
    queues: &BTreeSet<SubscriptionId>,
) -> Lanes {
    let lanes = Lanes::default();
    for (subscription, health) in subscriptions {
        let queue =
            if queues.contains(&subscription.id) { InitialQueue::Unread } else { InitialQueue::Empty };
        let limits = Limits::new(config, &subscription.spec);
        lanes.insert(Lane::new(Arc::new(subscription), health, limits, queue));
    }
    lanes
}

fn build_index(lanes: &Lanes) -> (Index, IndexWriter) {
    let entries: Vec<Entry> = lanes.all().iter().map(|lane| lane.entry()).collect();
    Index::build(
        entries.iter().map(|Entry { subscription, health }| {
            (subscription.id, &subscription.spec, Presence::of(health))
        }),
    )
}
