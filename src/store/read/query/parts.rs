//! Finds deliveries by progress, in the trees of the states and among the waiting deliveries.
//!
//! A waiting delivery is fresh in memory, or has only a due row, or has a row in the tree of tried
//! deliveries. From there it moves to a final tree. Each of these places is a *part*. A part is read as far
//! as the page needs it. The parts are read in the order in which deliveries move, so that no delivery is
//! missed while it moves.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::store::rows::engine::RowBytes;

use super::Page;
use super::bounds::{LOOK_UP, Span, Work};
use super::deliveries::PageBuilder;
use crate::model::delivery::Delivery;
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::store::error::StoreError;
use crate::store::memory::shared::{LaneCounts, ProgressKind, State};
use crate::store::read::reader::Reader;
use crate::store::rows::key::{self, Table};
use crate::store::rows::record;
use crate::store::rows::tables::{RowIter, corrupt};

/// The most rows of a part that one page passes.
const PASSED_MAX: usize = 3000;
/// The most lanes whose fresh deliveries are read lane by lane.
const LANES_APART_MAX: usize = 8;

/// A delivery that may match, with the first chunk of its row if that was read already.
struct Candidate {
    id: u128,
    row: Option<(Table, RowBytes)>,
}

/// The candidates of a part, newest first, and the id down to which the part was read completely.
struct Source {
    candidates: Vec<Candidate>,
    covered: u128,
}

impl Source {
    fn ids(ids: impl IntoIterator<Item = DeliveryId>, covered: u128) -> Self {
        let candidates = ids.into_iter().map(|id| Candidate { id: id.bits(), row: None }).collect();
        Self { candidates, covered }
    }
}

impl Reader {
    pub(super) fn fill_from_states(
        &self,
        mut page: PageBuilder,
        mut span: Span,
    ) -> Result<Page<Delivery, DeliveryId>, StoreError> {
        loop {
            let parts = self.parts(&mut page, span)?;
            let floor = parts.iter().map(|part| part.covered).fold(span.first, u128::max);
            let mut candidates: Vec<Candidate> = parts.into_iter().flat_map(|part| part.candidates).collect();
            // If a delivery has moved meanwhile, its later place counts: the sort is stable.
            candidates.reverse();
            candidates.sort_by_key(|candidate| Reverse(candidate.id));
            candidates.dedup_by_key(|candidate| candidate.id);
            let mut candidates = candidates.into_iter().take_while(|one| one.id >= floor).peekable();
            while let Some(Candidate { id, row }) = candidates.next() {
                let delivery_id = DeliveryId::from_bits(id);
                let delivery = match row {
                    Some((table, first)) => self.read_delivery(table, delivery_id, first)?,
                    None => self.delivery(delivery_id)?,
                };
                page.work.spend(LOOK_UP);
                if let Some(delivery) = delivery {
                    page.offer(delivery);
                }
                if page.is_full() {
                    let is_last = candidates.peek().is_none() && floor <= span.first;
                    return Ok(if is_last { page.at_end() } else { page.up_to(id) });
                }
            }
            if floor <= span.first {
                return Ok(page.at_end());
            }
            if page.work.is_spent() {
                return Ok(page.up_to(floor));
            }
            span.end = floor;
        }
    }

    /// Reads each part as far as the page needs it.
    fn parts(&self, page: &mut PageBuilder, span: Span) -> Result<Vec<Source>, StoreError> {
        let most = page.room() + 1;
        let mut parts = Vec::new();
        let wants = |kind| page.query().progress.contains(&kind);
        let finals = [ProgressKind::Cancelled, ProgressKind::Exhausted, ProgressKind::Succeeded].map(wants);
        if wants(ProgressKind::Waiting) {
            let mut also = page.query().waiting_also.clone();
            also.retain(|id| (span.first..span.end).contains(&id.bits()));
            parts.push(Source::ids(also, span.first));
            let (fresh, lanes) = {
                let state = self.shared.state();
                let lanes = wanted_lines(&state, page).filter(|(_, line)| line.untried > 0);
                (fresh(&state, page, span, most), lanes.map(|(id, _)| id).collect::<Vec<_>>())
            };
            parts.push(fresh);
            parts.push(self.untried(page, &lanes, span, most)?);
            // Read late, so that a delivery that has just left its lane is counted here.
            let has_retrying = wanted_lines(&self.shared.state(), page).any(|(_, line)| line.retrying > 0);
            if has_retrying {
                parts.push(self.in_tree(Table::Retrying, page, span, most)?);
            }
        }
        let trees = [Table::Cancelled, Table::Exhausted, Table::Succeeded];
        for (table, _) in trees.into_iter().zip(finals).filter(|(_, is_wanted)| *is_wanted) {
            parts.push(self.in_tree(table, page, span, most)?);
        }
        Ok(parts)
    }

    /// Returns the deliveries in the tree of a state.
    fn in_tree(
        &self,
        table: Table,
        page: &mut PageBuilder,
        span: Span,
        most: usize,
    ) -> Result<Source, StoreError> {
        let mut part = Source { candidates: Vec::new(), covered: span.first };
        let has_filter = page.query().subscription.is_some()
            || (table == Table::Retrying && page.query().waiting_of.is_some());
        let rows = self.tables.tree(table).range(key::chunk(span.first, 0)..key::chunk(span.end, 0));
        for (passed, row) in rows.rev().enumerate() {
            let (row_key, row) = row?;
            let (id, number) = key::read_chunk(table, &row_key)?;
            page.work.spend(1);
            if number > 0 {
                continue;
            }
            let is_wanted = !has_filter || {
                let (of, _) = record::read_progress(&row).map_err(|problem| corrupt(table, id, problem))?;
                match table {
                    Table::Retrying => page.wants_waiting_of(of),
                    _ => page.query().subscription.is_none_or(|wanted| wanted == of),
                }
            };
            if is_wanted {
                part.candidates.push(Candidate { id, row: Some((table, row)) });
            }
            if part.candidates.len() >= most || passed >= PASSED_MAX {
                part.covered = id;
                break;
            }
        }
        Ok(part)
    }

