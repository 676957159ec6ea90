//! The daemon in numbers.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::schema::Time;
use crate::flow::meter::{Latency, Reading};
use crate::flow::numbers::{Deliveries, Healths, Numbers};
use crate::model::attempt::ErrorClass;
use crate::model::time::Timestamp;

/// The daemon in numbers, now.
#[derive(Serialize, ToSchema)]
#[schema(as = Numbers, examples(json!({
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
    /// The daemon's version.
    version: &'static str,
    /// When it started.
    #[schema(value_type = Time)]
    started_at: Timestamp,
    /// For how many seconds it has been running.
    uptime_seconds: u64,
    /// Events in.
    events: EventNumbers,
    /// Deliveries in the log, by state.
    deliveries: DeliveryNumbers,
    /// Attempts since the start.
    attempts: AttemptNumbers,
    /// How long things took, over the last minute.
    latency: Latencies,
    /// Subscriptions, by health.
    subscriptions: SubscriptionNumbers,
    /// Readers of `/v1/stream`.
    stream: StreamNumbers,
    /// Bytes of the data directory's disk.
    disk: DiskNumbers,
}

/// Events in.
#[derive(Serialize, ToSchema)]
pub struct EventNumbers {
    /// Taken in since the start.
    accepted: u64,
    /// Submitted again within the dedup window since the start.
    duplicates: u64,
    /// Taken in per second, over the last minute.
    accepted_per_second: f64,
    /// How many wait to be stored.
    queued: usize,
    /// How many may: `server.queue_events_max`.
    queued_max: usize,
}

/// Deliveries in the log, by state.
#[derive(Serialize, ToSchema)]
pub struct DeliveryNumbers {
    /// Never tried, or waiting for a retry.
    pending: u64,
    /// Being attempted.
    in_flight: u64,
    /// Kept while their subscription is switched off.
    held: u64,
    /// Taken by the receiver.
    succeeded: u64,
    /// Attempts used up.
    exhausted: u64,
    /// Given up on.
    cancelled: u64,
}

/// Attempts since the start, by outcome.
#[derive(Serialize, ToSchema)]
pub struct AttemptNumbers {
    /// All.
    total: u64,
    /// Answered with 2xx.
    succeeded: u64,
    /// Answered otherwise.
    rejected: u64,
    /// Without a complete answer, by error.
    #[schema(value_type = BTreeMap<String, u64>)]
    failed: BTreeMap<&'static str, u64>,
    /// Ended per second, over the last minute.
    per_second: f64,
}

/// How long things took, over the last minute.
#[derive(Serialize, ToSchema)]
pub struct Latencies {
    /// From the submission of events until they were stored.
    accept: LatencyBody,
    /// From the making of a delivery until its first attempt began.
    first_attempt: LatencyBody,
    /// From the beginning of an attempt to the end of its answer.
    attempt: LatencyBody,
}

/// Percentiles in milliseconds, at most 6 % too high; zero if there was nothing.
#[derive(Serialize, ToSchema)]
#[schema(as = Latency)]
pub struct LatencyBody {
    /// How often.
    count: u64,
    /// Half took no longer.
    p50_ms: f64,
    /// 90 % took no longer.
    p90_ms: f64,
    /// 99 % took no longer.
    p99_ms: f64,
    /// The longest.
    max_ms: f64,
}

/// Subscriptions, by health.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionNumbers {
    /// All.
    total: u64,
    /// The newest attempt succeeded, or there was none yet.
    healthy: u64,
    /// The newest attempt failed.
    failing: u64,
    /// Switched off.
    disabled: u64,
}

/// Readers of `/v1/stream`.
#[derive(Serialize, ToSchema)]
pub struct StreamNumbers {
    /// How many there are.
    readers: usize,
    /// How many may be: `api.stream_readers_max`.
    readers_max: usize,
}

/// Bytes of the data directory's disk.
#[derive(Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "each says its unit")]
pub struct DiskNumbers {
    /// What the log takes.
    log_bytes: u64,
    /// What is free.
    free_bytes: u64,
    /// Below so much free space events are refused: `storage.disk_reserve`.
    reserve_bytes: u64,
}

impl DaemonStatsBody {
    /// The numbers as they show.
    pub fn new(numbers: &Numbers, reserve_bytes: u64) -> Self {
        let Numbers { started_at, uptime, passed, deliveries, queued, subscriptions, .. } = *numbers;
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

impl From<Deliveries> for DeliveryNumbers {
    fn from(deliveries: Deliveries) -> Self {
        let Deliveries { pending, in_flight, held, succeeded, exhausted, cancelled } = deliveries;
        Self { pending, in_flight, held, succeeded, exhausted, cancelled }
    }
}

impl From<&Reading> for AttemptNumbers {
    fn from(passed: &Reading) -> Self {
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

impl From<Healths> for SubscriptionNumbers {
    fn from(healths: Healths) -> Self {
        let Healths { healthy, failing, disabled } = healths;
        Self { total: healthy + failing + disabled, healthy, failing, disabled }
    }
}
