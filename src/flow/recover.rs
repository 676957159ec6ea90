//! Recovery: the journey re-entered from the log.
//!
//! Every subscription gets its lane; what was in hand when the last run ended (fresh deliveries have no row in
//! the waiting line) is in hand again; the waiting lines are looked at as their lanes get their turns, so that
//! what is overdue goes out at once but within every lane's bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use rand::rngs::StdRng;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::Config;
use crate::model::delivery::Delivery;
use crate::model::id::SubscriptionId;
use crate::model::subscription::{Standing, Subscription};
use crate::model::time::Clock;
use crate::net::Client;
use crate::rules::filter::{Filter, FilterError};
use crate::rules::matcher::Index;
use crate::store::{Committer, Opened};

use super::dispatch::{Lanes, Round, Timers};
use super::lane::{Item, Lane, Line, Way};
use super::subscriptions::{Deleted, activity, limits};
use super::{Flow, Parts, carry};

/// A stored subscription that this version cannot serve.
#[derive(Debug, thiserror::Error)]
#[error("the filter of subscription {id} ('{name}') no longer compiles: {error}")]
pub struct RecoverError {
    id: SubscriptionId,
    name: String,
    error: FilterError,
}

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
}

impl Flow {
    /// Builds the journey from an opened log, whose committer the caller runs. Nothing moves before
    /// [`start`](Self::start).
    pub fn recover(
        surroundings: Surroundings,
        opened: Opened,
    ) -> Result<(Self, Recovered, Committer), RecoverError> {
        let Surroundings { config, clock, rng, client } = surroundings;
        let Opened { store, reader, committer, subscriptions, fresh, lanes: waiting } = opened;
        let waiting: BTreeSet<SubscriptionId> = waiting.into_iter().map(|(id, _)| id).collect();
        let (kept, gone): (Vec<_>, Vec<_>) =
            subscriptions.into_iter().partition(|(subscription, _)| subscription.deleted_at.is_none());
        let (lanes, deleted) = (Lanes::default(), Deleted::default());
        let mut compiled = Vec::with_capacity(kept.len());
        for (subscription, standing) in kept {
            compiled.push((subscription.id, compile(&subscription)?, activity(&standing)));
            let line = if waiting.contains(&subscription.id) { Line::OnDisk } else { Line::Empty };
            lanes.insert(lane(&config, subscription, standing, line));
        }
        let specs: Vec<_> = lanes.all().iter().map(|lane| Arc::clone(&lane.lock().subscription)).collect();
        let by_id: BTreeMap<_, _> =
            specs.iter().map(|subscription| (subscription.id, &subscription.spec)).collect();
        let entries = compiled
            .into_iter()
            .filter_map(|(id, filter, activity)| by_id.get(&id).map(|spec| (id, *spec, filter, activity)));
        let (index, writer) = Index::build(entries);
        for (subscription, _) in &gone {
            deleted.insert(subscription, subscription.deleted_at.unwrap_or_default());
        }
        let fresh =
            fresh.into_iter().map(|one| Delivery::fresh(one.id, one.event, one.subscription)).collect();
        let recovered = Recovered { fresh, gone: gone.into_iter().map(|(one, _)| one.id).collect() };
        let parts = Parts {
            round: Round::new(config.delivery.max_in_flight),
            budget: carry::Budget::new(config.delivery.payload_cache),
            config: ArcSwap::new(config),
            clock,
            rng: Mutex::new(rng),
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
            stopping: CancellationToken::new(),
            is_stopping: AtomicBool::new(false),
        };
        Ok((Self(Arc::new(parts)), recovered, committer))
    }

    /// Sets the journey going: timers, retention, and what the last run left.
    pub fn start(&self, recovered: Recovered) {
        self.spawn_loop(self.clone().run_timers());
        self.spawn_loop(self.clone().run_sweep());
        for id in recovered.gone {
            self.spawn(self.clone().clear_line(id));
        }
        for delivery in recovered.fresh {
            self.take_up(delivery);
        }
        for lane in self.lanes.all() {
            self.pump(&lane);
        }
    }

    /// Takes up a fresh delivery that the last run left.
    fn take_up(&self, delivery: Delivery) {
        let Some(lane) = self.lanes.get(delivery.subscription) else {
            return self.spawn(self.clone().cancel(delivery.subscription, vec![delivery]));
        };
        let is_taken = {
            let mut state = lane.lock();
            match state.promise(self.clock.now()) {
                Way::Fresh => state.take_fresh(Item::fresh(delivery.id, None)),
                Way::Queued => !state.seize(delivery.id),
            }
        };
        if !is_taken {
            self.put_down(&lane, vec![delivery]);
        }
    }
}

/// What the last run left, apart from the waiting lines.
pub struct Recovered {
    fresh: Vec<Delivery>,
    gone: Vec<SubscriptionId>,
}

fn compile(subscription: &Subscription) -> Result<Option<Filter>, RecoverError> {
    subscription.spec.filter.as_deref().map(Filter::compile).transpose().map_err(|error| RecoverError {
        id: subscription.id,
        name: subscription.spec.name.clone(),
        error,
    })
}

fn lane(config: &Config, subscription: Subscription, standing: Standing, line: Line) -> Arc<Lane> {
    let bounds = limits(config, &subscription.spec);
    Lane::new(Arc::new(subscription), standing, bounds, line)
}
