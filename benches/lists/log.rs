//! A log for the list benchmark: built through the store, with a record of its contents.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use postrider::model::attempt::{Attempt, Outcome};
use postrider::model::delivery::{Delivery, Progress};
use postrider::model::event::EventContent;
use postrider::model::id::SubscriptionId;
use postrider::model::subscription::{Disabled, DisabledReason, HealthState, Subscription, SubscriptionSpec};
use postrider::model::time::{Clock, Timestamp};
use postrider::store::{Append, Settlement, Store, StoreError, StoreOptions, Target, WriteSlot, open};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

const TYPES: u32 = 50;
const PROJECTS: u32 = 2000;
const COMPANIES: u32 = 100;
pub const SUBSCRIPTIONS: u32 = 200;
/// The subscription that gets a delivery of every fifth event.
pub const BIG: u32 = 0;
/// The subscription that gets only twenty deliveries.
pub const FEW: u32 = SUBSCRIPTIONS - 1;
/// The subscriptions that are disabled because of their health.
pub const OFF: std::ops::Range<u32> = 10..15;
/// The number of events with the rare type, and of events with the rare project.
const RARE: usize = 20;
const BATCH: usize = 500;

/// The state that a delivery is built with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    Pending,
    Held,
    Succeeded,
    Exhausted,
    Cancelled,
}

/// An event in the log.
pub struct LoggedEvent {
    pub id: u128,
    pub event_type: u32,
    pub project: u32,
    pub company: u32,
    pub sender_id: Option<String>,
}

pub struct LoggedDelivery {
    pub id: u128,
    pub event: u128,
    pub subscription: u32,
    pub state: State,
}

/// The contents of the log, oldest first.
#[derive(Default)]
pub struct BuiltLog {
    pub events: Vec<LoggedEvent>,
    pub deliveries: Vec<LoggedDelivery>,
}

pub fn subscription_id(number: u32) -> SubscriptionId {
    SubscriptionId::from_bits(u128::from(number) + 1)
}

pub fn type_name(number: u32) -> String {
    if number == TYPES { "rare.type".to_owned() } else { format!("TYPE_{number}") }
}

pub fn project_name(number: u32) -> String {
    if number == PROJECTS { "rare-project".to_owned() } else { format!("project-{number}") }
}

pub const RARE_TYPE: u32 = TYPES;
pub const RARE_PROJECT: u32 = PROJECTS;

/// Builds a log with this many deliveries, for a receiver at `port` that never answers.
pub async fn build(path: &Path, deliveries: usize, port: u16) -> BuiltLog {
    let clock = Clock::system();
    let options = StoreOptions {
        key_file: None,
        path: path.to_owned(),
        cache_bytes: 64 << 20,
        dedup_window: Duration::from_mins(1),
        queue_steps_max: 4096,
    };
    let opened = open(&options, clock.clone(), StdRng::seed_from_u64(1), &mut |_| {}).unwrap();
    let mut running = JoinSet::new();
    running.spawn(opened.committer.run());
    let mut builder =
        Builder { store: opened.store, clock, rng: StdRng::seed_from_u64(2), built: BuiltLog::default() };
    builder.subscribe(port).await;
    let events = deliveries / 2;
    let rare = events / RARE;
    for first in (0..events).step_by(BATCH) {
        builder.batch(first..(first + BATCH).min(events), rare).await;
    }
    let Builder { store, built, .. } = builder;
    drop((store, opened.reader));
    running.join_next().await.unwrap().unwrap().unwrap();
    built
}

struct Builder {
    store: Store,
    clock: Clock,
    rng: StdRng,
    built: BuiltLog,
}

