//! The catalog: the event types and projects that the config file lists or that the log has events of.

use std::collections::BTreeMap;
use std::str::FromStr;

use axum::Json;
use axum::extract::State;
use http::Uri;

use crate::api::error::ApiError;
use crate::api::openapi::parameters::Paging;
use crate::api::openapi::responses::CommonErrors;
use crate::api::request::query::QueryParams;
use crate::api::state::ApiState;
use crate::api::wire::catalog::{EventTypeBody, ProjectBody};
use crate::api::wire::list::ListBody;
use crate::api::wire::schema::{EventTypeText, ProjectKeyText};
use crate::model::name::{CompanyId, EventType, NameError, ProjectId};
use crate::store::{Seen, SeenProject};

/// Returns a list of the known event types, ordered by name.
///
/// A known event type is listed in the config file, or the log has events of it. If the log has events of more than
/// 100,000 types, the list does not contain all of them.
#[utoipa::path(
    get, path = "/v1/event-types", tag = "catalog", operation_id = "list_event_types",
    params(
        Paging::<EventTypeText>,
    ),
    responses((status = 200, description = "A page of event types.", body = ListBody<EventTypeBody>), CommonErrors),
)]
pub async fn event_types(
    State(api): State<ApiState>,
    uri: Uri,
) -> Result<Json<ListBody<EventTypeBody>>, ApiError> {
    let mut params = QueryParams::new(&uri, &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<EventType>("cursor"));
    params.finish()?;
    let (config, reader) = (api.flow.config(), api.flow.reader());
    // One more than the page holds shows whether there is a next page.
    let seen = reader.seen_types(after.as_ref(), limit + 1).items;
    let configured = config.event_types.iter().map(|entry| (entry.name.clone(), entry));
    let merged = merge(seen, configured, after.as_ref(), |name| reader.seen_type(name));
    let items = merged.into_iter().map(|(name, (seen, entry))| EventTypeBody::new(&name, entry, seen));
    Ok(Json(page(items, limit, EventTypeBody::cursor)))
}

/// Returns a list of the known projects, ordered by company and id. Projects without a company come first.
///
/// A known project is listed in the config file, or the log has events of it. If the log has events of more than 100,000
/// projects, the list does not contain all of them.
#[utoipa::path(
    get, path = "/v1/projects", tag = "catalog", operation_id = "list_projects",
    params(
        Paging::<ProjectKeyText>,
    ),
    responses((status = 200, description = "A page of projects.", body = ListBody<ProjectBody>), CommonErrors),
)]
pub async fn projects(
    State(api): State<ApiState>,
    uri: Uri,
) -> Result<Json<ListBody<ProjectBody>>, ApiError> {
    let mut params = QueryParams::new(&uri, &["limit", "cursor"]);
    let (limit, after) = (params.limit(), params.get::<ProjectKey>("cursor").map(|key| key.0));
    params.finish()?;
    let (config, reader) = (api.flow.config(), api.flow.reader());
    let seen = reader.seen_projects(after.as_ref(), limit + 1).items;
    let configured = config.projects.iter().map(|entry| ((entry.company.clone(), entry.id.clone()), entry));
    let merged = merge(seen, configured, after.as_ref(), |name| reader.seen_project(name));
    let items = merged.into_iter().map(|(name, (seen, entry))| ProjectBody::new(&name, entry, seen));
    Ok(Json(page(items, limit, ProjectBody::cursor)))
}

/// Merges the names in the log with the names in the config file, in one order.
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

/// Returns the page of the first `limit` items, with the cursor of the next page.
fn page<T>(mut rest: impl Iterator<Item = T>, limit: usize, cursor: impl Fn(&T) -> String) -> ListBody<T> {
    let items: Vec<T> = rest.by_ref().take(limit).collect();
    let next_cursor = rest.next().and(items.last()).map(cursor);
    ListBody { items, next_cursor }
}

/// The cursor of a project: `company/project`, or `project` for one without a company.
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
