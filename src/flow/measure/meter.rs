//! The meter: counts since the start, and rates and latencies of the last minute.
//!
//! A count takes one short lock and allocates nothing. The last minute is a ring of slices, each with a histogram per
//! stage. The histograms take 13 slices × 3 stages × 464 buckets × 4 bytes, which is 72 KB for the whole daemon.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdrhistogram::Histogram;
use tokio::time::Instant;

use crate::flow::measure::history::{History, Minute};
use crate::model::attempt::{ErrorClass, Outcome};

/// The span of rates and percentiles.
pub const WINDOW: Duration = Duration::from_mins(1);
/// The number of slices of a window. A slice expires as a whole.
const SLICES: usize = 12;
const SLICE_MS: u128 = WINDOW.as_millis() / SLICES as u128;
/// The longest time that the histograms tell apart: 71 minutes.
const MICROS_MAX: u64 = (1 << 32) - 1;
/// The histograms keep one significant digit, which makes 16 buckets for each doubling. A percentile is thus at most 1/16
/// too high. With two digits they would take 0.5 MB.
const SIGNIFICANT_DIGITS: u8 = 1;

/// The stage of the journey that a time was measured for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// From the submission of events until they are durable.
    Accept,
    /// From the creation of a delivery until its first attempt begins.
    FirstAttempt,
    /// From the beginning of an attempt to its end.
    Attempt,
}

const STAGES: usize = 3;

/// The counts since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of accepted events.
    pub accepted: u64,
    /// Events that were duplicates.
    pub duplicates: u64,
    /// Attempts that were answered with a 2xx status.
    pub succeeded: u64,
    /// Attempts that were answered with another status.
    pub rejected: u64,
    /// Attempts without a complete response, in the order of [`ErrorClass::ALL`].
    pub failed: [u64; ErrorClass::ALL.len()],
}

impl Totals {
    /// Returns the number of attempts of any outcome.
    pub fn attempts(&self) -> u64 {
        self.succeeded + self.rejected + self.failed.iter().sum::<u64>()
    }
}

/// The times that a stage took within the [`WINDOW`], in microseconds. All members are 0 if nothing was
/// measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// The number of times that were measured.
    pub count: u64,
    /// The median of the durations.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The longest time.
    pub max: u64,
}

/// A reading of the meter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeterReading {
    /// The counts since the start.
    pub totals: Totals,
    /// Events accepted per second within the [`WINDOW`], or since the start if that is shorter.
    pub accepted_per_second: f64,
    /// Attempts ended per second within the same span.
    pub attempts_per_second: f64,
    /// From the submission of events until they are durable.
    pub accept: Latency,
    /// From the creation of a delivery until its first attempt begins.
    pub first_attempt: Latency,
    /// From the beginning of an attempt to its end.
    pub attempt: Latency,
}

/// Counts events and attempts, and measures their times.
#[derive(Debug)]
pub(in crate::flow) struct Meter {
    began: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    totals: Totals,
    history: History,
    slices: Vec<Slice>,
}

#[derive(Clone, Debug)]
struct Slice {
    /// The number of the slice since the start.
    number: u128,
    accepted: u64,
    attempts: u64,
    times: [Times; STAGES],
}

/// The times of one stage within a slice.
#[derive(Clone, Debug)]
struct Times {
    histogram: Histogram<u32>,
    /// The longest time, which the histogram knows only approximately.
    max: u64,
}

impl Times {
    #[expect(clippy::expect_used, reason = "constant bounds that the histogram accepts")]
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, MICROS_MAX, SIGNIFICANT_DIGITS);
        Self { histogram: histogram.expect("the bounds are valid"), max: 0 }
    }

    fn clear(&mut self) {
        self.histogram.reset();
        self.max = 0;
    }

    fn record(&mut self, micros: u64) {
        self.histogram.saturating_record(micros);
        self.max = self.max.max(micros);
    }
}

impl Meter {
    pub(in crate::flow) fn new(now: Instant) -> Self {
        let slice =
            Slice { number: 0, accepted: 0, attempts: 0, times: [Times::new(), Times::new(), Times::new()] };
        let state =
            State { totals: Totals::default(), history: History::default(), slices: vec![slice; SLICES + 1] };
        Self { began: now, state: Mutex::new(state) }
    }

