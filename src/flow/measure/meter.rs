//! Counting: what passes through since the start and within the last minute, in a fixed amount of memory.
//!
//! A count is one short lock; nothing is allocated. Times are kept in buckets of 1/16 of their size or finer, so that
//! a percentile is told at most 6 % too high.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::flow::measure::history::{History, Minute};
use crate::model::attempt::{ErrorClass, Outcome};

/// The span that rates and percentiles are told of.
pub const WINDOW: Duration = Duration::from_mins(1);
/// A window is as many slices; the oldest is forgotten as a whole.
const SLICES: usize = 12;
const SLICE_MS: u128 = WINDOW.as_millis() / SLICES as u128;
/// Microseconds up to 2^32 (71 minutes), 16 buckets for each doubling.
const BUCKETS: usize = 29 * 16;
const MICROS_MAX: u64 = (1 << 32) - 1;

/// Which way something took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Way {
    /// From the submission of events until they were durable.
    Accept,
    /// From the making of a delivery until its first attempt began.
    FirstAttempt,
    /// From the beginning of an attempt to the end of its answer.
    Attempt,
}

const WAYS: usize = 3;

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Events taken in.
    pub accepted: u64,
    /// Events that repeated one of before.
    pub duplicates: u64,
    /// Attempts that were answered with 2xx.
    pub succeeded: u64,
    /// Attempts that were answered otherwise.
    pub rejected: u64,
    /// Attempts without a complete answer, by [`ErrorClass::ALL`].
    pub failed: [u64; ErrorClass::ALL.len()],
}

impl Totals {
    /// Attempts of any outcome.
    pub fn attempts(&self) -> u64 {
        self.succeeded + self.rejected + self.failed.iter().sum::<u64>()
    }
}

/// How long something took, within the [`WINDOW`], in microseconds. All zero if there was nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latency {
    /// How often.
    pub count: u64,
    /// Half of them took no longer.
    pub p50: u64,
    /// 90 % took no longer.
    pub p90: u64,
    /// 99 % took no longer.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// What the meter shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Since the start.
    pub totals: Totals,
    /// Events taken in per second, over the [`WINDOW`] or since the start if that is shorter.
    pub accepted_per_second: f64,
    /// Attempts ended per second, over the same span.
    pub attempts_per_second: f64,
    /// From the submission of events until they were durable.
    pub accept: Latency,
    /// From the making of a delivery until its first attempt began.
    pub first_attempt: Latency,
    /// From the beginning of an attempt to the end of its answer.
    pub attempt: Latency,
}

/// Counts.
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
    /// Which since the start.
    number: u128,
    accepted: u64,
    attempts: u64,
    times: [Times; WAYS],
}

#[derive(Clone, Debug)]
struct Times {
    buckets: Box<[u32; BUCKETS]>,
    max: u64,
}

impl Meter {
    pub(in crate::flow) fn new(now: Instant) -> Self {
        let times = || Times { buckets: Box::new([0; BUCKETS]), max: 0 };
        let slice = Slice { number: 0, accepted: 0, attempts: 0, times: [times(), times(), times()] };
        let state =
            State { totals: Totals::default(), history: History::default(), slices: vec![slice; SLICES + 1] };
        Self { began: now, state: Mutex::new(state) }
    }

