//! Sets of small integers, adaptive between a sorted array and a bitmap.
//!
//! A set of up to [`LIST_MAX`] members is one sorted list. A bigger one is divided into chunks of 65,536
//! neighbours, each a sorted array of 16-bit offsets while it is sparse and a bitmap while it is dense. A copy
//! shares every part; a change copies the parts that it touches, at most 8 KiB each.

mod decode;

use std::cell::Cell;
use std::sync::Arc;

use self::decode::{Source, decode};

/// The most members of a set that is one list.
pub const LIST_MAX: usize = 1024;
/// Below this a divided set becomes one list again.
const LIST_AGAIN: usize = 768;
/// The most members of a chunk that is an array; above, a bitmap is smaller.
const ARRAY_MAX: usize = 4096;
/// Below this a bitmap becomes an array again.
const ARRAY_AGAIN: usize = 3072;
/// Two lists are walked together unless one is this many times longer.
const NEAR: usize = 16;
const CHUNK_BITS: u32 = 16;
const WORDS: usize = 1 << (CHUNK_BITS - 6);

/// The words of a dense chunk.
pub type Words = [u64; WORDS];

/// One membership to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edit {
    /// The member.
    pub member: u32,
    /// Whether it is in the set afterwards.
    pub present: bool,
}

/// A persistent set of `u32`.
#[derive(Clone, Debug)]
pub struct Bitset(Parts);

#[derive(Clone, Debug)]
enum Parts {
    List(Arc<[u32]>),
    Chunks(Arc<[(u32, Chunk)]>),
}

#[derive(Clone, Debug)]
enum Chunk {
    Array(Arc<[u16]>),
    Bits(Arc<Bits>),
}

#[derive(Clone, Debug)]
struct Bits {
    count: u32,
    words: Words,
}

impl Default for Bitset {
    fn default() -> Self {
        Self(Parts::List(Arc::default()))
    }
}

/// The offset of a member within its chunk.
#[expect(clippy::cast_possible_truncation, reason = "the low 16 bits are what is meant")]
const fn low(member: u32) -> u16 {
    member as u16
}

/// Keeps, of the end of a list from `start` on, what `keep` says.
pub fn retain_from(list: &mut Vec<u32>, start: usize, mut keep: impl FnMut(u32) -> bool) {
    let Some(tail) = list.get_mut(start..) else { return };
    let tail = Cell::from_mut(tail).as_slice_of_cells();
    let mut places = tail.iter();
    let mut end = start;
    for member in tail.iter().map(Cell::get) {
        if keep(member) {
            end += 1;
            places.next().into_iter().for_each(|place| place.set(member));
        }
    }
    list.truncate(end);
}

/// Appends what two sorted lists have in common, without a branch that depends on their members.
fn append_both(mut ours: &[u32], mut theirs: &[u32], out: &mut Vec<u32>) {
    out.reserve(ours.len().min(theirs.len()));
    while let (Some((a, our_rest)), Some((b, their_rest))) = (ours.split_first(), theirs.split_first()) {
        if a == b {
            out.push(*a);
        }
        (ours, theirs) = (if a <= b { our_rest } else { ours }, if b <= a { their_rest } else { theirs });
    }
}

/// Merges sorted members with sorted edits of distinct members.
pub fn merge<T: Copy + Ord>(
    members: impl IntoIterator<Item = T>,
    edits: impl IntoIterator<Item = (T, bool)>,
    out: &mut Vec<T>,
) {
    let mut edits = edits.into_iter().peekable();
    for member in members {
        while let Some((added, present)) = edits.next_if(|(edited, _)| *edited < member) {
            out.extend(present.then_some(added));
        }
        match edits.next_if(|(edited, _)| *edited == member) {
            Some((_, false)) => {}
            _ => out.push(member),
        }
    }
    out.extend(edits.filter_map(|(added, present)| present.then_some(added)));
}

