//! Tables of names and their numbers. Readers look names up, and only the writer adds them.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::block::TermId;
use super::footprint::shared_bytes;
use super::radix::Radix;

/// The average number of names per shard at which the table grows.
const SHARD_NAMES: usize = 16;
/// The number of shards doubles this many times when the table grows.
const GROWTH_BITS: u32 = 2;
/// The bits of a span that hold the length of a name, which has at most 128 bytes.
const LENGTH_BITS: u32 = 8;

/// A persistent map from names to numbers.
///
/// A shard is one allocation of words: the count `n`, `n` tags (a part of the hash), `n` numbers, `n` spans
/// (`offset << 8 | length`), then the names, each padded to whole words.
#[derive(Clone, Default)]
pub(super) struct NameTable {
    shards: Radix<Option<Arc<[u32]>>>,
    shard_bits: u32,
    len: usize,
}

/// Returns the bytes of a name as words. The last word is padded with zeros.
fn name_words(name: &[u8]) -> impl Iterator<Item = u32> + '_ {
    name.chunks(4).map(|chunk| {
        chunk.iter().zip([0, 8, 16, 24]).fold(0, |word, (byte, shift)| word | u32::from(*byte) << shift)
    })
}

/// A view of one shard.
struct Shard<'a> {
    tags: &'a [u32],
    numbers: &'a [u32],
    spans: &'a [u32],
    names: &'a [u32],
}

impl<'a> Shard<'a> {
    const EMPTY: Self = Self { tags: &[], numbers: &[], spans: &[], names: &[] };

    fn of(words: &'a [u32]) -> Self {
        let split = || {
            let (count, rest) = words.split_first()?;
            let count = *count as usize;
            let (tags, rest) = rest.split_at_checked(count)?;
            let (numbers, rest) = rest.split_at_checked(count)?;
            let (spans, names) = rest.split_at_checked(count)?;
            Some(Self { tags, numbers, spans, names })
        };
        split().unwrap_or(Self::EMPTY)
    }

    /// Returns the words and the length in bytes of the name at a span.
    fn name(&self, span: u32) -> (&'a [u32], usize) {
        let (start, len) = ((span >> LENGTH_BITS) as usize, (span & 0xff) as usize);
        (self.names.get(start..start + len.div_ceil(4)).unwrap_or(&[]), len)
    }

    /// Returns the bytes of the name at a span.
    fn bytes(&self, span: u32) -> Vec<u8> {
        let (words, len) = self.name(span);
        words.iter().flat_map(|word| word.to_le_bytes()).take(len).collect()
    }

    /// Returns whether the name at a span is `name`.
    fn is_name(&self, span: u32, name: &[u8]) -> bool {
        let (words, len) = self.name(span);
        let (whole, rest) = name.as_chunks::<4>();
        let (starts, last) = words.split_at(words.len().min(whole.len()));
        len == name.len()
            && starts.iter().zip(whole).all(|(word, chunk)| *word == u32::from_le_bytes(*chunk))
            && last.iter().copied().eq(name_words(rest))
    }

    /// Returns the first entry with this tag. The search has no branch per entry.
    fn tagged(&self, tag: u32) -> Option<usize> {
        let numbered = self.tags.iter().zip(0_u32..);
        let found = numbered
            .fold(u32::MAX, |found, (known, at)| found.min(if *known == tag { at } else { u32::MAX }));
        usize::try_from(found).ok().filter(|at| *at < self.tags.len())
    }

    fn position(&self, tag: u32, name: &[u8]) -> Option<usize> {
        let first = self.tagged(tag)?;
        if self.spans.get(first).is_some_and(|span| self.is_name(*span, name)) {
            return Some(first);
        }
        let same = |at: &usize| self.tags.get(*at) == Some(&tag);
        (first + 1..self.tags.len())
            .filter(same)
            .find(|at| self.spans.get(*at).is_some_and(|span| self.is_name(*span, name)))
    }

    /// Returns a copy of the shard without the entry at `except`, and with the entry `more` at the end.
    fn rebuild(&self, except: Option<usize>, more: Option<(u32, u32, &[u8])>) -> Arc<[u32]> {
        let kept = |at: &usize| Some(*at) != except;
        let pick =
            |from: &'a [u32]| from.iter().enumerate().filter(move |(at, _)| kept(at)).map(|(_, word)| *word);
        let count = self.tags.len() + usize::from(more.is_some()) - usize::from(except.is_some());
        let mut words = Vec::with_capacity(1 + 3 * count + self.names.len() + 32);
        words.push(u32::try_from(count).unwrap_or(u32::MAX));
        words.extend(pick(self.tags).chain(more.map(|(tag, _, _)| tag)));
        words.extend(pick(self.numbers).chain(more.map(|(_, number, _)| number)));
        let mut offset = 0;
        let lengths = pick(self.spans).map(|span| (span & 0xff) as usize);
        for len in lengths.chain(more.map(|(_, _, name)| name.len())) {
            words.push(u32::try_from(offset << LENGTH_BITS | len).unwrap_or(u32::MAX));
            offset += len.div_ceil(4);
        }
        for span in pick(self.spans) {
            words.extend_from_slice(self.name(span).0);
        }
        words.extend(more.iter().flat_map(|(_, _, name)| name_words(name)));
        words.into()
    }
}

