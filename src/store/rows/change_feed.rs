//! The change feed. Every change of an open log goes through it once, in order.
//!
//! The writer decides which rows a step changes: it reads the time, makes ids and looks up rows while it
//! fills a [`WriteBatch`]. Applying the batch decides nothing. So a subscriber that applies the same batches
//! in the same order to a copy of the log gets the same log. A backup subscribes; a replicated log can do the
//! same.

use std::fmt::Debug;
use std::sync::{Arc, Weak};

use super::record::Meta;
use super::tables::Tables;
use super::write_batch::WriteBatch;
use crate::store::error::StoreError;

/// Receives each batch after it has been applied, before it is durable.
pub(in crate::store) trait ChangeSubscriber: Debug + Send + Sync {
    /// Receives a batch and the meta row that was written with it. Must not block.
    fn applied(&self, batch: &WriteBatch, meta: &Meta);
}

/// Applies batches to the log and passes them to the subscribers.
#[derive(Debug)]
pub(in crate::store) struct ChangeFeed {
    tables: Tables,
    meta: Meta,
    subscribers: Vec<Weak<dyn ChangeSubscriber>>,
}

impl ChangeFeed {
    /// Returns the feed of a log with this meta row.
    pub(in crate::store) const fn new(tables: Tables, meta: Meta) -> Self {
        Self { tables, meta, subscribers: Vec::new() }
    }

    /// Returns the meta row that was written last.
    pub(in crate::store) const fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Applies a batch in one transaction. The batch is not durable before a flush.
    ///
    /// `rowless_floor` is the id from which on deliveries may have no row.
    pub(in crate::store) fn apply(
        &mut self,
        batch: &WriteBatch,
        rowless_floor: u128,
    ) -> Result<(), StoreError> {
        self.meta.fresh_floor = rowless_floor.to_be_bytes();
        self.meta = self.tables.apply(batch, &self.meta)?;
        for subscriber in self.subscribers.iter().filter_map(Weak::upgrade) {
            subscriber.applied(batch, &self.meta);
        }
        Ok(())
    }

    /// Passes every later batch to the subscriber, until it is dropped.
    pub(in crate::store) fn subscribe(&mut self, subscriber: Weak<dyn ChangeSubscriber>) {
        self.subscribers.retain(|one| one.strong_count() > 0);
        self.subscribers.push(subscriber);
    }

    /// Passes no more batches to the subscriber.
    pub(in crate::store) fn unsubscribe(&mut self, subscriber: &Arc<dyn ChangeSubscriber>) {
        let address = Arc::as_ptr(subscriber).cast::<()>();
        self.subscribers.retain(|one| one.strong_count() > 0 && one.as_ptr().cast::<()>() != address);
    }
}
