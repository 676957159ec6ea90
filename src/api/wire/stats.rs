//! The JSON form of the daemon's statistics.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::schema::Time;
use crate::flow::measure::meter::{Latency, MeterReading};
use crate::flow::query::daemon_stats::{DaemonStats, DeliveryCounts, HealthCounts};
use crate::model::attempt::ErrorClass;
use crate::model::time::Timestamp;

/// The statistics of the daemon.
#[derive(Serialize, ToSchema)]
#[schema(as = DaemonStats, examples(json!({
    "version": "0.1.0", "started_at": "2026-01-31T08:00:00.000Z", "uptime_seconds": 3600,
    "events": {
        "accepted": 4711, "duplicates": 3, "accepted_per_second": 1.3, "queued": 0, "queued_max": 65536,
    },
    "deliveries": {
        "pending": 1, "in_flight": 2, "held": 0, "succeeded": 9421, "exhausted": 2, "cancelled": 0,
    },
    "attempts": {
        "total": 9433, "succeeded": 9421, "rejected": 10,
        "failed": {
            "dns": 0, "forbidden_address": 0, "connect": 2, "tls": 0, "timeout": 0, "protocol": 0, "internal": 0,
        },
        "per_second": 2.6,
    },
    "latency": {
        "accept": { "count": 78, "p50_ms": 0.9, "p90_ms": 1.4, "p99_ms": 2.1, "max_ms": 2.4 },
        "first_attempt": { "count": 156, "p50_ms": 0.2, "p90_ms": 0.3, "p99_ms": 0.6, "max_ms": 0.7 },
        "attempt": { "count": 157, "p50_ms": 11.8, "p90_ms": 23.1, "p99_ms": 61.0, "max_ms": 70.2 },
    },
    "subscriptions": { "total": 3, "healthy": 2, "failing": 1, "disabled": 0 },
    "stream": { "readers": 1, "readers_max": 64 },
    "disk": { "log_bytes": 104_857_600, "free_bytes": 53_687_091_200_u64, "reserve_bytes": 536_870_912 },
})))]
pub struct DaemonStatsBody {
    /// The version of the daemon.
    version: &'static str,
    /// The time when the daemon started.
    #[schema(value_type = Time)]
    started_at: Timestamp,
    /// The number of seconds since the daemon started.
    uptime_seconds: u64,
    /// Statistics of accepted events.
    events: EventNumbers,
    /// The number of deliveries in the log, by state.
    deliveries: DeliveryNumbers,
    /// The number of attempts since the daemon started.
    attempts: AttemptNumbers,
    /// Latencies over the last minute.
    latency: Latencies,
    /// The number of subscriptions, by health.
    subscriptions: SubscriptionNumbers,
    /// The number of readers of `/v1/stream`.
    stream: StreamNumbers,
    /// Use of the disk with the data directory, in bytes.
    disk: DiskNumbers,
}

/// Statistics of accepted events.
#[derive(Serialize, ToSchema)]
pub struct EventNumbers {
    /// Events accepted since the daemon started.
    accepted: u64,
    /// Duplicates submitted within the dedup window since the daemon started.
    duplicates: u64,
    /// Events accepted per second, over the last minute.
    accepted_per_second: f64,
    /// Events that wait to be stored.
    queued: usize,
    /// The most events that can wait: `server.queue_events_max`.
    queued_max: usize,
}

/// The number of deliveries in the log, by state.
#[derive(Serialize, ToSchema)]
pub struct DeliveryNumbers {
    /// Waiting for their first attempt or for a retry.
    pending: u64,
    /// Being attempted now.
    in_flight: u64,
    /// Held while their subscription is disabled.
    held: u64,
    /// Accepted by the receiver.
    succeeded: u64,
    /// Failed after all attempts of the retry schedule.
    exhausted: u64,
    /// Cancelled before they succeeded.
    cancelled: u64,
}

/// The number of attempts since the daemon started, by outcome.
#[derive(Serialize, ToSchema)]
pub struct AttemptNumbers {
    /// The number of all attempts.
    total: u64,
    /// Attempts answered with 2xx.
    succeeded: u64,
    /// Attempts answered with another status.
    rejected: u64,
    /// Attempts without a complete response, by error.
    #[schema(value_type = BTreeMap<String, u64>)]
    failed: BTreeMap<&'static str, u64>,
    /// Attempts finished per second, over the last minute.
    per_second: f64,
}

