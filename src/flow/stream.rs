//! The live stream of what happens.
//!
//! The newest events lie in a ring of bounded length. A client that reconnects after a moment thus misses nothing.
//! Publishing costs a short lock and writes no text. Each listener reads the ring at its own pace, and is disconnected
//! if it lags behind by more than the length of the ring. Publishing never waits for a listener.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::flow::change::entry::Entry;
use crate::model::attempt::{Attempt, ErrorClass, Outcome};
use crate::model::delivery::{Delivery, DeliveryState, Progress};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::name::{CompanyId, EventType, ProjectId};
use crate::model::string_enum::string_enum;
use crate::model::subscription::{DisabledReason, Health};
use crate::model::time::Timestamp;

/// The most items that a listener receives at once.
const TAKE_MAX: usize = 64;

string_enum!(
    /// The kind of a stream event.
    Kind {
        /// An event and its deliveries are on stable storage.
        EventAccepted = "event.accepted",
        /// An attempt has ended, and its outcome is on stable storage.
        AttemptFinished = "attempt.finished",
        /// A delivery has ended.
        DeliverySettled = "delivery.settled",
        /// A subscription was created, changed or deleted, or its health changed.
        SubscriptionChanged = "subscription.changed",
    }
);

string_enum!(
    /// The kind of change of a subscription.
    Change {
        /// The subscription was created.
        Created = "created",
        /// The settings changed.
        Settings = "settings",
        /// The health changed, or the subscription was enabled or disabled.
        Health = "health",
        /// The subscription was deleted.
        Deleted = "deleted",
    }
);

/// Something that happened. It is durable when it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// An event was accepted.
    EventAccepted {
        /// The id of the event.
        event: EventId,
        /// The type of the event.
        event_type: EventType,
        /// The project of the event.
        project: ProjectId,
        /// The company of the event.
        company: Option<CompanyId>,
        /// The number of subscriptions that get the event.
        matched: u32,
    },
    /// An attempt has ended.
    AttemptFinished {
        /// The id of the delivery.
        delivery: DeliveryId,
        /// The event of the delivery.
        event: EventId,
        /// The subscription of the delivery.
        subscription: SubscriptionId,
        /// The number of the attempt; the first is 1.
        attempt: u32,
        /// When the attempt began.
        started_at: Timestamp,
        /// The duration of the attempt.
        duration: Duration,
        /// The status of the response, or why there is none.
        outcome: Result<u16, ErrorClass>,
    },
    /// A delivery has ended.
    DeliverySettled {
        /// The id of the delivery.
        delivery: DeliveryId,
        /// The event of the delivery.
        event: EventId,
        /// The subscription of the delivery.
        subscription: SubscriptionId,
        /// The final state.
        state: DeliveryState,
        /// When it happened.
        at: Timestamp,
    },
    /// A subscription has changed.
    SubscriptionChanged {
        /// The id of the subscription.
        subscription: SubscriptionId,
        /// The kind of change.
        change: Change,
        /// The health after the change.
        health: Health,
        /// The reason for which the subscription is disabled, if it is.
        disabled_reason: Option<DisabledReason>,
        /// When it happened.
        at: Timestamp,
    },
}

impl StreamEvent {
    /// Returns the event for an accepted event.
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

    /// Returns the event for an attempt that has ended.
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

    /// Returns the event for the end of a delivery, or none if the delivery has not ended.
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

    /// Returns the event for a change of a subscription; `entry` is the state after the change.
    pub(super) fn changed(entry: &Entry, change: Change, at: Timestamp) -> Self {
        Self::SubscriptionChanged {
            subscription: entry.subscription.id,
            change,
            health: entry.health.summary(),
            disabled_reason: entry.health.disabled.as_ref().map(|disabled| disabled.reason),
            at,
        }
    }

    /// Returns the kind of the event.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::EventAccepted { .. } => Kind::EventAccepted,
            Self::AttemptFinished { .. } => Kind::AttemptFinished,
            Self::DeliverySettled { .. } => Kind::DeliverySettled,
            Self::SubscriptionChanged { .. } => Kind::SubscriptionChanged,
        }
    }

    /// Returns the subscription that the event is about, or none for an accepted event, which may go to many.
    pub const fn subscription(&self) -> Option<SubscriptionId> {
        match self {
            Self::EventAccepted { .. } => None,
            Self::AttemptFinished { subscription, .. }
            | Self::DeliverySettled { subscription, .. }
            | Self::SubscriptionChanged { subscription, .. } => Some(*subscription),
        }
    }
}

/// An event of the stream, with its number.
#[derive(Debug)]
pub struct StreamItem {
    /// The number of the item. It is greater than the numbers of all earlier items, including those of earlier runs of
    /// the daemon.
    pub number: u64,
    /// The event that happened.
    pub event: StreamEvent,
    text: OnceLock<Bytes>,
}

