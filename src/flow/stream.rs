//! What happens, told live to whoever listens.
//!
//! The newest happenings lie in a ring of bounded length, so that a listener that was cut off for a moment misses
//! nothing. Telling one costs a short lock and no text; each listener takes from the ring at its own pace, and who falls
//! behind by more than the ring's length is dropped. Nothing here waits for a listener.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::model::attempt::{Attempt, ErrorClass, Outcome};
use crate::model::delivery::{Delivery, DeliveryState, Progress};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::name::{CompanyId, EventType, ProjectId};
use crate::model::string_enum::string_enum;
use crate::model::subscription::{DisabledReason, Health};
use crate::model::time::Timestamp;

use super::Flow;
use super::entry::Entry;

/// How many happenings a listener takes at once.
const TAKE_MAX: usize = 64;

string_enum!(
    /// The kinds of happenings.
    Kind {
        /// An event and its deliveries are on stable storage.
        EventAccepted = "event.accepted",
        /// An attempt is over and written down.
        AttemptFinished = "attempt.finished",
        /// A delivery has come to its end.
        DeliverySettled = "delivery.settled",
        /// A subscription was made, changed or deleted, or its health changed.
        SubscriptionChanged = "subscription.changed",
    }
);

string_enum!(
    /// What changed about a subscription.
    Change {
        /// It was made.
        Created = "created",
        /// Its settings.
        Settings = "settings",
        /// Its health, or whether it is switched on.
        Health = "health",
        /// It was deleted.
        Deleted = "deleted",
    }
);

/// Something that happened. Durable when it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// An event was accepted.
    EventAccepted {
        /// Which.
        event: EventId,
        /// What happened.
        event_type: EventType,
        /// Where it happened.
        project: ProjectId,
        /// Whose project that is.
        company: Option<CompanyId>,
        /// How many subscriptions it goes to.
        matched: u32,
    },
    /// An attempt is over.
    AttemptFinished {
        /// Its delivery.
        delivery: DeliveryId,
        /// The delivery's event.
        event: EventId,
        /// The delivery's subscription.
        subscription: SubscriptionId,
        /// 1 for the first.
        attempt: u32,
        /// When it began.
        started_at: Timestamp,
        /// How long it took.
        duration: Duration,
        /// What came of it: a status, or the lack of one.
        outcome: Result<u16, ErrorClass>,
    },
    /// A delivery has come to its end.
    DeliverySettled {
        /// Which.
        delivery: DeliveryId,
        /// Its event.
        event: EventId,
        /// Its subscription.
        subscription: SubscriptionId,
        /// The end.
        state: DeliveryState,
        /// When.
        at: Timestamp,
    },
    /// A subscription is not as it was.
    SubscriptionChanged {
        /// Which.
        subscription: SubscriptionId,
        /// What of it.
        change: Change,
        /// Its health now.
        health: Health,
        /// Why it is switched off, if it is.
        disabled_reason: Option<DisabledReason>,
        /// When.
        at: Timestamp,
    },
}

impl Happening {
    /// An accepted event.
    pub(super) fn accepted(event: &Event, matched: usize) -> Self {
        let content = &event.content;
        Self::EventAccepted {
            event: event.id,
            event_type: content.event_type.clone(),
            project: content.project.clone(),
            company: content.company.clone(),
            matched: u32::try_from(matched).unwrap_or(u32::MAX),
        }
    }

    /// An attempt of a delivery.
    pub(super) fn attempted(delivery: &Delivery, attempt: &Attempt) -> Self {
        Self::AttemptFinished {
            delivery: delivery.id,
            event: delivery.event,
            subscription: delivery.subscription,
            attempt: attempt.number,
            started_at: attempt.started_at,
            duration: attempt.duration,
            outcome: match &attempt.outcome {
                Outcome::Success { status } | Outcome::Rejected { status, .. } => Ok(*status),
                Outcome::Failed { class, .. } => Err(*class),
            },
        }
    }

    /// The end of a delivery; none if it has not come.
    pub(super) fn settled(delivery: &Delivery, at: Timestamp) -> Option<Self> {
        let state = match delivery.progress {
            Progress::Waiting { .. } => return None,
            Progress::Succeeded => DeliveryState::Succeeded,
            Progress::Exhausted => DeliveryState::Exhausted,
            Progress::Cancelled => DeliveryState::Cancelled,
        };
        let Delivery { id, event, subscription, .. } = *delivery;
        Some(Self::DeliverySettled { delivery: id, event, subscription, state, at })
    }

    /// A change of a subscription, which is so now.
    pub(super) fn changed(entry: &Entry, change: Change, at: Timestamp) -> Self {
        Self::SubscriptionChanged {
            subscription: entry.subscription.id,
            change,
            health: entry.health.summary(),
            disabled_reason: entry.health.disabled.as_ref().map(|disabled| disabled.reason),
            at,
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::EventAccepted { .. } => Kind::EventAccepted,
            Self::AttemptFinished { .. } => Kind::AttemptFinished,
            Self::DeliverySettled { .. } => Kind::DeliverySettled,
            Self::SubscriptionChanged { .. } => Kind::SubscriptionChanged,
        }
    }

