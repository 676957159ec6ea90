//! The catalog: event types and projects, from the config file and as the log has seen them.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use http::Uri;

use crate::api::openapi::responses::Common;
use crate::api::problem::ApiError;
use crate::api::request::query::Params;
use crate::api::state::Api;
use crate::api::wire::catalog::{EventTypeBody, ProjectBody};
use crate::api::wire::list::List;
use crate::api::wire::schema::{EventTypeText, ProjectKeyText};
use crate::model::name::{CompanyId, EventType, NameError, ProjectId};
use crate::store::{Seen, SeenProject};

/// The known event types, by name: those of the config file's catalog, and those that the log has events of.
///
/// Of more than 100,000 types in the log some are not listed.
#[utoipa::path(
    get, path = "/v1/event-types", tag = "catalog", operation_id = "list_event_types",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many items; 50 if left out"),
        ("cursor" = inline(Option<EventTypeText>), Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = List<EventTypeBody>), Common),
)]
pub async fn event_types(State(api): State<Api>, uri: Uri) -> Result<Json<List<EventTypeBody>>, ApiError> {
    let mut params = Params::new(&uri, &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<EventType>("cursor"));
    params.finish()?;
    let (config, reader) = (api.flow.config(), api.flow.reader());
    // One more than fits tells that there is a next page.
    let seen = reader.seen_types(after.as_ref(), limit + 1).items;
    let configured = config.event_types.iter().map(|entry| (entry.name.clone(), entry));
    let merged = merge(seen, configured, after.as_ref(), |name| reader.seen_type(name));
    let items = merged.into_iter().map(|(name, (seen, entry))| EventTypeBody::new(&name, entry, seen));
    Ok(Json(page(items, limit, EventTypeBody::cursor)))
}

/// The known projects, by company and id, those without a company first: those of the config file's catalog, and those
/// that the log has events of.
///
/// Of more than 100,000 projects in the log some are not listed.
#[utoipa::path(
    get, path = "/v1/projects", tag = "catalog", operation_id = "list_projects",
    params(
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "How many items; 50 if left out"),
        ("cursor" = inline(Option<ProjectKeyText>), Query, description = "`next_cursor` of the page before"),
    ),
    responses((status = 200, description = "A page", body = List<ProjectBody>), Common),
)]
pub async fn projects(State(api): State<Api>, uri: Uri) -> Result<Json<List<ProjectBody>>, ApiError> {
    let mut params = Params::new(&uri, &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<ProjectKey>("cursor").map(|key| key.0));
    params.finish()?;
    let (config, reader) = (api.flow.config(), api.flow.reader());
    let seen = reader.seen_projects(after.as_ref(), limit + 1).items;
    let configured = config.projects.iter().map(|entry| ((entry.company.clone(), entry.id.clone()), entry));
    let merged = merge(seen, configured, after.as_ref(), |name| reader.seen_project(name));
    let items = merged.into_iter().map(|(name, (seen, entry))| ProjectBody::new(&name, entry, seen));
    Ok(Json(page(items, limit, ProjectBody::cursor)))
}

/// Names that were seen and names that are configured, in one order.
fn merge<'c, K: Ord, E>(
    seen: Vec<(K, Seen)>,
    configured: impl Iterator<Item = (K, &'c E)>,
    after: Option<&K>,
    look_up: impl Fn(&K) -> Option<Seen>,
) -> BTreeMap<K, (Option<Seen>, Option<&'c E>)> {
    let mut merged: BTreeMap<K, _> =
        seen.into_iter().map(|(name, seen)| (name, (Some(seen), None))).collect();
    for (name, entry) in configured.filter(|(name, _)| after.is_none_or(|after| name > after)) {
        let seen = merged.get(&name).map_or_else(|| look_up(&name), |(seen, _)| *seen);
        merged.insert(name, (seen, Some(entry)));
    }
    merged
}

/// The first `limit` of what is left, and where the next page begins.
fn page<T>(mut rest: impl Iterator<Item = T>, limit: usize, cursor: impl Fn(&T) -> String) -> List<T> {
    let items: Vec<T> = rest.by_ref().take(limit).collect();
    let next_cursor = rest.next().and(items.last()).map(cursor);
    List { items, next_cursor }
}

/// Where a project stands in the list, written `company/project`, or `project`.
struct ProjectKey(SeenProject);

impl FromStr for ProjectKey {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (company, id): (Option<CompanyId>, ProjectId) = match text.split_once('/') {
            Some((company, id)) => (Some(company.parse()?), id.parse()?),
            None => (None, text.parse()?),
        };
        Ok(Self((company, id)))
    }
}
