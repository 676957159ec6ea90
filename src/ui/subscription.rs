//! One subscription: how it does, what it wants, what can be done about it.

use std::cmp::Reverse;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use http::Uri;

use super::catalog::Catalog;
use super::chart;
use super::deliveries::{Row, rows};
use super::notice::{self, Notice};
use super::page_error::PageError;
use super::query::Query;
use super::sentence::sentence;
use super::setting_field::{self, plain_settings};
use super::subscriptions::health;
use super::viewer::Viewer;
use super::{Ui, guard};
use crate::flow::query::deliveries::DeliveryFilter;
use crate::flow::query::status::DeliveryStats;
use crate::flow::{ChangeError, Entry};
use crate::model::id::SubscriptionId;
use crate::model::setting::{Kind, Setting};
use crate::model::subscription::{Disabled, DisabledReason, ManagedBy};
use crate::model::time::Timestamp;
use crate::store::DeliveryQuery;

/// How many of the newest deliveries are shown.
const RECENT: usize = 20;
/// How many of the newest attempts the chart shows, and of how many deliveries they are.
const CHARTED: usize = 60;

#[derive(askama::Template)]
#[template(path = "subscription.html")]
struct Page<'a> {
    v: &'a Viewer,
    entry: &'a Entry,
    stats: DeliveryStats,
    rows: Vec<Row>,
    sentence: String,
    notice: Option<Notice>,
    chart: Chart,
}

/// The newest attempts: as a drawing, and what it says in numbers.
struct Chart {
    drawing: String,
    attempts: usize,
    taken: usize,
    half: Duration,
    longest: Duration,
}

impl Chart {
    fn of(rows: &[Row]) -> Self {
        let mut attempts: Vec<_> = rows.iter().flat_map(|row| &row.delivery.attempts).collect();
        attempts.sort_by_key(|attempt| Reverse(attempt.started_at));
        attempts.truncate(CHARTED);
        let mut lengths: Vec<Duration> = attempts.iter().map(|attempt| attempt.duration).collect();
        lengths.sort_unstable();
        Self {
            drawing: chart::attempts(&attempts, CHARTED),
            attempts: attempts.len(),
            taken: attempts.iter().filter(|attempt| attempt.outcome.is_success()).count(),
            half: lengths.get(lengths.len().saturating_sub(1) / 2).copied().unwrap_or_default(),
            longest: lengths.last().copied().unwrap_or_default(),
        }
    }
}

impl Page<'_> {
    fn path(&self, rest: &str) -> String {
        self.v.at(&format!("/subscriptions/{}{rest}", self.entry.subscription.id))
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

    /// What switched it off, in words.
    fn story(&self) -> String {
        let v = self.v;
        let Some(disabled) = self.disabled() else { return String::new() };
        match disabled.reason {
            DisabledReason::Manual => v.t1("story-manual", "at", v.clock(disabled.at)),
            DisabledReason::Gone => v.t1("story-gone", "at", v.clock(disabled.at)),
            DisabledReason::Exhausted => {
                let host = self.entry.subscription.spec.url.host_str().unwrap_or_default().to_owned();
                let answer = v.t2("story-answer", "detail", disabled.detail.clone(), "host", host);
                v.t2("story-exhausted", "at", v.clock(disabled.at), "detail", answer)
            }
        }
    }

    /// When the receiver last took something and last failed, as far as it did.
    fn last(&self) -> Vec<(String, Timestamp)> {
        let health = &self.entry.health;
        let of = |name, at: Option<Timestamp>| Some((self.v.t(name), at?));
        let all = [
            of("field-last-success", health.last_success_at),
            of("field-last-failure", health.last_failure_at),
        ];
        all.into_iter().flatten().collect()
    }

    /// What receivers verify with, if the present secret has a public half.
    fn public_key(&self) -> Option<String> {
        let current = self.entry.subscription.secrets.first()?;
        current.secret.public_key().map(|key| key.to_string())
    }

    /// Secrets that a rotation left: their kinds, and until when they sign.
    fn old_secrets(&self) -> Vec<(&'static str, String)> {
        let v = self.v;
        let old = self.entry.subscription.secrets.iter().filter(|signing| signing.is_active(v.now));
        old.filter_map(|signing| {
            Some((signing.secret.kind().as_str(), v.t1("secret-until", "at", v.clock(signing.expires_at?))))
        })
        .collect()
    }

    /// Returns the settings that differ from the daemon's, each with its label. Certificates are too long to show.
    fn extras(&self) -> Vec<(String, String)> {
        let (v, spec) = (self.v, &self.entry.subscription.spec);
        let is_short = |setting: &&Setting| !matches!(setting.kind, Kind::Certificates | Kind::PrivateKey);
        let extra = |setting: &Setting| {
            let value = (setting.get)(spec);
            if value.is_null() || !setting.is_nullable() {
                return None;
            }
            let text = setting_field::text(&value);
            let text = if text.is_empty() { v.t("retries-none") } else { text };
            Some((setting_field::label(v, setting), text))
        };
        plain_settings().filter(is_short).filter_map(extra).collect()
    }
}

/// The subscription of that id.
pub(super) fn find(ui: &Ui, text: &str) -> Result<Entry, PageError> {
    let id: SubscriptionId = text.parse().map_err(|_| PageError::not_found("subscription", text))?;
    ui.flow.subscription(id).ok_or_else(|| ChangeError::no_subscription(id).into())
}

/// The page of one subscription.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, PageError> {
    let entry = find(&ui, &id)?;
    let id = entry.subscription.id;
    let (stats, mut rows, catalog) = ui
        .ask(move |flow| {
            let recent = DeliveryQuery { subscription: Some(id), limit: CHARTED, ..DeliveryQuery::default() };
            Ok((flow.stats(id)?, rows(flow, recent, &DeliveryFilter::default())?.items, Catalog::read(flow)))
        })
        .await?;
    let chart = Chart::of(&rows);
    rows.truncate(RECENT);
    let spec = &entry.subscription.spec;
    let sentence = sentence(&viewer, &catalog, &spec.events, &spec.projects);
    let notice = notice::take(&ui, &Query::new(&uri));
    Ok(guard::html(&Page { v: &viewer, entry: &entry, stats, rows, sentence, notice, chart }))
}

#[derive(askama::Template)]
#[template(path = "delete.html")]
struct Deletion<'a> {
    v: &'a Viewer,
    entry: &'a Entry,
    stats: DeliveryStats,
}

impl Deletion<'_> {
    fn path(&self, rest: &str) -> String {
        self.v.at(&format!("/subscriptions/{}{rest}", self.entry.subscription.id))
    }

    fn unfinished(&self) -> u64 {
        self.stats.pending + self.stats.in_flight + self.stats.held
    }
}

/// Asks before a subscription is deleted, and says what is lost.
pub(super) async fn ask_delete(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
    Path(id): Path<String>,
) -> Result<Response, PageError> {
    let entry = find(&ui, &id)?;
    let id = entry.subscription.id;
    let stats = ui.ask(move |flow| flow.stats(id)).await?;
    Ok(guard::html(&Deletion { v: &viewer, entry: &entry, stats }))
}
