//! ResolvedNames that some subscription uses, as small numbers: what readers look up and never add to.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use super::block::TermId;
use super::footprint::shared_bytes;
use super::radix::Radix;

/// The average number of names in a shard before the shards are divided.
const SHARD_NAMES: usize = 16;
/// By how many bits the number of shards grows at once.
const GROWTH_BITS: u32 = 2;
/// How many bits of a span hold the length; names have at most 128 bytes.
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

/// The words that name_words a name, the last one padded with zeros.
fn name_words(name: &[u8]) -> impl Iterator<Item = u32> + '_ {
    name.chunks(4).map(|chunk| {
        chunk.iter().zip([0, 8, 16, 24]).fold(0, |word, (byte, shift)| word | u32::from(*byte) << shift)
    })
}

/// One shard, taken apart.
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

    /// The words and the length of the name that a span means.
    fn name(&self, span: u32) -> (&'a [u32], usize) {
        let (start, len) = ((span >> LENGTH_BITS) as usize, (span & 0xff) as usize);
        (self.names.get(start..start + len.div_ceil(4)).unwrap_or(&[]), len)
    }

    /// The bytes of the name that a span means.
    fn bytes(&self, span: u32) -> Vec<u8> {
        let (words, len) = self.name(span);
        words.iter().flat_map(|word| word.to_le_bytes()).take(len).collect()
    }

    /// Whether that is the name which a span means.
    fn is_name(&self, span: u32, name: &[u8]) -> bool {
        let (words, len) = self.name(span);
        let (whole, rest) = name.as_chunks::<4>();
        let (starts, last) = words.split_at(words.len().min(whole.len()));
        len == name.len()
            && starts.iter().zip(whole).all(|(word, chunk)| *word == u32::from_le_bytes(*chunk))
            && last.iter().copied().eq(name_words(rest))
    }

    /// The first entry whose tag that is, without a branch for each.
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

    /// The shard's words once more, without the entry at `except` and with `more` at the end.
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

/// The part of a hash that a shard keeps.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is meant")]
const fn tag(hash: u64) -> u32 {
    hash as u32
}

impl NameTable {
    /// How many names there are.
    #[cfg(test)]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// The bytes it takes.
    pub(super) fn footprint(&self) -> usize {
        self.shards.footprint(|shard| shard.as_ref().map_or(0, |words| shared_bytes(size_of_val(&**words))))
    }

    /// Whether there is no name.
    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The shard of a hash: its high bits.
    fn shard_index(&self, hash: u64) -> u32 {
        u32::try_from(hash.checked_shr(u64::BITS - self.shard_bits).unwrap_or(0)).unwrap_or(0)
    }

    fn shard(&self, hash: u64) -> Shard<'_> {
        match self.shards.get(self.shard_index(hash)) {
            Some(Some(words)) => Shard::of(words),
            _ => Shard::EMPTY,
        }
    }

    /// The number of a name, if it is known.
    pub(super) fn find(&self, name: &[u8]) -> Option<u32> {
        if self.is_empty() {
            return None;
        }
        let hash = xxh3_64(name);
        let shard = self.shard(hash);
        shard.position(tag(hash), name).and_then(|at| shard.numbers.get(at).copied())
    }

    /// Gives a name of 1 to 255 bytes that is not known yet a number; returns the hash that it is kept under.
    pub(super) fn insert(&mut self, name: &[u8], number: u32) -> u64 {
        if self.len >= SHARD_NAMES << self.shard_bits {
            self.grow();
        }
        self.len += 1;
        let hash = xxh3_64(name);
        self.replace(hash, |shard| shard.rebuild(None, Some((tag(hash), number, name))));
        hash
    }

    /// Forgets the name with this hash and number; returns its bytes.
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

    /// Spreads the names over more shards; amortised over the insertions that made it necessary.
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

/// How a pair of a company and a project is named in the table of pairs.
pub(super) fn pair_name(company: TermId, project: TermId) -> [u8; 8] {
    (u64::from(company) << 32 | u64::from(project)).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_and_go() {
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
