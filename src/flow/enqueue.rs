//! Enqueueing: durable deliveries are given to their lanes.
//!
//! A delivery of a new event is durable as soon as its event is. It needs a row in its lane's queue on disk only if it
//! cannot start at once, so most deliveries never get one. The lane chose the [`Route`] before the event was written:
//!
//! - `Memory`: the lane buffers the delivery. The commit may have taken long enough for the lane to be suspended
//!   meanwhile. The lane then refuses the delivery, which needs a row after all.
//! - `Disk`: the row was written together with the event.
//! - `DiskLater`: the delivery needs a row, and the sender does not wait for it.
//!
//! A delivery that still needs its row is *rowless*. [`Flow::persist_rowless`] writes the rows in the background. Until
//! a row is durable its delivery is busy in its lane, so nothing else can happen to it. After a crash before that, the
//! next start finds the delivery among the fresh ones.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::acceptance::Accepted;
use super::event_cache::CachedEvent;
use super::inner::Flow;
use super::intake::QueuePermit;
use super::lane::{Lane, LaneDelivery, Route};
use super::stream::StreamEvent;
use crate::model::delivery::{Delivery, Progress};
use crate::model::id::DeliveryId;
use crate::store::{Appended, Idempotent, Settlement, StoreError};

/// The lanes that get an event, and how its delivery reaches each of them.
pub(super) type Routes = Vec<(Arc<Lane>, Route)>;

/// A delivery that needs a row on disk. It is busy in its lane until the row is durable.
pub(super) type RowlessDelivery = (Arc<Lane>, Delivery);

/// The most rows that one step writes. A larger step would delay the events that arrive meanwhile.
const ROWS_PER_STEP: usize = 48;

/// The time that rows wait before they are written.
///
/// An event that matches many subscriptions has deliveries that start at once and deliveries that need a row. The wait
/// leaves the processor and the committer to the former. The rows have no hurry: their deliveries start later anyway.
const ROWS_WRITTEN_AFTER: Duration = Duration::from_millis(5);

impl Flow {
    /// Enqueues the deliveries of events that have become durable.
    ///
    /// If the step failed or repeated an earlier one, this releases the reserved places instead. `permit` is kept until
    /// all rows are written, so that senders cannot outrun the writing of rows.
    pub(super) fn enqueue_accepted(
        &self,
        result: Result<Idempotent<Vec<Appended>>, StoreError>,
        routes: Vec<Routes>,
        permit: QueuePermit,
        began: Instant,
    ) -> Result<Idempotent<Vec<Accepted>>, StoreError> {
        let appended = match result {
            Ok(Idempotent::Made(appended)) => appended,
            other => {
                for routes in routes {
                    self.release_places(routes);
                }
                return other.map(without_result);
            }
        };
        let mut rowless = Vec::new();
        let events = appended.into_iter().zip(routes);
        let accepted =
            events.map(|(event, routes)| self.enqueue_event(event, routes, began, &mut rowless)).collect();
        self.persist_rowless(rowless, Some(permit));
        Ok(Idempotent::Made(accepted))
    }

    fn enqueue_event(
        &self,
        appended: Appended,
        routes: Routes,
        began: Instant,
        rowless: &mut Vec<RowlessDelivery>,
    ) -> Accepted {
        let Appended { event, duplicate, deliveries, earlier } = appended;
        let id = event.id;
        if duplicate || earlier {
            self.release_places(routes);
            let matched = if duplicate { 0 } else { deliveries.len() };
            return Accepted { id, matched, duplicate };
        }
        let matched = routes.len();
        self.stream.publish([StreamEvent::accepted(&event, matched)]);
        self.traces.accepted(&event, matched, &self.clock, began);
        let is_kept = routes.iter().any(|(_, route)| *route == Route::Memory);
        let cached = if is_kept { self.event_cache.keep(&event) } else { None };
        for ((lane, route), delivery) in routes.into_iter().zip(deliveries) {
            let delivery = Delivery::new(delivery, id, lane.id);
            rowless.extend(self.enqueue(&lane, route, delivery, cached.clone()));
        }
        Accepted { id, matched, duplicate }
    }

    /// Releases reserved places. Rows on disk may take them.
    fn release_places(&self, routes: Routes) {
        for (lane, route) in routes {
            if route == Route::Memory {
                lane.lock().release_place();
            }
            self.pump(&lane);
        }
    }

