//! Lists of deliveries. Chooses the cheapest search and fills the page.

use std::collections::HashSet;

use super::bounds::{LOOK_UP, Span, Work};
use super::hits::IndexSearch;
use super::{DeliveryQuery, Page};
use crate::model::delivery::Delivery;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::time::Timestamp;
use crate::store::error::StoreError;
use crate::store::memory::shared::ProgressKind;
use crate::store::read::reader::Reader;
use crate::store::rows::key::{self, Table, delivery_of};
use crate::store::rows::segment;

/// A page that is being filled.
pub(super) struct PageBuilder<'a> {
    query: &'a DeliveryQuery,
    waiting_of: Option<HashSet<SubscriptionId>>,
    keep: &'a mut dyn FnMut(&Delivery) -> bool,
    items: Vec<Delivery>,
    pub(super) work: Work,
}

impl PageBuilder<'_> {
    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= self.query.limit
    }

    /// Returns how many more items fit on the page.
    pub(super) fn room(&self) -> usize {
        self.query.limit.saturating_sub(self.items.len())
    }

    pub(super) const fn query(&self) -> &DeliveryQuery {
        self.query
    }

    /// Returns whether the query matches waiting deliveries of this subscription.
    pub(super) fn wants_waiting_of(&self, id: SubscriptionId) -> bool {
        self.query.subscription.is_none_or(|wanted| wanted == id)
            && self.waiting_of.as_ref().is_none_or(|wanted| wanted.contains(&id))
    }

    /// Adds a delivery to the page if the query matches it.
    pub(super) fn offer(&mut self, delivery: Delivery) {
        let kind = ProgressKind::from(delivery.progress);
        let query = self.query;
        let is_wanted = query.subscription.is_none_or(|wanted| wanted == delivery.subscription)
            && query.event.is_none_or(|wanted| wanted == delivery.event)
            && (query.progress.is_empty() || query.progress.contains(&kind))
            && (kind != ProgressKind::Waiting
                || self.wants_waiting_of(delivery.subscription)
                || query.waiting_also.contains(&delivery.id));
        if is_wanted && (self.keep)(&delivery) {
            self.items.push(delivery);
        }
    }

    /// Returns the page. More items may follow below the id `reached`.
    pub(super) fn up_to(self, reached: u128) -> Page<Delivery, DeliveryId> {
        Page { items: self.items, next: Some(DeliveryId::from_bits(reached)) }
    }

    /// Returns the page as the last of the list.
    pub(super) fn at_end(self) -> Page<Delivery, DeliveryId> {
        Page { items: self.items, next: None }
    }
}

/// Returns the trees of these kinds of progress, or `None` if one of them is not final.
fn final_tables(progress: &[ProgressKind]) -> Option<Vec<Table>> {
    let table = |kind: &ProgressKind| match kind {
        ProgressKind::Waiting => None,
        ProgressKind::Succeeded => Some(Table::Succeeded),
        ProgressKind::Exhausted => Some(Table::Exhausted),
        ProgressKind::Cancelled => Some(Table::Cancelled),
    };
    if progress.is_empty() { None } else { progress.iter().map(table).collect() }
}

/// The search that finds the deliveries of a query.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum SearchPath {
    /// No delivery can match.
    Nothing,
    /// Reads the events and replays in order.
    Origins,
    /// Searches the index for this subscription.
    Subscription(SubscriptionId),
    /// Reads the trees of the states, and the waiting deliveries.
    States,
}

