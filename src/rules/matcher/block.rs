//! The postings of each term: runs of slots, by pattern.
//!
//! A *posting* says that the subscription in a slot wants a pattern (event types) under a term (projects).
//! All postings with the same term, pattern and certainty form a *run*. A term with few postings stores its
//! runs in one packed block, a single allocation of words:
//!
//! ```text
//! ┌───────┬────────┬────────┬───┬────────────────┬────────────────┬───┐
//! │ count │ head 0 │ head 1 │ … │ slots of run 0 │ slots of run 1 │ … │
//! └───────┴────────┴────────┴───┴────────────────┴────────────────┴───┘
//!             head = key << 12 | end of its run among the slots
//! ```
//! A term with many postings, or with a run that is smaller as a bitmap, has a [`Directory`] instead: one set
//! per run, in shards. A change copies one block, or one shard and one set.

use std::sync::Arc;

use super::footprint::{heap_bytes, shared_bytes};
use super::pending::PackedChange;
use super::radix::Radix;
use crate::rules::bitset::{Bitset, Edit, Mask, merge};

/// The number of an event pattern.
pub(super) type PatternId = u32;
/// The number of a project, a company, or a pair of both.
pub(super) type TermId = u32;
/// The number of a subscription in its snapshot.
pub(super) type Slot = u32;

/// The pattern of subscriptions that want every event type.
pub(super) const ANY_PATTERN: PatternId = 0;
/// The pattern that broad subscriptions are posted under. A side table holds the patterns that they want.
pub(super) const BROAD: PatternId = 1;
/// The first pattern number that a name can get.
pub(super) const FIRST_PATTERN: PatternId = 2;
/// Patterns from this number on do not fit a block's heads. Subscriptions that use one are posted as broad.
pub(super) const POSTED_PATTERNS_MAX: PatternId = 1 << 19;
/// The term of subscriptions that want every project.
pub(super) const ANY_TERM: TermId = 0;
/// The first term number that a name can get.
pub(super) const FIRST_TERM: TermId = 1;

/// The most postings in a packed block. The end of a run must fit 12 bits.
const BLOCK_MAX: usize = 2000;
/// A divided term with fewer postings than this becomes a packed block again.
const BLOCK_REJOIN_MIN: usize = 1500;
const END_BITS: u32 = 12;
const SHARDS: usize = 64;

/// Whether a posting alone proves a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Certainty {
    /// The posting is a match.
    Certain,
    /// An exclusion or a filter of the subscription can prevent the match.
    NeedsCheck,
}

impl Certainty {
    /// Returns `NeedsCheck` if `is_doubtful`, else `Certain`.
    pub(super) const fn unless(is_doubtful: bool) -> Self {
        if is_doubtful { Self::NeedsCheck } else { Self::Certain }
    }

    /// Returns `Certain` if both are certain.
    pub(super) const fn and(self, other: Self) -> Self {
        match self {
            Self::Certain => other,
            Self::NeedsCheck => Self::NeedsCheck,
        }
    }
}

/// The number of a pattern or term in a subscription's postings, together with its certainty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PostedId(u32);

impl PostedId {
    pub(super) const fn new(number: u32, certainty: Certainty) -> Self {
        Self(number << 1 | matches!(certainty, Certainty::NeedsCheck) as u32)
    }

    /// Converts a word from [`word`](Self::word) back. Words sort like their numbers.
    pub(super) const fn from_word(word: u32) -> Self {
        Self(word)
    }

    pub(super) const fn word(self) -> u32 {
        self.0
    }

    pub(super) const fn number(self) -> u32 {
        self.0 >> 1
    }

    pub(super) const fn certainty(self) -> Certainty {
        Certainty::unless(self.0 & 1 == 1)
    }
}

/// Identifies a run in a term: a pattern, and whether its members need a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(u32);

impl Key {
    /// Returns the key of the run of certain matches.
    const fn certain(pattern: PatternId) -> Self {
        Self(pattern << 1)
    }

    /// Returns the key of the run whose members need a check.
    const fn unchecked(pattern: PatternId) -> Self {
        Self(pattern << 1 | 1)
    }

    /// Returns the key of the run with this certainty.
    pub(super) const fn of(pattern: PatternId, certainty: Certainty) -> Self {
        match certainty {
            Certainty::Certain => Self::certain(pattern),
            Certainty::NeedsCheck => Self::unchecked(pattern),
        }
    }
}

/// A change of one slot in one run. Its number sorts by key, then by slot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Posting(u64);

impl Posting {
    pub(super) fn new(key: Key, edit: Edit) -> Self {
        Self(u64::from(key.0) << 33 | edit.to_bits())
    }

