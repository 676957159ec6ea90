//! A lane is run against a model of the disk, with commits, reads and answers in any order.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

use super::disk_queue::ReadNumber;
use super::item::{KEY_MAX, QueueKey, Route};
use super::*;
use crate::model::subscription::{Disabled, DisabledReason, SubscriptionSpec};

/// The longest possible wait of the lanes in these tests.
const WAIT_MAX: Duration = Duration::from_hours(1);

fn subscription(settings: &serde_json::Value) -> Arc<Subscription> {
    let mut members = json!({"url": "http://127.0.0.1:9/"});
    members.as_object_mut().unwrap().extend(settings.as_object().unwrap().clone());
    Arc::new(Subscription::new(
        SubscriptionId::from_bits(7),
        SubscriptionSpec::read(&members).unwrap(),
        Timestamp::default(),
    ))
}

#[test]
fn a_buffer_of_deliveries_due_later_waits_and_reads_nothing() {
    let mut model = Model::new(1, &json!({}));
    let (now, later) = (Timestamp::from_millis(1_000_000), Timestamp::from_millis(1_000_001));
    for id in 1..=20 {
        model.lane.add_row(DeliveryId::from_bits(id), later);
    }
    assert!(model.lane.disk.cursor() < KEY_MAX);
    assert!(matches!(model.lane.next(now, model.start), Next::Wait(until) if until == later));
    assert!(matches!(model.lane.next(later, model.start), Next::Start(_)));
}

#[test]
fn a_clock_set_back_delays_nothing() {
    let mut model = Model::new(1, &json!({}));
    let due = Timestamp::from_millis(10_000_000_000);
    let ask = |model: &mut Model, back: Duration| model.lane.next(due.before(back), model.start);
    model.lane.paused_until = Some(due);
    model.lane.add_row(DeliveryId::from_bits(1), due);
    for _ in 0..2 {
        assert!(matches!(ask(&mut model, WAIT_MAX), Next::Wait(until) if until == due));
        model.lane.paused_until = None;
    }
    model.lane.paused_until = Some(due);
    assert!(matches!(ask(&mut model, WAIT_MAX + Duration::from_millis(1)), Next::Start(_)));
}

/// A step that the committer will write, and that the lane learns of once it is durable.
enum Commit {
    Append(DeliveryId, Route),
    Settle { id: DeliveryId, due_was: Option<Timestamp>, due: Option<Timestamp> },
    Park(Vec<DeliveryId>),
}

struct Read {
    page: Page,
    rows: Option<Vec<QueueKey>>,
}

/// When the probe is due; none if it no longer waits.
struct Found(Option<Timestamp>);

struct Fetch {
    number: ReadNumber,
    probe: DeliveryId,
    found: Option<Found>,
}

struct Model {
    rng: StdRng,
    lane: LaneState,
    start: Instant,
    now_ms: u64,
    disk: BTreeSet<QueueKey>,
    queue: VecDeque<Commit>,
    written: VecDeque<Commit>,
    read: Option<Read>,
    fetch: Option<Fetch>,
    out: Vec<LaneDelivery>,
    waiting: HashMap<DeliveryId, Timestamp>,
    done: BTreeSet<DeliveryId>,
    last: u128,
    starts: u64,
    started_order: Vec<DeliveryId>,
}