impl Builder {
    async fn step<T: Send + 'static>(
        &self,
        step: impl FnOnce(WriteSlot, Box<dyn FnOnce(Result<T, StoreError>) + Send>),
    ) -> T {
        let (answer, answered) = oneshot::channel();
        step(self.store.reserve().await.unwrap(), Box::new(move |result| drop(answer.send(result))));
        answered.await.unwrap().unwrap()
    }

    async fn subscribe(&self, port: u16) {
        for number in 0..SUBSCRIPTIONS {
            let members = serde_json::json!({
                "name": format!("subscription {number}"), "url": format!("http://127.0.0.1:{port}/"),
                "timeout": "60s", "events": ["nothing.of.this"],
            });
            let now = self.clock.now();
            let subscription =
                Subscription::new(subscription_id(number), SubscriptionSpec::read(&members).unwrap(), now);
            let disabled = Disabled { reason: DisabledReason::Exhausted, at: now, detail: "500".to_owned() };
            let disabled = OFF.contains(&number).then_some(disabled);
            let health = HealthState { disabled, ..HealthState::default() };
            self.step(|place, done| place.put_subscription(subscription, Some(health), done)).await;
        }
    }

    fn event(&mut self, number: usize, rare: usize) -> LoggedEvent {
        let is_rare = number % rare.max(1) == rare / 2;
        let rng = &mut self.rng;
        // The smaller of two random numbers makes some types much more common than others.
        let common = rng.random_range(0..TYPES).min(rng.random_range(0..TYPES));
        let project = rng.random_range(0..PROJECTS);
        LoggedEvent {
            id: 0,
            event_type: if is_rare { RARE_TYPE } else { common },
            project: if is_rare { RARE_PROJECT } else { project },
            company: project % COMPANIES,
            sender_id: rng.random_bool(0.5).then(|| format!("order-{number}")),
        }
    }

    fn target(&mut self, number: usize, rare: usize) -> [u32; 2] {
        let rng = &mut self.rng;
        let first = if rng.random_bool(0.2) { BIG } else { rng.random_range(1..FEW) };
        let second = loop {
            let other = rng.random_range(1..FEW);
            if other != first {
                break other;
            }
        };
        [first, if number % rare.max(1) == rare / 3 { FEW } else { second }]
    }

    fn state(&mut self, subscription: u32) -> State {
        let is_off = OFF.contains(&subscription);
        match self.rng.random_range(0..1000) {
            0..200 if is_off => State::Held,
            0..15 => State::Pending,
            15..45 => State::Exhausted,
            45..65 => State::Cancelled,
            _ => State::Succeeded,
        }
    }

    async fn batch(&mut self, numbers: std::ops::Range<usize>, rare: usize) {
        let mut list = Vec::new();
        let mut built = Vec::new();
        for number in numbers {
            let note = self.event(number, rare);
            let targets = self.target(number, rare);
            let states = targets.map(|subscription| self.state(subscription));
            let content = EventContent {
                event_type: type_name(note.event_type).parse().unwrap(),
                project: project_name(note.project).parse().unwrap(),
                company: Some(format!("company-{}", note.company).parse().unwrap()),
                sender_id: note.sender_id.as_ref().map(|id| id.parse().unwrap()),
                occurred_at: None,
                data: Some(Bytes::from_static(&[b'7'; 300])),
                trace: None,
            };
            let queued = |(subscription, state): (&u32, &State)| Target {
                subscription: subscription_id(*subscription),
                queued: matches!(state, State::Pending | State::Held),
            };
            list.push(Append { content, targets: targets.iter().zip(&states).map(queued).collect() });
            built.push((note, targets, states));
        }
        let appended = self.step(|place, done| place.append(list, done)).await;
        let mut settlements = Vec::new();
        for (one, (note, targets, states)) in appended.into_iter().zip(built) {
            let event = one.event.id;
            self.built.events.push(LoggedEvent { id: event.bits(), ..note });
            for ((id, subscription), state) in one.deliveries.into_iter().zip(targets).zip(states) {
                let note = LoggedDelivery { id: id.bits(), event: event.bits(), subscription, state };
                self.built.deliveries.push(note);
                let delivery = Delivery::new(id, event, subscription_id(subscription));
                settlements.extend(self.settlement(delivery, state));
            }
        }
        self.settle(settlements).await;
    }

    /// Returns the settlement of a delivery, or `None`: a third of the waiting deliveries was never
    /// attempted.
    fn settlement(&mut self, mut delivery: Delivery, state: State) -> Option<Settlement> {
        let now = self.clock.now();
        let attempts = match state {
            State::Exhausted => 5,
            State::Cancelled => 0,
            State::Pending | State::Held | State::Succeeded => 1,
        };
        let waits = matches!(state, State::Pending | State::Held);
        if waits && self.rng.random_bool(0.34) {
            return None;
        }
        let due_was = waits.then(|| delivery.id.time());
        delivery.attempts = (1..=attempts).map(|number| attempt(number, now, state)).collect();
        delivery.progress = match state {
            State::Pending | State::Held => Progress::Waiting { due: now.after(Duration::from_hours(5)) },
            State::Succeeded => Progress::Succeeded,
            State::Exhausted => Progress::Exhausted,
            State::Cancelled => Progress::Cancelled,
        };
        Some(Settlement { delivery, due_was, health: None })
    }

    async fn settle(&self, settlements: Vec<Settlement>) {
        let count = settlements.len();
        let (sender, mut answers) = mpsc::channel(count.max(1));
        for settlement in settlements {
            let sender = sender.clone();
            let place = self.store.reserve().await.unwrap();
            place.settle(settlement, move |result| sender.try_send(result).unwrap());
        }
        for _ in 0..count {
            answers.recv().await.unwrap().unwrap();
        }
    }
}

fn attempt(number: u32, at: Timestamp, state: State) -> Attempt {
    let outcome = match state {
        State::Succeeded => Outcome::Success { status: 200 },
        _ => Outcome::Rejected { status: 503, retry_after: None },
    };
    Attempt { number, started_at: at, duration: Duration::from_millis(20), outcome, excerpt: b"ok".to_vec() }
}
