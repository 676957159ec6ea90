//! Sets of `u32` that adapt their form: sorted arrays for sparse members, bitmaps for dense ones.
//!
//! A set of up to [`LIST_MAX`] members that are far apart is one sorted list. Any other set is divided into
//! chunks of 65,536 consecutive integers. Each chunk is a sorted array of 16-bit offsets while it is sparse,
//! and a bitmap while it is dense. Clones share all parts. A change copies the parts that it touches, at most
//! 8 KiB each.

mod chunk;
mod decode;
mod sorted;

use std::sync::Arc;

use self::chunk::{CHUNK_BITS, Chunk, WORDS, high, is_dense, low};
pub use self::decode::{Kernel, force_kernel};
use self::decode::{Source, decode};
pub use self::sorted::{Edit, merge, retain_from};
use self::sorted::{append_filtered, append_intersection_of, remove_sorted};

/// The most members of a set that is stored as one list.
pub const LIST_MAX: usize = 1024;
/// A divided set with fewer members than this becomes one list again.
const LIST_REJOIN_MIN: usize = 768;
/// Two lists are merged in step unless one of them is this many times longer.
const NEAR: usize = 16;

/// A persistent set of `u32` that favours fast iteration over fast membership tests.
pub type Bitset = Set<2>;
/// A persistent set of `u32` that favours fast membership tests: it uses a bitmap if one in 64 integers is a
/// member.
pub type Mask = Set<8>;

/// A persistent set of `u32`. A chunk is a bitmap if that takes fewer than `WEIGHT` bytes per member.
#[derive(Clone, Debug)]
pub struct Set<const WEIGHT: usize>(Parts);

#[derive(Clone, Debug)]
enum Parts {
    List(Arc<[u32]>),
    Chunks(Arc<[(u32, Chunk)]>),
}

/// The members of a set that lie in one chunk.
enum Part<'a> {
    List(&'a [u32]),
    Chunk(&'a Chunk),
}

impl Parts {
    /// Returns the members in the chunk with this number.
    fn part(&self, of: u32) -> Part<'_> {
        match self {
            Self::List(list) => {
                let start = list.partition_point(|member| high(*member) < of);
                let rest = list.get(start..).unwrap_or(&[]);
                Part::List(rest.get(..rest.partition_point(|member| high(*member) == of)).unwrap_or(&[]))
            }
            Self::Chunks(chunks) => chunks
                .binary_search_by_key(&of, |(high, _)| *high)
                .ok()
                .and_then(|at| chunks.get(at))
                .map_or(Part::List(&[]), |(_, chunk)| Part::Chunk(chunk)),
        }
    }
}

impl<const WEIGHT: usize> Default for Set<WEIGHT> {
    fn default() -> Self {
        Self(Parts::List(Arc::default()))
    }
}

impl<const WEIGHT: usize> Set<WEIGHT> {
    /// Creates the set of `members`, which must be sorted and distinct.
    pub fn from_sorted(members: &[u32]) -> Self {
        let is_near = members
            .last()
            .is_some_and(|last| *last >> CHUNK_BITS == 0 && is_dense(members.len(), low(*last), WEIGHT));
        if members.len() <= LIST_MAX && !is_near {
            return Self(Parts::List(members.into()));
        }
        let mut offsets = Vec::new();
        let chunks = members.chunk_by(|a, b| high(*a) == high(*b)).filter_map(|of| {
            offsets.clear();
            offsets.extend(of.iter().map(|member| low(*member)));
            Some((high(*of.first()?), Chunk::of(&offsets, WEIGHT)))
        });
        Self(Parts::Chunks(chunks.collect()))
    }

    /// Returns the number of members.
    pub fn len(&self) -> usize {
        match &self.0 {
            Parts::List(list) => list.len(),
            Parts::Chunks(chunks) => chunks.iter().map(|(_, chunk)| chunk.len()).sum(),
        }
    }

