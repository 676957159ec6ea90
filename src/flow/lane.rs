//! A lane: what one subscription's deliveries wait for, and which goes next.
//!
//! The waiting line itself is on disk, ordered by due time. A lane keeps in hand only its beginning: at most a
//! page of it, and *fresh* deliveries that never had to wait and have no row there yet. Everything on disk up
//! to the `horizon` is in hand or being worked on; beyond it the lane looks when it runs dry.
//!
//! ```text
//!            in hand                        on disk
//!   ┌──────────────────────────┐  ┌────────────────────────┐
//!   │ due 8:01  8:01  8:02 …   │  │ 8:04  8:04  8:11  …    │
//!   └──────────────────────────┘  └────────────────────────┘
//!                      horizon ───┘
//! ```
//! A receiver in trouble is asked politely. After one failure the lane has one request out at a time; after
//! two in a row nothing goes but the *probe*, the delivery that failed first, by its own schedule, until
//! something succeeds or the probe is exhausted. While it waits so, or is switched off, the lane is *folded*:
//! it holds nothing but the probe, and what was fresh is given its row on disk.
//!
//! Nothing here waits or does I/O. Every change is followed by a call of `Flow::pump`, which asks
//! `LaneState::next` what to do.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::name::EventType;
use crate::model::notice::is_requested;
use crate::model::subscription::{HealthState, Ordering, RateLimit, Subscription};
use crate::model::time::Timestamp;

mod limits;
mod line;

use super::entry::Entry;
use super::trouble::Trouble;

pub(super) use limits::Limits;
pub(super) use line::{Item, Key, Next, Page, Serial, Way};
use line::{KEY_MAX, KEY_MIN};

/// Why a lane does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Closed {
    /// Its subscription was deleted.
    Deleted,
    /// The daemon is stopping.
    Stopping,
}

/// What happens while something is being read.
#[derive(Debug)]
struct Loading {
    serial: Serial,
    /// The first row written meanwhile that was left on disk.
    missed: Option<Key>,
    /// Deliveries that changed meanwhile: what was read of them may be old.
    touched: BTreeSet<DeliveryId>,
}

/// A subscription's lane.
#[derive(Debug)]
pub(super) struct Lane {
    /// Whose it is.
    pub(super) id: SubscriptionId,
    state: Mutex<LaneState>,
}

impl Lane {
    /// A lane that has yet to look at its waiting line, if it has one.
    pub(super) fn new(
        subscription: Arc<Subscription>,
        health: HealthState,
        limits: Limits,
        line: Line,
    ) -> Arc<Self> {
        let id = subscription.id;
        Arc::new(Self { id, state: Mutex::new(LaneState::new(subscription, health, limits, line)) })
    }

    /// Its state. Held for moments only, never over an await.
    pub(super) fn lock(&self) -> MutexGuard<'_, LaneState> {
        // A panic while it was held is a bug that ends the daemon; until then the state is as good as it was.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the subscription with its health.
    pub(super) fn entry(&self) -> Entry {
        self.lock().entry()
    }
}

/// Whether a lane starts with rows on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line {
    /// None.
    Empty,
    /// Some, not yet looked at.
    OnDisk,
}

/// What a lane knows; see the module.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) subscription: Arc<Subscription>,
    pub(super) health: HealthState,
    limits: Limits,
    hand: BTreeMap<Key, Item>,
    /// Places promised to fresh deliveries whose commit is under way.
    promised: usize,
    /// Everything on disk up to here is in hand or busy.
    horizon: Key,
    loading: Option<Loading>,
    /// How often something was read.
    reads: u64,
    /// From the start of an attempt (or another change) until its result is durable.
    busy: BTreeSet<DeliveryId>,
    /// Those of them that only get their row: nothing is sent for them.
    rowless: BTreeSet<DeliveryId>,
    /// Those of them whose request is out.
    out: BTreeSet<DeliveryId>,
    /// Tells that one is busy no more.
    pub(super) let_go: Arc<Notify>,
    /// Failures in a row; counts no further than two.
    failures: u8,
    /// Asked for by `Retry-After`.
    rest_until: Option<Timestamp>,
    /// Starts within the span of the rate limit, oldest first.
    starts: VecDeque<Instant>,
    closed: Option<Closed>,
    /// What the log said of its receiver.
    pub(super) trouble: Trouble,
    /// Whether a notice has told that it fails or is off.
    pub(super) is_told: bool,
}

