//! Scans the log at opening: counts and hashes every row, and rebuilds the state that is kept in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::model::delivery::Progress;
use crate::model::id::{DeliveryId, SubscriptionId};
use crate::model::subscription::{HealthState, Subscription};
use crate::store::error::StoreError;
use crate::store::memory::index::{IndexState, SegmentList};
use crate::store::memory::seen::SeenState;
use crate::store::memory::shared::{LaneCounts, ProgressKind, RowlessDelivery, State};
use crate::store::read::reader::Reader;
use crate::store::rows::engine::RowBytes;
use crate::store::rows::key::{self, TABLES, Table, delivery_of};
use crate::store::rows::origin::{Origin, OriginKind};
use crate::store::rows::record::{self, Meta};
use crate::store::rows::tables::{Tables, corrupt, hash};

/// The number of rows of a tree between two reports of progress.
const PROGRESS_ROWS: u64 = 500_000;

/// The result of a scan.
#[derive(Debug, Default)]
pub(in crate::store) struct Scan {
    pub(in crate::store) counts: [(u64, u64); TABLES],
    pub(in crate::store) subscriptions: Vec<(Subscription, HealthState)>,
    /// The subscriptions whose secrets an earlier version stored in clear.
    pub(in crate::store) plain: Vec<Subscription>,
    pub(in crate::store) state: State,
    pub(in crate::store) index: IndexState,
    pub(in crate::store) seen: SeenState,
    pub(in crate::store) lanes: Vec<(SubscriptionId, u64)>,
    /// The buckets of senders' ids and of idempotency keys, in this order.
    pub(in crate::store) buckets: [BTreeSet<u32>; 2],
    /// The deliveries at or after the fresh floor that have a row.
    placed: Vec<u128>,
    floor: u128,
    /// The size of all rows with their keys, in bytes.
    bytes: u64,
    segments_found: SegmentList,
}

/// Counts and hashes every row, without decoding it.
pub(in crate::store) fn count(
    tables: &Tables,
    progress: &mut dyn FnMut(&str),
) -> Result<[(u64, u64); TABLES], StoreError> {
    let mut scan = Scan::default();
    for table in Table::ALL {
        scan.each(tables, table, progress, |_, _, _| Ok(()))?;
    }
    Ok(scan.counts)
}

/// Reads the whole log. The caller compares the result with `meta`.
pub(in crate::store) fn scan(
    reader: &Reader,
    meta: &Meta,
    progress: &mut dyn FnMut(&str),
) -> Result<Scan, StoreError> {
    let tables = &reader.tables;
    let mut scan = Scan { floor: u128::from_be_bytes(meta.fresh_floor), ..Scan::default() };
    scan.add_subscriptions(reader, progress)?;
    for (index, table) in [Table::Dedup, Table::Idempotency].into_iter().enumerate() {
        scan.each(tables, table, progress, |scan, row_key, _| {
            let bucket = key::read_bucket(table, row_key)?;
            scan.buckets.get_mut(index).map(|buckets| buckets.insert(bucket));
            Ok(())
        })?;
    }
    scan.each(tables, Table::Due, progress, |scan, row_key, _| {
        let (subscription, _, delivery) = key::read_due(row_key)?;
        scan.state.add(subscription, ProgressKind::Waiting);
        scan.state.lines.entry(subscription).or_default().untried += 1;
        scan.place(delivery.bits());
        Ok(())
    })?;
    scan.lanes = scan.state.tallies.iter().map(|(id, tally)| (*id, tally.waiting)).collect();
    scan.lanes.sort_unstable();
    for table in Table::STATES {
        scan.each(tables, table, progress, |scan, row_key, row| scan.add_delivery(table, row_key, row))?;
    }
    scan.placed.sort_unstable();
    for table in [Table::Deliveries, Table::Jobs] {
        scan.each(tables, table, progress, |_, _, _| Ok(()))?;
    }
    scan.each(tables, Table::Segments, progress, |scan, row_key, row| scan.segments_found.add(row_key, row))?;
    scan.index.segments = Arc::new(std::mem::take(&mut scan.segments_found).into_segments());
    scan.each(tables, Table::Events, progress, |scan, row_key, row| scan.add_origin(reader, row_key, row))?;
    scan.placed = Vec::new();
    tables.set_bytes(scan.bytes);
    Ok(scan)
}

