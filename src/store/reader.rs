//! Reading the log while it is written.
//!
//! A single look-up takes microseconds and may be made on an async task; lists and whole bodies of large events
//! may take milliseconds: use `spawn_blocking` for them. A list is not a snapshot: each row is as it was when it
//! was passed. What a reader sees may be a moment ahead of what is durable.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use sled::IVec;

use super::error::StoreError;
use super::files::Files;
use super::fsync;
use super::key::{self, Table, delivery_of};
use super::ledger::{Counts, Ledger, Tally};
use super::record::{self, EventHead};
use super::seal::Vault;
use super::table::{Tables, corrupt};
use crate::model::delivery::{Delivery, Progress};
use crate::model::event::Event;
use crate::model::id::{DeliveryId, EventId, SubscriptionId};
use crate::model::subscription::{Standing, Subscription};
use crate::model::time::Timestamp;

/// How many rows of a lane are looked at for the oldest delivery in it.
const OLDEST_SCAN_MAX: usize = 1024;

/// Reads the log. Cheap to clone; does not keep the committer running, but keeps the files open.
#[derive(Clone, Debug)]
pub struct Reader {
    pub(super) tables: Tables,
    pub(super) ledger: Arc<Ledger>,
    pub(super) vault: Vault,
    /// Holds the lock for as long as somebody can read or write.
    pub(super) files: Arc<Files>,
}

