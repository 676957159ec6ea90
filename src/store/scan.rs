//! The scan at opening: counts and hashes every row, and finds again what is kept in memory.

use std::collections::{BTreeMap, BTreeSet};

use super::error::StoreError;
use super::key::{self, TABLES, Table, delivery_of};
use super::ledger::{Fresh, ProgressKind, State};
use super::reader::head;
use super::record::{self, Meta};
use super::seal::Vault;
use super::table::{Tables, corrupt, hash};
use crate::model::delivery::Progress;
use crate::model::id::{EventId, SubscriptionId};
use crate::model::subscription::{Standing, Subscription};

/// After so many rows of a tree, a word on how far it is.
const PROGRESS_ROWS: u64 = 500_000;

/// What the log holds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) counts: [(u64, u64); TABLES],
    pub(super) subscriptions: Vec<(Subscription, Standing)>,
    /// Those whose secrets an earlier version stored as they are.
    pub(super) plain: Vec<Subscription>,
    pub(super) state: State,
    pub(super) lanes: Vec<(SubscriptionId, u64)>,
    pub(super) buckets: BTreeSet<u32>,
}

/// Reads all of it. Differences from `meta` are left to the caller.
pub(super) fn scan(
    tables: &Tables,
    meta: &Meta,
    vault: &Vault,
    progress: &mut dyn FnMut(&str),
) -> Result<Scan, StoreError> {
    let mut scan = Scan::default();
    let mut standings = BTreeMap::new();
    scan.each(tables, Table::Standings, progress, |_, row_key, row| {
        let id = SubscriptionId::from_bits(key::read_id(Table::Standings, row_key, row_key)?);
        let problem = |p| corrupt(Table::Standings, id.bits(), p);
        standings.insert(id, record::read_standing(row).map_err(problem)?);
        Ok(())
    })?;
    scan.each(tables, Table::Subscriptions, progress, |scan, row_key, _| {
        let (bits, number) = key::read_chunk(Table::Subscriptions, row_key)?;
        if number > 0 {
            return Ok(());
        }
        let id = SubscriptionId::from_bits(bits);
        let problem = |p: String| corrupt(Table::Subscriptions, bits, p);
        let record = tables.long(Table::Subscriptions, bits)?.ok_or_else(|| problem("it is gone".into()))?;
        let subscription = record::read_subscription(id, &record, vault).map_err(problem)?;
        scan.state.subscriptions.insert(id, subscription.deleted_at);
        if record::is_plain(&record) {
            scan.plain.push(subscription.clone());
        }
        scan.subscriptions.push((subscription, standings.remove(&id).unwrap_or_default()));
        Ok(())
    })?;
    scan.each(tables, Table::Dedup, progress, |scan, row_key, _| {
        scan.buckets.insert(key::read_bucket(row_key)?);
        Ok(())
    })?;
    scan.each(tables, Table::Due, progress, |scan, row_key, _| {
        let (subscription, ..) = key::read_due(row_key)?;
        scan.state.tally(subscription).add(ProgressKind::Waiting);
        Ok(())
    })?;
    scan.lanes = scan.state.tallies.iter().map(|(id, tally)| (*id, tally.waiting)).collect();
    scan.lanes.sort_unstable();
    scan.each(tables, Table::Deliveries, progress, Scan::add_delivery)?;
    scan.add_events(tables, meta, progress)?;
    Ok(scan)
}

impl Scan {
    /// Counts every row of a tree and shows it to `visit`.
    #[expect(clippy::indexing_slicing, reason = "there is one count for each value of the enumeration")]
    fn each(
        &mut self,
        tables: &Tables,
        table: Table,
        progress: &mut dyn FnMut(&str),
        mut visit: impl FnMut(&mut Self, &[u8], &[u8]) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut count = (0u64, 0u64);
        for row in tables.tree(table) {
            let (row_key, value) = row?;
            count = (count.0 + 1, count.1.wrapping_add(hash(table, &row_key, &value)));
            if count.0.is_multiple_of(PROGRESS_ROWS) {
                progress(&format!("checking {}: {} rows so far", table.name(), count.0));
            }
            visit(self, &row_key, &value)?;
        }
        if count.0 > 0 {
            progress(&format!("checked {}: {} rows", table.name(), count.0));
        }
        self.counts[table.index()] = count;
        Ok(())
    }

    fn add_delivery(&mut self, row_key: &[u8], row: &[u8]) -> Result<(), StoreError> {
        let (id, number) = key::read_chunk(Table::Deliveries, row_key)?;
        if number == 0 {
            let (subscription, progress) =
                record::read_progress(row).map_err(|problem| corrupt(Table::Deliveries, id, problem))?;
            // One that waits was counted by its due row.
            if !matches!(progress, Progress::Waiting { .. }) {
                self.state.tally(subscription).add(progress.into());
            }
        }
        Ok(())
    }

    /// Finds the fresh deliveries; whatever else an event went to and nothing is known of, is cancelled.
    fn add_events(
        &mut self,
        tables: &Tables,
        meta: &Meta,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), StoreError> {
        let floor = EventId::from_bytes(meta.fresh_floor);
        let mut totals: BTreeMap<SubscriptionId, u64> = BTreeMap::new();
        self.each(tables, Table::Events, progress, |scan, row_key, row| {
            let (bits, number) = key::read_chunk(Table::Events, row_key)?;
            if number > 0 {
                return Ok(());
            }
            let id = EventId::from_bits(bits);
            for (index, subscription) in targets(tables, id, row)?.into_iter().enumerate() {
                *totals.entry(subscription).or_default() += 1;
                let fresh = Fresh { id: delivery_of(id, index), event: id, subscription };
                if id >= floor && scan.state.is_live(subscription) && !has_rows(tables, fresh)? {
                    scan.state.tally(subscription).add(ProgressKind::Waiting);
                    scan.state.add_fresh(fresh);
                }
            }
            Ok(())
        })?;
        for (subscription, total) in totals {
            let tally = self.state.tally(subscription);
            let known = tally.waiting + tally.succeeded + tally.exhausted;
            tally.cancelled = total.saturating_sub(known);
        }
        Ok(())
    }
}

fn targets(tables: &Tables, id: EventId, first: &[u8]) -> Result<Vec<SubscriptionId>, StoreError> {
    let problem = |p| corrupt(Table::Events, id.bits(), p);
    let head = head(id, first)?;
    let (_, rest) = record::read_event_head(id, first).map_err(problem)?;
    if let Ok((targets, _)) = record::read_targets(&head, rest) {
        return Ok(targets);
    }
    let record = tables.whole(Table::Events, id.bits(), first.into())?;
    let (_, rest) = record::read_event_head(id, &record).map_err(problem)?;
    Ok(record::read_targets(&head, rest).map_err(problem)?.0)
}

fn has_rows(tables: &Tables, fresh: Fresh) -> Result<bool, StoreError> {
    let due = key::due(fresh.subscription, fresh.id.time(), fresh.id);
    Ok(tables.tree(Table::Deliveries).contains_key(key::chunk(fresh.id.bits(), 0))?
        || tables.tree(Table::Due).contains_key(due)?)
}
