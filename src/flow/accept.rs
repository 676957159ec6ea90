//! Acceptance: an event is matched, appended to the log with its deliveries, and enqueued once durable.
//!
//! An acceptance has four stages.
//!
//! 1. [`Flow::submit`] checks the limits: the queue of events, the memory for bodies, and the disk reserve. It takes
//!    places in the queue of events and in the committer's queue, or refuses.
//! 2. [`Flow::route_events`] matches each event against all subscriptions. Each matching lane chooses the
//!    [`Route`] of its delivery and may reserve a place in its buffer. No row is written yet.
//! 3. The committer writes the events and their deliveries in one durable step.
//! 4. The committer then calls `enqueue_accepted`, which gives the deliveries to their lanes and answers the sender.
//!    If the step failed or was a repetition, the reserved places are released instead.
//!
//! From stage 3 on nothing depends on the sender: if it disconnects, its events are still delivered.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::acceptance::{AcceptError, Accepted};
use super::enqueue::Routes;
use super::inner::Flow;
use super::intake::BodyPermit;
use super::lane::{Lane, Route};
use crate::model::event::EventContent;
use crate::model::id::SubscriptionId;
use crate::rules::matcher::{Candidate, Matches};
use crate::store::{Append, Idempotent, IdempotentRequest, QueueFull, RecordedResult, StoreError, Target};

/// The time that a sender is asked to wait if the queue is full.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// The sender of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sender {
    /// A client of the API.
    Client,
    /// The daemon itself. Its events are few and accepted even if the disk is nearly full.
    Daemon {
        /// The subscription that the event is about, which does not get the event.
        except: Option<SubscriptionId>,
    },
}

impl Sender {
    /// Returns whether to deliver an event to a lane whose subscription matches it.
    pub(super) fn delivers_to(self, lane: &Lane, content: &EventContent) -> bool {
        match self {
            Self::Client => true,
            Self::Daemon { except } => except != Some(lane.id) && lane.lock().wants_type(&content.event_type),
        }
    }
}

impl Flow {
    /// Accepts events, all or none. Returns once they and their deliveries are durable, in the order of `contents`.
    ///
    /// `body` is the memory that the events' bodies take. It is given back once everything is written.
    ///
    /// Cancel safe: events that have entered the queue are accepted and delivered even if this future is dropped.
    ///
    /// # Errors
    /// The events are refused; see [`AcceptError`].
    pub async fn accept(
        &self,
        contents: Vec<EventContent>,
        body: BodyPermit,
    ) -> Result<Vec<Accepted>, AcceptError> {
        self.accept_from(Sender::Client, contents, body).await
    }

    /// Accepts events of `sender`, as [`accept`](Self::accept) does.
    pub(super) async fn accept_from(
        &self,
        sender: Sender,
        contents: Vec<EventContent>,
        body: BodyPermit,
    ) -> Result<Vec<Accepted>, AcceptError> {
        match self.submit(sender, contents, body, None).await? {
            Idempotent::Made(accepted) => Ok(accepted),
            // Without a key nothing is a repetition.
            Idempotent::Repeated(_) | Idempotent::Mismatch => Err(AcceptError::KeyReused),
        }
    }

    /// Accepts events once per idempotency key, as [`accept`](Self::accept) does.
    ///
    /// A repeated call returns the result of the first call, and true.
    ///
    /// # Errors
    /// The events are refused; see [`AcceptError`].
    pub async fn accept_idempotent(
        &self,
        contents: Vec<EventContent>,
        body: BodyPermit,
        key: IdempotentRequest,
    ) -> Result<(Vec<Accepted>, bool), AcceptError> {
        match self.submit(Sender::Client, contents, body, Some(key)).await? {
            Idempotent::Made(accepted) => Ok((accepted, false)),
            Idempotent::Repeated(RecordedResult::Events(events)) => {
                Ok((events.into_iter().map(Accepted::from).collect(), true))
            }
            Idempotent::Repeated(_) | Idempotent::Mismatch => Err(AcceptError::KeyReused),
        }
    }