impl LaneState {
    fn new(subscription: Arc<Subscription>, health: HealthState, limits: Limits, line: Line) -> Self {
        let failures = if health.failing_since.is_some() { 2 } else { 0 };
        Self {
            subscription,
            health,
            limits,
            hand: BTreeMap::new(),
            promised: 0,
            horizon: if line == Line::Empty { KEY_MAX } else { KEY_MIN },
            loading: None,
            reads: 0,
            busy: BTreeSet::new(),
            rowless: BTreeSet::new(),
            out: BTreeSet::new(),
            let_go: Arc::default(),
            failures,
            rest_until: None,
            starts: VecDeque::new(),
            closed: None,
            trouble: Trouble::default(),
            is_told: failures > 0,
        }
    }

    /// Returns the subscription with its health.
    pub(super) fn entry(&self) -> Entry {
        Entry { subscription: Arc::clone(&self.subscription), health: self.health.clone() }
    }

    /// Takes new settings and bounds.
    pub(super) fn update(&mut self, subscription: Arc<Subscription>, limits: Limits) {
        self.subscription = subscription;
        self.limits = limits;
    }

    /// Whether its subscription, which matches, asks for events of that type; see [`is_requested`].
    pub(super) fn asks_for(&self, event_type: &EventType) -> bool {
        is_requested(&self.subscription.spec.events, event_type)
    }

    fn is_fifo(&self) -> bool {
        self.subscription.spec.ordering == Ordering::Fifo
    }

    /// Whether only the probe goes.
    pub(super) fn in_trouble(&self) -> bool {
        self.failures >= 2 || (self.failures > 0 && self.is_fifo())
    }

    /// Whether nothing is kept in hand but the probe.
    fn is_folded(&self) -> bool {
        self.is_deleted()
            || self.health.disabled.is_some()
            || (self.in_trouble() && self.health.probe.is_some())
    }

    /// Whether its subscription was deleted.
    pub(super) fn is_deleted(&self) -> bool {
        self.closed == Some(Closed::Deleted)
    }

    /// Whether the delivery is being attempted, or its result written.
    pub(super) fn is_in_flight(&self, id: DeliveryId) -> bool {
        self.busy.contains(&id) && !self.rowless.contains(&id)
    }

    /// Whether a request of the delivery is out.
    pub(super) fn is_out(&self, id: DeliveryId) -> bool {
        self.out.contains(&id)
    }

    /// The deliveries that are being attempted or written.
    pub(super) fn busy(&self) -> impl Iterator<Item = DeliveryId> {
        self.busy.iter().copied()
    }

    /// Until when the receiver asked for rest, if that is still to come.
    pub(super) fn resting(&self, now: Timestamp) -> Option<Timestamp> {
        self.rest_until.filter(|until| *until > now && *until <= now.after(self.limits.wait_max))
    }

    /// The delivery that all others wait for.
    pub(super) fn probe(&self) -> Option<DeliveryId> {
        self.health.probe.filter(|_| self.in_trouble())
    }

    /// Requests out.
    pub(super) fn in_flight(&self) -> usize {
        self.out.len()
    }

    /// Whether the receiver's newest answer was a success, as far as is known.
    pub(super) const fn is_trusted(&self) -> bool {
        self.failures == 0 && self.health.last_success_at.is_some()
    }

    // ── In ─────────────────────────────────────────────────────────────────────────────────────────────────

    /// Decides how the delivery of an event being accepted will come, and keeps a place for a fresh one.
    pub(super) fn promise(&mut self, now: Timestamp) -> Way {
        let straight = self.closed.is_none()
            && self.health.disabled.is_none()
            && !self.in_trouble()
            && !self.is_fifo()
            && self.horizon.0 > now
            && self.make_room(now);
        if straight {
            self.promised += 1;
            Way::Fresh
        } else if self.is_fifo() || self.health.disabled.is_some() {
            // Rows that come later may come in another order; and what is held can be cancelled from the beginning.
            Way::Queued
        } else {
            Way::Later
        }
    }

