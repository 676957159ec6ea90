//! A batch of row changes that is applied as one transaction.

use std::collections::BTreeMap;

use super::engine::RowBytes;
use super::key::{self, Table};
use super::record::{self, CHUNK_BYTES};

/// Row changes that are applied together.
#[derive(Debug, Default)]
pub(in crate::store) struct WriteBatch {
    changes: BTreeMap<(Table, RowBytes), Option<RowBytes>>,
    bytes: usize,
}

impl WriteBatch {
    pub(in crate::store) fn touches(&self, table: Table) -> bool {
        self.rows(table).next().is_some()
    }

    pub(in crate::store) fn rows(
        &self,
        table: Table,
    ) -> impl Iterator<Item = (&RowBytes, &Option<RowBytes>)> {
        self.changes
            .range((table, RowBytes::default())..)
            .take_while(move |((of, _), _)| *of == table)
            .map(|((_, key), value)| (key, value))
    }

    /// Returns the rows that the batch writes into a tree.
    #[cfg(test)]
    pub(in crate::store) fn puts(&self, table: Table) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.rows(table).filter_map(|(key, value)| Some((&**key, value.as_deref()?)))
    }

    /// Returns every change: a written row with its value, or a removed row without one.
    pub(in crate::store) fn changes(&self) -> impl Iterator<Item = (Table, &[u8], Option<&[u8]>)> {
        self.changes.iter().map(|((table, key), value)| (*table, &**key, value.as_deref()))
    }

    /// Returns the change of a row: its new value, or none inside for one that is removed.
    pub(in crate::store) fn change(&self, table: Table, key: &[u8]) -> Option<&Option<RowBytes>> {
        self.changes.get(&(table, key.into()))
    }

    /// Returns the number of changed rows.
    pub(in crate::store) fn len(&self) -> usize {
        self.changes.len()
    }

    /// Returns the number of bytes that the batch writes, with keys.
    pub(in crate::store) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(in crate::store) fn put(&mut self, table: Table, key: &[u8], value: impl Into<RowBytes>) {
        let value = value.into();
        self.bytes += key.len() + value.len();
        self.changes.insert((table, key.into()), Some(value));
    }

    pub(in crate::store) fn remove(&mut self, table: Table, key: &[u8]) {
        self.bytes += key.len();
        self.changes.insert((table, key.into()), None);
    }

    /// Writes a long record, and removes the chunks that a longer record before it left.
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
