//! The catalog: event types and projects.

use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{CompanyText, EventTypeText, ProjectText, Time};
use crate::config::{EventTypeEntry, ProjectEntry};
use crate::model::name::EventType;
use crate::model::time::Timestamp;
use crate::store::{Seen, SeenProject};

/// A known event type.
#[derive(Serialize, ToSchema)]
#[schema(as = KnownEventType, examples(json!({
    "name": "TODO_CREATED", "group": "Records", "description": "A record was created.", "configured": true,
    "events": 1024, "last_seen_at": "2026-01-31T08:00:00.000Z",
})))]
pub struct EventTypeBody {
    /// The type.
    #[schema(value_type = EventTypeText)]
    name: String,
    /// The heading that it is listed under.
    #[schema(required)]
    group: Option<String>,
    /// What it means, for people.
    #[schema(required)]
    description: Option<String>,
    /// Whether the config file's catalog has it.
    configured: bool,
    /// How many events of it the log has.
    events: u64,
    /// When the last of them arrived.
    #[schema(value_type = Option<Time>, required)]
    last_seen_at: Option<Timestamp>,
}

/// A known project.
#[derive(Serialize, ToSchema)]
#[schema(as = KnownProject, examples(json!({
    "company": "acme", "id": "website", "name": "Website relaunch", "configured": true, "events": 1024,
    "last_seen_at": "2026-01-31T08:00:00.000Z",
})))]
pub struct ProjectBody {
    /// Whose it is.
    #[schema(value_type = Option<CompanyText>, required)]
    company: Option<String>,
    /// Its id.
    #[schema(value_type = ProjectText)]
    id: String,
    /// Its name, for people.
    #[schema(required)]
    name: Option<String>,
    /// Whether the config file's catalog has it.
    configured: bool,
    /// How many events of it the log has.
    events: u64,
    /// When the last of them arrived.
    #[schema(value_type = Option<Time>, required)]
    last_seen_at: Option<Timestamp>,
}

impl EventTypeBody {
    /// A type as the catalog and the log know it.
    pub fn new(name: &EventType, entry: Option<&EventTypeEntry>, seen: Option<Seen>) -> Self {
        Self {
            name: name.to_string(),
            group: entry.and_then(|entry| entry.group.clone()),
            description: entry.and_then(|entry| entry.description.clone()),
            configured: entry.is_some(),
            events: seen.map_or(0, |seen| seen.events),
            last_seen_at: seen.map(|seen| seen.last_at),
        }
    }

    /// Where the page after this one begins.
    pub fn cursor(&self) -> String {
        self.name.clone()
    }
}

impl ProjectBody {
    /// A project as the catalog and the log know it.
    pub fn new((company, id): &SeenProject, entry: Option<&ProjectEntry>, seen: Option<Seen>) -> Self {
        Self {
            company: company.as_ref().map(ToString::to_string),
            id: id.to_string(),
            name: entry.and_then(|entry| entry.name.clone()),
            configured: entry.is_some(),
            events: seen.map_or(0, |seen| seen.events),
            last_seen_at: seen.map(|seen| seen.last_at),
        }
    }

    /// Where the page after this one begins.
    pub fn cursor(&self) -> String {
        match &self.company {
            Some(company) => format!("{company}/{}", self.id),
            None => self.id.clone(),
        }
    }
}
