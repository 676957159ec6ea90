//! The overview page: totals, charts, unhealthy subscriptions and recent deliveries.

use std::borrow::Borrow;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::chart;
use super::deliveries::{DeliveryRow, rows};
use super::page_error::PageError;
use super::render;
use super::state::Ui;
use super::subscriptions::{SubscriptionRow, health};
use super::viewer::Viewer;
use crate::flow::Entry;
use crate::flow::Flow;
use crate::flow::measure::history::{MINUTES_MAX, Minute};
use crate::flow::measure::meter::{Latency, MeterReading};
use crate::flow::query::deliveries::DeliveryFilter;
use crate::model::time::Timestamp;
use crate::store::{DeliveryQuery, EventQuery, StoreError};

/// The maximum number of unhealthy subscriptions that are listed.
const UNHEALTHY_MAX: usize = 8;
/// The maximum number of other subscriptions that are listed.
const HEALTHY_MAX: usize = 40;
/// The number of recent deliveries that are listed.
const RECENT_MAX: usize = 10;

/// The numbers in the tiles of the overview.
#[derive(Default)]
struct Totals {
    healthy: usize,
    failing: usize,
    disabled: usize,
    off: usize,
    waiting: u64,
    held: u64,
    succeeded: u64,
    exhausted: u64,
    last_event_at: Option<Timestamp>,
}

impl Totals {
    fn count(&mut self, flow: &Flow, entry: &Entry) {
        let tally = flow.reader().tally(entry.subscription.id);
        match health(entry) {
            "healthy" => self.healthy += 1,
            "failing" => self.failing += 1,
            "off" => self.off += 1,
            _ => self.disabled += 1,
        }
        if entry.health.disabled.is_some() {
            self.held += tally.waiting;
        } else {
            self.waiting += tally.waiting;
        }
        self.succeeded += tally.succeeded;
        self.exhausted += tally.exhausted;
    }

    fn subscriptions(&self) -> usize {
        self.healthy + self.failing + self.disabled + self.off
    }
}

#[derive(askama::Template)]
#[template(path = "overview.html")]
struct OverviewPage<'a> {
    v: &'a Viewer,
    totals: Totals,
    unhealthy: Vec<SubscriptionRow>,
    /// Subscriptions without problems: ID, name and health.
    healthy: Vec<(String, String, &'static str)>,
    rows: Vec<DeliveryRow>,
    passed: MeterReading,
    hour: ActivityChart,
    day: ActivityChart,
}

impl OverviewPage<'_> {
    /// Formats a percentile, which the meter gives in microseconds. Returns a dash if nothing was measured.
    fn percentile(&self, latency: impl Borrow<Latency>, of: fn(&Latency) -> u64) -> String {
        let latency = latency.borrow();
        match latency.count {
            0 => "–".to_owned(),
            _ => self.v.duration(Duration::from_micros(of(latency))),
        }
    }

    fn p50(&self) -> String {
        self.percentile(self.passed.attempt, |one| one.p50)
    }

    fn p90(&self) -> String {
        self.percentile(self.passed.attempt, |one| one.p90)
    }

    fn p99(&self, latency: impl Borrow<Latency>) -> String {
        self.percentile(latency, |one| one.p99)
    }

    /// Returns the number of subscriptions that are not listed.
    fn unlisted(&self) -> usize {
        self.totals.subscriptions() - self.unhealthy.len() - self.healthy.len()
    }

    fn per_second(&self, rate: f64) -> String {
        self.v.decimal(rate)
    }
}

/// Charts of the attempts in a period, with their totals.
struct ActivityChart {
    drawing: String,
    durations: String,
    accepted: u64,
    succeeded: u64,
    failed: u64,
    /// The number of attempts in the highest bar.
    highest: u64,
    longest: Duration,
}

impl ActivityChart {
    /// Draws `minutes`, of which each bar combines `per_bar`.
    fn of(minutes: &[Minute], per_bar: usize) -> Self {
        let join = |minutes: &[Minute]| minutes.iter().fold(Minute::default(), Minute::with);
        let bars: Vec<Minute> = minutes.chunks(per_bar).map(join).collect();
        let sum = join(&bars);
        Self {
            drawing: chart::outcomes(&bars),
            durations: chart::durations(&bars),
            accepted: sum.accepted,
            succeeded: sum.succeeded,
            failed: sum.failed,
            highest: bars.iter().map(|bar| bar.succeeded + bar.failed).max().unwrap_or_default(),
            longest: sum.longest,
        }
    }
}

struct OverviewData {
    healthy: Vec<(String, String, &'static str)>,
    totals: Totals,
    passed: MeterReading,
    unhealthy: Vec<SubscriptionRow>,
    rows: Vec<DeliveryRow>,
}

/// Shows the overview.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
) -> Result<Response, PageError> {
    let OverviewData { healthy, totals, passed, unhealthy, rows } = ui.query(read).await?;
    let minutes = ui.flow.minutes(MINUTES_MAX);
    let hour = ActivityChart::of(minutes.get(minutes.len().saturating_sub(60)..).unwrap_or_default(), 1);
    let day = ActivityChart::of(&minutes, 24);
    Ok(render::html(&OverviewPage { v: &viewer, totals, unhealthy, healthy, rows, passed, hour, day }))
}

fn read(flow: &Flow) -> Result<OverviewData, StoreError> {
    let mut totals = Totals::default();
    let all = flow.subscriptions();
    for entry in &all {
        totals.count(flow, entry);
    }
    let newest = flow.reader().events(&EventQuery { limit: 1, ..EventQuery::default() })?;
    totals.last_event_at = newest.items.first().map(|head| head.id.time());
    let (mut failing, healthy): (Vec<Entry>, Vec<Entry>) =
        all.into_iter().partition(|entry| matches!(health(entry), "failing" | "disabled"));
    let healthy = healthy.iter().take(HEALTHY_MAX).map(|entry| {
        let subscription = &entry.subscription;
        (subscription.id.to_string(), subscription.spec.name.clone(), health(entry))
    });
    let healthy = healthy.collect();
    failing.sort_by_key(|entry| (health(entry), entry.subscription.id));
    let unhealthy = failing
        .into_iter()
        .take(UNHEALTHY_MAX)
        .map(|entry| {
            let stats = flow.stats(entry.subscription.id)?;
            Ok(SubscriptionRow { stats, sentence: String::new(), entry })
        })
        .collect::<Result<_, StoreError>>()?;
    let recent = DeliveryQuery { limit: RECENT_MAX, ..DeliveryQuery::default() };
    let rows = rows(flow, recent, &DeliveryFilter::default())?.items;
    Ok(OverviewData { healthy, totals, passed: flow.daemon_stats()?.passed, unhealthy, rows })
}
