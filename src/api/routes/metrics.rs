//! `/metrics`: what Prometheus collects.
//!
//! Histograms are kept where things happen; all else is asked for when somebody collects. Whoever counts series: those
//! with a subscription in them are bounded by `api.metrics_subscriptions_max`.

use axum::extract::State;
use axum::response::IntoResponse;
use http::{Uri, header};
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Gauge, GaugeVec, IntCounterVec, Opts, Registry, TEXT_FORMAT, TextEncoder};

use crate::api::error::ApiError;
use crate::api::openapi::responses::CommonErrors;
use crate::api::request::query::QueryParams;
use crate::api::state::{ApiState, run_blocking};
use crate::flow::Flow;
use crate::flow::gauges::Gauges;
use crate::flow::numbers::Numbers;
use crate::model::attempt::ErrorClass;
use crate::model::time::Timestamp;
use crate::store::StoreError;

/// The daemon's metrics, in the text format of Prometheus.
///
/// Counters and histograms are since the start of the process; gauges are now.
#[utoipa::path(
    get, path = "/metrics", tag = "daemon", operation_id = "get_metrics",
    responses((
        status = 200, description = "Every metric", body = String, content_type = "text/plain",
        example = json!("# HELP postrider_lanes_in_trouble Subscriptions that …\n# TYPE postrider_lanes_in_trouble gauge\npostrider_lanes_in_trouble 0\n"),
    ), CommonErrors),
)]
pub async fn metrics(State(api): State<ApiState>, uri: Uri) -> Result<impl IntoResponse, ApiError> {
    QueryParams::new(&uri, &[]).finish()?;
    let text = run_blocking(move || text(&api.flow)).await?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text))
}

/// Why there is no text.
#[derive(Debug, thiserror::Error)]
enum MetricsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a metric cannot be shown: {0}")]
    Shape(#[from] prometheus::Error),
}

fn text(flow: &Flow) -> Result<String, ApiError> {
    page(flow).map_err(|error| ApiError::internal(&error))
}

