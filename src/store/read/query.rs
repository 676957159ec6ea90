//! Lists of events and deliveries, newest first, a page at a time.
//!
//! Which key serves which filter is told in `docs/FORMAT.md`. A page looks at a bounded number of rows, so that its
//! time is bounded too: it may then be short, even empty, with more to follow. A cursor is the id that was reached.
//! What is there throughout is shown exactly once, whatever comes and goes meanwhile.

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

/// Which events to list; a member that is none lets every event through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventQuery {
    /// Those of this type.
    pub event_type: Option<EventType>,
    /// Those of this project.
    pub project: Option<ProjectId>,
    /// Those of this company.
    pub company: Option<CompanyId>,
    /// Those with this id of the sender's.
    pub sender_id: Option<SenderId>,
    /// Those that arrived then or later.
    pub since: Option<Timestamp>,
    /// Those that arrived before.
    pub until: Option<Timestamp>,
    /// Those before this one: the `next` of the page before.
    pub before: Option<EventId>,
    /// The most items on the page.
    pub limit: usize,
}

impl EventQuery {
    /// The terms that an event must have, 0 for any.
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

/// Which deliveries to list; a member that is none, or empty, lets every delivery through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Those of this subscription.
    pub subscription: Option<SubscriptionId>,
    /// Those of this event, replayed ones included.
    pub event: Option<EventId>,
    /// Those that stand so.
    pub progress: Vec<ProgressKind>,
    /// Of those that wait, only these subscriptions'.
    pub waiting_of: Option<Vec<SubscriptionId>>,
    /// These besides, if they wait, whosesoever they are.
    pub waiting_also: Vec<DeliveryId>,
    /// Those made then or later.
    pub since: Option<Timestamp>,
    /// Those made before.
    pub until: Option<Timestamp>,
    /// Those before this one: the `next` of the page before.
    pub before: Option<DeliveryId>,
    /// The most items on the page.
    pub limit: usize,
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, I> {
    /// The items, newest first. There may be fewer than asked for, even none, though more follow.
    pub items: Vec<T>,
    /// Where the next page begins (its `before`); none at the end.
    pub next: Option<I>,
}

impl Reader {
    /// The events asked for, newest first, without their data.
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

    /// Events and replays with ids in the span, newest first.
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
