//! Dispatch: which lane goes next.
//!
//! There is no loop over the lanes. Whatever changes a lane (a commit, an answer, a timer, a person) is followed
//! by `Flow::pump`, which puts the lane into the round and lets those in it take turns, one start a turn, for
//! as long as slots are free. A lane that waits for its receiver holds nothing that another lane needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio::sync::{Notify, watch};

use crate::model::delivery::Progress;
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::time::Timestamp;
use crate::store::StoreError;

use super::lane::{Lane, Next, Page, Serial};
use super::{Flow, attempt};

/// Due times are of the wall clock, and timers are not: it may be set, or the machine suspended, meanwhile.
const CLOCK_MAY_STEP_WITHIN: std::time::Duration = std::time::Duration::from_secs(30);
/// A step back of more than this is heeded.
const CLOCK_WAS_SET_BACK: std::time::Duration = std::time::Duration::from_secs(1);
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
///
/// A lane gets a turn only while it weighs less than there are slots free. It weighs as much as it has requests
/// out, and half of all slots more unless its receiver's newest answer was a success. So N lanes whose receivers
/// are slow, if they are fewer than the slots, take about N of N + 1 slots together and leave the rest to the next
/// lane; and lanes that have yet to show that anybody answers, however many they are, leave half of all slots to
/// those that have.
/// Nobody has to find out first which receiver is slow, and a lane by itself gets all that its own bounds allow.
#[derive(Debug)]
pub(super) struct Round {
    slots: usize,
    state: Mutex<RoundState>,
    /// Told when no request is out any more.
    quiet: Notify,
}

#[derive(Debug)]
struct RoundState {
    free: usize,
    /// The lightest first; of one weight the one that came first.
    waiting: BTreeMap<Turn, Arc<Lane>>,
    turns: HashMap<SubscriptionId, Turn>,
    came: u64,
}

/// A lane's weight when it came, and the how manyth it was.
type Turn = (usize, u64);

/// The right to have one request out; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot(Arc<Round>);

impl Drop for Slot {
    fn drop(&mut self) {
        let is_quiet = {
            let mut state = lock(&self.0.state);
            state.free += 1;
            state.free == self.0.slots
        };
        if is_quiet {
            self.0.quiet.notify_waiters();
        }
    }
}

impl Round {
    pub(super) fn new(slots: usize) -> Arc<Self> {
        let state = RoundState { free: slots, waiting: BTreeMap::new(), turns: HashMap::new(), came: 0 };
        Arc::new(Self { slots, state: Mutex::new(state), quiet: Notify::new() })
    }

    /// Waits until no request is out.
    pub(super) async fn quiet(&self) {
        loop {
            let quiet = self.quiet.notified();
            if lock(&self.state).free == self.slots {
                return;
            }
            quiet.await;
        }
    }

    /// How many slots are taken, how many there are, and how many lanes wait for one.
    pub(super) fn load(&self) -> (usize, usize, usize) {
        let state = lock(&self.state);
        (self.slots.saturating_sub(state.free), self.slots, state.waiting.len())
    }

    /// Puts the lane into the round, or gives it the place of its present weight.
    fn join(&self, lane: &Arc<Lane>) {
        let weight = {
            let lane = lane.lock();
            lane.in_flight() + if lane.is_trusted() { 0 } else { self.slots / 2 }
        };
        let mut state = lock(&self.state);
        match state.turns.get(&lane.id).copied() {
            Some((present, _)) if present == weight => return,
            Some(turn) => drop(state.waiting.remove(&turn)),
            None => {}
        }
        state.came += 1;
        let turn = (weight, state.came);
        state.turns.insert(lane.id, turn);
        state.waiting.insert(turn, Arc::clone(lane));
    }

    /// The lane whose turn it is, with a slot; none if all that wait weigh too much for the slots left.
    fn turn(self: &Arc<Self>) -> Option<(Arc<Lane>, Slot)> {
        let mut state = lock(&self.state);
        let free = state.free;
        let lightest = state.waiting.first_entry().filter(|lightest| lightest.key().0 < free)?;
        let lane = lightest.remove();
        state.turns.remove(&lane.id);
        state.free -= 1;
        Some((lane, Slot(Arc::clone(self))))
    }
}

/// The lanes that wait for a time, earliest first.
#[derive(Debug, Default)]
pub(super) struct Timers {
    state: Mutex<TimersState>,
    earlier: Notify,
    /// How often the loop has gone round.
    rounds: watch::Sender<u64>,
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

