//! The memory use of the index.

/// The memory use of one snapshot in bytes, rounded as a typical allocator does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// The data that every match reads: runs and side tables.
    pub postings: usize,
    /// The names in use. This grows only with the number of distinct names.
    pub names: usize,
    /// The id of each subscription.
    pub ids: usize,
    /// The compiled selectors by id. Explanations and later changes read them, and matching reads them for
    /// filters.
    pub catalog: usize,
}

/// Returns the size of a heap allocation of `bytes`: with its header, in steps of 16, at least 32.
pub(super) const fn heap_bytes(bytes: usize) -> usize {
    let taken = (bytes + 8).next_multiple_of(16);
    if taken < 32 { 32 } else { taken }
}

/// Returns the size of a shared heap allocation with its two reference counters.
pub(super) const fn shared_bytes(bytes: usize) -> usize {
    heap_bytes(bytes + 16)
}