    /// Returns the deliveries of these lanes that were never tried and have a due row.
    fn untried(
        &self,
        page: &mut PageBuilder,
        lanes: &[SubscriptionId],
        span: Span,
        most: usize,
    ) -> Result<Source, StoreError> {
        let mut lanes: Vec<Untried> = lanes.iter().map(|of| Untried::new(self, *of, span)).collect();
        let mut heads = BinaryHeap::with_capacity(lanes.len());
        let mut part = Source { candidates: Vec::new(), covered: span.first };
        for (number, lane) in lanes.iter_mut().enumerate() {
            page.work.spend(LOOK_UP);
            heads.extend(lane.next(&mut page.work, &mut part.covered)?.map(|id| (id, number)));
        }
        while let Some((id, number)) = heads.pop().filter(|(id, _)| *id >= part.covered) {
            part.candidates.push(Candidate { id, row: None });
            if part.candidates.len() >= most {
                part.covered = id;
                break;
            }
            let Some(lane) = lanes.get_mut(number) else { break };
            heads.extend(lane.next(&mut page.work, &mut part.covered)?.map(|id| (id, number)));
        }
        Ok(part)
    }
}

/// The never tried deliveries of a lane, newest first. Each is due at its creation, so they are ordered by id
/// among themselves.
struct Untried {
    rows: RowIter,
    span: Span,
}

impl Untried {
    fn new(reader: &Reader, subscription: SubscriptionId, span: Span) -> Self {
        let place =
            |bits| key::due(subscription, DeliveryId::from_bits(bits).time(), DeliveryId::from_bits(bits));
        Self { rows: reader.tables.tree(Table::Due).range(place(span.first)..place(span.end)), span }
    }

    /// Returns the next delivery. Stops when the work is spent, and raises `covered` to the position reached.
    fn next(&mut self, work: &mut Work, covered: &mut u128) -> Result<Option<u128>, StoreError> {
        while let Some(row) = self.rows.next_back() {
            let (_, at, id) = key::read_due(&row?.0)?;
            work.spend(1);
            if at == id.time() {
                return Ok(Some(id.bits()));
            }
            // Every never tried delivery that is left in the lane is at most this new.
            let reached = key::first_bits(at.after(Duration::from_millis(1)));
            if work.is_spent() && reached < self.span.end {
                *covered = reached.max(*covered);
                return Ok(None);
            }
        }
        Ok(None)
    }
}

/// Returns the counts of the waiting deliveries of the wanted subscriptions.
fn wanted_lines(state: &State, page: &PageBuilder) -> impl Iterator<Item = (SubscriptionId, LaneCounts)> {
    let wanted = state.lines.iter().filter(|(id, _)| page.wants_waiting_of(**id));
    wanted.map(|(id, line)| (*id, *line))
}

/// Returns the fresh deliveries that the query matches.
fn fresh(state: &State, page: &PageBuilder, span: Span, most: usize) -> Source {
    let query = page.query();
    let wanted: Option<Vec<SubscriptionId>> = match (query.subscription, &query.waiting_of) {
        (Some(id), _) => Some(vec![id]),
        (None, Some(list)) => Some(list.clone()),
        (None, None) => None,
    };
    let leaving = state.leaving().iter().filter(|fresh| page.wants_waiting_of(fresh.subscription));
    let leaving = leaving.map(|fresh| fresh.id).filter(|id| (span.first..span.end).contains(&id.bits()));
    let has_fresh =
        |id: &SubscriptionId| page.wants_waiting_of(*id) && state.rowless_of(*id).next().is_some();
    let wanted: Option<Vec<SubscriptionId>> = wanted.map(|list| list.into_iter().filter(has_fresh).collect());
    if let Some(lanes) = wanted.as_ref().filter(|lanes| lanes.len() <= LANES_APART_MAX) {
        let mut ids: Vec<DeliveryId> = lanes.iter().flat_map(|id| state.rowless_of(*id)).collect();
        ids.extend(leaving);
        ids.retain(|id| (span.first..span.end).contains(&id.bits()));
        ids.sort_unstable_by_key(|id| Reverse(*id));
        ids.truncate(most);
        let covered =
            if ids.len() < most { span.first } else { ids.last().map_or(span.first, |id| id.bits()) };
        return Source::ids(ids, covered);
    }
    let mut part = Source::ids(leaving, span.first);
    let newest = state.rowless_before(DeliveryId::from_bits(span.end));
    for (passed, fresh) in newest.take_while(|fresh| fresh.id.bits() >= span.first).enumerate() {
        if page.wants_waiting_of(fresh.subscription) {
            part.candidates.push(Candidate { id: fresh.id.bits(), row: None });
        }
        if part.candidates.len() >= most || passed >= PASSED_MAX {
            part.covered = fresh.id.bits();
            break;
        }
    }
    part
}
