//! The page of one subscription: its health, its settings and its recent deliveries.

use std::cmp::Reverse;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;

use super::catalog::Catalog;
use super::chart;
use super::deliveries::{DeliveryRow, rows};
use super::notice::Notice;
use super::page_error::PageError;
use super::query::Query;
use super::render;
use super::sentence::sentence;
use super::setting_field::{self, plain_settings};
use super::state::Ui;
use super::subscriptions::health;
use super::viewer::Viewer;
use crate::flow::query::deliveries::DeliveryFilter;
use crate::flow::query::status::DeliveryStats;
use crate::flow::{ChangeError, Entry};
use crate::model::id::SubscriptionId;
use crate::model::setting::{Kind, Setting};
use crate::model::subscription::{Disabled, DisabledReason, ManagedBy};
use crate::model::time::Timestamp;
use crate::store::DeliveryQuery;

/// The number of recent deliveries that are listed.
const RECENT_MAX: usize = 20;
/// The maximum number of attempts in the chart, and of deliveries that they are read from.
const CHARTED_MAX: usize = 60;

#[derive(askama::Template)]
#[template(path = "subscription.html")]
struct SubscriptionPage<'a> {
    v: &'a Viewer,
    entry: &'a Entry,
    stats: DeliveryStats,
    rows: Vec<DeliveryRow>,
    sentence: String,
    notice: Option<Notice>,
    chart: AttemptChart,
}

/// A chart of the most recent attempts, with its totals.
struct AttemptChart {
    drawing: String,
    attempts: usize,
    succeeded: usize,
    median: Duration,
    longest: Duration,
}

impl AttemptChart {
    fn of(rows: &[DeliveryRow]) -> Self {
        let mut attempts: Vec<_> = rows.iter().flat_map(|row| &row.delivery.attempts).collect();
        attempts.sort_by_key(|attempt| Reverse(attempt.started_at));
        attempts.truncate(CHARTED_MAX);
        let mut lengths: Vec<Duration> = attempts.iter().map(|attempt| attempt.duration).collect();
        lengths.sort_unstable();
        Self {
            drawing: chart::attempts(&attempts, CHARTED_MAX),
            attempts: attempts.len(),
            succeeded: attempts.iter().filter(|attempt| attempt.outcome.is_success()).count(),
            median: lengths.get(lengths.len().saturating_sub(1) / 2).copied().unwrap_or_default(),
            longest: lengths.last().copied().unwrap_or_default(),
        }
    }
}