impl Model {
    fn new(seed: u64, settings: &serde_json::Value) -> Self {
        let limits = Limits { max_in_flight: 4, page: 8, wait_max: WAIT_MAX };
        Self {
            rng: StdRng::seed_from_u64(seed),
            lane: LaneState::new(subscription(settings), HealthState::default(), limits, InitialQueue::Empty),
            start: Instant::now(),
            now_ms: 1_000_000,
            disk: BTreeSet::new(),
            queue: VecDeque::new(),
            written: VecDeque::new(),
            read: None,
            fetch: None,
            out: Vec::new(),
            waiting: HashMap::new(),
            done: BTreeSet::new(),
            last: 0,
            starts: 0,
            started_order: Vec::new(),
        }
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms)
    }

    fn submit(&mut self) {
        let route = self.lane.reserve(self.now());
        self.last = (self.last + 1).max(u128::from(self.now_ms) << 80);
        self.queue.push_back(Commit::Append(DeliveryId::from_bits(self.last), route));
    }

    fn write(&mut self) {
        let Some(commit) = self.queue.pop_front() else { return };
        match &commit {
            Commit::Append(id, route) => {
                self.waiting.insert(*id, id.time());
                if *route == Route::Disk {
                    self.disk.insert((id.time(), *id));
                }
            }
            Commit::Settle { id, due_was, due } => {
                if let Some(due_was) = due_was {
                    assert!(self.disk.remove(&(*due_was, *id)), "{id} had no row");
                }
                match due {
                    Some(due) => {
                        self.waiting.insert(*id, *due);
                        self.disk.insert((*due, *id));
                    }
                    None => {
                        assert!(
                            self.waiting.remove(id).is_some() && self.done.insert(*id),
                            "{id} ended twice"
                        );
                    }
                }
            }
            Commit::Park(ids) => self.disk.extend(ids.iter().map(|id| (id.time(), *id))),
        }
        self.written.push_back(commit);
    }

    fn acknowledge(&mut self) {
        match self.written.pop_front() {
            None => {}
            Some(Commit::Append(id, Route::Disk)) => self.lane.add_row(id, id.time()),
            Some(Commit::Append(id, Route::DiskLater)) => {
                assert!(self.lane.await_row(id));
                self.queue.push_back(Commit::Park(vec![id]));
            }
            Some(Commit::Append(id, Route::Memory)) => {
                let is_taken = self.lane.add_fresh(LaneDelivery::fresh(id, None));
                self.queue.extend((!is_taken).then(|| Commit::Park(vec![id])));
            }
            Some(Commit::Settle { id, due, .. }) => self.lane.release(id, due),
            Some(Commit::Park(ids)) => ids.into_iter().for_each(|id| self.lane.release(id, Some(id.time()))),
        }
        self.pump();
    }

    fn pump(&mut self) {
        loop {
            let instant = self.start + Duration::from_millis(self.now_ms);
            match self.lane.next(self.now(), instant) {
                Next::Start(item) => self.started(item),
                Next::ReadPage(page) => self.read = Some(Read { page, rows: None }),
                Next::ReadProbe(number, probe) => self.fetch = Some(Fetch { number, probe, found: None }),
                Next::Wait(_) | Next::Nothing => return,
            }
        }
    }

    fn started(&mut self, item: LaneDelivery) {
        self.starts += 1;
        self.started_order.push(item.id);
        assert!(self.out.iter().all(|out| out.id != item.id), "{} has two requests in flight", item.id);
        assert!(self.waiting[&item.id] <= self.now(), "{} started before it was due", item.id);
        assert_eq!(self.disk.contains(&(item.due, item.id)), item.has_row, "{item:?}");
        assert!(self.lane.health.disabled.is_none());
        self.out.push(item);
        assert!(self.out.len() <= 4);
    }

    fn answer(&mut self, succeeds: bool) {
        if self.out.is_empty() {
            return;
        }
        let item = self.out.swap_remove(self.rng.random_range(0..self.out.len()));
        let now = self.now();
        let is_final = succeeds || self.rng.random_ratio(1, 8);
        let mut health = self.lane.health.clone();
        health.failing_since = if succeeds { None } else { Some(now) };
        let due = (!is_final).then(|| now.after(Duration::from_millis(self.rng.random_range(0..3000))));
        let freed = self.lane.end_attempt(item.id, AttemptEffect { health, paused_until: None, is_final });
        self.queue.push_back(Commit::Settle { id: item.id, due_was: item.has_row.then_some(item.due), due });
        if !freed.is_empty() {
            self.queue.push_back(Commit::Park(freed));
        }
        self.pump();
    }

    fn rows(&self, page: Page) -> Vec<QueueKey> {
        self.disk.iter().filter(|key| **key > page.after).take(page.rows_max).copied().collect()
    }

    fn advance_read(&mut self) {
        match self.read.take() {
            None => {}
            Some(Read { page, rows: None }) => self.read = Some(Read { page, rows: Some(self.rows(page)) }),
            Some(Read { page, rows: Some(rows) }) => {
                self.lane.page_read(page, &rows);
                self.pump();
            }
        }
        if let Some(Fetch { number, probe, found }) = &mut self.fetch {
            match found.take() {
                None => *found = Some(Found(self.waiting.get(probe).copied())),
                Some(Found(due)) => {
                    let (number, probe) = (*number, *probe);
                    self.fetch = None;
                    self.lane.probe_read(number, probe, due);
                    self.pump();
                }
            }
        }
    }

    fn disable(&mut self) {
        let disabled = Disabled { reason: DisabledReason::Manual, at: self.now(), detail: String::new() };
        let freed = self.lane.disable(HealthState { disabled: Some(disabled), ..self.lane.health.clone() });
        self.queue.push_back(Commit::Park(freed));
    }

    /// Does what `Flow::enable` does: makes held deliveries due, then enables the lane.
    fn enable(&mut self) {
        while !self.queue.is_empty() || !self.written.is_empty() {
            self.write();
            self.acknowledge();
        }
        let released: Vec<QueueKey> =
            self.disk.iter().filter(|(due, id)| *due > id.time()).copied().collect();
        for (due, id) in released {
            self.disk.remove(&(due, id));
            self.disk.insert((id.time(), id));
            self.waiting.insert(id, id.time());
        }
        self.lane.enable(HealthState::default());
        self.pump();
    }

    fn step(&mut self, submits: bool) {
        match self.rng.random_range(0..12) {
            0 | 1 if submits => self.submit(),
            2 | 3 => self.write(),
            4 | 5 => self.acknowledge(),
            6 | 7 => self.advance_read(),
            8 => {
                let succeeds = !submits || self.rng.random_ratio(2, 3);
                self.answer(succeeds);
            }
            9 => {
                self.now_ms += self.rng.random_range(0..400);
                self.pump();
            }
            10 if submits && self.rng.random_ratio(1, 40) => self.disable(),
            11 if self.lane.health.disabled.is_some() && self.out.is_empty() => self.enable(),
            _ => {}
        }
        assert!(self.lane.buffered.len() <= 8 + 4, "the buffer exceeds a page");
    }

    fn settle_all(&mut self) {
        for _ in 0..200_000 {
            self.step(false);
            let is_still = self.queue.is_empty() && self.written.is_empty() && self.out.is_empty();
            if is_still && self.waiting.is_empty() && self.lane.health.disabled.is_none() {
                return;
            }
        }
        panic!("{} deliveries are stuck: {:?}\n{:?}", self.waiting.len(), self.waiting, self.lane);
    }
}