impl Reader {
    /// How many bytes the disk with the log has left for this user.
    pub fn disk_free(&self) -> Result<u64, StoreError> {
        let stat = rustix::fs::statvfs(&self.files.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    /// The event, data included.
    pub fn event(&self, id: EventId) -> Result<Option<Event>, StoreError> {
        Ok(self.event_with_targets(id)?.map(|(event, _)| event))
    }

    /// An event and the subscriptions that it went to; the delivery of the n-th has the id `n + 1` after its.
    pub(super) fn event_with_targets(
        &self,
        id: EventId,
    ) -> Result<Option<(Event, Vec<SubscriptionId>)>, StoreError> {
        let Some(record) = self.tables.long(Table::Events, id.bits())? else { return Ok(None) };
        let (content, targets) = record::read_event(id, &record).map_err(|p| bad_event(id, p))?;
        Ok(Some((Event { id, content }, targets)))
    }

    /// The event without its data: reads one row.
    pub fn event_head(&self, id: EventId) -> Result<Option<EventHead>, StoreError> {
        let first = self.tables.tree(Table::Events).get(key::chunk(id.bits(), 0))?;
        first.map(|first| head(id, &first)).transpose()
    }

    /// The delivery with all its attempts.
    pub fn delivery(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        if let Some(delivery) = self.delivery_row(id)? {
            return Ok(Some(delivery));
        }
        let Some((head, first)) = self.event_at_or_before(id.bits())? else { return Ok(None) };
        let Some(index) = index_of(head.id, id).filter(|index| *index < head.targets as usize) else {
            return Ok(None);
        };
        let targets = self.targets(&head, first)?;
        Ok(targets.get(index).map(|subscription| Delivery::fresh(id, head.id, *subscription)))
    }

    /// Every delivery of the event, in the order of its targets; empty if there is no such event.
    pub fn deliveries_of(&self, event: EventId) -> Result<Vec<Delivery>, StoreError> {
        let Some(first) = self.tables.tree(Table::Events).get(key::chunk(event.bits(), 0))? else {
            return Ok(Vec::new());
        };
        let head = head(event, &first)?;
        let targets = self.targets(&head, first)?;
        let ids = (0..).map(|index| delivery_of(event, index));
        ids.zip(targets).map(|(id, subscription)| self.known(id, event, subscription)).collect()
    }

    /// The delivery of a known target.
    pub(super) fn known(
        &self,
        id: DeliveryId,
        event: EventId,
        subscription: SubscriptionId,
    ) -> Result<Delivery, StoreError> {
        Ok(self.delivery_row(id)?.unwrap_or_else(|| Delivery::fresh(id, event, subscription)))
    }

    fn delivery_row(&self, id: DeliveryId) -> Result<Option<Delivery>, StoreError> {
        let Some(record) = self.tables.long(Table::Deliveries, id.bits())? else { return Ok(None) };
        let mut delivery = record::read_delivery(id, &record)
            .map_err(|problem| corrupt(Table::Deliveries, id.bits(), problem))?;
        self.show_release(&mut delivery)?;
        Ok(Some(delivery))
    }

    /// A release moves the due row alone: what the delivery's own row says of it is then out of date.
    fn show_release(&self, delivery: &mut Delivery) -> Result<(), StoreError> {
        let made = delivery.id.time();
        if let Progress::Waiting { due } = &mut delivery.progress
            && *due > made
            && self.tables.tree(Table::Due).contains_key(key::due(
                delivery.subscription,
                made,
                delivery.id,
            ))?
        {
            *due = made;
        }
        Ok(())
    }

    /// The newest event whose id is not greater than these bits, with its first chunk.
    pub(super) fn event_at_or_before(&self, bits: u128) -> Result<Option<(EventHead, IVec)>, StoreError> {
        let tree = self.tables.tree(Table::Events);
        let Some(row) = tree.range(..=key::chunk(bits, u16::MAX)).next_back() else { return Ok(None) };
        let (row_key, value) = row?;
        let (id, number) = key::read_chunk(Table::Events, &row_key)?;
        let first = match number {
            0 => value,
            _ => tree
                .get(key::chunk(id, 0))?
                .ok_or_else(|| corrupt(Table::Events, id, "its head is missing"))?,
        };
        Ok(Some((head(EventId::from_bits(id), &first)?, first)))
    }

    /// The targets of an event, from its first chunk where that has them all.
    pub(super) fn targets(&self, head: &EventHead, first: IVec) -> Result<Vec<SubscriptionId>, StoreError> {
        let problem = |p| bad_event(head.id, p);
        let (_, rest) = record::read_event_head(head.id, &first).map_err(problem)?;
        if let Ok((targets, _)) = record::read_targets(head, rest) {
            return Ok(targets);
        }
        let record = self.tables.whole(Table::Events, head.id.bits(), first)?;
        let (_, rest) = record::read_event_head(head.id, &record).map_err(problem)?;
        Ok(record::read_targets(head, rest).map_err(problem)?.0)
    }

    /// The next rows of a lane, earliest due first, after a place in it.
    pub fn due_page(
        &self,
        subscription: SubscriptionId,
        after: Option<(Timestamp, DeliveryId)>,
        limit: usize,
    ) -> Result<Vec<(Timestamp, DeliveryId)>, StoreError> {
        let (first, last) = lane(subscription);
        let from = match after {
            Some((at, id)) => Bound::Excluded(key::due(subscription, at, id)),
            None => Bound::Included(first),
        };
        let rows = self.tables.tree(Table::Due).range((from, Bound::Included(last))).keys();
        let read = |row: sled::Result<IVec>| key::read_due(&row?).map(|(_, at, id)| (at, id));
        rows.take(limit).map(read).collect()
    }

    /// How many deliveries of the subscription wait: fresh ones and those in its lane.
    pub fn waiting(&self, subscription: SubscriptionId) -> u64 {
        self.tally(subscription).waiting
    }

    /// The subscription's counts over the log as far as it is kept.
    pub fn tally(&self, subscription: SubscriptionId) -> Tally {
        self.ledger.state().tallies.get(&subscription).copied().unwrap_or_default()
    }

    /// The counts of every subscription that has deliveries in the log.
    pub fn tallies(&self) -> BTreeMap<SubscriptionId, Tally> {
        self.ledger.state().tallies.iter().map(|(id, tally)| (*id, *tally)).collect()
    }

    /// When the oldest waiting delivery of the subscription was made.
    ///
    /// Exact while no more than 1,024 wait in its lane; beyond that, the oldest of the 1,024 that are due first.
    pub fn oldest_waiting(&self, subscription: SubscriptionId) -> Result<Option<Timestamp>, StoreError> {
        let fresh = self.ledger.state().oldest_fresh(subscription);
        let page = self.due_page(subscription, None, OLDEST_SCAN_MAX)?;
        Ok(page.into_iter().map(|(_, id)| id).chain(fresh).min().map(DeliveryId::time))
    }

    /// The subscription as it is stored, deleted or not.
    pub fn subscription(&self, id: SubscriptionId) -> Result<Option<Subscription>, StoreError> {
        let record = self.tables.long(Table::Subscriptions, id.bits())?;
        let read = |record: IVec| {
            let problem = |p| corrupt(Table::Subscriptions, id.bits(), p);
            record::read_subscription(id, &record, &self.vault).map_err(problem)
        };
        record.map(read).transpose()
    }

    /// The subscription's standing; the default if none was written.
    pub fn standing(&self, id: SubscriptionId) -> Result<Standing, StoreError> {
        match self.tables.tree(Table::Standings).get(id.to_bytes())? {
            Some(row) => record::read_standing(&row).map_err(|p| corrupt(Table::Standings, id.bits(), p)),
            None => Ok(Standing::default()),
        }
    }

    /// How often this process has forced a log to the disk.
    pub fn syncs(&self) -> u64 {
        fsync::syncs()
    }

    /// What the committer has done since the store was opened.
    pub fn counts(&self) -> Counts {
        self.ledger.counts()
    }

    /// The bytes that the log's files take.
    pub fn size_on_disk(&self) -> Result<u64, StoreError> {
        Ok(self.tables.db().size_on_disk()?)
    }
}

/// The first and the last key that a lane can have.
pub(super) fn lane(subscription: SubscriptionId) -> (key::DueKey, key::DueKey) {
    let last = Timestamp::from_millis(u64::MAX);
    (
        key::due(subscription, Timestamp::default(), DeliveryId::from_bits(0)),
        key::due(subscription, last, DeliveryId::from_bits(u128::MAX)),
    )
}

/// Which of the event's targets the delivery is for, if it is one of that event at all.
pub(super) fn index_of(event: EventId, delivery: DeliveryId) -> Option<usize> {
    usize::try_from(delivery.bits().checked_sub(event.bits())?.checked_sub(1)?).ok()
}

pub(super) fn head(id: EventId, first: &[u8]) -> Result<EventHead, StoreError> {
    record::read_event_head(id, first).map(|(head, _)| head).map_err(|p| bad_event(id, p))
}

fn bad_event(id: EventId, problem: record::Problem) -> StoreError {
    corrupt(Table::Events, id.bits(), problem)
}