    fn key(self) -> Key {
        Key(u32::try_from(self.0 >> 33).unwrap_or(u32::MAX))
    }

    fn edit(self) -> Edit {
        Edit::from_bits(self.0)
    }
}

impl PackedChange for Posting {
    fn to_bits(self) -> u64 {
        self.0
    }

    fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

impl PackedChange for Edit {
    fn to_bits(self) -> u64 {
        u64::from(self.member) << 1 | u64::from(self.present)
    }

    fn from_bits(bits: u64) -> Self {
        let member = (bits >> 1) & u64::from(u32::MAX);
        Self { member: u32::try_from(member).unwrap_or(u32::MAX), present: bits & 1 == 1 }
    }
}

/// The members of a run.
#[derive(Clone, Copy)]
pub(super) enum Run<'a> {
    List(&'a [Slot]),
    Set(&'a Bitset),
}

impl Run<'_> {
    pub(super) fn is_empty(self) -> bool {
        match self {
            Self::List(list) => list.is_empty(),
            Self::Set(set) => set.is_empty(),
        }
    }

    pub(super) fn append_to(self, out: &mut Vec<Slot>) {
        match self {
            Self::List(list) => out.extend_from_slice(list),
            Self::Set(set) => set.append_to(out),
        }
    }

    /// Appends the members that are in none of the sets that `exclusions` passes to its argument.
    pub(super) fn append_difference(self, exclusions: impl Fn(&mut dyn FnMut(&Mask)), out: &mut Vec<Slot>) {
        match self {
            Self::List(list) => {
                let start = out.len();
                out.extend_from_slice(list);
                exclusions(&mut |set| set.remove_members_from(out, start));
            }
            Self::Set(set) => set.append_difference(exclusions, out),
        }
    }

    /// Appends the members that are also in `other`.
    pub(super) fn append_intersection(self, other: &Mask, out: &mut Vec<Slot>) {
        match self {
            Self::List(list) => other.append_intersection_with_list(list, out),
            Self::Set(set) => set.append_intersection(other, out),
        }
    }
}

/// The two runs of a pattern.
#[derive(Clone, Copy)]
pub(super) struct Runs<'a> {
    pub(super) certain: Run<'a>,
    pub(super) unchecked: Run<'a>,
}

impl Runs<'_> {
    const NONE: Self = Self { certain: Run::List(&[]), unchecked: Run::List(&[]) };

    pub(super) fn is_empty(self) -> bool {
        self.certain.is_empty() && self.unchecked.is_empty()
    }
}

/// All runs of one term.
#[derive(Clone, Copy)]
pub(super) enum Block<'a> {
    /// One allocation: the number of heads, the heads (`key << 12 | end`), and the slots.
    Packed {
        heads: &'a [u32],
        slots: &'a [Slot],
    },
    Divided(&'a Directory),
}

impl<'a> Block<'a> {
    fn packed(words: &'a [u32]) -> Self {
        let (count, rest) = words.split_first().map_or((0, words), |(count, rest)| (*count as usize, rest));
        let (heads, slots) = rest.split_at_checked(count).unwrap_or((&[], &[]));
        Self::Packed { heads, slots }
    }

    /// Returns the runs of a pattern.
    pub(super) fn runs(self, pattern: PatternId) -> Runs<'a> {
        match self {
            Self::Packed { heads, slots } => packed_runs(heads, slots, pattern),
            Self::Divided(directory) => directory.runs(pattern),
        }
    }
}

/// Returns the key and the end of a head.
const fn head(word: u32) -> (Key, usize) {
    (Key(word >> END_BITS), (word & ((1 << END_BITS) - 1)) as usize)
}

/// Returns the number of heads below `bound`. A short list is counted without data-dependent branches.
fn before(heads: &[u32], bound: u32) -> usize {
    const FEW: usize = 128;
    match heads.first() {
        Some(first) if *first >= bound => 0,
        _ if heads.len() <= FEW => heads.iter().map(|word| usize::from(*word < bound)).sum(),
        _ => heads.partition_point(|word| *word < bound),
    }
}

fn packed_runs<'a>(heads: &[u32], slots: &'a [Slot], pattern: PatternId) -> Runs<'a> {
    let at = before(heads, Key::certain(pattern).0 << END_BITS);
    let mut start = at.checked_sub(1).and_then(|last| heads.get(last)).map_or(0, |word| head(*word).1);
    let mut runs = Runs::NONE;
    for word in heads.iter().skip(at).take(2) {
        let (key, end) = head(*word);
        let run = Run::List(slots.get(start..end).unwrap_or(&[]));
        start = end;
        if key == Key::certain(pattern) {
            runs.certain = run;
        } else if key == Key::unchecked(pattern) {
            runs.unchecked = run;
        }
    }
    runs
}