#[test]
fn every_delivery_ends_once_in_any_interleaving() {
    for settings in [json!({}), json!({"ordering": "fifo"})] {
        for seed in 0..200 {
            println!("SEED={seed} {settings}");
            let mut model = Model::new(seed, &settings);
            for _ in 0..4000 {
                model.step(true);
            }
            model.settle_all();
            assert!(
                model.disk.is_empty() && model.done.len() > 100,
                "seed {seed}: {} done",
                model.done.len()
            );
        }
    }
}

#[test]
fn fifo_starts_deliveries_in_the_order_of_acceptance() {
    for seed in 0..50 {
        println!("SEED={seed}");
        let mut model = Model::new(seed, &json!({"ordering": "fifo"}));
        for _ in 0..2000 {
            model.step(true);
        }
        model.settle_all();
        let mut firsts = Vec::new();
        for id in &model.started_order {
            if !firsts.contains(id) {
                firsts.push(*id);
            }
        }
        assert!(firsts.is_sorted(), "seed {seed}");
    }
}

#[test]
fn a_failing_receiver_gets_one_request_at_a_time() {
    let mut model = Model::new(1, &json!({}));
    for _ in 0..30 {
        model.submit();
        model.write();
        model.acknowledge();
    }
    assert_eq!(model.out.len(), 4, "the lane uses its whole limit before the first answer");
    for _ in 0..4 {
        model.answer(false);
    }
    assert_eq!(model.out.len(), 0, "after two failures in a row only the probe starts, when it is due");
    let before = model.starts;
    for _ in 0..2000 {
        model.now_ms += 10;
        model.write();
        model.acknowledge();
        model.advance_read();
        assert!(model.out.len() <= 1);
    }
    assert_eq!(model.starts, before + 1, "only the probe has started");
    model.answer(true);
    assert!(model.out.len() <= 4);
    model.settle_all();
    assert_eq!(model.done.len(), 30);
}

#[test]
fn a_rate_limit_holds_in_every_span() {
    let mut model = Model::new(3, &json!({"rate_limit": "5/s"}));
    let mut starts = Vec::new();
    for _ in 0..3000 {
        let before = model.starts;
        if model.now_ms.is_multiple_of(20) {
            model.submit();
        }
        model.write();
        model.acknowledge();
        model.advance_read();
        model.answer(true);
        model.pump();
        starts.extend((before..model.starts).map(|_| model.now_ms));
        model.now_ms += 5;
    }
    assert!(starts.len() >= 70, "15 s at 5/s: {}", starts.len());
    assert!(starts.windows(6).all(|six| six[5] - six[0] >= 1000));
}