    /// Has the loop go round once, and returns when it has.
    pub(super) async fn go_round(&self) {
        let mut rounds = self.rounds.subscribe();
        self.earlier.notify_one();
        // It ends with the journey alone, whose part it is.
        if rounds.changed().await.is_err() {
            std::future::pending::<()>().await;
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
        let rows =
            self.read_in_turn(move |reader| reader.due_page(id, Some(page.after), page.rows_max)).await;
        match rows {
            Ok(rows) => lane.lock().loaded(page, &rows),
            Err(error) => return self.read_again(&lane, page.serial, &error),
        }
        self.pump(&lane);
    }

    /// Reads where a lane's probe stands, after a start or when it had to be put back.
    async fn fetch(self, lane: Arc<Lane>, serial: Serial, probe: DeliveryId) {
        let delivery = self.read_in_turn(move |reader| reader.delivery(probe)).await;
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
        let mut before = self.clock.now();
        loop {
            let now = self.clock.now();
            if now.after(CLOCK_WAS_SET_BACK) < before {
                tracing::warn!(from = %before, to = %now, "the clock was set back: what waits is looked at again");
                self.lanes.all().iter().for_each(|lane| self.pump(lane));
            }
            before = now;
            let (due, next) = self.timers.due(now);
            for lane in due.into_iter().filter_map(|id| self.lanes.get(id)) {
                self.pump(&lane);
            }
            self.timers.rounds.send_modify(|rounds| *rounds = rounds.wrapping_add(1));
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

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::flow::lane::{Item, Limits, Line};
    use crate::model::subscription::{HealthState, Subscription, SubscriptionSpec};

    const SLOTS: usize = 64;

    /// A lane with more to send than there are slots.
    fn lane(id: u128, last_success_at: Option<Timestamp>) -> Arc<Lane> {
        let members = serde_json::json!({"url": "http://127.0.0.1:9/"});
        let subscription = Subscription::new(
            SubscriptionId::from_bits(id),
            SubscriptionSpec::read(&members).unwrap(),
            Timestamp::default(),
        );
        let health = HealthState { last_success_at, ..HealthState::default() };
        let limits = Limits { max_in_flight: 2 * SLOTS, page: 2 * SLOTS, wait_max: std::time::Duration::MAX };
        let lane = Lane::new(Arc::new(subscription), health, limits, Line::Empty);
        for n in 1..=2 * SLOTS {
            let n = u128::try_from(n).unwrap();
            assert!(lane.lock().take_fresh(Item::fresh(DeliveryId::from_bits(n), None)));
        }
        lane
    }

    fn trusted(id: u128) -> Arc<Lane> {
        lane(id, Some(Timestamp::from_millis(1)))
    }

    /// Gives turns until nobody gets another; the slots that were taken.
    fn run(round: &Arc<Round>, lanes: &[Arc<Lane>]) -> Vec<Slot> {
        for lane in lanes {
            round.join(lane);
        }
        let mut slots = Vec::new();
        while let Some((lane, slot)) = round.turn() {
            let next = lane.lock().next(Timestamp::from_millis(2), Instant::now());
            assert!(matches!(next, Next::Start(_)), "{next:?}");
            slots.push(slot);
            round.join(&lane);
        }
        slots
    }

    fn out(lanes: &[Arc<Lane>]) -> Vec<usize> {
        lanes.iter().map(|lane| lane.lock().in_flight()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_receivers_share_alike_and_leave_as_much_as_each_has() {
        for (count, each) in [(1_usize, 32), (3, 16), (7, 8), (10, 6), (63, 1)] {
            let round = Round::new(SLOTS);
            let lanes: Vec<_> = (1..=count).map(|id| trusted(id.try_into().unwrap())).collect();
            let slots = run(&round, &lanes);
            let out = out(&lanes);
            assert!(out.iter().all(|out| (each - 1..=each).contains(out)), "{count}: {out:?}");
            let left = SLOTS - slots.len();
            assert!(left > 0 && left + 1 >= each, "{count}: {left} are left");
            let late = [trusted(1000)];
            assert!(!run(&round, &late).is_empty(), "{count}: the next one finds room");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_that_have_yet_to_be_answered_leave_half() {
        let round = Round::new(SLOTS);
        let strangers: Vec<_> = (1..=1000).map(|id| lane(id, None)).collect();
        let slots = run(&round, &strangers);
        assert_eq!(slots.len(), SLOTS / 2);
        let known = [trusted(2000)];
        let more = run(&round, &known);
        assert_eq!(more.len(), SLOTS / 4);
        drop(slots);
        assert_eq!(run(&round, &[]).len(), SLOTS / 4);
        assert_eq!(out(&known), [SLOTS / 2], "what is given back goes to the one that is known");
    }

    #[tokio::test(start_paused = true)]
    async fn the_lightest_lane_goes_first_and_those_of_one_weight_in_turn() {
        let round = Round::new(1);
        let lanes = [trusted(1), lane(2, None), trusted(3)];
        for lane in &lanes {
            round.join(lane);
        }
        let order: Vec<_> = (0..9)
            .map(|_| {
                let (lane, _) = round.turn().unwrap();
                round.join(&lane);
                lane.id.bits()
            })
            .collect();
        assert_eq!(order, [1, 2, 3, 1, 2, 3, 1, 2, 3], "with one slot there is no half to leave");
        let round = Round::new(4);
        lanes.iter().rev().for_each(|lane| round.join(lane));
        let order: Vec<_> = std::iter::from_fn(|| Some(round.turn()?.0.id.bits())).collect();
        assert_eq!(order, [3, 1, 2]);
    }
}
