//! State that the committer keeps in memory and readers share: counts, the index, and names.

pub(super) mod index;
pub(super) mod seen;
pub(super) mod shared;