    /// The subscription that it is about; none for an event, which may be about many.
    pub const fn subscription(&self) -> Option<SubscriptionId> {
        match self {
            Self::EventAccepted { .. } => None,
            Self::AttemptFinished { subscription, .. }
            | Self::DeliverySettled { subscription, .. }
            | Self::SubscriptionChanged { subscription, .. } => Some(*subscription),
        }
    }
}

/// A happening in its place.
#[derive(Debug)]
pub struct Told {
    /// Its place: greater than that of everything told before, also by an earlier run of the daemon.
    pub number: u64,
    /// What happened.
    pub happening: Happening,
    text: OnceLock<Bytes>,
}

impl Told {
    /// Its text, which the first listener makes for all.
    pub fn text(&self, write: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.text.get_or_init(|| write(self)).clone()
    }
}

/// The ring, and who listens.
#[derive(Debug)]
pub(super) struct Stream {
    ring: Mutex<Ring>,
    ring_max: usize,
    listeners: AtomicUsize,
    listeners_max: usize,
    wake: Notify,
    /// Cancelled when all listeners have to go, and then replaced unless the daemon stops.
    hang_up: Mutex<CancellationToken>,
}

#[derive(Debug)]
struct Ring {
    next: u64,
    told: VecDeque<Arc<Told>>,
}

impl Ring {
    fn first(&self) -> u64 {
        self.told.front().map_or(self.next, |told| told.number)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is in there is whole at any moment.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    pub(super) fn new(now: Timestamp, ring_max: usize, listeners_max: usize) -> Arc<Self> {
        // A run begins where no run before can have come: it told less than a million things a millisecond.
        let ring = Ring { next: now.as_millis() << 20, told: VecDeque::new() };
        Arc::new(Self {
            ring: Mutex::new(ring),
            ring_max,
            listeners: AtomicUsize::new(0),
            listeners_max,
            wake: Notify::new(),
            hang_up: Mutex::default(),
        })
    }

    /// Tells what happened, in this order.
    pub(super) fn tell(&self, happenings: impl IntoIterator<Item = Happening>) {
        {
            let mut ring = lock(&self.ring);
            for happening in happenings {
                let number = ring.next;
                ring.next += 1;
                ring.told.push_back(Arc::new(Told { number, happening, text: OnceLock::new() }));
                if ring.told.len() > self.ring_max {
                    ring.told.pop_front();
                }
            }
        }
        // A listener counts itself before it looks into the ring: either it is seen here, or it saw this.
        if self.listeners.load(Ordering::Acquire) > 0 {
            self.wake.notify_waiters();
        }
    }

    fn listen(self: &Arc<Self>, after: Option<u64>) -> Option<(Listener, Option<Gap>)> {
        let counted = self.listeners.fetch_update(Ordering::AcqRel, Ordering::Acquire, |listeners| {
            (listeners < self.listeners_max).then_some(listeners + 1)
        });
        counted.ok()?;
        let hung_up = lock(&self.hang_up).clone();
        let (first, next) = {
            let ring = lock(&self.ring);
            (ring.first(), ring.next)
        };
        let mut listener = Listener { stream: Arc::clone(self), next, hung_up };
        let Some(after) = after else { return Some((listener, None)) };
        let is_known = first.checked_sub(1).is_some_and(|before| before <= after) && after < next;
        listener.next = if is_known { after + 1 } else { first };
        Some((listener, (!is_known).then_some(Gap { after, resumes_at: first })))
    }
}

/// Something was told that a listener missed and that is not known any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The last that the listener knows.
    pub after: u64,
    /// The first that it will hear now.
    pub resumes_at: u64,
}

/// Whoever listens, until it is dropped.
#[derive(Debug)]
pub struct Listener {
    stream: Arc<Stream>,
    next: u64,
    hung_up: CancellationToken,
}

/// What a listener hears.
#[derive(Debug)]
pub enum Heard {
    /// These, in order; at least one.
    Told(Vec<Arc<Told>>),
    /// Too late: the next is not known any more. The listener is of no use from now on.
    Behind,
    /// All listeners have to go, and may come back.
    HungUp,
}

impl Listener {
    /// Waits for what comes next. Cancel safe.
    pub async fn hear(&mut self) -> Heard {
        loop {
            if self.hung_up.is_cancelled() {
                return Heard::HungUp;
            }
            let stream = Arc::clone(&self.stream);
            let mut woken = pin!(stream.wake.notified());
            woken.as_mut().enable();
            if let Some(heard) = self.take() {
                return heard;
            }
            tokio::select! {
                () = self.hung_up.cancelled() => return Heard::HungUp,
                () = woken => {}
            }
        }
    }