    /// Returns whether the set has no members.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Parts::List(list) => list.is_empty(),
            Parts::Chunks(chunks) => chunks.is_empty(),
        }
    }

    /// Returns whether the set contains `member`.
    pub fn contains(&self, member: u32) -> bool {
        match self.0.part(high(member)) {
            Part::List(list) => list.binary_search(&member).is_ok(),
            Part::Chunk(chunk) => chunk.contains(low(member)),
        }
    }

    /// Appends every member, in ascending order.
    pub fn append_to(&self, out: &mut Vec<u32>) {
        match &self.0 {
            Parts::List(list) => out.extend_from_slice(list),
            Parts::Chunks(chunks) => {
                for (high, chunk) in chunks.iter() {
                    chunk.append_to(high << CHUNK_BITS, out);
                }
            }
        }
    }

    /// Appends every member that is also in `other`, in ascending order.
    pub fn append_intersection<const W: usize>(&self, other: &Set<W>, out: &mut Vec<u32>) {
        match (&self.0, &other.0) {
            (Parts::List(list), _) => other.append_intersection_with_list(list, out),
            (_, Parts::List(list)) => self.append_intersection_with_list(list, out),
            (Parts::Chunks(ours), Parts::Chunks(theirs)) => {
                let mut theirs = theirs.iter().peekable();
                for (high, chunk) in ours.iter() {
                    while theirs.next_if(|(other, _)| other < high).is_some() {}
                    if let Some((_, other)) = theirs.next_if(|(other, _)| other == high) {
                        chunk.append_intersection(other, high << CHUNK_BITS, out);
                    }
                }
            }
        }
    }

    /// Appends the elements of a sorted list that are members of the set.
    pub fn append_intersection_with_list(&self, list: &[u32], out: &mut Vec<u32>) {
        match &self.0 {
            Parts::List(ours) if ours.len() / NEAR <= list.len() && list.len() / NEAR <= ours.len() => {
                append_intersection_of(ours, list, |member| member, out);
            }
            Parts::List(ours) if ours.len() < list.len() => {
                append_filtered(ours, |member| list.binary_search(&member).is_ok(), |member| member, out);
            }
            _ => {
                for of in list.chunk_by(|a, b| high(*a) == high(*b)) {
                    match of.first().map(|first| self.0.part(high(*first))) {
                        Some(Part::Chunk(chunk)) => {
                            append_filtered(of, |member| chunk.contains(low(member)), |member| member, out);
                        }
                        Some(Part::List(list)) => {
                            append_filtered(
                                of,
                                |member| list.binary_search(&member).is_ok(),
                                |member| member,
                                out,
                            );
                        }
                        None => {}
                    }
                }
            }
        }
    }

    /// Appends, in ascending order, every member that is in none of the excluded sets.
    ///
    /// `exclusions` calls its argument with each excluded set. It may be called several times.
    pub fn append_difference<const W: usize>(
        &self,
        exclusions: impl Fn(&mut dyn FnMut(&Set<W>)),
        out: &mut Vec<u32>,
    ) {
        let start = out.len();
        let Parts::Chunks(chunks) = &self.0 else {
            self.append_to(out);
            exclusions(&mut |set| set.remove_members_from(out, start));
            return;
        };
        for (high, chunk) in chunks.iter() {
            let start = out.len();
            if let Chunk::Array(_) = chunk {
                chunk.append_to(high << CHUNK_BITS, out);
                exclusions(&mut |set| set.remove_members_from(out, start));
                continue;
            }
            let mut words = [0; WORDS];
            let end = chunk.copy_to(&mut words);
            let words = words.get_mut(..end).unwrap_or_default();
            exclusions(&mut |set| set.clear_in(*high, words));
            decode(high << CHUNK_BITS, Source::One(words), chunk.len(), out);
        }
    }

    /// Removes the members of this set from `list`, which must be sorted from `start` on. Elements before
    /// `start` stay.
    pub fn remove_members_from(&self, list: &mut Vec<u32>, start: usize) {
        if let Parts::List(ours) = &self.0 {
            let kept = list.get_mut(start..).map_or(0, |tail| remove_sorted(tail, ours, |member| member));
            list.truncate(start + kept);
            return;
        }
        let (mut at, mut end) = (start, start);
        while let Some(rest) = list.get_mut(at..).filter(|rest| !rest.is_empty()) {
            let number = rest.first().map_or(0, |first| high(*first));
            let count = rest.partition_point(|member| high(*member) == number);
            let kept = rest.get_mut(..count).map_or(0, |of| match self.0.part(number) {
                Part::Chunk(chunk) => chunk.remove_members_from(of),
                Part::List(_) => count,
            });
            if end < at {
                list.copy_within(at..at + kept, end);
            }
            (at, end) = (at + count, end + kept);
        }
        list.truncate(end);
    }

    /// Clears the bits of this set's members in the bitmap of chunk `of`.
    fn clear_in(&self, of: u32, words: &mut [u64]) {
        match self.0.part(of) {
            Part::List(list) => list.iter().for_each(|member| chunk::put_bit(words, low(*member), false)),
            Part::Chunk(chunk) => chunk.clear_in(words),
        }
    }

    /// Returns the bytes that the set takes on the heap, reference counters included.
    pub fn heap_bytes(&self) -> usize {
        const COUNTERS: usize = 16;
        match &self.0 {
            Parts::List(list) => COUNTERS + size_of_val(&**list),
            Parts::Chunks(chunks) => {
                let parts = chunks.iter().map(|(_, chunk)| COUNTERS + chunk.bytes());
                COUNTERS + size_of_val(&**chunks) + parts.sum::<usize>()
            }
        }
    }

    /// Adds and removes members. The edits must be sorted by member, with one edit for each.
    pub fn edit(&mut self, edits: &[Edit]) {
        match &mut self.0 {
            Parts::List(list) => {
                let mut members = Vec::with_capacity(list.len() + edits.len());
                merge(list.iter().copied(), edits.iter().map(|e| (e.member, e.present)), &mut members);
                *self = Self::from_sorted(&members);
            }
            Parts::Chunks(chunks) => {
                *chunks = edited_chunks(chunks, edits, WEIGHT);
                if self.is_better_a_list() {
                    let mut members = Vec::new();
                    self.append_to(&mut members);
                    *self = Self(Parts::List(members.into()));
                }
            }
        }
    }

    /// Returns whether the set is divided although it has few members, which are far apart.
    fn is_better_a_list(&self) -> bool {
        let Parts::Chunks(chunks) = &self.0 else { return false };
        !matches!(&**chunks, [(0, Chunk::Bits { .. })]) && self.len() < LIST_REJOIN_MIN
    }
}

