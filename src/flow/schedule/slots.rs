//! The scheduler: how lanes share the slots for requests.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::flow::lane::Lane;
use crate::model::id::SubscriptionId;

/// Shares a fixed number of slots among the lanes. A slot is the right to have one request in flight.
///
/// A lane gets a slot only while its weight is less than the number of free slots. Its weight is its number of
/// requests in flight, plus half of all slots if its receiver's newest answer was not a success. This has two effects:
///
/// - N lanes with slow receivers, if N is less than the number of slots, take about N of N + 1 slots together. They
///   leave the rest to the next lane.
/// - Lanes whose receivers have not answered with success yet, however many they are, leave half of all slots to the
///   others.
///
/// No receiver has to be identified as slow first. A single lane gets as many slots as its own limits allow, up to half
/// of all slots.
#[derive(Debug)]
pub(in crate::flow) struct Scheduler {
    slots: usize,
    state: Mutex<State>,
    /// Notified when no request is in flight any more.
    idle: Notify,
}

#[derive(Debug)]
struct State {
    free: usize,
    /// The waiting lanes, lightest first. Lanes of the same weight stand in the order of their arrival.
    waiting: BTreeMap<Turn, Arc<Lane>>,
    turns: HashMap<SubscriptionId, Turn>,
    /// The number of lanes that have arrived.
    arrivals: u64,
}

/// A lane's place among the waiting lanes: its weight on arrival, then its arrival number.
type Turn = (usize, u64);

/// The right to have one request in flight. It ends when it is dropped.
#[derive(Debug)]
pub(in crate::flow) struct Slot(Arc<Scheduler>);

impl Drop for Slot {
    fn drop(&mut self) {
        let is_idle = {
            let mut state = lock(&self.0.state);
            state.free += 1;
            state.free == self.0.slots
        };
        if is_idle {
            self.0.idle.notify_waiters();
        }
    }
}

/// The use of the slots.
#[derive(Clone, Copy, Debug)]
pub(in crate::flow) struct SlotUsage {
    /// The number of slots that are taken.
    pub(in crate::flow) used: usize,
    /// The number of slots.
    pub(in crate::flow) slots: usize,
    /// The number of lanes that wait for a slot.
    pub(in crate::flow) lanes_waiting: usize,
}

impl Scheduler {
    /// Returns a scheduler with this many slots, all free.
    pub(in crate::flow) fn new(slots: usize) -> Arc<Self> {
        let state = State { free: slots, waiting: BTreeMap::new(), turns: HashMap::new(), arrivals: 0 };
        Arc::new(Self { slots, state: Mutex::new(state), idle: Notify::new() })
    }

    /// Waits until no request is in flight. Cancel safe.
    pub(in crate::flow) async fn idle(&self) {
        loop {
            let idle = self.idle.notified();
            if lock(&self.state).free == self.slots {
                return;
            }
            idle.await;
        }
    }

    /// Returns how far the slots are used.
    pub(in crate::flow) fn usage(&self) -> SlotUsage {
        let state = lock(&self.state);
        let used = self.slots.saturating_sub(state.free);
        SlotUsage { used, slots: self.slots, lanes_waiting: state.waiting.len() }
    }

    /// Adds the lane to the waiting lanes, or moves it to the place of its present weight.
    pub(in crate::flow) fn enter(&self, lane: &Arc<Lane>) {
        let weight = {
            let lane = lane.lock();
            lane.in_flight() + if lane.is_healthy() { 0 } else { self.slots / 2 }
        };
        let mut state = lock(&self.state);
        match state.turns.get(&lane.id).copied() {
            Some((present, _)) if present == weight => return,
            Some(turn) => drop(state.waiting.remove(&turn)),
            None => {}
        }
        state.arrivals += 1;
        let turn = (weight, state.arrivals);
        state.turns.insert(lane.id, turn);
        state.waiting.insert(turn, Arc::clone(lane));
    }

    /// Removes the lane whose turn it is and returns it with a slot.
    ///
    /// Returns none if every waiting lane is too heavy for the free slots.
    pub(in crate::flow) fn next_turn(self: &Arc<Self>) -> Option<(Arc<Lane>, Slot)> {
        let mut state = lock(&self.state);
        let free = state.free;
        let lightest = state.waiting.first_entry().filter(|lightest| lightest.key().0 < free)?;
        let lane = lightest.remove();
        state.turns.remove(&lane.id);
        state.free -= 1;
        Some((lane, Slot(Arc::clone(self))))
    }
}

