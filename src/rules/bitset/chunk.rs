//! A chunk of a set: 65,536 consecutive integers, as a sorted array of offsets or as a bitmap.

use std::sync::Arc;

use super::decode::{Source, decode};
use super::sorted::{Edit, append_filtered, append_intersection_of, merge, remove_sorted, retain_slice};

/// The number of low bits of a member that give its offset in a chunk.
pub(super) const CHUNK_BITS: u32 = 16;
/// The number of words in the bitmap of a whole chunk.
pub(super) const WORDS: usize = 1 << (CHUNK_BITS - 6);

/// The bitmap of a whole chunk.
type Words = [u64; WORDS];

/// A bitmap becomes an array again if it has less than this many quarters of the members that a new bitmap
/// needs.
///
/// The gap keeps a chunk from changing its form back and forth.
const ARRAY_REJOIN_QUARTERS: usize = 3;

#[derive(Clone, Debug)]
pub(super) enum Chunk {
    Array(Arc<[u16]>),
    /// The words up to the last set bit, rounded up to cache lines, so that a set of small integers stays
    /// small.
    Bits {
        count: u32,
        words: Arc<[u64]>,
    },
}

impl Default for Chunk {
    fn default() -> Self {
        Self::Array(Arc::default())
    }
}

/// Returns the offset of a member in its chunk.
#[expect(clippy::cast_possible_truncation, reason = "only the low 16 bits are wanted")]
pub(super) const fn low(member: u32) -> u16 {
    member as u16
}

/// Returns the number of words of a bitmap whose last set bit is `last`, in whole cache lines.
fn words_to(last: u16) -> usize {
    (usize::from(last >> 6) + 1).next_multiple_of(8)
}

/// Returns whether a bitmap of `count` members up to `last` takes fewer than `weight` bytes per member.
pub(super) fn is_dense(count: usize, last: u16, weight: usize) -> bool {
    count * weight > words_to(last) * size_of::<u64>()
}

pub(super) fn put_bit(words: &mut [u64], offset: u16, present: bool) {
    if let Some(word) = words.get_mut(usize::from(offset >> 6)) {
        let bit = 1 << (offset & 63);
        *word = if present { *word | bit } else { *word & !bit };
    }
}

/// Returns whether the bit of `offset` is set.
fn has_bit(words: &[u64], offset: u16) -> bool {
    words.get(usize::from(offset >> 6)).copied().unwrap_or(0) >> (offset & 63) & 1 == 1
}

fn bits_of(offsets: &[u16]) -> Chunk {
    let mut words = vec![0; words_to(offsets.last().copied().unwrap_or(0))];
    for offset in offsets {
        put_bit(&mut words, *offset, true);
    }
    Chunk::Bits { count: u32::try_from(offsets.len()).unwrap_or(u32::MAX), words: words.into() }
}

impl Chunk {
    /// Creates the chunk with these sorted offsets.
    pub(super) fn of(offsets: &[u16], weight: usize) -> Self {
        match offsets.last() {
            Some(last) if is_dense(offsets.len(), *last, weight) => bits_of(offsets),
            _ => Self::Array(offsets.into()),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Array(array) => array.len(),
            Self::Bits { count, .. } => *count as usize,
        }
    }