impl SubscriptionPage<'_> {
    fn path(&self, rest: &str) -> String {
        self.v.link(&format!("/subscriptions/{}{rest}", self.entry.subscription.id))
    }

    fn health(&self) -> &'static str {
        health(self.entry)
    }

    fn disabled(&self) -> Option<&Disabled> {
        self.entry.health.disabled.as_ref()
    }

    fn is_manual(&self) -> bool {
        self.disabled().is_some_and(|disabled| disabled.reason == DisabledReason::Manual)
    }

    fn is_owned_by_config(&self) -> bool {
        self.entry.subscription.managed_by == ManagedBy::Config
    }

    /// Returns why the subscription is disabled, in words.
    fn disabled_text(&self) -> String {
        let v = self.v;
        let Some(disabled) = self.disabled() else { return String::new() };
        match disabled.reason {
            DisabledReason::Manual => v.t1("disabled-manual", "at", v.date_time(disabled.at)),
            DisabledReason::Gone => v.t1("disabled-gone", "at", v.date_time(disabled.at)),
            DisabledReason::Exhausted => {
                let host = self.entry.subscription.spec.url.host_str().unwrap_or_default().to_owned();
                let answer = v.t2("disabled-response", "detail", disabled.detail.clone(), "host", host);
                v.t2("disabled-exhausted", "at", v.date_time(disabled.at), "detail", answer)
            }
        }
    }

    /// Returns the times of the last successful and the last failed attempt, if there were any.
    fn last_results(&self) -> Vec<(String, Timestamp)> {
        let health = &self.entry.health;
        let of = |name, at: Option<Timestamp>| Some((self.v.t(name), at?));
        let all = [
            of("field-last-success", health.last_success_at),
            of("field-last-failure", health.last_failure_at),
        ];
        all.into_iter().flatten().collect()
    }

    /// Returns the public key that receivers verify with, if the present secret has one.
    fn public_key(&self) -> Option<String> {
        let current = self.entry.subscription.secrets.first()?;
        current.secret.public_key().map(|key| key.to_string())
    }

    /// Returns the kinds of the secrets from before a rotation, and when they expire.
    fn old_secrets(&self) -> Vec<(&'static str, String)> {
        let v = self.v;
        let old = self.entry.subscription.secrets.iter().filter(|signing| signing.is_active(v.now));
        old.filter_map(|signing| {
            Some((
                signing.secret.kind().as_str(),
                v.t1("secret-until", "at", v.date_time(signing.expires_at?)),
            ))
        })
        .collect()
    }

    /// Returns the settings that differ from the daemon's defaults, each with its label. Certificates are too
    /// long to show.
    fn changed_settings(&self) -> Vec<(String, String)> {
        let (v, spec) = (self.v, &self.entry.subscription.spec);
        let is_short = |setting: &&Setting| !matches!(setting.kind, Kind::Certificates | Kind::PrivateKey);
        let extra = |setting: &Setting| {
            let value = (setting.get)(spec);
            if value.is_null() || !setting.is_nullable() {
                return None;
            }
            let text = setting_field::text(&value);
            let text = if text.is_empty() { v.t("setting-retry-schedule-none") } else { text };
            Some((setting_field::label(v, setting), text))
        };
        plain_settings().filter(is_short).filter_map(extra).collect()
    }
}

/// Finds a subscription by the ID in a path.
pub(super) fn find(ui: &Ui, text: &str) -> Result<Entry, PageError> {
    let id: SubscriptionId = text.parse().map_err(|_| PageError::not_found("subscription", text))?;
    ui.flow.subscription(id).ok_or_else(|| ChangeError::no_subscription(id).into())
}

/// Shows one subscription.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let entry = find(&ui, &id)?;
    let id = entry.subscription.id;
    let (stats, mut rows, catalog) = ui
        .query(move |flow| {
            let recent =
                DeliveryQuery { subscription: Some(id), limit: CHARTED_MAX, ..DeliveryQuery::default() };
            Ok((flow.stats(id)?, rows(flow, recent, &DeliveryFilter::default())?.items, Catalog::read(flow)))
        })
        .await?;
    let chart = AttemptChart::of(&rows);
    rows.truncate(RECENT_MAX);
    let spec = &entry.subscription.spec;
    let sentence = sentence(&viewer, &catalog, &spec.events, &spec.projects);
    let notice = ui.notices.take(&Query::new(&uri));
    Ok(render::html(&SubscriptionPage { v: &viewer, entry: &entry, stats, rows, sentence, notice, chart }))
}

#[derive(askama::Template)]
#[template(path = "delete.html")]
struct DeletePage<'a> {
    v: &'a Viewer,
    entry: &'a Entry,
    stats: DeliveryStats,
}

impl DeletePage<'_> {
    fn path(&self, rest: &str) -> String {
        self.v.link(&format!("/subscriptions/{}{rest}", self.entry.subscription.id))
    }

    fn unfinished(&self) -> u64 {
        self.stats.pending + self.stats.in_flight + self.stats.held
    }
}

/// Asks for confirmation before a subscription is deleted.
pub(super) async fn confirm_delete(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let entry = find(&ui, &id)?;
    let id = entry.subscription.id;
    let stats = ui.query(move |flow| flow.stats(id)).await?;
    Ok(render::html(&DeletePage { v: &viewer, entry: &entry, stats }))
}
