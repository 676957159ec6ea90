//! The overview: how everything does, at a glance.

use std::borrow::Borrow;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::chart;
use super::deliveries::{Row, rows};
use super::page_error::PageError;
use super::subscriptions::{Row as SubscriptionRow, health};
use super::viewer::Viewer;
use super::{Ui, guard};
use crate::flow::Entry;
use crate::flow::Flow;
use crate::flow::measure::history::{MINUTES_MAX, Minute};
use crate::flow::measure::meter::{Latency, MeterReading};
use crate::flow::query::deliveries::DeliveryFilter;
use crate::model::time::Timestamp;
use crate::store::{DeliveryQuery, EventQuery, StoreError};

/// How many subscriptions in trouble are shown.
const TROUBLED: usize = 8;
/// How many other subscriptions are shown by name.
const WELL: usize = 40;
/// How many of the newest deliveries are shown.
const RECENT: usize = 10;

/// Everything in numbers.
#[derive(Default)]
struct DaemonStats {
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

impl DaemonStats {
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
struct Page<'a> {
    v: &'a Viewer,
    numbers: DaemonStats,
    troubled: Vec<SubscriptionRow>,
    /// Those that nothing is the matter with: id, name, and the word of their health.
    well: Vec<(String, String, &'static str)>,
    rows: Vec<Row>,
    passed: MeterReading,
    hour: Chart,
    day: Chart,
}

impl Page<'_> {
    /// A percentile, which the meter has in microseconds; a dash if there was nothing to measure.
    fn micros(&self, latency: impl Borrow<Latency>, of: fn(&Latency) -> u64) -> String {
        let latency = latency.borrow();
        match latency.count {
            0 => "–".to_owned(),
            _ => self.v.length(Duration::from_micros(of(latency))),
        }
    }

    fn half(&self) -> String {
        self.micros(self.passed.attempt, |one| one.p50)
    }

    fn most(&self) -> String {
        self.micros(self.passed.attempt, |one| one.p90)
    }

    fn nearly_all(&self, latency: impl Borrow<Latency>) -> String {
        self.micros(latency, |one| one.p99)
    }

    /// How many subscriptions are not shown by name.
    fn unnamed(&self) -> usize {
        self.numbers.subscriptions() - self.troubled.len() - self.well.len()
    }

    fn per_second(&self, rate: f64) -> String {
        self.v.decimal(rate)
    }
}

/// What passed through, as drawings with what they say in numbers.
struct Chart {
    drawing: String,
    times: String,
    accepted: u64,
    succeeded: u64,
    failed: u64,
    /// Attempts of the highest bar.
    highest: u64,
    longest: Duration,
}

impl Chart {
    /// Draws minutes, so many of them to a bar.
    fn of(minutes: &[Minute], per_bar: usize) -> Self {
        let join = |minutes: &[Minute]| minutes.iter().fold(Minute::default(), Minute::with);
        let bars: Vec<Minute> = minutes.chunks(per_bar).map(join).collect();
        let sum = join(&bars);
        Self {
            drawing: chart::outcomes(&bars),
            times: chart::times(&bars),
            accepted: sum.accepted,
            succeeded: sum.succeeded,
            failed: sum.failed,
            highest: bars.iter().map(|bar| bar.succeeded + bar.failed).max().unwrap_or_default(),
            longest: sum.longest,
        }
    }
}

struct Seen {
    well: Vec<(String, String, &'static str)>,
    numbers: DaemonStats,
    passed: MeterReading,
    troubled: Vec<SubscriptionRow>,
    rows: Vec<Row>,
}

/// The page at `/`.
pub(super) async fn show(
    State(ui): State<Ui>,
    Extension(viewer): Extension<Viewer>,
) -> Result<Response, PageError> {
    let Seen { well, numbers, passed, troubled, rows } = ui.ask(look).await?;
    let minutes = ui.flow.minutes(MINUTES_MAX);
    let hour = Chart::of(minutes.get(minutes.len().saturating_sub(60)..).unwrap_or_default(), 1);
    let day = Chart::of(&minutes, 24);
    Ok(guard::html(&Page { v: &viewer, numbers, troubled, well, rows, passed, hour, day }))
}

fn look(flow: &Flow) -> Result<Seen, StoreError> {
    let mut numbers = DaemonStats::default();
    let all = flow.subscriptions();
    for entry in &all {
        numbers.count(flow, entry);
    }
    let newest = flow.reader().events(&EventQuery { limit: 1, ..EventQuery::default() })?;
    numbers.last_event_at = newest.items.first().map(|head| head.id.time());
    let (mut ill, well): (Vec<Entry>, Vec<Entry>) =
        all.into_iter().partition(|entry| matches!(health(entry), "failing" | "disabled"));
    let well = well.iter().take(WELL).map(|entry| {
        let subscription = &entry.subscription;
        (subscription.id.to_string(), subscription.spec.name.clone(), health(entry))
    });
    let well = well.collect();
    ill.sort_by_key(|entry| (health(entry), entry.subscription.id));
    let troubled = ill
        .into_iter()
        .take(TROUBLED)
        .map(|entry| {
            let stats = flow.stats(entry.subscription.id)?;
            Ok(SubscriptionRow { stats, sentence: String::new(), entry })
        })
        .collect::<Result<_, StoreError>>()?;
    let recent = DeliveryQuery { limit: RECENT, ..DeliveryQuery::default() };
    let rows = rows(flow, recent, &DeliveryFilter::default())?.items;
    Ok(Seen { well, numbers, passed: flow.daemon_stats()?.passed, troubled, rows })
}
