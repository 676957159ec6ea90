//! The table that maps subscription ids to slots.

use xxhash_rust::xxh3::xxh3_64;

use super::block::Slot;
use super::radix::Radix;
use crate::model::id::SubscriptionId;

/// The least number of buckets per entry, in quarters.
const BUCKETS_QUARTERS: u64 = 6;
const BITS_MIN: u32 = 5;
const BITS_MAX: u32 = 32;

/// A persistent map from ids to slots. It does not store the ids, but compares them with those of the slots.
///
/// The table uses open addressing with linear probing. An entry consists of half of the id's hash and the
/// slot plus one. The high bits of the hash give the first bucket. A bucket of 0 is free.
#[derive(Clone, Default)]
pub(super) struct SlotTable {
    buckets: Radix<u64>,
    bits: u32,
    len: u64,
}

/// Returns the half of an id's hash that an entry stores.
fn tag(id: SubscriptionId) -> u32 {
    let hash = xxh3_64(&id.to_bytes());
    u32::try_from(hash >> 32).unwrap_or(0)
}

const fn entry_tag(entry: u64) -> u32 {
    (entry >> 32) as u32
}

fn entry_slot(entry: u64) -> Option<Slot> {
    u32::try_from(entry & u64::from(u32::MAX)).ok()?.checked_sub(1)
}

impl SlotTable {
    /// Returns the bytes that the table takes.
    pub(super) fn footprint(&self) -> usize {
        self.buckets.footprint(|_| 0)
    }

    fn last(&self) -> u32 {
        u32::MAX >> (BITS_MAX - self.bits)
    }

    fn first_bucket(&self, tag: u32) -> u32 {
        tag >> (BITS_MAX - self.bits)
    }

    fn at(&self, bucket: u32) -> u64 {
        self.buckets.get(bucket).copied().unwrap_or(0)
    }

    /// Returns the bucket of an id's entry and its slot.
    fn bucket(&self, id: SubscriptionId, ids: &Radix<u128>) -> Option<(u32, Slot)> {
        if self.len == 0 {
            return None;
        }
        let tag = tag(id);
        let mut bucket = self.first_bucket(tag);
        loop {
            let entry = self.at(bucket);
            let slot = entry_slot(entry)?;
            if entry_tag(entry) == tag && ids.get(slot) == Some(&id.bits()) {
                return Some((bucket, slot));
            }
            bucket = (bucket + 1) & self.last();
        }
    }

    /// Returns the slot of an id.
    pub(super) fn find(&self, id: SubscriptionId, ids: &Radix<u128>) -> Option<Slot> {
        self.bucket(id, ids).map(|(_, slot)| slot)
    }

    /// Adds the slot of an id that the table does not contain.
    pub(super) fn insert(&mut self, id: SubscriptionId, slot: Slot) {
        self.reserve(self.len + 1);
        self.len += 1;
        self.put(u64::from(tag(id)) << 32 | (u64::from(slot) + 1));
    }

    /// Removes an id, if the table contains it. `ids` must still contain it too.
    pub(super) fn remove(&mut self, id: SubscriptionId, ids: &Radix<u128>) {
        let Some((mut hole, _)) = self.bucket(id, ids) else { return };
        self.len -= 1;
        let mut bucket = hole;
        loop {
            bucket = (bucket + 1) & self.last();
            let entry = self.at(bucket);
            if entry == 0 {
                break;
            }
            // An entry may move to the hole unless the hole lies before the entry's first bucket.
            let distance = |from: u32| bucket.wrapping_sub(from) & self.last();
            if distance(self.first_bucket(entry_tag(entry))) >= distance(hole) {
                *self.buckets.get_mut(hole) = entry;
                hole = bucket;
            }
        }
        *self.buckets.get_mut(hole) = 0;
    }

    /// Makes room for `len` entries in total.
    pub(super) fn reserve(&mut self, len: u64) {
        if self.bits >= BITS_MIN && len * BUCKETS_QUARTERS <= 4 << self.bits {
            return;
        }
        let old = std::mem::take(self);
        self.bits = (BITS_MIN..BITS_MAX).find(|bits| len * BUCKETS_QUARTERS <= 4 << bits).unwrap_or(BITS_MAX);
        self.len = old.len;
        if old.len > 0 {
            (0..=old.last())
                .map(|bucket| old.at(bucket))
                .filter(|entry| *entry != 0)
                .for_each(|e| self.put(e));
        }
    }

    fn put(&mut self, entry: u64) {
        let mut bucket = self.first_bucket(entry_tag(entry));
        while self.at(bucket) != 0 {
            bucket = (bucket + 1) & self.last();
        }
        *self.buckets.get_mut(bucket) = entry;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_ids_are_gone_and_copies_keep_them() {
        let id = |n: u32| SubscriptionId::from_bits(u128::from(n) << 80 | u128::from(n % 3));
        let (mut table, mut ids) = (SlotTable::default(), Radix::<u128>::default());
        assert_eq!(table.find(id(1), &ids), None);
        for n in 0..20_000 {
            *ids.get_mut(n) = id(n).bits();
            table.insert(id(n), n);
        }
        let copy = table.clone();
        for n in (0..20_000).filter(|n| n % 3 != 1) {
            table.remove(id(n), &ids);
            table.remove(id(n), &ids);
        }
        for n in 0..20_000 {
            assert_eq!(table.find(id(n), &ids), (n % 3 == 1).then_some(n), "{n}");
            assert_eq!(copy.find(id(n), &ids), Some(n));
        }
        assert_eq!((table.len, table.find(id(30_000), &ids)), (6667, None));
    }
}