/// Latencies over the last minute.
#[derive(Serialize, ToSchema)]
pub struct Latencies {
    /// The time from the submission of events until they were stored.
    accept: LatencyBody,
    /// The time from the creation of a delivery until its first attempt started.
    first_attempt: LatencyBody,
    /// The time from the start of an attempt until the end of its response.
    attempt: LatencyBody,
}

/// Percentiles in milliseconds. They are at most 6 % too high, and zero if nothing was measured.
#[derive(Serialize, ToSchema)]
#[schema(as = Latency)]
pub struct LatencyBody {
    /// The number of measurements.
    count: u64,
    /// 50 % of the measurements are not longer than this.
    p50_ms: f64,
    /// 90 % of the measurements are not longer than this.
    p90_ms: f64,
    /// 99 % of the measurements are not longer than this.
    p99_ms: f64,
    /// The longest measurement.
    max_ms: f64,
}

/// The number of subscriptions, by health.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionNumbers {
    /// The number of all subscriptions.
    total: u64,
    /// Subscriptions whose newest attempt succeeded, or that have no attempt yet.
    healthy: u64,
    /// Subscriptions whose newest attempt failed.
    failing: u64,
    /// The number of disabled subscriptions.
    disabled: u64,
}

/// The number of readers of `/v1/stream`.
#[derive(Serialize, ToSchema)]
pub struct StreamNumbers {
    /// The connected readers.
    readers: usize,
    /// The most readers that can connect: `api.stream_readers_max`.
    readers_max: usize,
}

/// Use of the disk with the data directory, in bytes.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "each member names its unit")]
pub struct DiskNumbers {
    /// The size of the log.
    log_bytes: u64,
    /// The free space of the disk.
    free_bytes: u64,
    /// The free space below which the daemon refuses events: `storage.disk_reserve`.
    reserve_bytes: u64,
}

impl DaemonStatsBody {
    /// Returns the JSON form of the statistics.
    pub fn new(numbers: &DaemonStats, reserve_bytes: u64) -> Self {
        let DaemonStats { started_at, uptime, passed, deliveries, queued, subscriptions, .. } = *numbers;
        let disk =
            DiskNumbers { log_bytes: numbers.log_bytes, free_bytes: numbers.free_bytes, reserve_bytes };
        Self {
            version: env!("CARGO_PKG_VERSION"),
            started_at,
            uptime_seconds: uptime.as_secs(),
            events: EventNumbers {
                accepted: passed.totals.accepted,
                duplicates: passed.totals.duplicates,
                accepted_per_second: passed.accepted_per_second,
                queued: queued.0,
                queued_max: queued.1,
            },
            deliveries: deliveries.into(),
            attempts: (&passed).into(),
            latency: Latencies {
                accept: passed.accept.into(),
                first_attempt: passed.first_attempt.into(),
                attempt: passed.attempt.into(),
            },
            subscriptions: subscriptions.into(),
            stream: StreamNumbers { readers: numbers.listeners.0, readers_max: numbers.listeners.1 },
            disk,
        }
    }
}

impl From<DeliveryCounts> for DeliveryNumbers {
    fn from(deliveries: DeliveryCounts) -> Self {
        let DeliveryCounts { pending, in_flight, held, succeeded, exhausted, cancelled } = deliveries;
        Self { pending, in_flight, held, succeeded, exhausted, cancelled }
    }
}

impl From<&MeterReading> for AttemptNumbers {
    fn from(passed: &MeterReading) -> Self {
        let totals = &passed.totals;
        Self {
            total: totals.attempts(),
            succeeded: totals.succeeded,
            rejected: totals.rejected,
            failed: ErrorClass::ALL.map(ErrorClass::as_str).into_iter().zip(totals.failed).collect(),
            per_second: passed.attempts_per_second,
        }
    }
}

impl From<Latency> for LatencyBody {
    fn from(latency: Latency) -> Self {
        let ms = |micros: u64| std::time::Duration::from_micros(micros).as_secs_f64() * 1000.0;
        let ms = |micros| (ms(micros) * 1000.0).round() / 1000.0;
        Self {
            count: latency.count,
            p50_ms: ms(latency.p50),
            p90_ms: ms(latency.p90),
            p99_ms: ms(latency.p99),
            max_ms: ms(latency.max),
        }
    }
}

impl From<HealthCounts> for SubscriptionNumbers {
    fn from(healths: HealthCounts) -> Self {
        let HealthCounts { healthy, failing, disabled } = healths;
        Self { total: healthy + failing + disabled, healthy, failing, disabled }
    }
}