    /// Whether there is room in hand for one more, after putting back a later one if need be.
    fn make_room(&mut self, now: Timestamp) -> bool {
        if self.hand.len() + self.promised < self.limits.page {
            return true;
        }
        match self.hand.last_key_value() {
            Some((key, item)) if item.has_row && key.0 > now => {
                let key = *key;
                self.hand.remove(&key);
                self.leave(key);
                true
            }
            _ => false,
        }
    }

    /// Gives back a place that was promised and not used.
    pub(super) fn withdraw(&mut self) {
        self.promised = self.promised.saturating_sub(1);
    }

    /// Takes a fresh delivery for which a place was promised. False if the lane has folded meanwhile: it is
    /// then busy, and has to be given its row (or be cancelled, if the lane is deleted).
    #[must_use]
    pub(super) fn take_fresh(&mut self, item: Item) -> bool {
        self.withdraw();
        if self.busy.contains(&item.id) {
            // A person got hold of it first, and lets it go once that is written down.
            return true;
        }
        if self.is_folded() {
            return !self.hold(item.id);
        }
        self.hand.insert(item.key(), item);
        true
    }

    /// Takes note of a delivery that is to get its row by a step of its own; busy until then. False if it already is.
    pub(super) fn hold(&mut self, id: DeliveryId) -> bool {
        let is_new = self.busy.insert(id);
        if is_new {
            self.rowless.insert(id);
        }
        is_new
    }

    /// Takes note of a delivery whose row in the waiting line has just been written.
    pub(super) fn admit(&mut self, id: DeliveryId, due: Timestamp) {
        let key = (due, id);
        if self.busy.contains(&id) {
            return;
        }
        let is_probe = self.in_trouble() && self.health.probe == Some(id);
        if self.health.disabled.is_some() || !(is_probe || (key <= self.horizon && !self.is_folded())) {
            self.leave(key);
            return;
        }
        self.hand.insert(key, Item::queued(id, due));
        self.shrink();
    }

    /// Puts back the latest of what is in hand beyond a page.
    fn shrink(&mut self) {
        while self.hand.len() + self.promised > self.limits.page {
            match self.hand.last_key_value() {
                Some((key, item)) if item.has_row => {
                    let key = *key;
                    self.hand.remove(&key);
                    self.leave(key);
                }
                _ => return,
            }
        }
    }

    /// Leaves a row on disk: the horizon comes before it.
    fn leave(&mut self, key: Key) {
        let before = (key.0, DeliveryId::from_bits(key.1.bits().saturating_sub(1)));
        self.horizon = self.horizon.min(before);
        if let Some(loading) = &mut self.loading {
            loading.missed = Some(loading.missed.map_or(key, |missed| missed.min(key)));
        }
    }

    // ── Out ────────────────────────────────────────────────────────────────────────────────────────────────

    /// What to do now. A start is already counted when it is returned.
    pub(super) fn next(&mut self, now: Timestamp, instant: Instant) -> Next {
        if self.closed.is_some() || self.health.disabled.is_some() {
            return Next::Nothing;
        }
        if let Some(until) = self.resting(now) {
            return Next::Wait(until);
        }
        if self.is_full() {
            return Next::Nothing;
        }
        match self.probe() {
            Some(probe) => self.next_probe(probe, now, instant),
            None => self.next_in_line(now, instant),
        }
    }

    fn is_full(&self) -> bool {
        let most = if self.failures > 0 { 1 } else { self.limits.max_in_flight };
        self.out.len() >= most || (self.is_fifo() && !self.busy.is_empty())
    }

    fn next_probe(&mut self, probe: DeliveryId, now: Timestamp, instant: Instant) -> Next {
        if self.busy.contains(&probe) || self.loading.is_some() {
            return Next::Nothing;
        }
        match self.hand.keys().find(|(_, id)| *id == probe).copied() {
            Some(key) if self.is_due(key, now) => self.start(key, now, instant),
            Some(key) => Next::Wait(key.0),
            None => Next::Fetch(self.begin_read(), probe),
        }
    }

    fn is_due(&self, key: Key, now: Timestamp) -> bool {
        line::is_due(key, now, self.limits.wait_max)
    }

