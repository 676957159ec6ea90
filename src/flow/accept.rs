//! Accepting events: match, append, and hand over once durable.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::model::delivery::{Delivery, Progress};
use crate::model::event::EventContent;
use crate::model::id::{EventId, SubscriptionId};
use crate::rules::matcher::{Candidate, Matches};
use crate::store::{
    Append, Appended, Idempotent, IdempotentRequest, QueueFull as NoSlot, RecordedEvent, RecordedResult,
    Settlement, StoreError, Target,
};

use super::Flow;
use super::carry::Carried;
use super::intake::{Held, Places};
use super::lane::{Item, Lane, Way};
use super::stream::Happening;

/// How long a sender is asked to wait when the queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What became of a submitted event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Its id, or that of the one that it repeats.
    pub id: EventId,
    /// How many subscriptions it goes to; none again for a duplicate.
    pub matched: usize,
    /// Whether its sender's id was seen within the dedup window.
    pub duplicate: bool,
}

impl From<RecordedEvent> for Accepted {
    fn from(RecordedEvent { id, matched, duplicate }: RecordedEvent) -> Self {
        let matched = if duplicate { 0 } else { usize::try_from(matched).unwrap_or(usize::MAX) };
        Self { id, matched, duplicate }
    }
}

/// Why events were not taken. None of them was.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// More events wait to be made durable than `server.queue_events_max`.
    #[error("the queue of events is full: try again in {}s", .retry_after.as_secs())]
    QueueFull {
        /// When to try again.
        retry_after: Duration,
    },
    /// The data disk is nearly full.
    #[error(
        "only {free} bytes are free on the data disk, and storage.disk_reserve keeps {reserve}: make room or lower it"
    )]
    DiskFull {
        /// What is left.
        free: u64,
        /// What has to be.
        reserve: u64,
    },
    /// Their idempotency key was used for something else.
    #[error("this idempotency key was used with another body: take a new key for a new request")]
    KeyReused,
    /// The daemon is stopping.
    #[error("the daemon is stopping: try again when it has started")]
    Stopping,
    /// The log failed.
    #[error("the events could not be made durable: {0}")]
    Store(#[from] StoreError),
}

/// Who submits events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// A client.
    Client,
    /// The daemon itself: its few events are taken however full the disk is, and not delivered to this subscription.
    Daemon {
        /// The one that they are about.
        except: Option<SubscriptionId>,
    },
}

impl Sender {
    /// Whether a lane whose subscription matches gets the event.
    pub(super) fn tells(self, lane: &Lane, content: &EventContent) -> bool {
        match self {
            Self::Client => true,
            Self::Daemon { except } => except != Some(lane.id) && lane.lock().asks_for(&content.event_type),
        }
    }
}

/// An event on its way to the log, with the lanes that it goes to.
type Outbound = Vec<(Arc<Lane>, Way)>;

/// A fresh delivery that is to wait on disk, busy in its lane until it has its row there.
pub(super) type Rowless = (Arc<Lane>, Delivery);

/// How many get their rows in one step: so few that an event which comes meanwhile hardly waits for them.
const PARKED_AT_ONCE: usize = 48;

/// How long they wait for that: the deliveries of the same event that go out at once have the machine for
/// themselves meanwhile.
const PARKED_AFTER: Duration = Duration::from_millis(5);

impl Flow {
    /// Takes events, all or none, and answers once they and their deliveries are durable, in the same order.
    ///
    /// `held` is the room that their bodies take, which is given back once they are durable.
    ///
    /// Cancel safe: events that have their place in the queue are taken and delivered, whether or not anybody
    /// waits for the answer.
    pub async fn accept(
        &self,
        contents: Vec<EventContent>,
        held: Held,
    ) -> Result<Vec<Accepted>, AcceptError> {
        self.accept_from(Sender::Client, contents, held).await
    }

    /// As [`accept`](Self::accept), from somebody else.
    pub(super) async fn accept_from(
        &self,
        sender: Sender,
        contents: Vec<EventContent>,
        held: Held,
    ) -> Result<Vec<Accepted>, AcceptError> {
        match self.take_in(sender, contents, held, None).await? {
            Idempotent::Made(accepted) => Ok(accepted),
            // Nothing is repeated without a key.
            Idempotent::Repeated(_) | Idempotent::Mismatch => Err(AcceptError::KeyReused),
        }
    }

    /// As [`accept`](Self::accept), once for each key: later calls get the first one's answer, and true.
    pub async fn accept_idempotent(
        &self,
        contents: Vec<EventContent>,
        held: Held,
        once: IdempotentRequest,
    ) -> Result<(Vec<Accepted>, bool), AcceptError> {
        match self.take_in(Sender::Client, contents, held, Some(once)).await? {
            Idempotent::Made(accepted) => Ok((accepted, false)),
            Idempotent::Repeated(RecordedResult::Events(events)) => {
                Ok((events.into_iter().map(Accepted::from).collect(), true))
            }
            Idempotent::Repeated(_) | Idempotent::Mismatch => Err(AcceptError::KeyReused),
        }
    }