    /// Runs the stages of an acceptance that the module describes.
    async fn submit(
        &self,
        sender: Sender,
        contents: Vec<EventContent>,
        body: BodyPermit,
        key: Option<IdempotentRequest>,
    ) -> Result<Idempotent<Vec<Accepted>>, AcceptError> {
        let began = self.clock.instant();
        self.check_open(sender)?;
        let full = || self.queue_full();
        let permit = self.intake.try_enter(contents.len(), body).ok_or_else(full)?;
        let place = self.store.try_reserve().map_err(|error| match error {
            QueueFull::Full => full(),
            QueueFull::Closed => AcceptError::Stopping,
        })?;
        let (appends, routes) = self.route_events(sender, contents);
        let (answer, answered) = oneshot::channel();
        let flow = self.clone();
        let done = move |result| {
            let accepted = flow.enqueue_accepted(result, routes, permit, began);
            if let Ok(Idempotent::Made(accepted)) = &accepted {
                flow.count_accepted(accepted, began);
            }
            // The sender may have disconnected. Its events are accepted all the same.
            drop(answer.send(accepted));
        };
        match key {
            Some(key) => place.append_idempotent(key, appends, done),
            None => place.append(appends, move |result| done(result.map(Idempotent::Made))),
        }
        Ok(answered.await.unwrap_or(Err(StoreError::Closed))?)
    }

    /// Counts a submission that is refused because a queue is full, and returns the error.
    fn queue_full(&self) -> AcceptError {
        self.timings.count_queue_full();
        AcceptError::QueueFull { retry_after: RETRY_AFTER }
    }

    /// Reserves memory for `bytes` more of a request's body, until `permit` is dropped.
    ///
    /// # Errors
    /// `server.queue_bytes_max` is reached.
    pub fn reserve_body(&self, permit: &mut BodyPermit, bytes: usize) -> Result<(), AcceptError> {
        if self.intake.bodies().reserve(permit, bytes) { Ok(()) } else { Err(self.queue_full()) }
    }

    fn count_accepted(&self, accepted: &[Accepted], began: Instant) {
        let duplicates = accepted.iter().filter(|one| one.duplicate).count() as u64;
        let now = self.clock.instant();
        let took = now.duration_since(began);
        self.meter.accepted(now, accepted.len() as u64 - duplicates, duplicates, took);
        self.timings.ingest.observe(took.as_secs_f64());
    }

    /// Refuses events if the daemon is stopping or its disk is nearly full.
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
            self.timings.count_disk_full();
            return Err(AcceptError::DiskFull { free, reserve });
        }
        Ok(())
    }

    /// Matches each event and chooses the route of each delivery.
    fn route_events(&self, sender: Sender, contents: Vec<EventContent>) -> (Vec<Append>, Vec<Routes>) {
        let now = self.clock.now();
        let snapshot = self.index.snapshot();
        let mut matches = Matches::default();
        let mut appends = Vec::with_capacity(contents.len());
        let mut all_routes = Vec::with_capacity(contents.len());
        for content in contents {
            let began = self.clock.instant();
            let found = snapshot.match_into(&Candidate { content: &content, arrived_at: now }, &mut matches);
            self.timings.matching.observe(self.clock.instant().duration_since(began).as_secs_f64());
            let routes: Routes = found
                .iter()
                .filter_map(|id| self.lanes.get(id))
                .filter(|lane| sender.delivers_to(lane, &content))
                .map(|lane| {
                    let route = self.intake.route(lane.lock().reserve(now));
                    (lane, route)
                })
                .collect();
            let targets = routes
                .iter()
                .map(|(lane, route)| Target { subscription: lane.id, queued: *route == Route::Disk })
                .collect();
            appends.push(Append { content, targets });
            all_routes.push(routes);
        }
        (appends, all_routes)
    }
}