    /// Gives a durable delivery to its lane. Returns the delivery if it needs a row, which
    /// [`persist_rowless`](Self::persist_rowless) writes.
    #[must_use]
    pub(super) fn enqueue(
        &self,
        lane: &Arc<Lane>,
        route: Route,
        delivery: Delivery,
        event: Option<Arc<CachedEvent>>,
    ) -> Option<RowlessDelivery> {
        let id = delivery.id;
        let is_enqueued = {
            let mut state = lane.lock();
            match route {
                Route::Memory => state.add_fresh(LaneDelivery::fresh(id, event)),
                Route::DiskLater => !state.await_row(id),
                Route::Disk => {
                    state.add_row(id, id.time());
                    true
                }
            }
        };
        self.pump(lane);
        (!is_enqueued).then(|| (Arc::clone(lane), delivery))
    }

    /// Writes the rows of rowless deliveries in the background, and cancels those of deleted subscriptions.
    ///
    /// `permit` is dropped once all rows are written.
    pub(super) fn persist_rowless(&self, rowless: Vec<RowlessDelivery>, permit: Option<QueuePermit>) {
        let (gone, rest): (Vec<_>, Vec<_>) =
            rowless.into_iter().partition(|(lane, _)| lane.lock().is_deleted());
        if !gone.is_empty() {
            let gone = gone.into_iter().map(|(_, delivery)| delivery).collect();
            self.spawn(self.clone().cancel_fresh(gone));
        }
        if !rest.is_empty() {
            self.intake.add_rowless(rest.len());
            self.spawn(self.clone().write_rows(rest, permit));
        }
    }

    async fn write_rows(self, rowless: Vec<RowlessDelivery>, permit: Option<QueuePermit>) {
        tokio::time::sleep(ROWS_WRITTEN_AFTER).await;
        for some in rowless.chunks(ROWS_PER_STEP) {
            let deliveries: Vec<Delivery> = some.iter().map(|(_, delivery)| delivery.clone()).collect();
            if let Err(error) = self.commit(|place, done| place.enqueue(deliveries, done)).await {
                return tracing::error!(%error, "failed to enqueue deliveries on disk");
            }
            for (lane, Delivery { id, .. }) in some {
                lane.lock().release(*id, Some(id.time()));
                self.pump(lane);
            }
            self.intake.remove_rowless(some.len());
        }
        drop(permit);
    }

    /// Writes the rows of fresh deliveries that a suspended lane no longer buffers.
    pub(super) fn persist_fresh(&self, lane: &Arc<Lane>, fresh: Vec<DeliveryId>) {
        if fresh.is_empty() {
            return;
        }
        let (flow, lane) = (self.clone(), Arc::clone(lane));
        self.spawn(async move {
            let read = flow.read_in_turn(move |reader| {
                fresh
                    .into_iter()
                    .filter_map(|id| reader.delivery(id).transpose())
                    .collect::<Result<Vec<_>, _>>()
            });
            match read.await {
                Ok(deliveries) => {
                    let rowless = deliveries.into_iter().map(|delivery| (Arc::clone(&lane), delivery));
                    flow.persist_rowless(rowless.collect(), None);
                }
                Err(error) => {
                    tracing::error!(subscription = %lane.id, %error, "failed to read new deliveries from the log");
                }
            }
        });
    }

    /// Cancels fresh deliveries of deleted subscriptions.
    pub(super) async fn cancel_fresh(self, fresh: Vec<Delivery>) {
        for mut delivery in fresh {
            let subscription = delivery.subscription;
            delivery.progress = Progress::Cancelled;
            let settled = StreamEvent::settled(&delivery, self.clock.now());
            let settlement = Settlement { delivery, due_was: None, health: None };
            if let Err(error) = self.commit(|place, done| place.settle(settlement, done)).await {
                return tracing::error!(%subscription, %error, "failed to cancel deliveries");
            }
            self.stream.publish(settled);
        }
    }
}

/// Converts the outcome of a step that made nothing.
fn without_result<T, U>(once: Idempotent<T>) -> Idempotent<U> {
    match once {
        Idempotent::Repeated(earlier) => Idempotent::Repeated(earlier),
        Idempotent::Made(_) | Idempotent::Mismatch => Idempotent::Mismatch,
    }
}
