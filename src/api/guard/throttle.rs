//! The rate limit on failed authentication, which stops callers from guessing keys. Its memory is bounded.

use std::net::IpAddr;
use std::sync::Mutex;
use std::time::Duration;

use rustc_hash::FxHashMap;
use tokio::time::Instant;

use crate::api::error::ApiError;
use crate::model::time::Clock;

/// The most failures that an address can have in one [`WINDOW`].
const FAILURES_MAX: u32 = 20;
const WINDOW: Duration = Duration::from_mins(1);
/// The most addresses to remember. When one more fails, all are forgotten.
const SOURCES_MAX: usize = 4096;

/// Counts the recent authentication failures of each address.
///
/// A known key is always accepted. Otherwise one caller who guesses keys behind a proxy would lock out all callers behind
/// it.
pub struct AuthThrottle {
    clock: Clock,
    sources: Mutex<FxHashMap<Option<IpAddr>, Window>>,
}

#[derive(Clone, Copy)]
struct Window {
    started: Instant,
    failures: u32,
}

impl AuthThrottle {
    /// Creates a limit without any failures.
    pub fn new(clock: Clock) -> Self {
        Self { clock, sources: Mutex::default() }
    }

    /// Records a failure of an address (`None` for Unix sockets).
    ///
    /// The first failure of a window beyond the limit is logged.
    ///
    /// # Errors
    /// `too-many-requests` if the address has failed too often.
    pub fn record(&self, source: Option<IpAddr>) -> Result<(), ApiError> {
        let now = self.clock.instant();
        let mut sources = self.sources.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if sources.len() >= SOURCES_MAX && !sources.contains_key(&source) {
            sources.clear();
        }
        let window = sources.entry(source).or_insert(Window { started: now, failures: 0 });
        if now.duration_since(window.started) >= WINDOW {
            *window = Window { started: now, failures: 0 };
        }
        window.failures = window.failures.saturating_add(1);
        if window.failures <= FAILURES_MAX {
            return Ok(());
        }
        if window.failures == FAILURES_MAX + 1 {
            tracing::warn!(?source, failures = window.failures, "too many requests with unknown API keys");
        }
        let retry_after = WINDOW.saturating_sub(now.duration_since(window.started));
        Err(ApiError::TooManyRequests {
            detail: "too many requests with unknown API keys from this address: retry later",
            retry_after,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_address_that_fails_too_often_is_limited_and_others_are_not() {
        let throttle = AuthThrottle::new(Clock::system());
        let (failing, other) = (Some("10.0.0.1".parse().unwrap()), Some("10.0.0.2".parse().unwrap()));
        for _ in 0..FAILURES_MAX {
            assert!(throttle.record(failing).is_ok());
        }
        let limited = throttle.record(failing);
        assert!(
            matches!(limited, Err(ApiError::TooManyRequests { retry_after, .. }) if retry_after == WINDOW)
        );
        assert!(throttle.record(other).is_ok() && throttle.record(None).is_ok());
        tokio::time::advance(WINDOW).await;
        assert!(throttle.record(failing).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn the_number_of_remembered_addresses_is_bounded() {
        let throttle = AuthThrottle::new(Clock::system());
        for number in 0..10 * u32::try_from(SOURCES_MAX).unwrap() {
            assert!(throttle.record(Some(IpAddr::from(number.to_be_bytes()))).is_ok());
            assert!(throttle.sources.lock().unwrap().len() <= SOURCES_MAX);
        }
    }
}
