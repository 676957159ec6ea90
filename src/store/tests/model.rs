//! Compares the store with a simple model in memory, over random steps with reopenings in between.
//!
//! `SEED=n` repeats one run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::advance;

use crate::store::tests::test_store::*;
use crate::store::*;
mod lists;

use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::{Delivery, Progress};
use crate::model::event::{Event, EventContent};
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::time::{Clock, Timestamp};

const TYPES: &[&str] = &["TODO_CREATED", "TODO_DONE", "INVOICE_PAID"];
const PROJECTS: &[&str] = &["website", "app", "shop"];
const COMPANIES: &[&str] = &["acme", "globex"];
const SENDERS: &[&str] = &["order-1", "order-2", "order-3", "order-4", "order-5"];

fn name<T: std::str::FromStr<Err: std::fmt::Debug>>(names: &[&str], rng: &mut StdRng) -> T {
    names[rng.random_range(0..names.len())].parse().unwrap()
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum WriteSlot {
    RowlessDelivery,
    Lane(Timestamp),
    Nowhere,
}

#[derive(Clone, Debug)]
struct Known {
    delivery: Delivery,
    place: WriteSlot,
    /// The event or replay that began the delivery.
    origin: u128,
}

impl Known {
    fn kind(&self) -> ProgressKind {
        self.delivery.progress.into()
    }

    fn cancel(&mut self) {
        self.place = WriteSlot::Nowhere;
        self.delivery.progress = Progress::Cancelled;
    }
}

#[derive(Default)]
struct Model {
    subscriptions: BTreeMap<SubscriptionId, Option<Timestamp>>,
    events: BTreeMap<EventId, (Event, u32)>,
    replays: BTreeSet<u128>,
    deliveries: BTreeMap<DeliveryId, Known>,
}

impl Model {
    fn is_live(&self, id: SubscriptionId) -> bool {
        matches!(self.subscriptions.get(&id), Some(None))
    }

    fn append(&mut self, appended: &Appended, targets: &[Target]) {
        let event = Event::clone(&appended.event);
        for (id, target) in appended.deliveries.iter().zip(targets) {
            self.begin(event.id.bits(), *id, (event.id, target.subscription, target.queued));
        }
        self.events.insert(event.id, (event, u32::try_from(targets.len()).unwrap()));
    }

    fn begin(&mut self, origin: u128, id: DeliveryId, to: (EventId, SubscriptionId, bool)) {
        let (event, subscription, queued) = to;
        let place = if queued { WriteSlot::Lane(id.time()) } else { WriteSlot::RowlessDelivery };
        let mut known = Known { delivery: Delivery::new(id, event, subscription), place, origin };
        if !self.is_live(subscription) {
            known.cancel();
        }
        self.deliveries.insert(id, known);
    }

    fn replay(&mut self, wanted: &[Redelivery], ids: &[Option<DeliveryId>]) {
        assert_eq!(wanted.len(), ids.len());
        let origin = ids.iter().flatten().next().map(|id| id.bits() - 1);
        for (one, id) in wanted.iter().zip(ids) {
            assert_eq!(id.is_some(), self.events.contains_key(&one.event));
            if let (Some(id), Some(origin)) = (id, origin) {
                self.begin(origin, *id, (one.event, one.subscription, one.queued));
                self.replays.insert(origin);
            }
        }
    }

    fn settle(&mut self, delivery: &Delivery) {
        let is_live = self.is_live(delivery.subscription);
        let has_event = self.events.contains_key(&delivery.event);
        let Some(known) = self.deliveries.get_mut(&delivery.id) else { return };
        let is_reopened = known.kind() != ProgressKind::Waiting && !delivery.progress.is_final();
        if is_reopened && !has_event {
            return;
        }
        known.delivery = delivery.clone();
        match delivery.progress {
            Progress::Waiting { .. } if !is_live => known.cancel(),
            Progress::Waiting { due } => known.place = WriteSlot::Lane(due),
            _ => known.place = WriteSlot::Nowhere,
        }
    }

    fn delete(&mut self, id: SubscriptionId, at: Timestamp) {
        self.subscriptions.insert(id, Some(at));
        for known in self.deliveries.values_mut().filter(|known| known.delivery.subscription == id) {
            if known.place == WriteSlot::RowlessDelivery {
                known.cancel();
            }
        }
    }

    /// Returns whether a delivery of a replay keeps the event in the log.
    fn is_replayed(&self, event: u128) -> bool {
        let keeps = |known: &Known| {
            known.kind() == ProgressKind::Waiting
                && known.delivery.event.bits() == event
                && known.origin != event
        };
        self.deliveries.values().any(keeps)
    }

    fn goes(&self, origin: u128, sweep: Sweep) -> bool {
        let made = EventId::from_bits(origin).time();
        let mut own = self.deliveries.values().filter(|known| known.origin == origin);
        !self.is_replayed(origin)
            && (made < sweep.held_before
                || made < sweep.events_before && own.all(|known| known.kind() != ProgressKind::Waiting))
    }

    fn sweep(&mut self, sweep: Sweep) -> (u64, u64) {
        let (mut origins, deliveries) = (0, self.deliveries.len());
        loop {
            let all = self.events.keys().map(|id| id.bits()).chain(self.replays.iter().copied());
            let gone: Vec<u128> = all.filter(|origin| self.goes(*origin, sweep)).collect();
            if gone.is_empty() {
                break;
            }
            for origin in gone {
                origins += 1;
                self.events.remove(&EventId::from_bits(origin));
                self.replays.remove(&origin);
                self.deliveries.retain(|_, known| known.origin != origin);
            }
        }
        let before = sweep.events_before.min(sweep.held_before);
        let waiting: Vec<_> =
            self.tallies().into_iter().filter(|(_, t)| t.waiting > 0).map(|(id, _)| id).collect();
        self.subscriptions.retain(|id, at| at.is_none_or(|at| at >= before) || waiting.contains(id));
        (origins, (deliveries - self.deliveries.len()) as u64)
    }

    fn tallies(&self) -> BTreeMap<SubscriptionId, ProgressCounts> {
        let mut tallies: BTreeMap<_, ProgressCounts> = BTreeMap::new();
        for known in self.deliveries.values() {
            tallies.entry(known.delivery.subscription).or_default().add(known.kind());
        }
        tallies
    }

    fn lane(&self, id: SubscriptionId) -> Vec<(Timestamp, DeliveryId)> {
        let mut lane: Vec<_> = self
            .deliveries
            .iter()
            .filter(|(_, known)| known.delivery.subscription == id)
            .filter_map(
                |(id, known)| if let WriteSlot::Lane(due) = known.place { Some((due, *id)) } else { None },
            )
            .collect();
        lane.sort_unstable();
        lane
    }

    fn check(&self, reader: &Reader) {
        let some = |tallies: BTreeMap<SubscriptionId, ProgressCounts>| {
            tallies
                .into_iter()
                .filter(|(_, tally)| *tally != ProgressCounts::default())
                .collect::<BTreeMap<_, _>>()
        };
        assert_eq!(some(reader.tallies()), some(self.tallies()));
        for bits in 1..=6 {
            let id = SubscriptionId::from_bits(bits);
            let lane = self.lane(id);
            assert_eq!(reader.due_page(id, None, 10_000).unwrap(), lane);
            if let [first, rest @ ..] = lane.as_slice() {
                assert_eq!(reader.due_page(id, Some(*first), 3).unwrap(), rest[..rest.len().min(3)]);
            }
            let waits =
                |known: &&Known| known.delivery.subscription == id && known.kind() == ProgressKind::Waiting;
            let oldest = self.deliveries.values().find(waits).map(|known| known.delivery.id.time());
            assert_eq!(reader.oldest_waiting(id).unwrap(), oldest);
            let stored = reader.subscription(id).unwrap().map(|stored| stored.deleted_at);
            assert_eq!(stored, self.subscriptions.get(&id).copied());
        }
        self.check_log(reader);
        self.check_seen(reader);
    }

    fn check_found(&self, found: &Found) {
        let fresh: Vec<_> =
            found.fresh.iter().map(|fresh| (fresh.id, fresh.event, fresh.subscription)).collect();
        let is_fresh = |known: &&Known| known.place == WriteSlot::RowlessDelivery;
        let expected = self.deliveries.values().filter(is_fresh).map(|k| &k.delivery);
        assert_eq!(fresh, expected.map(|d| (d.id, d.event, d.subscription)).collect::<Vec<_>>());
        let lanes = (1..=6).map(SubscriptionId::from_bits).map(|id| (id, self.lane(id).len() as u64));
        assert_eq!(found.lanes, lanes.filter(|(_, rows)| *rows > 0).collect::<Vec<_>>());
        let stored: Vec<_> = found.subscriptions.iter().map(|(s, _)| (s.id, s.deleted_at)).collect();
        assert_eq!(stored, self.subscriptions.clone().into_iter().collect::<Vec<_>>());
    }
}

struct Run {
    rig: TestStore,
    model: Model,
    clock: Clock,
    rng: StdRng,
}

impl Run {
    fn pick(&mut self) -> SubscriptionId {
        SubscriptionId::from_bits(self.rng.random_range(1..=6))
    }

    async fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..30 => self.append().await,
            30..35 => self.replay().await,
            35..65 => self.settle().await,
            65..72 => self.enqueue().await,
            72..77 => self.release().await,
            77..80 => self.put().await,
            80..82 => self.delete().await,
            82..85 => self.clear().await,
            85..90 => self.sweep().await,
            _ => advance(Duration::from_millis(self.rng.random_range(0..40_000))).await,
        }
    }

    fn content(&mut self) -> EventContent {
        let size = if self.rng.random_bool(0.05) { 20_000 } else { self.rng.random_range(0..200) };
        let mut content = content(None, size);
        content.event_type = name(TYPES, &mut self.rng);
        content.project = name(PROJECTS, &mut self.rng);
        content.company = self.rng.random_bool(0.7).then(|| name(COMPANIES, &mut self.rng));
        content.sender_id = self.rng.random_bool(0.3).then(|| name(SENDERS, &mut self.rng));
        content
    }

    async fn append(&mut self) {
        let mut list = Vec::new();
        for _ in 0..self.rng.random_range(1..4) {
            let mut targets = Vec::new();
            for _ in 0..self.rng.random_range(0..4) {
                targets.push(to(self.pick(), self.rng.random_bool(0.3)));
            }
            list.push(Append { content: self.content(), targets });
        }
        let appended = self.rig.append(list.clone()).await.unwrap();
        for (appended, append) in appended.iter().zip(&list).filter(|(appended, _)| !appended.duplicate) {
            self.model.append(appended, &append.targets);
        }
    }

    async fn replay(&mut self) {
        let ids: Vec<EventId> = self.model.events.keys().copied().collect();
        let of = self.pick();
        let mut wanted = Vec::new();
        for _ in 0..self.rng.random_range(1..6) {
            let nowhere = EventId::from_bits(EPOCH.as_millis().into());
            let event = ids.get(self.rng.random_range(0..ids.len() + 1)).copied().unwrap_or(nowhere);
            let subscription = if self.rng.random_bool(0.8) { of } else { self.pick() };
            wanted.push(Redelivery { event, subscription, queued: self.rng.random_bool(0.5) });
        }
        let replay = Replay { deliveries: wanted.clone(), ..Replay::default() };
        let made = self.rig.step(|place, done| place.replay(replay, done)).await.unwrap();
        self.model.replay(&wanted, &made);
    }

    fn any(&mut self) -> Option<Known> {
        let count = self.model.deliveries.len();
        let index = self.rng.random_range(0..count.max(1));
        self.model.deliveries.values().nth(index).cloned()
    }

    async fn settle(&mut self) {
        let Some(known) = self.any() else { return };
        let mut delivery = known.delivery;
        let now = self.clock.now();
        let number = delivery.next_attempt();
        let size = if self.rng.random_bool(0.2) { 1024 } else { 5 };
        let outcome = Outcome::Rejected { status: 500, retry_after: None };
        let duration = Duration::from_millis(3);
        delivery.attempts.push(Attempt {
            number,
            started_at: now,
            duration,
            outcome,
            excerpt: vec![1; size],
        });
        delivery.progress = match self.rng.random_range(0..6) {
            0..3 => Progress::Waiting { due: now.after(Duration::from_secs(self.rng.random_range(1..100))) },
            3 => Progress::Exhausted,
            4 => Progress::Succeeded,
            _ => Progress::Cancelled,
        };
        let due_was = if let WriteSlot::Lane(due) = known.place { Some(due) } else { None };
        self.model.settle(&delivery);
        let health = self.rng.random_bool(0.1).then(Default::default);
        let settlement = Settlement { delivery, due_was, health };
        self.rig.step(|place, done| place.settle(settlement, done)).await.unwrap();
    }

    async fn enqueue(&mut self) {
        let id = self.pick();
        let mut parked = Vec::new();
        for known in
            self.model.deliveries.values_mut().filter(|known| known.delivery.subscription == id).take(5)
        {
            if known.place == WriteSlot::RowlessDelivery {
                known.place = WriteSlot::Lane(known.delivery.id.time());
            }
            parked.push(known.delivery.clone());
        }
        self.rig.step(|place, done| place.enqueue(parked, done)).await.unwrap();
    }

    async fn release(&mut self) {
        let id = self.pick();
        while self.rig.step(|place, done| place.release(id, 3, done)).await.unwrap() {}
        for known in self.model.deliveries.values_mut().filter(|known| known.delivery.subscription == id) {
            if let WriteSlot::Lane(due) = known.place
                && due > known.delivery.id.time()
            {
                let due = known.delivery.id.time();
                known.place = WriteSlot::Lane(due);
                known.delivery.progress = Progress::Waiting { due };
            }
        }
    }

    async fn put(&mut self) {
        let id = self.pick();
        if self.model.subscriptions.get(&id).is_none_or(Option::is_none) {
            self.rig.subscribe(id.bits()).await;
            self.model.subscriptions.insert(id, None);
        }
    }

    async fn delete(&mut self) {
        let id = self.pick();
        if self.model.is_live(id) {
            let at = self.clock.now();
            let gone =
                crate::model::subscription::Subscription { deleted_at: Some(at), ..subscription(id.bits()) };
            self.rig.step(|place, done| place.put_subscription(gone, None, done)).await.unwrap();
            self.model.delete(id, at);
        }
    }

    async fn clear(&mut self) {
        let id = self.pick();
        if !self.model.is_live(id) {
            while self.rig.step(|place, done| place.clear_lane(id, 2, done)).await.unwrap() {}
            let of = |known: &&mut Known| known.delivery.subscription == id;
            for known in self.model.deliveries.values_mut().filter(of) {
                if let WriteSlot::Lane(_) = known.place {
                    known.cancel();
                }
            }
        }
    }

    async fn sweep(&mut self) {
        let now = self.clock.now();
        let before = |secs| now.before(Duration::from_secs(secs));
        let sweep =
            Sweep { events_before: before(150), held_before: before(400), bytes_max: u64::MAX, limit: 5 };
        let mut total = (0, 0);
        loop {
            let swept = self.rig.step(|place, done| place.sweep(sweep, done)).await.unwrap();
            total = (total.0 + swept.events, total.1 + swept.deliveries);
            if !swept.more {
                break;
            }
        }
        assert_eq!(total, self.model.sweep(sweep));
    }
}

async fn run(seed: u64, steps: usize) {
    println!("SEED={seed}");
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::starting_at(EPOCH);
    let (rig, _) = TestStore::open(dir.path(), &clock, seed);
    let rng = StdRng::seed_from_u64(seed);
    let mut run = Run { rig, model: Model::default(), clock: clock.clone(), rng };
    for step in 0..steps {
        run.step().await;
        if step % 20 == 0 {
            run.model.check(&run.rig.reader);
            run.check_pages().await;
        }
        if run.rng.random_range(0..150) == 0 {
            run.rig.close().await.unwrap();
            let (rig, found) = TestStore::open(dir.path(), &clock, seed + step as u64);
            run.model.check_found(&found);
            run.rig = rig;
            run.model.check(&run.rig.reader);
        }
    }
    run.rig.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_answer_equals_that_of_the_model() {
    let seed = std::env::var("SEED").ok().map(|seed| seed.parse().unwrap());
    for seed in seed.map_or(1..=4, |seed: u64| seed..=seed) {
        run(seed, 1000).await;
    }
}