fn page(flow: &Flow) -> Result<String, MetricsError> {
    let config = flow.config();
    let (numbers, gauges) = (flow.numbers()?, flow.gauges(config.api.metrics_subscriptions_max)?);
    let mut page = Page(Registry::new());
    page.gauges(
        "build_info",
        "One, with the version of the daemon.",
        ["version"],
        [([env!("CARGO_PKG_VERSION")], 1.0)],
    )?;
    page.gauge("ready", "Whether events are taken.", f64::from(u8::from(flow.is_ready())))?;
    page.passed(flow, &numbers, &gauges)?;
    page.standing(&numbers, &gauges)?;
    page.backlogs(&gauges, flow.now())?;
    page.store(flow, &numbers)?;
    page.gauge(
        "disk_reserve_bytes",
        "Below so much free space events are refused.",
        float(config.storage.disk_reserve),
    )?;
    page.gauge(
        "store_cache_bytes_max",
        "About how much memory the pages of the log may take.",
        float(config.storage.cache),
    )?;
    page.add(ProcessCollector::for_self())?;
    Ok(TextEncoder::new().encode_to_string(&page.0.gather())?)
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn float(value: impl TryInto<u64>) -> f64 {
    value.try_into().unwrap_or(u64::MAX) as f64
}

/// How old what was made then is; zero if nothing was.
fn age(made: Option<Timestamp>, now: Timestamp) -> f64 {
    made.map_or(0.0, |made| now.since(made).as_secs_f64())
}

/// The metrics of one collection.
struct Page(Registry);

impl Page {
    fn add(&mut self, collector: impl Collector + 'static) -> Result<(), MetricsError> {
        Ok(self.0.register(Box::new(collector))?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> Result<(), MetricsError> {
        let gauge = Gauge::with_opts(options(name, help))?;
        gauge.set(value);
        self.add(gauge)
    }

    fn gauges<'v, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        labels: [&str; N],
        rows: impl IntoIterator<Item = ([&'v str; N], f64)>,
    ) -> Result<(), MetricsError> {
        let gauges = GaugeVec::new(options(name, help), &labels)?;
        for (values, value) in rows {
            gauges.with_label_values(&values).set(value);
        }
        self.add(gauges)
    }

    /// Counters that differ in one label; none at all without one.
    fn counters<'v>(
        &mut self,
        name: &str,
        help: &str,
        label: Option<&str>,
        rows: impl IntoIterator<Item = (Option<&'v str>, u64)>,
    ) -> Result<(), MetricsError> {
        let labels: Vec<&str> = label.into_iter().collect();
        let counters = IntCounterVec::new(options(name, help), &labels)?;
        for (value, count) in rows {
            let values: Vec<&str> = value.into_iter().collect();
            counters.get_metric_with_label_values(&values)?.inc_by(count);
        }
        self.add(counters)
    }

    /// What has passed through.
    fn passed(&mut self, flow: &Flow, numbers: &Numbers, gauges: &Gauges) -> Result<(), MetricsError> {
        let (totals, timings) = (&numbers.passed.totals, flow.timings());
        let mut one = |name: &str, help: &str, count| self.counters(name, help, None, [(None, count)]);
        one("events_accepted_total", "Events taken in.", totals.accepted)?;
        one(
            "events_duplicate_total",
            "Events that repeated one within the dedup window.",
            totals.duplicates,
        )?;
        one("filter_errors_total", "Filters that failed while running.", gauges.filter_errors)?;
        let refused = timings.refused().map(|(reason, count)| (Some(reason), count));
        self.counters(
            "submissions_refused_total",
            "Submissions that found no room.",
            Some("reason"),
            refused,
        )?;
        let failed = ErrorClass::ALL.map(ErrorClass::as_str).into_iter().zip(totals.failed);
        let outcomes =
            [("success", totals.succeeded), ("rejected", totals.rejected)].into_iter().chain(failed);
        let outcomes = outcomes.map(|(outcome, count)| (Some(outcome), count));
        self.counters(
            "attempts_total",
            "Attempts that are over, by what came of them.",
            Some("outcome"),
            outcomes,
        )?;
        for histogram in
            [&timings.ingest, &timings.matching, &timings.attempt, &timings.due_lag, &timings.delivery]
        {
            self.add(histogram.clone())?;
        }
        Ok(())
    }

    /// Where things stand.
    fn standing(&mut self, numbers: &Numbers, gauges: &Gauges) -> Result<(), MetricsError> {
        let Numbers { deliveries: d, subscriptions: s, queued, listeners, .. } = numbers;
        let states = [
            (["pending"], float(d.pending)),
            (["in_flight"], float(d.in_flight)),
            (["held"], float(d.held)),
            (["succeeded"], float(d.succeeded)),
            (["exhausted"], float(d.exhausted)),
            (["cancelled"], float(d.cancelled)),
        ];
        self.gauges("deliveries", "Deliveries in the log.", ["state"], states)?;
        let healths = [
            (["healthy"], float(s.healthy)),
            (["failing"], float(s.failing)),
            (["disabled"], float(s.disabled)),
        ];
        self.gauges("subscriptions", "Subscriptions.", ["health"], healths)?;
        let rows = [
            (
                "lanes_in_trouble",
                "Subscriptions whose receiver failed twice in a row, so that only one delivery asks it.",
                float(gauges.in_trouble),
            ),
            (
                "lanes_waiting",
                "Subscriptions that would start a request and wait for a free place.",
                float(gauges.lanes_waiting),
            ),
            ("requests_in_flight", "Requests out.", float(gauges.requests.0)),
            (
                "requests_in_flight_max",
                "Requests that may be out: delivery.max_in_flight.",
                float(gauges.requests.1),
            ),
            ("queue_events", "Events that wait to be stored.", float(queued.0)),
            ("queue_events_max", "Events that may wait: server.queue_events_max.", float(queued.1)),
            ("queue_bytes", "Bytes of request bodies in memory.", float(gauges.bodies.0)),
            (
                "queue_bytes_max",
                "Bytes of them there may be: server.queue_bytes_max.",
                float(gauges.bodies.1),
            ),
            ("queue_steps", "Steps of any kind that wait to be stored.", float(gauges.steps.0)),
            ("queue_steps_max", "Steps that may wait.", float(gauges.steps.1)),
            ("payload_cache_bytes", "Events in memory for their first attempts.", float(gauges.carried.0)),
            ("payload_cache_bytes_max", "Memory for those: delivery.payload_cache.", float(gauges.carried.1)),
            ("replays_running", "Replays of subscriptions that are under way.", float(gauges.replays)),
            ("stream_readers", "Readers of /v1/stream.", float(listeners.0)),
            ("stream_readers_max", "Readers there may be: api.stream_readers_max.", float(listeners.1)),
        ];
        rows.into_iter().try_for_each(|(name, help, value)| self.gauge(name, help, value))
    }

    /// Whose deliveries wait.
    fn backlogs(&mut self, gauges: &Gauges, now: Timestamp) -> Result<(), MetricsError> {
        let ids: Vec<String> = gauges.worst.iter().map(|one| one.id.to_string()).collect();
        let labels = || ids.iter().zip(&gauges.worst).map(|(id, one)| [id.as_str(), one.name.as_str()]);
        let other = ["other", ""];
        let waiting = labels().zip(gauges.worst.iter().map(|one| float(one.waiting)));
        self.gauges(
            "subscription_backlog",
            "Deliveries that wait or are being attempted, of subscriptions that are on.",
            ["subscription", "name"],
            waiting.chain([(other, float(gauges.other.0))]),
        )?;
        let ages = labels().zip(gauges.worst.iter().map(|one| age(one.oldest, now)));
        self.gauges(
            "subscription_oldest_pending_seconds",
            "Age of the oldest of those.",
            ["subscription", "name"],
            ages.chain([(other, age(gauges.other.1, now))]),
        )?;
        let oldest = gauges.worst.iter().filter_map(|one| one.oldest).chain(gauges.other.1).min();
        self.gauge(
            "oldest_pending_seconds",
            "Age of the oldest of all subscriptions that are on.",
            age(oldest, now),
        )
    }

    /// The log.
    fn store(&mut self, flow: &Flow, numbers: &Numbers) -> Result<(), MetricsError> {
        let reader = flow.reader();
        let counts = reader.counts();
        self.counters(
            "store_transactions_total",
            "Transactions of the log.",
            None,
            [(None, counts.commits)],
        )?;
        self.counters(
            "store_flushes_total",
            "Flushes, each of which makes transactions durable.",
            None,
            [(None, counts.flushes)],
        )?;
        self.add(reader.commit_seconds().clone())?;
        let rows = reader.rows()?;
        let rows = rows.iter().map(|(tree, count)| ([*tree], float(*count)));
        self.gauges("store_rows", "Rows of the log.", ["tree"], rows)?;
        self.gauge("store_log_bytes", "What the files of the log take.", float(numbers.log_bytes))?;
        self.gauge("disk_free_bytes", "Free space on the disk with the log.", float(numbers.free_bytes))
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("postrider_{name}"), help)
}
