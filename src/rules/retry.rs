//! Retry decisions: when the next attempt is due after a failure, or that there is none.
//!
//! The waits come from the subscription's schedule. Random jitter spreads them, so that deliveries that
//! failed together do not retry together. An overloaded receiver (429, 503) can request a longer wait.

use std::time::{Duration, UNIX_EPOCH};

use rand::RngExt as _;
use rand::rngs::StdRng;

use crate::model::attempt::Outcome;
use crate::model::time::{Interval, Timestamp};

/// The longest wait that a receiver can request with `Retry-After`.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// The retry schedule of a delivery.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RetryPolicy<'a> {
    /// The waits before attempts 2, 3 and so on. A failure after the last wait is final.
    pub waits: &'a [Interval],
    /// The largest random change of a wait, as a fraction of it: 0.2 means ±20 %. Values are clamped to 0 to
    /// 1.
    pub jitter: f64,
}

/// The step that follows a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryDecision {
    /// The delivery is attempted again.
    Retry {
        /// When the next attempt is due.
        due: Timestamp,
    },
    /// The delivery has no attempts left.
    Exhausted,
}

/// Decides what follows the failed attempt that ended at `ended_at` with `outcome`.
///
/// `attempts_made` counts the attempts of the current schedule, including this one. The next attempt is never
/// due before `ended_at`. After a 429 or 503 it is also not due before the `Retry-After` wait has passed, of
/// which at most [`RETRY_AFTER_MAX`] is honored.
pub fn after_failure(
    policy: &RetryPolicy<'_>,
    attempts_made: u32,
    outcome: &Outcome,
    ended_at: Timestamp,
    rng: &mut StdRng,
) -> RetryDecision {
    let position = usize::try_from(attempts_made.saturating_sub(1)).unwrap_or(usize::MAX);
    match policy.waits.get(position) {
        Some(wait) => {
            let wait = with_jitter(wait.get(), policy.jitter, rng).max(requested_wait(outcome));
            RetryDecision::Retry { due: ended_at.after(wait) }
        }
        None => RetryDecision::Exhausted,
    }
}

fn with_jitter(wait: Duration, jitter: f64, rng: &mut StdRng) -> Duration {
    let jitter = jitter.clamp(0.0, 1.0);
    let factor = 1.0 + jitter * rng.random_range(-1.0..=1.0);
    Duration::try_from_secs_f64(wait.as_secs_f64() * factor).unwrap_or(wait)
}

/// Returns the wait that the receiver requested, up to [`RETRY_AFTER_MAX`], or zero.
fn requested_wait(outcome: &Outcome) -> Duration {
    match outcome {
        Outcome::Rejected { status, retry_after: Some(wait) } if honors_retry_after(*status) => {
            (*wait).min(RETRY_AFTER_MAX)
        }
        _ => Duration::ZERO,
    }
}

/// Returns whether `Retry-After` is honored on a response with this status: 429 and 503.
pub const fn honors_retry_after(status: u16) -> bool {
    matches!(status, 429 | 503)
}