impl Scan {
    /// Counts every row of a tree and passes it to `visit`.
    #[expect(clippy::indexing_slicing, reason = "there is one count for each value of the enumeration")]
    fn each(
        &mut self,
        tables: &Tables,
        table: Table,
        progress: &mut dyn FnMut(&str),
        mut visit: impl FnMut(&mut Self, &[u8], &RowBytes) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut count = (0u64, 0u64);
        for row in tables.tree(table).iter() {
            let (row_key, value) = row?;
            count = (count.0 + 1, count.1.wrapping_add(hash(table, &row_key, &value)));
            self.bytes += (row_key.len() + value.len()) as u64;
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

    fn add_subscriptions(
        &mut self,
        reader: &Reader,
        progress: &mut dyn FnMut(&str),
    ) -> Result<(), StoreError> {
        let tables = &reader.tables;
        let mut health = BTreeMap::new();
        self.each(tables, Table::HealthStates, progress, |_, row_key, row| {
            let id = SubscriptionId::from_bits(key::read_id(Table::HealthStates, row_key, row_key)?);
            let problem = |p| corrupt(Table::HealthStates, id.bits(), p);
            health.insert(id, record::read_health(row).map_err(problem)?);
            Ok(())
        })?;
        self.each(tables, Table::Subscriptions, progress, |scan, row_key, _| {
            let (bits, number) = key::read_chunk(Table::Subscriptions, row_key)?;
            if number > 0 {
                return Ok(());
            }
            let id = SubscriptionId::from_bits(bits);
            let problem = |p: String| corrupt(Table::Subscriptions, bits, p);
            let record =
                tables.long(Table::Subscriptions, bits)?.ok_or_else(|| problem("it is gone".into()))?;
            let subscription = record::read_subscription(id, &record, &reader.cipher).map_err(problem)?;
            scan.state.subscriptions.insert(id, subscription.deleted_at);
            if record::is_plain(&record) {
                scan.plain.push(subscription.clone());
            }
            scan.subscriptions.push((subscription, health.remove(&id).unwrap_or_default()));
            Ok(())
        })
    }

    /// Records that a delivery has a row and is therefore not fresh.
    fn place(&mut self, bits: u128) {
        if bits >= self.floor {
            self.placed.push(bits);
        }
    }

    fn add_delivery(&mut self, table: Table, row_key: &[u8], row: &[u8]) -> Result<(), StoreError> {
        let (id, number) = key::read_chunk(table, row_key)?;
        if number > 0 {
            return Ok(());
        }
        let (subscription, progress) =
            record::read_progress(row).map_err(|problem| corrupt(table, id, problem))?;
        if Table::of(progress) != table {
            return Err(corrupt(table, id, "it does not belong in this tree"));
        }
        self.place(id);
        if let Progress::Waiting { .. } = progress {
            // The due row of this delivery was counted already.
            let line: &mut LaneCounts = self.state.lines.entry(subscription).or_default();
            line.untried = line
                .untried
                .checked_sub(1)
                .ok_or_else(|| corrupt(table, id, "it waits and has no row in its lane"))?;
            line.retrying += 1;
            self.state.retrying += 1;
        } else {
            self.state.add(subscription, progress.into());
        }
        Ok(())
    }

    /// Finds the fresh deliveries of an event or replay, and the events that a replay keeps in the log.
    fn add_origin(&mut self, reader: &Reader, row_key: &[u8], row: &RowBytes) -> Result<(), StoreError> {
        let (bits, number) = key::read_chunk(Table::Events, row_key)?;
        if number > 0 {
            return Ok(());
        }
        let origin = Origin::read(bits, row.clone())?;
        let is_replay = matches!(origin.kind, OriginKind::Replay(_));
        if let OriginKind::Event(head) = &origin.kind {
            self.seen.add(head.id, &head.content);
        }
        let is_in_segment = self.index.count(bits);
        if is_replay && is_in_segment {
            self.index.note_replay(bits);
        }
        let has_fresh = delivery_of(bits, origin.count()).bits() > self.floor;
        if is_in_segment && !is_replay && !has_fresh {
            return Ok(());
        }
        let members = reader.members(&origin)?;
        if !is_in_segment {
            self.index.tail.add_origin(&origin, &members);
        }
        let waiting = if is_replay { self.waiting_of(reader, &origin, &members)? } else { BTreeSet::new() };
        for (index, (event, subscription)) in members.into_iter().enumerate() {
            let id = delivery_of(bits, index);
            let is_fresh = id.bits() >= self.floor && self.placed.binary_search(&id.bits()).is_err();
            if is_fresh {
                self.state.add(subscription, ProgressKind::Waiting);
                self.state.add_rowless(RowlessDelivery { id, event, subscription });
            }
            if is_replay && (is_fresh || waiting.contains(&id)) {
                self.state.begin_replay(event, id);
            }
        }
        Ok(())
    }

    /// Returns the deliveries of a replay that wait in their lanes.
    fn waiting_of(
        &self,
        reader: &Reader,
        origin: &Origin,
        members: &[(crate::model::id::EventId, SubscriptionId)],
    ) -> Result<BTreeSet<DeliveryId>, StoreError> {
        let of: BTreeSet<SubscriptionId> =
            members.iter().map(|(_, of)| *of).filter(|of| self.state.lines.contains_key(of)).collect();
        let mut waiting = BTreeSet::new();
        if of.is_empty() {
            return Ok(waiting);
        }
        let (first, last) = (delivery_of(origin.id, 0), delivery_of(origin.id, members.len()));
        let retrying = key::chunk(first.bits(), 0)..key::chunk(last.bits(), 0);
        for row in reader.tables.tree(Table::Retrying).range(retrying).keys() {
            waiting.insert(DeliveryId::from_bits(key::read_chunk(Table::Retrying, &row?)?.0));
        }
        for subscription in of {
            // Deliveries of the same millisecond that were never tried are adjacent.
            let untried =
                key::due(subscription, first.time(), first)..key::due(subscription, last.time(), last);
            for row in reader.tables.tree(Table::Due).range(untried).keys() {
                waiting.insert(key::read_due(&row?)?.2);
            }
        }
        Ok(waiting)
    }
}
