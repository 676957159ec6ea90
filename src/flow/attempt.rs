//! An attempt: sign, send, and hear what the receiver says.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;

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

use super::Flow;
use super::dispatch::{READ_AGAIN_AFTER, Slot};
use super::lane::{Item, Lane};
use super::notices::Source;

/// Makes the attempt that `item` is due for, and settles it.
pub(super) async fn run(flow: Flow, lane: Arc<Lane>, item: Item, slot: Slot) {
    match flow.prepare(&item, &lane).await {
        Ok(Some((delivery, event))) => {
            let (subscription, health) = {
                let state = lane.lock();
                (Arc::clone(&state.subscription), state.health.clone())
            };
            let body = payload::body(&subscription, &health, &event);
            let number = delivery.next_attempt();
            let trace = flow.traces.outgoing(&event, delivery.id, number);
            let message = Message { event: event.id, delivery: Some(delivery.id), number, body, trace };
            let attempt = flow.send(&subscription, message).await;
            flow.traces.attempted(&event, &delivery, &subscription, &attempt, &flow.clock);
            flow.settle(&lane, &item, delivery, attempt, Source::of(&event)).await;
        }
        Ok(None) => lane.lock().dropped(item.id),
        Err(error) => {
            tracing::error!(delivery = %item.id, %error, "failed to read a delivery that is due, trying again");
            lane.lock().put_back(item, flow.clock.now().after(READ_AGAIN_AFTER));
        }
    }
    drop(slot);
    flow.pump(&lane);
}

/// A body on its way to a receiver, and what is signed with it.
pub(super) struct Message {
    /// Sent as `webhook-id`.
    pub(super) event: EventId,
    /// Sent as `postrider-delivery-id`, if it is a delivery.
    pub(super) delivery: Option<DeliveryId>,
    /// Sent as `postrider-attempt`.
    pub(super) number: u32,
    /// The body.
    pub(super) body: bytes::Bytes,
    /// The trace that it is part of.
    pub(super) trace: Option<Arc<TraceContext>>,
}

impl Flow {
    /// The delivery and its event: in hand, or read back. None if there is nothing left to deliver.
    async fn prepare(&self, item: &Item, lane: &Lane) -> Result<Option<(Delivery, Arc<Event>)>, StoreError> {
        if let (Some(carried), false) = (&item.carried, item.has_row) {
            let delivery = Delivery::new(item.id, carried.event.id, lane.id);
            return Ok(Some((delivery, Arc::clone(&carried.event))));
        }
        let id = item.id;
        let found = self.read_in_turn(move |reader| {
            let Some(delivery) = reader.delivery(id)? else { return Ok(None) };
            let event = reader.event(delivery.event)?;
            Ok::<_, StoreError>(event.map(|event| (delivery, Arc::new(event))))
        });
        Ok(found.await?.filter(|(delivery, _)| !delivery.progress.is_final()))
    }

    /// Signs and sends a message now. A panic on the way is a failed attempt.
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
                detail: "a bug here, which the log tells of".to_owned(),
            };
            Exchange { outcome, excerpt: Vec::new() }
        });
        let Exchange { outcome, excerpt } = exchange;
        Attempt { number, started_at, duration: started.elapsed(), outcome, excerpt }
    }

    /// Sends the health check that goes before enabling.
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
