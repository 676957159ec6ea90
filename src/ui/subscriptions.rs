//! The list of subscriptions.

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::Uri;

use super::catalog::Catalog;
use super::localize::not_found;
use super::notice::Notice;
use super::page_error::PageError;
use super::query::{PAGE_ITEMS, Query};
use super::render;
use super::sentence::sentence;
use super::state::Ui;
use super::viewer::Viewer;
use crate::flow::Entry;
use crate::flow::Flow;
use crate::flow::query::status::DeliveryStats;
use crate::model::id::SubscriptionId;
use crate::model::problem::Message;
use crate::model::subscription::{DisabledReason, Health};
use crate::store::StoreError;

/// A subscription in a list.
pub(super) struct SubscriptionRow {
    pub(super) entry: Entry,
    pub(super) stats: DeliveryStats,
    pub(super) sentence: String,
}

impl SubscriptionRow {
    pub(super) fn id(&self) -> SubscriptionId {
        self.entry.subscription.id
    }

    pub(super) fn name(&self) -> &str {
        &self.entry.subscription.spec.name
    }

    pub(super) fn host(&self) -> String {
        let url = &self.entry.subscription.spec.url;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}{}", url.host_str().unwrap_or_default(), url.path())
    }

    /// Returns the health, which tells a manually disabled subscription from one that failed.
    pub(super) fn health(&self) -> &'static str {
        health(&self.entry)
    }

    pub(super) fn waiting(&self) -> u64 {
        self.stats.pending + self.stats.in_flight + self.stats.held
    }
}

/// Returns the health of a subscription: `off` if a person disabled it, or else the API's word.
pub(super) fn health(entry: &Entry) -> &'static str {
    match &entry.health.disabled {
        Some(disabled) if disabled.reason == DisabledReason::Manual => "off",
        _ => entry.health.summary().as_str(),
    }
}

/// The maximum number of names that a field suggests. Others can be typed.
const SUGGESTED_NAMES_MAX: usize = 200;

/// Returns the names that a field suggests, each once.
pub(super) fn names(flow: &Flow) -> Vec<String> {
    let mut names: Vec<String> = flow
        .oldest_subscriptions(SUGGESTED_NAMES_MAX)
        .into_iter()
        .map(|entry| entry.subscription.spec.name.clone())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Finds the subscription that a parameter names by ID or by name. Records a problem with the parameter.
pub(super) fn find_named(flow: &Flow, query: &mut Query, parameter: &'static str) -> Option<Entry> {
    let text = query.get(parameter).to_owned();
    if text.is_empty() {
        return None;
    }
    let found = if let Ok(id) = text.parse::<SubscriptionId>() {
        flow.subscription(id)
    } else {
        let mut same = flow.subscriptions_named(&text).into_iter();
        let first = same.next();
        if same.next().is_some() {
            query.refuse(parameter, Message::new("problem-ambiguous-name").with("text", text));
            return None;
        }
        first
    };
    if found.is_none() {
        query.refuse(parameter, not_found("subscription", text));
    }
    found
}

#[derive(askama::Template)]
#[template(path = "subscriptions.html")]
struct SubscriptionList<'a> {
    v: &'a Viewer,
    query: &'a Query,
    rows: Vec<SubscriptionRow>,
    total: usize,
    next: String,
    notice: Option<Notice>,
    healths: &'static [Health],
}

impl SubscriptionList<'_> {
    fn is_filtered(&self) -> bool {
        self.query.is_filtered(&["q", "health"])
    }
}

/// Shows the list of subscriptions, filtered by name, URL and health.
pub(super) async fn list(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    uri: Uri,
) -> Result<Response, PageError> {
    let mut query = Query::new(&uri);
    let health: Option<Health> = query.read("health");
    let after: Option<SubscriptionId> = query.read("cursor");
    let text = query.get("q").to_lowercase();
    let notice = ui.notices.take(&query);
    let looking = viewer.clone();
    let (rows, total, next) = ui
        .query(move |flow| {
            let all = flow.subscriptions();
            let total = all.len();
            let mut found = all.into_iter().filter(|entry| {
                let spec = &entry.subscription.spec;
                after.is_none_or(|after| entry.subscription.id > after)
                    && health.is_none_or(|health| entry.health.summary() == health)
                    && (text.is_empty()
                        || spec.name.to_lowercase().contains(&text)
                        || spec.url.as_str().contains(&text))
            });
            let shown: Vec<Entry> = found.by_ref().take(PAGE_ITEMS).collect();
            let next = found.next().and_then(|_| shown.last()).map(|last| last.subscription.id);
            let catalog = Catalog::read(flow);
            let rows: Result<Vec<SubscriptionRow>, StoreError> = shown
                .into_iter()
                .map(|entry| {
                    let spec = &entry.subscription.spec;
                    let sentence = sentence(&looking, &catalog, &spec.events, &spec.projects);
                    Ok(SubscriptionRow { stats: flow.stats(entry.subscription.id)?, sentence, entry })
                })
                .collect();
            Ok((rows?, total, next))
        })
        .await?;
    let next = next.map(|id| viewer.link(&query.next("/subscriptions", id))).unwrap_or_default();
    Ok(render::html(&SubscriptionList {
        v: &viewer,
        query: &query,
        rows,
        total,
        next,
        notice,
        healths: Health::ALL,
    }))
}
