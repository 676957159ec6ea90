//! Replaying one event: new deliveries of an event in the log, each with its own retry schedule.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::flow::change::audit::{Action, Actor};
use crate::flow::change::error::ChangeError;
use crate::flow::inner::Flow;
use crate::flow::lane::{Lane, Route};
use crate::model::delivery::Delivery;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::problem::Problem;
use crate::model::replay::ReplayJob;
use crate::rules::matcher::{Candidate, Matches};
use crate::store::{Idempotent, IdempotentRequest, RecordedResult, Redelivery, Replay, StoreError};

/// The result of replaying an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redelivered {
    /// The new deliveries.
    pub deliveries: Vec<DeliveryId>,
    /// The subscriptions that were skipped because a delivery of the event to them is already under way.
    pub skipped: Vec<SubscriptionId>,
    /// Whether an earlier call with the same idempotency key did this.
    pub is_repeat: bool,
}

/// A new delivery that is to be written, and the route that its lane has chosen for it.
pub(in crate::flow) struct PlannedRedelivery {
    event: Arc<Event>,
    lane: Arc<Lane>,
    route: Route,
}

impl Flow {
    /// Delivers an event again to these subscriptions or, if none are given, to all that match it now.
    ///
    /// A subscription to which a delivery of the event is already under way is skipped.
    ///
    /// # Errors
    /// [`ChangeError::NotFound`] if the event is not in the log, [`ChangeError::Invalid`] if a subscription
    /// does not exist; and the errors of every change.
    pub async fn replay_event(
        &self,
        actor: Actor,
        id: EventId,
        subscriptions: Option<Vec<SubscriptionId>>,
        once: Option<IdempotentRequest>,
    ) -> Result<Redelivered, ChangeError> {
        let change = |flow: Self| async move {
            let redelivered = flow.redeliver(id, subscriptions, once).await?;
            if !redelivered.is_repeat {
                let made = redelivered.deliveries.len();
                actor.record(Action::EventReplayed, id, format_args!("deliveries={made}"));
            }
            Ok(redelivered)
        };
        self.complete(change).await
    }

    async fn redeliver(
        &self,
        id: EventId,
        subscriptions: Option<Vec<SubscriptionId>>,
        once: Option<IdempotentRequest>,
    ) -> Result<Redelivered, ChangeError> {
        let not_found = || ChangeError::NotFound { what: "event", id: id.to_string() };
        let event = self.read(move |reader| reader.event(id)).await?.ok_or_else(not_found)?;
        let event = Arc::new(event);
        let lanes = match subscriptions {
            Some(subscriptions) => self.find_lanes(&subscriptions)?,
            None => self.matching(&event),
        };
        let found = self.read(move |reader| {
            let mut sorted = (Vec::new(), Vec::new());
            for lane in lanes {
                if reader.is_under_way(id, lane.id)? {
                    sorted.1.push(lane.id);
                } else {
                    sorted.0.push(lane);
                }
            }
            Ok::<_, StoreError>(sorted)
        });
        let (lanes, skipped) = found.await?;
        self.create_redeliveries(event, lanes, skipped, once).await
    }

    fn find_lanes(&self, subscriptions: &[SubscriptionId]) -> Result<Vec<Arc<Lane>>, ChangeError> {
        let (mut lanes, mut problems): (Vec<Arc<Lane>>, _) = (Vec::new(), Vec::new());
        for (index, id) in subscriptions.iter().enumerate() {
            match self.lanes.get(*id) {
                Some(lane) if lanes.iter().all(|other| other.id != lane.id) => lanes.push(lane),
                Some(_) => {}
                None => {
                    let pointer = format!("/subscriptions/{index}");
                    problems.push(Problem::new(pointer, format_args!("there is no subscription '{id}'")));
                }
            }
        }
        if problems.is_empty() { Ok(lanes) } else { Err(ChangeError::Invalid(problems)) }
    }

    fn matching(&self, event: &Event) -> Vec<Arc<Lane>> {
        let snapshot = self.index.snapshot();
        let mut matches = Matches::default();
        let candidate = Candidate { content: &event.content, arrived_at: event.id.time() };
        let ids = snapshot.match_into(&candidate, &mut matches).iter();
        let asks = |lane: &Arc<Lane>| lane.lock().wants_type(&event.content.event_type);
        ids.filter_map(|id| self.lanes.get(id)).filter(asks).collect()
    }