impl Reader {
    /// Returns a page of the deliveries that match the query and `keep`, newest first, with their attempts.
    pub fn deliveries(
        &self,
        query: &DeliveryQuery,
        mut keep: impl FnMut(&Delivery) -> bool,
    ) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        let span = Span::new(query.since, query.until, query.before.map(DeliveryId::bits));
        let waiting_of = query.waiting_of.as_ref().map(|list| list.iter().copied().collect());
        let page = PageBuilder { query, waiting_of, keep: &mut keep, items: Vec::new(), work: Work::new() };
        if span.is_empty() {
            return Ok(page.at_end());
        }
        if let Some(event) = query.event {
            return self.fill_from_event(page, event, span);
        }
        match self.search_path(query) {
            SearchPath::Nothing => Ok(page.at_end()),
            SearchPath::Origins => self.fill_from_origins(page, span),
            SearchPath::Subscription(id) => self.fill_from_hits(page, id, span),
            SearchPath::States => self.fill_from_states(page, span),
        }
    }

    /// Chooses the search that examines the fewest rows, by the counts of the rows that each would examine.
    fn search_path(&self, query: &DeliveryQuery) -> SearchPath {
        let state = self.shared.state();
        let tally = query.subscription.map(|id| state.tallies.get(&id).copied().unwrap_or_default());
        let (own, total) = (tally.unwrap_or(state.total), state.total);
        if query.progress.is_empty() {
            return match query.subscription {
                Some(_) if own.all() == 0 => SearchPath::Nothing,
                Some(id) => SearchPath::Subscription(id),
                None => SearchPath::Origins,
            };
        }
        if query.progress.iter().all(|kind| own.of(*kind) == 0) {
            return SearchPath::Nothing;
        }
        let Some(id) = query.subscription else { return SearchPath::States };
        let has_retrying = state.lines.get(&id).is_some_and(|line| line.retrying > 0);
        let passed = |kind: &ProgressKind| match kind {
            ProgressKind::Waiting if has_retrying => state.retrying,
            ProgressKind::Waiting => 0,
            kind => total.of(*kind),
        };
        let by_states: u64 = query.progress.iter().map(passed).sum();
        let by_subscription = own.all().saturating_mul(LOOK_UP as u64);
        if by_subscription < by_states { SearchPath::Subscription(id) } else { SearchPath::States }
    }

    fn fill_from_hits(
        &self,
        mut page: PageBuilder,
        subscription: SubscriptionId,
        span: Span,
    ) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        let mut hits = IndexSearch::deliveries(self, segment::of_subscription(subscription), span);
        let mut reached = span.end;
        while !page.is_full() && !page.work.is_spent() {
            let Some(id) = hits.next(&mut page.work)? else {
                return Ok(match hits.stopped_at() {
                    Some(stopped_at) => page.up_to(stopped_at),
                    None => page.at_end(),
                });
            };
            reached = id;
            self.offer(&mut page, id)?;
        }
        let is_last = hits.next(&mut page.work)?.is_none() && hits.stopped_at().is_none();
        Ok(if is_last { page.at_end() } else { page.up_to(reached) })
    }

    fn offer(&self, page: &mut PageBuilder, id: u128) -> Result<(), StoreError> {
        page.work.spend(LOOK_UP);
        let id = DeliveryId::from_bits(id);
        let found = match final_tables(&page.query().progress) {
            Some(tables) => self.delivery_in(&tables, id)?,
            None => self.delivery(id)?,
        };
        if let Some(delivery) = found {
            page.offer(delivery);
        }
        Ok(())
    }

    /// Adds the deliveries of one event. Those of its replays are newer and come first.
    fn fill_from_event(
        &self,
        mut page: PageBuilder,
        event: EventId,
        span: Span,
    ) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        let mut hits = IndexSearch::replayed(self, event.bits(), span);
        let mut reached = span.end;
        while !page.is_full() && !page.work.is_spent() {
            let Some(id) = hits.next(&mut page.work)? else { break };
            reached = id;
            self.offer(&mut page, id)?;
        }
        if let Some(stopped_at) = hits.stopped_at() {
            return Ok(page.up_to(stopped_at));
        }
        if hits.next(&mut page.work)?.is_some() || hits.stopped_at().is_some() {
            return Ok(page.up_to(reached));
        }
        let Some(origin) = self.origin_at(event)? else { return Ok(page.at_end()) };
        let members = self.members(&origin)?;
        for (index, (event, subscription)) in members.into_iter().enumerate().rev() {
            let id = delivery_of(origin.id, index);
            if id.bits() < span.first {
                break;
            }
            if id.bits() >= span.end || page.query().subscription.is_some_and(|of| of != subscription) {
                continue;
            }
            if page.is_full() || page.work.is_spent() {
                return Ok(page.up_to(reached));
            }
            reached = id.bits();
            page.work.spend(LOOK_UP);
            page.offer(self.known(id, event, subscription)?);
        }
        Ok(page.at_end())
    }

    fn fill_from_origins(
        &self,
        mut page: PageBuilder,
        span: Span,
    ) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        let mut reached = span.end;
        // The first deliveries of the span may belong to the event before it.
        for origin in self.origins(Span { first: 0, ..span }) {
            let origin = origin?;
            page.work.spend(LOOK_UP);
            for (index, (event, subscription)) in self.members(&origin)?.into_iter().enumerate().rev() {
                let id = delivery_of(origin.id, index);
                if id.bits() < span.first {
                    return Ok(page.at_end());
                }
                if id.bits() >= span.end {
                    continue;
                }
                if page.is_full() || page.work.is_spent() {
                    return Ok(page.up_to(reached));
                }
                reached = id.bits();
                page.work.spend(LOOK_UP);
                page.offer(self.known(id, event, subscription)?);
            }
            if origin.id < span.first {
                break;
            }
            if page.work.is_spent() {
                return Ok(page.up_to(origin.id));
            }
        }
        Ok(page.at_end())
    }

    /// Returns the deliveries of a subscription after a given one and created before `until`, oldest first,
    /// whatever their state. Fewer than `limit` means that the list ends.
    pub fn deliveries_from(
        &self,
        subscription: SubscriptionId,
        (after, until): (DeliveryId, Option<Timestamp>),
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let span =
            Span { first: after.bits().saturating_add(1), end: until.map_or(u128::MAX, key::first_bits) };
        let mut found = Vec::new();
        for id in IndexSearch::forwards(self, segment::of_subscription(subscription), span) {
            let id = DeliveryId::from_bits(id?);
            if let Some(delivery) = self.delivery(id)?.filter(|one| one.subscription == subscription) {
                found.push(delivery);
            }
            if found.len() >= limit {
                break;
            }
        }
        Ok(found)
    }

    /// Returns the deliveries of an event after a given one: first its own, in the order of its targets, then
    /// those of its replays, oldest first. Fewer than `limit` means that the list ends. `None` if the event
    /// does not exist.
    pub fn deliveries_after(
        &self,
        event: EventId,
        after: Option<DeliveryId>,
        limit: usize,
    ) -> Result<Vec<Delivery>, StoreError> {
        let Some(origin) = self.origin_at(event)? else { return Ok(Vec::new()) };
        let from = after.map_or(0, |after| after.bits().saturating_add(1));
        let ids = (0..).map(|index| delivery_of(origin.id, index));
        let own = ids.zip(self.members(&origin)?).skip_while(|(id, _)| id.bits() < from).take(limit);
        let mut found = own
            .map(|(id, (event, subscription))| self.known(id, event, subscription))
            .collect::<Result<Vec<_>, _>>()?;
        if found.len() >= limit {
            return Ok(found);
        }
        let mut replayed = Vec::new();
        let mut hits = IndexSearch::replayed(self, event.bits(), Span { first: from, end: u128::MAX });
        while let Some(id) = hits.next(&mut Work::new())? {
            replayed.push(id);
        }
        for id in replayed.into_iter().rev() {
            if found.len() >= limit {
                break;
            }
            found.extend(self.delivery(DeliveryId::from_bits(id))?.filter(|one| one.event == event));
        }
        Ok(found)
    }

    /// Returns every delivery of the event, in the order of [`deliveries_after`](Self::deliveries_after).
    pub fn deliveries_of(&self, event: EventId) -> Result<Vec<Delivery>, StoreError> {
        self.deliveries_after(event, None, usize::MAX)
    }
}