    fn take(&mut self) -> Option<Heard> {
        let ring = lock(&self.stream.ring);
        let Some(missing) = self.next.checked_sub(ring.first()) else { return Some(Heard::Behind) };
        let from = usize::try_from(missing).unwrap_or(usize::MAX);
        let told: Vec<_> = ring.told.iter().skip(from).take(TAKE_MAX).cloned().collect();
        drop(ring);
        self.next = told.last()?.number + 1;
        Some(Heard::Told(told))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stream.listeners.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Flow {
    /// Listens to what happens from now on, or after the one of that number; none if too many listen already.
    ///
    /// With the listener comes the gap, if what followed that number is not known any more.
    pub fn listen(&self, after: Option<u64>) -> Option<(Listener, Option<Gap>)> {
        self.stream.listen(after)
    }

    /// How many listen, and how many may.
    pub fn listeners(&self) -> (usize, usize) {
        (self.stream.listeners.load(Ordering::Acquire), self.stream.listeners_max)
    }

    /// Sends every listener away: they have to show again that they may listen.
    pub(super) fn hang_up(&self) {
        std::mem::take(&mut *lock(&self.stream.hang_up)).cancel();
    }

    /// Sends every listener away for good, so that none holds up the stop of the daemon.
    pub fn end_listening(&self) {
        lock(&self.stream.hang_up).cancel();
    }

    pub(super) fn tell_changed(&self, entry: &Entry, change: Change) {
        self.stream.tell([Happening::changed(entry, change, self.clock.now())]);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1000);
    const BASE: u64 = 1000 << 20;

    fn happening(number: u128) -> Happening {
        let (delivery, event, subscription) =
            (DeliveryId::from_bits(number), EventId::from_bits(0), SubscriptionId::from_bits(0));
        Happening::DeliverySettled { delivery, event, subscription, state: DeliveryState::Succeeded, at: NOW }
    }

    fn told(stream: &Stream, count: u128) {
        for number in 0..count {
            stream.tell([happening(number)]);
        }
    }

    /// What is heard without waiting: numbers from the base, or why there is nothing to hear.
    fn heard(listener: &mut Listener) -> Result<Vec<u64>, &'static str> {
        match listener.hear().now_or_never() {
            None => Err("nothing"),
            Some(Heard::Told(told)) => Ok(told.iter().map(|one| one.number - BASE).collect()),
            Some(Heard::Behind) => Err("behind"),
            Some(Heard::HungUp) => Err("hung up"),
        }
    }

    #[test]
    fn a_happening_is_small() {
        assert!(size_of::<Happening>() <= 112, "{}", size_of::<Happening>());
    }

    #[tokio::test]
    async fn a_listener_hears_everything_in_order_from_where_it_asked() {
        let stream = Stream::new(NOW, 10, 3);
        told(&stream, 3);
        let (mut now, gap) = stream.listen(None).unwrap();
        assert_eq!((heard(&mut now), gap), (Err("nothing"), None));
        told(&stream, 2);
        assert_eq!(heard(&mut now), Ok(vec![3, 4]));
        let (mut later, gap) = stream.listen(Some(BASE + 1)).unwrap();
        assert_eq!((heard(&mut later), gap), (Ok(vec![2, 3, 4]), None));
        let (mut last, gap) = stream.listen(Some(BASE + 4)).unwrap();
        assert_eq!((heard(&mut last), gap), (Err("nothing"), None));
        assert!(stream.listen(None).is_none(), "three may listen");
        drop(last);
        let (mut again, gap) = stream.listen(Some(BASE - 1)).unwrap();
        assert_eq!((heard(&mut again), gap), (Ok(vec![0, 1, 2, 3, 4]), None));
        let waits = again.hear();
        tokio::pin!(waits);
        assert!((&mut waits).now_or_never().is_none());
        told(&stream, 1);
        assert!(matches!(waits.await, Heard::Told(told) if told.len() == 1));
    }

    #[tokio::test]
    async fn what_is_not_known_any_more_is_a_gap_and_who_falls_behind_is_dropped() {
        let stream = Stream::new(NOW, 10, 9);
        let (mut slow, _) = stream.listen(None).unwrap();
        told(&stream, 10);
        let (mut first, gap) = stream.listen(Some(BASE - 1)).unwrap();
        assert_eq!((heard(&mut first).unwrap().len(), gap), (10, None));
        told(&stream, 1);
        assert_eq!(heard(&mut slow), Err("behind"));
        assert_eq!(heard(&mut first), Ok(vec![10]));
        for unknown in [0, BASE - 1, BASE + 11, u64::MAX] {
            let (mut late, gap) = stream.listen(Some(unknown)).unwrap();
            assert_eq!(gap, Some(Gap { after: unknown, resumes_at: BASE + 1 }), "{unknown}");
            assert_eq!(heard(&mut late).unwrap()[0], 1);
        }
        assert_eq!(lock(&stream.ring).told.len(), 10);
    }

    #[tokio::test]
    async fn a_text_is_made_once() {
        let stream = Stream::new(NOW, 10, 9);
        let (mut one, _) = stream.listen(None).unwrap();
        let (mut other, _) = stream.listen(None).unwrap();
        told(&stream, 1);
        for (listener, text) in [(&mut one, "first"), (&mut other, "second")] {
            let Heard::Told(told) = listener.hear().await else { panic!("nothing was told") };
            assert_eq!(told[0].text(|_| text.into()), "first");
        }
    }
}