impl StreamItem {
    /// Returns the text of the item. The first caller writes it for all listeners.
    pub fn text(&self, write: impl FnOnce(&Self) -> Bytes) -> Bytes {
        self.text.get_or_init(|| write(self)).clone()
    }
}

/// The newest events, and the listeners.
#[derive(Debug)]
pub(super) struct Stream {
    ring: Mutex<Ring>,
    ring_max: usize,
    listeners: AtomicUsize,
    listeners_max: usize,
    /// Notified when events are published.
    published: Notify,
    /// Cancelled to disconnect all listeners. Replaced afterwards unless the daemon stops.
    disconnect: Mutex<CancellationToken>,
}

#[derive(Debug)]
struct Ring {
    /// The number of the next item.
    next: u64,
    items: VecDeque<Arc<StreamItem>>,
}

impl Ring {
    fn first(&self) -> u64 {
        self.items.front().map_or(self.next, |item| item.number)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code under the lock can panic and leave the value half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Stream {
    /// Returns a stream that keeps the newest `ring_max` events and allows `listeners_max` listeners.
    pub(super) fn new(now: Timestamp, ring_max: usize, listeners_max: usize) -> Arc<Self> {
        // The first number is derived from the time of the start. It is greater than all numbers of earlier runs as
        // long as a run publishes fewer than a million events a millisecond.
        let ring = Ring { next: now.as_millis() << 20, items: VecDeque::new() };
        Arc::new(Self {
            ring: Mutex::new(ring),
            ring_max,
            listeners: AtomicUsize::new(0),
            listeners_max,
            published: Notify::new(),
            disconnect: Mutex::default(),
        })
    }

    /// Publishes events, in this order. Never waits for a listener.
    pub(super) fn publish(&self, events: impl IntoIterator<Item = StreamEvent>) {
        {
            let mut ring = lock(&self.ring);
            for event in events {
                let number = ring.next;
                ring.next += 1;
                ring.items.push_back(Arc::new(StreamItem { number, event, text: OnceLock::new() }));
                if ring.items.len() > self.ring_max {
                    ring.items.pop_front();
                }
            }
        }
        // A listener counts itself before it looks into the ring. So either it is counted here, or it has seen these
        // events.
        if self.listeners.load(Ordering::Acquire) > 0 {
            self.published.notify_waiters();
        }
    }

    /// Adds a listener for the events from now on, or after the one with number `after`.
    ///
    /// Returns none if the limit of listeners is reached. Returns a [`Gap`] with the listener if some events after
    /// that number are no longer in the ring.
    pub(super) fn listen(self: &Arc<Self>, after: Option<u64>) -> Option<(Listener, Option<Gap>)> {
        let counted = self.listeners.fetch_update(Ordering::AcqRel, Ordering::Acquire, |listeners| {
            (listeners < self.listeners_max).then_some(listeners + 1)
        });
        counted.ok()?;
        let disconnected = lock(&self.disconnect).clone();
        let (first, next) = {
            let ring = lock(&self.ring);
            (ring.first(), ring.next)
        };
        let mut listener = Listener { stream: Arc::clone(self), next, disconnected };
        let Some(after) = after else { return Some((listener, None)) };
        let is_known = first.checked_sub(1).is_some_and(|before| before <= after) && after < next;
        listener.next = if is_known { after + 1 } else { first };
        Some((listener, (!is_known).then_some(Gap { after, resumes_at: first })))
    }

    /// Returns how many listeners there are, and how many may be.
    pub(super) fn listeners(&self) -> (usize, usize) {
        (self.listeners.load(Ordering::Acquire), self.listeners_max)
    }

    /// Disconnects every listener. Each may listen again if its credentials are still valid.
    pub(super) fn disconnect_listeners(&self) {
        std::mem::take(&mut *lock(&self.disconnect)).cancel();
    }

    /// Disconnects every listener, and every listener to come.
    pub(super) fn close(&self) {
        lock(&self.disconnect).cancel();
    }
}

/// Events between the last one that a listener knows and the next one that it gets. They are no longer in the ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// The number of the last event that the listener knows.
    pub after: u64,
    /// The number of the next event that the listener gets.
    pub resumes_at: u64,
}

/// A listener of the stream. Dropping it ends the subscription.
#[derive(Debug)]
pub struct Listener {
    stream: Arc<Stream>,
    /// The number of the next item to receive.
    next: u64,
    disconnected: CancellationToken,
}

/// The result of waiting for the next items.
#[derive(Debug)]
pub enum Received {
    /// The next items, in order; at least one.
    Items(Vec<Arc<StreamItem>>),
    /// The listener is too slow: its next item is no longer in the ring. The listener cannot be used any more.
    Lagged,
    /// The daemon disconnected all listeners. The client may connect again.
    Disconnected,
}

impl Listener {
    /// Waits for the next items. Cancel safe.
    pub async fn receive(&mut self) -> Received {
        loop {
            if self.disconnected.is_cancelled() {
                return Received::Disconnected;
            }
            let stream = Arc::clone(&self.stream);
            let mut published = pin!(stream.published.notified());
            published.as_mut().enable();
            if let Some(received) = self.take() {
                return received;
            }
            tokio::select! {
                () = self.disconnected.cancelled() => return Received::Disconnected,
                () = published => {}
            }
        }
    }