fn lock(mutex: &Mutex<State>) -> MutexGuard<'_, State> {
    // A panic under the lock is a bug that ends the daemon. Until then the state is as good as it was.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::flow::lane::{InitialQueue, LaneDelivery, Limits, Next};
    use crate::model::id::DeliveryId;
    use crate::model::subscription::{HealthState, Subscription, SubscriptionSpec};
    use crate::model::time::Timestamp;

    const SLOTS: usize = 64;

    /// Returns a lane that has more deliveries than there are slots.
    fn lane(id: u128, last_success_at: Option<Timestamp>) -> Arc<Lane> {
        let members = serde_json::json!({"url": "http://127.0.0.1:9/"});
        let subscription = Subscription::new(
            SubscriptionId::from_bits(id),
            SubscriptionSpec::read(&members).unwrap(),
            Timestamp::default(),
        );
        let health = HealthState { last_success_at, ..HealthState::default() };
        let limits = Limits { max_in_flight: 2 * SLOTS, page: 2 * SLOTS, wait_max: std::time::Duration::MAX };
        let lane = Lane::new(Arc::new(subscription), health, limits, InitialQueue::Empty);
        for n in 1..=2 * SLOTS {
            let n = u128::try_from(n).unwrap();
            assert!(lane.lock().add_fresh(LaneDelivery::fresh(DeliveryId::from_bits(n), None)));
        }
        lane
    }

    fn healthy(id: u128) -> Arc<Lane> {
        lane(id, Some(Timestamp::from_millis(1)))
    }

    /// Gives turns until no lane gets another, and returns the slots that were taken.
    fn run(scheduler: &Arc<Scheduler>, lanes: &[Arc<Lane>]) -> Vec<Slot> {
        for lane in lanes {
            scheduler.enter(lane);
        }
        let mut slots = Vec::new();
        while let Some((lane, slot)) = scheduler.next_turn() {
            let next = lane.lock().next(Timestamp::from_millis(2), Instant::now());
            assert!(matches!(next, Next::Start(_)), "{next:?}");
            slots.push(slot);
            scheduler.enter(&lane);
        }
        slots
    }

    fn out(lanes: &[Arc<Lane>]) -> Vec<usize> {
        lanes.iter().map(|lane| lane.lock().in_flight()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn slow_receivers_share_equally_and_leave_one_share_free() {
        for (count, each) in [(1_usize, 32), (3, 16), (7, 8), (10, 6), (63, 1)] {
            let scheduler = Scheduler::new(SLOTS);
            let lanes: Vec<_> = (1..=count).map(|id| healthy(id.try_into().unwrap())).collect();
            let slots = run(&scheduler, &lanes);
            let out = out(&lanes);
            assert!(out.iter().all(|out| (each - 1..=each).contains(out)), "{count}: {out:?}");
            let left = SLOTS - slots.len();
            assert!(left > 0 && left + 1 >= each, "{count}: {left} slots are left");
            let late = [healthy(1000)];
            assert!(!run(&scheduler, &late).is_empty(), "{count}: the next lane gets a slot");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn lanes_without_a_success_leave_half_of_the_slots() {
        let scheduler = Scheduler::new(SLOTS);
        let untested: Vec<_> = (1..=1000).map(|id| lane(id, None)).collect();
        let slots = run(&scheduler, &untested);
        assert_eq!(slots.len(), SLOTS / 2);
        let proven = [healthy(2000)];
        let more = run(&scheduler, &proven);
        assert_eq!(more.len(), SLOTS / 4);
        drop(slots);
        assert_eq!(run(&scheduler, &[]).len(), SLOTS / 4);
        assert_eq!(out(&proven), [SLOTS / 2], "released slots go to the lane with a success");
    }

    #[tokio::test(start_paused = true)]
    async fn the_lightest_lane_goes_first_and_lanes_of_equal_weight_take_turns() {
        let scheduler = Scheduler::new(1);
        let lanes = [healthy(1), lane(2, None), healthy(3)];
        for lane in &lanes {
            scheduler.enter(lane);
        }
        let order: Vec<_> = (0..9)
            .map(|_| {
                let (lane, _) = scheduler.next_turn().unwrap();
                scheduler.enter(&lane);
                lane.id.bits()
            })
            .collect();
        assert_eq!(order, [1, 2, 3, 1, 2, 3, 1, 2, 3], "half of one slot is none");
        let scheduler = Scheduler::new(4);
        lanes.iter().rev().for_each(|lane| scheduler.enter(lane));
        let order: Vec<_> = std::iter::from_fn(|| Some(scheduler.next_turn()?.0.id.bits())).collect();
        assert_eq!(order, [3, 1, 2]);
    }
}
