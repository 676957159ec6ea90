//! The catalog: event types and projects.

use serde::Serialize;
use utoipa::ToSchema;

use crate::config::{EventTypeEntry, ProjectEntry};
use crate::model::name::EventType;
use crate::model::time::Timestamp;
use crate::store::{Seen, SeenProject};

/// A known event type.
#[derive(Serialize, ToSchema)]
pub struct EventTypeBody {
    /// The type.
    #[schema(example = "TODO_CREATED")]
    name: String,
    /// The heading that it is listed under.
    #[schema(example = "Records")]
    group: Option<String>,
    /// What it means, for people.
    #[schema(example = "A record was created.")]
    description: Option<String>,
    /// Whether the config file's catalog has it.
    configured: bool,
    /// How many events of it the log has.
    events: u64,
    /// When the last of them arrived.
    #[schema(value_type = Option<String>, format = DateTime)]
    last_seen_at: Option<Timestamp>,
}

/// A known project.
#[derive(Serialize, ToSchema)]
pub struct ProjectBody {
    /// Whose it is.
    #[schema(example = "acme")]
    company: Option<String>,
    /// Its id.
    #[schema(example = "website")]
    id: String,
    /// Its name, for people.
    #[schema(example = "Website relaunch")]
    name: Option<String>,
    /// Whether the config file's catalog has it.
    configured: bool,
    /// How many events of it the log has.
    events: u64,
    /// When the last of them arrived.
    #[schema(value_type = Option<String>, format = DateTime)]
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
