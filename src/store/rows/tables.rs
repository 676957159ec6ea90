//! The trees of the log. A batch of changes is applied to them in one transaction.

use std::ops::RangeBounds;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional as _};
use sled::{Db, Tree};
use xxhash_rust::xxh3::Xxh3;

use super::engine::{Engine, RowBytes, engine_error};
use super::key::{self, Table};
use super::record::{self, CHUNK_BYTES, Meta};
use super::write_batch::WriteBatch;
use crate::store::disk::secret_cipher::KeyId;
use crate::store::error::StoreError;

const META_KEY: &[u8] = b"meta";

/// The trees of an open log.
#[derive(Clone, Debug)]
pub(in crate::store) struct Tables {
    db: Db,
    trees: Vec<Tree>,
    meta: Tree,
    /// The size of all rows with their keys, in bytes.
    bytes: Arc<AtomicU64>,
}

impl Tables {
    pub(in crate::store) fn open(Engine(db): Engine) -> Result<Self, StoreError> {
        let trees = Table::ALL.into_iter().map(|table| db.open_tree(table.name()));
        Ok(Self {
            trees: trees.collect::<sled::Result<_>>().map_err(engine_error)?,
            meta: db.open_tree("meta").map_err(engine_error)?,
            bytes: Arc::default(),
            db,
        })
    }

    /// Returns the rows of a tree.
    pub(in crate::store) fn tree(&self, table: Table) -> Rows<'_> {
        Rows(self.sled_tree(table))
    }

    #[expect(clippy::indexing_slicing, reason = "there is one tree for each value of the enumeration")]
    pub(in crate::store) fn sled_tree(&self, table: Table) -> &Tree {
        &self.trees[table.index()]
    }

    /// Returns the size of all rows with their keys, in bytes. It is correct after
    /// [`set_bytes`](Self::set_bytes).
    pub(in crate::store) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Sets the size of all rows, as counted by a scan.
    pub(in crate::store) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    /// Makes every applied batch durable. Blocks.
    pub(in crate::store) fn flush(&self) -> Result<(), StoreError> {
        self.db.flush().map(drop).map_err(engine_error)
    }

    /// Returns the size of the engine's files, in bytes.
    pub(in crate::store) fn size_on_disk(&self) -> Result<u64, StoreError> {
        self.db.size_on_disk().map_err(engine_error)
    }

    /// Returns a row as it is once the batch has been applied.
    pub(in crate::store) fn get_after(
        &self,
        batch: &WriteBatch,
        table: Table,
        key: &[u8],
    ) -> Result<Option<RowBytes>, StoreError> {
        match batch.change(table, key) {
            Some(value) => Ok(value.clone()),
            None => self.tree(table).get(key),
        }
    }

    /// Returns the meta row, or `None` in a log that was just created.
    pub(in crate::store) fn meta(&self) -> Result<Option<Meta>, StoreError> {
        self.read_meta(record::read_meta)
    }

    /// Returns the format in the meta row, even if a later version wrote it.
    pub(in crate::store) fn format(&self) -> Result<Option<u32>, StoreError> {
        self.read_meta(record::read_format)
    }

    fn read_meta<T>(
        &self,
        read: fn(&[u8]) -> Result<T, record::RecordError>,
    ) -> Result<Option<T>, StoreError> {
        let read = |bytes: RowBytes| read(&bytes).map_err(|p| StoreError::corrupt("meta", META_KEY, p));
        self.meta.get(META_KEY).map_err(engine_error)?.map(read).transpose()
    }

    /// Applies a batch in one transaction, which also writes the meta row.
    ///
    /// Returns the new meta row. It is not durable before a flush.
    pub(in crate::store) fn apply(&self, batch: &WriteBatch, before: &Meta) -> Result<Meta, StoreError> {
        let touched: Vec<Table> = Table::ALL.into_iter().filter(|table| batch.touches(*table)).collect();
        let mut trees: Vec<&Tree> = touched.iter().map(|table| self.sled_tree(*table)).collect();
        trees.push(&self.meta);
        let applied = trees.as_slice().transaction(|views| {
            let mut after = before.clone();
            let mut grown = 0_u64;
            after.commit_seq += 1;
            for (table, view) in touched.iter().zip(views) {
                let Some(count) = after.tables.get_mut(table.index()) else { continue };
                for (row, value) in batch.rows(*table) {
                    let old = match value {
                        Some(value) => view.insert(row, value)?,
                        None => view.remove(row)?,
                    };
                    recount(count, *table, row, old.as_deref(), value.as_deref());
                    grown = grown
                        .wrapping_add(size(row, value.as_deref()))
                        .wrapping_sub(size(row, old.as_deref()));
                }
            }
            if let Some(view) = views.last() {
                view.insert(META_KEY, record::meta(&after))?;
            }
            Ok::<_, ConflictableTransactionError<()>>((after, grown))
        });
        let applied = applied.map(|(after, grown)| {
            self.bytes.fetch_add(grown, Ordering::Relaxed);
            after
        });
        applied.map_err(|error| match error {
            TransactionError::Storage(error) => engine_error(error),
            TransactionError::Abort(()) => StoreError::Closed,
        })
    }

    /// Returns the long record whose first chunk is `first`.
    pub(in crate::store) fn assemble(
        &self,
        table: Table,
        id: u128,
        first: RowBytes,
    ) -> Result<RowBytes, StoreError> {
        let length = record::length(&first).map_err(|problem| corrupt(table, id, problem))?;
        if length <= CHUNK_BYTES {
            return if length == first.len() { Ok(first) } else { Err(corrupt(table, id, "it is cut off")) };
        }
        let mut bytes = Vec::with_capacity(length);
        bytes.extend_from_slice(&first);
        for number in 1..record::chunk_count(length) {
            let next = self.tree(table).get(key::chunk(id, number))?;
            bytes.extend_from_slice(&next.ok_or_else(|| corrupt(table, id, "a chunk is missing"))?);
        }
        if bytes.len() == length { Ok(bytes.into()) } else { Err(corrupt(table, id, "it is cut off")) }
    }

    /// Returns the long record of an id, if it exists.
    pub(in crate::store) fn long(&self, table: Table, id: u128) -> Result<Option<RowBytes>, StoreError> {
        let first = self.tree(table).get(key::chunk(id, 0))?;
        first.map(|first| self.assemble(table, id, first)).transpose()
    }
}

