//! The event types and projects of the events in the log, with counts.
//!
//! The committer keeps the counts. The scan at opening rebuilds them.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::model::event::EventContent;
use crate::model::id::EventId;
use crate::model::name::{CompanyId, EventType, ProjectId};
use crate::model::time::Timestamp;

/// The most names that are counted, of each kind.
const NAMES_MAX: usize = 100_000;

/// The company and project of an event.
pub type SeenProject = (Option<CompanyId>, ProjectId);

/// The count of the events with one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The number of events in the log.
    pub events: u64,
    /// The time at which the newest of them was accepted.
    pub last_at: Timestamp,
}

/// A page of names, ordered by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeenPage<K> {
    /// The names with their counts.
    pub items: Vec<(K, Seen)>,
    /// Whether all names are counted. False means that there were too many, so some are missing.
    pub is_complete: bool,
}

#[derive(Debug)]
pub(in crate::store) struct Names<K> {
    pub(in crate::store) names: BTreeMap<K, Seen>,
    is_complete: bool,
}

impl<K> Default for Names<K> {
    fn default() -> Self {
        Self { names: BTreeMap::new(), is_complete: true }
    }
}

impl<K: Ord + Clone> Names<K> {
    fn add(&mut self, name: &K, at: Timestamp) {
        if let Some(seen) = self.names.get_mut(name) {
            seen.events += 1;
            seen.last_at = seen.last_at.max(at);
        } else if self.names.len() < NAMES_MAX {
            self.names.insert(name.clone(), Seen { events: 1, last_at: at });
        } else {
            self.is_complete = false;
        }
    }

    fn take(&mut self, name: &K) {
        let Some(seen) = self.names.get_mut(name) else { return };
        seen.events = seen.events.saturating_sub(1);
        if seen.events == 0 {
            self.names.remove(name);
        }
    }

    pub(in crate::store) fn page(&self, after: Option<&K>, limit: usize) -> SeenPage<K> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let names = self.names.range((from, Bound::Unbounded)).take(limit);
        let items = names.map(|(name, seen)| (name.clone(), *seen)).collect();
        SeenPage { items, is_complete: self.is_complete }
    }
}

#[derive(Debug, Default)]
pub(in crate::store) struct SeenState {
    pub(in crate::store) types: Names<EventType>,
    pub(in crate::store) projects: Names<SeenProject>,
}

fn project(content: &EventContent) -> SeenProject {
    (content.company.clone(), content.project.clone())
}

impl SeenState {
    /// Counts an event that was added to the log.
    pub(in crate::store) fn add(&mut self, id: EventId, content: &EventContent) {
        self.types.add(&content.event_type, id.time());
        self.projects.add(&project(content), id.time());
    }

    /// Removes an event from the counts.
    pub(in crate::store) fn take(&mut self, content: &EventContent) {
        self.types.take(&content.event_type);
        self.projects.take(&project(content));
    }
}

/// The counts, shared by the committer and the readers.
#[derive(Debug, Default)]
pub(in crate::store) struct SeenNames(Mutex<SeenState>);

impl SeenNames {
    pub(in crate::store) fn new(state: SeenState) -> Self {
        Self(Mutex::new(state))
    }

    pub(in crate::store) fn state(&self) -> MutexGuard<'_, SeenState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_beyond_the_bound_are_not_counted_and_that_is_told() {
        let mut names = Names::default();
        let at = Timestamp::from_millis;
        for n in 0..=NAMES_MAX {
            names.add(&n, at(5));
        }
        names.add(&1, at(9));
        let page = names.page(Some(&0), 2);
        assert_eq!(
            page.items,
            [(1, Seen { events: 2, last_at: at(9) }), (2, Seen { events: 1, last_at: at(5) })]
        );
        assert!(!page.is_complete && names.page(Some(&(NAMES_MAX - 1)), 9).items.is_empty());
        names.take(&2);
        names.take(&NAMES_MAX);
        assert_eq!(names.page(Some(&1), 1).items[0].0, 3);
    }
}
