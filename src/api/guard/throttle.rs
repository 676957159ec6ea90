//! Slows down whoever tries keys that are not known. The memory that it takes is bounded.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::api::error::ApiError;
use crate::model::time::Clock;

/// How many failures an address has in a [`WINDOW`] before it is told to wait.
const FAILURES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_mins(1);
/// How many addresses are remembered; when there are more, all are forgotten.
const SOURCES_MAX: usize = 4096;

/// Failures of late by address. A known key is always let in, so that one who guesses behind a proxy does not
/// lock out everybody behind it.
pub struct AuthThrottle {
    clock: Clock,
    sources: Mutex<FxHashMap<Option<IpAddr>, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    began: Instant,
    failures: u32,
}

impl AuthThrottle {
    /// One that has counted nothing yet.
    pub fn new(clock: Clock) -> Self {
        Self { clock, sources: Mutex::default() }
    }

    /// Counts a failure of `source` (none for Unix sockets).
    ///
    /// # Errors
    /// When it has had more than it may; each first one of a window is logged.
    pub fn record(&self, source: Option<IpAddr>) -> Result<(), ApiError> {
        let now = self.clock.instant();
        let mut sources = self.sources.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if sources.len() >= SOURCES_MAX && !sources.contains_key(&source) {
            sources.clear();
        }
        let window = sources.entry(source).or_insert(Window { began: now, failures: 0 });
        if now.duration_since(window.began) >= WINDOW {
            *window = Window { began: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
        if window.failures <= FAILURES_MAX {
            return Ok(());
        }
        if window.failures == FAILURES_MAX + 1 {
            tracing::warn!(?source, failures = window.failures, "many calls with unknown keys");
        }
        let retry_after = WINDOW.saturating_sub(now.duration_since(window.began));
        Err(ApiError::TooManyRequests { detail: "too many calls with unknown keys", retry_after })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_that_fails_often_has_to_wait_and_others_do_not() {
        let throttle = AuthThrottle::new(Clock::system());
        let (guesser, other) = (Some("10.0.0.1".parse().unwrap()), Some("10.0.0.2".parse().unwrap()));
        for _ in 0..FAILURES_MAX {
            assert!(throttle.record(guesser).is_ok());
        }
        let refused = throttle.record(guesser);
        assert!(
            matches!(refused, Err(ApiError::TooManyRequests { retry_after, .. }) if retry_after == WINDOW)
        );
        assert!(throttle.record(other).is_ok() && throttle.record(None).is_ok());
        tokio::time::advance(WINDOW).await;
        assert!(throttle.record(guesser).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let throttle = AuthThrottle::new(Clock::system());
        for number in 0..10 * u32::try_from(SOURCES_MAX).unwrap() {
            assert!(throttle.record(Some(IpAddr::from(number.to_be_bytes()))).is_ok());
            assert!(throttle.sources.lock().unwrap().len() <= SOURCES_MAX);
        }
    }
}