    async fn take_in(
        &self,
        sender: Sender,
        contents: Vec<EventContent>,
        held: Held,
        once: Option<IdempotentRequest>,
    ) -> Result<Idempotent<Vec<Accepted>>, AcceptError> {
        let began = self.clock.instant();
        self.check_open(sender)?;
        let full = || self.queue_full();
        let places = self.intake.try_enter(contents.len(), held).ok_or_else(full)?;
        let place = self.store.try_reserve().map_err(|error| match error {
            NoSlot::Full => full(),
            NoSlot::Closed => AcceptError::Stopping,
        })?;
        let (appends, outbound) = self.address(sender, contents);
        let (answer, answered) = oneshot::channel();
        let flow = self.clone();
        let done = move |result| {
            let accepted = flow.hand_over(result, outbound, places, began);
            if let Ok(Idempotent::Made(accepted)) = &accepted {
                flow.count_accepted(accepted, began);
            }
            // Nobody waits any more if the sender hung up; the events are taken all the same.
            drop(answer.send(accepted));
        };
        match once {
            Some(once) => place.append_idempotent(once, appends, done),
            None => place.append(appends, move |result| done(result.map(Idempotent::Made))),
        }
        Ok(answered.await.unwrap_or(Err(StoreError::Closed))?)
    }

    /// Refuses what there is no place or room for.
    fn queue_full(&self) -> AcceptError {
        self.timings.refused_by_queue();
        AcceptError::QueueFull { retry_after: RETRY_AFTER }
    }

    /// Makes room for so many more bytes of a request's body, until `held` is dropped.
    pub fn hold(&self, held: &mut Held, bytes: usize) -> Result<(), AcceptError> {
        if self.intake.room().take(held, bytes) { Ok(()) } else { Err(self.queue_full()) }
    }

    fn count_accepted(&self, accepted: &[Accepted], began: Instant) {
        let duplicates = accepted.iter().filter(|one| one.duplicate).count() as u64;
        let now = self.clock.instant();
        let took = now.duration_since(began);
        self.meter.accepted(now, accepted.len() as u64 - duplicates, duplicates, took);
        self.timings.ingest.observe(took.as_secs_f64());
    }

    fn check_open(&self, sender: Sender) -> Result<(), AcceptError> {
        if self.stopping.is_cancelled() {
            return Err(AcceptError::Stopping);
        }
        if sender != Sender::Client {
            return Ok(());
        }
        let reserve = self.config.load().storage.disk_reserve;
        let free = self.intake.disk_free(self.clock.instant(), || self.reader.disk_free())?;
        if free < reserve {
            self.timings.refused_by_disk();
            return Err(AcceptError::DiskFull { free, reserve });
        }
        Ok(())
    }

    /// Finds out where each event goes, and how.
    fn address(&self, sender: Sender, contents: Vec<EventContent>) -> (Vec<Append>, Vec<Outbound>) {
        let now = self.clock.now();
        let snapshot = self.index.snapshot();
        let mut matches = Matches::default();
        let mut appends = Vec::with_capacity(contents.len());
        let mut outbound = Vec::with_capacity(contents.len());
        for content in contents {
            let began = self.clock.instant();
            let found = snapshot.match_into(&Candidate { content: &content, arrived_at: now }, &mut matches);
            self.timings.matching.observe(self.clock.instant().duration_since(began).as_secs_f64());
            let lanes: Outbound = found
                .iter()
                .filter_map(|id| self.lanes.get(id))
                .filter(|lane| sender.tells(lane, &content))
                .map(|lane| {
                    let way = self.intake.way(lane.lock().promise(now));
                    (lane, way)
                })
                .collect();
            let targets = lanes
                .iter()
                .map(|(lane, way)| Target { subscription: lane.id, queued: *way == Way::Queued })
                .collect();
            appends.push(Append { content, targets });
            outbound.push(lanes);
        }
        (appends, outbound)
    }

    /// Gives what has become durable to the lanes. The places in the queue are kept until all that comes of it is
    /// written, so that senders never run ahead of that.
    fn hand_over(
        &self,
        result: Result<Idempotent<Vec<Appended>>, StoreError>,
        outbound: Vec<Outbound>,
        places: Places,
        began: Instant,
    ) -> Result<Idempotent<Vec<Accepted>>, StoreError> {
        let appended = match result {
            Ok(Idempotent::Made(appended)) => appended,
            other => {
                for lanes in outbound {
                    self.give_back(lanes);
                }
                return other.map(unmade);
            }
        };
        let mut rowless = Vec::new();
        let events = appended.into_iter().zip(outbound);
        let accepted =
            events.map(|(event, lanes)| self.hand_over_one(event, lanes, began, &mut rowless)).collect();
        self.put_down(rowless, Some(places));
        Ok(Idempotent::Made(accepted))
    }

