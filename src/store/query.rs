//! Lists of events and deliveries, newest first, a bounded number of rows at a time.

use super::error::StoreError;
use super::key::{self, delivery_of};
use super::ledger::ProgressKind;
use super::reader::{OriginKind, Reader};
use super::record::EventHead;
use crate::model::delivery::Delivery;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::name::{CompanyId, EventType, ProjectId, SenderId};
use crate::model::time::Timestamp;

/// How many events or deliveries one page looks at.
const SCAN_MAX: usize = 2000;

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
    fn wants(&self, head: &EventHead) -> bool {
        let content = &head.content;
        self.event_type.as_ref().is_none_or(|wanted| *wanted == content.event_type)
            && self.project.as_ref().is_none_or(|wanted| *wanted == content.project)
            && self.company.as_ref().is_none_or(|wanted| Some(wanted) == content.company.as_ref())
            && self.sender_id.as_ref().is_none_or(|wanted| Some(wanted) == content.sender_id.as_ref())
    }
}

/// Which deliveries to list; a member that is none lets every delivery through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Those of this subscription.
    pub subscription: Option<SubscriptionId>,
    /// Those of this event.
    pub event: Option<EventId>,
    /// Those that stand so; empty for all.
    pub progress: Vec<ProgressKind>,
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

/// The id bits from `since` and `until`: the first included, the first beyond.
fn span(since: Option<Timestamp>, until: Option<Timestamp>, before: Option<u128>) -> (u128, u128) {
    let end = until.map_or(u128::MAX, key::first_bits).min(before.unwrap_or(u128::MAX));
    (since.map_or(0, key::first_bits), end)
}

impl Reader {
    /// The events asked for, newest first, without their data.
    pub fn events(&self, query: &EventQuery) -> Result<Page<EventHead, EventId>, StoreError> {
        let (first, mut end) = span(query.since, query.until, query.before.map(EventId::bits));
        let mut items = Vec::new();
        for _ in 0..SCAN_MAX {
            let Some(last) = end.checked_sub(1).filter(|last| *last >= first) else { break };
            let Some(origin) = self.origin_at_or_before(last)?.filter(|origin| origin.id >= first) else {
                return Ok(Page { items, next: None });
            };
            end = origin.id;
            match origin.kind {
                OriginKind::Event(head) if query.wants(&head) => items.push(head),
                OriginKind::Event(_) | OriginKind::Replay(_) => {}
            }
            if items.len() >= query.limit {
                break;
            }
        }
        Ok(Page { items, next: (end > first).then(|| EventId::from_bits(end)) })
    }

    /// The deliveries asked for, newest first, with their attempts.
    pub fn deliveries(&self, query: &DeliveryQuery) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        let (mut first, mut end) = span(query.since, query.until, query.before.map(DeliveryId::bits));
        if let Some(event) = query.event {
            let targets = self.event_head(event)?.map_or(0, |head| u128::from(head.targets));
            first = first.max(event.bits().saturating_add(1));
            end = end.min(event.bits().saturating_add(1 + targets));
        }
        let mut page = Page { items: Vec::new(), next: None };
        let mut budget = SCAN_MAX;
        while budget > 0 && page.items.len() < query.limit {
            let Some(last) = end.checked_sub(1).filter(|last| *last >= first) else { return Ok(page) };
            let Some(origin) = self.origin_at_or_before(last)? else { return Ok(page) };
            let members = self.members(&origin)?;
            end =
                self.take_deliveries(query, origin.id, &members, (first, end), &mut budget, &mut page.items)?;
        }
        page.next = (end > first).then(|| DeliveryId::from_bits(end));
        Ok(page)
    }

    /// Adds the deliveries of one event, last first, and returns the id bits that were reached.
    fn take_deliveries(
        &self,
        query: &DeliveryQuery,
        origin: u128,
        members: &[(EventId, SubscriptionId)],
        (first, end): (u128, u128),
        budget: &mut usize,
        items: &mut Vec<Delivery>,
    ) -> Result<u128, StoreError> {
        *budget = budget.saturating_sub(1);
        for (index, (event, subscription)) in members.iter().enumerate().rev() {
            let id = delivery_of(origin, index);
            if id.bits() >= end {
                continue;
            }
            if id.bits() < first || items.len() >= query.limit || *budget == 0 {
                return Ok(id.bits() + 1);
            }
            if query.subscription.is_none_or(|wanted| wanted == *subscription) {
                *budget -= 1;
                let delivery = self.known(id, *event, *subscription)?;
                let kind = ProgressKind::from(delivery.progress);
                if query.progress.is_empty() || query.progress.contains(&kind) {
                    items.push(delivery);
                }
            }
        }
        Ok(origin)
    }
}
