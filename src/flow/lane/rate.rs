//! The rate limit of a lane.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::time::Instant;

use crate::model::subscription::RateLimit;

/// The starts of attempts within the span of a rate limit, oldest first.
#[derive(Debug, Default)]
pub(super) struct RateWindow(VecDeque<Instant>);

impl RateWindow {
    /// Records a start.
    pub(super) fn record(&mut self, now: Instant) {
        self.0.push_back(now);
    }

    /// Returns how long to wait until `limit` allows another start, or none if it allows one now.
    pub(super) fn wait(&mut self, limit: RateLimit, now: Instant) -> Option<Duration> {
        let RateLimit { count, per } = limit;
        while self.0.front().is_some_and(|start| now.duration_since(*start) >= per) {
            self.0.pop_front();
        }
        let count = usize::try_from(NonZeroU32::get(count)).unwrap_or(usize::MAX);
        let oldest = self.0.get(self.0.len().checked_sub(count)?)?;
        // Due times have the grain of a millisecond. A shorter wait would end before the limit allows a start.
        Some((*oldest + per).saturating_duration_since(now).max(Duration::from_millis(1)))
    }
}