    fn next_in_line(&mut self, now: Timestamp, instant: Instant) -> Next {
        let earliest = self.hand.first_key_value().map(|(key, _)| *key);
        let first = self.hand.keys().copied().find(|key| self.is_due(*key, now)).or(earliest);
        let is_due = first.is_some_and(|key| self.is_due(key, now));
        let is_low = self.hand.len() <= self.limits.page / 4;
        // All on disk is later than the horizon: if the first in hand is not, nothing there is due before it.
        // A row that may be earlier takes another's place; any other waits for room.
        let may_be_earlier = !is_due && first.is_some_and(|first| self.horizon < first);
        let room = self.limits.page.saturating_sub(self.hand.len() + self.promised);
        let rows_max = room.max(usize::from(may_be_earlier));
        let has_more = self.horizon < KEY_MAX && self.loading.is_none();
        if has_more && rows_max > 0 && (is_low || may_be_earlier) {
            return Next::Load(Page { serial: self.begin_read(), after: self.horizon, rows_max });
        }
        match first {
            Some(key) if is_due => self.start(key, now, instant),
            Some(key) => Next::Wait(key.0),
            None => Next::Nothing,
        }
    }

    fn begin_read(&mut self) -> Serial {
        self.reads += 1;
        let serial = Serial(self.reads);
        self.loading = Some(Loading { serial, missed: None, touched: BTreeSet::new() });
        serial
    }

    /// What happened during the read of that serial; none if its answer is no longer of use.
    fn end_read(&mut self, serial: Serial) -> Option<Loading> {
        self.loading.take_if(|loading| loading.serial == serial)
    }

    fn start(&mut self, key: Key, now: Timestamp, instant: Instant) -> Next {
        if let Some(wait) = self.over_rate(instant) {
            return Next::Wait(now.after(wait));
        }
        let Some(item) = self.hand.remove(&key) else { return Next::Nothing };
        self.busy.insert(item.id);
        self.out.insert(item.id);
        if self.subscription.spec.rate_limit.is_some() {
            self.starts.push_back(instant);
        }
        if self.in_trouble() && self.health.probe.is_none() {
            self.health.probe = Some(item.id);
        }
        Next::Start(item)
    }

    /// How long until the rate limit lets another start happen; none if it does now.
    fn over_rate(&mut self, instant: Instant) -> Option<Duration> {
        let RateLimit { count, per } = self.subscription.spec.rate_limit?;
        while self.starts.front().is_some_and(|start| instant.duration_since(*start) >= per) {
            self.starts.pop_front();
        }
        let excess =
            self.starts.len().checked_sub(usize::try_from(NonZeroU32::get(count)).unwrap_or(usize::MAX))?;
        let oldest = self.starts.get(excess)?;
        // At least a millisecond, the grain of due times, so that the wait is never over too early.
        Some((*oldest + per).saturating_duration_since(instant).max(Duration::from_millis(1)))
    }

    // ── Results ────────────────────────────────────────────────────────────────────────────────────────────

    /// Takes note that an attempt's request is over; the delivery stays busy until its result is durable.
    /// Returns the fresh deliveries that have to be given a row because the lane folded; they are busy.
    #[must_use]
    pub(super) fn answered(&mut self, id: DeliveryId, answer: Answer) -> Vec<DeliveryId> {
        self.out.remove(&id);
        let Answer { health, rest_until, is_final } = answer;
        let was_folded = self.is_folded();
        let probe = self.health.probe;
        self.health = health;
        self.rest_until = self.rest_until.max(rest_until);
        if self.health.failing_since.is_none() {
            self.failures = 0;
            self.health.probe = None;
            return Vec::new();
        }
        self.failures = (self.failures + 1).min(2);
        self.health.probe = match probe {
            Some(probe) if probe == id && is_final => None,
            None if !is_final => Some(id),
            probe => probe,
        };
        let lets_go = self.is_folded() && (!was_folded || self.health.disabled.is_some());
        if lets_go { self.fold() } else { Vec::new() }
    }

    /// Takes note that a change of a delivery is durable; `due` if it goes on waiting.
    pub(super) fn settled(&mut self, id: DeliveryId, due: Option<Timestamp>) {
        self.busy.remove(&id);
        self.rowless.remove(&id);
        self.let_go.notify_waiters();
        if let Some(loading) = &mut self.loading {
            loading.touched.insert(id);
        }
        match due {
            Some(due) => self.admit(id, due),
            None if self.health.probe == Some(id) => self.health.probe = None,
            None => {}
        }
    }