    async fn create_redeliveries(
        &self,
        event: Arc<Event>,
        lanes: Vec<Arc<Lane>>,
        skipped: Vec<SubscriptionId>,
        once: Option<IdempotentRequest>,
    ) -> Result<Redelivered, ChangeError> {
        let place = self.store.reserve().await?;
        let planned = self.plan(lanes.into_iter().map(|lane| (Arc::clone(&event), lane)).collect());
        let replay = Replay { deliveries: redeliveries(&planned), job: None, skipped: skipped.clone() };
        let (answer, answered) = oneshot::channel();
        let flow = self.clone();
        let done = move |result: Result<Idempotent<Vec<Option<DeliveryId>>>, StoreError>| {
            let result = match result {
                Ok(Idempotent::Made(made)) => Ok(Idempotent::Made(flow.enqueue_planned(made, planned))),
                other => {
                    flow.release_planned(planned);
                    other
                }
            };
            // The caller may have disconnected.
            drop(answer.send(result));
        };
        match once {
            Some(once) => place.replay_idempotent(once, replay, done),
            None => place.replay(replay, move |result| done(result.map(Idempotent::Made))),
        }
        let is_repeat = |deliveries, skipped| Redelivered { deliveries, skipped, is_repeat: true };
        match answered.await.unwrap_or(Err(StoreError::Closed))? {
            Idempotent::Made(made) => {
                let deliveries = made.into_iter().flatten().collect();
                Ok(Redelivered { deliveries, skipped, is_repeat: false })
            }
            Idempotent::Repeated(RecordedResult::Replayed { deliveries, skipped }) => {
                Ok(is_repeat(deliveries, skipped))
            }
            Idempotent::Repeated(_) | Idempotent::Mismatch => Err(ChangeError::KeyReused),
        }
    }

    /// Chooses the route of each new delivery and reserves places in the lanes' buffers.
    pub(in crate::flow) fn plan(&self, wanted: Vec<(Arc<Event>, Arc<Lane>)>) -> Vec<PlannedRedelivery> {
        let now = self.clock.now();
        let promise = |(event, lane): (Arc<Event>, Arc<Lane>)| {
            // No sender waits for a replay, so its rows are written with its deliveries.
            let route = match lane.lock().reserve(now) {
                Route::DiskLater => Route::Disk,
                route => route,
            };
            PlannedRedelivery { event, lane, route }
        };
        wanted.into_iter().map(promise).collect()
    }

    /// Enqueues the deliveries that were written, and releases the places of the others.
    pub(in crate::flow) fn enqueue_planned(
        &self,
        made: Vec<Option<DeliveryId>>,
        planned: Vec<PlannedRedelivery>,
    ) -> Vec<Option<DeliveryId>> {
        let mut rowless = Vec::new();
        for (id, PlannedRedelivery { event, lane, route }) in made.iter().zip(planned) {
            let Some(id) = *id else {
                self.release_planned(vec![PlannedRedelivery { event, lane, route }]);
                continue;
            };
            let cached = if route == Route::Memory { self.event_cache.keep(&event) } else { None };
            let delivery = Delivery::new(id, event.id, lane.id);
            rowless.extend(self.enqueue(&lane, route, delivery, cached));
        }
        self.persist_rowless(rowless, None);
        made
    }

    /// Releases reserved places. Rows on disk may take them.
    pub(in crate::flow) fn release_planned(&self, planned: Vec<PlannedRedelivery>) {
        for PlannedRedelivery { lane, route, .. } in planned {
            if route == Route::Memory {
                lane.lock().release_place();
                self.pump(&lane);
            }
        }
    }

    /// Writes new deliveries and the progress of their replay job in one durable step, and enqueues them.
    pub(in crate::flow) async fn step_replay(
        &self,
        job: ReplayJob,
        wanted: Vec<(Arc<Event>, Arc<Lane>)>,
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let place = self.store.reserve().await?;
        let planned = self.plan(wanted);
        let replay = Replay { deliveries: redeliveries(&planned), job: Some(job), skipped: Vec::new() };
        let (answer, answered) = oneshot::channel();
        let flow = self.clone();
        place.replay(replay, move |result| {
            let result = match result {
                Ok(made) => Ok(flow.enqueue_planned(made, planned)),
                Err(error) => {
                    flow.release_planned(planned);
                    Err(error)
                }
            };
            // If the daemon is killed, nobody waits for the answer.
            drop(answer.send(result));
        });
        answered.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn redeliveries(planned: &[PlannedRedelivery]) -> Vec<Redelivery> {
    let redelivery = |one: &PlannedRedelivery| Redelivery {
        event: one.event.id,
        subscription: one.lane.id,
        queued: one.route == Route::Disk,
    };
    planned.iter().map(redelivery).collect()
}