    /// For how long it has been counting.
    pub(in crate::flow) fn running(&self, now: Instant) -> Duration {
        now.duration_since(self.began)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic while it was held leaves counts that are off by one.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which minute since the start it is.
    fn minute(&self, now: Instant) -> u64 {
        now.duration_since(self.began).as_secs() / 60
    }

    /// The last minutes, oldest first, the present one included.
    pub(in crate::flow) fn minutes(&self, now: Instant, count: usize) -> Vec<Minute> {
        self.lock().history.last(self.minute(now), count)
    }

    fn slice_number(&self, now: Instant) -> u128 {
        now.duration_since(self.began).as_millis() / SLICE_MS
    }

    /// Counts events of one submission.
    pub(in crate::flow) fn accepted(&self, now: Instant, events: u64, duplicates: u64, took: Duration) {
        let number = self.slice_number(now);
        let mut state = self.lock();
        state.totals.accepted += events;
        state.totals.duplicates += duplicates;
        state.history.minute(self.minute(now)).accepted += events;
        if let Some(slice) = state.slice(number) {
            slice.accepted += events;
            slice.took(Way::Accept, took);
        }
    }

    /// Counts an attempt that is over; `waited` is how long its delivery waited for it, if it was the first.
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
            slice.took(Way::Attempt, took);
            if let Some(waited) = waited {
                slice.took(Way::FirstAttempt, waited);
            }
        }
    }

    /// What has been counted by now.
    pub(in crate::flow) fn read(&self, now: Instant) -> Reading {
        let number = self.slice_number(now);
        let first = number.saturating_sub(SLICES as u128 - 1);
        let state = self.lock();
        let recent: Vec<&Slice> =
            state.slices.iter().filter(|slice| (first..=number).contains(&slice.number)).collect();
        // The slice of now is not over yet.
        let in_slice = now.duration_since(self.began).as_millis() - number * SLICE_MS;
        let span_ms = (number - first) * SLICE_MS + in_slice;
        let span_secs =
            Duration::from_millis(u64::try_from(span_ms.max(1)).unwrap_or(u64::MAX)).as_secs_f64();
        let per_second = |count: u64| {
            // Counts of a minute are far below 2^53.
            #[expect(clippy::cast_precision_loss, reason = "counts of a minute are far below 2^53")]
            let count = count as f64;
            (count / span_secs * 10.0).round() / 10.0
        };
        Reading {
            totals: state.totals,
            accepted_per_second: per_second(recent.iter().map(|slice| slice.accepted).sum()),
            attempts_per_second: per_second(recent.iter().map(|slice| slice.attempts).sum()),
            accept: latency(&recent, Way::Accept),
            first_attempt: latency(&recent, Way::FirstAttempt),
            attempt: latency(&recent, Way::Attempt),
        }
    }
}

impl State {
    /// The slice of that number, emptied if it was of another.
    fn slice(&mut self, number: u128) -> Option<&mut Slice> {
        let count = self.slices.len() as u128;
        let slice = self.slices.get_mut(usize::try_from(number % count).ok()?)?;
        if slice.number != number {
            slice.number = number;
            (slice.accepted, slice.attempts) = (0, 0);
            for times in &mut slice.times {
                times.buckets.fill(0);
                times.max = 0;
            }
        }
        Some(slice)
    }
}

impl Slice {
    fn took(&mut self, way: Way, time: Duration) {
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        if let Some(times) = self.times.get_mut(way as usize) {
            times.max = times.max.max(micros);
            if let Some(count) = times.buckets.get_mut(bucket(micros)) {
                *count = count.saturating_add(1);
            }
        }
    }
}

/// The bucket of a time: exact below 16, then 16 for each doubling.
fn bucket(micros: u64) -> usize {
    let micros = micros.min(MICROS_MAX);
    let index = match micros.checked_ilog2() {
        Some(log @ 4..) => u64::from(log - 3) * 16 + ((micros >> (log - 4)) & 15),
        _ => micros,
    };
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The longest time of a bucket.
fn longest(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    match bucket / 16 {
        0 => bucket,
        doubling => ((17 + bucket % 16) << (doubling - 1)) - 1,
    }
}

fn latency(slices: &[&Slice], way: Way) -> Latency {
    let times: Vec<&Times> = slices.iter().filter_map(|slice| slice.times.get(way as usize)).collect();
    let mut sums = vec![0_u64; BUCKETS];
    for times in &times {
        for (sum, count) in sums.iter_mut().zip(times.buckets.iter()) {
            *sum += u64::from(*count);
        }
    }
    let count: u64 = sums.iter().sum();
    let max = times.iter().map(|times| times.max).max().unwrap_or(0);
    let percentile = |percent: u64| {
        let rank = (count * percent).div_ceil(100);
        let mut passed = 0;
        let reached = sums.iter().position(|sum| {
            passed += sum;
            passed >= rank
        });
        reached.map_or(0, |bucket| longest(bucket).min(max))
    };
    Latency { count, p50: percentile(50), p90: percentile(90), p99: percentile(99), max }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OK: Outcome = Outcome::Success { status: 200 };

    #[tokio::test(start_paused = true)]
    async fn rates_and_times_are_those_of_the_last_minute() {
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
    async fn attempts_are_told_apart_by_outcome() {
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
    fn buckets_follow_each_other_without_gaps() {
        let mut first = 0;
        for index in 0..BUCKETS {
            assert_eq!((bucket(first), bucket(longest(index))), (index, index));
            first = longest(index) + 1;
        }
        assert_eq!((first, bucket(u64::MAX)), (MICROS_MAX + 1, BUCKETS - 1));
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_a_sorted_list_or_at_most_a_sixteenth_more(
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
