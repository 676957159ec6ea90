//! Delivering an event once more: new deliveries, each with a whole retry schedule, of an event that the log has.

use std::sync::Arc;

use tokio::sync::oneshot;

use crate::model::delivery::Delivery;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::problem::Problem;
use crate::model::replay::ReplayJob;
use crate::rules::matcher::{Candidate, Matches};
use crate::store::{Idempotent, IdempotentRequest, RecordedResult, Redelivery, Replay, StoreError};

use super::Flow;
use super::audit::{Action, Actor};
use super::change_error::ChangeError;
use super::lane::{Lane, Way};

/// What came of replaying an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redelivered {
    /// The new deliveries.
    pub deliveries: Vec<DeliveryId>,
    /// Subscriptions that the event is on its way to anyway.
    pub skipped: Vec<SubscriptionId>,
    /// Whether that was done before, with the same idempotency key.
    pub is_repeat: bool,
}

/// A delivery on its way to the log, and the place that its lane keeps for it.
pub(super) struct Again {
    event: Arc<Event>,
    lane: Arc<Lane>,
    way: Way,
}

impl Flow {
    /// Delivers an event to these subscriptions again; if none are named, to all that match it now.
    ///
    /// A subscription that the event is on its way to already is passed over.
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
                actor.note(Action::EventReplayed, id, format_args!("deliveries={made}"));
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
            Some(subscriptions) => self.named(&subscriptions)?,
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
        self.make_again(event, lanes, skipped, once).await
    }

    fn named(&self, subscriptions: &[SubscriptionId]) -> Result<Vec<Arc<Lane>>, ChangeError> {
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
        let asks = |lane: &Arc<Lane>| lane.lock().asks_for(&event.content.event_type);
        ids.filter_map(|id| self.lanes.get(id)).filter(asks).collect()
    }

    async fn make_again(
        &self,
        event: Arc<Event>,
        lanes: Vec<Arc<Lane>>,
        skipped: Vec<SubscriptionId>,
        once: Option<IdempotentRequest>,
    ) -> Result<Redelivered, ChangeError> {
        let place = self.store.reserve().await?;
        let again = self.promise_again(lanes.into_iter().map(|lane| (Arc::clone(&event), lane)).collect());
        let replay = Replay { deliveries: redeliveries(&again), job: None, skipped: skipped.clone() };
        let (answer, answered) = oneshot::channel();
        let flow = self.clone();
        let done = move |result: Result<Idempotent<Vec<Option<DeliveryId>>>, StoreError>| {
            let result = match result {
                Ok(Idempotent::Made(made)) => Ok(Idempotent::Made(flow.enter_again(made, again))),
                other => {
                    flow.withdraw_again(again);
                    other
                }
            };
            // Nobody waits any more if the caller hung up.
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

    /// Has each lane keep a place.
    pub(super) fn promise_again(&self, wanted: Vec<(Arc<Event>, Arc<Lane>)>) -> Vec<Again> {
        let now = self.clock.now();
        let promise = |(event, lane): (Arc<Event>, Arc<Lane>)| {
            // Nobody waits for a replay: all its rows come with it.
            let way = match lane.lock().promise(now) {
                Way::Later => Way::Queued,
                way => way,
            };
            Again { event, lane, way }
        };
        wanted.into_iter().map(promise).collect()
    }

    /// Gives what has become durable to the lanes, and places back that are not needed.
    pub(super) fn enter_again(
        &self,
        made: Vec<Option<DeliveryId>>,
        again: Vec<Again>,
    ) -> Vec<Option<DeliveryId>> {
        let mut rowless = Vec::new();
        for (id, Again { event, lane, way }) in made.iter().zip(again) {
            let Some(id) = *id else {
                self.withdraw_again(vec![Again { event, lane, way }]);
                continue;
            };
            let carried = if way == Way::Fresh { self.budget.carry(&event) } else { None };
            let delivery = Delivery::new(id, event.id, lane.id);
            rowless.extend(self.enter(&lane, way, delivery, carried));
        }
        self.put_down(rowless, None);
        made
    }

    /// Gives places back: what waited on disk for them may come now.
    pub(super) fn withdraw_again(&self, again: Vec<Again>) {
        for Again { lane, way, .. } in again {
            if way == Way::Fresh {
                lane.lock().withdraw();
                self.pump(&lane);
            }
        }
    }

    /// Makes deliveries for a job, and writes down how far it is, in one durable step.
    pub(super) async fn step_replay(
        &self,
        job: ReplayJob,
        wanted: Vec<(Arc<Event>, Arc<Lane>)>,
    ) -> Result<Vec<Option<DeliveryId>>, StoreError> {
        let place = self.store.reserve().await?;
        let again = self.promise_again(wanted);
        let replay = Replay { deliveries: redeliveries(&again), job: Some(job), skipped: Vec::new() };
        let (answer, answered) = oneshot::channel();
        let flow = self.clone();
        place.replay(replay, move |result| {
            let result = match result {
                Ok(made) => Ok(flow.enter_again(made, again)),
                Err(error) => {
                    flow.withdraw_again(again);
                    Err(error)
                }
            };
            // Nobody waits any more if the daemon was killed.
            drop(answer.send(result));
        });
        answered.await.unwrap_or(Err(StoreError::Closed))
    }
}

fn redeliveries(again: &[Again]) -> Vec<Redelivery> {
    let redelivery = |one: &Again| Redelivery {
        event: one.event.id,
        subscription: one.lane.id,
        queued: one.way == Way::Queued,
    };
    again.iter().map(redelivery).collect()
}
