//! Lists the event types and projects that the log has events of.

use super::reader::Reader;
use crate::model::name::EventType;
use crate::store::memory::seen::{Seen, SeenPage, SeenProject};

impl Reader {
    /// Returns at most `limit` event types of the log's events, ordered by name, after a given name.
    pub fn seen_types(&self, after: Option<&EventType>, limit: usize) -> SeenPage<EventType> {
        self.shared.seen.state().types.page(after, limit)
    }

    /// Returns the count of this type's events. `None` if the log has none or does not count them.
    pub fn seen_type(&self, name: &EventType) -> Option<Seen> {
        self.shared.seen.state().types.names.get(name).copied()
    }

    /// Returns at most `limit` projects of the log's events, after a given one. They are ordered by company
    /// and project; those without a company come first.
    pub fn seen_projects(&self, after: Option<&SeenProject>, limit: usize) -> SeenPage<SeenProject> {
        self.shared.seen.state().projects.page(after, limit)
    }

    /// Returns the count of this project's events. `None` if the log has none or does not count them.
    pub fn seen_project(&self, name: &SeenProject) -> Option<Seen> {
        self.shared.seen.state().projects.names.get(name).copied()
    }
}
