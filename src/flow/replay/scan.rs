//! The scan of the log for a replay job, by pages of bounded size.

use std::sync::Arc;
use std::time::Duration;

use crate::model::delivery::{Delivery, DeliveryState, Progress};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::notice::is_requested;
use crate::model::replay::ReplayJob;
use crate::model::subscription::Subscription;
use crate::model::time::Timestamp;
use crate::rules::matcher::{Candidate, Index, Matches, Presence};
use crate::store::{Reader, StoreError};

/// The most events in a page.
const EVENTS_MAX: usize = 256;
const EVENTS_FIRST: usize = 16;
/// The number of bytes of events from which on a page is made smaller.
const BYTES_AIM: usize = 4 << 20;
const MILLISECOND: Duration = Duration::from_millis(1);

/// A scan of the log and its position.
///
/// The scan passes over the events of a span. If the job selects deliveries by state, it passes over the
/// deliveries of the subscription instead.
#[derive(Clone)]
pub(super) struct LogScan {
    /// The event or delivery that was scanned last. Both have ids from one sequence.
    last: EventId,
    since: Timestamp,
    until: Timestamp,
    /// The end of the scan. Everything later was created after the job, in part by the job itself.
    end: Timestamp,
    states: Arc<[DeliveryState]>,
    /// The number of events that the next page reads.
    limit: usize,
    /// An index of the subscription alone, which matches even if the subscription is disabled.
    index: Option<(Arc<Subscription>, Index)>,
}

/// A page of the scan.
#[derive(Debug, Default)]
pub(super) struct ScanPage {
    /// The events to deliver, in order.
    pub(super) wanted: Vec<Event>,
    /// The number of events or deliveries that were scanned.
    pub(super) looked_at: u64,
    /// The number of selected events that were skipped because a delivery is already under way.
    pub(super) skipped: u64,
    /// The event or delivery that was scanned last, if there was one.
    pub(super) cursor: Option<EventId>,
    /// Whether the scan is complete.
    pub(super) is_end: bool,
}

impl LogScan {
    /// Returns the remaining scan of a job.
    pub(super) fn new(job: &ReplayJob) -> Self {
        let since = job.since.unwrap_or_default();
        let before_first = EventId::from_bits((u128::from(since.as_millis()) << 80).saturating_sub(1));
        let end = job.created_at.after(MILLISECOND);
        Self {
            last: job.cursor.unwrap_or(before_first),
            since,
            until: job.until.map_or(end, |until| until.min(end)),
            end,
            states: job.states.as_slice().into(),
            limit: EVENTS_FIRST,
            index: None,
        }
    }

    /// Returns the number of deliveries to scan, or none if the scan passes over events, which have to be
    /// counted.
    pub(super) fn total(&self, reader: &Reader, subscription: SubscriptionId) -> Option<u64> {
        (!self.states.is_empty()).then(|| reader.tally(subscription).all())
    }

    /// Reads the next events. Returns none at the end.
    pub(super) fn read(&mut self, reader: &Reader) -> Result<Vec<Event>, StoreError> {
        let events = reader.events_from(after(self.last), Some(self.until), self.limit)?;
        self.last = events.last().map_or(self.last, |event| event.id);
        let data = events.iter().filter_map(|event| event.content.data.as_ref());
        let bytes: usize = data.map(bytes::Bytes::len).sum();
        self.limit =
            if bytes > BYTES_AIM { (self.limit / 2).max(1) } else { (self.limit * 2).min(EVENTS_MAX) };
        Ok(events)
    }

    /// Scans the next page, until `most` events are selected.
    pub(super) fn next_page(
        &mut self,
        reader: &Reader,
        subscription: &Arc<Subscription>,
        most: usize,
    ) -> Result<ScanPage, StoreError> {
        let found = if self.states.is_empty() {
            self.scan_events(reader, subscription, most)?
        } else {
            self.scan_deliveries(reader, subscription.id, most)?
        };
        self.last = found.cursor.unwrap_or(self.last);
        Ok(found)
    }

    fn scan_events(
        &mut self,
        reader: &Reader,
        subscription: &Arc<Subscription>,
        most: usize,
    ) -> Result<ScanPage, StoreError> {
        let events = self.read(reader)?;
        let mut found = ScanPage { is_end: events.is_empty(), ..ScanPage::default() };
        let index = self.index_of(subscription);
        let (snapshot, mut matches) = (index.snapshot(), Matches::default());
        for event in events {
            found.looked_at += 1;
            found.cursor = Some(event.id);
            let candidate = Candidate { content: &event.content, arrived_at: event.id.time() };
            let is_requested = is_requested(&subscription.spec.events, &event.content.event_type);
            if !is_requested || snapshot.match_into(&candidate, &mut matches).is_empty() {
                continue;
            }
            if reader.is_under_way(event.id, subscription.id)? {
                found.skipped += 1;
                continue;
            }
            found.wanted.push(event);
            if found.wanted.len() >= most {
                // Most events are selected here: reading more would read the rest twice.
                self.limit = most;
                break;
            }
        }
        Ok(found)
    }

    fn scan_deliveries(
        &mut self,
        reader: &Reader,
        subscription: SubscriptionId,
        most: usize,
    ) -> Result<ScanPage, StoreError> {
        let last = DeliveryId::from_bits(self.last.bits());
        let deliveries = reader.deliveries_from(subscription, (last, Some(self.end)), EVENTS_MAX)?;
        let mut found = ScanPage { is_end: deliveries.is_empty(), ..ScanPage::default() };
        let (mut bytes, span) = (0, self.since..self.until);
        for delivery in deliveries {
            found.looked_at += 1;
            found.cursor = Some(EventId::from_bits(delivery.id.bits()));
            let is_requested = state(&delivery).is_some_and(|state| self.states.contains(&state));
            if !is_requested || !span.contains(&delivery.event.time()) || !is_newest(reader, &delivery)? {
                continue;
            }
            let Some(event) = reader.event(delivery.event)? else { continue };
            bytes += event.content.data.as_ref().map_or(0, bytes::Bytes::len);
            found.wanted.push(event);
            if found.wanted.len() >= most || bytes > BYTES_AIM {
                break;
            }
        }
        Ok(found)
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

/// Returns whether the delivery is the newest one of its event to its subscription.
fn is_newest(reader: &Reader, delivery: &Delivery) -> Result<bool, StoreError> {
    let later = reader.deliveries_after(delivery.event, Some(delivery.id), usize::MAX)?;
    Ok(later.iter().all(|other| other.subscription != delivery.subscription))
}

/// Returns the final state of a delivery, or none if it has not ended.
fn state(delivery: &Delivery) -> Option<DeliveryState> {
    match delivery.progress {
        Progress::Waiting { .. } => None,
        Progress::Succeeded => Some(DeliveryState::Succeeded),
        Progress::Exhausted => Some(DeliveryState::Exhausted),
        Progress::Cancelled => Some(DeliveryState::Cancelled),
    }
}
