//! Attempts: a request is built, signed and sent, and its outcome is settled.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

use super::inner::Flow;
use super::lane::{Lane, LaneDelivery};
use super::notices::raise::Source;
use super::schedule::timers::READ_RETRY_AFTER;
use crate::model::attempt::{Attempt, ErrorClass, Outcome};
use crate::model::delivery::Delivery;
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId};
use crate::model::subscription::{HealthState, Subscription};
use crate::model::trace::TraceContext;
use crate::net::{Exchange, Request};
use crate::rules::headers::{self, SigningInput, headers};
use crate::rules::payload;
use crate::store::StoreError;

/// A request body on its way to a receiver, with what is sent in the headers.
pub(super) struct Message {
    /// Sent as `webhook-id`.
    pub(super) event: EventId,
    /// Sent as `postrider-delivery-id`; none if the message is not a delivery.
    pub(super) delivery: Option<DeliveryId>,
    /// Sent as `postrider-attempt`.
    pub(super) number: u32,
    /// The body of the request.
    pub(super) body: bytes::Bytes,
    /// The trace that the request belongs to.
    pub(super) trace: Option<Arc<TraceContext>>,
}

impl Flow {
    /// Attempts a delivery that is due, and settles the outcome.
    pub(super) async fn attempt(&self, lane: &Arc<Lane>, due: LaneDelivery) {
        match self.read_delivery(&due, lane).await {
            Ok(Some((delivery, event))) => {
                let (subscription, health) = {
                    let state = lane.lock();
                    (Arc::clone(&state.subscription), state.health.clone())
                };
                let body = payload::body(&subscription, &health, &event);
                let number = delivery.next_attempt();
                let trace = self.traces.outgoing(&event, delivery.id, number);
                let message = Message { event: event.id, delivery: Some(delivery.id), number, body, trace };
                let attempt = self.send(&subscription, message).await;
                self.traces.attempted(&event, &delivery, &subscription, &attempt, &self.clock);
                self.settle(lane, &due, delivery, attempt, Source::of(&event)).await;
            }
            Ok(None) => lane.lock().drop_ended(due.id),
            Err(error) => {
                tracing::error!(delivery = %due.id, %error, "failed to read a delivery that is due, trying again");
                lane.lock().put_back(due, self.clock.now().after(READ_RETRY_AFTER));
            }
        }
    }

    /// Returns the delivery and its event, from memory or from the log. Returns none if the delivery has ended or its
    /// event is no longer in the log.
    async fn read_delivery(
        &self,
        due: &LaneDelivery,
        lane: &Lane,
    ) -> Result<Option<(Delivery, Arc<Event>)>, StoreError> {
        if let (Some(cached), false) = (&due.event, due.has_row) {
            let delivery = Delivery::new(due.id, cached.event.id, lane.id);
            return Ok(Some((delivery, Arc::clone(&cached.event))));
        }
        let id = due.id;
        let found = self.read_in_turn(move |reader| {
            let Some(delivery) = reader.delivery(id)? else { return Ok(None) };
            let event = reader.event(delivery.event)?;
            Ok::<_, StoreError>(event.map(|event| (delivery, Arc::new(event))))
        });
        Ok(found.await?.filter(|(delivery, _)| !delivery.progress.is_final()))
    }

    /// Signs and sends a message. A panic while sending counts as a failed attempt.
    pub(super) async fn send(&self, subscription: &Subscription, message: Message) -> Attempt {
        let Message { event, delivery, number, body, trace } = message;
        let started_at = self.clock.now();
        let started = self.clock.instant();
        let config = self.config.load();
        let timeout = subscription.spec.timeout.unwrap_or(config.delivery.timeout).get();
        let signing = SigningInput { event, delivery, attempt: number, at: started_at };
        let mut headers = headers(subscription, &signing, &body);
        if let Some(context) = &trace {
            headers::trace(&mut headers, context);
        }
        let spec = &subscription.spec;
        let exchange = self.client.post(Request { url: &spec.url, headers, body, timeout, tls: &spec.tls });
        let exchange = AssertUnwindSafe(exchange).catch_unwind().await.unwrap_or_else(|_| {
            tracing::error!(%event, attempt = number, "an attempt panicked and counts as failed");
            let outcome = Outcome::Failed {
                class: ErrorClass::Internal,
                detail: "internal error: see the daemon's log".to_owned(),
            };
            Exchange { outcome, excerpt: Vec::new() }
        });
        let Exchange { outcome, excerpt } = exchange;
        Attempt { number, started_at, duration: started.elapsed(), outcome, excerpt }
    }

    /// Sends the health check that precedes enabling a subscription.
    pub(super) async fn send_health_check(
        &self,
        subscription: &Subscription,
        health: &HealthState,
    ) -> Attempt {
        let now = self.clock.now();
        let event = EventId::from_bits(self.new_bits(now));
        let body = payload::health_check(subscription, health, event, now);
        let message = Message { event, delivery: None, number: 1, body, trace: None };
        self.send(subscription, message).await
    }
}