/// Returns the part of a hash that a shard stores.
#[expect(clippy::cast_possible_truncation, reason = "only the low half is wanted")]
const fn tag(hash: u64) -> u32 {
    hash as u32
}

impl NameTable {
    /// Returns the number of names.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Returns the bytes that the table takes.
    pub(super) fn footprint(&self) -> usize {
        self.shards.footprint(|shard| shard.as_ref().map_or(0, |words| shared_bytes(size_of_val(&**words))))
    }

    /// Returns whether the table has no names.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Returns the number of the shard for a hash: the high bits of the hash.
    fn shard_index(&self, hash: u64) -> u32 {
        u32::try_from(hash.checked_shr(u64::BITS - self.shard_bits).unwrap_or(0)).unwrap_or(0)
    }

    fn shard(&self, hash: u64) -> Shard<'_> {
        match self.shards.get(self.shard_index(hash)) {
            Some(Some(words)) => Shard::of(words),
            _ => Shard::EMPTY,
        }
    }

    /// Returns the number of a name, if the table contains it.
    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        let hash = xxh3_64(name);
        let shard = self.shard(hash);
        shard.position(tag(hash), name).and_then(|at| shard.numbers.get(at).copied())
    }

    /// Adds a name of 1 to 255 bytes that the table does not contain. Returns the hash of the name.
    pub(super) fn insert(&mut self, name: &[u8], number: u32) -> u64 {
        if self.len >= SHARD_NAMES << self.shard_bits {
            self.grow();
        }
        self.len += 1;
        let hash = xxh3_64(name);
        self.replace(hash, |shard| shard.rebuild(None, Some((tag(hash), number, name))));
        hash
    }

    /// Removes the name with this hash and number. Returns its bytes.
    pub(super) fn remove(&mut self, hash: u64, number: u32) -> Option<Vec<u8>> {
        let shard = self.shard(hash);
        let at = shard.numbers.iter().position(|known| *known == number)?;
        let name = shard.bytes(*shard.spans.get(at)?);
        self.len -= 1;
        self.replace(hash, |shard| shard.rebuild(Some(at), None));
        Some(name)
    }

    fn replace(&mut self, hash: u64, rebuild: impl FnOnce(Shard<'_>) -> Arc<[u32]>) {
        let place = self.shards.get_mut(self.shard_index(hash));
        let words = rebuild(place.as_deref().map_or(Shard::EMPTY, Shard::of));
        *place = (words.first() != Some(&0)).then_some(words);
    }

    /// Distributes the names over more shards. The insertions that made this necessary amortise its cost.
    fn grow(&mut self) {
        let old = std::mem::take(self);
        self.shard_bits = old.shard_bits + GROWTH_BITS;
        for index in 0..1 << old.shard_bits {
            let Some(Some(words)) = old.shards.get(index) else { continue };
            let shard = Shard::of(words);
            for (number, span) in shard.numbers.iter().zip(shard.spans) {
                self.insert(&shard.bytes(*span), *number);
            }
        }
    }
}

/// Returns the key of a company and a project in the table of pairs.
pub(super) fn pair_name(company: TermId, project: TermId) -> [u8; 8] {
    (u64::from(company) << 32 | u64::from(project)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn removed_names_are_gone_and_copies_keep_them() {
        let mut table = NameTable::default();
        let name = |n: u32| format!("project-{n:x}-{}", "x".repeat(n as usize % 9)).into_bytes();
        assert_eq!(table.find(b""), None);
        let hashes: Vec<u64> = (0..20_000).map(|n| table.insert(&name(n), n)).collect();
        let copy = table.clone();
        for n in (0..20_000).step_by(3) {
            assert_eq!(table.remove(hashes[n as usize], n), Some(name(n)));
            assert_eq!(table.remove(hashes[n as usize], n), None);
        }
        for n in 0..20_000 {
            assert_eq!(table.find(&name(n)), (n % 3 != 0).then_some(n), "{n}");
            assert_eq!(copy.find(&name(n)), Some(n));
        }
        assert_eq!((table.len(), copy.len()), (13_333, 20_000));
        assert_eq!(table.find(b"project-1"), None);
    }
}
