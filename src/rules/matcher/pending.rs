//! What is to change at the next commit, noted one by one and handed over by place.

/// Changes of memberships, each in one of many places.
///
/// A place gets each member's changes as one: noted are only true changes, so that those of one member alternate
/// between coming and going, and as many of both cancel out.
#[derive(Default)]
pub(super) struct PendingChanges(Vec<PendingChange>);

/// A place, and what changes there in two words.
#[derive(Clone, Copy)]
struct PendingChange {
    place: u32,
    high: u32,
    low: u32,
}

impl PendingChange {
    fn value(self) -> u64 {
        u64::from(self.high) << 32 | u64::from(self.low)
    }
}

/// What changes in a place, as one number whose last bit says whether it comes or goes.
pub(super) trait PackedChange: Copy {
    fn to_bits(self) -> u64;
    fn from_bits(bits: u64) -> Self;
}

impl PendingChanges {
    #[expect(clippy::cast_possible_truncation, reason = "the halves of a word")]
    pub(super) fn push(&mut self, place: u32, change: impl PackedChange) {
        let value = change.to_bits();
        self.0.push(PendingChange { place, high: (value >> 32) as u32, low: value as u32 });
    }

    /// Hands over what changes in each place, sorted, and forgets it.
    pub(super) fn for_each_place<C: PackedChange>(&mut self, mut apply: impl FnMut(u32, &[C])) {
        let pending = std::mem::take(&mut self.0);
        let mut changes = Vec::new();
        let mut place = |place: u32, values: &mut [u64]| {
            values.sort_unstable();
            changes.clear();
            changes.extend(values.chunk_by(|a, b| a >> 1 == b >> 1).filter_map(net_change).map(C::from_bits));
            if !changes.is_empty() {
                apply(place, &changes);
            }
        };
        match CountingSort::of(&pending) {
            Some(mut counted) => counted.for_each(pending, place),
            None => sorted(pending, &mut place),
        }
    }
}

/// What is left of one member's changes.
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

/// Brings the pending of a place together by comparing.
fn sorted(mut pending: Vec<PendingChange>, place: &mut impl FnMut(u32, &mut [u64])) {
    pending.sort_unstable_by_key(|note| note.place);
    let mut values = Vec::new();
    for of in pending.chunk_by(|a, b| a.place == b.place) {
        values.clear();
        values.extend(of.iter().map(|note| note.value()));
        place(of.first().map_or(0, |note| note.place), &mut values);
    }
}

/// How many pending there are for each place up to the last one.
struct CountingSort(Vec<u32>);

impl CountingSort {
    /// Counts them, if that is worth it: many pending, and not many more places.
    fn of(pending: &[PendingChange]) -> Option<Self> {
        const MANY: usize = 1 << 16;
        let last = pending.iter().map(|note| note.place as usize).max()?;
        if pending.len() < MANY || last > 4 * pending.len() || u32::try_from(pending.len()).is_err() {
            return None;
        }
        let mut counts = vec![0; last + 1];
        for note in pending {
            if let Some(count) = counts.get_mut(note.place as usize) {
                *count += 1;
            }
        }
        Some(Self(counts))
    }

    /// Moves every note to its place, without comparing.
    fn for_each(&mut self, pending: Vec<PendingChange>, mut place: impl FnMut(u32, &mut [u64])) {
        let mut values = vec![0; pending.len()];
        let mut start = 0;
        for count in &mut self.0 {
            start += std::mem::replace(count, start);
        }
        for note in pending {
            let Some(next) = self.0.get_mut(note.place as usize) else { continue };
            if let Some(value) = values.get_mut(*next as usize) {
                *value = note.value();
            }
            *next += 1;
        }
        let mut start = 0;
        for (number, end) in (0..).zip(&self.0) {
            let end = *end as usize;
            if let Some(of) = values.get_mut(start..end).filter(|of| !of.is_empty()) {
                place(number, of);
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
    fn changes_come_by_place_sorted_and_cancelled() {
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
            pending.for_each_place(|place, changes: &[u64]| {
                assert!(changes.is_sorted());
                for change in changes {
                    let n = many - u32::try_from(change >> 33).unwrap();
                    assert_eq!((n % 7, n % 2, change & 1), (place, 0, 1));
                }
                seen += changes.len();
            });
            assert_eq!(seen, many as usize / 2);
            pending.for_each_place(|_, _: &[u64]| panic!("handed over twice"));
        }
    }
}
