//! Counts of each subscription's deliveries, and the fresh deliveries.
//!
//! The committer updates them while it writes. Readers query them. The scan at opening rebuilds them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::index::{Index, IndexState};
use super::seen::{SeenNames, SeenState};
use crate::model::delivery::Progress;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::metrics::{Histogram, MEDIUM, histogram};
use crate::model::time::Timestamp;

/// The progress of a delivery, without its details.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProgressKind {
    /// The delivery has no result yet. It has no row of its own, or it waits in its lane.
    Waiting,
    /// The receiver accepted the delivery.
    Succeeded,
    /// All attempts of the delivery failed.
    Exhausted,
    /// A person cancelled the delivery, or its subscription was deleted.
    Cancelled,
}

impl From<Progress> for ProgressKind {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Waiting { .. } => Self::Waiting,
            Progress::Succeeded => Self::Succeeded,
            Progress::Exhausted => Self::Exhausted,
            Progress::Cancelled => Self::Cancelled,
        }
    }
}

/// The number of a subscription's deliveries in the log, by progress.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProgressCounts {
    /// The deliveries without a result.
    pub waiting: u64,
    /// The deliveries that the receiver accepted.
    pub succeeded: u64,
    /// The deliveries whose attempts all failed.
    pub exhausted: u64,
    /// The deliveries that were cancelled by a person or with their subscription.
    pub cancelled: u64,
}

impl ProgressCounts {
    /// Returns the sum of all counts.
    pub fn all(&self) -> u64 {
        self.waiting + self.succeeded + self.exhausted + self.cancelled
    }

    /// Returns the count of one kind.
    pub fn of(&self, kind: ProgressKind) -> u64 {
        match kind {
            ProgressKind::Waiting => self.waiting,
            ProgressKind::Succeeded => self.succeeded,
            ProgressKind::Exhausted => self.exhausted,
            ProgressKind::Cancelled => self.cancelled,
        }
    }

    fn count(&mut self, kind: ProgressKind) -> &mut u64 {
        match kind {
            ProgressKind::Waiting => &mut self.waiting,
            ProgressKind::Succeeded => &mut self.succeeded,
            ProgressKind::Exhausted => &mut self.exhausted,
            ProgressKind::Cancelled => &mut self.cancelled,
        }
    }

    pub(in crate::store) fn add(&mut self, kind: ProgressKind) {
        *self.count(kind) += 1;
    }

    pub(in crate::store) fn take(&mut self, kind: ProgressKind) {
        let count = self.count(kind);
        debug_assert!(*count > 0, "a delivery that was not counted: {kind:?}");
        *count = count.saturating_sub(1);
    }
}

/// A delivery that is unchanged since its event was appended or replayed. It has no row of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RowlessDelivery {
    /// The id of the delivery.
    pub id: DeliveryId,
    /// The event that is delivered.
    pub event: EventId,
    /// The subscription of the delivery.
    pub subscription: SubscriptionId,
}

/// The number of a subscription's deliveries that wait on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::store) struct LaneCounts {
    /// Deliveries that were never tried. Each has a due row only.
    pub(in crate::store) untried: u64,
    /// Deliveries that were tried. Each has a row of its own and a due row.
    pub(in crate::store) retrying: u64,
}

#[derive(Debug, Default)]
pub(in crate::store) struct State {
    /// The last id that a flush has covered.
    pub(in crate::store) durable: u128,
    /// Every subscription with a row, and the time of its deletion if it was deleted.
    pub(in crate::store) subscriptions: HashMap<SubscriptionId, Option<Timestamp>>,
    pub(in crate::store) tallies: HashMap<SubscriptionId, ProgressCounts>,
    /// The sums over all subscriptions.
    pub(in crate::store) total: ProgressCounts,
    /// The subscriptions with deliveries that wait on disk.
    pub(in crate::store) lines: HashMap<SubscriptionId, LaneCounts>,
    /// The number of deliveries of all subscriptions that were tried and wait on disk.
    pub(in crate::store) retrying: u64,
    /// Unfinished replayed deliveries. Their events must not be swept.
    replaying: BTreeSet<(EventId, DeliveryId)>,
    fresh: BTreeMap<DeliveryId, RowlessDelivery>,
    rowless_of: BTreeSet<(SubscriptionId, DeliveryId)>,
    leaving: Vec<RowlessDelivery>,
    leaving_lines: Vec<(SubscriptionId, WasTried)>,
}

impl State {
    pub(in crate::store) fn is_live(&self, subscription: SubscriptionId) -> bool {
        matches!(self.subscriptions.get(&subscription), Some(None))
    }

    /// Counts a delivery.
    pub(in crate::store) fn add(&mut self, subscription: SubscriptionId, kind: ProgressKind) {
        self.tallies.entry(subscription).or_default().add(kind);
        self.total.add(kind);
    }

    /// Removes a delivery from the counts.
    pub(in crate::store) fn take(&mut self, subscription: SubscriptionId, kind: ProgressKind) {
        self.tallies.entry(subscription).or_default().take(kind);
        self.total.take(kind);
    }

    pub(in crate::store) fn shift(
        &mut self,
        subscription: SubscriptionId,
        from: ProgressKind,
        to: ProgressKind,
    ) {
        self.take(subscription, from);
        self.add(subscription, to);
    }

    /// Counts a due row that was written.
    pub(in crate::store) fn add_due_row(&mut self, subscription: SubscriptionId, was_tried: WasTried) {
        let line = self.lines.entry(subscription).or_default();
        match was_tried {
            WasTried::Yes => {
                line.retrying += 1;
                self.retrying += 1;
            }
            WasTried::No => line.untried += 1,
        }
    }

