//! `GET /metrics`: metrics for Prometheus.
//!
//! Histograms are observed where things happen. All other metrics are collected when a client reads this route.
//! `api.metrics_subscriptions_max` limits the number of series per subscription.

use axum::extract::State;
use axum::response::IntoResponse;
use http::header;
use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{Gauge, GaugeVec, IntCounterVec, Opts, Registry, TEXT_FORMAT, TextEncoder};

use crate::api::error::ApiError;
use crate::api::openapi::responses::CommonErrors;
use crate::api::request::query::NoQuery;
use crate::api::state::{ApiState, run_blocking};
use crate::flow::Flow;
use crate::flow::query::daemon_stats::DaemonStats;
use crate::flow::query::gauges::Gauges;
use crate::model::attempt::ErrorClass;
use crate::model::time::Timestamp;
use crate::store::StoreError;

/// Returns the metrics of the daemon in the text format of Prometheus.
///
/// Counters and histograms start at zero with the process. Gauges have their current values.
#[utoipa::path(
    get, path = "/metrics", tag = "daemon", operation_id = "get_metrics",
    responses((
        status = 200, description = "The metrics.", body = String, content_type = "text/plain",
        example = json!("# HELP postrider_lanes_in_trouble Subscriptions that …\n# TYPE postrider_lanes_in_trouble gauge\npostrider_lanes_in_trouble 0\n"),
    ), CommonErrors),
)]
pub async fn metrics(State(api): State<ApiState>, _: NoQuery) -> Result<impl IntoResponse, ApiError> {
    let collect = move || collect(&api.flow).map_err(|error| ApiError::internal(&error));
    let text = run_blocking(collect).await?;
    Ok(([(header::CONTENT_TYPE, TEXT_FORMAT)], text))
}

/// The reason that the metrics cannot be returned.
#[derive(Debug, thiserror::Error)]
enum MetricsError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a metric cannot be encoded: {0}")]
    Shape(#[from] prometheus::Error),
}

/// Collects all metrics, and returns their text.
fn collect(flow: &Flow) -> Result<String, MetricsError> {
    let config = flow.config();
    let (numbers, gauges) = (flow.daemon_stats()?, flow.gauges(config.api.metrics_subscriptions_max)?);
    let mut metrics = MetricSet(Registry::new());
    metrics.gauges(
        "build_info",
        "Always 1, with the version of the daemon as a label.",
        ["version"],
        [([env!("CARGO_PKG_VERSION")], 1.0)],
    )?;
    metrics.gauge(
        "ready",
        "Whether the daemon accepts events (1) or not (0).",
        f64::from(u8::from(flow.is_ready())),
    )?;
    metrics.throughput(flow, &numbers, &gauges)?;
    metrics.current_state(&numbers, &gauges)?;
    metrics.backlogs(&gauges, flow.now())?;
    metrics.store(flow, &numbers)?;
    metrics.gauge(
        "disk_reserve_bytes",
        "Free space below which the daemon refuses events.",
        float(config.storage.disk_reserve),
    )?;
    metrics.gauge(
        "store_cache_bytes_max",
        "Approximate limit on the memory for cached pages of the log.",
        float(config.storage.cache),
    )?;
    metrics.add(ProcessCollector::for_self())?;
    Ok(TextEncoder::new().encode_to_string(&metrics.0.gather())?)
}

#[expect(clippy::cast_precision_loss, reason = "the values of Prometheus are floating-point numbers")]
fn float(value: impl TryInto<u64>) -> f64 {
    value.try_into().unwrap_or(u64::MAX) as f64
}

/// Returns the age of something created at that time, in seconds; zero if there is nothing.
fn age(created: Option<Timestamp>, now: Timestamp) -> f64 {
    created.map_or(0.0, |created| now.since(created).as_secs_f64())
}

/// The metrics of one response.
struct MetricSet(Registry);

impl MetricSet {
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

    /// Adds counters that differ in the value of `label`, or a single counter without a label.
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

    /// Adds the counters and histograms of events and attempts since the start.
    fn throughput(
        &mut self,
        flow: &Flow,
        numbers: &DaemonStats,
        gauges: &Gauges,
    ) -> Result<(), MetricsError> {
        let (totals, timings) = (&numbers.passed.totals, flow.timings());
        let mut one = |name: &str, help: &str, count| self.counters(name, help, None, [(None, count)]);
        one("events_accepted_total", "Events accepted.", totals.accepted)?;
        one(
            "events_duplicate_total",
            "Events that were duplicates within the dedup window.",
            totals.duplicates,
        )?;
        one("filter_errors_total", "Evaluations of payload filters that failed.", gauges.filter_errors)?;
        let refused = timings.refused().map(|(reason, count)| (Some(reason), count));
        self.counters(
            "submissions_refused_total",
            "Submissions refused because a limit was reached.",
            Some("reason"),
            refused,
        )?;
        let failed = ErrorClass::ALL.map(ErrorClass::as_str).into_iter().zip(totals.failed);
        let outcomes =
            [("success", totals.succeeded), ("rejected", totals.rejected)].into_iter().chain(failed);
        let outcomes = outcomes.map(|(outcome, count)| (Some(outcome), count));
        self.counters("attempts_total", "Finished attempts, by outcome.", Some("outcome"), outcomes)?;
        for histogram in
            [&timings.ingest, &timings.matching, &timings.attempt, &timings.due_lag, &timings.delivery]
        {
            self.add(histogram.clone())?;
        }
        Ok(())
    }