    /// Puts back a start whose delivery could not be read, and rests the lane until then.
    pub(super) fn put_back(&mut self, item: Item, until: Timestamp) {
        self.out.remove(&item.id);
        self.busy.remove(&item.id);
        self.rest_until = self.rest_until.max(Some(until));
        self.hand.insert(item.key(), item);
    }

    /// Takes note that a start came to nothing: the delivery had already ended.
    pub(super) fn dropped(&mut self, id: DeliveryId) {
        self.out.remove(&id);
        self.settled(id, None);
    }

    /// Marks a delivery as being changed otherwise than by an attempt. False if it already is busy.
    #[must_use]
    pub(super) fn seize(&mut self, id: DeliveryId) -> bool {
        self.hand.retain(|key, _| key.1 != id);
        self.busy.insert(id)
    }

    /// Takes the rows of a page, in order; fewer than were asked for means that there are no more.
    pub(super) fn loaded(&mut self, page: Page, rows: &[Key]) {
        let Page { serial, after, rows_max } = page;
        let Some(Loading { missed, touched, .. }) = self.end_read(serial) else { return };
        if self.is_folded() || self.horizon < after {
            return;
        }
        // What was written meanwhile before the end of the page would be passed over: stop short of it.
        let stop = missed.unwrap_or(KEY_MAX);
        let mut horizon = after;
        for &(due, id) in rows.iter().take_while(|key| **key < stop) {
            horizon = (due, id);
            if !touched.contains(&id) && !self.busy.contains(&id) {
                self.hand.entry((due, id)).or_insert_with(|| Item::queued(id, due));
            }
        }
        self.horizon = if rows.len() < rows_max && missed.is_none() { KEY_MAX } else { horizon };
        self.shrink();
    }

    /// Takes where the probe stands: due then, or no longer waiting.
    pub(super) fn fetched(&mut self, serial: Serial, probe: DeliveryId, due: Option<Timestamp>) {
        let Some(Loading { touched, .. }) = self.end_read(serial) else { return };
        if touched.contains(&probe) || self.busy.contains(&probe) {
            return;
        }
        self.settled(probe, due);
    }

    /// Takes note that a read failed: what it was to bring is asked for again by the next `next`.
    pub(super) fn read_failed(&mut self, serial: Serial) {
        self.end_read(serial);
    }

    // ── Changes of health ────────────────────────────────────────────────────────────────────────────────

    /// Lets go of all but the probe. Returns what was fresh, now busy, which has to be given its row.
    fn fold(&mut self) -> Vec<DeliveryId> {
        let probe = if self.health.disabled.is_some() { None } else { self.health.probe };
        let mut fresh = Vec::new();
        for (key, item) in std::mem::take(&mut self.hand) {
            if Some(item.id) == probe && item.has_row {
                self.hand.insert(key, item);
            } else if !item.has_row {
                self.hold(item.id);
                fresh.push(item.id);
            }
        }
        self.horizon = KEY_MIN;
        fresh
    }

    /// Switches it off. Returns the fresh deliveries that have to be given a row.
    #[must_use]
    pub(super) fn disable(&mut self, health: HealthState) -> Vec<DeliveryId> {
        self.health = health;
        self.fold()
    }

    /// Switches it on: all that waits is looked at anew.
    pub(super) fn enable(&mut self, health: HealthState) {
        self.health = health;
        self.failures = 0;
        self.rest_until = None;
        self.hand.retain(|_, item| !item.has_row);
        self.horizon = KEY_MIN;
        // What is being read now may be from before all was made due.
        self.loading = None;
    }

    /// Ends it. Returns the fresh deliveries that have to be cancelled.
    #[must_use]
    pub(super) fn delete(&mut self) -> Vec<DeliveryId> {
        self.closed = Some(Closed::Deleted);
        self.fold()
    }

    /// Starts nothing any more; what is out comes back.
    pub(super) fn stop(&mut self) {
        self.closed.get_or_insert(Closed::Stopping);
    }
}

/// What an attempt's answer means for its lane.
#[derive(Debug)]
pub(super) struct Answer {
    /// The subscription's health now.
    pub(super) health: HealthState,
    /// Until when the receiver asked for rest.
    pub(super) rest_until: Option<Timestamp>,
    /// Whether the delivery is finished.
    pub(super) is_final: bool,
}

#[cfg(test)]
mod tests;