    /// Records that a due row is about to be removed. Readers see it until the transaction is written.
    pub(in crate::store) fn remove_due_row_later(
        &mut self,
        subscription: SubscriptionId,
        was_tried: WasTried,
    ) {
        self.leaving_lines.push((subscription, was_tried));
    }

    /// Records that a transaction was written. Readers now find the changed deliveries in their new place.
    pub(in crate::store) fn written(&mut self) {
        self.leaving.clear();
        for (subscription, was_tried) in std::mem::take(&mut self.leaving_lines) {
            self.forget_due_row(subscription, was_tried);
        }
    }

    fn forget_due_row(&mut self, subscription: SubscriptionId, was_tried: WasTried) {
        let Some(line) = self.lines.get_mut(&subscription) else {
            debug_assert!(false, "a due row that was not counted");
            return;
        };
        let count = match was_tried {
            WasTried::Yes => &mut line.retrying,
            WasTried::No => &mut line.untried,
        };
        debug_assert!(*count > 0, "a due row that was not counted: {was_tried:?}");
        *count = count.saturating_sub(1);
        if was_tried == WasTried::Yes {
            self.retrying = self.retrying.saturating_sub(1);
        }
        if *line == LaneCounts::default() {
            self.lines.remove(&subscription);
        }
    }

    pub(in crate::store) fn add_rowless(&mut self, fresh: RowlessDelivery) {
        self.fresh.insert(fresh.id, fresh);
        self.rowless_of.insert((fresh.subscription, fresh.id));
    }

    pub(in crate::store) fn take_rowless(&mut self, id: DeliveryId) -> Option<RowlessDelivery> {
        let fresh = self.fresh.remove(&id)?;
        self.rowless_of.remove(&(fresh.subscription, id));
        self.leaving.push(fresh);
        Some(fresh)
    }

    /// Returns the deliveries that stop being fresh with a transaction that is not written yet.
    pub(in crate::store) fn leaving(&self) -> &[RowlessDelivery] {
        &self.leaving
    }

    pub(in crate::store) fn fresh(&self) -> impl Iterator<Item = RowlessDelivery> {
        self.fresh.values().copied()
    }

    /// Returns the oldest fresh delivery.
    pub(in crate::store) fn floor(&self) -> Option<DeliveryId> {
        self.fresh.first_key_value().map(|(id, _)| *id)
    }

    /// Returns the fresh deliveries of a subscription, oldest first.
    pub(in crate::store) fn rowless_of(
        &self,
        subscription: SubscriptionId,
    ) -> impl DoubleEndedIterator<Item = DeliveryId> {
        let (first, last) = (DeliveryId::from_bits(0), DeliveryId::from_bits(u128::MAX));
        self.rowless_of.range((subscription, first)..=(subscription, last)).map(|(_, id)| *id)
    }

    /// Returns the deliveries without a row before this one, newest first.
    pub(in crate::store) fn rowless_before(&self, end: DeliveryId) -> impl Iterator<Item = RowlessDelivery> {
        self.fresh.range(..end).rev().map(|(_, fresh)| *fresh)
    }

    /// Records that a replayed delivery waits.
    pub(in crate::store) fn begin_replay(&mut self, event: EventId, delivery: DeliveryId) {
        self.replaying.insert((event, delivery));
    }

    /// Records that a delivery no longer waits. Returns whether it was a replayed delivery.
    pub(in crate::store) fn end_replay(&mut self, event: EventId, delivery: DeliveryId) -> bool {
        self.replaying.remove(&(event, delivery))
    }

    /// Returns the unfinished replayed deliveries of an event.
    pub(in crate::store) fn replaying(&self, event: EventId) -> impl Iterator<Item = DeliveryId> {
        let (first, last) = (DeliveryId::from_bits(0), DeliveryId::from_bits(u128::MAX));
        self.replaying.range((event, first)..=(event, last)).map(|(_, id)| *id)
    }
}

/// Whether a delivery that waits on disk has been tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum WasTried {
    Yes,
    No,
}

/// The state that the committer and the readers share.
#[derive(Debug)]
pub(in crate::store) struct SharedState {
    state: Mutex<State>,
    pub(in crate::store) index: Index,
    pub(in crate::store) seen: SeenNames,
    pub(in crate::store) commits: AtomicU64,
    pub(in crate::store) flushes: AtomicU64,
    pub(in crate::store) events: AtomicU64,
    pub(in crate::store) commit_seconds: Histogram,
}

impl Default for SharedState {
    fn default() -> Self {
        Self::new(State::default(), IndexState::default(), SeenState::default())
    }
}

impl SharedState {
    pub(in crate::store) fn new(state: State, index: IndexState, seen: SeenState) -> Self {
        Self {
            state: Mutex::new(state),
            index: Index::new(index),
            seen: SeenNames::new(seen),
            commits: AtomicU64::new(0),
            flushes: AtomicU64::new(0),
            events: AtomicU64::new(0),
            commit_seconds: histogram(
                "postrider_commit_seconds",
                "One commit: its transactions and the flush that makes them durable.",
                MEDIUM,
            ),
        }
    }

    pub(in crate::store) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::store) fn counts(&self) -> CommitCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CommitCounts {
            commits: read(&self.commits),
            flushes: read(&self.flushes),
            events: read(&self.events),
        }
    }
}

/// The work of the committer since the store was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitCounts {
    /// The number of transactions.
    pub commits: u64,
    /// The number of flushes. Each makes one or more transactions durable.
    pub flushes: u64,
    /// The number of appended events, without duplicates.
    pub events: u64,
}