    /// Gives back places that were promised: what waited on disk for them may come now.
    fn give_back(&self, lanes: Outbound) {
        for (lane, way) in lanes {
            if way == Way::Fresh {
                lane.lock().withdraw();
            }
            self.pump(&lane);
        }
    }

    fn hand_over_one(
        &self,
        appended: Appended,
        lanes: Outbound,
        began: Instant,
        rowless: &mut Vec<Rowless>,
    ) -> Accepted {
        let Appended { event, duplicate, deliveries, earlier } = appended;
        let id = event.id;
        if duplicate || earlier {
            self.give_back(lanes);
            let matched = if duplicate { 0 } else { deliveries.len() };
            return Accepted { id, matched, duplicate };
        }
        let matched = lanes.len();
        self.stream.tell([Happening::accepted(&event, matched)]);
        self.traces.accepted(&event, matched, &self.clock, began);
        let is_carried = lanes.iter().any(|(_, way)| *way == Way::Fresh);
        let carried = if is_carried { self.budget.carry(&event) } else { None };
        for ((lane, way), delivery) in lanes.into_iter().zip(deliveries) {
            let delivery = Delivery::new(delivery, id, lane.id);
            rowless.extend(self.enter(&lane, way, delivery, carried.clone()));
        }
        Accepted { id, matched, duplicate }
    }

    /// Gives a new delivery to its lane, now that it is durable; returns it if it has to be [put
    /// down](Self::put_down).
    #[must_use]
    pub(super) fn enter(
        &self,
        lane: &Arc<Lane>,
        way: Way,
        delivery: Delivery,
        carried: Option<Arc<Carried>>,
    ) -> Option<Rowless> {
        let id = delivery.id;
        let is_taken = {
            let mut state = lane.lock();
            match way {
                Way::Fresh => state.take_fresh(Item::fresh(id, carried)),
                Way::Later => !state.hold(id),
                Way::Queued => {
                    state.admit(id, id.time());
                    true
                }
            }
        };
        self.pump(lane);
        (!is_taken).then(|| (Arc::clone(lane), delivery))
    }

    /// Gives busy fresh deliveries, which their lanes do not keep in hand, their rows in the waiting lines; or
    /// cancels those whose lane is deleted. `places` are given back at the end.
    pub(super) fn put_down(&self, rowless: Vec<Rowless>, places: Option<Places>) {
        let (gone, rest): (Vec<_>, Vec<_>) =
            rowless.into_iter().partition(|(lane, _)| lane.lock().is_deleted());
        if !gone.is_empty() {
            self.spawn(self.clone().cancel_fresh(gone.into_iter().map(|(_, delivery)| delivery).collect()));
        }
        if !rest.is_empty() {
            self.intake.rowless.fetch_add(rest.len(), Ordering::Relaxed);
            self.spawn(self.clone().park(rest, places));
        }
    }

    async fn park(self, rowless: Vec<Rowless>, places: Option<Places>) {
        tokio::time::sleep(PARKED_AFTER).await;
        for some in rowless.chunks(PARKED_AT_ONCE) {
            let deliveries: Vec<Delivery> = some.iter().map(|(_, delivery)| delivery.clone()).collect();
            if let Err(error) = self.commit(|place, done| place.enqueue(deliveries, done)).await {
                return tracing::error!(%error, "failed to queue fresh deliveries");
            }
            for (lane, Delivery { id, .. }) in some {
                lane.lock().settled(*id, Some(id.time()));
                self.pump(lane);
            }
            self.intake.rowless.fetch_sub(some.len(), Ordering::Relaxed);
        }
        drop(places);
    }

    /// Cancels fresh deliveries of deleted subscriptions.
    pub(super) async fn cancel_fresh(self, fresh: Vec<Delivery>) {
        for mut delivery in fresh {
            let subscription = delivery.subscription;
            delivery.progress = Progress::Cancelled;
            let settled = Happening::settled(&delivery, self.clock.now());
            let settlement = Settlement { delivery, due_was: None, health: None };
            if let Err(error) = self.commit(|place, done| place.settle(settlement, done)).await {
                return tracing::error!(%subscription, %error, "failed to cancel deliveries");
            }
            self.stream.tell(settled);
        }
    }
}

/// What came of a step that made nothing.
fn unmade<T, U>(once: Idempotent<T>) -> Idempotent<U> {
    match once {
        Idempotent::Repeated(earlier) => Idempotent::Repeated(earlier),
        Idempotent::Made(_) | Idempotent::Mismatch => Idempotent::Mismatch,
    }
}
