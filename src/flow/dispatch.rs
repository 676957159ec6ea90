//! Dispatch: which lane goes next.
//!
//! There is no loop over the lanes. Whatever changes a lane (a commit, an answer, a timer, a person) is followed
//! by `Flow::pump`, which puts the lane into the round and lets those in it take turns, one start a turn, for
//! as long as slots are free. A lane that waits for its receiver holds nothing that another lane needs.

use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::Notify;

use crate::model::delivery::Progress;
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::time::Timestamp;
use crate::store::StoreError;

use super::lane::{Lane, Next, Page, Serial};
use super::{Flow, attempt};

/// Due times are of the wall clock, and timers are not: it may be set, or the machine suspended, meanwhile.
const CLOCK_MAY_STEP_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);
/// How long to wait before reading again what could not be read.
pub(super) const READ_AGAIN_AFTER: std::time::Duration = std::time::Duration::from_secs(1);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while it was held is a bug that ends the daemon; until then the state is as good as it was.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Every lane, by subscription.
#[derive(Debug, Default)]
pub(super) struct Lanes(RwLock<BTreeMap<SubscriptionId, Arc<Lane>>>);

impl Lanes {
    pub(super) fn get(&self, id: SubscriptionId) -> Option<Arc<Lane>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Lane>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    pub(super) fn insert(&self, lane: Arc<Lane>) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(lane.id, lane);
    }

    pub(super) fn remove(&self, id: SubscriptionId) -> Option<Arc<Lane>> {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&id)
    }
}

/// The bound of requests out over all lanes, and the round of lanes that want one.
#[derive(Debug)]
pub(super) struct Round(Mutex<RoundState>);

#[derive(Debug)]
struct RoundState {
    free: usize,
    waiting: VecDeque<Arc<Lane>>,
    is_waiting: HashSet<SubscriptionId>,
}

/// The right to have one request out; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Round>);

impl Drop for Slot {
    fn drop(&mut self) {
        lock(&self.0.0).free += 1;
    }
}

impl Round {
    pub(super) fn new(slots: usize) -> Arc<Self> {
        let state = RoundState { free: slots, waiting: VecDeque::new(), is_waiting: HashSet::new() };
        Arc::new(Self(Mutex::new(state)))
    }

    fn join(&self, lane: &Arc<Lane>) {
        let mut state = lock(&self.0);
        if state.is_waiting.insert(lane.id) {
            state.waiting.push_back(Arc::clone(lane));
        }
    }

    /// The lane whose turn it is, with a slot; none if no lane waits or no slot is free.
    fn turn(self: &Arc<Self>) -> Option<(Arc<Lane>, Slot)> {
        let mut state = lock(&self.0);
        if state.free == 0 {
            return None;
        }
        let lane = state.waiting.pop_front()?;
        state.is_waiting.remove(&lane.id);
        state.free -= 1;
        Some((lane, Slot(Arc::clone(self))))
    }
}

/// The lanes that wait for a time, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    state: Mutex<TimersState>,
    earlier: Notify,
}

#[derive(Debug, Default)]
struct TimersState {
    line: BTreeSet<(Timestamp, SubscriptionId)>,
    by_lane: BTreeMap<SubscriptionId, Timestamp>,
}

impl Timers {
    /// Has the lane pumped at `at`, or earlier if that was already asked for.
    fn set(&self, lane: SubscriptionId, at: Timestamp) {
        let is_first = {
            let mut state = lock(&self.state);
            match state.by_lane.get(&lane).copied() {
                Some(set) if set <= at => return,
                Some(set) => drop(state.line.remove(&(set, lane))),
                None => {}
            }
            state.by_lane.insert(lane, at);
            state.line.insert((at, lane));
            state.line.first() == Some(&(at, lane))
        };
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// The lanes whose time has come, and when the next one's comes.
    fn due(&self, now: Timestamp) -> (Vec<SubscriptionId>, Option<Timestamp>) {
        let mut state = lock(&self.state);
        let mut due = Vec::new();
        while let Some(&(at, lane)) = state.line.first() {
            if at > now {
                return (due, Some(at));
            }
            state.line.pop_first();
            state.by_lane.remove(&lane);
            due.push(lane);
        }
        (due, None)
    }
}

impl Flow {
    /// Lets the lane, and all that wait with it, do what they can now.
    pub(super) fn pump(&self, lane: &Arc<Lane>) {
        self.round.join(lane);
        while let Some((lane, slot)) = self.round.turn() {
            self.take_turn(&lane, slot);
        }
    }

    fn take_turn(&self, lane: &Arc<Lane>, slot: Slot) {
        let now = self.clock.now();
        let next = lane.lock().next(now, self.clock.instant());
        match next {
            Next::Start(item) => self.spawn(attempt::run(self.clone(), Arc::clone(lane), item, slot)),
            Next::Load(page) => self.spawn(self.clone().load(Arc::clone(lane), page)),
            Next::Fetch(serial, probe) => self.spawn(self.clone().fetch(Arc::clone(lane), serial, probe)),
            Next::Wait(until) => return self.timers.set(lane.id, until),
            Next::Nothing => return,
        }
        self.round.join(lane);
    }

    /// Reads the next page of a lane's waiting line.
    async fn load(self, lane: Arc<Lane>, page: Page) {
        let id = lane.id;
        let rows = self.read(move |reader| reader.due_page(id, Some(page.after), page.rows_max)).await;
        match rows {
            Ok(rows) => lane.lock().loaded(page, &rows),
            Err(error) => return self.read_again(&lane, page.serial, &error),
        }
        self.pump(&lane);
    }

    /// Reads where a lane's probe stands, after a start or when it had to be put back.
    async fn fetch(self, lane: Arc<Lane>, serial: Serial, probe: DeliveryId) {
        let delivery = self.read(move |reader| reader.delivery(probe)).await;
        let due = match delivery {
            Ok(delivery) => delivery.and_then(|delivery| match delivery.progress {
                Progress::Waiting { due } => Some(due),
                _ => None,
            }),
            Err(error) => return self.read_again(&lane, serial, &error),
        };
        lane.lock().fetched(serial, probe, due);
        self.pump(&lane);
    }

    fn read_again(&self, lane: &Lane, serial: Serial, error: &StoreError) {
        tracing::error!(subscription = %lane.id, %error, "failed to read what waits, trying again");
        lane.lock().read_failed(serial);
        self.timers.set(lane.id, self.clock.now().after(READ_AGAIN_AFTER));
    }

    /// Pumps lanes as their times come, for ever.
    pub(super) async fn run_timers(self) {
        loop {
            let (due, next) = self.timers.due(self.clock.now());
            for lane in due.into_iter().filter_map(|id| self.lanes.get(id)) {
                self.pump(&lane);
            }
            let earlier = self.timers.earlier.notified();
            match next {
                Some(at) => {
                    let wait = at.since(self.clock.now()).min(CLOCK_MAY_STEP_WITHIN);
                    tokio::select! {
                        () = tokio::time::sleep(wait) => {}
                        () = earlier => {}
                    }
                }
                None => earlier.await,
            }
        }
    }
}
