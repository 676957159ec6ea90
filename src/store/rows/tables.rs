//! The trees, and a draft of changes to them that is applied at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use sled::transaction::{ConflictableTransactionError, TransactionError, Transactional as _};
use sled::{Db, IVec, Tree};
use xxhash_rust::xxh3::Xxh3;

use super::key::{self, Table};
use super::record::{self, CHUNK_BYTES, Meta};
use crate::store::disk::secret_cipher::KeyId;
use crate::store::error::StoreError;

const META_KEY: &[u8] = b"meta";

/// The open log.
#[derive(Clone, Debug)]
pub(in crate::store) struct Tables {
    db: Db,
    trees: Vec<Tree>,
    meta: Tree,
    /// How many bytes the rows have, keys included.
    bytes: Arc<AtomicU64>,
}

impl Tables {
    pub(in crate::store) fn open(db: Db) -> sled::Result<Self> {
        let trees = Table::ALL.into_iter().map(|table| db.open_tree(table.name()));
        Ok(Self {
            trees: trees.collect::<sled::Result<_>>()?,
            meta: db.open_tree("meta")?,
            bytes: Arc::default(),
            db,
        })
    }

    #[expect(clippy::indexing_slicing, reason = "there is one tree for each value of the enumeration")]
    pub(in crate::store) fn tree(&self, table: Table) -> &Tree {
        &self.trees[table.index()]
    }

    /// How many bytes the rows of all trees have, keys included: known once all of them have been counted.
    pub(in crate::store) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Takes note of what a count of all rows has found.
    pub(in crate::store) fn set_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(in crate::store) fn db(&self) -> &Db {
        &self.db
    }

    /// The meta row; none in a log that was just created.
    pub(in crate::store) fn meta(&self) -> Result<Option<Meta>, StoreError> {
        self.read_meta(record::read_meta)
    }

    /// The format that the meta row tells, also if a later version wrote it.
    pub(in crate::store) fn format(&self) -> Result<Option<u32>, StoreError> {
        self.read_meta(record::read_format)
    }

    fn read_meta<T>(
        &self,
        read: fn(&[u8]) -> Result<T, record::RecordError>,
    ) -> Result<Option<T>, StoreError> {
        let read = |bytes: IVec| read(&bytes).map_err(|p| StoreError::corrupt("meta", META_KEY, p));
        self.meta.get(META_KEY)?.map(read).transpose()
    }

    /// Applies a draft in one transaction, which also writes what the log then holds.
    ///
    /// Returns the meta row that was written. It is not durable before a flush.
    pub(in crate::store) fn apply(&self, draft: &Draft, before: &Meta) -> Result<Meta, StoreError> {
        let touched: Vec<Table> = Table::ALL.into_iter().filter(|table| draft.touches(*table)).collect();
        let mut trees: Vec<&Tree> = touched.iter().map(|table| self.tree(*table)).collect();
        trees.push(&self.meta);
        let applied = trees.as_slice().transaction(|views| {
            let mut after = before.clone();
            let mut grown = 0_u64;
            after.commit_seq += 1;
            for (table, view) in touched.iter().zip(views) {
                let Some(count) = after.tables.get_mut(table.index()) else { continue };
                for (row, value) in draft.rows(*table) {
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
            TransactionError::Storage(error) => StoreError::Sled(error),
            TransactionError::Abort(()) => StoreError::Closed,
        })
    }

    /// A long record that starts with `first`, the row of chunk 0.
    pub(in crate::store) fn whole(&self, table: Table, id: u128, first: IVec) -> Result<IVec, StoreError> {
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

    /// The long record of an id, if there is one.
    pub(in crate::store) fn long(&self, table: Table, id: u128) -> Result<Option<IVec>, StoreError> {
        let first = self.tree(table).get(key::chunk(id, 0))?;
        first.map(|first| self.whole(table, id, first)).transpose()
    }
}

/// An error about the record of an id.
pub(in crate::store) fn corrupt(table: Table, id: u128, problem: impl Into<String>) -> StoreError {
    StoreError::corrupt(table.name(), &id.to_be_bytes(), problem)
}

/// The hash of a row, which tells its tree too.
pub(in crate::store) fn hash(table: Table, key: &[u8], value: &[u8]) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&[table as u8, u8::try_from(key.len()).unwrap_or(u8::MAX)]);
    hasher.update(key);
    hasher.update(value);
    hasher.digest()
}

/// The bytes of a row, if there is one.
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

/// Changes that are to be made together, over the log as it is.
#[derive(Debug, Default)]
pub(in crate::store) struct Draft {
    changes: BTreeMap<(Table, IVec), Option<IVec>>,
    bytes: usize,
}

impl Draft {
    fn touches(&self, table: Table) -> bool {
        self.rows(table).next().is_some()
    }