    fn take(&mut self) -> Option<Received> {
        let ring = lock(&self.stream.ring);
        let Some(passed) = self.next.checked_sub(ring.first()) else { return Some(Received::Lagged) };
        let from = usize::try_from(passed).unwrap_or(usize::MAX);
        let items: Vec<_> = ring.items.iter().skip(from).take(TAKE_MAX).cloned().collect();
        drop(ring);
        self.next = items.last()?.number + 1;
        Some(Received::Items(items))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stream.listeners.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1000);
    const BASE: u64 = 1000 << 20;

    fn event(number: u128) -> StreamEvent {
        let (delivery, event, subscription) =
            (DeliveryId::from_bits(number), EventId::from_bits(0), SubscriptionId::from_bits(0));
        StreamEvent::DeliverySettled {
            delivery,
            event,
            subscription,
            state: DeliveryState::Succeeded,
            at: NOW,
        }
    }

    fn publish(stream: &Stream, count: u128) {
        for number in 0..count {
            stream.publish([event(number)]);
        }
    }

    /// Returns what is received without waiting: numbers from the base, or why there are none.
    fn received(listener: &mut Listener) -> Result<Vec<u64>, &'static str> {
        match listener.receive().now_or_never() {
            None => Err("nothing"),
            Some(Received::Items(items)) => Ok(items.iter().map(|one| one.number - BASE).collect()),
            Some(Received::Lagged) => Err("lagged"),
            Some(Received::Disconnected) => Err("disconnected"),
        }
    }

    #[test]
    fn a_stream_event_is_small() {
        assert!(size_of::<StreamEvent>() <= 112, "{}", size_of::<StreamEvent>());
    }

    #[tokio::test]
    async fn a_listener_receives_everything_in_order_from_where_it_asked() {
        let stream = Stream::new(NOW, 10, 3);
        publish(&stream, 3);
        let (mut now, gap) = stream.listen(None).unwrap();
        assert_eq!((received(&mut now), gap), (Err("nothing"), None));
        publish(&stream, 2);
        assert_eq!(received(&mut now), Ok(vec![3, 4]));
        let (mut later, gap) = stream.listen(Some(BASE + 1)).unwrap();
        assert_eq!((received(&mut later), gap), (Ok(vec![2, 3, 4]), None));
        let (mut last, gap) = stream.listen(Some(BASE + 4)).unwrap();
        assert_eq!((received(&mut last), gap), (Err("nothing"), None));
        assert!(stream.listen(None).is_none(), "three listeners are allowed");
        drop(last);
        let (mut again, gap) = stream.listen(Some(BASE - 1)).unwrap();
        assert_eq!((received(&mut again), gap), (Ok(vec![0, 1, 2, 3, 4]), None));
        let waits = again.receive();
        tokio::pin!(waits);
        assert!((&mut waits).now_or_never().is_none());
        publish(&stream, 1);
        assert!(matches!(waits.await, Received::Items(items) if items.len() == 1));
    }

    #[tokio::test]
    async fn missed_events_are_reported_as_a_gap_and_a_lagging_listener_is_dropped() {
        let stream = Stream::new(NOW, 10, 9);
        let (mut slow, _) = stream.listen(None).unwrap();
        publish(&stream, 10);
        let (mut first, gap) = stream.listen(Some(BASE - 1)).unwrap();
        assert_eq!((received(&mut first).unwrap().len(), gap), (10, None));
        publish(&stream, 1);
        assert_eq!(received(&mut slow), Err("lagged"));
        assert_eq!(received(&mut first), Ok(vec![10]));
        for unknown in [0, BASE - 1, BASE + 11, u64::MAX] {
            let (mut late, gap) = stream.listen(Some(unknown)).unwrap();
            assert_eq!(gap, Some(Gap { after: unknown, resumes_at: BASE + 1 }), "{unknown}");
            assert_eq!(received(&mut late).unwrap()[0], 1);
        }
        assert_eq!(lock(&stream.ring).items.len(), 10);
    }

    #[tokio::test]
    async fn the_text_of_an_item_is_written_once() {
        let stream = Stream::new(NOW, 10, 9);
        let (mut one, _) = stream.listen(None).unwrap();
        let (mut other, _) = stream.listen(None).unwrap();
        publish(&stream, 1);
        for (listener, text) in [(&mut one, "first"), (&mut other, "second")] {
            let Received::Items(items) = listener.receive().await else { panic!("nothing was received") };
            assert_eq!(items[0].text(|_| text.into()), "first");
        }
    }
}