    /// Adds the gauges of deliveries, subscriptions, queues and limits.
    fn current_state(&mut self, numbers: &DaemonStats, gauges: &Gauges) -> Result<(), MetricsError> {
        let DaemonStats { deliveries: d, subscriptions: s, queued, listeners, .. } = numbers;
        let states = [
            (["pending"], float(d.pending)),
            (["in_flight"], float(d.in_flight)),
            (["held"], float(d.held)),
            (["succeeded"], float(d.succeeded)),
            (["exhausted"], float(d.exhausted)),
            (["cancelled"], float(d.cancelled)),
        ];
        self.gauges("deliveries", "Deliveries in the log, by state.", ["state"], states)?;
        let healths = [
            (["healthy"], float(s.healthy)),
            (["failing"], float(s.failing)),
            (["disabled"], float(s.disabled)),
        ];
        self.gauges("subscriptions", "Subscriptions, by health.", ["health"], healths)?;
        let rows = [
            (
                "lanes_in_trouble",
                "Subscriptions whose receiver failed at least twice in a row. One delivery at a time probes it.",
                float(gauges.in_trouble),
            ),
            (
                "lanes_waiting",
                "Subscriptions with a due delivery that waits for delivery.max_in_flight.",
                float(gauges.lanes_waiting),
            ),
            ("requests_in_flight", "Requests to receivers in flight.", float(gauges.requests.0)),
            (
                "requests_in_flight_max",
                "Limit on requests in flight: delivery.max_in_flight.",
                float(gauges.requests.1),
            ),
            ("queue_events", "Events that wait to be stored.", float(queued.0)),
            ("queue_events_max", "Limit on waiting events: server.queue_events_max.", float(queued.1)),
            ("queue_bytes", "Bytes of request bodies in memory.", float(gauges.bodies.0)),
            (
                "queue_bytes_max",
                "Limit on bytes of request bodies: server.queue_bytes_max.",
                float(gauges.bodies.1),
            ),
            ("queue_steps", "Writes of any kind that wait to be stored.", float(gauges.steps.0)),
            ("queue_steps_max", "Limit on waiting writes.", float(gauges.steps.1)),
            (
                "payload_cache_bytes",
                "Bytes of events in memory for their first attempts.",
                float(gauges.carried.0),
            ),
            (
                "payload_cache_bytes_max",
                "Limit on bytes of events in memory: delivery.payload_cache.",
                float(gauges.carried.1),
            ),
            ("replays_running", "Replays of subscriptions that are running.", float(gauges.replays)),
            ("stream_readers", "Connected readers of /v1/stream.", float(listeners.0)),
            ("stream_readers_max", "Limit on connected readers: api.stream_readers_max.", float(listeners.1)),
        ];
        rows.into_iter().try_for_each(|(name, help, value)| self.gauge(name, help, value))
    }

    /// Adds the gauges of waiting deliveries, for the subscriptions with the longest backlogs.
    fn backlogs(&mut self, gauges: &Gauges, now: Timestamp) -> Result<(), MetricsError> {
        let ids: Vec<String> = gauges.worst.iter().map(|one| one.id.to_string()).collect();
        let labels = || ids.iter().zip(&gauges.worst).map(|(id, one)| [id.as_str(), one.name.as_str()]);
        let other = ["other", ""];
        let waiting = labels().zip(gauges.worst.iter().map(|one| float(one.waiting)));
        self.gauges(
            "subscription_backlog",
            "Deliveries that wait or are in flight, of enabled subscriptions.",
            ["subscription", "name"],
            waiting.chain([(other, float(gauges.other.0))]),
        )?;
        let ages = labels().zip(gauges.worst.iter().map(|one| age(one.oldest, now)));
        self.gauges(
            "subscription_oldest_pending_seconds",
            "Age of the oldest delivery that waits or is in flight, of enabled subscriptions.",
            ["subscription", "name"],
            ages.chain([(other, age(gauges.other.1, now))]),
        )?;
        let oldest = gauges.worst.iter().filter_map(|one| one.oldest).chain(gauges.other.1).min();
        self.gauge(
            "oldest_pending_seconds",
            "Age of the oldest delivery that waits or is in flight, over all enabled subscriptions.",
            age(oldest, now),
        )
    }

    /// Adds the metrics of the log and its disk.
    fn store(&mut self, flow: &Flow, numbers: &DaemonStats) -> Result<(), MetricsError> {
        let reader = flow.reader();
        let counts = reader.counts();
        self.counters(
            "store_transactions_total",
            "Transactions committed to the log.",
            None,
            [(None, counts.commits)],
        )?;
        self.counters(
            "store_flushes_total",
            "Flushes of the log. Each makes the transactions before it durable.",
            None,
            [(None, counts.flushes)],
        )?;
        self.add(reader.commit_seconds().clone())?;
        let rows = reader.rows()?;
        let rows = rows.iter().map(|(tree, count)| ([*tree], float(*count)));
        self.gauges("store_rows", "Rows in the log, by tree.", ["tree"], rows)?;
        self.gauge("store_log_bytes", "Size of the files of the log.", float(numbers.log_bytes))?;
        self.gauge("disk_free_bytes", "Free space on the disk with the log.", float(numbers.free_bytes))
    }
}

fn options(name: &str, help: &str) -> Opts {
    Opts::new(format!("postrider_{name}"), help)
}