    fn rows(&self, table: Table) -> impl Iterator<Item = (&IVec, &Option<IVec>)> {
        self.changes
            .range((table, IVec::default())..)
            .take_while(move |((of, _), _)| *of == table)
            .map(|((_, key), value)| (key, value))
    }

    /// The rows that it writes into a tree.
    #[cfg(test)]
    pub(in crate::store) fn puts(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows(table).filter_map(|(key, value)| Some((&**key, value.as_deref()?)))
    }

    /// Every change: a row that is put, or one that is removed.
    pub(in crate::store) fn changes(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        self.changes.iter().map(|((table, key), value)| (*table, &**key, value.as_deref()))
    }

    /// How many rows it changes.
    pub(in crate::store) fn len(&self) -> usize {
        self.changes.len()
    }

    /// How many bytes it writes, keys included.
    pub(in crate::store) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::store) fn put(&mut self, table: Table, key: &[u8], value: impl Into<IVec>) {
        let value = value.into();
        self.bytes += key.len() + value.len();
        self.changes.insert((table, key.into()), Some(value));
    }

    pub(in crate::store) fn remove(&mut self, table: Table, key: &[u8]) {
        self.bytes += key.len();
        self.changes.insert((table, key.into()), None);
    }

    /// The row as it will be.
    pub(in crate::store) fn get(
        &self,
        tables: &Tables,
        table: Table,
        key: &[u8],
    ) -> Result<Option<IVec>, StoreError> {
        match self.changes.get(&(table, key.into())) {
            Some(value) => Ok(value.clone()),
            None => Ok(tables.tree(table).get(key)?),
        }
    }

    /// Writes a long record, and removes what an earlier, longer one left.
    pub(in crate::store) fn put_long(&mut self, table: Table, id: u128, record: &[u8], length_was: usize) {
        for (number, part) in (0u16..).zip(record.chunks(CHUNK_BYTES)) {
            self.put(table, &key::chunk(id, number), part);
        }
        if length_was > record.len() {
            for number in record::chunk_count(record.len())..record::chunk_count(length_was) {
                self.remove(table, &key::chunk(id, number));
            }
        }
    }

    /// Removes a long record of this length.
    pub(in crate::store) fn remove_long(&mut self, table: Table, id: u128, length: usize) {
        for number in 0..record::chunk_count(length) {
            self.remove(table, &key::chunk(id, number));
        }
    }
}

/// The key that something in the log is sealed with, if anything is: all of it is with the same.
pub(in crate::store) fn sealed_by(tables: &Tables) -> Result<Option<KeyId>, StoreError> {
    for row in tables.tree(Table::Subscriptions) {
        let (row_key, row) = row?;
        let (_, number) = key::read_chunk(Table::Subscriptions, &row_key)?;
        if let (0, Some(id)) = (number, record::sealed_by(&row)) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// CommitCounts down to a failure that a test asked for.
#[cfg(test)]
pub(in crate::store) fn injected(left: &mut Option<u64>) -> Result<(), StoreError> {
    if let Some(left) = left {
        *left = left.checked_sub(1).ok_or(StoreError::Sled(sled::Error::Unsupported("injected".into())))?;
    }
    Ok(())
}
