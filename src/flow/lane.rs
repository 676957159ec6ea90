//! A lane: the deliveries of one subscription, and which of them goes next.
//!
//! Each subscription has a lane. Its queue is on disk, ordered by due time. The lane buffers only the beginning of the
//! queue in memory: at most one page of rows, and *fresh* deliveries, which go straight from their acceptance to their
//! first attempt and have no row on disk. Memory is thus bounded by the page size, not by the backlog. The lane reads
//! the next page when its buffer runs low.
//!
//! ```text
//!            buffered                       on disk
//!   ┌──────────────────────────┐  ┌────────────────────────┐
//!   │ due 8:01  8:01  8:02 …   │  │ 8:04  8:04  8:11  …    │
//!   └──────────────────────────┘  └────────────────────────┘
//!                       cursor ───┘
//! ```
//!
//! A delivery is in one of four places. It is on disk alone, behind the [cursor](disk_queue); or buffered; or *busy*,
//! from the start of an attempt (or of another change) until the result is durable; or it has ended. A busy delivery
//! is not in the buffer, so nothing else can start it.
//!
//! A failing receiver gets few requests. After one failure the lane has at most one request in flight. After two
//! failures in a row (one if the subscription asks for order) only the *probe* is sent: the delivery that failed
//! first, on its own retry schedule. The other deliveries wait until an attempt succeeds or the probe is exhausted.
//! While the lane waits for the probe, or is disabled or deleted, it is *suspended*: it buffers nothing but the probe,
//! and its fresh deliveries get rows on disk.
//!
//! A lane decides and does no I/O. Each change of a lane is followed by a call of `Flow::pump`, which asks [`LaneState::next`]
//! what to do.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::change::entry::Entry;
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::name::EventType;
use crate::model::notice::is_requested;
use crate::model::subscription::{HealthState, Ordering, Subscription};
use crate::model::time::Timestamp;

mod arrivals;
mod disk_queue;
mod failure_log;
mod item;
mod limits;
mod rate;
mod results;
mod switch;

use disk_queue::DiskQueue;
use failure_log::FailureLog;
use rate::RateWindow;

pub(super) use disk_queue::{InitialQueue, Page, ReadNumber};
pub(super) use item::{LaneDelivery, QueueKey, Route};
pub(super) use limits::Limits;

/// The reason why a lane no longer starts attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    /// The subscription was deleted.
    Deleted,
    /// The daemon is stopping.
    Stopping,
}

/// The lane of a subscription.
#[derive(Debug)]
pub(super) struct Lane {
    /// The subscription that this lane serves.
    pub(super) id: SubscriptionId,
    state: Mutex<LaneState>,
}

impl Lane {
    /// Returns a lane that has read none of its queue yet.
    pub(super) fn new(
        subscription: Arc<Subscription>,
        health: HealthState,
        limits: Limits,
        queue: InitialQueue,
    ) -> Arc<Self> {
        let id = subscription.id;
        Arc::new(Self { id, state: Mutex::new(LaneState::new(subscription, health, limits, queue)) })
    }

    /// Locks the state. The lock is held for microseconds and never over an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, LaneState> {
        // A panic under the lock is a bug that ends the daemon. Until then the state is as good as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the subscription with its health.
    pub(super) fn entry(&self) -> Entry {
        self.lock().entry()
    }
}

/// The state of a lane, and its decisions. The module describes both.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) subscription: Arc<Subscription>,
    pub(super) health: HealthState,
    limits: Limits,
    /// The deliveries that wait in memory.
    buffered: BTreeMap<QueueKey, LaneDelivery>,
    /// Places in the buffer that are reserved for fresh deliveries whose commit is under way.
    reserved: usize,
    disk: DiskQueue,
    /// The deliveries that are changing: from the start of an attempt, or of another change, until the result is
    /// durable.
    busy: BTreeSet<DeliveryId>,
    /// The busy deliveries that only get a row on disk. No request is sent for them.
    awaiting_row: BTreeSet<DeliveryId>,
    /// The busy deliveries whose request is in flight.
    in_flight: BTreeSet<DeliveryId>,
    /// Notified whenever a delivery is no longer busy.
    pub(super) released: Arc<Notify>,
    /// Failures in a row, counted up to two.
    failures: u8,
    /// The end of a pause that the receiver asked for with `Retry-After`.
    paused_until: Option<Timestamp>,
    /// The starts that count towards the rate limit.
    starts: RateWindow,
    closed: Option<Closed>,
    failure_log: FailureLog,
    /// Whether the last notice said that the subscription fails or is disabled.
    pub(super) is_reported_failing: bool,
}

