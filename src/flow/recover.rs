//! Recovery: the journey re-entered from the log.
//!
//! Every subscription gets its lane; what was in hand when the last run ended (fresh deliveries have no row in
//! the waiting line) is in hand again; the waiting lines are looked at as their lanes get their turns, so that
//! what is overdue goes out at once but within every lane's bounds.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::model::delivery::Delivery;
use crate::model::id::{IdSequence, ReplayId, SubscriptionId};
use crate::model::replay::ReplayJob;
use crate::model::span::SpanExporter;
use crate::model::subscription::{HealthState, Subscription};
use crate::model::time::Clock;
use crate::net::Client;
use crate::rules::matcher::{Index, Presence};
use crate::store::{Committer, Opened, StoreError};

use super::accept::Rowless;
use super::deleted::Deleted;
use super::dispatch::{Lanes, Round, Timers};
use super::entry::Entry;
use super::intake::Intake;
use super::lane::{Item, Lane, Limits, Line, Way};
use super::meter::Meter;
use super::notices::{Notices, Raised};
use super::replay::{self, Replays};
use super::stream::Stream;
use super::timings::Timings;
use super::traces::Traces;
use super::{Flow, Parts, carry};

/// How many lanes read from the disk at once.
const READINGS_MAX: usize = 8;

/// What the journey needs from its surroundings.
pub struct Surroundings {
    /// The settings.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// Chance.
    pub rng: StdRng,
    /// The way to receivers.
    pub client: Client,
    /// Who is told of traces.
    pub exporter: Option<Arc<dyn SpanExporter>>,
}

impl Flow {
    /// Builds the journey from an opened log, whose committer the caller runs. Nothing moves before
    /// [`start`](Self::start).
    pub fn recover(surroundings: Surroundings, opened: Opened) -> (Self, Recovered, Committer) {
        let Surroundings { config, clock, mut rng, client, exporter } = surroundings;
        let Opened { store, reader, committer, subscriptions, fresh, lanes: waiting, mailed, .. } = opened;
        let last = subscriptions.iter().map(|(subscription, _)| subscription.id.bits()).max().unwrap_or(0);
        let jobs = replay::unfinished(&reader);
        let newest_job = jobs.as_ref().ok().and_then(|(_, newest)| newest.map(ReplayId::bits));
        let ids = IdSequence::after(last.max(newest_job.unwrap_or(0)), StdRng::from_rng(&mut rng));
        let waiting: BTreeSet<SubscriptionId> = waiting.into_iter().map(|(id, _)| id).collect();
        let (kept, gone): (Vec<_>, Vec<_>) =
            subscriptions.into_iter().partition(|(subscription, _)| subscription.deleted_at.is_none());
        let (lanes, deleted) = (Lanes::default(), Deleted::default());
        for (subscription, health) in kept {
            let line = if waiting.contains(&subscription.id) { Line::OnDisk } else { Line::Empty };
            lanes.insert(lane(&config, subscription, health, line));
        }
        let entries: Vec<Entry> = lanes.all().iter().map(|lane| lane.entry()).collect();
        let (index, writer) = Index::build(entries.iter().map(|Entry { subscription, health }| {
            (subscription.id, &subscription.spec, Presence::of(health))
        }));
        for (subscription, _) in &gone {
            deleted.insert(subscription, subscription.deleted_at.unwrap_or_default());
        }
        let fresh = fresh.into_iter().map(|one| Delivery::new(one.id, one.event, one.subscription)).collect();
        let gone = gone.into_iter().map(|(one, _)| one.id).collect();
        let (notices, raised) = Notices::new();
        let recovered = Recovered { fresh, gone, jobs: jobs.map(|(jobs, _)| jobs), raised };
        let api = config.api;
        let parts = Parts {
            round: Round::new(config.delivery.max_in_flight),
            budget: carry::Budget::new(config.delivery.payload_cache),
            readings: tokio::sync::Semaphore::new(READINGS_MAX),
            intake: Intake::new(config.server.queue_events_max, config.server.queue_bytes_max),
            started_at: clock.now(),
            meter: Meter::new(clock.instant()),
            timings: Timings::default(),
            traces: Traces::new(exporter, config.otlp.sample_ratio),
            config: ArcSwap::new(config),
            notices,
            mail_wake: tokio::sync::Notify::new(),
            bookmark: mailed,
            replays: Replays::default(),
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
        (Self(Arc::new(parts)), recovered, committer)
    }

    /// Sets the journey going: timers, retention, and what the last run left.
    pub fn start(&self, recovered: Recovered) {
        self.spawn(self.clone().until_stopping(self.clone().run_timers()));
        self.spawn(self.clone().until_stopping(self.clone().run_sweep()));
        self.spawn(self.clone().until_stopping(self.clone().run_notices(recovered.raised)));
        self.spawn(self.clone().until_stopping(self.clone().run_storage_watch()));
        self.spawn(self.clone().until_stopping(self.clone().run_mail()));
        self.raise_again();
        for id in recovered.gone {
            self.spawn(self.clone().clear_line(id));
        }
        let rowless = recovered.fresh.into_iter().filter_map(|delivery| self.take_up(delivery)).collect();
        self.put_down(rowless, None);
        for lane in self.lanes.all() {
            self.pump(&lane);
        }
        match recovered.jobs {
            Ok(jobs) => self.resume_replays(jobs),
            Err(error) => {
                tracing::error!(%error, "failed to read the replays that were running");
                self.broken.cancel();
            }
        }
    }

    /// Takes up a fresh delivery that the last run left; returns it if it has to be put down.
    fn take_up(&self, delivery: Delivery) -> Option<Rowless> {
        let Some(lane) = self.lanes.get(delivery.subscription) else {
            self.spawn(self.clone().cancel_fresh(vec![delivery]));
            return None;
        };
        let is_taken = {
            let mut state = lane.lock();
            match state.promise(self.clock.now()) {
                Way::Fresh => state.take_fresh(Item::fresh(delivery.id, None)),
                Way::Queued | Way::Later => !state.hold(delivery.id),
            }
        };
        (!is_taken).then_some((lane, delivery))
    }
}

/// What the last run left, apart from the waiting lines.
pub struct Recovered {
    fresh: Vec<Delivery>,
    gone: Vec<SubscriptionId>,
    jobs: Result<Vec<ReplayJob>, StoreError>,
    raised: Raised,
}

fn lane(config: &Config, subscription: Subscription, health: HealthState, line: Line) -> Arc<Lane> {
    let bounds = Limits::new(config, &subscription.spec);
    Lane::new(Arc::new(subscription), health, bounds, line)
}
