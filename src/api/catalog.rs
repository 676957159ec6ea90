//! The catalog: event types and projects, from the config file.

use axum::Json;
use axum::extract::State;
use http::Uri;

use super::Api;
use super::page::Params;
use super::problem::Failure;
use super::refusals::Common;
use super::wire::List;
use super::wire::catalog::{EventTypeBody, ProjectBody};
use super::wire::schema::{EventTypeText, ProjectKeyText};
use crate::model::name::{CompanyId, EventType, ProjectId};

/// The known event types, by name: those of the config file's catalog.
#[utoipa::path(
    get, path = "/v1/event-types", tag = "catalog", operation_id = "list_event_types",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many items; 50 if left out"),
        ("cursor" = inline(Option<EventTypeText>), Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = List<EventTypeBody>), Common),
)]
pub async fn event_types(State(api): State<Api>, uri: Uri) -> Result<Json<List<EventTypeBody>>, Failure> {
    let mut params = Params::new(&uri, &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<EventType>("cursor"));
    params.finish()?;
    let config = api.flow.config();
    let mut all: Vec<_> = config.event_types.iter().collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    let rest = all.into_iter().filter(|entry| after.as_ref().is_none_or(|after| entry.name > *after));
    Ok(Json(page(rest.map(EventTypeBody::from), limit, EventTypeBody::cursor)))
}

/// The known projects, by company and id: those of the config file's catalog.
#[utoipa::path(
    get, path = "/v1/projects", tag = "catalog", operation_id = "list_projects",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many items; 50 if left out"),
        ("cursor" = inline(Option<ProjectKeyText>), Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = List<ProjectBody>), Common),
)]
pub async fn projects(State(api): State<Api>, uri: Uri) -> Result<Json<List<ProjectBody>>, Failure> {
    let mut params = Params::new(&uri, &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<ProjectKey>("cursor"));
    params.finish()?;
    let config = api.flow.config();
    let mut all: Vec<_> = config.projects.iter().map(|entry| (ProjectKey::of(entry), entry)).collect();
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let rest = all.into_iter().filter(|(key, _)| after.as_ref().is_none_or(|after| key > after));
    Ok(Json(page(rest.map(|(_, entry)| ProjectBody::from(entry)), limit, ProjectBody::cursor)))
}

/// The first `limit` of what is left, and where the next page begins.
fn page<T>(mut rest: impl Iterator<Item = T>, limit: usize, cursor: impl Fn(&T) -> String) -> List<T> {
    let items: Vec<T> = rest.by_ref().take(limit).collect();
    let next_cursor = rest.next().and(items.last()).map(cursor);
    List { items, next_cursor }
}

/// Where a project stands in the list: those without a company first. Written `company/project`, or `project`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct ProjectKey {
    company: Option<CompanyId>,
    id: ProjectId,
}

impl ProjectKey {
    fn of(entry: &crate::config::ProjectEntry) -> Self {
        Self { company: entry.company.clone(), id: entry.id.clone() }
    }
}

impl std::str::FromStr for ProjectKey {
    type Err = crate::model::name::NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('/') {
            Some((company, id)) => Self { company: Some(company.parse()?), id: id.parse()? },
            None => Self { company: None, id: text.parse()? },
        })
    }
}
