//! What the index takes of memory.

/// Bytes of memory of one snapshot, as a usual allocator rounds them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// What is read to match: the runs, and what is taken out of them.
    pub postings: usize,
    /// The names in use, which grow with the number of different names only.
    pub names: usize,
    /// The id of each subscription.
    pub ids: usize,
    /// The compiled selectors by id: what explaining and later changes read, and matching where there is a filter.
    pub catalog: usize,
}

/// What a heap allocation of `bytes` takes: its header, in steps of 16, at least 32.
pub(super) const fn heap_bytes(bytes: usize) -> usize {
    let taken = (bytes + 8).next_multiple_of(16);
    if taken < 32 { 32 } else { taken }
}

/// What a shared heap allocation takes, with its two counters.
pub(super) const fn shared_bytes(bytes: usize) -> usize {
    heap_bytes(bytes + 16)
}
