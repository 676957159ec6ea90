//! The catalog: event types and projects.

use serde::Serialize;
use utoipa::ToSchema;

use super::schema::{CompanyText, EventTypeText, ProjectText};
use crate::config::{EventTypeEntry, ProjectEntry};

/// A known event type.
#[derive(Serialize, ToSchema)]
#[schema(as = KnownEventType, examples(json!({
    "name": "TODO_CREATED", "group": "Records", "description": "A record was created.", "configured": true,
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
}

/// A known project.
#[derive(Serialize, ToSchema)]
#[schema(as = KnownProject, examples(json!({
    "company": "acme", "id": "website", "name": "Website relaunch", "configured": true,
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
}

impl EventTypeBody {
    /// Where the page after this one begins.
    pub fn cursor(&self) -> String {
        self.name.clone()
    }
}

impl ProjectBody {
    /// Where the page after this one begins.
    pub fn cursor(&self) -> String {
        match &self.company {
            Some(company) => format!("{company}/{}", self.id),
            None => self.id.clone(),
        }
    }
}

impl From<&EventTypeEntry> for EventTypeBody {
    fn from(entry: &EventTypeEntry) -> Self {
        let EventTypeEntry { name, group, description } = entry;
        Self {
            name: name.to_string(),
            group: group.clone(),
            description: description.clone(),
            configured: true,
        }
    }
}

impl From<&ProjectEntry> for ProjectBody {
    fn from(entry: &ProjectEntry) -> Self {
        let ProjectEntry { company, id, name } = entry;
        let company = company.as_ref().map(ToString::to_string);
        Self { company, id: id.to_string(), name: name.clone(), configured: true }
    }
}
