//! Lists the event types and projects that the log has events of.

use super::reader::Reader;
use crate::model::name::EventType;
use crate::store::memory::seen::{Seen, SeenPage, SeenProject};

impl Reader {
    /// The event types that the log has events of, after a name and at most `limit`.
    pub fn seen_types(&self, after: Option<&EventType>, limit: usize) -> SeenPage<EventType> {
        self.shared.seen.state().types.page(after, limit)
    }

    /// The events of this type that the log has; none if it has none, or does not count them.
    pub fn seen_type(&self, name: &EventType) -> Option<Seen> {
        self.shared.seen.state().types.names.get(name).copied()
    }

    /// The projects that the log has events of, ordered by company and project, those without a company first.
    pub fn seen_projects(&self, after: Option<&SeenProject>, limit: usize) -> SeenPage<SeenProject> {
        self.shared.seen.state().projects.page(after, limit)
    }

    /// The events of this project that the log has; none if it has none, or does not count them.
    pub fn seen_project(&self, name: &SeenProject) -> Option<Seen> {
        self.shared.seen.state().projects.names.get(name).copied()
    }
}