impl Bitset {
    /// The set of these members, which are sorted and distinct.
    pub fn from_sorted(members: &[u32]) -> Self {
        if members.len() <= LIST_MAX {
            return Self(Parts::List(members.into()));
        }
        let chunks = members.chunk_by(|a, b| a >> CHUNK_BITS == b >> CHUNK_BITS);
        Self(Parts::Chunks(
            chunks.filter_map(|of| Some((of.first()? >> CHUNK_BITS, Chunk::from_sorted(of)))).collect(),
        ))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Parts::List(list) => list.len(),
            Parts::Chunks(chunks) => chunks.iter().map(|(_, chunk)| chunk.len()).sum(),
        }
    }

    /// Whether there is no member.
    pub fn is_empty(&self) -> bool {
        match &self.0 {
            Parts::List(list) => list.is_empty(),
            Parts::Chunks(chunks) => chunks.is_empty(),
        }
    }

    /// Whether it is a member.
    pub fn contains(&self, member: u32) -> bool {
        match &self.0 {
            Parts::List(list) => list.binary_search(&member).is_ok(),
            Parts::Chunks(chunks) => {
                let found = chunks.binary_search_by_key(&(member >> CHUNK_BITS), |(high, _)| *high);
                found.ok().and_then(|at| chunks.get(at)).is_some_and(|(_, chunk)| chunk.contains(low(member)))
            }
        }
    }

    /// Appends every member in ascending order.
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

    /// Appends, in ascending order, every member that is also in `other`.
    pub fn append_common(&self, other: &Self, out: &mut Vec<u32>) {
        match (&self.0, &other.0) {
            (Parts::List(ours), Parts::List(theirs))
                if ours.len() / NEAR <= theirs.len() && theirs.len() / NEAR <= ours.len() =>
            {
                append_both(ours, theirs, out);
            }
            (Parts::List(list), _) => out.extend(list.iter().filter(|member| other.contains(**member))),
            (_, Parts::List(list)) => out.extend(list.iter().filter(|member| self.contains(**member))),
            (Parts::Chunks(ours), Parts::Chunks(theirs)) => {
                let mut theirs = theirs.iter().peekable();
                for (high, chunk) in ours.iter() {
                    while theirs.next_if(|(other, _)| other < high).is_some() {}
                    if let Some((_, other)) = theirs.next_if(|(other, _)| other == high) {
                        chunk.append_common(other, high << CHUNK_BITS, out);
                    }
                }
            }
        }
    }

    /// Appends, in ascending order, every member that is in none of the sets that `excepts` hands over.
    pub fn append_without(&self, excepts: impl Fn(&mut dyn FnMut(&Self)), out: &mut Vec<u32>) {
        const FEW: usize = 64;
        let start = out.len();
        let Parts::Chunks(chunks) = &self.0 else {
            self.append_to(out);
            excepts(&mut |set| set.remove_from(out, start));
            return;
        };
        for (high, chunk) in chunks.iter() {
            let start = out.len();
            if chunk.len() < FEW {
                chunk.append_to(high << CHUNK_BITS, out);
                excepts(&mut |set| set.remove_from(out, start));
                continue;
            }
            let mut words = [0; WORDS];
            chunk.add_to(&mut words);
            excepts(&mut |set| set.clear_in(*high, &mut words));
            decode(high << CHUNK_BITS, Source::One(&words), chunk.len(), out);
        }
    }

    /// Removes its members from the end of a list, from `start` on.
    pub fn remove_from(&self, list: &mut Vec<u32>, start: usize) {
        if !self.is_empty() {
            retain_from(list, start, |member| !self.contains(member));
        }
    }

    /// Clears the bits of its members in the words of a chunk.
    fn clear_in(&self, high: u32, words: &mut Words) {
        match &self.0 {
            Parts::List(list) => {
                let first = list.partition_point(|member| member >> CHUNK_BITS < high);
                for member in list.iter().skip(first).take_while(|member| *member >> CHUNK_BITS == high) {
                    put_bit(words, low(*member), false);
                }
            }
            Parts::Chunks(chunks) => {
                let found = chunks.binary_search_by_key(&high, |(of, _)| *of);
                match found.ok().and_then(|at| chunks.get(at)).map(|(_, chunk)| chunk) {
                    Some(Chunk::Array(array)) => {
                        array.iter().for_each(|offset| put_bit(words, *offset, false));
                    }
                    Some(Chunk::Bits(bits)) => {
                        words.iter_mut().zip(&bits.words).for_each(|(word, except)| *word &= !except);
                    }
                    None => {}
                }
            }
        }
    }

    /// The bytes of its parts on the heap, counters included.
    pub fn heap_bytes(&self) -> usize {
        const COUNTERS: usize = 16;
        match &self.0 {
            Parts::List(list) => COUNTERS + size_of_val(&**list),
            Parts::Chunks(chunks) => {
                let parts = chunks.iter().map(|(_, chunk)| match chunk {
                    Chunk::Array(array) => COUNTERS + size_of_val(&**array),
                    Chunk::Bits(_) => COUNTERS + size_of::<Bits>(),
                });
                COUNTERS + size_of_val(&**chunks) + parts.sum::<usize>()
            }
        }
    }

    /// Changes memberships; the edits are sorted by member, one for each.
    pub fn edit(&mut self, edits: &[Edit]) {
        let total = match &mut self.0 {
            Parts::List(list) => {
                let mut members = Vec::with_capacity(list.len() + edits.len());
                merge(list.iter().copied(), edits.iter().map(|e| (e.member, e.present)), &mut members);
                *self = Self::from_sorted(&members);
                return;
            }
            Parts::Chunks(chunks) => {
                *chunks = edited_chunks(chunks, edits);
                self.len()
            }
        };
        if total < LIST_AGAIN {
            let mut members = Vec::with_capacity(total);
            self.append_to(&mut members);
            *self = Self::from_sorted(&members);
        }
    }
}