impl LaneState {
    fn new(
        subscription: Arc<Subscription>,
        health: HealthState,
        limits: Limits,
        queue: InitialQueue,
    ) -> Self {
        let failures = if health.failing_since.is_some() { 2 } else { 0 };
        Self {
            subscription,
            health,
            limits,
            buffered: BTreeMap::new(),
            reserved: 0,
            disk: DiskQueue::new(queue),
            busy: BTreeSet::new(),
            awaiting_row: BTreeSet::new(),
            in_flight: BTreeSet::new(),
            released: Arc::default(),
            failures,
            paused_until: None,
            starts: RateWindow::default(),
            closed: None,
            failure_log: FailureLog::default(),
            is_reported_failing: failures > 0,
        }
    }

    /// Returns the subscription with its health.
    pub(super) fn entry(&self) -> Entry {
        Entry { subscription: Arc::clone(&self.subscription), health: self.health.clone() }
    }

    /// Replaces the settings and the limits.
    pub(super) fn update(&mut self, subscription: Arc<Subscription>, limits: Limits) {
        self.subscription = subscription;
        self.limits = limits;
    }

    /// Returns whether the subscription, if it matches, wants events of this type; see [`is_requested`].
    pub(super) fn wants_type(&self, event_type: &EventType) -> bool {
        is_requested(&self.subscription.spec.events, event_type)
    }

    fn is_fifo(&self) -> bool {
        self.subscription.spec.ordering == Ordering::Fifo
    }

    /// Returns whether only the probe may be sent.
    pub(super) fn is_probing(&self) -> bool {
        self.failures >= 2 || (self.failures > 0 && self.is_fifo())
    }

    /// Returns whether the lane buffers nothing but the probe.
    fn is_suspended(&self) -> bool {
        self.is_deleted()
            || self.health.disabled.is_some()
            || (self.is_probing() && self.health.probe.is_some())
    }

    /// Returns whether the subscription was deleted.
    pub(super) fn is_deleted(&self) -> bool {
        self.closed == Some(Closed::Deleted)
    }

    /// Returns whether the delivery is being attempted, or its result is being written.
    pub(super) fn is_in_flight(&self, id: DeliveryId) -> bool {
        self.busy.contains(&id) && !self.awaiting_row.contains(&id)
    }

    /// Returns whether a request of the delivery is in flight.
    pub(super) fn has_request(&self, id: DeliveryId) -> bool {
        self.in_flight.contains(&id)
    }

    /// Returns the deliveries that are being attempted or written.
    pub(super) fn busy(&self) -> impl Iterator<Item = DeliveryId> {
        self.busy.iter().copied()
    }

