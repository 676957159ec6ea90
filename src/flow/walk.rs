//! Walking over the log for a replay: a bounded number of events and bytes at a time.

use std::sync::Arc;
use std::time::Duration;

use crate::model::delivery::{Delivery, DeliveryState, Progress};
use crate::model::event::Event;
use crate::model::id::EventId;
use crate::model::replay::ReplayJob;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::rules::matcher::{Candidate, Index, Matches, Presence};
use crate::store::{Reader, StoreError};

/// How many events are read at once, if they are small.
const EVENTS_MAX: usize = 256;
const EVENTS_FIRST: usize = 16;
/// About how many bytes of events are held at once.
const BYTES_AIM: usize = 4 << 20;
const MILLISECOND: Duration = Duration::from_millis(1);

/// A walk, and where it is.
#[derive(Clone)]
pub(super) struct Walk {
    next: EventId,
    until: Timestamp,
    states: Arc<[DeliveryState]>,
    /// How many events the next look reads.
    limit: usize,
    /// The subscription's selectors and filter alone, whether or not it is switched on.
    index: Option<(Arc<Subscription>, Index)>,
}

/// What one look found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The events to deliver, in order.
    pub(super) wanted: Vec<Event>,
    /// How many events were looked at.
    pub(super) looked_at: u64,
    /// How many would be wanted, but are on their way already.
    pub(super) skipped: u64,
    /// The last that was looked at; none if there was none.
    pub(super) cursor: Option<EventId>,
    /// Whether there are no more.
    pub(super) is_end: bool,
}

impl Walk {
    /// The rest of a job's walk.
    pub(super) fn new(job: &ReplayJob) -> Self {
        let since = job.since.unwrap_or_default();
        let first = EventId::from_bits(u128::from(since.as_millis()) << 80);
        Self {
            next: job.cursor.map_or(first, after),
            until: job.until.unwrap_or_else(|| job.created_at.after(MILLISECOND)),
            states: job.states.as_slice().into(),
            limit: EVENTS_FIRST,
            index: None,
        }
    }

    /// The next events; empty at the end.
    pub(super) fn read(&mut self, reader: &Reader) -> Result<Vec<Event>, StoreError> {
        let events = reader.events_from(self.next, Some(self.until), self.limit)?;
        if let Some(last) = events.last() {
            self.next = after(last.id);
        }
        let bytes: usize =
            events.iter().filter_map(|event| event.content.data.as_ref()).map(bytes::Bytes::len).sum();
        self.limit =
            if bytes > BYTES_AIM { (self.limit / 2).max(1) } else { (self.limit * 2).min(EVENTS_MAX) };
        Ok(events)
    }

    /// Looks at the next events, until `most` are wanted.
    pub(super) fn look(
        &mut self,
        reader: &Reader,
        subscription: &Arc<Subscription>,
        most: usize,
    ) -> Result<Found, StoreError> {
        let mut found = Found::default();
        let events = self.read(reader)?;
        found.is_end = events.is_empty();
        let index = self.index_of(subscription);
        let (snapshot, mut matches) = (index.snapshot(), Matches::default());
        for event in events {
            found.looked_at += 1;
            found.cursor = Some(event.id);
            let candidate = Candidate { content: &event.content, arrived_at: event.id.time() };
            if self.states.is_empty() {
                if snapshot.match_into(&candidate, &mut matches).is_empty() {
                    continue;
                }
                if reader.is_under_way(event.id, subscription.id)? {
                    found.skipped += 1;
                    continue;
                }
            } else if !self.stands(reader, &event, subscription)? {
                continue;
            }
            found.wanted.push(event);
            if found.wanted.len() >= most {
                // Most events are wanted here: those beyond would be read twice.
                self.limit = most;
                break;
            }
        }
        self.next = found.cursor.map_or(self.next, after);
        Ok(found)
    }

    /// Whether the event's newest delivery to the subscription stands as asked for.
    fn stands(
        &self,
        reader: &Reader,
        event: &Event,
        subscription: &Subscription,
    ) -> Result<bool, StoreError> {
        let deliveries = reader.deliveries_of(event.id)?;
        let newest =
            deliveries.into_iter().filter(|one| one.subscription == subscription.id).max_by_key(|one| one.id);
        Ok(newest.as_ref().and_then(state).is_some_and(|state| self.states.contains(&state)))
    }

    fn index_of(&mut self, subscription: &Arc<Subscription>) -> Index {
        match &self.index {
            Some((of, index)) if Arc::ptr_eq(of, subscription) => index.clone(),
            _ => {
                let (index, _) = Index::build([(subscription.id, &subscription.spec, Presence::Active)]);
                self.index = Some((Arc::clone(subscription), index.clone()));
                index
            }
        }
    }
}

fn after(event: EventId) -> EventId {
    EventId::from_bits(event.bits().saturating_add(1))
}

/// The end that a delivery has come to.
fn state(delivery: &Delivery) -> Option<DeliveryState> {
    match delivery.progress {
        Progress::Waiting { .. } => None,
        Progress::Succeeded => Some(DeliveryState::Succeeded),
        Progress::Exhausted => Some(DeliveryState::Exhausted),
        Progress::Cancelled => Some(DeliveryState::Cancelled),
    }
}