/// The chunks after some memberships were changed; those that end up empty are left out.
fn edited_chunks(chunks: &[(u32, Chunk)], edits: &[Edit]) -> Arc<[(u32, Chunk)]> {
    let mut old = chunks.iter().cloned().peekable();
    let mut new = Vec::with_capacity(chunks.len() + 1);
    for group in edits.chunk_by(|a, b| a.member >> CHUNK_BITS == b.member >> CHUNK_BITS) {
        let Some(high) = group.first().map(|edit| edit.member >> CHUNK_BITS) else { continue };
        while let Some(before) = old.next_if(|(other, _)| *other < high) {
            new.push(before);
        }
        let mut chunk =
            old.next_if(|(other, _)| *other == high).map_or_else(Chunk::default, |(_, chunk)| chunk);
        chunk.edit(group);
        if chunk.len() > 0 {
            new.push((high, chunk));
        }
    }
    new.extend(old);
    new.into()
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Array(Arc::default())
    }
}

impl Chunk {
    /// The chunk of these members, which are sorted, distinct and of one chunk.
    fn from_sorted(members: &[u32]) -> Self {
        if members.len() <= ARRAY_MAX {
            return Self::Array(members.iter().map(|member| low(*member)).collect());
        }
        Self::Bits(Arc::new(Bits::of(members.iter().map(|member| low(*member)))))
    }

    fn len(&self) -> usize {
        match self {
            Self::Array(array) => array.len(),
            Self::Bits(bits) => bits.count as usize,
        }
    }

    fn contains(&self, offset: u16) -> bool {
        match self {
            Self::Array(array) => array.binary_search(&offset).is_ok(),
            Self::Bits(bits) => bits.contains(offset),
        }
    }

    fn append_to(&self, base: u32, out: &mut Vec<u32>) {
        match self {
            Self::Array(array) => out.extend(array.iter().map(|offset| base | u32::from(*offset))),
            Self::Bits(bits) => decode(base, Source::One(&bits.words), bits.count as usize, out),
        }
    }

    /// Sets the bits of its members.
    fn add_to(&self, words: &mut Words) {
        match self {
            Self::Array(array) => array.iter().for_each(|offset| put_bit(words, *offset, true)),
            Self::Bits(bits) => words.clone_from(&bits.words),
        }
    }

    fn append_common(&self, other: &Self, base: u32, out: &mut Vec<u32>) {
        match (self, other) {
            (Self::Bits(ours), Self::Bits(theirs)) => {
                let most = ours.count.min(theirs.count) as usize;
                decode(base, Source::Both(&ours.words, &theirs.words), most, out);
            }
            (Self::Array(array), set) | (set, Self::Array(array)) => {
                let common = array.iter().filter(|offset| set.contains(**offset));
                out.extend(common.map(|offset| base | u32::from(*offset)));
            }
        }
    }

    fn edit(&mut self, edits: &[Edit]) {
        match self {
            Self::Array(array) => {
                let mut offsets = Vec::with_capacity(array.len() + edits.len());
                merge(array.iter().copied(), edits.iter().map(|e| (low(e.member), e.present)), &mut offsets);
                *self = if offsets.len() <= ARRAY_MAX {
                    Self::Array(offsets.into())
                } else {
                    Self::Bits(Arc::new(Bits::of(offsets)))
                };
            }
            Self::Bits(bits) => {
                let bits = Arc::make_mut(bits);
                for edit in edits {
                    bits.set(low(edit.member), edit.present);
                }
                if (bits.count as usize) < ARRAY_AGAIN {
                    let mut members = Vec::with_capacity(ARRAY_AGAIN);
                    decode(0, Source::One(&bits.words), bits.count as usize, &mut members);
                    *self = Self::from_sorted(&members);
                }
            }
        }
    }
}

