//! Lists of events and deliveries, newest first, in pages.
//!
//! `docs/FORMAT.md` tells which key serves which filter. A page examines a bounded number of rows, so its
//! time is bounded. It may therefore be short or empty although more items follow. A cursor is the last id
//! that was examined. An item that exists during the whole listing appears exactly once, whatever is added or
//! removed meanwhile.

mod bounds;
mod deliveries;
mod hits;
mod parts;

use self::bounds::{LOOK_UP, Span, Work};
use self::hits::IndexSearch;
use super::reader::Reader;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::name::{CompanyId, EventType, ProjectId, SenderId};
use crate::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::memory::shared::ProgressKind;
use crate::store::rows::origin::{Origin, OriginKind};
use crate::store::rows::record::EventHead;
use crate::store::rows::segment::{self, EVENT_TERMS, Term};

/// The filter of a list of events. A member that is `None` matches every event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Matches events of this type.
    pub event_type: Option<EventType>,
    /// Matches events of this project.
    pub project: Option<ProjectId>,
    /// Matches events of this company.
    pub company: Option<CompanyId>,
    /// Matches events with this id of the sender.
    pub sender_id: Option<SenderId>,
    /// Matches events accepted at this time or later.
    pub since: Option<Timestamp>,
    /// Matches events accepted before this time.
    pub until: Option<Timestamp>,
    /// Matches events before this one. It is the `next` of the previous page.
    pub before: Option<EventId>,
    /// The most items on the page.
    pub limit: usize,
}

impl EventQuery {
    /// Returns the terms that an event must have. A term of 0 matches every event.
    fn terms(&self) -> [Term; EVENT_TERMS] {
        [
            self.event_type.as_ref().map_or(0, |name| segment::of_type(name.as_str())),
            self.project.as_ref().map_or(0, |name| segment::of_project(name.as_str())),
            self.company.as_ref().map_or(0, |name| segment::of_company(name.as_str())),
            self.sender_id.as_ref().map_or(0, |id| segment::of_sender(id.as_str())),
        ]
    }

    fn wants(&self, head: &EventHead) -> bool {
        let content = &head.content;
        self.event_type.as_ref().is_none_or(|wanted| *wanted == content.event_type)
            && self.project.as_ref().is_none_or(|wanted| *wanted == content.project)
            && self.company.as_ref().is_none_or(|wanted| Some(wanted) == content.company.as_ref())
            && self.sender_id.as_ref().is_none_or(|wanted| Some(wanted) == content.sender_id.as_ref())
    }
}

/// The filter of a list of deliveries. A member that is `None` or empty matches every delivery.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Matches deliveries of this subscription.
    pub subscription: Option<SubscriptionId>,
    /// Matches deliveries of this event, including its replays.
    pub event: Option<EventId>,
    /// Matches deliveries with one of these kinds of progress.
    pub progress: Vec<ProgressKind>,
    /// Restricts the waiting deliveries to those of these subscriptions.
    pub waiting_of: Option<Vec<SubscriptionId>>,
    /// Adds these deliveries if they wait, whatever their subscription.
    pub waiting_also: Vec<DeliveryId>,
    /// Matches deliveries created at this time or later.
    pub since: Option<Timestamp>,
    /// Matches deliveries created before this time.
    pub until: Option<Timestamp>,
    /// Matches deliveries before this one. It is the `next` of the previous page.
    pub before: Option<DeliveryId>,
    /// The most items on the page.
    pub limit: usize,
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, I> {
    /// The items, newest first. There may be fewer than the limit, or none, although more follow.
    pub items: Vec<T>,
    /// The start of the next page (its `before`), or `None` at the end of the list.
    pub next: Option<I>,
}

impl Reader {
    /// Returns a page of events, newest first, without their data.
    pub fn events(&self, query: &EventQuery) -> Result<Page<EventHead, EventId>, StoreError> {
        let span = Span::new(query.since, query.until, query.before.map(EventId::bits));
        let terms = query.terms();
        if terms == [0; EVENT_TERMS] {
            return self.all_events(span, query.limit);
        }
        let (mut work, mut items, mut reached) = (Work::new(), Vec::new(), span.end);
        let mut hits = IndexSearch::events(self, terms, span);
        while items.len() < query.limit && !work.is_spent() {
            let Some(id) = hits.next(&mut work)? else {
                let next = hits.stopped_at().map(EventId::from_bits);
                return Ok(Page { items, next });
            };
            reached = id;
            work.spend(LOOK_UP);
            if let Some(head) = self.event_head(EventId::from_bits(id))?.filter(|head| query.wants(head)) {
                items.push(head);
            }
        }
        Ok(Page { items, next: (reached > span.first).then(|| EventId::from_bits(reached)) })
    }

    fn all_events(&self, span: Span, limit: usize) -> Result<Page<EventHead, EventId>, StoreError> {
        let (mut work, mut items, mut reached) = (Work::new(), Vec::new(), span.end);
        let mut origins = self.origins(span);
        while items.len() < limit && !work.is_spent() {
            let Some(origin) = origins.next().transpose()? else { return Ok(Page { items, next: None }) };
            reached = origin.id;
            work.spend(LOOK_UP);
            if let OriginKind::Event(head) = origin.kind {
                items.push(head);
            }
        }
        Ok(Page { items, next: (reached > span.first).then(|| EventId::from_bits(reached)) })
    }

    /// Iterates over the events and replays with ids in the span, newest first.
    fn origins(&self, span: Span) -> impl Iterator<Item = Result<Origin, StoreError>> {
        let mut end = span.end;
        std::iter::from_fn(move || {
            let last = end.checked_sub(1).filter(|last| *last >= span.first)?;
            match self.origin_at_or_before(last) {
                Ok(origin) => {
                    let origin = origin.filter(|origin| origin.id >= span.first)?;
                    end = origin.id;
                    Some(Ok(origin))
                }
                Err(error) => Some(Err(error)),
            }
        })
    }
}
