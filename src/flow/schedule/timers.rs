//! The lanes that wait for a time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};

use crate::model::id::SubscriptionId;
use crate::model::time::Timestamp;

/// The time to wait after a failed read from the log before reading again.
pub(in crate::flow) const READ_RETRY_AFTER: Duration = Duration::from_secs(1);

/// The times at which lanes have to be pumped, one per lane.
#[derive(Debug, Default)]
pub(in crate::flow) struct Timers {
    state: Mutex<State>,
    /// Notified when the earliest time has become earlier.
    earlier: Notify,
    /// Counts the rounds of the timer loop.
    rounds: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    queue: BTreeSet<(Timestamp, SubscriptionId)>,
    by_lane: BTreeMap<SubscriptionId, Timestamp>,
}

impl Timers {
    /// Sets the timer of a lane to `at`. An earlier timer of the lane stays.
    pub(in crate::flow) fn set(&self, lane: SubscriptionId, at: Timestamp) {
        let is_first = {
            let mut state = self.lock();
            match state.by_lane.get(&lane).copied() {
                Some(set) if set <= at => return,
                Some(set) => drop(state.queue.remove(&(set, lane))),
                None => {}
            }
            state.by_lane.insert(lane, at);
            state.queue.insert((at, lane));
            state.queue.first() == Some(&(at, lane))
        };
        if is_first {
            self.earlier.notify_one();
        }
    }

    /// Removes the timers that are due and returns their lanes, and the time of the next timer.
    pub(in crate::flow) fn due(&self, now: Timestamp) -> (Vec<SubscriptionId>, Option<Timestamp>) {
        let mut state = self.lock();
        let mut due = Vec::new();
        while let Some(&(at, lane)) = state.queue.first() {
            if at > now {
                return (due, Some(at));
            }
            state.queue.pop_first();
            state.by_lane.remove(&lane);
            due.push(lane);
        }
        (due, None)
    }

    /// Counts a round of the timer loop.
    pub(in crate::flow) fn end_round(&self) {
        self.rounds.send_modify(|rounds| *rounds = rounds.wrapping_add(1));
    }

    /// Waits until a timer is set that is earlier than all others, or a round is requested.
    pub(in crate::flow) async fn earlier(&self) {
        self.earlier.notified().await;
    }

    /// Requests a round of the timer loop and waits for its end. Cancel safe.
    pub(in crate::flow) async fn request_round(&self) {
        let mut rounds = self.rounds.subscribe();
        self.earlier.notify_one();
        // The sender is a part of the journey and lives as long as these timers.
        if rounds.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock is a bug that ends the daemon. Until then the state is as good as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