/// Builds packed blocks. Its buffers are reused for the next block.
#[derive(Default)]
pub(super) struct BlockBuilder {
    heads: Vec<u32>,
    slots: Vec<Slot>,
    words: Vec<u32>,
}

impl BlockBuilder {
    /// Ends the run of `key`: the slots added since the end of the previous run.
    fn end_run(&mut self, key: Key) {
        let end = u32::try_from(self.slots.len()).unwrap_or(u32::MAX);
        if self.heads.last().map_or(0, |word| head(*word).1) < self.slots.len() {
            self.heads.push(key.0 << END_BITS | end);
        }
    }

    fn clear(&mut self) {
        self.heads.clear();
        self.slots.clear();
    }

    /// Returns the words of the block, or `None` if it has no postings.
    fn words(&mut self) -> Option<Arc<[u32]>> {
        let Self { heads, slots, words } = self;
        words.clear();
        words.push(u32::try_from(heads.len()).unwrap_or(u32::MAX));
        words.extend(heads.iter().chain(&*slots));
        (!slots.is_empty()).then(|| Arc::from(&**words))
    }

    /// Returns whether any run would be smaller as a bitmap.
    fn has_dense_run(&self) -> bool {
        runs_of(&self.heads, &self.slots).any(|(_, run)| is_bitmap(run))
    }
}

/// Returns whether a run should be a bitmap: it is long and contains most slots up to its last one.
fn is_bitmap(run: &[Slot]) -> bool {
    const LONG: usize = 256;
    const PART: u32 = 4;
    run.len() >= LONG && run.last().is_some_and(|last| (*last / PART) as usize <= run.len())
}

/// Returns the runs of a packed block, in order.
fn runs_of<'a>(heads: &'a [u32], slots: &'a [Slot]) -> impl Iterator<Item = (Key, &'a [Slot])> {
    let starts = std::iter::once(0).chain(heads.iter().map(|word| head(*word).1));
    heads.iter().zip(starts).map(move |(word, start)| {
        let (key, end) = head(*word);
        (key, slots.get(start..end).unwrap_or(&[]))
    })
}

/// Visits each run once, with its postings before the change and the edits that apply to it. Both are in key
/// order.
fn edit_runs<'a>(
    runs: impl Iterator<Item = (Key, &'a [Slot])>,
    edits: &[Posting],
    mut visit: impl FnMut(Key, &[Slot], &[Posting]),
) {
    let mut edits = edits.chunk_by(|a, b| a.key() == b.key()).peekable();
    let key_of = |group: &[Posting]| group.first().map(|edit| edit.key());
    for (key, slots) in runs {
        while let Some(group) = edits.next_if(|group| key_of(group) < Some(key)) {
            if let Some(new) = key_of(group) {
                visit(new, &[], group);
            }
        }
        visit(key, slots, edits.next_if(|group| key_of(group) == Some(key)).unwrap_or(&[]));
    }
    for group in edits {
        if let Some(new) = key_of(group) {
            visit(new, &[], group);
        }
    }
}

/// Sets by key, sorted.
type Shard = Vec<(Key, Bitset)>;

/// The runs of a term with many postings, in shards by pattern.
#[derive(Clone)]
pub(super) struct Directory {
    total: usize,
    shards: [Option<Arc<Shard>>; SHARDS],
}

impl Directory {
    const EMPTY: Self = Self { total: 0, shards: [const { None }; SHARDS] };