fn put_bit(words: &mut Words, offset: u16, present: bool) {
    if let Some(word) = words.get_mut(usize::from(offset >> 6)) {
        let bit = 1 << (offset & 63);
        *word = if present { *word | bit } else { *word & !bit };
    }
}

impl Bits {
    fn of(offsets: impl IntoIterator<Item = u16>) -> Self {
        let mut bits = Self { count: 0, words: [0; WORDS] };
        for offset in offsets {
            bits.set(offset, true);
        }
        bits
    }

    fn contains(&self, offset: u16) -> bool {
        self.words.get(usize::from(offset >> 6)).is_some_and(|word| word >> (offset & 63) & 1 == 1)
    }

    fn set(&mut self, offset: u16, present: bool) {
        let Some(word) = self.words.get_mut(usize::from(offset >> 6)) else { return };
        let bit = 1 << (offset & 63);
        match (present, *word & bit != 0) {
            (true, false) => self.count += 1,
            (false, true) => self.count -= 1,
            _ => return,
        }
        *word ^= bit;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use rand::rngs::StdRng;
    use rand::{RngExt as _, SeedableRng as _};

    use super::*;

    fn members(set: &Bitset) -> Vec<u32> {
        let mut out = Vec::new();
        set.append_to(&mut out);
        out
    }

    /// Edits that move the set to about `density` of the members below `range`.
    fn edits(rng: &mut StdRng, range: u32, count: usize, density: f64) -> Vec<Edit> {
        let edits: BTreeMap<u32, bool> =
            (0..count).map(|_| (rng.random_range(0..range), rng.random_bool(density))).collect();
        edits.into_iter().map(|(member, present)| Edit { member, present }).collect()
    }

    #[test]
    fn a_set_of_any_density_is_what_a_tree_of_members_says() {
        for seed in 0..2 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (mut ours, mut tree) = (Bitset::default(), BTreeSet::new());
            for round in 0..40 {
                let density = if round % 20 < 12 { 0.9 } else { 0.02 };
                let count = if round % 3 == 0 { 20 } else { 15_000 };
                let before = (ours.clone(), tree.clone());
                let edits = edits(&mut rng, 200_000, count, density);
                ours.edit(&edits);
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
                assert_eq!((ours.len(), ours.is_empty()), (tree.len(), tree.is_empty()));
                for _ in 0..100 {
                    let member = rng.random_range(0..210_000);
                    assert_eq!(ours.contains(member), tree.contains(&member));
                }
            }
        }
    }

    #[test]
    fn the_members_without_those_of_other_sets() {
        let mut rng = StdRng::seed_from_u64(8);
        let sets: Vec<Bitset> = [0.5, 0.04, 0.01, 0.0005, 0.0]
            .into_iter()
            .map(|density| {
                Bitset::from_sorted(&(0..200_000).filter(|_| rng.random_bool(density)).collect::<Vec<_>>())
            })
            .collect();
        for set in &sets {
            for pair in sets.windows(2) {
                let mut rest = vec![1, 2, 3];
                set.append_without(|hand_over| pair.iter().for_each(hand_over), &mut rest);
                let is_rest = |member: &u32| pair.iter().all(|except| !except.contains(*member));
                assert_eq!(rest[3..], members(set).into_iter().filter(is_rest).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_common_members_of_sets_of_any_density() {
        let mut rng = StdRng::seed_from_u64(7);
        let sets: Vec<Bitset> = [0.5, 0.2, 0.03, 0.001, 0.0]
            .into_iter()
            .map(|density| {
                let members: Vec<u32> = (0..300_000).filter(|_| rng.random_bool(density)).collect();
                Bitset::from_sorted(&members)
            })
            .collect();
        for a in &sets {
            for b in &sets {
                let mut common = Vec::new();
                a.append_common(b, &mut common);
                assert_eq!(common, members(a).into_iter().filter(|m| b.contains(*m)).collect::<Vec<_>>());
            }
        }
    }
}
