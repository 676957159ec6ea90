//! Where things stand, in words.

use crate::model::delivery::{Delivery, DeliveryState, Progress};
use crate::model::event::EventContent;
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::subscription::DisabledReason;
use crate::model::time::Timestamp;
use crate::rules::matcher::{Candidate, MatchOutcome};
use crate::store::StoreError;

use crate::flow::inner::Flow;
use crate::flow::lane::LaneState;

/// How a delivery shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryView {
    /// Its state.
    pub state: DeliveryState,
    /// Why it is there, where that does not go without saying.
    pub reason: Option<Reason>,
}

/// Why a delivery is where it is.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// A person gave it up.
    #[error("cancelled by hand")]
    ByHand,
    /// Its subscription was deleted.
    #[error("subscription '{name}' was deleted at {at}")]
    Deleted {
        /// The subscription's name.
        name: String,
        /// When.
        at: Timestamp,
    },
    /// Its subscription was deleted, so long ago that nothing more is known.
    #[error("its subscription is deleted")]
    DeletedLongAgo,
    /// A person switched the subscription off.
    #[error("held since {since}: switched off by hand")]
    SwitchedOff {
        /// Since when.
        since: Timestamp,
    },
    /// The subscription was switched off for its health.
    #[error("held since {since}: switched off ({reason}): {detail}")]
    Ill {
        /// Since when.
        since: Timestamp,
        /// What for.
        reason: DisabledReason,
        /// The answer that led to it.
        detail: String,
    },
    /// The receiver asked for a rest.
    #[error("the receiver asked to be left alone until {until}")]
    Resting {
        /// Its end.
        until: Timestamp,
    },
    /// Another delivery asks whether the receiver answers again.
    #[error("waits until the receiver answers again; {probe} asks it")]
    Probed {
        /// That delivery.
        probe: DeliveryId,
    },
    /// It is not time yet.
    #[error("attempt {attempt} is due at {at}")]
    Due {
        /// Which attempt is next.
        attempt: u32,
        /// When.
        at: Timestamp,
    },
    /// Others go before it.
    #[error("waits for its turn; {in_flight} are out to this receiver")]
    Turn {
        /// How many requests are out to the receiver.
        in_flight: usize,
    },
}

/// A subscription's deliveries in numbers, over what the log still has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Waiting, and its subscription is on.
    pub pending: u64,
    /// Waiting, and its subscription is off.
    pub held: u64,
    /// Being attempted.
    pub in_flight: u64,
    /// Taken by the receiver.
    pub succeeded: u64,
    /// Attempts used up.
    pub exhausted: u64,
    /// Given up on.
    pub cancelled: u64,
    /// When the oldest that waits was accepted.
    pub oldest_waiting_at: Option<Timestamp>,
    /// How often the filter failed while running, since the start.
    pub filter_errors: u64,
    /// How it last did.
    pub last_filter_error: Option<String>,
}

/// Whether a subscription would get an event.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The subscription.
    pub subscription: SubscriptionId,
    /// Its name.
    pub name: String,
    /// Whether it matches and, if not, the first reason.
    pub verdict: MatchOutcome,
}

impl Flow {
    /// For every subscription, whether it would get the event; ordered by id.
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

    /// A subscription's deliveries in numbers.
    ///
    /// Blocks: reads up to 1,024 rows to find the oldest that waits.
    pub fn stats(&self, id: SubscriptionId) -> Result<Stats, StoreError> {
        let tally = self.reader.tally(id);
        let (in_flight, is_off) = self.lanes.get(id).map_or((0, true), |lane| {
            let state = lane.lock();
            (u64::try_from(state.in_flight()).unwrap_or(u64::MAX), state.health.disabled.is_some())
        });
        let waiting = tally.waiting.saturating_sub(in_flight);
        let errors = self.index.filter_errors(id);
        Ok(Stats {
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

    /// Where a delivery stands and why.
    pub fn view(&self, delivery: &Delivery) -> DeliveryView {
        let (state, reason) = match delivery.progress {
            Progress::Succeeded => (DeliveryState::Succeeded, None),
            Progress::Exhausted => (DeliveryState::Exhausted, None),
            Progress::Waiting { due } => self.view_waiting(delivery, due),
            Progress::Cancelled => {
                let reason = self.deletion(delivery.subscription).unwrap_or(Reason::ByHand);
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
                DisabledReason::Manual => Reason::SwitchedOff { since },
                reason => Reason::Ill { since, reason, detail: disabled.detail.clone() },
            };
            return (DeliveryState::Held, Some(reason));
        }
        (DeliveryState::Pending, Some(waits_for(&state, delivery, due, self.clock.now())))
    }
}

fn waits_for(state: &LaneState, delivery: &Delivery, due: Timestamp, now: Timestamp) -> Reason {
    if let Some(until) = state.paused_until(now) {
        return Reason::Resting { until };
    }
    match state.probe() {
        Some(probe) if probe != delivery.id => Reason::Probed { probe },
        _ if due > now => Reason::Due { attempt: delivery.next_attempt(), at: due },
        _ => Reason::Turn { in_flight: state.in_flight() },
    }
}