    fn runs(&self, pattern: PatternId) -> Runs<'_> {
        let Some(Some(shard)) = self.shards.get(pattern as usize % SHARDS) else { return Runs::NONE };
        let at = shard.partition_point(|(key, _)| *key < Key::certain(pattern));
        let mut runs = Runs::NONE;
        for (key, set) in shard.iter().skip(at).take(2) {
            if *key == Key::certain(pattern) {
                runs.certain = Run::Set(set);
            } else if *key == Key::unchecked(pattern) {
                runs.unchecked = Run::Set(set);
            }
        }
        runs
    }

    /// Applies postings, which must be sorted and distinct.
    fn edit(&mut self, postings: &[Posting]) {
        let mut edits = Vec::new();
        for run in postings.chunk_by(|a, b| a.key() == b.key()) {
            let Some(key) = run.first().map(|posting| posting.key()) else { continue };
            let Some(place) = self.shards.get_mut((key.0 >> 1) as usize % SHARDS) else { continue };
            let shard = Arc::make_mut(place.get_or_insert_default());
            edits.clear();
            edits.extend(run.iter().map(|posting| posting.edit()));
            let at = shard.partition_point(|(known, _)| *known < key);
            if shard.get(at).is_none_or(|(known, _)| *known != key) {
                shard.insert(at, (key, Bitset::default()));
            }
            let Some((_, set)) = shard.get_mut(at) else { continue };
            self.total -= set.len();
            set.edit(&edits);
            self.total += set.len();
            if set.is_empty() {
                shard.remove(at);
            }
            if shard.is_empty() {
                *place = None;
            }
        }
    }

    fn footprint(&self) -> usize {
        let shard = |shard: &Arc<Shard>| {
            let runs: usize = shard.iter().map(|(_, set)| heap_bytes(set.heap_bytes())).sum();
            shared_bytes(size_of::<Shard>())
                + heap_bytes(shard.capacity() * size_of::<(Key, Bitset)>())
                + runs
        };
        self.shards.iter().flatten().map(shard).sum()
    }

    fn pack(&self, builder: &mut BlockBuilder) {
        let mut runs: Vec<_> = self.shards.iter().flatten().flat_map(|shard| shard.iter()).collect();
        runs.sort_unstable_by_key(|(key, _)| *key);
        for (key, set) in runs {
            set.append_to(&mut builder.slots);
            builder.end_run(*key);
        }
    }
}

/// The runs of every term.
#[derive(Clone, Default)]
pub(super) struct TermTable {
    /// The packed block of each term. It has no words if the term is divided.
    packed: Radix<Option<Arc<[u32]>>>,
    divided: Radix<Option<Arc<Directory>>>,
}

impl TermTable {
    /// Returns the bytes that the table takes.
    pub(super) fn footprint(&self) -> usize {
        let packed = |words: &Option<Arc<[u32]>>| {
            words.as_ref().map_or(0, |words| shared_bytes(size_of_val(&**words)))
        };
        let divided = |directory: &Option<Arc<Directory>>| {
            directory
                .as_ref()
                .map_or(0, |directory| shared_bytes(size_of::<Directory>()) + directory.footprint())
        };
        self.packed.footprint(packed) + self.divided.footprint(divided)
    }

    /// Returns the runs of a term, if it has any.
    pub(super) fn block(&self, term: TermId) -> Option<Block<'_>> {
        let words = self.packed.get(term)?.as_deref()?;
        if words.is_empty() {
            return self.divided.get(term)?.as_deref().map(Block::Divided);
        }
        Some(Block::packed(words))
    }

    /// Applies postings of one term, which must be sorted by key and slot, with one for each.
    pub(super) fn edit(&mut self, term: TermId, edits: &[Posting], builder: &mut BlockBuilder) {
        builder.clear();
        let place = self.packed.get_mut(term);
        if place.as_deref().is_some_and(<[u32]>::is_empty) {
            self.edit_divided(term, edits, builder);
            return;
        }
        let Block::Packed { heads, slots } = Block::packed(place.as_deref().unwrap_or(&[])) else { return };
        if slots.len() + edits.len() <= BLOCK_MAX {
            edit_runs(runs_of(heads, slots), edits, |key, run, edits| {
                if edits.is_empty() {
                    builder.slots.extend_from_slice(run);
                } else {
                    let edits = edits.iter().map(|posting| posting.edit());
                    merge(run.iter().copied(), edits.map(|e| (e.member, e.present)), &mut builder.slots);
                }
                builder.end_run(key);
            });
            if !builder.has_dense_run() {
                *place = builder.words();
                return;
            }
        }
        let mut directory = Directory::EMPTY;
        for (key, run) in runs_of(heads, slots) {
            let all: Vec<_> =
                run.iter().map(|&member| Posting::new(key, Edit { member, present: true })).collect();
            directory.edit(&all);
        }
        *place = Some(Arc::default());
        *self.divided.get_mut(term) = Some(Arc::new(directory));
        self.edit_divided(term, edits, builder);
    }

    fn edit_divided(&mut self, term: TermId, edits: &[Posting], builder: &mut BlockBuilder) {
        let place = self.divided.get_mut(term);
        let directory = Arc::make_mut(place.get_or_insert_with(|| Arc::new(Directory::EMPTY)));
        directory.edit(edits);
        if directory.total >= BLOCK_REJOIN_MIN {
            return;
        }
        builder.clear();
        directory.pack(builder);
        if builder.has_dense_run() {
            return;
        }
        *place = None;
        *self.packed.get_mut(term) = builder.words();
    }
}