/// Parses a `Retry-After` header (RFC 9110, 10.2.3): a number of seconds, or an HTTP date relative to `now`.
///
/// Returns zero for a date in the past, `u64::MAX` seconds for a number that does not fit 64 bits, and `None`
/// for any other text.
pub fn parse_retry_after(text: &str, now: Timestamp) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|digit| digit.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Some(date.saturating_sub(Duration::from_millis(now.as_millis())))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng as _;

    use super::*;
    use crate::model::attempt::ErrorClass;

    const WAITS: [Interval; 4] =
        [Interval::from_secs(5), Interval::from_secs(30), Interval::from_secs(120), Interval::from_secs(600)];
    const END: Timestamp = Timestamp::from_millis(1_800_000_000_000);

    fn rejected(status: u16, retry_after_secs: Option<u64>) -> Outcome {
        Outcome::Rejected { status, retry_after: retry_after_secs.map(Duration::from_secs) }
    }

    fn wait_after(policy: &RetryPolicy<'_>, made: u32, outcome: &Outcome, seed: u64) -> Option<Duration> {
        match after_failure(policy, made, outcome, END, &mut StdRng::seed_from_u64(seed)) {
            RetryDecision::Retry { due } => Some(due.since(END)),
            RetryDecision::Exhausted => None,
        }
    }

    #[test]
    fn waits_follow_the_schedule_and_end_with_it() {
        let policy = RetryPolicy { waits: &WAITS, jitter: 0.0 };
        let timeout = Outcome::Failed { class: ErrorClass::Timeout, detail: String::new() };
        let table = [
            (1, rejected(500, None), Some(5)),
            (2, timeout.clone(), Some(30)),
            (3, rejected(404, None), Some(120)),
            (4, rejected(410, None), Some(600)),
            (5, timeout, None),
            (6, rejected(500, None), None),
            (u32::MAX, rejected(500, None), None),
            (1, rejected(429, Some(60)), Some(60)),
            (1, rejected(503, Some(60)), Some(60)),
            (2, rejected(429, Some(3)), Some(30)),
            (2, rejected(429, Some(0)), Some(30)),
            (1, rejected(500, Some(60)), Some(5)),
            (1, rejected(301, Some(60)), Some(5)),
            (1, rejected(503, Some(3600)), Some(3600)),
            (1, rejected(503, Some(u64::MAX)), Some(3600)),
            (5, rejected(429, Some(60)), None),
        ];
        for (made, outcome, secs) in table {
            let wait = wait_after(&policy, made, &outcome, 1);
            assert_eq!(wait, secs.map(Duration::from_secs), "attempt {made}, {outcome}");
        }
        let none = RetryPolicy { waits: &[], jitter: 0.2 };
        assert_eq!(wait_after(&none, 1, &rejected(500, None), 1), None);
    }

    #[test]
    fn jitter_covers_its_whole_range() {
        let policy = RetryPolicy { waits: &WAITS, jitter: 0.2 };
        let waits: Vec<_> =
            (0..200).filter_map(|seed| wait_after(&policy, 1, &rejected(500, None), seed)).collect();
        assert_eq!(waits.len(), 200);
        let (shortest, longest) = (waits.iter().min().unwrap(), waits.iter().max().unwrap());
        assert!((4000..4200).contains(&shortest.as_millis()), "{shortest:?}");
        assert!((5800..=6000).contains(&longest.as_millis()), "{longest:?}");
    }

    proptest! {
        #[test]
        fn waits_stay_within_the_jitter_and_retry_after(
            made in 1_u32..=4, jitter in 0.0_f64..=1.0, asked in proptest::option::of(0_u64..10_000), seed: u64,
        ) {
            let policy = RetryPolicy { waits: &WAITS, jitter };
            let wait = wait_after(&policy, made, &rejected(503, asked), seed).unwrap().as_secs_f64();
            let base = WAITS[made as usize - 1].get().as_secs_f64();
            let asked = Duration::from_secs(asked.unwrap_or(0).min(3600)).as_secs_f64();
            prop_assert!(wait >= (base * (1.0 - jitter)).max(asked) - 0.001, "{wait}");
            prop_assert!(wait <= (base * (1.0 + jitter)).max(asked) + 0.001, "{wait}");
        }
    }

    #[test]
    fn retry_after_accepts_seconds_and_dates() {
        let now: Timestamp = "2026-11-23T20:00:00.500Z".parse().unwrap();
        for (text, ms) in [
            ("0", Some(0)),
            ("120", Some(120_000)),
            (" 7 ", Some(7000)),
            ("Mon, 23 Nov 2026 20:01:00 GMT", Some(59_500)),
            ("Monday, 23-Nov-26 20:01:00 GMT", Some(59_500)),
            ("Mon Nov 23 20:01:00 2026", Some(59_500)),
            ("Mon, 23 Nov 2026 19:59:00 GMT", Some(0)),
            ("", None),
            ("-5", None),
            ("+5", None),
            ("1.5", None),
            ("5s", None),
            ("soon", None),
            ("2026-11-23T20:01:00Z", None),
        ] {
            assert_eq!(parse_retry_after(text, now), ms.map(Duration::from_millis), "{text:?}");
        }
        let endless = parse_retry_after("99999999999999999999999", now);
        assert_eq!(endless, Some(Duration::from_secs(u64::MAX)));
    }
}