    /// Returns how long the meter has been running.
    pub(in crate::flow) fn running(&self, now: Instant) -> Duration {
        now.duration_since(self.began)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves counts that are off by one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the number of the current minute since the start.
    fn minute(&self, now: Instant) -> u64 {
        now.duration_since(self.began).as_secs() / 60
    }

    /// Returns the last minutes, oldest first. The last one is the current minute.
    pub(in crate::flow) fn minutes(&self, now: Instant, count: usize) -> Vec<Minute> {
        self.lock().history.last(self.minute(now), count)
    }

    fn slice_number(&self, now: Instant) -> u128 {
        now.duration_since(self.began).as_millis() / SLICE_MS
    }

    /// Counts the events of one submission.
    pub(in crate::flow) fn accepted(&self, now: Instant, events: u64, duplicates: u64, took: Duration) {
        let number = self.slice_number(now);
        let mut state = self.lock();
        state.totals.accepted += events;
        state.totals.duplicates += duplicates;
        state.history.minute(self.minute(now)).accepted += events;
        if let Some(slice) = state.slice(number) {
            slice.accepted += events;
            slice.took(Stage::Accept, took);
        }
    }

    /// Counts an attempt that has ended. `waited` is how long the delivery waited for it, if it was the first
    /// attempt.
    pub(in crate::flow) fn attempted(
        &self,
        now: Instant,
        outcome: &Outcome,
        took: Duration,
        waited: Option<Duration>,
    ) {
        let number = self.slice_number(now);
        let mut state = self.lock();
        state.history.minute(self.minute(now)).attempted(outcome, took);
        let totals = &mut state.totals;
        match outcome {
            Outcome::Success { .. } => totals.succeeded += 1,
            Outcome::Rejected { .. } => totals.rejected += 1,
            Outcome::Failed { class, .. } => {
                let counts = ErrorClass::ALL.iter().zip(&mut totals.failed);
                counts.filter(|(one, _)| *one == class).for_each(|(_, count)| *count += 1);
            }
        }
        if let Some(slice) = state.slice(number) {
            slice.attempts += 1;
            slice.took(Stage::Attempt, took);
            if let Some(waited) = waited {
                slice.took(Stage::FirstAttempt, waited);
            }
        }
    }

    /// Returns the counts, rates and times.
    pub(in crate::flow) fn read(&self, now: Instant) -> MeterReading {
        let number = self.slice_number(now);
        let first = number.saturating_sub(SLICES as u128 - 1);
        let state = self.lock();
        let recent: Vec<&Slice> =
            state.slices.iter().filter(|slice| (first..=number).contains(&slice.number)).collect();
        // The current slice is not over.
        let in_slice = now.duration_since(self.began).as_millis() - number * SLICE_MS;
        let span_ms = (number - first) * SLICE_MS + in_slice;
        let span_secs =
            Duration::from_millis(u64::try_from(span_ms.max(1)).unwrap_or(u64::MAX)).as_secs_f64();
        let per_second = |count: u64| {
            #[expect(clippy::cast_precision_loss, reason = "counts of a minute are far below 2^53")]
            let count = count as f64;
            (count / span_secs * 10.0).round() / 10.0
        };
        MeterReading {
            totals: state.totals,
            accepted_per_second: per_second(recent.iter().map(|slice| slice.accepted).sum()),
            attempts_per_second: per_second(recent.iter().map(|slice| slice.attempts).sum()),
            accept: latency(&recent, Stage::Accept),
            first_attempt: latency(&recent, Stage::FirstAttempt),
            attempt: latency(&recent, Stage::Attempt),
        }
    }
}

impl State {
    /// Returns the slice with this number, and empties it if it held another one.
    fn slice(&mut self, number: u128) -> Option<&mut Slice> {
        let count = self.slices.len() as u128;
        let slice = self.slices.get_mut(usize::try_from(number % count).ok()?)?;
        if slice.number != number {
            slice.number = number;
            (slice.accepted, slice.attempts) = (0, 0);
            slice.times.iter_mut().for_each(Times::clear);
        }
        Some(slice)
    }
}

impl Slice {
    fn took(&mut self, stage: Stage, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(times) = self.times.get_mut(stage as usize) {
            times.record(micros);
        }
    }
}

fn latency(slices: &[&Slice], stage: Stage) -> Latency {
    let mut sum = Times::new();
    for times in slices.iter().filter_map(|slice| slice.times.get(stage as usize)) {
        sum.max = sum.max.max(times.max);
        // All histograms have the same bounds, so that none of the values is out of range.
        if let Err(error) = sum.histogram.add(&times.histogram) {
            tracing::error!(%error, "failed to add up latencies");
        }
    }
    let percentile = |quantile| sum.histogram.value_at_quantile(quantile).min(sum.max);
    Latency {
        count: sum.histogram.len(),
        p50: percentile(0.5),
        p90: percentile(0.9),
        p99: percentile(0.99),
        max: sum.max,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OK: Outcome = Outcome::Success { status: 200 };

    #[tokio::test(start_paused = true)]
    async fn rates_and_latencies_cover_the_last_minute() {
        let began = Instant::now();
        let meter = Meter::new(began);
        let at = |secs| began + Duration::from_secs(secs);
        assert_eq!(meter.read(began).accept, Latency::default());
        meter.accepted(at(1), 30, 2, Duration::from_millis(8));
        meter.attempted(at(1), &OK, Duration::from_millis(70), Some(Duration::from_millis(3)));
        let early = meter.read(at(10));
        assert!((early.accepted_per_second - 3.0).abs() < f64::EPSILON, "{early:?}");
        assert!((early.attempts_per_second - 0.1).abs() < f64::EPSILON, "{early:?}");
        assert_eq!((early.accept.count, early.accept.max), (1, 8_000));
        assert_eq!((early.first_attempt.p50, early.attempt.p99), (3_000, 70_000));
        meter.accepted(at(58), 60, 0, Duration::from_millis(8));
        let later = meter.read(at(118));
        let expected = Totals { accepted: 90, duplicates: 2, succeeded: 1, ..Totals::default() };
        assert_eq!((later.totals, later.totals.attempts()), (expected, 1));
        assert_eq!(later.attempt, Latency::default());
        let much_later = meter.read(at(10_000));
        assert!(much_later.accepted_per_second.abs() < f64::EPSILON && much_later.totals == expected);
    }

    #[tokio::test(start_paused = true)]
    async fn attempts_are_counted_by_outcome() {
        let meter = Meter::new(Instant::now());
        let failed = |class| Outcome::Failed { class, detail: String::new() };
        for outcome in [
            OK,
            Outcome::Rejected { status: 500, retry_after: None },
            failed(ErrorClass::Dns),
            failed(ErrorClass::Timeout),
            failed(ErrorClass::Timeout),
        ] {
            meter.attempted(Instant::now(), &outcome, Duration::ZERO, None);
        }
        let totals = meter.read(Instant::now()).totals;
        assert_eq!((totals.succeeded, totals.rejected, totals.failed), (1, 1, [1, 0, 0, 0, 2, 0, 0]));
    }

    #[test]
    fn the_histograms_of_the_meter_take_72_kilobytes() {
        let bytes = Times::new().histogram.distinct_values() * size_of::<u32>();
        assert_eq!(bytes * STAGES * (SLICES + 1), 72_384);
    }

    #[tokio::test(start_paused = true)]
    async fn times_beyond_the_range_count_as_the_longest() {
        let meter = Meter::new(Instant::now());
        meter.attempted(Instant::now(), &OK, Duration::from_hours(9), None);
        let seen = meter.read(Instant::now()).attempt;
        assert_eq!((seen.count, seen.p50, seen.max), (1, MICROS_MAX, 9 * 3_600_000_000));
    }

    proptest! {
        #[test]
        fn percentiles_are_exact_or_at_most_a_sixteenth_too_high(
            mut times in proptest::collection::vec(0_u64..10_000_000, 1..200),
        ) {
            let now = Instant::now();
            let meter = Meter::new(now);
            for time in &times {
                meter.attempted(now, &OK, Duration::from_micros(*time), None);
            }
            times.sort_unstable();
            let seen = meter.read(now).attempt;
            prop_assert_eq!((seen.count, seen.max), (times.len() as u64, times[times.len() - 1]));
            for (percent, seen) in [(50, seen.p50), (90, seen.p90), (99, seen.p99)] {
                let exact = times[(times.len() * percent).div_ceil(100) - 1];
                prop_assert!(exact <= seen && seen <= exact + exact / 16, "{percent}: {exact} {seen}");
            }
        }
    }
}