    /// Returns the end of the pause that the receiver asked for, if it is still to come.
    ///
    /// An end further away than the longest possible wait is ignored: the clock was set back.
    pub(super) fn paused_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.paused_until.filter(|until| *until > now && *until <= now.after(self.limits.wait_max))
    }

    /// Returns the probe if all other deliveries wait for it.
    pub(super) fn probe(&self) -> Option<DeliveryId> {
        self.health.probe.filter(|_| self.is_probing())
    }

    /// Returns how many requests are in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Returns whether the newest known answer of the receiver was a success.
    pub(super) const fn is_healthy(&self) -> bool {
        self.failures == 0 && self.health.last_success_at.is_some()
    }

    /// Decides what to do now. A returned start is already counted as in flight.
    pub(super) fn next(&mut self, now: Timestamp, instant: Instant) -> Next {
        if self.closed.is_some() || self.health.disabled.is_some() {
            return Next::Nothing;
        }
        if let Some(until) = self.paused_until(now) {
            return Next::Wait(until);
        }
        if self.is_full() {
            return Next::Nothing;
        }
        match self.probe() {
            Some(probe) => self.next_probe(probe, now, instant),
            None => self.next_queued(now, instant),
        }
    }

    fn is_full(&self) -> bool {
        let most = if self.failures > 0 { 1 } else { self.limits.max_in_flight };
        self.in_flight.len() >= most || (self.is_fifo() && !self.busy.is_empty())
    }

    fn next_probe(&mut self, probe: DeliveryId, now: Timestamp, instant: Instant) -> Next {
        if self.busy.contains(&probe) || self.disk.is_reading() {
            return Next::Nothing;
        }
        match self.buffered.keys().find(|(_, id)| *id == probe).copied() {
            Some(key) if self.is_due(key, now) => self.start(key, now, instant),
            Some(key) => Next::Wait(key.0),
            None => Next::ReadProbe(self.disk.begin_read(), probe),
        }
    }

    fn is_due(&self, key: QueueKey, now: Timestamp) -> bool {
        item::is_due(key, now, self.limits.wait_max)
    }

    fn next_queued(&mut self, now: Timestamp, instant: Instant) -> Next {
        let earliest = self.buffered.first_key_value().map(|(key, _)| *key);
        let first = self.buffered.keys().copied().find(|key| self.is_due(*key, now)).or(earliest);
        let is_due = first.is_some_and(|key| self.is_due(key, now));
        let is_low = self.buffered.len() <= self.limits.page / 4;
        // Every row on disk is behind the cursor. If the first buffered delivery is not, no row is due before it.
        // A row that may be due earlier replaces a buffered one. Any other row waits for room.
        let may_be_earlier = !is_due && first.is_some_and(|first| self.disk.cursor() < first);
        let room = self.limits.page.saturating_sub(self.buffered.len() + self.reserved);
        let rows_max = room.max(usize::from(may_be_earlier));
        if self.disk.can_read() && rows_max > 0 && (is_low || may_be_earlier) {
            return Next::ReadPage(self.disk.begin_page(rows_max));
        }
        match first {
            Some(key) if is_due => self.start(key, now, instant),
            Some(key) => Next::Wait(key.0),
            None => Next::Nothing,
        }
    }

    fn start(&mut self, key: QueueKey, now: Timestamp, instant: Instant) -> Next {
        let rate_limit = self.subscription.spec.rate_limit;
        if let Some(wait) = rate_limit.and_then(|limit| self.starts.wait(limit, instant)) {
            return Next::Wait(now.after(wait));
        }
        let Some(delivery) = self.buffered.remove(&key) else { return Next::Nothing };
        self.busy.insert(delivery.id);
        self.in_flight.insert(delivery.id);
        if rate_limit.is_some() {
            self.starts.record(instant);
        }
        if self.is_probing() && self.health.probe.is_none() {
            self.health.probe = Some(delivery.id);
        }
        Next::Start(delivery)
    }
}

/// The next thing for a lane to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Attempt this delivery.
    Start(LaneDelivery),
    /// Read this page of the queue.
    ReadPage(Page),
    /// Read the due time of the probe.
    ReadProbe(ReadNumber, DeliveryId),
    /// Ask again at this time.
    Wait(Timestamp),
    /// Do nothing until the lane changes.
    Nothing,
}

/// The effect of an attempt on its lane.
#[derive(Debug)]
pub(super) struct AttemptEffect {
    /// The health of the subscription after the attempt.
    pub(super) health: HealthState,
    /// The end of the pause that the receiver asked for.
    pub(super) paused_until: Option<Timestamp>,
    /// Whether the delivery has ended.
    pub(super) is_final: bool,
}

#[cfg(test)]
mod tests;
