//! The bounds of one page of a list: the ids that it covers, and the work that it may cost.

use crate::model::time::Timestamp;
use crate::store::rows::key;

/// The work limit of a page. Passing a row costs 1, which is about a microsecond.
const WORK_MAX: usize = 6000;
/// The cost of looking up a row by its key.
pub(super) const LOOK_UP: usize = 3;

/// A range of ids. The first is included, the end is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) first: u128,
    pub(super) end: u128,
}

impl Span {
    /// Creates a span from `since`, `until` and the cursor.
    pub(super) fn new(since: Option<Timestamp>, until: Option<Timestamp>, before: Option<u128>) -> Self {
        let end = until.map_or(u128::MAX, key::first_bits).min(before.unwrap_or(u128::MAX));
        Self { first: since.map_or(0, key::first_bits), end }
    }

    pub(super) fn is_empty(self) -> bool {
        self.first >= self.end
    }
}

/// The work that a page may still do.
#[derive(Debug)]
pub(super) struct Work(usize);

impl Work {
    pub(super) fn new() -> Self {
        Self(WORK_MAX)
    }

    pub(super) fn spend(&mut self, units: usize) {
        self.0 = self.0.saturating_sub(units);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}
