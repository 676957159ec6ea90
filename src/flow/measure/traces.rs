//! Traces: the trace of each step of the journey, and the export of its spans.
//!
//! One trace covers an event from its acceptance to its last attempt. It is the trace in which the event was
//! submitted or, if there is none, a trace whose id is a hash of the event's id. Span ids are hashes in the
//! same way. So an attempt after a restart, or of a replay years later, belongs to the right trace although
//! nothing was stored for it.

use std::sync::Arc;

use tokio::time::Instant;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::model::attempt::{Attempt, Outcome};
use crate::model::delivery::Delivery;
use crate::model::event::{Event, EventContent};
use crate::model::id::{DeliveryId, EventId};
use crate::model::span::{AttemptFailure, Span, SpanExporter, SpanOperation};
use crate::model::subscription::Subscription;
use crate::model::time::Clock;
use crate::model::trace::{SpanId, TraceContext, TraceId};

/// The seeds of the hashes, so that different kinds of things have different ids.
const TRACE: u64 = 1;
const ACCEPTANCE: u64 = 2;
const ATTEMPT: u64 = 3;

/// Exports spans, if there is an exporter.
#[derive(Debug)]
pub(in crate::flow) struct Traces {
    exporter: Option<Arc<dyn SpanExporter>>,
    sample_ratio: f64,
}

impl Traces {
    /// Returns an object that exports the share `sample_ratio` of the traces that begin in this daemon.
    pub(in crate::flow) fn new(exporter: Option<Arc<dyn SpanExporter>>, sample_ratio: f64) -> Self {
        Self { exporter, sample_ratio }
    }

    /// Returns the trace context to send to the receiver. With an exporter its parent is the span of the
    /// attempt; otherwise it is the context of the sender.
    pub(in crate::flow) fn outgoing(
        &self,
        event: &Event,
        delivery: DeliveryId,
        number: u32,
    ) -> Option<Arc<TraceContext>> {
        if self.exporter.is_none() {
            return event.content.trace.clone();
        }
        Some(Arc::new(self.context(event.id, &event.content).with_parent(attempt_span(delivery, number))))
    }

    /// Exports the acceptance of an event that arrived at `began` and is durable now.
    pub(in crate::flow) fn accepted(&self, event: &Event, matched: usize, clock: &Clock, began: Instant) {
        let Some((exporter, context)) = self.sampled(event) else { return };
        let took = clock.instant().duration_since(began);
        let EventContent { event_type, project, company, trace, .. } = &event.content;
        exporter.export(Span {
            context,
            parent: trace.as_ref().map(|trace| trace.parent),
            start: clock.since_epoch().saturating_sub(took),
            took,
            event: event.id,
            operation: SpanOperation::Acceptance {
                event_type: event_type.clone(),
                project: project.clone(),
                company: company.clone(),
                matched,
            },
        });
    }

    /// Exports an attempt that ends now.
    pub(in crate::flow) fn attempted(
        &self,
        event: &Event,
        delivery: &Delivery,
        subscription: &Subscription,
        attempt: &Attempt,
        clock: &Clock,
    ) {
        let Some((exporter, context)) = self.sampled(event) else { return };
        let spec = &subscription.spec;
        let (status, error) = match &attempt.outcome {
            Outcome::Success { status } => (Some(*status), None),
            Outcome::Rejected { status, .. } => {
                let failure =
                    AttemptFailure { kind: status.to_string(), detail: attempt.outcome.to_string() };
                (Some(*status), Some(failure))
            }
            Outcome::Failed { class, detail } => {
                (None, Some(AttemptFailure { kind: class.as_str().to_owned(), detail: detail.clone() }))
            }
        };
        exporter.export(Span {
            parent: Some(context.parent),
            context: context.with_parent(attempt_span(delivery.id, attempt.number)),
            start: clock.since_epoch().saturating_sub(attempt.duration),
            took: attempt.duration,
            event: event.id,
            operation: SpanOperation::Attempt {
                delivery: delivery.id,
                subscription: subscription.id,
                name: spec.name.clone(),
                host: spec.url.host_str().unwrap_or_default().to_owned(),
                port: spec.url.port_or_known_default(),
                number: attempt.number,
                status,
                error,
            },
        });
    }

    /// Returns the exporter and the trace of an event, with its acceptance as the parent; or none if the
    /// trace is not exported.
    fn sampled(&self, event: &Event) -> Option<(&dyn SpanExporter, TraceContext)> {
        let exporter = self.exporter.as_deref()?;
        let context = self.context(event.id, &event.content);
        context.is_sampled().then_some((exporter, context))
    }

    /// Returns the trace of an event, with its acceptance as the parent.
    fn context(&self, id: EventId, content: &EventContent) -> TraceContext {
        let span = SpanId::from_hash(xxh3_64_with_seed(&id.to_bytes(), ACCEPTANCE));
        if let Some(trace) = &content.trace {
            return trace.with_parent(span);
        }
        let hash = xxh3_128_with_seed(&id.to_bytes(), TRACE);
        TraceContext::new(TraceId::from_hash(hash), span, is_chosen(hash, self.sample_ratio))
    }
}

/// Returns whether the trace with this hash is among the exported share.
fn is_chosen(hash: u128, ratio: f64) -> bool {
    const PLACES: u128 = 1 << 32;
    let place = u32::try_from(hash % PLACES).unwrap_or(u32::MAX);
    f64::from(place) < ratio * (f64::from(u32::MAX) + 1.0)
}

fn attempt_span(delivery: DeliveryId, number: u32) -> SpanId {
    let mut name = [0; 20];
    let parts = delivery.to_bytes().into_iter().chain(number.to_be_bytes());
    name.iter_mut().zip(parts).for_each(|(to, from)| *to = from);
    SpanId::from_hash(xxh3_64_with_seed(&name, ATTEMPT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_traces_is_told_of() {
        let hashes = || (0..10_000_u128).map(|n| xxh3_128_with_seed(&n.to_be_bytes(), TRACE));
        let chosen = |ratio: f64| hashes().filter(|hash| is_chosen(*hash, ratio)).count();
        assert_eq!((chosen(0.0), chosen(1.0)), (0, 10_000));
        assert!((900..1100).contains(&chosen(0.1)), "{}", chosen(0.1));
        assert!(is_chosen(u128::MAX, 1.0) && !is_chosen(0, 0.0));
    }

    #[test]
    fn every_attempt_has_a_span_of_its_own() {
        let spans: std::collections::BTreeSet<_> = (1..100)
            .flat_map(|delivery| {
                (1..7).map(move |number| attempt_span(DeliveryId::from_bits(delivery), number))
            })
            .map(SpanId::bytes)
            .collect();
        assert_eq!(spans.len(), 99 * 6);
    }
}