/// Reads the rows of one tree.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Rows<'a>(&'a Tree);

impl Rows<'_> {
    pub(in crate::store) fn get(self, key: impl AsRef<[u8]>) -> Result<Option<RowBytes>, StoreError> {
        self.0.get(key).map_err(engine_error)
    }

    pub(in crate::store) fn contains_key(self, key: impl AsRef<[u8]>) -> Result<bool, StoreError> {
        self.0.contains_key(key).map_err(engine_error)
    }

    pub(in crate::store) fn range<K: AsRef<[u8]>>(self, keys: impl RangeBounds<K>) -> RowIter {
        RowIter(self.0.range(keys))
    }

    pub(in crate::store) fn scan_prefix(self, prefix: impl AsRef<[u8]>) -> RowIter {
        RowIter(self.0.scan_prefix(prefix))
    }

    pub(in crate::store) fn iter(self) -> RowIter {
        RowIter(self.0.iter())
    }
}

/// Iterates over the rows of a tree in the order of their keys. It is not a snapshot: each row is read when
/// it is reached.
pub(in crate::store) struct RowIter(sled::Iter);

impl RowIter {
    /// Returns an iterator over the keys alone.
    pub(in crate::store) fn keys(self) -> impl DoubleEndedIterator<Item = Result<RowBytes, StoreError>> {
        self.0.keys().map(|key| key.map_err(engine_error))
    }
}

impl Iterator for RowIter {
    type Item = Result<(RowBytes, RowBytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map_err(engine_error))
    }
}

impl DoubleEndedIterator for RowIter {
    fn next_back(&mut self) -> Option<Self::Item> {
        Some(self.0.next_back()?.map_err(engine_error))
    }
}

/// Returns the error of a damaged record.
pub(in crate::store) fn corrupt(table: Table, id: u128, problem: impl Into<String>) -> StoreError {
    StoreError::corrupt(table.name(), &id.to_be_bytes(), problem)
}

/// Returns the hash of a row, which covers the number of its tree.
pub(in crate::store) fn hash(table: Table, key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&[table as u8, u8::try_from(key.len()).unwrap_or(u8::MAX)]);
    hasher.update(key);
    hasher.update(value);
    hasher.digest()
}

/// Returns the size of a row with its key, or 0 if the row does not exist.
fn size(key: &[u8], value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| (key.len() + value.len()) as u64)
}

fn recount(count: &mut (u64, u64), table: Table, key: &[u8], old: Option<&[u8]>, new: Option<&[u8]>) {
    if let Some(old) = old {
        *count = (count.0.wrapping_sub(1), count.1.wrapping_sub(hash(table, key, old)));
    }
    if let Some(new) = new {
        *count = (count.0.wrapping_add(1), count.1.wrapping_add(hash(table, key, new)));
    }
}

/// Returns the id of the key that sealed the secrets in the log, if any are sealed. All are sealed with the
/// same key.
pub(in crate::store) fn sealed_by(tables: &Tables) -> Result<Option<KeyId>, StoreError> {
    for row in tables.tree(Table::Subscriptions).iter() {
        let (row_key, row) = row?;
        let (_, number) = key::read_chunk(Table::Subscriptions, &row_key)?;
        if let (0, Some(id)) = (number, record::sealed_by(&row)) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}
