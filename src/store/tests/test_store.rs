//! Shared by the tests of the store: an open store with its committer running, and values to write.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::model::event::EventContent;
use crate::model::id::{EventId, SubscriptionId};
use crate::model::subscription::{HealthState, Subscription, SubscriptionSpec};
use crate::model::time::{Clock, Timestamp};
use crate::store::*;

pub(in crate::store) const EPOCH: Timestamp = Timestamp::from_millis(1_700_000_000_000);
pub(in crate::store) const WINDOW: Duration = Duration::from_mins(1);

/// An open store.
pub(in crate::store) struct TestStore {
    pub(in crate::store) store: Store,
    pub(in crate::store) reader: Reader,
    pub(in crate::store) running: JoinSet<Result<(), StoreError>>,
}

/// The state that an opening found.
pub(in crate::store) struct Found {
    pub(in crate::store) subscriptions: Vec<(Subscription, HealthState)>,
    pub(in crate::store) fresh: Vec<RowlessDelivery>,
    pub(in crate::store) lanes: Vec<(SubscriptionId, u64)>,
}

pub(in crate::store) fn options(path: &Path) -> StoreOptions {
    StoreOptions {
        path: path.to_owned(),
        key_file: None,
        cache_bytes: 16 << 20,
        dedup_window: WINDOW,
        queue_steps_max: 64,
    }
}

pub(in crate::store) fn try_open(path: &Path, clock: &Clock, seed: u64) -> Result<Opened, OpenError> {
    open(&options(path), clock.clone(), StdRng::seed_from_u64(seed), &mut |_| {})
}

pub(in crate::store) fn start(opened: Opened) -> (TestStore, Found) {
    let Opened { store, reader, committer, subscriptions, fresh, lanes, .. } = opened;
    let mut running = JoinSet::new();
    running.spawn(committer.run());
    (TestStore { store, reader, running }, Found { subscriptions, fresh, lanes })
}

impl TestStore {
    pub(in crate::store) fn open(path: &Path, clock: &Clock, seed: u64) -> (Self, Found) {
        start(try_open(path, clock, seed).unwrap())
    }

    pub(in crate::store) async fn close(self) -> Result<(), StoreError> {
        let Self { store, reader, mut running } = self;
        drop((store, reader));
        running.join_next().await.unwrap().unwrap()
    }

    /// Submits a step and waits for its answer.
    pub(in crate::store) async fn step<T: Send + 'static>(
        &self,
        send: impl FnOnce(WriteSlot, Box<dyn FnOnce(Result<T, StoreError>) + Send>),
    ) -> Result<T, StoreError> {
        let (sender, answer) = oneshot::channel();
        let place = self.store.reserve().await?;
        send(place, Box::new(move |result| drop(sender.send(result))));
        answer.await.unwrap()
    }

    pub(in crate::store) async fn append(&self, list: Vec<Append>) -> Result<Vec<Appended>, StoreError> {
        self.step(|place, done| place.append(list, done)).await
    }

    pub(in crate::store) async fn subscribe(&self, id: u128) -> SubscriptionId {
        let subscription = subscription(id);
        self.step(|place, done| place.put_subscription(subscription, None, done)).await.unwrap();
        SubscriptionId::from_bits(id)
    }
}

pub(in crate::store) fn content(sender_id: Option<&str>, data: usize) -> EventContent {
    EventContent {
        event_type: "TODO_CREATED".parse().unwrap(),
        project: "website".parse().unwrap(),
        company: Some("acme".parse().unwrap()),
        sender_id: sender_id.map(|id| id.parse().unwrap()),
        occurred_at: Some(EPOCH),
        data: Some(Bytes::from(vec![b'7'; data])),
        trace: None,
    }
}

pub(in crate::store) fn to(subscription: SubscriptionId, queued: bool) -> Target {
    Target { subscription, queued }
}

pub(in crate::store) fn subscription(id: u128) -> Subscription {
    let url = "https://example.com/hook".parse().unwrap();
    let spec = SubscriptionSpec { name: format!("sub {id}"), ..SubscriptionSpec::new(url) };
    Subscription::new(SubscriptionId::from_bits(id), spec, EPOCH)
}

/// Returns the ids of the appended events.
pub(in crate::store) fn ids(appended: &[Appended]) -> Vec<EventId> {
    appended.iter().map(|one| one.event.id).collect()
}
