//! Changes that are collected until the next commit and then applied row by row.

/// Pending changes of memberships, each in one of many rows.
///
/// Each row gets the net change of each member. Only real changes are added, so the changes of one member
/// alternate between adding and removing. Equal numbers of both cancel out.
#[derive(Default)]
pub(super) struct PendingChanges(Vec<PendingChange>);

/// A change in one row. The change takes two words, so that a pending change takes three.
#[derive(Clone, Copy)]
struct PendingChange {
    row: u32,
    high: u32,
    low: u32,
}

impl PendingChange {
    fn value(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

/// A change of one member as a number. Its lowest bit says whether the member is added.
pub(super) trait PackedChange: Copy {
    fn to_bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
}

impl PendingChanges {
    #[expect(clippy::cast_possible_truncation, reason = "each half of the word is wanted by itself")]
    pub(super) fn push(&mut self, row: u32, change: impl PackedChange) {
        let value = change.to_bits();
        self.0.push(PendingChange { row, high: (value >> 32) as u32, low: value as u32 });
    }

    /// Calls `apply` with the sorted net changes of each row, and clears the pending changes.
    pub(super) fn drain_rows<C: PackedChange>(&mut self, mut apply: impl FnMut(u32, &[C])) {
        let pending = std::mem::take(&mut self.0);
        let mut changes = Vec::new();
        let mut row = |row: u32, values: &mut [u64]| {
            values.sort_unstable();
            changes.clear();
            changes.extend(values.chunk_by(|a, b| a >> 1 == b >> 1).filter_map(net_change).map(C::from_bits));
            if !changes.is_empty() {
                apply(row, &changes);
            }
        };
        match CountingSort::of(&pending) {
            Some(mut sort) => sort.for_each(pending, row),
            None => sorted(pending, &mut row),
        }
    }
}

/// Returns the net change of one member.
fn net_change(changes: &[u64]) -> Option<u64> {
    let [first, others @ ..] = changes else { return None };
    let coming = changes.iter().filter(|change| **change & 1 == 1).count();
    match (2 * coming).cmp(&changes.len()) {
        _ if others.is_empty() => Some(*first),
        std::cmp::Ordering::Less => Some(*first & !1),
        std::cmp::Ordering::Equal => None,
        std::cmp::Ordering::Greater => Some(*first | 1),
    }
}

/// Groups the changes by row with a comparison sort.
fn sorted(mut pending: Vec<PendingChange>, row: &mut impl FnMut(u32, &mut [u64])) {
    pending.sort_unstable_by_key(|change| change.row);
    let mut values = Vec::new();
    for of in pending.chunk_by(|a, b| a.row == b.row) {
        values.clear();
        values.extend(of.iter().map(|change| change.value()));
        row(of.first().map_or(0, |change| change.row), &mut values);
    }
}

/// The number of changes for each row up to the last one.
struct CountingSort(Vec<u32>);

impl CountingSort {
    /// Counts the changes, if a counting sort pays off: many changes, and not many more rows than changes.
    fn of(pending: &[PendingChange]) -> Option<Self> {
        const MANY: usize = 1 << 16;
        let last = pending.iter().map(|change| change.row as usize).max()?;
        if pending.len() < MANY || last > 4 * pending.len() || u32::try_from(pending.len()).is_err() {
            return None;
        }
        let mut counts = vec![0; last + 1];
        for change in pending {
            if let Some(count) = counts.get_mut(change.row as usize) {
                *count += 1;
            }
        }
        Some(Self(counts))
    }

    /// Groups the changes by row without comparing.
    fn for_each(&mut self, pending: Vec<PendingChange>, mut row: impl FnMut(u32, &mut [u64])) {
        let mut values = vec![0; pending.len()];
        let mut start = 0;
        for count in &mut self.0 {
            start += std::mem::replace(count, start);
        }
        for change in pending {
            let Some(next) = self.0.get_mut(change.row as usize) else { continue };
            if let Some(value) = values.get_mut(*next as usize) {
                *value = change.value();
            }
            *next += 1;
        }
        let mut start = 0;
        for (number, end) in (0..).zip(&self.0) {
            let end = *end as usize;
            if let Some(of) = values.get_mut(start..end).filter(|of| !of.is_empty()) {
                row(number, of);
            }
            start = end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl PackedChange for u64 {
        fn to_bits(self) -> u64 {
            self
        }

        fn from_bits(bits: u64) -> Self {
            bits
        }
    }

    #[test]
    fn rows_get_sorted_net_changes() {
        for many in [10_u32, 100_000] {
            let mut pending = PendingChanges::default();
            for n in 0..many {
                pending.push(n % 7, u64::from(many - n) << 33 | 1);
                pending.push(n % 7, u64::from(many - n) << 33);
                if n % 2 == 0 {
                    pending.push(n % 7, u64::from(many - n) << 33 | 1);
                }
            }
            let mut seen = 0;
            pending.drain_rows(|row, changes: &[u64]| {
                assert!(changes.is_sorted());
                for change in changes {
                    let n = many - u32::try_from(change >> 33).unwrap();
                    assert_eq!((n % 7, n % 2, change & 1), (row, 0, 1));
                }
                seen += changes.len();
            });
            assert_eq!(seen, many as usize / 2);
            pending.drain_rows(|_, _: &[u64]| panic!("a change was applied twice"));
        }
    }
}
