//! The JSON forms of the catalog: event types and projects.

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
    /// The name of the event type.
    #[schema(value_type = EventTypeText)]
    name: String,
    /// The group that the config file lists the type under.
    #[schema(required)]
    group: Option<String>,
    /// The description of the config file.
    #[schema(required)]
    description: Option<String>,
    /// Whether the config file lists the type.
    configured: bool,
    /// The number of events of this type in the log.
    events: u64,
    /// The time of the last of these events.
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
    /// The id of the company that the project belongs to; null if it belongs to none.
    #[schema(value_type = Option<CompanyText>, required)]
    company: Option<String>,
    /// The project's id.
    #[schema(value_type = ProjectText)]
    id: String,
    /// The display name of the config file.
    #[schema(required)]
    name: Option<String>,
    /// Whether the config file lists the project.
    configured: bool,
    /// The number of events of this project in the log.
    events: u64,
    /// The time of the last of these events.
    #[schema(value_type = Option<Time>, required)]
    last_seen_at: Option<Timestamp>,
}

impl EventTypeBody {
    /// Returns the JSON form of an event type in the config file, the log, or both.
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

    /// Returns the cursor of the page after this item.
    pub fn cursor(&self) -> String {
        self.name.clone()
    }
}

impl ProjectBody {
    /// Returns the JSON form of a project in the config file, the log, or both.
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

    /// Returns the cursor of the page after this item.
    pub fn cursor(&self) -> String {
        match &self.company {
            Some(company) => format!("{company}/{}", self.id),
            None => self.id.clone(),
        }
    }
}