/// Returns the chunks after the edits. Empty chunks are left out.
fn edited_chunks(chunks: &[(u32, Chunk)], edits: &[Edit], weight: usize) -> Arc<[(u32, Chunk)]> {
    let mut old = chunks.iter().cloned().peekable();
    let mut new = Vec::with_capacity(chunks.len() + 1);
    for group in edits.chunk_by(|a, b| high(a.member) == high(b.member)) {
        let Some(number) = group.first().map(|edit| high(edit.member)) else { continue };
        while let Some(before) = old.next_if(|(other, _)| *other < number) {
            new.push(before);
        }
        let mut chunk =
            old.next_if(|(other, _)| *other == number).map_or_else(Chunk::default, |(_, chunk)| chunk);
        chunk.edit(group, weight);
        if chunk.len() > 0 {
            new.push((number, chunk));
        }
    }
    new.extend(old);
    new.into()
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn members<const WEIGHT: usize>(set: &Set<WEIGHT>) -> Vec<u32> {
        let mut out = Vec::new();
        set.append_to(&mut out);
        out
    }

    /// Returns edits that move the set to about `density` of the members below `range`.
    fn edits(rng: &mut StdRng, range: u32, count: usize, density: f64) -> Vec<Edit> {
        let edits: BTreeMap<u32, bool> =
            (0..count).map(|_| (rng.random_range(0..range), rng.random_bool(density))).collect();
        edits.into_iter().map(|(member, present)| Edit { member, present }).collect()
    }

    #[test]
    fn edits_of_any_density_match_a_tree_set() {
        for seed in 0..2 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (mut ours, mut tree) = (Bitset::default(), BTreeSet::new());
            let mut mask = Mask::default();
            for round in 0..40 {
                let density = if round % 20 < 12 { 0.9 } else { 0.02 };
                let count = if round % 3 == 0 { 20 } else { 15_000 };
                let before = (ours.clone(), tree.clone());
                let edits = edits(&mut rng, 200_000, count, density);
                ours.edit(&edits);
                mask.edit(&edits);
                for edit in &edits {
                    if edit.present {
                        tree.insert(edit.member)
                    } else {
                        tree.remove(&edit.member)
                    };
                }
                assert_eq!(
                    members(&ours),
                    tree.iter().copied().collect::<Vec<_>>(),
                    "seed {seed} round {round}"
                );
                assert_eq!(members(&before.0), before.1.into_iter().collect::<Vec<_>>(), "a copy changed");
                assert_eq!(members(&mask), members(&ours), "seed {seed} round {round}");
                assert_eq!((ours.len(), ours.is_empty()), (tree.len(), tree.is_empty()));
                for _ in 0..100 {
                    let member = rng.random_range(0..210_000);
                    assert_eq!(ours.contains(member), tree.contains(&member));
                }
            }
        }
    }

    /// Returns lists of random members with different bounds and densities.
    fn random_members(rng: &mut StdRng) -> Vec<Vec<u32>> {
        let shapes = [
            (0.5, 200_000),
            (0.5, 1000),
            (0.04, 200_000),
            (0.04, 9000),
            (0.01, 200_000),
            (0.001, 300_000),
            (0.0, 1),
        ];
        let mut draw = |(density, end)| (0..end).filter(|_| rng.random_bool(density)).collect();
        shapes.into_iter().map(&mut draw).collect()
    }

    #[test]
    fn difference_matches_a_naive_filter() {
        let random_members = random_members(&mut StdRng::seed_from_u64(8));
        let masks: Vec<Mask> = random_members.iter().map(|members| Mask::from_sorted(members)).collect();
        for ours in &random_members {
            let set = Bitset::from_sorted(ours);
            for pair in masks.windows(2) {
                let mut rest = vec![1, 2, 3];
                set.append_difference(|visit| pair.iter().for_each(visit), &mut rest);
                let is_rest = |member: &u32| pair.iter().all(|except| !except.contains(*member));
                assert_eq!(rest[3..], ours.iter().copied().filter(is_rest).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn intersection_matches_a_naive_filter() {
        let random_members = random_members(&mut StdRng::seed_from_u64(7));
        for ours in &random_members {
            for theirs in &random_members {
                let (set, mask) = (Bitset::from_sorted(ours), Mask::from_sorted(theirs));
                let expected: Vec<u32> =
                    ours.iter().copied().filter(|m| theirs.binary_search(m).is_ok()).collect();
                let mut append_intersection_of = vec![7];
                set.append_intersection(&mask, &mut append_intersection_of);
                assert_eq!(append_intersection_of[1..], expected);
                append_intersection_of.truncate(1);
                mask.append_intersection_with_list(ours, &mut append_intersection_of);
                assert_eq!(append_intersection_of[1..], expected);
            }
        }
    }
}