    /// Returns the bytes that the members take.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Array(array) => size_of_val(&**array),
            Self::Bits { words, .. } => size_of_val(&**words),
        }
    }

    pub(super) fn contains(&self, offset: u16) -> bool {
        match self {
            Self::Array(array) => array.binary_search(&offset).is_ok(),
            Self::Bits { words, .. } => has_bit(words, offset),
        }
    }

    /// Appends the members, each as `base` plus its offset.
    pub(super) fn append_to(&self, base: u32, out: &mut Vec<u32>) {
        match self {
            Self::Array(array) => out.extend(array.iter().map(|offset| base | u32::from(*offset))),
            Self::Bits { count, words } => decode(base, Source::One(words), *count as usize, out),
        }
    }

    /// Appends the members that both chunks contain, each as `base` plus its offset.
    pub(super) fn append_intersection(&self, other: &Self, base: u32, out: &mut Vec<u32>) {
        match (self, other) {
            (Self::Bits { count: a, words: ours }, Self::Bits { count: b, words: theirs }) => {
                decode(base, Source::Both(ours, theirs), *a.min(b) as usize, out);
            }
            (Self::Array(array), Self::Bits { words, .. })
            | (Self::Bits { words, .. }, Self::Array(array)) => {
                append_filtered(
                    array,
                    |offset| has_bit(words, offset),
                    |offset| base | u32::from(offset),
                    out,
                );
            }
            (Self::Array(ours), Self::Array(theirs)) => {
                append_intersection_of(ours, theirs, |offset| base | u32::from(offset), out);
            }
        }
    }

    /// Sets the bits of the members. Returns the number of words up to the last set bit, in whole cache
    /// lines.
    pub(super) fn copy_to(&self, words: &mut Words) -> usize {
        match self {
            Self::Array(array) => {
                array.iter().for_each(|offset| put_bit(words, *offset, true));
                array.last().map_or(0, |last| words_to(*last))
            }
            Self::Bits { words: ours, .. } => {
                words.iter_mut().zip(&**ours).for_each(|(word, ours)| *word = *ours);
                ours.len().min(WORDS)
            }
        }
    }

    /// Clears the bits of the members.
    pub(super) fn clear_in(&self, words: &mut [u64]) {
        match self {
            Self::Array(array) => array.iter().for_each(|offset| put_bit(words, *offset, false)),
            Self::Bits { words: ours, .. } => {
                words.iter_mut().zip(&**ours).for_each(|(word, ours)| *word &= !ours);
            }
        }
    }

    /// Moves the elements of `members` that are not in this chunk to the front, and returns their number.
    ///
    /// `members` must be sorted and lie within this chunk.
    pub(super) fn remove_members_from(&self, members: &mut [u32]) -> usize {
        match self {
            Self::Bits { words, .. } => retain_slice(members, |member| !has_bit(words, low(member))),
            Self::Array(array) => remove_sorted(members, array, low),
        }
    }

    /// Applies sorted edits of members of this chunk.
    pub(super) fn edit(&mut self, edits: &[Edit], weight: usize) {
        match self {
            Self::Array(array) => {
                let mut offsets = Vec::with_capacity(array.len() + edits.len());
                merge(array.iter().copied(), edits.iter().map(|e| (low(e.member), e.present)), &mut offsets);
                *self = Self::of(&offsets, weight);
            }
            Self::Bits { count, words } => {
                let last = edits.iter().rev().find(|edit| edit.present).map_or(0, |edit| low(edit.member));
                if words_to(last) > words.len() {
                    let longer = words.iter().copied().chain(std::iter::repeat(0));
                    *words = longer.take(words_to(last)).collect();
                }
                let words = Arc::make_mut(words);
                for edit in edits {
                    let was = has_bit(words, low(edit.member));
                    put_bit(words, low(edit.member), edit.present);
                    *count = *count + u32::from(edit.present) - u32::from(was);
                }
                self.shrink(weight);
            }
        }
    }

    /// Turns a bitmap into an array if it has become sparse.
    fn shrink(&mut self, weight: usize) {
        let Self::Bits { count, words } = self else { return };
        if *count as usize * weight * 4 >= size_of_val(&**words) * ARRAY_REJOIN_QUARTERS {
            return;
        }
        let mut members = Vec::with_capacity(*count as usize);
        decode(0, Source::One(words), *count as usize, &mut members);
        let offsets: Vec<u16> = members.into_iter().map(low).collect();
        *self = Self::of(&offsets, weight);
    }
}

/// Returns the number of the chunk that contains `member`.
pub(super) const fn high(member: u32) -> u32 {
    member >> CHUNK_BITS
}
