//! The visible state of deliveries and subscriptions, with the reasons.

use crate::flow::inner::Flow;
use crate::flow::lane::LaneState;
use crate::model::delivery::{Delivery, DeliveryState, Progress};
use crate::model::event::EventContent;
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::subscription::DisabledReason;
use crate::model::time::Timestamp;
use crate::rules::matcher::{Candidate, MatchOutcome};
use crate::store::StoreError;

/// The visible state of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryView {
    /// The state that people see.
    pub state: DeliveryState,
    /// The reason for the state, unless it is obvious.
    pub reason: Option<Reason>,
}

/// The reason for the state of a delivery.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// Somebody cancelled the delivery.
    #[error("cancelled manually")]
    CancelledManually,
    /// The subscription was deleted.
    #[error("subscription '{name}' was deleted at {at}")]
    Deleted {
        /// The name of the subscription.
        name: String,
        /// When the subscription was deleted.
        at: Timestamp,
    },
    /// The subscription was deleted so long ago that its name is no longer known.
    #[error("its subscription is deleted")]
    DeletedLongAgo,
    /// Somebody disabled the subscription.
    #[error("held since {since}: the subscription was disabled manually")]
    DisabledManually {
        /// When the subscription was disabled.
        since: Timestamp,
    },
    /// The subscription was disabled for its health.
    #[error("held since {since}: the subscription was disabled ({reason}): {detail}")]
    Unhealthy {
        /// When the subscription was disabled.
        since: Timestamp,
        /// The reason for which the subscription was disabled.
        reason: DisabledReason,
        /// The answer that led to it.
        detail: String,
    },
    /// The receiver asked for a pause with `Retry-After`.
    #[error("paused until {until}, as the receiver asked")]
    Paused {
        /// The end of the pause.
        until: Timestamp,
    },
    /// Only the probe is sent until the receiver recovers.
    #[error("waits until the receiver recovers; {probe} is tried meanwhile")]
    WaitsForProbe {
        /// The delivery that is the probe.
        probe: DeliveryId,
    },
    /// The next attempt is not due yet.
    #[error("attempt {attempt} is due at {at}")]
    Due {
        /// The number of the next attempt.
        attempt: u32,
        /// When the attempt is due.
        at: Timestamp,
    },
    /// Other deliveries go first.
    #[error("waits for its turn; {in_flight} requests to this receiver are in flight")]
    WaitsForTurn {
        /// The number of requests in flight to this receiver.
        in_flight: usize,
    },
}

/// The deliveries of a subscription in the log, by state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryStats {
    /// Waiting, and the subscription is enabled.
    pub pending: u64,
    /// Waiting, and the subscription is disabled.
    pub held: u64,
    /// Being attempted at this moment.
    pub in_flight: u64,
    /// Accepted by the receiver.
    pub succeeded: u64,
    /// Out of attempts.
    pub exhausted: u64,
    /// Cancelled by hand or with its subscription.
    pub cancelled: u64,
    /// When the oldest waiting delivery was accepted.
    pub oldest_waiting_at: Option<Timestamp>,
    /// The number of failures of the filter since the start of the daemon.
    pub filter_errors: u64,
    /// The newest failure of the filter.
    pub last_filter_error: Option<String>,
}

/// Whether a subscription would get an event.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The id of the subscription.
    pub subscription: SubscriptionId,
    /// The name of the subscription.
    pub name: String,
    /// Whether the subscription matches, or the first reason why not.
    pub verdict: MatchOutcome,
}

impl Flow {
    /// Returns for each subscription whether it would get the event, in the order of their ids.
    pub fn explain(&self, content: &EventContent) -> Vec<Explanation> {
        let snapshot = self.index.snapshot();
        let candidate = Candidate { content, arrived_at: self.clock.now() };
        self.lanes
            .all()
            .iter()
            .map(|lane| {
                let (name, asks) = {
                    let state = lane.lock();
                    (state.subscription.spec.name.clone(), state.wants_type(&content.event_type))
                };
                let verdict = match snapshot.explain(lane.id, &candidate) {
                    MatchOutcome::Matches if !asks => MatchOutcome::Events,
                    verdict => verdict,
                };
                Explanation { subscription: lane.id, name, verdict }
            })
            .collect()
    }

    /// Returns the deliveries of a subscription by state.
    ///
    /// Blocks: reads up to 1,024 rows to find the oldest waiting delivery.
    pub fn stats(&self, id: SubscriptionId) -> Result<DeliveryStats, StoreError> {
        let tally = self.reader.tally(id);
        let (in_flight, is_off) = self.lanes.get(id).map_or((0, true), |lane| {
            let state = lane.lock();
            (u64::try_from(state.in_flight()).unwrap_or(u64::MAX), state.health.disabled.is_some())
        });
        let waiting = tally.waiting.saturating_sub(in_flight);
        let errors = self.index.filter_errors(id);
        Ok(DeliveryStats {
            pending: if is_off { 0 } else { waiting },
            held: if is_off { waiting } else { 0 },
            in_flight,
            succeeded: tally.succeeded,
            exhausted: tally.exhausted,
            cancelled: tally.cancelled,
            oldest_waiting_at: self.reader.oldest_waiting(id)?,
            filter_errors: errors.as_ref().map_or(0, |errors| errors.count),
            last_filter_error: errors.map(|errors| errors.last.to_string()),
        })
    }

    /// Returns the visible state of a delivery and the reason for it.
    pub fn view(&self, delivery: &Delivery) -> DeliveryView {
        let (state, reason) = match delivery.progress {
            Progress::Succeeded => (DeliveryState::Succeeded, None),
            Progress::Exhausted => (DeliveryState::Exhausted, None),
            Progress::Waiting { due } => self.view_waiting(delivery, due),
            Progress::Cancelled => {
                let reason = self.deletion(delivery.subscription).unwrap_or(Reason::CancelledManually);
                (DeliveryState::Cancelled, Some(reason))
            }
        };
        DeliveryView { state, reason }
    }

    fn deletion(&self, id: SubscriptionId) -> Option<Reason> {
        self.deleted.get(id).map(|(name, at)| Reason::Deleted { name, at })
    }

    fn view_waiting(&self, delivery: &Delivery, due: Timestamp) -> (DeliveryState, Option<Reason>) {
        let Some(lane) = self.lanes.get(delivery.subscription) else {
            let reason = self.deletion(delivery.subscription).unwrap_or(Reason::DeletedLongAgo);
            return (DeliveryState::Cancelled, Some(reason));
        };
        let state = lane.lock();
        if state.is_in_flight(delivery.id) {
            return (DeliveryState::InFlight, None);
        }
        if let Some(disabled) = &state.health.disabled {
            let since = disabled.at;
            let reason = match disabled.reason {
                DisabledReason::Manual => Reason::DisabledManually { since },
                reason => Reason::Unhealthy { since, reason, detail: disabled.detail.clone() },
            };
            return (DeliveryState::Held, Some(reason));
        }
        (DeliveryState::Pending, Some(waits_for(&state, delivery, due, self.clock.now())))
    }
}

fn waits_for(state: &LaneState, delivery: &Delivery, due: Timestamp, now: Timestamp) -> Reason {
    if let Some(until) = state.paused_until(now) {
        return Reason::Paused { until };
    }
    match state.probe() {
        Some(probe) if probe != delivery.id => Reason::WaitsForProbe { probe },
        _ if due > now => Reason::Due { attempt: delivery.next_attempt(), at: due },
        _ => Reason::WaitsForTurn { in_flight: state.in_flight() },
    }
}
